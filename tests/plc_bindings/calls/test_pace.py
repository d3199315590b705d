"""Is a model slow? The same rule for every protocol."""

import time

import numpy as np
import pytest

import rt_engine
from benchmarks.models import mlp
from plc_bindings.calls.pace import SLOW_S, Paces
from plc_bindings.calls.predict import Predictor, _Caller
from plc_bindings.data.models import Models
from rt_engine import ModelSlot

INPUTS = np.zeros(16, np.float32).tobytes()


@pytest.fixture
def slot():
    return ModelSlot(rt_engine.load(mlp((16, 64, 64, 4), "Relu")))


@pytest.fixture
def models(slot):
    return Models({"policy": slot})


def test_a_batch_counts_as_so_many_calls():
    paces = Paces()
    assert paces.is_slow(1, 1), "nobody has called it yet"
    paces.note(1, 1, SLOW_S / 100)
    assert not paces.is_slow(1, 1)
    assert not paces.is_slow(1, 1, 100)
    assert paces.is_slow(1, 1, 101)
    assert paces.is_slow(1, 2), "another version"


@pytest.mark.parametrize(("long_calls", "is_slow"), [((2,), False), ((1, 2), True), ((0, 1, 2), True), ((0, 1), False)])
def test_one_call_that_was_interrupted_does_not_make_a_model_slow(models, monkeypatch, long_calls, is_slow):
    """Two in a row do, and one fast call makes it fast again."""
    run, number = _Caller.call, iter(range(3))

    def long(*arguments):
        if next(number) in long_calls:
            time.sleep(5 * SLOW_S)
        return run(*arguments)

    monkeypatch.setattr(_Caller, "call", long)
    predictor = Predictor(models)
    for _ in range(3):
        predictor.call(1, INPUTS)
    assert predictor.is_slow(models.all[0]) == is_slow


def test_a_batch_is_measured_as_one_call_of_each(models, monkeypatch):
    run = _Caller.call

    def long(*arguments):
        time.sleep(SLOW_S / 10)
        return run(*arguments)

    monkeypatch.setattr(_Caller, "call", long)
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
