"""MNN computes what ONNX Runtime does, or says what it cannot read; nothing is printed meanwhile."""

import numpy as np
import pytest

from benchmarks.models import mlp
from rt_engine.measure.compare import compare
from rt_engine.measure.engines import RefusedError
from rt_engine.measure.peers import is_installed, peers
from rt_engine.measure.trial import runner
from tests import need

pytestmark = pytest.mark.skipif(not is_installed("mnn"), reason="for benchmarks alone: pip install MNN")

X = {"x": np.ones((1, 3), np.float32)}


def test_the_same_values(tmp_path):
    need.package("onnxruntime")
    path = tmp_path / "m.onnx"
    path.write_bytes(mlp([3, 4, 2], "Tanh").SerializeToString())
    found = compare(path, X, None, peers("onnxruntime,mnn"), seconds=0.05, cold=False)
    assert set(found.timings) == {"onnxruntime", "mnn"} and not found.wrong and not found.refused


def test_a_file_that_it_cannot_read_is_refused(tmp_path, capfd):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(RefusedError, match=r"^cannot (read|run)"):
        runner(peers("mnn")[0], tmp_path / "m.onnx", X)
    assert capfd.readouterr().out == ""
