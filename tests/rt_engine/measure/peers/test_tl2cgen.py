"""Trees as C code compute what the file says; what is no tree ensemble, or a machine without a compiler, is said."""

import shutil

import numpy as np
import pytest

from benchmarks.models import mlp
from rt_engine.measure.engines import RefusedError
from rt_engine.measure.peers import is_installed, peers
from rt_engine.measure.trial import runner

pytestmark = pytest.mark.skipif(
    not is_installed("tl2cgen"), reason="for benchmarks alone: pip install tl2cgen treelite"
)
X = {"x": np.ones((1, 3), np.float32)}


@pytest.fixture
def forest(tmp_path):
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestRegressor

    x = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    trees = RandomForestRegressor(3, max_depth=3, random_state=0).fit(x, x[:, 0] * x[:, 1])
    (tmp_path / "m.onnx").write_bytes(to_onnx(trees, x[:1]).SerializeToString())
    return tmp_path / "m.onnx", trees.predict(X["x"])


def test_the_same_values(forest):
    path, expected = forest
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc: apt-get install gcc")
    (y,) = runner(peers("tl2cgen")[0], path, X).result().values()
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5)


def test_another_sample_is_fed(forest):
    """Its own value, which is another."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc: apt-get install gcc")
    running, other = runner(peers("tl2cgen")[0], forest[0], X), runner(peers("tl2cgen")[0], forest[0], {"x": -X["x"]})
    (first,), (wanted,) = running.result().values(), other.result().values()
    running.feed({"x": -X["x"]})
    (second,) = running.result().values()
    assert second == wanted != first


def test_a_machine_without_a_compiler_is_told(forest, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RefusedError, match="no C compiler"):
        runner(peers("tl2cgen")[0], forest[0], X)


def test_a_network_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(mlp([3, 4, 2], "Tanh").SerializeToString())
    with pytest.raises(RefusedError, match="not one tree ensemble"):
        runner(peers("tl2cgen")[0], tmp_path / "m.onnx", X)
