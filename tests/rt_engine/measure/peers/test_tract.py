"""tract computes what ONNX Runtime does."""

import numpy as np
import pytest

from benchmarks.models import mlp
from rt_engine.measure.compare import compare
from rt_engine.measure.peers import is_installed, peers
from tests import need

pytestmark = pytest.mark.skipif(not is_installed("tract"), reason="for benchmarks alone: pip install tract")


def test_the_same_values(tmp_path):
    need.package("onnxruntime")
    path = tmp_path / "m.onnx"
    path.write_bytes(mlp([3, 4, 2], "Tanh").SerializeToString())
    x = {"x": np.ones((1, 3), np.float32)}
    found = compare(path, x, None, peers("onnxruntime,tract"), seconds=0.05, cold=False)
    assert set(found.timings) == {"onnxruntime", "tract"} and not found.wrong and not found.refused
