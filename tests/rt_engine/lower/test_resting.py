"""Python's collector rests while models are lowered, and only then."""

import gc
import os
import threading

import pytest

import rt_engine
from benchmarks.models import mlp
from rt_engine import compiler
from rt_engine.lower import resting
from rt_engine.lower.resting import uncollected


def _rests():
    return gc.get_threshold()[0] == 0


def test_it_rests_while_a_model_is_lowered(monkeypatch):
    seen = []
    for name in ("lower", "assemble"):
        real = getattr(compiler, name)
        monkeypatch.setattr(compiler, name, lambda *of, real=real: (seen.append(_rests()), real(*of))[1])
    rt_engine.load(mlp([4, 8, 2], "Relu"))
    assert seen == [True, True] and not _rests()


def test_it_is_as_it_was_when_the_last_has_ended():
    """Whether that failed, and whoever was first."""
    with pytest.raises(ZeroDivisionError), uncollected():
        _ = 1 // 0
    assert not _rests()
    inside, go_on = threading.Event(), threading.Event()

    def stay():
        with uncollected():
            inside.set()
            go_on.wait(30)

    thread = threading.Thread(target=stay)
    with uncollected():
        thread.start()
        assert inside.wait(30)
    assert _rests()
    go_on.set()
    thread.join()
    assert not _rests()


def test_what_a_program_says_itself_meanwhile_holds():
    """It switches the collector off for its own cycle, or has a threshold of its own, while another thread loads a model."""
    before = gc.get_threshold()
    try:
        with uncollected():
            gc.disable()
        assert not gc.isenabled() and gc.get_threshold() == before
        with uncollected():
            gc.set_threshold(5000, 20, 20)
        assert gc.get_threshold()[0] == 5000
        gc.set_threshold(0)
        with uncollected():
            pass
        assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
        gc.enable()


def test_a_child_that_is_forked_while_a_model_is_loaded_collects():
    """The thread that loads it does not go on there; neither does who holds the lock."""
    before = gc.get_threshold()[0]
    with uncollected(), resting._LOCKS[0]:
        child = os.fork()
        if child == 0:
            with uncollected():
                inside = _rests()
            os._exit(0 if inside and gc.get_threshold()[0] == before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
