"""A recording is repeated to the bit, whatever the task has, and whatever is changed in it is found."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldbus.tags import Quality
from rt_engine import Model, ModelSlot
from rt_engine.reader import Arrangement, ChangeWords
from rt_engine.recording.layout import Flag, Phase
from rt_engine.run.blocks import Mode
from scheduler import Action, Fallback, Guard, Input, Monitor, OnLate, Output, Task, TaskStatus, Trigger
from scheduler.controllers import pid, ramp
from scheduler.errors import ReplayError
from scheduler.replay import NOT_REPEATED, Piece, Replayed, What, replay_task
from scheduler.replay_plan import Why
from scheduler.runner import TaskRunner
from scheduler.second import Terms
from scheduler.tap import TapTerms
from scheduler.task_block import Control
from scheduler.threads import TaskThread
from tests.scheduler.fakes import ANY_AGE, EPOCH, MS, PERIOD, FakeClock, channel
from tests.scheduler.models import lstm, mlp, scale, score, summing, trees
from tests.scheduler.recorded import Live, Recorded, run

COUNT = 150
NET, RECURRENT, ONE_STEP, FOREST = mlp(3, 8, 3), lstm(4, 3, 5, 3), lstm(1, 3, 5, 3), trees(3, 4, 3)
Make = Callable[[], Task]


def made(
    model: Model | None,
    *,
    count: int = 3,
    outputs: int = 3,
    entry: dict[str, Any] | None = None,
    output: dict[str, Any] | None = None,
    **more: Any,
) -> Make:
    """Three inputs, a model, three outputs; anew with each call, but for the slot."""
    slot = None if model is None else ModelSlot(model)
    names = {None: None} if model is None else {"x": "y"}
    ((x, y),) = names.items()

    def make() -> Task:
        given = channel([f"a{k}" for k in range(count)], "in")
        sent = channel([f"p{k}" for k in range(outputs)], "out", safe=-1.0)
        inputs = (Input(tensor=x, channel=given, count=count, **(entry or {})),)
        sends = (Output(tensor=y, channel=sent, count=outputs, **(output or {"max_rate": 300.0, "low": -1.5})),)
        settings = {"guard": ANY_AGE} | more
        trigger = {"reset": Trigger(channel=given, cell=0)} if settings.pop("trigger", False) else {}
        return Task(name="t", model=slot, period_s=0.001, inputs=inputs, outputs=sends, **settings, **trigger)

    return make


def draws(k: int, live: Live) -> None:
    """Inputs that are others in every cycle."""
    live.put(*np.random.default_rng(k).normal(0.0, 1.0, live.inputs[0].cells))


def stalls(k: int, live: Live) -> None:
    """Now and then a cycle wakes late, by up to three ticks."""
    live.clock.latency_ns = [0, 0, 300_000, 0, 2_400_000, 0, 0, 3_100_000, 1_000_000][k % 9] if k % 4 else 0
    draws(k, live)


def bad_inputs(k: int, live: Live) -> None:
    """NaN, bad qualities and old values among good ones."""
    draws(k, live)
    if k % 29 == 13:
        live.put(math.nan, 1.0, math.inf)
    if k % 37 == 7:
        live.put(1.0, 2.0, 3.0, quality=Quality.BAD)
    if k % 41 == 39:
        live.put(1.0, 2.0, 3.0, timestamp_ns=live.clock.now_ns - 60 * MS)


def told(k: int, live: Live) -> None:
    """Pauses, and resets of what it remembers."""
    draws(k, live)
    live.runner.tell(Control.PAUSE if 20 <= k % 50 < 27 else Control.RUN)
    if k % 31 == 30:
        live.runner.memory.task["reset_state"] = 1


def edges(k: int, live: Live) -> None:
    """The first input is the bit that resets."""
    draws(k, live)
    live.put(float(k % 9 > 5), *np.random.default_rng(k).normal(0.0, 1.0, 2))


def replayed(make: Make, recorded: Recorded, models: dict[int, Model], **more: Any) -> Replayed:
    return replay_task(make(), models, recorded.layout, [recorded.piece], **more)


def assert_equal(make: Make, recorded: Recorded, models: dict[int, Model]) -> None:
    """Every cycle is repeated, and is the same."""
    done = replayed(make, recorded, models)
    assert done.first is None
    assert (done.recorded, done.cycles, done.equal) == (len(recorded.records),) * 3


WINDOW = {"window": 4, "stride": 3}
SMALL = scale(0.5, 3)
FEATURES: dict[str, tuple[Model | None, dict[str, Any], Callable[[int, Live], None]]] = {
    "a network": (NET, {}, draws),
    "trees": (FOREST, {"outputs": 1}, draws),
    "states and a window with a stride": (RECURRENT, {"entry": WINDOW}, draws),
    "a window whose cells are scaled and limited": (
        RECURRENT,
        {"entry": WINDOW | {"scale": 0.3, "offset": 0.1, "low": -1.0, "high": 1.0}},
        bad_inputs,
    ),
    "every fourth cycle, in a line": (NET, {"every": 4, "output": {"between": "linear"}}, draws),
    "every fifth cycle, late": (RECURRENT, {"every": 5, "entry": WINDOW, "output": {"between": "linear"}}, stalls),
    "a step with a state behind the model": (NET, {"step": ramp(up=20.0, down=30.0, count=3)}, stalls),
    "late cycles": (RECURRENT, {"entry": {"window": 4}, "overrun": "hold"}, stalls),
    "a watchdog": (NET, {"overrun": "safe", "watchdog": 2}, stalls),
    "bad inputs": (RECURRENT, {"entry": WINDOW, "guard": Guard(max_age_s=0.05, on_bad_input="hold")}, bad_inputs),
    "bad inputs that run": (
        RECURRENT,
        {"entry": WINDOW, "guard": Guard(max_age_s=0.05, on_bad_input="run")},
        bad_inputs,
    ),
    "numbers that pass": (
        RECURRENT,
        {"entry": WINDOW, "guard": Guard(on_nan="pass", on_bad_state="restore")},
        bad_inputs,
    ),
    "states that are reset when they are no numbers": (
        RECURRENT,
        {"entry": {"window": 4}, "guard": Guard(on_nan="pass", max_hold_s=0.003)},
        bad_inputs,
    ),
    "pauses and resets": (RECURRENT, {"entry": WINDOW, "step": ramp(up=20.0, count=3)}, told),
    "a bit that resets": (RECURRENT, {"entry": WINDOW, "trigger": True}, edges),
    "monitor and fallback": (
        ONE_STEP,
        {
            "monitor": Monitor(model=score(1, 1, 3), limit=2.5, hysteresis=0.5, delay_s=0.002),
            "fallback": Fallback(use=lstm(1, 3, 7, 3, seed=2), blend_s=0.004),
        },
        bad_inputs,
    ),
    "a monitor and a fallback that holds, of a model that runs every third cycle": (
        ONE_STEP,
        {
            "monitor": Monitor(model=score(1, 1, 3), limit=2.5),
            "fallback": Fallback(use="hold", hold_at_most_s=0.006),
            "every": 3,
            "output": {"between": "linear"},
        },
        bad_inputs,
    ),
    "a step that stands in": (
        ONE_STEP,
        {
            "monitor": Monitor(model=score(1, 1, 3), limit=2.5),
            "fallback": Fallback(use="step", blend_s=0.003),
            "step": ramp(up=20.0, count=3),
        },
        draws,
    ),
    "a smaller model in late cycles": (NET, {"on_late": OnLate(model=SMALL, needs_s=0.0009), "every": 2}, stalls),
}
FEATURES["a step alone"] = (
    None,
    {
        "count": 2,
        "outputs": 1,
        "step": pid(gain=0.7, integral_s=0.02, inputs=2, setpoint=0.3, low=-1.0, high=1.0),
    },
    stalls,
)


HAPPENS: dict[str, set[TaskStatus]] = {
    "a watchdog": {TaskStatus.WATCHDOG, TaskStatus.OVERRUN},
    "late cycles": {TaskStatus.OVERRUN, TaskStatus.WINDOW_FILLING},
    "bad inputs": {TaskStatus.BAD_INPUT, TaskStatus.NAN_INPUT, TaskStatus.WINDOW_FILLING},
    "states that are reset when they are no numbers": {TaskStatus.BAD_STATE},
    "numbers that pass": {TaskStatus.BAD_STATE},
    "pauses and resets": {TaskStatus.PAUSED},
    "monitor and fallback": {TaskStatus.MONITOR, TaskStatus.NAN_INPUT},
    "a step that stands in": {TaskStatus.MONITOR},
}
"""What the recording of a feature has for certain."""


@pytest.mark.parametrize("name", FEATURES)
def test_it_is_repeated_to_the_bit(name: str) -> None:
    model, more, before = FEATURES[name]
    make = made(model, **more)
    recorded = run(make(), COUNT, before)
    assert len({bytes(row) for row in recorded.layout.published(recorded.records)}) > COUNT // 5
    assert len(recorded.checkpoints) > 4
    assert HAPPENS.get(name, set()) <= set(recorded.records["status"].tolist())
    assert_equal(make, recorded, {1: model} if model is not None else {})


def test_lateness_and_resets_were_in_what_was_repeated() -> None:
    """Of those features that no status tells."""
    of = {name: run(made(FEATURES[name][0], **FEATURES[name][1])(), COUNT, FEATURES[name][2]) for name in FEATURES}
    assert (of["late cycles"].records["missed"] > 1).any()
    flags = {name: set(recorded.records["flags"].tolist()) for name, recorded in of.items()}
    assert Flag.RENEWED in flags["pauses and resets"] and Flag.RENEWED in flags["a bit that resets"]
    assert {0, Flag.SMALLER} <= flags["a smaller model in late cycles"]


# --- versions ---------------------------------------------------------------------------------------------------------


def summed(slot: ModelSlot, **more: Any) -> Make:
    """One input, one output, of a slot whose versions sum."""

    def make() -> Task:
        given, sent = channel(["a"], "in"), channel(["p"], "out", safe=-1.0)
        return Task(
            name="t",
            model=slot,
            period_s=0.001,
            inputs=(Input(tensor="x", channel=given),),
            outputs=(Output(tensor="y", channel=sent, max_rate=1e6),),
            guard=ANY_AGE,
            **more,
        )

    return make


TERMS = Terms(new_ns=100_000, old_ns=100_000, budget_ns=10**9)


def offers(live: Live, model: Model, terms: Terms) -> Iterator[Arrangement]:
    """What the steps of a change to another model offer a task that runs: its shadow, then its trial."""
    reader = live.runner._reader
    assert reader is not None
    old, new, words = reader.context, reader.fresh(model, 2), ChangeWords()
    words.set_activation(0)
    yield Arrangement(words, old, new, Mode.SHADOW, watch=live.runner.watch(0, old, new, Mode.SHADOW, terms))
    watch = live.runner.watch(0, new, old, Mode.TRIAL, terms)
    yield Arrangement(words, new, old, Mode.TRIAL, fall_to=old, watch=watch)


def changing(model: Model, steps: dict[int, str], terms: Terms = TERMS) -> Callable[[int, Live], None]:
    """Steps of a change to another model are offered while some cycles are waited for, and taken in them."""
    coming: list[Iterator[Arrangement]] = []

    def before(k: int, live: Live) -> None:
        live.put(1.0 + k % 3)
        reader = live.runner._reader
        assert reader is not None
        if steps.get(k) == "update":
            words = ChangeWords()
            words.set_activation(0)
            reader.offer(reader.plain(words, reader.fresh(model, 2)))
        elif k in steps:
            coming[:] = coming or [offers(live, model, terms)]
            reader.offer(next(coming[0]))
        reader.has_taken()

    return before


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("other", [summing(3.0), summing(3.0, state="total")], ids=["carried", "not carried"])
def test_a_version_that_came_while_it_ran(every: int, other: Model) -> None:
    first = summing(2.0)
    slot = ModelSlot(first)
    make = summed(slot, every=every)
    recorded = run(make(), 60, changing(other, {31: "update"}), slot=slot)
    assert recorded.records["version"].tolist() == [1] * 31 + [2] * 29
    assert_equal(summed(ModelSlot(first), every=every), recorded, {1: first, 2: other})


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("step", [None, ramp(up=1e5, count=1)])
def test_shadow_trial_and_the_tick_in_which_it_is_taken_back(every: int, step: Any) -> None:
    """The new version's sum becomes too large for it: the old one does that tick again, with its own states."""
    first, other = summing(2.0), summing(3.0, most=50.0)
    slot = ModelSlot(first)
    recorded = run(summed(slot, every=every, step=step)(), 120, changing(other, {5: "shadow", 13: "trial"}), slot=slot)
    flags = recorded.records["flags"]
    assert (flags & Flag.TAKEN_BACK != 0).sum() == 1
    assert (flags & Flag.SECOND_SHADOW != 0).any() and set(recorded.records["version"].tolist()) == {1, 2}
    assert_equal(summed(ModelSlot(first), every=every, step=step), recorded, {1: first, 2: other})


def test_a_tick_that_was_held_back_is_not_repeated_and_all_others_are() -> None:
    first, other = summing(2.0), summing(3.0, most=50.0)
    slot = ModelSlot(first)
    terms = replace(TERMS, old_ns=10**9)
    recorded = run(summed(slot)(), 80, changing(other, {5: "shadow", 13: "trial"}, terms), slot=slot)
    assert (recorded.records["flags"] & Flag.HELD_BACK != 0).sum() == 1
    done = replayed(summed(ModelSlot(first)), recorded, {1: first, 2: other})
    assert (done.cycles, done.equal, done.left_out) == (79, 79, {Why.HELD_BACK: 1})


def test_a_version_that_never_ran_and_does_not_fit_is_no_hindrance() -> None:
    """A recording names those, too, that a gate refused."""
    recorded = run(made(NET)(), 40, draws)
    assert_equal(made(NET), recorded, {2: FOREST, 1: NET})


def test_without_the_model_of_a_version_the_cycles_of_the_others_are_repeated() -> None:
    first, other = summing(2.0), summing(3.0)
    slot = ModelSlot(first)
    recorded = run(summed(slot)(), 60, changing(other, {30: "update"}), slot=slot)
    done = replayed(summed(ModelSlot(first)), recorded, {1: first})
    assert (done.cycles, done.equal, done.left_out) == (30, 30, {Why.NO_MODEL: 30})
    done = replayed(summed(ModelSlot(other)), recorded, {2: other})
    assert done.cycles == done.equal == 10  # from the first checkpoint with its states on
    assert done.left_out == {Why.NO_MODEL: 30, Why.NO_CHECKPOINT: 20}


OTHERS: dict[str, tuple[Model, Model]] = {
    "monitor": (score(1, 1, 3), score(1, 1, 3)),
    "fallback": (lstm(1, 3, 7, 3, seed=2), lstm(1, 3, 7, 3, seed=3)),
    "late": (lstm(1, 3, 2, 3, seed=4), lstm(1, 3, 2, 3, seed=5)),
}


def with_others() -> Make:
    """A task that has all of them, in slots of their own."""
    slots = {whose: ModelSlot(models[0]) for whose, models in OTHERS.items()}
    return made(
        ONE_STEP,
        every=2,
        monitor=Monitor(model=slots["monitor"], limit=1.5),
        fallback=Fallback(use=slots["fallback"], blend_s=0.004),
        on_late=OnLate(model=slots["late"], needs_s=0.0009),
    )


def test_versions_of_the_other_models_that_came_while_it_ran() -> None:
    """Monitor, fallback and smaller model, one after the other; and without the newer of one, up to there."""

    def before(k: int, live: Live) -> None:
        stalls(k, live)
        place = {30: 0, 55: 1, 80: 2}.get(k)
        if place is not None:
            reader = live.runner.instead.readers[place][0]
            words = ChangeWords()
            words.set_activation(0)
            reader.offer(reader.plain(words, reader.fresh(list(OTHERS.values())[place][1], 2)))

    recorded = run(with_others()(), COUNT, before)
    actions = recorded.records["action"].tolist()
    assert {Action.LIVE, Action.FALLBACK} <= set(actions[60:])
    others = {whose: dict(enumerate(models, 1)) for whose, models in OTHERS.items()}
    done = replayed(with_others(), recorded, {1: ONE_STEP}, others=others)
    assert done.first is None and done.cycles == done.equal == COUNT
    del others["late"][2]
    done = replayed(with_others(), recorded, {1: ONE_STEP}, others=others)
    assert done.is_equal and done.cycles == 80


def test_each_task_of_a_thread_is_repeated_by_itself(tmp_path: Path) -> None:
    """One has the clock's readings that came after the other's cycle; both take the same trial back in the same tick."""
    first, other = summing(2.0), summing(3.0, most=50.0)
    slot, clock, runners = ModelSlot(first), FakeClock(), []
    for name in "ab":
        task = replace(summed(slot)(), name=name)
        terms = TapTerms(path=tmp_path / name, capacity=200, checkpoint_ns=20 * MS, checkpoints=50)
        runners.append(TaskRunner(task, slot, clock.clock, terms=terms))
        runners[-1].set_epoch(EPOCH)
    lives = [Live(runner.task, runner, clock) for runner in runners]
    words, done = ChangeWords(), 0
    words.set_activation(0)

    def on_sleep(until_ns: int) -> None:
        nonlocal done
        for number, live in enumerate(lives):
            reader = live.runner._reader
            assert reader is not None
            live.put(1.0 + done % (3 + number))
            if done == 8:
                old, new = reader.context, reader.fresh(other, 2)
                watch = live.runner.watch(number, new, old, Mode.TRIAL, TERMS)
                reader.offer(Arrangement(words, new, old, Mode.TRIAL, carry_to=new, fall_to=old, watch=watch))
            reader.has_taken()
        done += 1
        if done > 100:
            runners[0].tell(Control.STOP)

    clock.on_sleep = on_sleep
    clock.now_ns += PERIOD // 2
    for runner in runners:
        runner.prepare()
    TaskThread(runners).run_here()
    assert clock.failure is None
    for runner in runners:
        assert runner.tap is not None
        ring = runner.tap.ring
        recorded = Recorded(ring.layout, np.array(ring.records(200)), np.array(ring.checkpoints(50)))
        assert set(recorded.records["version"].tolist()) == {1, 2}
        make = summed(ModelSlot(first))
        done_ = replay_task(
            replace(make(), name=runner.task.name), {1: first, 2: other}, recorded.layout, [recorded.piece]
        )
        assert (done_.first, done_.cycles, done_.left_out) == (None, 100, {})
        runner.release()


# --- gaps -------------------------------------------------------------------------------------------------------------


def test_after_a_gap_it_goes_on_at_the_next_checkpoint() -> None:
    make = made(RECURRENT, entry=WINDOW)
    recorded = run(make(), COUNT, draws)
    kept = np.delete(recorded.records, slice(47, 52))
    done = replay_task(make(), {1: RECURRENT}, recorded.layout, [Piece(kept, recorded.checkpoints)], keep=True)
    assert done.left_out == {Why.NO_CHECKPOINT: 8}
    assert (done.cycles, done.equal) == (COUNT - 5 - 8,) * 2
    assert done.rows is not None
    assert np.flatnonzero(done.rows["what"] == NOT_REPEATED).tolist() == list(range(47, 55))


def test_what_was_dropped_costs_only_what_was_dropped() -> None:
    """The tap writes a checkpoint when there is room again."""
    make, taken = made(RECURRENT, entry=WINDOW), []

    def before(k: int, live: Live) -> None:
        draws(k, live)
        assert live.runner.tap is not None
        if k == 40:
            taken.append(np.array(live.runner.tap.ring.records(30)))
            live.runner.tap.ring.release(30)

    rest = run(make(), 60, before, room=30)
    recorded = replace(rest, records=np.concatenate([*taken, rest.records]))
    assert len(recorded.records) == 50
    assert_equal(make, recorded, {1: RECURRENT})


def test_a_task_that_began_anew_is_repeated_too() -> None:
    """Numbers begin anew then."""
    make = made(RECURRENT, entry=WINDOW)
    clock = FakeClock()
    clock.now_ns += 10_000 * PERIOD
    two = run(make(), 40, draws), run(make(), 45, draws, clock=clock)
    records, checkpoints = (np.concatenate([getattr(one, part) for one in two]) for part in ("records", "checkpoints"))
    done = replay_task(make(), {1: RECURRENT}, two[0].layout, [Piece(records, checkpoints)])
    assert (done.first, done.cycles, done.equal) == (None, 85, 85)


def test_pieces_go_on_from_each_other() -> None:
    make = made(RECURRENT, entry=WINDOW)
    recorded = run(make(), 100, draws)
    pieces = [Piece(recorded.records[k : k + 7], recorded.checkpoints, k > 0) for k in range(0, 100, 7)]
    done = replay_task(make(), {1: RECURRENT}, recorded.layout, pieces, keep=True)
    assert (done.cycles, done.equal) == (100, 100)
    assert done.rows is not None
    assert np.array_equal(done.rows["published"], recorded.layout.published(recorded.records))


# --- what is changed is found -------------------------------------------------------------------------------------------


def flipped(recorded: Recorded, change: Callable[[Any, Any, Any], None]) -> Recorded:
    """A copy with a change made by `change(layout, records, checkpoints)`."""
    new = Recorded(recorded.layout, recorded.records.copy(), recorded.checkpoints.copy())
    change(new.layout, new.records, new.checkpoints)
    return new


def bit(values: Any) -> None:
    """Flip the lowest bit of a float64, or of a byte."""
    values.view("<i8" if values.dtype.itemsize == 8 else "u1")[...] ^= 1


CHANGES: dict[str, tuple[Callable[[Any, Any, Any], None], int, What]] = {
    "raw": (lambda layout, r, c: bit(layout.raw(r)[70, 1:2]), 70, What.RAW),
    "published": (lambda layout, r, c: bit(layout.published(r)[71, 2:3]), 71, What.PUBLISHED),
    "status": (lambda layout, r, c: r["status"].__setitem__(72, 102), 72, What.STATUS),
    "action": (lambda layout, r, c: r["action"].__setitem__(73, 1), 73, What.ACTION),
    "missed": (lambda layout, r, c: r["missed"].__setitem__(74, 1), 74, What.MISSED),
    "tick": (lambda layout, r, c: r["tick_ns"].__setitem__(75, r["tick_ns"][75] + 1), 75, What.TICK),
    "state": (lambda layout, r, c: bit(c["states"][4, 2:3]), 80, What.STATE),
    "window": (lambda layout, r, c: bit(c["samples_0"][4, 9:10]), 80, What.STATE),
    "when outputs were held": (lambda layout, r, c: bit(c["holds"][4, 2:3]), 80, What.STATE),
}


@pytest.fixture(scope="module")
def plain() -> Recorded:
    return run(made(RECURRENT, entry=WINDOW)(), COUNT, draws)


@pytest.mark.parametrize("name", CHANGES)
def test_one_bit_that_is_changed_is_found_where_it_is(plain: Recorded, name: str) -> None:
    change, cycle, what = CHANGES[name]
    done = replayed(made(RECURRENT, entry=WINDOW), flipped(plain, change), {1: RECURRENT})
    assert done.first is not None
    assert (done.first.number, done.first.what) == (cycle, what)
    assert not done.is_equal


def test_a_bit_of_an_input_is_found_when_the_model_sees_it(plain: Recorded) -> None:
    """The 24th bit: a float32 does not have the last ones."""

    def change(layout: Any, r: Any, c: Any) -> None:
        layout.values(r, 0)[60, 1:2].view("<i8")[...] ^= 1 << 40

    done = replayed(made(RECURRENT, entry=WINDOW), flipped(plain, change), {1: RECURRENT})
    assert done.first is not None
    assert (done.first.number, done.first.what, done.first.name) == (60, What.RAW, "p0")
    assert done.first.wanted != done.first.got and done.first.wanted_bits != done.first.got_bits


def test_another_model_is_found_at_once(plain: Recorded) -> None:
    done = replayed(made(RECURRENT, entry=WINDOW), plain, {1: lstm(4, 3, 5, 3, seed=1)})
    assert done.first is not None
    assert (done.first.what, done.first.number) == (What.RAW, 9)  # the first whose window is full


def test_another_limit_of_the_guard_is_found_in_what_was_published(plain: Recorded) -> None:
    other = made(RECURRENT, entry=WINDOW, output={"max_rate": 299.0, "low": -1.5})
    done = replayed(other, plain, {1: RECURRENT})
    assert done.first is not None and done.first.what is What.PUBLISHED


def test_a_difference_ends_at_the_next_checkpoint(plain: Recorded) -> None:
    """All that the task remembers is taken from there."""

    def change(layout: Any, r: Any, c: Any) -> None:
        layout.values(r, 0)[60, 1] += 1.0

    done = replayed(made(RECURRENT, entry=WINDOW), flipped(plain, change), {1: RECURRENT}, keep=True)
    assert done.rows is not None
    differs = np.flatnonzero(done.rows["what"])
    assert (differs[0], differs[-1]) == (60, 80)


def test_two_nans_are_equal(plain: Recorded) -> None:
    """Whatever their bits are."""
    make = made(RECURRENT, entry=WINDOW, guard=Guard(on_nan="pass", on_bad_state="pass", max_age_s=math.inf))
    recorded = run(make(), COUNT, bad_inputs)
    raw = recorded.layout.raw(recorded.records)
    wrong = np.isnan(raw)
    assert wrong.any()
    raw.view("<i8")[wrong] ^= 1
    assert replayed(make, recorded, {1: RECURRENT}).is_equal


# --- what does not fit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (made(RECURRENT, entry=WINDOW | {"window": 5}), "samples_0|window"),
        (made(FOREST, outputs=1), r"outputs: it has p0 \(1\); p0 \(1\), p1"),
        (made(NET, count=2), "link 'w'"),
    ],
)
def test_a_task_that_is_another_is_refused(plain: Recorded, make: Make, words: str) -> None:
    with pytest.raises((ReplayError, Exception), match=words):
        replayed(make, plain, {1: RECURRENT})


@pytest.mark.parametrize(
    ("region", "first", "value"),
    [("window_0", 8, 1 << 40), ("window_0", 0, -1), ("turns", 0, 1 << 60), ("about", 0, 1)],
)
def test_a_checkpoint_that_cannot_be_one_is_not_used(plain: Recorded, region: str, first: int, value: int) -> None:
    """A window outside of its ring; a turn that is to come, of a model that runs in each cycle; states that are not in it."""

    def change(layout: Any, r: Any, c: Any) -> None:
        c[region][:, first : first + 8].view("<i8")[...] = value

    done = replayed(made(RECURRENT, entry=WINDOW), flipped(plain, change), {1: RECURRENT})
    assert (done.cycles, done.left_out) == (0, {Why.NO_CHECKPOINT: COUNT})


def with_regions(recorded: Recorded, regions: Any) -> Recorded:
    """The same, with checkpoints of other regions: what they had of these is in them, the rest is zeros."""
    layout = replace(recorded.layout, regions=tuple(regions))
    checkpoints = np.zeros(len(recorded.checkpoints), layout.checkpoint_dtype)
    for name in set(checkpoints.dtype.names or ()) & set(recorded.checkpoints.dtype.names or ()):
        part = recorded.checkpoints[name]
        checkpoints[name] = part[:, : checkpoints[name].shape[1]] if part.ndim > 1 else part
    return replace(recorded, layout=layout, checkpoints=checkpoints)


def test_states_that_have_no_room_in_a_checkpoint_are_not_taken_from_behind_it(plain: Recorded) -> None:
    short = with_regions(plain, [(name, 8 if name == "states" else size) for name, size in plain.layout.regions])
    done = replayed(made(RECURRENT, entry=WINDOW), short, {1: RECURRENT})
    assert (done.cycles, done.left_out) == (0, {Why.NO_CHECKPOINT: COUNT})


def test_a_region_that_is_there_twice_is_refused(plain: Recorded) -> None:
    """What is checked, and what native code takes, would lie in two places."""
    first, *rest = plain.layout.regions
    twice = with_regions(plain, [first, rest[0], *rest])
    with pytest.raises(ReplayError, match="remembers something else"):
        replayed(made(RECURRENT, entry=WINDOW), twice, {1: RECURRENT})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reads", -3),
        ("reads", 1 << 40),
        ("due_ns", -(1 << 63)),
        ("due_ns", 1 << 62),
        ("clock", -1),
        ("wakeup_ns", -1),
        ("wakeup_ns", 1 << 62),
    ],
)
def test_a_record_that_cannot_be_one_is_left_out(plain: Recorded, name: str, value: int) -> None:
    """Native code would count on it."""

    def change(layout: Any, r: Any, c: Any) -> None:
        r[name][[50, 90]] = value

    done = replayed(made(RECURRENT, entry=WINDOW), flipped(plain, change), {1: RECURRENT})
    assert done.left_out[Why.BROKEN] == 2 and done.is_equal and done.cycles > 100


def test_parameters_of_a_ready_step_never_come_from_a_checkpoint() -> None:
    """Which input is measured is an address in the end. Another one is told as what the task remembers."""
    _, more, before = FEATURES["a step alone"]
    make = made(None, **more)

    def change(layout: Any, r: Any, c: Any) -> None:
        c["step"][:, :8].view("<i8")[...] = 1 << 60

    recorded = run(make(), COUNT, before)
    done = replayed(make, flipped(recorded, change), {})
    assert done.first is not None and (done.first.what, done.first.name) == (What.STATE, "step")
    assert done.cycles == COUNT and done.equal == COUNT - len(recorded.checkpoints) + 1


def test_a_failure_of_who_brings_pieces_comes_out(plain: Recorded) -> None:
    def pieces() -> Any:
        yield plain.piece
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        replay_task(made(RECURRENT, entry=WINDOW)(), {1: RECURRENT}, plain.layout, pieces())


# --- what if ------------------------------------------------------------------------------------------------------------


def test_a_what_if_goes_on_as_the_other_models(plain: Recorded) -> None:
    """Its states are its own from the first checkpoint on: cut in pieces or not, the same comes out."""
    other = lstm(4, 3, 5, 3, seed=1)
    make = made(RECURRENT, entry=WINDOW)
    whole = replayed(make, plain, {1: other}, what_if=True, keep=True)
    checkpoints = plain.checkpoints[plain.checkpoints["number"] == 0]
    alone = replay_task(make(), {1: other}, plain.layout, [Piece(plain.records, checkpoints)], what_if=True, keep=True)
    assert whole.rows is not None and alone.rows is not None
    assert whole.cycles == COUNT
    assert whole.rows["published"].tobytes() == alone.rows["published"].tobytes()
    assert not np.array_equal(whole.rows["raw"], plain.layout.raw(plain.records))


def test_phases_are_those_that_a_plan_knows() -> None:
    assert set(Phase) == {Phase.BEFORE_READ, Phase.AFTER_TAKE_BACK, Phase.AFTER_SWITCH}
