"""The light models that ship with `onnx`: well-known image networks with constant weights, and the outputs they give."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import rt_engine

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MODELS = sorted(path.stem for path in FOLDER.glob("*.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_light_model(name):
    """ONNX's own output for the ramp that ONNX's own runner feeds."""
    model = rt_engine.load(FOLDER / f"{name}.onnx")
    (spec,) = model.inputs
    size = int(np.prod(spec.shape))
    x = (np.arange(size).reshape(spec.shape) / size).astype(np.float32)
    (y,) = model.run({spec.name: x})
    expected = onnx.numpy_helper.to_array(onnx.load_tensor(FOLDER / f"{name}_output_0.pb"))
    assert y.dtype == expected.dtype
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-7)
