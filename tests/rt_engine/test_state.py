"""State that a context carries from run to run."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import rt_engine
from rt_engine import ModelSlot
from rt_engine.errors import InputError, StateError
from rt_engine.state import to_bytes


def counter(step="x", extra=()):
    """total = before + x, also given doubled; `extra` nodes come first."""
    nodes = [
        *extra,
        helper.make_node("Add", ["before", step], ["total"]),
        helper.make_node("Add", ["total", "total"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "counter",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("x", "before")],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("y", "total")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


STATE = {"total": "before"}


def test_an_output_is_the_input_of_the_next_run():
    """The input leaves the signature; the program moves the state."""
    model = rt_engine.load(counter(), state=STATE)
    assert [s.name for s in model.inputs] == ["x"]
    assert [s.name for s in model.state] == ["before"]
    context = model.context()
    context.inputs["x"] = [1, 2, 3]
    for number in (1, 2, 3):
        context.run()
        np.testing.assert_array_equal(context.outputs["total"], np.array([1, 2, 3]) * number)
        np.testing.assert_array_equal(context.state["before"], np.array([1, 2, 3]) * number)
        np.testing.assert_array_equal(context.outputs["y"], np.array([2, 4, 6]) * number)


def test_nothing_moves_where_the_output_may_overwrite_the_input():
    """Add works in place: no copy record, one memory."""
    plain, carried = rt_engine.load(counter()), rt_engine.load(counter(), state=STATE)
    assert len(carried.program.records) == len(plain.program.records) == 2
    (state,), total = carried.program.state, carried.program.outputs[1]
    assert state.offset == total.offset


def test_a_state_that_is_read_late_is_copied():
    """Where the old value is still wanted after the new one is written, a record copies it at the end."""
    late = helper.make_graph(
        [
            helper.make_node("Add", ["before", "x"], ["total"]),
            helper.make_node("Sub", ["total", "before"], ["y"]),
        ],
        "late",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("x", "before")],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in ("y", "total")],
    )
    model = rt_engine.load(
        helper.make_model(late, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), state=STATE
    )
    assert len(model.program.records) == 3
    context = model.context()
    context.inputs["x"] = [1, 2, 3]
    for number in (1, 2, 3):
        context.run()
        np.testing.assert_array_equal(context.outputs["y"], [1, 2, 3])
        np.testing.assert_array_equal(context.outputs["total"], np.array([1, 2, 3]) * number)


def test_swapped_states():
    """Two states that change places at every run."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["new_b"]), helper.make_node("Identity", ["b"], ["new_a"])],
        "swap",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("a", "b")],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("new_a", "new_b")],
    )
    model = rt_engine.load(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        state={"new_a": "a", "new_b": "b"},
        initial={"a": [1, 2], "b": [3, 4]},
    )
    context = model.context()
    for number in range(4):
        a, b = ([1, 2], [3, 4]) if number % 2 == 0 else ([3, 4], [1, 2])
        np.testing.assert_array_equal(context.state["a"], a)
        np.testing.assert_array_equal(context.state["b"], b)
        context.run()


def test_reset_save_restore():
    """A context goes back to its start, or to a saved state, as arrays or bytes; each context has its own."""
    model = rt_engine.load(counter(), state=STATE, initial={"before": [10, 0, 0]})
    context, other = model.context(), model.context()
    context.inputs["x"] = [1, 1, 1]
    context.run()
    saved = context.save()
    context.run()
    np.testing.assert_array_equal(context.outputs["total"], [12, 2, 2])
    np.testing.assert_array_equal(other.state["before"], [10, 0, 0])
    for form in (saved, to_bytes(saved)):
        context.restore(form)
        np.testing.assert_array_equal(context.state["before"], [11, 1, 1])
    context.reset()
    context.run()
    np.testing.assert_array_equal(context.outputs["total"], [11, 1, 1])
    for wrong in ({"nothing": [1.0]}, {"before": [1.0]}, b"nonsense"):
        with pytest.raises(InputError):
            context.restore(wrong)


def test_model_run_starts_at_the_initial_state():
    """A run in a context of its own begins at the start, or at a state that is fed."""
    model = rt_engine.load(counter(), state=STATE)
    x = np.ones(3, np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(model.run({"x": x})[1], [1, 1, 1])
    np.testing.assert_array_equal(model.run({"x": x, "before": np.full(3, 5, np.float32)})[1], [6, 6, 6])


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"nothing": "before"}, "no output 'nothing'"),
        ({"total": "nothing"}, "no input 'nothing'"),
        ({"total": "before", "y": "before"}, "two outputs"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(state, why):
    """Unknown names, an input paired twice."""
    with pytest.raises(StateError, match=why):
        rt_engine.load(counter(), state=state)


def test_another_shape_is_refused():
    """A state has one shape and type."""
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["h"], ["total"], keepdims=1)],
        "g",
        [helper.make_tensor_value_info("h", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(StateError, match="one shape and type"):
        rt_engine.load(model, state={"total": "h"})


def test_a_hot_update_carries_the_state():
    """The new version goes on from where the old one is; a warmed context has not moved on."""
    slot = ModelSlot(rt_engine.load(counter(), state=STATE))
    reader = slot.reader()
    np.testing.assert_array_equal(reader.context.state["before"], [0, 0, 0])
    reader.context.inputs["x"] = [1, 2, 3]
    reader.context.run()
    result = slot.update(rt_engine.load(counter(), state=STATE))
    assert result.state == "carried"
    np.testing.assert_array_equal(reader.context.state["before"], [1, 2, 3])
    reader.context.inputs["x"] = [1, 1, 1]
    reader.context.run()
    np.testing.assert_array_equal(reader.context.outputs["total"], [2, 3, 4])


def test_a_hot_update_with_another_state_resets_it():
    """States of other names start anew, and the result says so."""
    slot = ModelSlot(rt_engine.load(counter(), state=STATE))
    reader = slot.reader()
    reader.context.inputs["x"] = [1, 2, 3]
    reader.context.run()
    renamed = counter()
    renamed.graph.input[1].name = "earlier"
    renamed.graph.node[0].input[0] = "earlier"
    result = slot.update(rt_engine.load(renamed, state={"total": "earlier"}))
    assert (result.state, result.why_reset) == ("reset", "its names, shapes or types differ")
    np.testing.assert_array_equal(reader.context.state["earlier"], [0, 0, 0])
    assert ModelSlot(rt_engine.load(counter())).update(rt_engine.load(counter())).state == "none"


def test_a_state_that_a_loop_reads_is_not_overwritten_in_it():
    """Every iteration reads the whole old state and writes a row of the new one."""
    text = """<ir_version: 9, opset_import: ["" : 18]>
    g (float[4] x, float[5, 4] h) => (float[5, 4] new)
    {
        new = Loop (trips, on) <
            body = b (int64 i, bool go) => (bool go2, float[4] row)
            { go2 = Constant <value = bool {1}> ()  s = ReduceSum <keepdims = 0> (h, first)  row = Add(s, x) }
        >
    }"""
    proto = parser.parse_model(text)
    for name, value in {"trips": np.array(5), "on": np.array(True), "first": np.array([0])}.items():
        proto.graph.initializer.append(numpy_helper.from_array(value, name))
    context = rt_engine.load(proto, state={"new": "h"}).context()
    context.inputs["x"] = x = np.arange(4)
    expected = np.zeros((5, 4))
    for _ in range(3):
        context.run()
        expected = np.broadcast_to(expected.sum(axis=0) + x, (5, 4))
        np.testing.assert_array_equal(context.outputs["new"], expected)


@pytest.mark.parametrize("given", [None, b"", b"\x80\x04N.", b"PK of no archive"])
def test_what_is_no_saved_state_is_refused(given):
    """The state stays as it was, and nobody is advised to load bytes unsafely."""
    context = rt_engine.load(counter(), state=STATE).context()
    context.inputs["x"] = [1, 2, 3]
    context.run()
    with pytest.raises(InputError, match="state") as caught:
        context.restore(given)
    assert "pickle" not in str(caught.value)
    np.testing.assert_array_equal(context.save()["before"], [1, 2, 3])


def memory(dtype, initial=None):
    """h = before * before, an output too, of a type of float; its state begins with `initial`."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["before", "before"], ["h"])],
        "memory",
        [helper.make_tensor_value_info("before", dtype, [5])],
        [helper.make_tensor_value_info("h", dtype, [5])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return rt_engine.load(model, state={"h": "before"}, initial=None if initial is None else {"before": initial})


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.DOUBLE])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -np.nan])
@pytest.mark.parametrize("place", range(5))
def test_a_state_with_nan_or_infinity_is_seen(dtype, value, place):
    """Wherever in it that is, and of no greatest or least number."""
    context = memory(dtype).context()
    limits = np.finfo(context.state["before"].dtype)
    context.state["before"][:] = [limits.max, limits.min, limits.tiny, -0.0, limits.smallest_subnormal]
    assert context.state_is_finite
    context.state["before"][place] = value
    assert not context.state_is_finite
    context.reset()
    assert context.state_is_finite


def test_a_half_is_looked_at_too():
    """Of 16 bits."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["h"])],
        "halves",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [7]) for name in ("x", "before")],
        [helper.make_tensor_value_info("h", TensorProto.FLOAT16, [7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    context = rt_engine.load(model, state={"h": "before"}).context()
    sound = [65504, -65504, 6e-8, -0.0, 0.0, -65504, 65504]
    context.state["before"][:] = sound
    assert context.state_is_finite
    for place in range(7):
        for value in (np.inf, -np.inf, np.nan):
            context.state["before"][:] = sound
            context.state["before"][place] = value
            assert not context.state_is_finite


def test_a_state_that_begins_infinite_may_be_so():
    """A running maximum: it begins at minus infinity, and goes over at an update as it is."""
    model = memory(TensorProto.FLOAT, np.full(5, -np.inf, np.float32))
    slot = ModelSlot(model)
    reader = slot.reader()
    assert reader.context.state_is_finite
    reader.context.state["before"][:] = np.inf
    result = slot.update(memory(TensorProto.FLOAT, np.full(5, -np.inf, np.float32)))
    assert (result.state, result.why_reset) == ("carried", "")
    assert np.isposinf(reader.context.state["before"]).all()


def test_no_update_carries_a_state_that_is_not_finite():
    """It begins anew in the task where it was so, and that is told; a sound one goes over at the next update."""
    slot = ModelSlot(memory(TensorProto.FLOAT))
    reader, other = slot.reader(), slot.reader()
    reader.context.state["before"][3] = np.nan
    other.context.state["before"][:] = 3
    result = slot.update(memory(TensorProto.FLOAT, np.full(5, 2, np.float32)))
    assert (result.state, result.why_reset) == ("reset", "it held NaN or infinity")
    np.testing.assert_array_equal(reader.context.state["before"], np.full(5, 2))
    np.testing.assert_array_equal(other.context.state["before"], np.full(5, 3))
    again = slot.update(memory(TensorProto.FLOAT))
    assert (again.state, again.why_reset) == ("carried", "")
    np.testing.assert_array_equal(reader.context.state["before"], np.full(5, 2))
