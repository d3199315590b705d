"""A drive as a user describes it, and the tags that it brings. Pure.

x.position  x.velocity  x.torque   in   entries of the slave, in engineering units
x.state     x.fault                in   made of its status word and error code: no place on the wire
x.target    x.enable    x.reset    out  what tasks say: no place on the wire either

x.statusword  x.shown_mode  x.error_code   in   what the drive says
x.controlword x.mode        x.sent         out  what it is sent: `fieldbus.ethercat.drives.drives_native` makes it of the others
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from fieldbus.errors import AddressError, ConfigurationError
from fieldbus.ethercat.address import EthercatAddress
from fieldbus.ethercat.drives.cia402 import Mode
from fieldbus.tags import Address, Tag

ModeName = Literal["csp", "csv", "cst"]
AXIS_STEP: Final = 0x800
"""Objects of the next axis of a slave lie so far behind (CiA 402, "multi-axis")."""
MOST_AXES: Final = 8
QUICK_STOP_CODE, MODE_OF_OPERATION = 0x605A, 0x6060

InputName = Literal["position", "velocity", "torque"]
INPUTS: Final[tuple[InputName, ...]] = ("position", "velocity", "torque")
VIRTUAL_INPUTS, VIRTUAL_OUTPUTS = ("state", "fault"), ("target", "enable", "reset")
VIRTUAL: Final = (*VIRTUAL_INPUTS, *VIRTUAL_OUTPUTS)
"""Parts that have no place on the wire."""


class Entry(NamedTuple):
    """An object of CiA 402 that may be mapped: of the first axis."""

    direction: Literal["in", "out"]
    object: int
    type: str


ENTRIES: Final[dict[str, Entry]] = {
    "statusword": Entry("in", 0x6041, "uint16"),
    "shown_mode": Entry("in", 0x6061, "int8"),
    "error_code": Entry("in", 0x603F, "uint16"),
    "position": Entry("in", 0x6064, "int32"),
    "velocity": Entry("in", 0x606C, "int32"),
    "torque": Entry("in", 0x6077, "int16"),
    "controlword": Entry("out", 0x6040, "uint16"),
    "mode": Entry("out", MODE_OF_OPERATION, "int8"),
}
TARGETS: Final[dict[str, Entry]] = {
    "csp": Entry("out", 0x607A, "int32"),
    "csv": Entry("out", 0x60FF, "int32"),
    "cst": Entry("out", 0x6071, "int16"),
}
_OF_TARGET: Final = {"csp": "position", "csv": "velocity", "cst": "torque"}
"""Mode -> the input that its target has the unit of."""


@dataclass(frozen=True, slots=True)
class DriveAddress(Address):
    """A tag of a drive that has no place on the wire."""

    drive: str
    part: str

    @property
    def place(self) -> str:
        """`x, state`."""
        return f"{self.drive}, {self.part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """An axis: a CiA 402 drive, or one axis of a slave with several.

    Attributes:
        name: what its tags begin with.
        slave: its name in the link's table, or its position.
        axis: which axis of the slave, from 0.
        inputs: which of `INPUTS` it has tags of, and its slave must exchange; in csp the position always.
        scale, offset: position = counts * scale + offset, in `unit`; and so velocity, torque with theirs.
        low, high: limits of the target, in its unit.
        max_rate: how fast the target may move, in its unit per second.
        handover_s: so long what lies between the axis and the target fades, after the drive was enabled.
        quick_stop: option code (0x605A), written at the start; None: as the drive has it.
        stop_s: how long a quick stop takes at most, for drives that do not say when they stand.
        is_mode_checked: the drive is not enabled before it shows (0x6061) the mode that was asked for.
    """

    name: str
    slave: str
    mode: ModeName = "csp"
    axis: int = 0
    inputs: tuple[InputName, ...] = INPUTS
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    velocity_unit: str = ""
    velocity_scale: float = 1.0
    torque_unit: str = ""
    torque_scale: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    max_rate: float = math.inf
    handover_s: float = 0.0
    quick_stop: int | None = None
    stop_s: float = 1.0
    is_mode_checked: bool = True

    def __post_init__(self) -> None:
        if self.mode not in TARGETS:
            raise ConfigurationError(f"drive {self.name!r}: mode {self.mode!r} is none of {', '.join(TARGETS)}")
        if not 0 <= self.axis < MOST_AXES:
            raise ConfigurationError(f"drive {self.name!r}: axis {self.axis} is not within 0 to {MOST_AXES - 1}")
        if not self.max_rate > 0.0 or self.handover_s < 0.0 or self.stop_s < 0.0:
            raise ConfigurationError(f"drive {self.name!r}: max_rate must be above 0, times must not be below")
        if not self.low <= self.high:
            raise ConfigurationError(f"drive {self.name!r}: low {self.low:g} is above high {self.high:g}")
        if self.quick_stop is not None and not -32768 <= self.quick_stop <= 32767:
            raise ConfigurationError(f"drive {self.name!r}: quick_stop {self.quick_stop} is no number of 16 bits")

    @property
    def number(self) -> Mode:
        """The mode's number."""
        return Mode[self.mode.upper()]

    @property
    def shown(self) -> tuple[str, ...]:
        """The parts of which users have tags."""
        read = [part for part in INPUTS if part in self.inputs or (part == "position" and self.mode == "csp")]
        return (*read, *VIRTUAL)

    @property
    def needed(self) -> tuple[str, ...]:
        """The parts that the slave must exchange."""
        return ("statusword", "controlword", "sent", *(part for part in self.shown if part not in VIRTUAL))

    def tag_name(self, part: str) -> str:
        """`x.position`."""
        return f"{self.name}.{part}"

    def entry(self, part: str) -> Entry:
        """The object of a part that may be on the wire, of this axis; raises `KeyError`."""
        entry = TARGETS[self.mode] if part == "sent" else ENTRIES[part]
        return entry._replace(object=entry.object + AXIS_STEP * self.axis)

    def address(self, part: str) -> Address:
        """Where a part lies; raises `AddressError` if a drive has no such part."""
        if part == "sent" or part in ENTRIES:
            return EthercatAddress(self.slave, self.entry(part).object, 0)
        if part in VIRTUAL:
            return DriveAddress(self.name, part)
        raise AddressError(f"a drive has no {part!r}; it has {', '.join(self.shown)}")

    def tag(self, part: str) -> Tag:
        """The tag of a part."""
        name, address = self.tag_name(part), self.address(part)
        scaled = self._scaled(part)
        if isinstance(address, EthercatAddress):
            entry, (unit, scale, offset) = self.entry(part), scaled
            return Tag(name, entry.type, entry.direction, unit, scale, offset, address=address)
        match part:
            case "state":
                return Tag(name, "uint8", "in", address=address)
            case "fault":
                return Tag(name, "uint16", "in", address=address)
            case "enable":
                return Tag(name, "int8", "out", low=-1.0, high=1.0, safe=-1.0, address=address)
            case "reset":
                return Tag(name, "bool", "out", address=address)
        safe = min(max(0.0, self.low), self.high)
        return Tag(name, "float64", "out", scaled[0], low=self.low, high=self.high, safe=safe, address=address)

    def tags(self) -> tuple[Tag, ...]:
        """All tags of the drive, those that users have first."""
        hidden = ("sent", *(part for part in ENTRIES if part not in INPUTS))
        return tuple(self.tag(part) for part in (*self.shown, *hidden))

    def sdos(self, is_mode_mapped: bool) -> tuple[tuple[int, int, int, str], ...]:
        """What is written in PRE-OP, as (index, subindex, value, type of a tag): the quick stop's option code, and the mode
        where it is not in the process data."""
        first, wanted = AXIS_STEP * self.axis, []
        if self.quick_stop is not None:
            wanted.append((QUICK_STOP_CODE + first, 0, self.quick_stop, "int16"))
        if not is_mode_mapped:
            wanted.append((MODE_OF_OPERATION + first, 0, int(self.number), "int8"))
        return tuple(wanted)

    def _scaled(self, part: str) -> tuple[str, float, float]:
        """(unit, scale, offset) of a part."""
        match _OF_TARGET[self.mode] if part in ("sent", "target") else part:
            case "position":
                return self.unit, self.scale, self.offset
            case "velocity":
                return self.velocity_unit, self.velocity_scale, 0.0
            case "torque":
                return self.torque_unit, self.torque_scale, 0.0
        return "", 1.0, 0.0


def drive_tags(drives: Iterable[Drive]) -> tuple[Tag, ...]:
    """All tags of the drives, also those that users do not have; raises `ConfigurationError` where two drives share some."""
    drives = tuple(drives)
    names, places = [drive.name for drive in drives], [(drive.slave, drive.axis) for drive in drives]
    for drive in drives:
        if names.count(drive.name) > 1:
            raise ConfigurationError(f"two drives have the name {drive.name!r}")
        if places.count((drive.slave, drive.axis)) > 1:
            same = ", ".join(other.name for other in drives if (other.slave, other.axis) == (drive.slave, drive.axis))
            raise ConfigurationError(
                f"drives {same} are all axis {drive.axis} of slave {drive.slave!r}; say which axis each is"
            )
    return tuple(tag for drive in drives for tag in drive.tags())
