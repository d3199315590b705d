"""Models that PyTorch and scikit-learn exported give what the frameworks computed; see make_golden.py.

The measure is relative to the whole output: the largest deviation, over the largest magnitude that the framework gave.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rt_engine

GOLDEN = Path(__file__).with_name("golden")
TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}
CASES = [
    pytest.param(path, batch, id=f"{path.stem}-{batch}")
    for path in sorted(GOLDEN.glob("*.npz"))
    for batch in sorted(
        {int(key.partition(":")[0].removeprefix("in")) for key in np.load(path) if key.startswith("in")}
    )
]


def test_there_are_golden_files() -> None:
    """Both frameworks are there, so that an empty folder does not pass."""
    names = {path.name.partition("_")[0] for path in GOLDEN.glob("*.npz")}
    assert names == {"torch", "sklearn", "lightgbm", "xgboost"}
    assert {path.stem for path in GOLDEN.glob("*.npz")} == {path.stem for path in GOLDEN.glob("*.onnx")}


@pytest.mark.parametrize(("path", "batch"), CASES)
def test_agrees_with_the_framework(path: Path, batch: int) -> None:
    """Shape, type and values of every output are the framework's, to 1e-5 in float32 and exactly for integers."""
    arrays = np.load(path)
    feeds = {key.partition(":")[2]: arrays[key] for key in arrays if key.startswith(f"in{batch}:")}
    expected = {key.partition(":")[2]: arrays[key] for key in arrays if key.startswith(f"out{batch}:")}
    shapes = {name: value.shape for name, value in feeds.items()}
    model = rt_engine.load(path.with_suffix(".onnx"), shapes=shapes)
    assert {spec.name for spec in model.outputs} == set(expected)
    for spec, got in zip(model.outputs, model.run(feeds), strict=True):
        want = expected[spec.name]
        assert (got.shape, got.dtype) == (want.shape, want.dtype), spec.name
        if want.dtype not in TOLERANCE:
            assert np.array_equal(got, want), spec.name
            continue
        deviation = np.abs(got.astype(np.float64) - want.astype(np.float64)).max()
        assert deviation <= TOLERANCE[want.dtype] * np.abs(want).max(), f"{spec.name}: off by {deviation:.3g}"
