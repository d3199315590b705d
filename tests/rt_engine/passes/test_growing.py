"""Lists that a loop grows while data say that it goes on, against ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

import rt_engine
from rt_engine.errors import RunError, UnsupportedModelError

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'
X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
LOOP = """
    s0 = SequenceEmpty <dtype = 1> ()
    h, s = Loop (most, on, x, s0) <
        body = b (int64 i, bool on1, float[2, 3] h1, seq(float[2, 3]) s1) => (bool on2, float[2, 3] h2, seq(float[2, 3]) s2)
        {
            h2 = Mul(h1, half)
            s2 = SequenceInsert(s1, h2)
            a = Abs(h2)
            m = ReduceMax <keepdims = 0> (a)
            on2 = Greater(m, limit)
        }
    >
"""
INPUTS = "float[2, 3] x, float limit"


def model(outputs, nodes, loop=LOOP, inputs=INPUTS, **constants):
    """A graph with the loop, and nodes behind it."""
    proto = parser.parse_model(f"{HEAD}g ({inputs}) => ({outputs}) {{ {loop} {nodes} }}")
    values = {"on": True, "most": np.int64(9), "half": np.float32(0.5), "zero": np.int64(0)} | constants
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), k) for k, v in values.items() if v is not None
    )
    onnx.checker.check_model(proto)
    return proto


def same(proto, feeds, **given):
    """What ONNX Runtime gives is there, and as long as our count says."""
    loaded = rt_engine.load(proto, **given)
    ours = dict(zip((o.name for o in loaded.outputs), loaded.run(feeds), strict=True))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    for out, theirs in zip(session.get_outputs(), session.run(None, feeds), strict=True):
        found = ours[out.name]
        longer = [axis for axis in range(theirs.ndim) if found.shape[axis] != theirs.shape[axis]]
        assert all(ours[f"{out.name}_count"] == theirs.shape[axis] for axis in longer)
        np.testing.assert_array_equal(found[tuple(map(slice, theirs.shape))], theirs, strict=True)
    return loaded


@pytest.mark.parametrize("limit", [10.0, 0.2, 0.01, 0.0])
def test_a_list_is_one_tensor_with_a_length(limit):
    """1. Stacked, along any axis. 2. Joined. 3. Its length. 4. One of its tensors."""
    nodes = """
        all = ConcatFromSequence <axis = 0, new_axis = 1> (s)
        last = ConcatFromSequence <axis = -1, new_axis = 1> (s)
        rows = ConcatFromSequence <axis = 0> (s)
        columns = ConcatFromSequence <axis = -1> (s)
        count = SequenceLength(s)
        first = SequenceAt(s, zero)
    """
    outputs = (
        "float[n, 2, 3] all, float[2, 3, n] last, float[m, 3] rows, float[2, k] columns, int64 count, float[2, 3] first"
    )
    loaded = same(model(outputs, nodes), {"x": X, "limit": np.array(limit, np.float32)})
    assert {o.name: o.shape for o in loaded.outputs}["rows"] == (18, 3)


@pytest.mark.parametrize("most", [1, 3, 5])
def test_a_number_of_iterations_that_is_an_input(most):
    """With a bound from who loads it; beside what the loop carries and collects otherwise."""
    loop = """
        s0 = SequenceEmpty <dtype = 1> ()
        h, s, c = Loop (most, on, x, s0) <
            body = b (int64 i, bool on1, float[2, 3] h1, seq(float[2, 3]) s1)
                => (bool on2, float[2, 3] h2, seq(float[2, 3]) s2, float[2, 3] n)
            {
                on2 = Identity(on1)
                h2 = Mul(h1, half)
                n = Neg(h1)
                s2 = SequenceInsert(s1, h2)
            }
        >
    """
    nodes = "rows = ConcatFromSequence <axis = 0> (s)"
    proto = model(
        "float[2, 3] h, float[m, 3] rows, float[k, 2, 3] c", nodes, loop, "float[2, 3] x, int64 most", most=None
    )
    same(proto, {"x": X, "most": np.array(most)}, bounds={"h": 5})


@pytest.mark.parametrize("name", ["r", "/layers/layers.0/Loop_output_0"])
def test_a_loop_in_a_branch_that_is_known_is_bounded_by_the_name_in_the_file(name):
    """Wherever it was put, and however often the file is loaded; also where the file's names have numbers and slashes."""
    branches = """
        y = If (on) <
            then_branch = t () => (float[2, 3] r) {
                r = Loop (most, on, x) <body = b (int64 i, bool on1, float[2, 3] h1) => (bool on2, float[2, 3] h2)
                    { on2 = Identity(on1) h2 = Mul(h1, half) }>
            },
            else_branch = e () => (float[2, 3] q) { q = Identity(x) }
        >
    """
    proto = model("float[2, 3] y", branches, "", "float[2, 3] x, int64 most", most=None)
    (branch,) = (a.g for node in proto.graph.node for a in node.attribute if a.name == "then_branch")
    branch.node[0].output[0] = branch.output[0].name = name
    for _ in range(2):
        with pytest.raises(UnsupportedModelError, match=rf"bounds=\{{'{name}': .*--bound {name}=N"):
            rt_engine.load(proto)
        same(proto, {"x": X, "most": np.array(3)}, bounds={name: 5})


@pytest.mark.parametrize("position", [np.array([1]), np.array([-1], np.int32)])
def test_a_position_of_one_axis_is_a_position(position):
    """What is there has no axis more."""
    proto = model("float[2, 3] y", "y = SequenceAt(s, at)", at=position)
    same(proto, {"x": X, "limit": np.array(0.01, np.float32)})


SPLICES = {
    "at its end": "r = SequenceInsert(s, x)",
    "in front": "r = SequenceInsert(s, x, zero)",
    "at a place": "r = SequenceInsert(s, x, two)",
    "before the last": "r = SequenceInsert(s, x, last)",
    "without its end": "r = SequenceErase(s)",
    "without the first": "r = SequenceErase(s, zero)",
    "without the third": "r = SequenceErase(s, two)",
    "without the one before the last": "r = SequenceErase(s, before)",
    "one for another": "t = SequenceErase(s, last)  r = SequenceInsert(t, x, zero)",
}
COUNTED = LOOP.replace("m = ReduceMax <keepdims = 0> (a)", "").replace("Greater(m, limit)", "Identity(on1)")


@pytest.mark.parametrize("splice", SPLICES)
def test_a_tensor_more_or_less_in_a_list_that_is_as_long_as_data_decide(splice):
    """A place that is not there ends the run, as it ends that of ONNX Runtime."""
    nodes = f"{SPLICES[splice]} n = SequenceLength(r) y = ConcatFromSequence <axis = 0, new_axis = 1> (r)"
    places = {"last": np.int64(-1), "before": np.int32(-2), "two": np.int64(2), "most": None}
    proto = model("int64 n, float[k, 2, 3] y", nodes, COUNTED, "float[2, 3] x, int64 most", **places)
    loaded, session = rt_engine.load(proto, bounds={"h": 4}), onnxruntime.InferenceSession(proto.SerializeToString())
    names = [o.name for o in loaded.outputs]
    for most in range(5):
        feeds = {"x": X, "most": np.array(most)}
        try:
            n, y = session.run(None, feeds)
        except (InvalidArgument, Fail) as error:
            if isinstance(error, InvalidArgument) or not most:  # it lets the end of an empty list go
                with pytest.raises(RunError, match="INDEX_OUT_OF_RANGE"):
                    loaded.run(feeds)
                continue
            n, y = 0, np.empty((0, 2, 3), np.float32)  # it stacks no empty list
        ours = dict(zip(names, loaded.run(feeds), strict=True))
        assert ours["n"] == n == ours["y_count"]
        np.testing.assert_array_equal(ours["y"][:n], y, strict=True)


@pytest.mark.parametrize(
    ("splice", "sentence"),
    [
        ("b = Concat<axis=0>(x, x)  r = SequenceInsert(s, b)", r"float32\[1, 4, 3\], put together"),
        ("b = Cast<to=11>(x)  r = SequenceInsert(s, b)", r"float64\[1, 2, 3\], put together"),
        ("r = SequenceErase(s, far)", "position 9223372036854775807"),
        ("r = SequenceInsert(s, x, far_back)", "position -9223372036854775808"),
    ],
)
def test_what_such_a_list_cannot_take_is_refused(splice, sentence):
    """Another shape or type than its tensors have, a place that no list has."""
    nodes = f"{splice} y = ConcatFromSequence <axis = 0, new_axis = 1> (r)"
    places = {"most": None, "far": np.int64(2**63 - 1), "far_back": np.int64(-(2**63))}
    text = f"{HEAD}g (float[2, 3] x, int64 most) => (float[k, 2, 3] y) {{ {COUNTED} {nodes} }}"
    proto = parser.parse_model(text)
    values = {"on": True, "half": np.float32(0.5), "zero": np.int64(0)} | places
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), k) for k, v in values.items() if v is not None
    )
    with pytest.raises(UnsupportedModelError, match=sentence):
        rt_engine.load(proto, bounds={"h": 4})


@pytest.mark.parametrize("never", [{"most": np.int64(0)}, {"most": np.int64(-2)}, {"on": False}])
def test_of_a_loop_that_never_runs_the_list_is_empty(never):
    """As many tensors as are known: none."""
    same(model("int64 n, float[2, 3] h", "n = SequenceLength(s)", **never), {"x": X, "limit": np.array(0, np.float32)})


@pytest.mark.parametrize("grow", ["(s1, h2)", "(s1, h2, none)"])
def test_a_condition_that_reads_no_data_says_how_long_a_list_is(grow):
    """Which may be a result then, and grow anywhere."""
    loop = LOOP.replace("Greater(m, limit)", "Less(i, few)").replace("(s1, h2)", grow)
    proto = model("seq(float[2, 3]) s", "", loop, few=np.int64(3), none=np.int64(0))
    loaded, session = rt_engine.load(proto), onnxruntime.InferenceSession(proto.SerializeToString())
    feeds = {"x": X, "limit": np.array(0, np.float32)}
    np.testing.assert_array_equal(loaded.run(feeds), session.run(None, feeds)[0], strict=True)
    assert [o.name for o in loaded.outputs] == [f"s_{i}" for i in range(4)]


def test_a_list_that_a_body_reads_is_refused_by_its_name():
    """One tensor made of it can be read."""
    branches = """
        y = If (on1) <then_branch = t () => (float[n, 2, 3] a1) { a1 = ConcatFromSequence <axis = 0, new_axis = 1> (s) },
                      else_branch = e () => (float[n, 2, 3] a2) { a2 = ConcatFromSequence <axis = 0, new_axis = 1> (s) }>
    """
    proto = model("float[n, 2, 3] y", branches, inputs=f"{INPUTS}, bool on1")
    with pytest.raises(
        UnsupportedModelError, match=r"If .*its body reads 's', a sequence of as many tensors as data decide"
    ):
        rt_engine.load(proto)


@pytest.mark.parametrize(
    ("outputs", "nodes", "loop"),
    [
        ("seq(float[2, 3]) s", "", LOOP),
        (
            "float[n, 2, 3] y",
            "y = ConcatFromSequence <new_axis = 1, axis = 0> (s)",
            LOOP.replace("(s1, h2)", "(s1, h2, i)"),
        ),
        (
            "float[n, 2, 3] y",
            "y = ConcatFromSequence <new_axis = 1, axis = 0> (s)",
            LOOP.replace("a = Abs(h2)", "b = SequenceLength(s1) c = Cast <to = 1> (b) a = Mul(h2, c)"),
        ),
    ],
)
def test_a_list_that_is_a_result_or_read_as_it_grows_is_refused(outputs, nodes, loop):
    """It says what would help."""
    with pytest.raises(UnsupportedModelError, match=r"sequence.*data decide (of )?how"):
        rt_engine.load(model(outputs, nodes, loop))
