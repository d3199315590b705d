"""Many samples: the bits of `run`, on all cores, with the interpreter free."""

import sys
import threading
import time

import numpy as np
import pytest
from onnx import helper, numpy_helper

import rt_engine
from benchmarks.models import mlp
from rt_engine.errors import InputError, RunError
from rt_engine.run import batch
from tests.waiting import PATIENCE_S

MODEL = rt_engine.load(mlp([16, 64, 64, 4], "Tanh"))
X = np.random.default_rng(0).standard_normal((3000, 16)).astype(np.float32)
EXPECTED = np.stack([MODEL.run({"x": x[None]})[0] for x in X])


def graph_of(nodes, ends, weights=()):
    """A model of nodes; `ends` are (name, type, shape) of the input and the output."""
    infos = [helper.make_tensor_value_info(*end) for end in ends]
    graph = helper.make_graph(nodes, "g", infos[:-1], infos[-1:], list(weights))
    return rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


@pytest.mark.parametrize("threads", [None, 1, 2, 5])
def test_each_sample_has_the_bits_of_run(threads):
    """Whatever the number of threads, and more of them than one piece of work."""
    (y,) = MODEL.map({"x": X[:, None]}, threads=threads)
    assert y.shape == (3000, 1, 4)
    assert y.tobytes() == EXPECTED.tobytes()


def test_a_batch_of_one_may_be_left_out():
    """Then the outputs have none either, as from a framework."""
    (y,) = MODEL.map({"x": X})
    assert y.shape == (3000, 4)
    assert y.tobytes() == EXPECTED.tobytes()


def test_pieces_go_to_several_threads(monkeypatch):
    """When the first piece of time is over, others help: several contexts are in use at once."""
    monkeypatch.setattr(batch, "PIECE_NS", 1)
    used, borrow = set(), MODEL._borrowed

    def watched():
        used.add(threading.current_thread())
        return borrow()

    monkeypatch.setattr(MODEL, "_borrowed", watched)
    (y,) = MODEL.map({"x": X}, threads=3)
    assert len(used) == 3
    assert y.tobytes() == EXPECTED.tobytes()


def test_a_system_without_threads_is_done_without(monkeypatch):
    """The calling thread does all."""

    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(batch, "PIECE_NS", 1)
    monkeypatch.setattr(threading.Thread, "start", refused)
    (y,) = MODEL.map({"x": X}, threads=3)
    assert y.tobytes() == EXPECTED.tobytes()


def test_values_are_converted_as_for_run():
    """float64, lists, arrays that do not lie in one piece; integers that do not fit are refused."""
    wide = np.asfortranarray(X.astype(np.float64))
    assert MODEL.map({"x": wide})[0].tobytes() == EXPECTED.tobytes()
    assert MODEL.map({"x": X[:2].tolist()})[0].tobytes() == EXPECTED[:2].tobytes()
    double = graph_of([helper.make_node("Add", ["x", "x"], ["y"])], [("x", 6, [2]), ("y", 6, [2])])
    assert double.map({"x": [[1, 2], [3, 4]]})[0].tolist() == [[2, 4], [6, 8]]
    with pytest.raises(InputError, match="cannot hold"):
        double.map({"x": [[1, 1 << 40]]})


def test_no_samples_give_no_results():
    (y,) = MODEL.map({"x": X[:0]})
    assert y.shape == (0, 4)


@pytest.mark.parametrize(
    ("samples", "threads", "message"),
    [
        ({}, None, r"missing input 'x'; the inputs are x: float32\[1, 16\]"),
        ({"x": X, "z": X}, None, "unknown input 'z'"),
        (X, None, "dictionary of name -> array, got a ndarray"),
        ({"x": X[:, :3]}, None, r"takes float32\[1, 16\], got float32\[3000, 3\]: samples lie along the first axis"),
        ({"x": np.float32(1)}, None, r"got float32\[\]"),
        ({"x": X.astype(complex)}, None, "complex"),
        ({"x": X}, 0, "0 threads"),
    ],
)
def test_what_does_not_fit_is_refused(samples, threads, message):
    with pytest.raises(InputError, match=message):
        MODEL.map(samples, threads=threads)


def test_every_input_has_as_many_samples():
    add = graph_of([helper.make_node("Add", ["a", "b"], ["y"])], [("a", 1, [2]), ("b", 1, [2]), ("y", 1, [2])])
    assert add.map({"a": np.ones((3, 2)), "b": np.ones((3, 2))})[0].shape == (3, 2)
    with pytest.raises(InputError, match="'a' has 3, 'b' has 4"):
        add.map({"a": np.ones((3, 2)), "b": np.ones((4, 2))})


def test_a_model_without_inputs_is_run_instead():
    constant = numpy_helper.from_array(np.ones(2, np.float32), "c")
    model = graph_of([helper.make_node("Identity", ["c"], ["y"])], [("y", 1, [2])], [constant])
    with pytest.raises(InputError, match="no inputs"):
        model.map({})


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_sample_that_fails_is_told(monkeypatch, threads):
    """An index out of range in two samples: the message names the earlier, whichever thread met it first."""
    monkeypatch.setattr(batch, "PIECE_NS", 1)
    table = numpy_helper.from_array(np.arange(5, dtype=np.float32), "w")
    gather = helper.make_node("Gather", ["w", "i"], ["y"], name="look up")
    model = graph_of([gather], [("i", 7, [1]), ("y", 1, [1])], [table])
    places = np.zeros((100, 1), np.int64)
    places[[37, 38, 90]] = 5
    with pytest.raises(RunError, match="sample 37, node 'look up'") as caught:
        model.map({"i": places}, threads=threads)
    assert caught.value.sample == 37
    assert model.map({"i": places[:37]})[0].shape == (37, 1)


def test_a_model_with_state_runs_a_sequence():
    """From the initial value on, each sample goes on from where the one before ended; every call begins anew."""
    nodes = [helper.make_node("Add", ["x", "h"], ["n"]), helper.make_node("Identity", ["n"], ["y"])]
    ends = [helper.make_tensor_value_info(name, 1, [1]) for name in ("x", "h", "n", "y")]
    graph = helper.make_graph(nodes, "g", ends[:2], ends[2:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = rt_engine.load(proto, state={"n": "h"}, initial={"h": [10.0]})
    steps = np.ones((1000, 1), np.float32)
    for _ in range(2):
        y = model.map({"x": steps}, threads=4)[1]
        assert y.ravel().tolist() == list(range(11, 1011))
    assert model.run({"x": [1.0]})[1].tolist() == [11.0]


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_told_and_may_end_it(monkeypatch, threads):
    """In this thread, growing, at the end with all; what it raises ends the work and is raised."""
    monkeypatch.setattr(batch, "PIECE_NS", 1)
    monkeypatch.setattr(batch, "TOLD_NS", 0)
    told = []
    MODEL.map(
        {"x": X[:200]}, threads=threads, progress=lambda done, total: told.append((done, total, threading.get_ident()))
    )
    assert len(told) > (100 if threads == 1 else 1)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (200, 200, threading.get_ident())
    assert {(total, thread) for _, total, thread in told} == {(200, threading.get_ident())}

    def enough(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MODEL.map({"x": X}, threads=threads, progress=enough)


@pytest.mark.parametrize("how", ["run", "map"])
def test_the_interpreter_is_free_meanwhile(how):
    """Another thread gets it although nobody is made to give it up: the switch interval is an hour."""
    big = rt_engine.load(mlp([16, *[1024] * 8, 8], "Relu"))
    x = np.ones(
        (50, 1, 16), np.float32
    )  # small: NumPy, too, lets go of the interpreter for arrays of more than 500 elements
    call = {"run": lambda: [big.run({"x": a}) for a in x], "map": lambda: big.map({"x": x}, threads=1)}[how]
    call()
    started, free = threading.Lock(), []
    started.acquire()

    def other():
        with started:
            free.append(True)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=other)
    thread.start()
    try:
        sys.setswitchinterval(3600)
        started.release()
        until_s = time.monotonic() + PATIENCE_S
        while not free and time.monotonic() < until_s:  # a busy machine may not let the other thread run meanwhile
            call()
        was_free = bool(free)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert was_free
