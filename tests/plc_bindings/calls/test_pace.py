"""Is a model slow? The same rule for every protocol."""

from types import SimpleNamespace

import numpy as np
import pytest

import rt_engine
from benchmarks.models import mlp
from plc_bindings.calls import predict
from plc_bindings.calls.caller import ModelCaller
from plc_bindings.calls.pace import SLOW_S, Paces
from plc_bindings.calls.predict import RESULT, Predictor
from plc_bindings.data.models import Models
from rt_engine import ModelSlot
from scheduler.status import TaskStatus

INPUTS = np.zeros(16, np.float32).tobytes()


@pytest.fixture
def slot():
    return ModelSlot(rt_engine.load(mlp((16, 64, 64, 4), "Relu")))


@pytest.fixture
def models(slot):
    return Models({"policy": slot})


class Clock:
    """Stands still between calls; so no interruption of this computer's makes one slow."""

    now_s = 0.0

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(predict, "time", SimpleNamespace(perf_counter=lambda: clock.now_s))
    return clock


def test_a_batch_counts_as_so_many_calls():
    paces = Paces()
    assert paces.is_slow(1, 1), "nobody has called it yet"
    paces.note(1, 1, SLOW_S / 100)
    assert not paces.is_slow(1, 1)
    assert not paces.is_slow(1, 1, 100)
    assert paces.is_slow(1, 1, 101)
    assert paces.is_slow(1, 2), "another version"


@pytest.mark.parametrize(("long_calls", "is_slow"), [((2,), True), ((1, 2), True), ((0, 1), False)])
def test_the_newest_call_counts(models, clock, monkeypatch, long_calls, is_slow):
    """A fast one makes a model fast again."""
    run, number = ModelCaller.call, iter(range(3))

    def long(*arguments):
        if next(number) in long_calls:
            clock.sleep(5 * SLOW_S)
        return run(*arguments)

    monkeypatch.setattr(ModelCaller, "call", long)
    predictor = Predictor(models)
    for _ in range(3):
        predictor.call(1, INPUTS)
    assert predictor.is_slow(models.all[0]) == is_slow


def test_a_call_that_ends_with_a_status_counts_too(models, clock, monkeypatch):
    """A model that always fails is not unknown for ever."""
    monkeypatch.setattr(ModelCaller, "call", lambda *_: int(TaskStatus.STEP_FAILED))
    predictor = Predictor(models)
    assert RESULT.unpack(predictor.call(1, INPUTS * 3)) == (TaskStatus.STEP_FAILED, 1)
    assert not predictor.is_slow(models.all[0])


def test_a_batch_is_measured_as_one_call_of_each(models, clock, monkeypatch):
    run = ModelCaller.call

    def long(*arguments):
        clock.sleep(SLOW_S / 10)
        return run(*arguments)

    monkeypatch.setattr(ModelCaller, "call", long)
    predictor = Predictor(models)
    for _ in range(2):
        predictor.call(1, INPUTS * 20)
    assert not predictor.is_slow(models.all[0])
    assert predictor.is_slow(models.all[0], 20)


def test_a_client_that_makes_a_context_keeps_others_waiting(slot, models):
    """Its first call of each version, though others have called the model before."""
    paces = Paces()
    first, second = (Predictor(models, paces=paces) for _ in range(2))
    served = models.all[0]
    paces.note(1, 1, SLOW_S / 100)
    for predictor in (first, second):
        assert predictor.is_slow(served)
        predictor.call(1, INPUTS)
        paces.note(1, 1, SLOW_S / 100)
        assert not predictor.is_slow(served)
    slot.update(rt_engine.load(mlp((16, 64, 64, 4), "Relu")))
    assert first.is_slow(served)
