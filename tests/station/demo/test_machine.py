"""The demo's machine: drives, watchdog, registers and statistics, on a clock of our own."""

from __future__ import annotations

import struct

import pytest

from station.demo.machine import (
    COMMAND_ADDRESS,
    REFERENCES,
    SENSOR_REGISTERS,
    SENSORS,
    TILT_LIMIT_RAD,
    WATCHDOG_S,
    Hold,
    Machine,
    Push,
)


def registers(*values: float) -> list[int]:
    """Float32 values as registers, big endian, high word first."""
    return list(struct.unpack(f">{2 * len(values)}H", struct.pack(f">{len(values)}f", *values)))


class Clock:
    """Moves a machine on, with commands every 5 ms while there are any."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.now_s = machine, 0.0
        machine.advance(0.0)

    def run(self, seconds: float, *forces: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s - 1e-9:
            if forces:
                assert self.machine.write(COMMAND_ADDRESS, registers(*forces))
            self.now_s += 0.005
            self.machine.advance(self.now_s)

    def holds(self) -> tuple[Hold, ...]:
        return tuple(axis.hold for axis in self.machine.axes.values())


@pytest.fixture
def clock() -> Clock:
    return Clock(Machine(noise_n=0.0))


def test_held_until_commands_come(clock: Clock) -> None:
    """Without a command both axes stay where they are, held for lack of communication."""
    before = {name: axis.motion for name, axis in clock.machine.axes.items()}
    clock.run(1.0)
    assert clock.holds() == (Hold.COMMUNICATION, Hold.COMMUNICATION)
    assert {name: axis.motion for name, axis in clock.machine.axes.items()} == before


def test_commands_release_the_brake_and_the_rod_falls(clock: Clock) -> None:
    """With a force of 0 the brake opens, the rod falls, and the drive catches it at the limit."""
    clock.run(0.02, 0.0, 0.0)
    assert clock.holds() == (Hold.NONE, Hold.NONE)
    clock.run(1.4, 0.0, 0.0)
    report = clock.machine.report()["intervals"][-1]["axes"]["x"]
    assert report["holds"] == {"tilt": 1}
    assert TILT_LIMIT_RAD < report["max_angle_rad"] < TILT_LIMIT_RAD + 0.02


def test_watchdog_brakes_when_commands_stop_and_releases_when_they_return(clock: Clock) -> None:
    """Silence of more than 100 ms holds both axes; fresh commands set them free, from where they were held."""
    clock.run(0.2, 0.0, 0.0)
    clock.run(WATCHDOG_S - 0.01)
    assert clock.holds() == (Hold.NONE, Hold.NONE)
    clock.run(0.03)
    assert clock.holds() == (Hold.COMMUNICATION, Hold.COMMUNICATION)
    clock.run(1.0)
    held = clock.machine.axes["x"].motion
    assert held.velocity == 0.0
    clock.run(0.01, 0.0, 0.0)
    assert clock.holds() == (Hold.NONE, Hold.NONE)
    assert clock.machine.axes["x"].motion == pytest.approx(held, abs=0.01)


def test_watchdog_is_per_axis(clock: Clock) -> None:
    """Commands to one axis alone leave the other one held."""
    for _ in range(40):
        clock.machine.write(COMMAND_ADDRESS + 2, registers(0.0))
        clock.run(0.005)
    assert clock.holds() == (Hold.COMMUNICATION, Hold.NONE)


def test_reference_waits_while_held(clock: Clock) -> None:
    """The reference of a held axis stands still, so that nothing is to be caught up with afterwards."""
    clock.run(0.1, 0.0, 0.0)
    clock.run(0.2)
    before = clock.machine.axes["x"].reference
    clock.run(2.0)
    assert clock.machine.axes["x"].reference == before


@pytest.mark.parametrize("force", [float("nan"), float("inf"), float("-inf")])
def test_a_command_that_is_no_number_brakes(clock: Clock, force: float) -> None:
    """NaN and infinite commands hold the axis that got them, and only that axis."""
    clock.run(0.05, 0.0, 0.0)
    clock.run(0.05, force, 0.0)
    assert clock.holds() == (Hold.COMMAND, Hold.NONE)
    tallies = [clock.machine.axes[name].tally for name in ("x", "y")]
    assert [tally.not_finite for tally in tallies] == [10, 0]
    assert [tally.commands for tally in tallies] == [20, 20]


def test_travel_is_limited_and_the_way_back_is_open() -> None:
    """An axis that runs out of its rail is held; a force towards the middle sets it free again."""
    machine = Machine(noise_n=0.0)
    axis = machine.axes["x"]
    axis.motion = axis.motion._replace(position=0.49, velocity=1.0, angle=0.0)
    axis.hold = Hold.NONE
    clock = Clock(machine)
    clock.run(0.05, 0.0, 0.0)
    assert axis.tally.holds == {"travel": 1}
    for _ in range(100):
        clock.run(0.01, -5.0, 0.0)
        if axis.hold is Hold.NONE:
            break
    clock.run(0.05, -5.0, 0.0)
    assert axis.hold is Hold.NONE
    assert axis.motion.velocity < 0.0


def test_force_is_limited(clock: Clock) -> None:
    """The motor applies no more than its limit, whatever is commanded."""
    clock.run(0.03, 1e6, -1e6)
    assert clock.machine.axes["x"].force == pytest.approx(30.0, rel=1e-3)
    assert clock.machine.axes["y"].force == pytest.approx(-30.0, rel=1e-3)


def test_push_from_outside() -> None:
    """A push moves the cart only within its time."""
    machine = Machine(noise_n=0.0)
    machine.axes["x"].motion = machine.axes["x"].motion._replace(angle=0.0)
    machine.axes["x"].hold = Hold.NONE
    machine.axes["x"].push = Push(20.0, from_s=0.05, until_s=0.1)
    clock = Clock(machine)
    clock.run(0.05, 0.0, 0.0)
    assert machine.axes["x"].motion.velocity == 0.0
    clock.run(0.05, 0.0, 0.0)
    assert machine.axes["x"].motion.velocity > 0.2


def test_registers_hold_the_state(clock: Clock) -> None:
    """The sensor registers are the state of both axes, float32 big endian, then holds and clock."""
    clock.run(0.1, 2.0, -2.0)
    values = SENSORS.unpack(struct.pack(f">{SENSOR_REGISTERS}H", *clock.machine.sensors()))
    for place, axis in enumerate(clock.machine.axes.values()):
        expected = (*axis.motion, *axis.reference, axis.force)
        assert values[8 * place : 8 * place + 8] == pytest.approx(expected, rel=1e-6)
    assert values[16:] == (Hold.NONE, Hold.NONE, 100)


@pytest.mark.parametrize(
    ("address", "values"),
    [(36, [0]), (37, [0, 0]), (36, [0, 0, 0]), (35, [0, 0]), (34, [0, 0]), (40, [0, 0, 0, 0]), (42, [0, 0])],
)
def test_only_whole_commands_are_taken(clock: Clock, address: int, values: list[int]) -> None:
    """Half of a float, a sensor, or something beyond the commands is refused, and nothing is written."""
    assert not clock.machine.write(address, values)
    assert clock.machine.writes == 0
    assert clock.machine.axes["x"].report(0.0)["command_age_s"] is None


def test_the_score_is_shown(clock: Clock) -> None:
    """The third command is the anomaly score."""
    assert clock.machine.write(COMMAND_ADDRESS, registers(1.0, 2.0, 0.75))
    assert clock.machine.report()["anomaly_score"] == 0.75


def test_a_stalled_simulation_slips_instead_of_braking(clock: Clock) -> None:
    """A gap of 500 ms between two advances counts as 20 ms of the machine's time, and is reported."""
    clock.run(0.05, 0.0, 0.0)
    clock.machine.advance(clock.now_s + 0.5)
    assert clock.holds() == (Hold.NONE, Hold.NONE)
    assert clock.machine.time_s == pytest.approx(0.07)
    assert clock.machine.slipped_s == pytest.approx(0.48)


def test_intervals_are_told_apart(clock: Clock) -> None:
    """`mark` closes an interval; the next one counts from zero."""
    clock.run(0.3, 0.0, 0.0)
    closed = clock.machine.mark("second")
    assert closed["name"] == "start"
    assert closed["axes"]["x"]["running_s"] > 0.25
    clock.run(0.1)
    first, second = clock.machine.report()["intervals"]
    assert first == closed
    assert (second["name"], second["begin_s"]) == ("second", closed["end_s"])
    assert second["axes"]["x"]["running_s"] < 0.11


def test_history_has_a_row_every_20_ms(clock: Clock) -> None:
    """A second of machine time leaves fifty rows of all columns."""
    clock.run(1.0, 0.0, 0.0)
    history = clock.machine.history()
    assert len(history["rows"]) == pytest.approx(50, abs=1)
    assert {len(row) for row in history["rows"]} == {len(history["columns"])}


@pytest.mark.parametrize("axis", REFERENCES)
def test_references_are_smooth(axis: str) -> None:
    """Velocity and acceleration are the derivatives of the position, and stay within what the machine can follow."""
    step = 1e-4
    for place in range(300):
        time_s = place * 0.0271 + 0.005
        before, now, after = (REFERENCES[axis](time_s + shift) for shift in (-step, 0.0, step))
        assert now.velocity == pytest.approx((after.position - before.position) / 2 / step, abs=1e-4)
        assert now.acceleration == pytest.approx((after.velocity - before.velocity) / 2 / step, abs=1e-2)
        assert abs(now.position) <= 0.12
        assert abs(now.acceleration) < 0.35
