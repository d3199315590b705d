"""A simulated CiA 402 drive with an axis: csp, csv and cst, quick stop, faults, a holding brake (IEC 61800-7-201).

Positions are counts of the encoder, velocities counts/s, torques thousandths of the rated torque.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import tau

from fieldbus.ethercat.simulated.coe_slave import CoeSlave, Description
from fieldbus.ethercat.simulated.device import Pdi, Why
from fieldbus.ethercat.simulated.drive_block import CELLS, DRIVE, DriveState, Error, Mode
from fieldbus.ethercat.simulated.objects import Abort, AbortCode, Access, Dictionary, Entry, Type, record, variable
from fieldbus.ethercat.simulated.process_data import PdoMap
from fieldbus.ethercat.simulated.slave import number_of
from rt_native.memory import Block

_RX, _TX = Access.RW | Access.RX, Access.RO | Access.TX
_SETTING = Access.RW | Access.SETTINGS
_SUPPORTED = sum(1 << (mode - 1) for mode in (Mode.CSP, Mode.CSV, Mode.CST))
_REGISTER = {0x2: 0x02, 0x3: 0x04, 0x4: 0x08, 0x8: 0x10}
"""First digit of an error code -> bit of the error register 0x1001: current, voltage, temperature, communication."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The machine: a motor of 1.3 Nm with its load, on an encoder of 20 bits."""

    counts_per_turn: int = 1 << 20
    inertia_kg_m2: float = 3e-4
    viscous_nm_s: float = 1e-3
    """Nm for each rad/s."""
    coulomb_nm: float = 0.02
    load_nm: float = 0.0
    """What pulls it back always: gravity."""
    rated_nm: float = 1.3
    most_torque: int = 3000
    """Thousandths of the rated torque."""
    most_rpm: int = 6000
    brake_nm: float = 5.0
    brake_ns: int = 20_000_000
    """So long its brake takes to open."""
    position_gain: float = 100.0
    """1/s."""
    velocity_bandwidth: float = 600.0
    """1/s."""
    lag_s: float = 2e-4
    """Time constant of the current loop."""


_VARIABLES: tuple[tuple[str, int, str, Type, Access, int], ...] = (
    ("connection_option", 0x6007, "Abort connection option code", Type.INT16, _SETTING, 1),
    ("error", 0x603F, "Error code", Type.UINT16, _TX, 0),
    ("controlword", 0x6040, "Controlword", Type.UINT16, _RX, 0),
    ("statusword", 0x6041, "Statusword", Type.UINT16, _TX, 0),
    ("quick_stop_option", 0x605A, "Quick stop option code", Type.INT16, _SETTING, 2),
    ("shutdown_option", 0x605B, "Shutdown option code", Type.INT16, _SETTING, 0),
    ("disable_option", 0x605C, "Disable operation option code", Type.INT16, _SETTING, 1),
    ("halt_option", 0x605D, "Halt option code", Type.INT16, _SETTING, 1),
    ("fault_option", 0x605E, "Fault reaction option code", Type.INT16, _SETTING, 2),
    ("mode", 0x6060, "Modes of operation", Type.INT8, _RX, Mode.CSP),
    ("mode_display", 0x6061, "Modes of operation display", Type.INT8, _TX, 0),
    ("demand", 0x6062, "Position demand value", Type.INT32, _TX, 0),
    ("position", 0x6064, "Position actual value", Type.INT32, _TX, 0),
    ("window", 0x6065, "Following error window", Type.UINT32, _SETTING, 0),
    ("window_ms", 0x6066, "Following error time out", Type.UINT16, _SETTING, 10),
    ("velocity", 0x606C, "Velocity actual value", Type.INT32, _TX, 0),
    ("target_torque", 0x6071, "Target torque", Type.INT16, _RX, 0),
    ("most_torque", 0x6072, "Max torque", Type.UINT16, _RX | Access.SETTINGS, 0),
    ("torque", 0x6077, "Torque actual value", Type.INT16, _TX, 0),
    ("target_position", 0x607A, "Target position", Type.INT32, _RX, 0),
    ("most_speed", 0x6080, "Max motor speed", Type.UINT32, _SETTING, 0),
    ("deceleration", 0x6084, "Profile deceleration", Type.UINT32, _SETTING, 0),
    ("quick_deceleration", 0x6085, "Quick stop deceleration", Type.UINT32, _SETTING, 0),
    ("velocity_offset", 0x60B1, "Velocity offset", Type.INT32, _RX, 0),
    ("torque_offset", 0x60B2, "Torque offset", Type.INT16, _RX, 0),
    ("following_error", 0x60F4, "Following error actual value", Type.INT32, _TX, 0),
    ("digital_inputs", 0x60FD, "Digital inputs", Type.UINT32, _TX, 0),
    ("target_velocity", 0x60FF, "Target velocity", Type.INT32, _RX, 0),
)
_RANGES = {
    0x6007: (0, 3), 0x605A: (0, 8), 0x605B: (0, 1), 0x605C: (0, 1), 0x605D: (1, 4), 0x605E: (0, 4), 0x6066: (0, 10_000),
    0x6060: (0, 10), 0x6072: (0, 5000),
}  # fmt: skip
_MAPS = (
    PdoMap(0x1600, "csp", ((0x6040, 0), (0x607A, 0), (0x6060, 0), 8), is_fixed=False),
    PdoMap(0x1601, "csv", ((0x6040, 0), (0x60FF, 0), (0x6060, 0), 8), False, is_fixed=False),
    PdoMap(0x1602, "cst", ((0x6040, 0), (0x6071, 0), (0x6060, 0), 8), False, is_fixed=False),
    PdoMap(
        0x1603, "all", ((0x6040, 0), (0x607A, 0), (0x60FF, 0), (0x6071, 0), (0x6060, 0), 8), False, is_fixed=False
    ),
    PdoMap(
        0x1A00, "actual", ((0x6041, 0), (0x6064, 0), (0x606C, 0), (0x6077, 0), (0x6061, 0), 8, (0x603F, 0)),
        is_fixed=False,
    ),
    PdoMap(0x1A01, "following error", ((0x60F4, 0),), False, is_fixed=False),
)  # fmt: skip


def _check_mode(subindex: int, value: int) -> None:
    if value not in Mode.__members__.values():
        raise Abort(AbortCode.VALUE)


class Drive(CoeSlave):
    """One drive with one axis."""

    def __init__(self, about: Description, axis: Axis | None = None) -> None:
        self.axis = axis or Axis()
        super().__init__(about, self._fill, _MAPS, Why.OUTPUTS | Why.SYNC0 | Why.PERIOD)
        app = Block(DRIVE.itemsize)
        self.now = app.view(DRIVE)[0]
        self._lay()
        self.apply("drive_step", app)
        self._faults = 0

    @property
    def state(self) -> DriveState:
        """The state of CiA 402."""
        return DriveState(int(self.now["state"]))

    @property
    def turns(self) -> float:
        """Where the axis is."""
        return float(self.now["position"]) / self.axis.counts_per_turn

    def power_on(self, esc: Pdi) -> None:
        """Without power the axis has stopped where it was, held by its brake; the encoder is absolute."""
        super().power_on(esc)
        for name in ("state", "before", "last_ns", "follows", "ramp", "was_operational", "asked_fault", "halts"):
            self.now[name] = 0
        for name in ("velocity", "torque", "integral"):
            self.now[name] = 0.0
        for name in ("controlword", "error", "target_velocity", "target_torque", "mode_display"):
            self.image.words[CELLS.index(name)] = 0

    def poll(self, esc: Pdi) -> None:
        """A fault is told by an emergency, and so is its end."""
        super().poll(esc)
        faults, error = int(self.now["faults"]), int(self.objects.number(0x603F))
        if faults != self._faults:
            self._faults = faults
            self.emergency(esc, error, _REGISTER.get(error >> 12, 0) | 1)
        elif not error and self.objects.number(0x1001):
            self.emergency(esc, 0, 0)

    def lost_sync(self, esc: Pdi) -> None:
        """Error 0x8700: the drive stops."""
        self.now["asked_fault"] = Error.SYNC

    def order(self, esc: Pdi, name: str, arguments: Mapping[str, object]) -> object:
        """Faults to order: `fault` (code, held), `jam` (on), `load` (nm); `axis` tells where the axis is."""
        if name == "fault":
            self.now["held_fault"] = int(bool(arguments.get("held", False)))
            if code := number_of(arguments, "code", 0x2310):
                self.now["asked_fault"] = code
            return None
        if name == "jam":
            self.now["is_jammed"] = int(bool(arguments.get("on", True)))
            return None
        if name == "load":
            self.now["load"] = float(str(arguments.get("nm", 0.0)))
            return None
        if name == "axis":
            return {"turns": self.turns, "velocity": float(self.now["velocity"]), "state": self.state.name}
        return super().order(esc, name, arguments)

    def _lay(self) -> None:
        axis, now = self.axis, self.now
        counts = axis.counts_per_turn
        now["counts"], now["rated"], now["load"] = counts, axis.rated_nm, axis.load_nm
        now["coulomb"], now["brake_torque"], now["brake_ns"] = axis.coulomb_nm, axis.brake_nm, axis.brake_ns
        now["viscous"] = axis.viscous_nm_s * tau / counts
        now["per_torque"] = counts / (tau * axis.inertia_kg_m2)
        now["position_gain"], now["lag_s"] = axis.position_gain, axis.lag_s
        now["velocity_gain"] = axis.velocity_bandwidth / now["per_torque"]
        now["integral_gain"] = now["velocity_gain"] * axis.velocity_bandwidth / 4
        now["is_braked"] = 1

    def _fill(self, objects: Dictionary) -> None:
        objects.reserve(len(CELLS))
        axis = self.axis
        counts = axis.counts_per_turn
        starts = {
            "window": counts // 10, "most_torque": axis.most_torque, "most_speed": axis.most_rpm,
            "deceleration": 100 * counts, "quick_deceleration": 400 * counts,
        }  # fmt: skip
        for name, index, words, type_, access, default in _VARIABLES:
            low, high = _RANGES.get(index, (None, None))
            cell = CELLS.index(name)
            item = variable(
                index, words, type_, access, default=starts.get(name, default), low=low, high=high, cell=cell
            )
            objects.add(item)
        objects.objects[0x6060].check = _check_mode
        objects.add(variable(0x6076, "Motor rated torque", Type.UINT32, default=round(1000 * axis.rated_nm)))
        objects.add(variable(0x6502, "Supported drive modes", Type.UINT32, default=_SUPPORTED))
        objects.add(record(0x608F, "Position encoder resolution", {
            1: Entry("Encoder increments", Type.UINT32, Access.RO, default=counts),
            2: Entry("Motor revolutions", Type.UINT32, Access.RO, default=1),
        }))  # fmt: skip
        objects.add(record(0x60C2, "Interpolation time period", {
            1: Entry("Period value", Type.UINT8, _SETTING, CELLS.index("interpolation"), default=0),
            2: Entry("Time index", Type.INT8, _SETTING, CELLS.index("interpolation_exponent"), default=-3, low=-9, high=0),
        }))  # fmt: skip
