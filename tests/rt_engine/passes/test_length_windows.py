"""A Slice that begins where a run says, and has a known length: as ONNX Runtime gives it, or a status."""

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper, parser

import rt_engine
from rt_engine.errors import RunError, UnsupportedModelError
from rt_engine.status import Status

X = np.arange(60, dtype=np.float32).reshape(5, 12)
FOUR, ONE, TWO = (np.array([n], np.int64) for n in (4, 1, 2))

FORMS = {
    "ends are starts and sizes": "a = Unsqueeze(i, zero)  b = Add(a, four)  y = Slice(x, a, b, one)",
    "32 bits": "c = Cast<to=6>(i)  d = Cast<to=7>(c)  a = Unsqueeze(d, zero)  b = Add(four, a)  y = Slice(x, a, b, one, one)",
    "starts are ends less their sizes": "b = Unsqueeze(i, zero)  e = Sub(b, one)  a = Sub(e, two)  y = Slice(x, a, b, one)",
    "one axis moves": "p = Unsqueeze(i, zero)  a = Concat<axis=0>(one, p)  b = Add(sizes, a)  y = Slice(x, a, b, axes)",
    "both move": "p = Unsqueeze(i, zero)  q = Sub(p, one)  a = Concat<axis=0>(q, p)  b = Add(a, sizes)  y = Slice(x, a, b, axes)",
    "from a vector": "j = Unsqueeze(i, zero)  k = Mul(j, axes)  b = Add(k, sizes)  y = Slice(x, k, b, axes)",
}


def model(nodes):
    text = f"""<ir_version: 9, opset_import: ["": 18]> g (float[5, 12] x, int64 i) => (float[h, w] y) {{ {nodes} }}"""
    proto = parser.parse_model(text)
    constants = {
        "zero": np.array([0]), "one": ONE, "two": TWO, "four": FOUR, "axes": np.array([0, 1]), "sizes": np.array([2, 3]),
    }  # fmt: skip
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a, np.int64), n) for n, a in constants.items())
    return proto


@pytest.mark.parametrize("form", FORMS)
def test_a_window_is_what_onnx_runtime_gives(form):
    proto = model(FORMS[form])
    session, loaded = onnxruntime.InferenceSession(proto.SerializeToString()), rt_engine.load(proto)
    for i in (3, 1, 4) if form == "both move" else (3, 5, 8) if form != "from a vector" else (0, 1, 3):
        feeds = {"x": X, "i": np.array(i)}
        (wanted,), (got,) = session.run(None, feeds), loaded.run(feeds)
        assert wanted.size and np.array_equal(got, wanted)


@pytest.mark.parametrize("place", [-1, -12, 9, 1 << 40])
def test_a_window_that_is_not_in_its_tensor_ends_the_run(place):
    loaded = rt_engine.load(model(FORMS["ends are starts and sizes"]))
    with pytest.raises(RunError) as error:
        loaded.run({"x": X, "i": np.int64(place)})
    assert error.value.status == Status.INDEX_OUT_OF_RANGE


CHAINS = {
    "each reads the one before twice": (40, "a{n} = Add(a{m}, a{m})"),
    "deep": (1000, "a{n} = Add(a{m}, one)"),
    "long": (14, "a{n} = Concat<axis=0>(a{m}, a{m})"),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_place_that_is_made_in_many_steps_takes_no_time(chain):
    """A file of a few bytes does not hang what loads it."""
    steps, each = CHAINS[chain]
    made = "  ".join(each.format(n=n + 1, m=n) for n in range(steps))
    with pytest.raises(UnsupportedModelError, match="Slice"):
        rt_engine.load(model(f"a0 = Unsqueeze(i, zero)  {made}  y = Slice(x, zero, a{steps}, zero, zero)"))


def chosen(nodes):
    """V are the elements of x above t, s its shape."""
    text = f"""<ir_version: 9, opset_import: ["": 18]> g (float[5] x, float[1] t) => (float[h] y) {{
        above = Greater(x, t)  f = NonZero(above)  p = Transpose(f)  v = GatherND(x, p)  s = Shape(v)  {nodes} }}"""
    proto = parser.parse_model(text)
    numbers = {
        "zero": [0], "three": [3], "four": [4], "five": [5], "first": 1, "seven": np.ones(1, np.float32),
        "flags": np.array([True, True, False, True]),
    }  # fmt: skip
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in numbers.items())
    return proto


def as_onnx_runtime(places_of, nodes, constants, x, places):
    """What a model of x and places gives is what ONNX Runtime gives, wherever they are; gives the model."""
    proto = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["": 18]> g (float[5] x, {places_of}) => (float[h] y) {{ {nodes} }}"""
    )
    proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
    session, loaded = onnxruntime.InferenceSession(proto.SerializeToString()), rt_engine.load(proto)
    for place in places:
        feeds = {"x": x, **place}
        wanted, (y, n) = session.run(None, feeds)[0], (*loaded.run(feeds), 1)[:2]
        assert np.array_equal(y[: int(n)], wanted.reshape(-1)), place
    return loaded


PARTS = {
    "of a tensor": "y = Slice(x, a, b, zero)",
    "its end": "s = Shape(x)  e = Slice(s, zero, one)  y = Slice(x, a, e, zero)",
    "of what has a length": "n = NonZero(x)  k = Transpose(n)  v = GatherND(x, k)  y = Slice(v, a, b, zero)",
    "of a part": "v = Slice(x, zero, b, zero)  y = Slice(v, a, b, zero)",
    "of a part, its end": "v = Slice(x, a, b, zero)  y = Slice(v, zero, b, zero)",
    "from the last but one": "q = Add(a, b)  v = Slice(x, two, q, zero)  p = Slice(x, a, b, zero)  y = Concat<axis=0>(v, p)",
    "summed, as an EmbeddingBag": "p = Slice(x, a, b, zero)  y = ReduceSum(p, zero)",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_between_two_places_that_data_decide_is_what_onnx_runtime_gives(part):
    """Empty where it ends before it begins, cut where the tensor ends; below 0 a place is counted from there."""
    constants = {name: np.array([n]) for name, n in {"zero": 0, "one": 1, "two": -2}.items()}
    x = np.float32([3, 0, 5, 7, 9]) if "length" in part else X[1, :5]
    pairs = (0, 5), (1, 3), (2, 2), (3, 1), (4, 90), (7, 9), (-2, 5), (-3, -1), (-90, 4), (1, -1), (-1, -3), (0, -90)
    as_onnx_runtime(
        "int64[1] a, int64[1] b",
        PARTS[part],
        constants,
        x,
        [{"a": np.array([a]), "b": np.array([b])} for a, b in pairs],
    )


EMPTY = {
    "ends at the first": "y = Slice(x, a, zero, zero)",
    "of what has a length": "n = NonZero(x)  k = Transpose(n)  v = GatherND(x, k)  y = Slice(v, a, zero, zero)",
}


@pytest.mark.parametrize("part", EMPTY)
def test_a_part_that_never_has_an_element_is_empty(part):
    places = [{"a": np.array([a])} for a in (0, 2, -2, 9)]
    loaded = as_onnx_runtime("int64[1] a", EMPTY[part], {"zero": np.array([0])}, np.float32([3, 0, 5, 7, 9]), places)
    assert loaded.outputs[0].shape == (0,)


OF_CONSTANTS = {
    "its end": "p = Slice(k, zero, b, zero)  y = ReduceSum(p, zero)",
    "its end, as a table of positions": "p = Slice(k, zero, b, zero)  y = Mul(p, p)",
    "behind a first part": "v = Slice(x, zero, b, zero)  p = Concat<axis=0>(v, k)  y = Slice(p, zero, b, zero)",
    "counted from the end": "y = Slice(k, last, b, zero)",
}


@pytest.mark.parametrize("part", OF_CONSTANTS)
def test_a_part_of_a_constant_is_as_long_as_data_decide(part):
    """It is no constant, though its elements are."""
    constants = {"zero": np.array([0]), "last": np.array([-2]), "k": X[1, :5]}
    places = [{"b": np.array([b])} for b in (0, 1, 3, 5, 90)]
    as_onnx_runtime("int64[1] b", OF_CONSTANTS[part], constants, X[0, :5], places)


MISFITS = {
    "sizes": "y = Concat<axis=0>(p, wide)",
    "sizes, the other first": "y = Concat<axis=0>(wide, p)",
    "types": "d = Cast<to=11>(x)  y = Concat<axis=0>(d, p)",
    "ranks": "y = Concat<axis=0>(p, two)",
    "axes": "y = Slice(x, a, a, seven)",
    "starts and axes": "c = Concat<axis=0>(a, a)  y = Slice(x, c, c, zero)",
    "no vector": "s = Squeeze(a)  y = Slice(x, s, s, zero)",
}
SENTENCES = {
    "sizes": r"'p' is float32\[5, 4\] and 'wide' float32\[3, 7\]", "sizes, the other first": "'wide' is .* and 'p' ",
    "types": r"'d' is float64\[5, 4\] and 'p' float32", "ranks": r"'p' is .* and 'two' float32\[2\]",
    "axes": "axis 7 of a tensor with 2", "starts and axes": "2 starts, 2 ends, 1 axes", "no vector": "starts are no vector",
}  # fmt: skip


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_together_is_refused(misfit):
    """A length that data decide is no way around the shapes and types that ONNX asks for."""
    proto = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["": 18]> g (float[5, 4] x, int64[1] a) => (float[h, w] y)
            {{ p = Slice(x, zero, a, zero) {MISFITS[misfit]} }}"""
    )
    constants = {"zero": np.array([0]), "seven": np.array([7]), "wide": X[:3, :7], "two": X[0, :2]}
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items())
    with pytest.raises(UnsupportedModelError, match=SENTENCES[misfit]):
        rt_engine.load(proto)


def test_a_refusal_names_a_node_of_a_body_as_the_file_does():
    """Not as each turn of the loop is called that it became; and what has no name by its output."""
    proto = parser.parse_model(
        """<ir_version: 9, opset_import: ["": 18]> g (float[5] x, int64 i) => (float[5] y) { y = Loop(two, on, x)
            <body = b (int64 n, bool on1, float[5] h1) => (bool on2, float[5] h2)
            { on2 = Identity(on1) [mine] p = Slice(h1, i, i, zero) q = Slice(h1, i, i, zero) s = Add(p, q) h2 = Add(h1, s) }> }"""
    )
    constants = {"zero": np.array([0]), "two": np.array(2), "on": np.array(True)}
    proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
    with pytest.raises(UnsupportedModelError) as refused:
        rt_engine.load(proto)
    assert {reason.node for reason in refused.value.reasons} == {"mine", "q"}


ENDS = {
    "from a known place": "y = Slice(x, one, b, zero)",
    "of the last ones": "y = Slice(x, last, b, zero)",
    "of the last ones, from the end": "y = Slice(x, a, last, zero)",
    "of what has a length": "n = NonZero(x)  k = Transpose(n)  v = GatherND(x, k)  y = Slice(v, one, b, zero)",
    "of the last ones of what has a length": "n = NonZero(x)  k = Transpose(n)  v = GatherND(x, k)  y = Slice(v, last, b, zero)",
}


@pytest.mark.parametrize("part", ENDS)
def test_one_place_is_known_and_data_decide_the_other(part):
    """Indices may be int32, all of them."""
    kind = "int32"
    proto = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["": 18]> g (float[5] x, {kind}[1] a, {kind}[1] b) => (float[h] y) {{ {ENDS[part]} }}"""
    )
    places = {"zero": 0, "one": 1, "last": -3}
    proto.graph.initializer.extend(numpy_helper.from_array(np.array([n], kind), k) for k, n in places.items())
    session, loaded = onnxruntime.InferenceSession(proto.SerializeToString()), rt_engine.load(proto)
    for a, b in ((0, 5), (1, 3), (2, 2), (3, 1), (4, 90), (7, 0)):
        feeds = {"x": np.float32([3, 0, 5, 7, 9]), "a": np.array([a], kind), "b": np.array([b], kind)}
        wanted, (y, n) = session.run(None, feeds)[0], loaded.run(feeds)
        assert np.array_equal(y[: int(n)], wanted), (a, b)


LESS = {
    "its end": "k = Sub(s, three)  y = Slice(x, zero, k)",
    "its beginning": "k = Sub(s, three)  y = Slice(x, k, five)",
    "of what has a length": "k = Sub(s, three)  y = Slice(v, k, s)",
    "a size": "k = Sub(s, three)  y = Expand(seven, k)",
}


@pytest.mark.parametrize("what", LESS)
def test_a_length_less_a_number_that_is_below_0_ends_the_run(what):
    """ONNX counts it from the end of the axis, so that the first elements of 2 - 3 are all but one."""
    loaded = rt_engine.load(chosen(LESS[what]))
    session = onnxruntime.InferenceSession(chosen(LESS[what]).SerializeToString())
    for count in (5, 4, 3, 2):
        feeds = {"x": X[0, :5], "t": np.float32([4.5 - count])}
        if count < 3:
            with pytest.raises(RunError) as error:
                loaded.run(feeds)
            assert error.value.status == Status.INDEX_OUT_OF_RANGE
        else:
            y, n = loaded.run(feeds)
            assert np.array_equal(y[: int(n)], session.run(None, feeds)[0])


KEPT = {
    "within a body": "n = Squeeze(s)  k = Sub(s, three)  c = Greater(n, first)  y = If(c) "
    "<then_branch = a () => (float[p] r) { r = Slice(x, zero, k) }, else_branch = b () => (float[q] u) { u = Neg(v) }>",
    "not below 0": "k = Sub(s, three)  m = Max(k, zero)  y = Slice(x, m, five)",
    "the smaller one": "k = Sub(s, three)  m = Min(k, s)  y = Cast<to=1>(m)",
    "chosen by more than there are": "c = Slice(flags, zero, four)  w = Compress<axis=0>(c, c)  y = Compress<axis=0>(v, w)",
    "chosen by a constant": "y = Compress<axis=0>(v, flags)",
}


@pytest.mark.parametrize("what", KEPT)
def test_what_is_made_of_two_lengths_is_what_onnx_runtime_gives(what):
    loaded = rt_engine.load(chosen(KEPT[what]))
    session = onnxruntime.InferenceSession(chosen(KEPT[what]).SerializeToString())
    for count in (5, 4, 2, 1, 0):
        feeds = {"x": X[0, :5], "t": np.float32([4.5 - count])}
        y, n = (*loaded.run(feeds), 1)[:2]
        assert np.array_equal(y[: int(n)], session.run(None, feeds)[0]), count
