"""Loading and running: the public interface."""

import threading

import numpy as np
import pytest
from onnx import helper, numpy_helper

import rt_engine
from benchmarks.models import mlp
from rt_engine.errors import InputError, RunError
from rt_engine.ops.table import table
from rt_engine.status import Status
from tests import ROOT

MODEL = rt_engine.load(mlp([16, 64, 64, 4], "Tanh"))
X = np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32)


def test_signature():
    """Names, static shapes and types of inputs and outputs."""
    assert [str(s) for s in (*MODEL.inputs, *MODEL.outputs)] == ["x: float32[1, 16]", "y: float32[1, 4]"]


def test_run_gives_copies():
    """A later run does not change an earlier result."""
    first = MODEL.run({"x": X})[0]
    again = first.copy()
    MODEL.run({"x": 2 * X})
    assert np.array_equal(first, again)


def test_context_is_the_same_bits_as_run():
    """The same model and input give the same bits, every time."""
    context = MODEL.context()
    context.inputs["x"][...] = X
    for _ in range(3):
        context.run()
        assert context.outputs["y"].tobytes() == MODEL.run({"x": X})[0].tobytes()


def test_a_wrong_name_lists_the_right_ones():
    """Of a context's inputs and outputs; and assigning to a name copies into its view."""
    context = MODEL.context()
    view = context.inputs["x"]
    with pytest.raises(InputError, match="'obs' here; there is 'x'"):
        context.inputs["obs"]
    with pytest.raises(InputError, match="'z' here; there is 'x'"):
        context.inputs["z"] = X
    context.inputs["x"] = X
    assert context.inputs["x"] is view
    assert np.array_equal(view, X)
    assert repr(context) == "<Context (x: float32[1, 16]) -> (y: float32[1, 4])>"


def test_views_stay_the_same_whatever_a_dictionary_can_do():
    """A view that was replaced or removed would be written in vain."""
    context = MODEL.context()
    view = context.inputs["x"]
    context.inputs.update(x=X)
    context.inputs |= {"x": 2 * X}
    assert context.inputs["x"] is view
    assert np.array_equal(view, 2 * X)
    for change in (lambda t: t.pop("x"), lambda t: t.popitem(), lambda t: t.clear(), lambda t: t.setdefault("z", X)):
        with pytest.raises(TypeError, match="cannot be added or removed"):
            change(context.inputs)


def test_a_negative_count_is_not_measured():
    """It is refused in words."""
    with pytest.raises(InputError, match="-1 runs"):
        MODEL.context().measure(-1)


def test_inputs_keep_their_values():
    """Nothing in a program overwrites an input."""
    context = MODEL.context()
    context.inputs["x"][...] = X
    context.run()
    assert np.array_equal(context.inputs["x"], X)


def test_threads_share_a_model_without_locks():
    """Four threads with a context each give the bits that one thread gives."""
    inputs = [np.random.default_rng(i).standard_normal((1, 16)).astype(np.float32) for i in range(4)]
    expected = [MODEL.run({"x": x})[0].tobytes() for x in inputs]
    wrong = []

    def work(i):
        context = MODEL.context()
        for _ in range(2000):
            context.inputs["x"][...] = inputs[i]
            context.run()
            if context.outputs["y"].tobytes() != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_measure_times_every_run():
    """One time in nanoseconds for each run, all positive."""
    times = MODEL.context().measure(100)
    assert times.shape == (100,)
    assert times.dtype == np.int64
    assert (times > 0).all()


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "missing input 'x'"),
        ({"x": X, "z": X}, "unknown input 'z'"),
        ({"x": X[:, :3]}, r"takes float32\[1, 16\], got float32\[1, 3\]"),
        ({"x": X.astype(complex)}, "complex"),
    ],
)
def test_wrong_feeds_are_refused(feeds, message):
    """The message says what the model takes and what came."""
    with pytest.raises(InputError, match=message):
        MODEL.run(feeds)


def test_an_index_out_of_range_is_a_status():
    """A kernel's status becomes RunError with the node's name; nothing is read out of bounds."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w", "i"], ["y"], name="look up")],
        "g",
        [helper.make_tensor_value_info("i", 7, [1])],
        [helper.make_tensor_value_info("y", 1, [1, 4])],
        [numpy_helper.from_array(np.arange(20, dtype=np.float32).reshape(5, 4), "w")],
    )
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert np.array_equal(model.run({"i": np.array([-1])})[0], [[16, 17, 18, 19]])
    with pytest.raises(RunError, match="look up") as caught:
        model.run({"i": np.array([5])})
    assert caught.value.status is Status.INDEX_OUT_OF_RANGE


def test_integer_division_by_zero_is_a_status():
    """The other elements are computed; the run has a status."""
    graph = helper.make_graph(
        [helper.make_node("Div", ["a", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info(n, 6, [3]) for n in "ab"],
        [helper.make_tensor_value_info("y", 6, [3])],
    )
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    with pytest.raises(RunError, match="DIVISION_BY_ZERO"):
        model.run({"a": np.array([1, 2, 3], np.int32), "b": np.array([1, 0, 3], np.int32)})


def test_nan_and_inf_travel_as_ieee_says():
    """NaN in gives NaN out; inf saturates tanh to one."""
    weights = [numpy_helper.from_array(np.ones((1, 1), np.float32), "w")]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Tanh", ["r"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 1])],
        [helper.make_tensor_value_info("y", 1, [1, 1])],
        weights,
    )
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    values = [model.run({"x": np.array([[v]], np.float32)})[0].item() for v in (np.nan, np.inf, -np.inf)]
    assert np.isnan(values[0])
    assert values[1:] == [1.0, 0.0]


def test_denormals_are_zero():
    """A denormal input counts as zero, in a context as in a task."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "c"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [1])],
        [helper.make_tensor_value_info("y", 1, [1])],
        [numpy_helper.from_array(np.array([2.0**40], np.float32), "c")],
    )
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert model.run({"x": np.array([1e-40], np.float32)})[0].item() == 0.0
    assert np.float32(1e-40) * np.float32(2.0**40) > 0  # and Python's own float mode is as it was


def test_report_counts_what_the_model_costs():
    """Multiply-accumulates, weights and arena, per node and in all; it prints as a table."""
    report = MODEL.report()
    assert report.macs == 16 * 64 + 64 * 64 + 64 * 4
    assert report.weight_bytes >= 4 * report.macs
    assert report.arena_lower_bound <= report.arena_bytes < 4096
    assert "gemm_f32" in str(report)


def test_the_operator_page_is_true():
    """docs/operators.md is what the registry says (renew it: python -m rt_engine.ops.table > docs/operators.md)."""
    page = ROOT / "docs" / "operators.md"
    assert page.read_text() == table()


def test_a_constant_behind_a_cast_that_does_nothing_is_transposed():
    """CastLike of a constant to the type of an input is that constant at run time: its Transpose is written all the same."""
    nodes = [
        helper.make_node("CastLike", ["c", "x"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[1, 0]),
        helper.make_node("Add", ["b", "x"], ["s"]),
        helper.make_node("Transpose", ["s"], ["y"], perm=[1, 0]),
    ]
    c = np.arange(6, dtype=np.float32).reshape(2, 3)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, [3, 2])],
        [helper.make_tensor_value_info("y", 1, [2, 3])],
        [numpy_helper.from_array(c, "c")],
    )
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9))
    x = np.ones((3, 2), np.float32)
    assert np.array_equal(model.run({"x": x})[0], c + 1)


def test_integers_that_do_not_fit_are_refused():
    """They are converted where no value changes, never wrapped around."""
    ends = [helper.make_tensor_value_info(n, 6, (2,)) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert model.run({"x": np.array([-1, 2], np.int64)})[0].tolist() == [-1, 2]
    with pytest.raises(InputError, match="cannot hold"):
        model.run({"x": np.array([1, 1 << 40])})


def test_a_path_that_no_system_has_is_refused():
    """A null byte is told as any other path that cannot be read."""
    with pytest.raises(rt_engine.errors.ModelFileError, match="cannot be read"):
        rt_engine.load("no\0file.onnx")
