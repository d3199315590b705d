"""Slaves by name, as a list on a command line has them: `coupler`, `di8`, `do8`, `ai2`, `ao2`, `drive`, ...

Their vendor is nobody's (0x00FABE00), their products are 0x00C00001 and so on. A name may bring settings: `drive:alias=7:drift=20`,
`mirror:8`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from fieldbus.ethercat.simulated.coe_slave import Description
from fieldbus.ethercat.simulated.device import Device
from fieldbus.ethercat.simulated.drive import Axis, Drive
from fieldbus.ethercat.simulated.generic import Mirror
from fieldbus.ethercat.simulated.sii import Identity
from fieldbus.ethercat.simulated.terminals import (
    AnalogueInputs,
    AnalogueOutputs,
    Coupler,
    Digital,
    wire_analogue,
    wire_digital,
)

_PRODUCT = 0x00C00000
_MOST_MIRRORED = 200
_ANALOGUE, _DRIVE = 0x0000_1389, 0x0002_0192  # object 0x1000: profile 5001, CiA 402 servo drive


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be said of each slave behind its name."""

    alias: int = 0
    serial: int = 0
    vendor: int = Identity(0).vendor
    product: int = 0
    """0: the preset's own."""
    revision: int = 1
    drift: float = 0.0
    """Of its crystal, ppm."""
    lrw: int = 1
    mailbox: int = 128
    """Bytes."""
    load: float = 0.0
    """Of a drive's axis, Nm."""
    bytes: int = 2
    """Of a mirror, each way; the number alone is enough."""

    def identity(self, number: int) -> Identity:
        """Who the slave with this product number is."""
        return Identity(self.product or _PRODUCT + number, self.revision, self.serial, self.vendor)

    def describe(self, number: int, name: str, order: str, device_type: int, has_clock: bool) -> Description:
        """What a slave with CoE says of itself."""
        return Description(
            self.identity(number), name, order, alias=self.alias, device_type=device_type, has_clock=has_clock,
            drift_ppm=self.drift, has_lrw=bool(self.lrw), mailbox_bytes=self.mailbox,
        )  # fmt: skip


def _digital(number: int, channels: int, is_output: bool) -> Callable[[Settings], Device]:
    what = "outputs" if is_output else "inputs"
    return lambda s: Digital(s.identity(number), f"Simulated digital {what} ({channels})", channels, is_output)


def _inputs(number: int, channels: int) -> Callable[[Settings], Device]:
    name = f"Simulated analogue inputs ({channels})"
    return lambda s: AnalogueInputs(s.describe(number, name, f"SIM-AI{channels}", _ANALOGUE, True), channels)


def _outputs(number: int, channels: int) -> Callable[[Settings], Device]:
    name = f"Simulated analogue outputs ({channels})"
    return lambda s: AnalogueOutputs(s.describe(number, name, f"SIM-AO{channels}", _ANALOGUE, True), channels)


def _drive(settings: Settings) -> Device:
    about = settings.describe(20, "Simulated drive", "SIM-DR1", _DRIVE, True)
    return Drive(about, replace(Axis(), load_nm=settings.load))


def _mirror(settings: Settings) -> Device:
    if not 1 <= settings.bytes <= _MOST_MIRRORED:
        raise ValueError(f"a mirror has 1 to {_MOST_MIRRORED} bytes, not {settings.bytes}")
    product = settings.product or settings.bytes
    return Mirror(
        settings.bytes, product=product, revision=settings.revision, serial=settings.serial, alias=settings.alias
    )


PRESETS: Mapping[str, Callable[[Settings], Device]] = {
    "coupler": lambda s: Coupler(s.identity(1), s.alias),
    "di4": _digital(2, 4, False),
    "do4": _digital(3, 4, True),
    "di8": _digital(4, 8, False),
    "do8": _digital(5, 8, True),
    "di16": _digital(6, 16, False),
    "do16": _digital(7, 16, True),
    "ai2": _inputs(8, 2),
    "ao2": _outputs(9, 2),
    "ai4": _inputs(10, 4),
    "ao4": _outputs(11, 4),
    "drive": _drive,
    "mirror": _mirror,
}
"""Name -> how it is made."""


def make(names: Iterable[str], wired: bool = True) -> list[Device]:
    """The slaves of a bus, in order.

    Args:
        names: each a preset, perhaps with settings: `NAME:KEY=VALUE:...`; `NAME*3` is three of them.
        wired: inputs are wired to the outputs of their kind that are nearest to them in the list, channel by channel.

    Raises:
        ValueError: there is no such preset, or setting.
    """
    devices = [_one(name) for text in names for name in _repeated(text.strip())]
    if wired:
        _wire(devices)
    return devices


def _repeated(text: str) -> list[str]:
    head, _, count = text.rpartition("*")
    return [head] * int(count) if head and count.isdigit() else [text]


def _one(text: str) -> Device:
    name, *settings = text.split(":")
    if name not in PRESETS:
        raise ValueError(f"no simulated slave is called {name!r}; there are {', '.join(PRESETS)}")
    values = dict((setting if "=" in setting else f"bytes={setting}").split("=", 1) for setting in settings)
    known = Settings.__dataclass_fields__
    if unknown := values.keys() - known.keys():
        raise ValueError(f"{text}: no setting is called {min(unknown)!r}; there are {', '.join(known)}")
    numbers = {key: float(v) if key in ("drift", "load") else int(v, 0) for key, v in values.items()}
    return PRESETS[name](Settings(**numbers))  # type: ignore[arg-type]


def _wire(devices: list[Device]) -> None:
    """Outputs and inputs of a kind that follow one another in the list are one pair; each is in one at most."""
    waiting: dict[bool, Device] = {}
    for device in devices:
        if not isinstance(device, Digital | AnalogueInputs | AnalogueOutputs):
            continue
        is_digital = isinstance(device, Digital)
        before = waiting.pop(is_digital, None)
        if before is None or not (_wire_pair(before, device) or _wire_pair(device, before)):
            waiting[is_digital] = device


def _wire_pair(outputs: Device, inputs: Device) -> bool:
    """Wire two, if they are that."""
    if isinstance(outputs, Digital) and isinstance(inputs, Digital) and outputs.is_output and not inputs.is_output:
        wire_digital(outputs, inputs)
    elif isinstance(outputs, AnalogueOutputs) and isinstance(inputs, AnalogueInputs):
        wire_analogue(outputs, inputs)
    else:
        return False
    return True
