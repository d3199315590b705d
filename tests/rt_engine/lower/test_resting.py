"""Python's collector rests while models are lowered, and only then."""

import gc
import threading

import pytest

import rt_engine
from benchmarks.models import mlp
from rt_engine import compiler
from rt_engine.lower.resting import uncollected


def test_it_rests_while_a_model_is_lowered(monkeypatch):
    seen = []
    for name in ("lower", "assemble"):
        real = getattr(compiler, name)
        monkeypatch.setattr(compiler, name, lambda *of, real=real: (seen.append(gc.isenabled()), real(*of))[1])
    rt_engine.load(mlp([4, 8, 2], "Relu"))
    assert seen == [False, False] and gc.isenabled()


def test_it_is_as_it_was_when_the_last_has_ended():
    """Whether that failed, whoever was first, and also where somebody has switched it off."""
    with pytest.raises(ZeroDivisionError), uncollected():
        _ = 1 // 0
    assert gc.isenabled()
    inside, go_on = threading.Event(), threading.Event()

    def stay():
        with uncollected():
            inside.set()
            go_on.wait(30)

    thread = threading.Thread(target=stay)
    with uncollected():
        thread.start()
        assert inside.wait(30)
    assert not gc.isenabled()
    go_on.set()
    thread.join()
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
