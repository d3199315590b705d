"""Attention as exporters write it: with any scale the results are those of its parts."""

import numpy as np
import pytest
from onnx import numpy_helper, parser

import rt_engine


@pytest.mark.parametrize("scale", [0.5, 0.0, -3.0, 1e-60])
def test_any_scale(scale):
    """A scale that is not more than 0 as a float32 is computed node by node."""
    model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[2,3,5,4] q, float[2,3,4,5] k, float[2,3,5,4] v) => (float[2,3,5,4] y) {
            s = MatMul(q, k)
            t = Mul(s, scale)
            p = Softmax<axis = -1>(t)
            y = MatMul(p, v)
        }""")
    model.graph.initializer.append(numpy_helper.from_array(np.float32(scale), "scale"))
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 5, 4), (2, 3, 4, 5), (2, 3, 5, 4)))
    loaded = rt_engine.load(model)
    weights = np.exp((q.astype(np.float64) @ k) * np.float32(scale))
    expected = weights / weights.sum(-1, keepdims=True) @ v
    np.testing.assert_allclose(loaded.run({"q": q, "k": k, "v": v})[0], expected, rtol=1e-5, atol=1e-5)
    fused = any(n.operator == "Attention" for n in loaded.program.nodes)
    assert fused == (np.float32(scale) > 0)
