"""The demo's models, run by our engine, on the demo's machine behind a Modbus link with delay and jitter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rt_engine
import station.demo
from station.demo.machine import TILT_LIMIT_RAD, Machine, Push
from station.demo.physics import NOMINAL
from station.demo.rehearsal import OBSERVATION, Exchange, Policy, rehearse

DATA = Path(station.demo.__file__).with_name("data")
QUICK = Exchange()
SLOW = Exchange(read_to_write_s=(0.005, 0.015), write_to_read_s=(0.003, 0.012))


def policy(name: str) -> Policy:
    """A policy model as a function of one observation."""
    context = rt_engine.load(DATA / f"{name}.onnx").context()
    observation, force = context.inputs["observation"], context.outputs["force"]

    def act(values: tuple[float, ...]) -> float:
        observation[0] = values
        context.run()
        return float(force[0, 0])

    return act


def tracked(act: Policy, exchange: Exchange = QUICK, seed: int = 1) -> dict[str, Any]:
    """Statistics of both axes over 15 seconds, after three seconds to take off."""
    machine = Machine(seed=seed)
    for phase_s in (3.0, 15.0):
        for _ in rehearse(machine, lambda _: act, phase_s, exchange=exchange, seed=seed):
            pass
        result = machine.mark("held")
    axes: dict[str, Any] = result["axes"]
    return axes


def windows(snapshots: list[Any]) -> np.ndarray:
    """The detector's windows: 64 samples at 20 ms of x.angle, x.force, y.angle, y.force, oldest first."""
    times = [snapshot.time_s for snapshot in snapshots]
    angle = OBSERVATION.index("angle")
    rows = np.array(
        [
            (shot.observations[0][angle], shot.forces[0], shot.observations[1][angle], shot.forces[1])
            for shot in snapshots
        ],
        dtype=np.float32,
    )
    samples = rows[np.searchsorted(times, np.arange(3.0, times[-1], 0.02), side="right") - 1]
    return np.lib.stride_tricks.sliding_window_view(samples, 64, axis=0).reshape(-1, 256)


@pytest.mark.parametrize("name", ["policy-v1", "policy-v2"])
@pytest.mark.parametrize("exchange", [QUICK, SLOW], ids=["quick", "slow"])
def test_policies_hold_both_axes(name: str, exchange: Exchange) -> None:
    """Neither axis is ever held by its drive, nor leans far; without control both fall, again and again."""
    for axis in tracked(policy(name), exchange).values():
        assert axis["holds"] == {}
        assert axis["running_s"] == pytest.approx(15.0, abs=0.05)
        assert axis["max_angle_rad"] < 0.15 * TILT_LIMIT_RAD
    fallen = tracked(lambda _: 0.0, exchange)
    assert all(axis["holds"].get("tilt", 0) > 3 for axis in fallen.values())


def test_v2_is_clearly_better() -> None:
    """The tracking error of v2 is less than two thirds of that of v1, on both axes and for several seeds."""
    first, second = policy("policy-v1"), policy("policy-v2")
    for seed in (1, 2, 3):
        before, after = tracked(first, seed=seed), tracked(second, seed=seed)
        for axis in before:
            assert after[axis]["tracking_rms_m"] < 0.66 * before[axis]["tracking_rms_m"]


def test_a_swap_while_running_is_smooth() -> None:
    """From v1 to v2 in mid-run: no hold, a lean below a fifth of the limit, and no force at its limit."""
    first, second = policy("policy-v1"), policy("policy-v2")
    for swap_s in (5.0, 6.1, 7.3):
        machine = Machine()
        commands = [
            command
            for snapshot in rehearse(machine, lambda time_s, at=swap_s: first if time_s < at else second, 10.0)
            for command in snapshot.commands
        ]
        for axis in machine.report()["intervals"][0]["axes"].values():
            assert axis["holds"] == {}
            assert axis["max_angle_rad"] < 0.2 * TILT_LIMIT_RAD
        assert max(map(abs, commands)) < NOMINAL.force_limit_n


@pytest.mark.parametrize("name", ["policy-v1", "policy-v2"])
def test_a_cut_cable_is_survived(name: str) -> None:
    """One second without a connection: each axis is held once, for communication, and then tracks as before."""
    act = policy(name)
    machine = Machine()
    for _ in rehearse(machine, lambda time_s: None if 5.0 < time_s < 6.0 else act, 9.0):
        pass
    cut = machine.mark("after")["axes"]
    for _ in rehearse(machine, lambda _: act, 10.0):
        pass
    after, undisturbed = machine.mark("end")["axes"], tracked(act)
    for axis in cut:
        assert cut[axis]["holds"] == {"communication": 1}
        assert after[axis]["holds"] == {}
        assert after[axis]["tracking_rms_m"] < 1.2 * undisturbed[axis]["tracking_rms_m"]


def test_v3_has_another_interface() -> None:
    """v3 is a valid model whose observation is too short: a slot must refuse it."""
    right, wrong = (rt_engine.load(DATA / f"{name}.onnx") for name in ("policy-v1", "policy-v3-bad"))
    assert right.inputs[0].shape == (1, len(OBSERVATION))
    assert wrong.inputs[0].shape == (1, 5)
    assert wrong.outputs == right.outputs


@pytest.mark.parametrize("name", ["policy-v1", "policy-v2"])
def test_the_detector_sees_a_push_and_nothing_else(name: str) -> None:
    """Healthy windows score below 1.5; half a second after a push of 5 N for 0.2 s, the score is above 3."""
    act, detector = policy(name), rt_engine.load(DATA / "anomaly.onnx")

    def scores(push: Push) -> np.ndarray:
        machine = Machine(seed=21)
        machine.axes["x"].push = push
        seen = windows(list(rehearse(machine, lambda _: act, 18.0, seed=21)))
        return np.array([detector.run({"window": window[None]})[0][0, 0] for window in seen])

    healthy, pushed = scores(Push()), scores(Push(5.0, from_s=10.0, until_s=10.2))
    assert healthy.max() < 1.5
    assert pushed.max() > 3.0
    ticks = 3.0 + 0.02 * (np.arange(len(pushed)) + 63)  # the time of each window's newest sample
    assert pushed[ticks < 10.0].max() < 1.5
    assert pushed[(ticks > 10.4) & (ticks < 11.0)].max() > 3.0
