"""The demo's machine: two axes with their drives, and the register map that a controller sees.

Time is an argument (`Machine.advance(now_s)`), so tests own it. All values are float32, big endian, high word first
(ABCD), unless the table says otherwise. Function codes 3, 4, 16 and 23 reach the same registers.

```
register  value                     unit         access
 0        x.position                m            read
 2        x.velocity                m/s          read
 4        x.angle                   rad          read     0 is upright
 6        x.angular_velocity        rad/s        read
 8        x.reference               m            read     where the position should be
10        x.reference_velocity      m/s          read
12        x.reference_acceleration  m/s^2        read
14        x.force                   N            read     what the motor applies
16 .. 30  the same of axis y                     read
32        x.hold (uint16)                        read     0 runs, else the number of the `Hold`
33        y.hold (uint16)                        read
34        clock (uint32)            ms           read     the machine's own time
36        x.force_command           N            write
38        y.force_command           N            write
40        anomaly_score                          write    shown on the machine's panel
```
"""

from __future__ import annotations

import enum
import math
import random
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from station.demo.physics import NOMINAL, Mechanics, Motion, at_rest, hold, swing

AXES = ("x", "y")
SENSORS = struct.Struct(">16f2HI")
COMMANDS = struct.Struct(">3f")
SENSOR_REGISTERS = SENSORS.size // 2
COMMAND_ADDRESS = SENSOR_REGISTERS
COMMAND_REGISTERS = COMMANDS.size // 2
ANOMALY_SCORE = len(AXES)  # its place among the commands

STEP_S = 0.001  # longest integration step
CATCH_UP_S = 0.02  # longest time that one advance makes up for; beyond it, the machine's clock slips
WATCHDOG_S = 0.1  # without a fresh command for this long, the drive brakes
TILT_LIMIT_RAD = 0.6
TRAVEL_LIMIT_M = 0.5
TRACE_STEP_S = 0.02
TRACE_S = 120.0
TRACE_COLUMNS = (
    "time_s",
    *(f"{axis}.{name}" for axis in AXES for name in ("position", "reference", "angle", "force", "hold")),
)


class Hold(enum.IntEnum):
    """Why an axis is held by its brake."""

    NONE = 0
    COMMUNICATION = 1  # no fresh command for `WATCHDOG_S`
    COMMAND = 2  # the force command is not a finite number
    TILT = 3  # the rod fell beyond `TILT_LIMIT_RAD`
    TRAVEL = 4  # the cart ran out of its rail


class Reference(NamedTuple):
    """Where an axis should be: m, m/s, m/s^2."""

    position: float
    velocity: float
    acceleration: float


def sine(time_s: float) -> Reference:
    """Axis x: 0.12 m to either side, a quarter of a hertz."""
    rate = 0.5 * math.pi
    position = 0.12 * math.sin(rate * time_s)
    return Reference(position, 0.12 * rate * math.cos(rate * time_s), -rate * rate * position)


def shuttle(time_s: float) -> Reference:
    """Axis y: to and fro between -0.1 and 0.1 m, 2 s per smooth move (a quintic) and 0.5 s of rest."""
    move_s, half_s, stroke_m = 2.0, 2.5, 0.2
    count, time_s = divmod(time_s, half_s)
    way = min(time_s / move_s, 1.0)
    stroke_m = stroke_m if count % 2 == 0 else -stroke_m
    return Reference(
        stroke_m * (way**3 * (10.0 - 15.0 * way + 6.0 * way * way) - 0.5),
        stroke_m * (30.0 * way * way * (1.0 - way) ** 2) / move_s,
        stroke_m * (60.0 * way * (1.0 - way) * (1.0 - 2.0 * way)) / move_s**2,
    )


REFERENCES: dict[str, Callable[[float], Reference]] = {"x": sine, "y": shuttle}


@dataclass(frozen=True, slots=True)
class Push:
    """A force from outside on the cart, in N, between two times of the machine's clock."""

    force_n: float = 0.0
    from_s: float = 0.0
    until_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """Tracking of one axis over one interval, counted only while it runs; force commands that came, and those that were no number."""

    running_s: float = 0.0
    squares: float = 0.0
    max_error_m: float = 0.0
    max_angle_rad: float = 0.0
    commands: int = 0
    not_finite: int = 0
    holds: dict[str, int] = field(default_factory=dict)

    def add(self, error_m: float, angle_rad: float, step_s: float) -> None:
        """Count one step."""
        self.running_s += step_s
        self.squares += error_m * error_m * step_s
        self.max_error_m = max(self.max_error_m, abs(error_m))
        self.max_angle_rad = max(self.max_angle_rad, abs(angle_rad))

    def report(self) -> dict[str, Any]:
        """As plain values."""
        rms = math.sqrt(self.squares / self.running_s) if self.running_s else None
        return {
            "running_s": round(self.running_s, 3),
            "tracking_rms_m": rms,
            "max_error_m": self.max_error_m,
            "max_angle_rad": self.max_angle_rad,
            "commands": self.commands,
            "not_finite": self.not_finite,
            "holds": dict(self.holds),
        }


class Axis:
    """One axis: its mechanics, the drive with brake and watchdog, and its reference.

    The reference stands still while the axis is held, and the drive releases the brake by itself once the rod rests in
    its cradle and fresh, finite commands arrive.
    """

    def __init__(
        self, programme: Callable[[float], Reference], seed: int, mechanics: Mechanics, noise_n: float
    ) -> None:
        self.mechanics = mechanics
        self.motion = Motion(angle=mechanics.cradle_play_rad)
        self.force = 0.0
        self.command = 0.0
        self.command_time_s = -math.inf
        self.hold = Hold.COMMUNICATION
        self.push = Push()
        self.tally = Tally()
        self.programme_s = 0.0  # time of the reference, which stands still while the axis is held
        self._programme = programme
        self.reference = programme(0.0)
        self.motion = self.motion._replace(position=self.reference.position)
        self._random = random.Random(seed)
        self._noise_n = noise_n
        self._rumble_n = 0.0

    def write(self, force_n: float, time_s: float) -> None:
        """Take a force command that arrived at `time_s`."""
        self.command, self.command_time_s = force_n, time_s
        self.tally.commands += 1
        self.tally.not_finite += not math.isfinite(force_n)

    def step(self, time_s: float, step_s: float) -> None:
        """Move on from `time_s` by `step_s`."""
        if self.hold:
            self.motion = hold(self.motion, step_s, self.mechanics)
            self.force = 0.0
            if at_rest(self.motion, self.mechanics) and not self._fault(time_s):
                self.hold = Hold.NONE
            return
        self._drive(time_s, step_s)
        self.programme_s += step_s
        self.reference = self._programme(self.programme_s)
        self.tally.add(self.motion.position - self.reference.position, self.motion.angle, step_s)
        self.hold = self._fault(time_s)
        if self.hold:
            name = self.hold.name.lower()
            self.tally.holds[name] = self.tally.holds.get(name, 0) + 1

    def _drive(self, time_s: float, step_s: float) -> None:
        limit = self.mechanics.force_limit_n
        wanted = min(max(self.command, -limit), limit)
        self.force += (wanted - self.force) * (1.0 - math.exp(-step_s / self.mechanics.motor_time_constant_s))
        rumble = step_s / 0.05  # the rail is not perfectly even: noise with a time constant of 50 ms
        self._rumble_n += -self._rumble_n * rumble + self._noise_n * math.sqrt(2.0 * rumble) * self._random.gauss(
            0.0, 1.0
        )
        outside = self._rumble_n + (self.push.force_n if self.push.from_s <= time_s < self.push.until_s else 0.0)
        self.motion = swing(self.motion, self.force + outside, step_s, self.mechanics)

    def _fault(self, time_s: float) -> Hold:
        """What speaks against running."""
        position, velocity, angle, _ = self.motion
        faults = (
            (time_s - self.command_time_s > WATCHDOG_S, Hold.COMMUNICATION),
            (not math.isfinite(self.command), Hold.COMMAND),
            (abs(angle) > TILT_LIMIT_RAD, Hold.TILT),
            (abs(position) > TRAVEL_LIMIT_M and position * velocity > 0.0, Hold.TRAVEL),
        )
        return next((reason for found, reason in faults if found), Hold.NONE)

    def report(self, time_s: float) -> dict[str, Any]:
        """The present state as plain values; a command that never came has the age None."""
        age_s = time_s - self.command_time_s
        return {
            **self.motion._asdict(),
            "reference": self.reference.position,
            "force": self.force,
            "command": self.command if math.isfinite(self.command) else None,
            "command_age_s": age_s if math.isfinite(age_s) else None,
            "hold": self.hold.name.lower(),
        }


class Machine:
    """Both axes, moved in time by `advance`, seen through registers by `sensors` and `write`."""

    def __init__(self, *, mechanics: Mechanics = NOMINAL, noise_n: float = 0.4, seed: int = 1) -> None:
        self.axes = {
            name: Axis(REFERENCES[name], seed * 100 + place, mechanics, noise_n) for place, name in enumerate(AXES)
        }
        self.time_s = 0.0
        self.slipped_s = 0.0
        self.anomaly_score = 0.0
        self.writes = 0
        self.trace: deque[tuple[float, ...]] = deque(maxlen=round(TRACE_S / TRACE_STEP_S))
        self.intervals: list[dict[str, Any]] = []
        self._interval = ("start", 0.0)
        self._now_s: float | None = None
        self._next_trace_s = 0.0

    def advance(self, now_s: float) -> None:
        """Move on to `now_s` of any monotonic clock; the first call only sets the origin.

        At most `CATCH_UP_S` at a time: when the simulation itself did not get the processor, the machine's clock slips
        instead of playing a controller that fell silent.
        """
        elapsed = 0.0 if self._now_s is None else max(now_s - self._now_s, 0.0)
        self._now_s = now_s
        self.slipped_s += max(elapsed - CATCH_UP_S, 0.0)
        elapsed = min(elapsed, CATCH_UP_S)
        steps = math.ceil(elapsed / STEP_S)
        for _ in range(steps):
            self._step(elapsed / steps)

    def _step(self, step_s: float) -> None:
        for axis in self.axes.values():
            axis.step(self.time_s, step_s)
        self.time_s += step_s
        if self.time_s >= self._next_trace_s:
            self._next_trace_s += TRACE_STEP_S
            state = [
                value
                for axis in self.axes.values()
                for value in (
                    axis.motion.position,
                    axis.reference.position,
                    axis.motion.angle,
                    axis.force,
                    float(axis.hold),
                )
            ]
            self.trace.append((self.time_s, *state))

    def sensors(self) -> list[int]:
        """The readable registers, from 0."""
        values = [value for axis in self.axes.values() for value in (*axis.motion, *axis.reference, axis.force)]
        holds = [axis.hold for axis in self.axes.values()]
        clock_ms = int(self.time_s * 1000.0) & 0xFFFFFFFF
        return list(struct.unpack(f">{SENSOR_REGISTERS}H", SENSORS.pack(*values, *holds, clock_ms)))

    def write(self, address: int, registers: list[int]) -> bool:
        """Write registers from `address` on; False, and nothing written, unless they are whole command values."""
        first, odd = divmod(address - COMMAND_ADDRESS, 2)
        count, odd_count = divmod(len(registers), 2)
        if odd or odd_count or first < 0 or first + count > COMMAND_REGISTERS // 2:
            return False
        values = struct.unpack(f">{count}f", struct.pack(f">{len(registers)}H", *registers))
        axes = list(self.axes.values())
        for place, value in enumerate(values, start=first):
            if place == ANOMALY_SCORE:
                self.anomaly_score = value
            else:
                axes[place].write(value, self.time_s)
        self.writes += 1
        return True

    def mark(self, name: str) -> dict[str, Any]:
        """Close the present interval of the statistics, begin one called `name`, and return the closed one."""
        closed = self._present_interval()
        self.intervals.append(closed)
        self._interval = (name, self.time_s)
        for axis in self.axes.values():
            axis.tally = Tally()
        return closed

    def _present_interval(self) -> dict[str, Any]:
        name, begin_s = self._interval
        axes = {name: axis.tally.report() for name, axis in self.axes.items()}
        return {"name": name, "begin_s": begin_s, "end_s": self.time_s, "axes": axes}

    def report(self) -> dict[str, Any]:
        """State, and statistics of every interval, as plain values."""
        return {
            "time_s": self.time_s,
            "slipped_s": self.slipped_s,
            "writes": self.writes,
            "anomaly_score": self.anomaly_score if math.isfinite(self.anomaly_score) else None,
            "axes": {name: axis.report(self.time_s) for name, axis in self.axes.items()},
            "intervals": [*self.intervals, self._present_interval()],
        }

    def history(self) -> dict[str, Any]:
        """The last two minutes, a row every 20 ms: {"columns": names, "rows": values}."""
        return {"columns": list(TRACE_COLUMNS), "rows": [[round(value, 5) for value in row] for row in self.trace]}
