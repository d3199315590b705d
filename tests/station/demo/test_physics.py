"""The demo's mechanics obey their laws."""

from __future__ import annotations

import math

import pytest

from station.demo.physics import NOMINAL, Mechanics, Motion, at_rest, energy, hold, swing

FRICTIONLESS = Mechanics(rail_friction_ns_per_m=0.0, pivot_friction_nms=0.0)


def swung(motion: Motion, seconds: float, force: float = 0.0, mechanics: Mechanics = NOMINAL) -> Motion:
    for _ in range(round(seconds * 1000)):
        motion = swing(motion, force, 0.001, mechanics)
    return motion


@pytest.mark.parametrize("start", [Motion(0, 0.3, 0.4, 0.2), Motion(0, -1, -0.02, 0), Motion(0, 0, 3.0, 5.0)])
def test_energy_is_constant_without_friction(start: Motion) -> None:
    """Three seconds of free motion change the energy by less than a millionth, and the state by a lot."""
    end = swung(start, 3.0, mechanics=FRICTIONLESS)
    assert energy(end, FRICTIONLESS) == pytest.approx(energy(start, FRICTIONLESS), rel=1e-6, abs=1e-6)
    assert abs(end.angle - start.angle) > 0.1


def test_friction_takes_energy() -> None:
    """With friction the energy falls."""
    start = Motion(0, 0.3, 0.4, 0.2)
    assert energy(swung(start, 3.0)) < energy(start) - 0.01


def test_upright_is_an_equilibrium_and_unstable() -> None:
    """Exactly upright it stays; leaning by 0.02 rad it is beyond 0.6 rad within a second, on that side."""
    assert swung(Motion(), 1.0) == Motion()
    for side in (1.0, -1.0):
        assert side * swung(Motion(angle=side * 0.02), 1.0).angle > 0.6


def test_growth_is_the_linear_pole() -> None:
    """Near upright the lean grows by the factor that the pole of 4.46 rad/s gives."""
    before = swung(Motion(angle=1e-6), 1.0)
    after = swung(before, 0.5)
    assert math.log(after.angle / before.angle) / 0.5 == pytest.approx(4.459, abs=0.01)


def test_force_moves_the_cart_and_tilts_the_rod_back() -> None:
    """A push to the right moves the cart to the right and the rod to the left."""
    motion = swung(Motion(), 0.1, force=5.0)
    assert motion.position > 0.005
    assert motion.angle < -0.005


def test_step_is_of_fourth_order() -> None:
    """Halving the step divides the error by about 16."""
    start = Motion(0, 0.5, 0.5, -1.0)

    def angle(steps: int) -> float:
        motion = start
        for _ in range(steps):
            motion = swing(motion, 3.0, 0.4 / steps)
        return motion.angle

    exact = angle(4000)
    assert (angle(10) - exact) / (angle(20) - exact) == pytest.approx(16.0, rel=0.25)


def test_brake_stops_the_cart_and_the_cradle_catches_the_rod() -> None:
    """From a fast fall the machine is at rest in less than a second, the rod leaning by the cradle's play."""
    motion = Motion(0.1, 0.8, 0.6, 3.0)
    for _ in range(1000):
        motion = hold(motion, 0.001)
    assert at_rest(motion)
    assert motion.velocity == 0.0
    assert motion.angle == pytest.approx(NOMINAL.cradle_play_rad, abs=1e-4)
    assert motion.position == pytest.approx(0.1 + 0.8**2 / 2 / NOMINAL.brake_deceleration_m_per_s2, abs=1e-3)


def test_hold_does_not_depend_on_the_step() -> None:
    """One step of 10 ms is ten steps of 1 ms: the held motion is solved exactly."""
    start = Motion(0.0, 0.5, 0.3, 1.0)
    fine = start
    for _ in range(10):
        fine = hold(fine, 0.001)
    assert hold(start, 0.01) == pytest.approx(fine, rel=1e-9)
