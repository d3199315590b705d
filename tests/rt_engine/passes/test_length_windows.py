"""A Slice that begins where a run says, and has a known length: as ONNX Runtime gives it, or a status."""

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper, parser

import rt_engine
from rt_engine.errors import RunError
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
