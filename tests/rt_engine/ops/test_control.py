"""If, Loop and Scan: against ONNX's reference evaluator and ONNX Runtime, folded, unrolled, and at run time."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

import rt_engine
from rt_engine.errors import InvalidModelError, RunError, UnsupportedModelError
from rt_engine.passes import loops
from rt_engine.status import Status
from tests.rt_engine.test_lanes import LIBRARIES

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'


def model(text, **constants):
    """A model in ONNX's text form, with arrays as initializers."""
    proto = parser.parse_model(HEAD + text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    onnx.checker.check_model(proto)
    return proto


def check(proto, feeds, loaded=None):
    """Our outputs are ONNX Runtime's; gives the loaded model."""
    loaded = loaded or rt_engine.load(proto)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)
    for _ in range(2):  # a second run sees nothing of the first
        for ours, theirs in zip(loaded.run(feeds), expected, strict=True):
            assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return loaded


def kernels(loaded):
    return [name for node in loaded.program.nodes for name in node.kernels]


X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)

IF = """g (float[3, 4] x, bool c) => (float[3, 4] y, float[3, 4] z)
{
    a = Relu(x)
    y, u = If (c) <
        then_branch = t () => (float[3, 4] t1, float[3, 4] t2) { t1 = MatMul(a, w)  t2 = Neg(a) },
        else_branch = e () => (float[3, 4] e1, float[3, 4] e2) { e0 = Sigmoid(x)  e1 = Add(e0, a)  e2 = Identity(x) }
    >
    z = Add(u, a)
}"""


@pytest.mark.parametrize("condition", [True, False])
def test_if_at_run_time(condition):
    """Both branches see outer values and constants; one program serves both conditions."""
    loaded = check(model(IF, w=W), {"x": X, "c": np.array(condition)})
    assert "jump" in kernels(loaded)
    context = loaded.context()
    context.inputs["x"] = X
    for value in (condition, not condition, condition):
        context.inputs["c"] = value
        context.run()
        np.testing.assert_allclose(context.outputs["z"], (-np.maximum(X, 0) if value else X) + np.maximum(X, 0))


@pytest.mark.parametrize("condition", [True, False])
def test_if_with_a_constant_condition_is_folded(condition):
    """The branch stands in its place; passes see through it."""
    text = IF.replace(", bool c) =>", ") =>")
    proto = model(text, w=W, c=np.array(condition))
    loaded = check(proto, {"x": X})
    assert "jump" not in kernels(loaded)


def test_if_with_other_shapes_is_refused():
    """Of two axes that depend on a run-time condition there is no count."""
    text = """g (float[3, 4] x, bool c) => (float[n, m] y)
    {
        y = If (c) <
            then_branch = t () => (float[3, 4] t1) { t1 = Neg(x) },
            else_branch = e () => (float[4, 3] e1) { e1 = Transpose(x) }
        >
    }"""
    with pytest.raises(UnsupportedModelError, match="both branches"):
        rt_engine.load(model(text))


LOOP = """g (float[3, 4] x) => (float[3, 4] last, float[n, 3, 4] all)
{
    a = Tanh(x)
    last, all = Loop (trips, on, x) <
        body = b (int64 i, bool go, float[3, 4] h) => (bool go2, float[3, 4] h2, float[3, 4] out)
        {
            go2 = Identity(go)
            m = MatMul(h, w)
            s = Add(m, a)
            f = Cast <to = 1> (i)
            k = Mul(f, tenth)
            h1 = Add(s, k)
            h2 = Tanh(h1)
            out = Sub(h2, h)
        }
    >
}"""


@pytest.mark.parametrize("trips", [1, 2, 7, 100])
def test_loop(trips):
    """Carried values, the iteration's number, captured values and constants, collected results; Linear is fused inside."""
    proto = model(LOOP, w=W, trips=np.array(trips), on=np.array(True), tenth=np.array(0.1, np.float32))
    loaded = check(proto, {"x": X})
    assert kernels(loaded).count("loop") == 1
    assert not any(name.startswith("pack") for name in kernels(loaded))


def test_loop_that_runs_not_once():
    """No iteration: what is carried passes, what is collected is empty."""
    for constants in ({"trips": np.array(0), "on": np.array(True)}, {"trips": np.array(5), "on": np.array(False)}):
        proto = model(LOOP, w=W, tenth=np.array(0.1, np.float32), **constants)
        last, everything = rt_engine.load(proto).run({"x": X})
        np.testing.assert_array_equal(last, X)
        assert everything.shape == (0, 3, 4)


CONDITIONAL = """g (float[3, 4] x, float limit, bool on) => (float[3, 4] last, int64 count)
{
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    last, count = Loop (trips, on, x, zero) <
        body = b (int64 i, bool go, float[3, 4] h, int64 n) => (bool more, float[3, 4] h2, int64 n2)
        {
            two = Constant <value = float {2.0}> ()
            h2 = Mul(h, two)
            n2 = Add(n, one)
            size = ReduceMax <keepdims = 0> (h2)
            more = Less(size, limit)
        }
    >
}"""


def test_loop_with_a_condition_at_run_time():
    """It ends when the condition says so, at the latest after the fixed number of iterations."""
    proto = model(CONDITIONAL, trips=np.array(20))
    loaded = rt_engine.load(proto)
    x = np.abs(X) + 0.5
    for limit, on in ((50.0, True), (0.0, True), (1e30, True), (50.0, False)):
        check(proto, {"x": x, "limit": np.array(limit, np.float32), "on": np.array(on)}, loaded)


def test_swapped_values():
    """What one carried value becomes is another's old value."""
    text = """g (float[4] x, float[4] y) => (float[4] a, float[4] b, float[n, 4] c)
    {
        a, b, c = Loop (trips, , x, y) <
            body = l (int64 i, bool go, float[4] p, float[4] q) => (bool go2, float[4] q1, float[4] p1, float[4] p2)
            { go2 = Constant <value = bool {1}> ()  q1 = Identity(q)  p1 = Identity(p)  p2 = Identity(p) }
        >
    }"""
    for trips in (1, 4, 5):
        check(model(text, trips=np.array(trips)), {"x": X[0], "y": X[1]})


def test_a_body_that_changes_its_shapes_is_unrolled():
    """A value that grows by iteration: one copy of the body for each."""
    text = """g (float[1, 4] x) => (float[n, 4] y)
    {
        y = Loop (trips, on, x) <
            body = b (int64 i, bool go, float[m, 4] h) => (bool go2, float[k, 4] h2)
            { go2 = Identity(go)  t = Neg(x)  h2 = Concat <axis = 0> (h, t) }
        >
    }"""
    loaded = check(model(text, trips=np.array(5), on=np.array(True)), {"x": X[:1]})
    assert "loop" not in kernels(loaded) and loaded.outputs[0].shape == (6, 4)


@pytest.mark.parametrize("constants", [{}, {"trips": np.array(1 << 62)}])
def test_a_loop_without_a_bound_is_refused(constants):
    """A cycle needs a bound: the file's, or the caller's."""
    text = CONDITIONAL if constants else CONDITIONAL.replace("g (float", "g (int64 trips, float")
    with pytest.raises(UnsupportedModelError, match=r"only known at run time.*bounds=|the most is"):
        rt_engine.load(model(text, **constants))


def counted(proto, feeds, **load):
    """As `check`, for what is as long as data say."""
    loaded = rt_engine.load(proto, **load)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    names = [spec.name for spec in loaded.outputs]
    for feed in [*feeds, *reversed(feeds)]:
        ours = dict(zip(names, loaded.run(feed), strict=True))
        for name, theirs in zip((o.name for o in session.get_outputs()), session.run(None, feed), strict=True):
            count = ours.get(f"{name}_count")
            got = ours[name] if count is None else ours[name][: int(count)]
            assert got.shape == theirs.shape and got.dtype == theirs.dtype
            np.testing.assert_allclose(got, theirs, rtol=1e-5, atol=1e-6)
    return loaded


def test_collecting_by_a_condition_is_counted():
    """Whether it begins is data: as long as it may run, and a count."""
    text = LOOP.replace("g (float[3, 4] x)", "g (float[3, 4] x, bool on)")
    proto = model(text, w=W, trips=np.array(3), tenth=np.array(0.1, np.float32))
    loaded = counted(proto, [{"x": X, "on": np.array(on)} for on in (True, False)])
    assert [spec.shape for spec in loaded.outputs] == [(3, 4), (3, 3, 4), ()]


@pytest.mark.parametrize("shape", ["", "[1]"])
def test_a_number_of_iterations_that_is_data_has_the_callers_bound(shape):
    """Up to it the loop runs as often as it is told; more is a status, and fewer by its condition are no more."""
    text = LOOP.replace("g (float[3, 4] x)", f"g (float[3, 4] x, int64{shape} trips)")
    proto = model(text, w=W, on=np.array(True), tenth=np.array(0.1, np.float32))
    feeds = [{"x": X, "trips": np.full((1,) if shape else (), n, np.int64)} for n in (0, 3, 5, -1)]
    loaded = counted(proto, feeds, bounds={"all": 5})
    with pytest.raises(RunError, match="LONGER_THAN_BOUND"):
        loaded.run({**feeds[0], "trips": feeds[0]["trips"] + 6})
    text = CONDITIONAL.replace("g (float", f"g (int64{shape} trips, float")
    more = {"limit": np.array(3, np.float32), "on": np.array(True)}
    counted(
        model(text),
        [{**f, **more, "x": X * np.float32(scale)} for f in feeds for scale in (1e-3, 1)],
        bounds={"last": 5},
    )


@pytest.mark.parametrize("trips", [{}, {"trips": np.array((1 << 63) - 1)}])
def test_a_loop_that_data_ends_has_the_callers_bound(trips):
    """Nothing is peeled off it, and whoever is not done at the bound has a status, though nothing is collected."""
    text = CONDITIONAL if trips else CONDITIONAL.replace("(trips, ", '("", ')
    feed = {"limit": np.array(3, np.float32), "on": np.array(True)}
    feeds = [{**feed, "x": X * np.float32(scale)} for scale in (3, 1, 0.01)]
    loaded = counted(model(text, **trips), feeds, bounds={"last": 12})
    with pytest.raises(RunError, match="LONGER_THAN_BOUND"):
        loaded.run({**feed, "x": X * np.float32(1e-5)})


def test_nested():
    """A loop in a loop, an If in it that sees values of all levels."""
    text = """g (float[4] x, float[4] y) => (float[4] z)
    {
        z = Loop (three, , x) <
            body = outer (int64 i, bool go, float[4] a) => (bool go2, float[4] a2)
            {
                go2 = Constant <value = bool {1}> ()
                s = Tanh(y)
                a2 = Loop (four, , a) <
                    body = inner (int64 j, bool go3, float[4] b) => (bool go4, float[4] b2)
                    {
                        go4 = Constant <value = bool {1}> ()
                        k = Add(i, j)
                        c = Less(k, three)
                        b2 = If (c) <
                            then_branch = t () => (float[4] b3) { u = Add(b, s)  b3 = Mul(u, y) },
                            else_branch = e () => (float[4] b4) { b4 = Sub(b, a) }
                        >
                    }
                >
            }
        >
    }"""
    check(model(text, three=np.array(3), four=np.array(4)), {"x": X[0], "y": X[1]})


SCAN = """g (float[4] h, float[5, 3, 4] x, float[3, 5, 4] y) => (float[4] last, float[s1, s2] up, float[s3, s4] down)
{
    last, up, down = Scan <num_scan_inputs = 2, scan_input_axes = [0, 1], scan_input_directions = [DIR],
                           scan_output_axes = [0, 1], scan_output_directions = [0, 1],
        body = b (float[4] a, float[3, 4] p, float[3, 4] q) => (float[4] a2, float[4] o1, float[4] o2)
        {
            d = Sub(p, q)
            r = ReduceSum <keepdims = 0> (d, first)
            t = Add(a, r)
            a2 = Tanh(t)
            o1 = Identity(a)
            o2 = MatMul(a2, w)
        }
    > (h, x, y)
}"""


@pytest.mark.parametrize("directions", ["0, 0", "1, 0", "0, 1"])
def test_scan(directions):
    """Slices along any axis, either way; results too."""
    proto = model(SCAN.replace("DIR", directions), w=W, first=np.array([0]))
    rng = np.random.default_rng(3)
    feeds = {
        "h": X[0],
        "x": rng.standard_normal((5, 3, 4)).astype(np.float32),
        "y": rng.standard_normal((3, 5, 4)).astype(np.float32),
    }
    check(proto, feeds)


def test_a_loop_on_constants_is_folded():
    """Nothing is left of it but its result."""
    text = LOOP.replace("g (float[3, 4] x) =>", "g () =>")
    proto = model(text, x=X, w=W, trips=np.array(6), on=np.array(True), tenth=np.array(0.1, np.float32))
    assert "loop" not in kernels(check(proto, {}))


@pytest.mark.skipif(len(LIBRARIES) < 2, reason="this processor has one lane width only")
def test_bits_do_not_depend_on_the_lane_width():
    """The same bits for 4, 8 and 16 lanes."""
    proto = model(LOOP, w=W, trips=np.array(9), on=np.array(True), tenth=np.array(0.1, np.float32))
    results = {rt_engine.load(proto, library=k).run({"x": X})[1].tobytes() for k in LIBRARIES.values()}
    assert len(results) == 1


def test_a_while_loop_on_constants_is_unrolled():
    """No trip count, as PyTorch's while_loop exports: the condition is known at load, iteration by iteration."""
    text = """g (float[4] x) => (int64 n, float[4] y)
    {
        n, y = Loop (, on, zero, x) <
            body = b (int64 i, bool go, int64 k, float[4] h) => (bool more, int64 k2, float[4] h2)
            { k2 = Add(k, two)  more = Less(k2, seven)  s = Tanh(h)  h2 = Add(s, s) }
        >
    }"""
    numbers = {"on": np.array(True), "zero": np.array(0), "two": np.array(2), "seven": np.array(7)}
    loaded = check(model(text, **numbers), {"x": X[0]})
    assert kernels(loaded).count("tanh_f32") == 4
    endless = model(text, **(numbers | {"two": np.array(0)}))
    with pytest.raises(UnsupportedModelError, match="very many"):
        rt_engine.load(endless)


IMPOSSIBLE = """g (float[1, n] x, bool c) => (float[1, 1] y)
{
    y = If (c) <
        then_branch = t () => (float[1, 1] t1) { t1 = MatMul(x, six) },
        else_branch = e () => (float[1, 1] e1)
        {
            e1 = If (c) <
                then_branch = et () => (float[1, 1] et1) { et1 = MatMul(x, three) },
                else_branch = ee () => (float[1, 1] ee1) { ee0 = MatMul(x, three)  ee1 = Neg(ee0) }
            >
        }
    >
}"""
WEIGHTS = {"six": np.ones((6, 1), np.float32), "three": np.ones((3, 1), np.float32)}


@pytest.mark.parametrize(("length", "possible"), [(6, True), (3, False)])
def test_a_branch_that_does_not_fit_is_a_trap(length, possible):
    """For the bound shapes only one body is possible: it runs; the other ends the run, and a later run is good again."""
    loaded = rt_engine.load(model(IMPOSSIBLE, **WEIGHTS), shapes={"x": (1, length)})
    (note,) = loaded.notes
    assert ("else_branch" if possible else "then_branch") in note and "status 4" in note
    context = loaded.context()
    context.inputs["x"] = 1
    for condition in (possible, not possible, possible):
        context.inputs["c"] = condition
        if condition == possible:
            context.run()
            assert abs(context.outputs["y"]) == length
        else:
            with pytest.raises(RunError) as caught:
                context.run()
            assert caught.value.status is Status.IMPOSSIBLE_BRANCH
    with pytest.raises(InvalidModelError, match="MatMul"):
        rt_engine.load(model(IMPOSSIBLE, **WEIGHTS), shapes={"x": (1, 5)})


def test_a_fixed_input_folds_the_branch_that_does_not_fit():
    """With `values` there is no condition, and no trap."""
    loaded = rt_engine.load(model(IMPOSSIBLE, **WEIGHTS), shapes={"x": (1, 6)}, values={"c": True})
    assert [i.name for i in loaded.inputs] == ["x"] and not {"jump", "trap"} & set(kernels(loaded))
    assert loaded.run({"x": np.ones((1, 6), np.float32)})[0] == 6


def test_a_branch_that_is_not_supported_is_no_trap():
    """Nobody can tell that its branch is never taken."""
    text = IF.replace("Neg(a)", "NonZero(a)")
    with pytest.raises(UnsupportedModelError, match="has another type or rank"):
        rt_engine.load(model(text, w=W))


COUNTED = """g (float[1] x) => (float[1] y, float[n, 1] all, int64 k)
{
    k, y, all = Loop (most, on, zero, x) <
        body = b (int64 i, bool go, int64 k, float[1] s) => (bool more, int64 k1, float[1] s1, float[1] out)
        {
            k1 = Add(k, one)
            less = Less(k1, limit)
            early = Less(i, most)
            more = And(less, early)
            s1 = Add(s, x)
            out = Identity(s1)
        }
    >
}"""
ZERO, ONE_MORE = {"zero": np.int64(0)}, {"one": np.int64(1), "on": np.array(True)}


@pytest.mark.parametrize(("most", "limit"), [(4, 4), (100, 7), (5, 100), (1 << 40, 3000), (3, -1)])
def test_how_often_a_loop_runs_is_found_at_load(most, limit):
    """A condition on a counter that begins with a constant, as tf2onnx writes GRU and SimpleRNN of Keras."""
    constants = {**ZERO, **ONE_MORE, "most": np.int64(most), "limit": np.int64(limit)}
    loaded = check(model(COUNTED, **constants), {"x": np.full(1, 0.5, np.float32)})
    assert loaded.outputs[1].shape == (max(1, min(most, limit)), 1)


def test_a_loop_whose_count_means_for_ever_is_counted_too():
    """As JAX's while_loop comes: the largest int64, and a condition that ends it."""
    text = """g (float[4] x) => (float[4] y)
    {
        n, y = Loop (ever, on, zero, x) <
            body = b (int64 i, bool go, int64 k, float[4] h) => (bool more, int64 k2, float[4] h2)
            { k2 = Add(k, one)  more = Less(k2, limit)  s = Tanh(h)  h2 = Add(s, s) }
        >
    }"""
    constants = {**ZERO, **ONE_MORE, "ever": np.int64((1 << 63) - 1), "limit": np.int64(12)}
    check(model(text, **constants), {"x": X[0]})
    with pytest.raises(UnsupportedModelError, match="very many"):
        rt_engine.load(model(text.replace("Less(k2, limit)", "Less(zero, k2)"), **constants))


def test_a_loop_without_a_count_is_counted_too():
    """More iterations than are unrolled."""
    text = COUNTED.replace("Loop (most,", 'Loop ("",').replace("Less(i, most)", "Less(i, limit)")
    constants = {**ZERO, **ONE_MORE, "limit": np.int64(2500)}
    (_, all, k) = rt_engine.load(model(text, **constants)).run({"x": np.ones(1, np.float32)})
    assert all.shape == (2500, 1) and k == 2500


def test_a_counter_in_a_condition_on_data_is_its_bound():
    """`while size < limit and n < 7`, as PyTorch's while_loop comes."""
    text = CONDITIONAL.replace("(trips, ", '("", ').replace(
        "more = Less(size, limit)", "a = Less(size, limit)  more = And(a, c)"
    )
    text = text.replace("size = ", "seven = Constant <value = int64 {7}> ()  c = Less(n2, seven)  size = ")
    feed = {"limit": np.array(3, np.float32), "on": np.array(True)}
    feeds = [{**feed, "x": X * np.float32(scale)} for scale in (3, 1, 0.01, 1e-5)]
    counted(model(text), [*feeds, {**feeds[0], "on": np.array(False)}])


def test_a_loop_that_begins_for_sure_counts_from_its_first_iteration():
    """Nothing is peeled off one that has a bound: its body sees the iteration's number."""
    text = """g (float[4] x, float limit) => (float[4] y, int64 n)
    {
        y, n = Loop (, on, x, zero) <
            body = b (int64 i, bool go, float[4] h, int64 k) => (bool more, float[4] h2, int64 k2)
            {
                f = Cast <to = 1> (i)  h2 = Add(h, f)  k2 = Add(k, one)  size = ReduceMax <keepdims = 0> (h2)
                a = Less(size, limit)  c = Less(k2, nine)  more = And(a, c)
            }
        >
    }"""
    feeds = [{"x": X[0], "limit": np.array(limit, np.float32)} for limit in (0, 3, 1e9)]
    constants = {**ZERO, **ONE_MORE, "nine": np.int64(9)}
    counted(model(text, **constants), feeds)
    text = text.replace("more = And(a, c)", "more = Identity(a)")
    counted(model(text, **ZERO, **ONE_MORE, nine=np.int64(9)), feeds[:2], bounds={"y": 5})
    with pytest.raises(UnsupportedModelError, match="bounds="):
        rt_engine.load(model(text, **constants))


def test_what_a_condition_on_data_lets_it_collect_is_counted():
    """At most as often as the file says."""
    text = COUNTED.replace("less = Less(k1, limit)", "f = ReduceSum <keepdims = 0> (s)  less = Less(f, fraction)")
    constants = {**ZERO, **ONE_MORE, "most": np.int64(4), "fraction": np.float32(2)}
    loaded = counted(model(text, **constants), [{"x": np.full(1, x, np.float32)} for x in (3, 0.8, 0.1)])
    assert (4, 1) in [spec.shape for spec in loaded.outputs]


def test_an_endless_condition_is_refused():
    """It holds for ever, and nothing bounds it."""
    text = COUNTED.replace("Loop (most,", 'Loop ("",').replace("Less(i, most)", "Less(zero, one)")
    text = text.replace("Less(k1, limit)", "Less(zero, k1)")
    with pytest.raises(UnsupportedModelError, match="number of iterations"):
        rt_engine.load(model(text, **ZERO, **ONE_MORE))


def test_whether_an_endless_condition_ends_is_not_asked_in_every_turn(monkeypatch):
    """A loop without a bound that carries a tensor which grows: each question compiles a program."""
    asked = []
    monkeypatch.setattr(loops, "is_bounded", lambda *_: asked.append(1))
    text = """g (float[4] x) => (float[n] y) {
        y = Loop ("", on, x) <body = b (int64 i, bool go, float[k] h) => (bool more, float[m] longer) {
            longer = Concat <axis = 0> (h, x)
            more = Identity (go)
        }>
    }"""
    with pytest.raises(UnsupportedModelError):
        rt_engine.load(model(text, on=np.array(True)))
    assert not asked
    ends = text.replace("more = Identity (go)", "size = Size (longer) more = Less (size, most)")
    loaded = rt_engine.load(model(ends, on=np.array(True), most=np.int64(20)))
    assert loaded.outputs[0].shape == (20,) and len(asked) == 1
