"""Files that want to harm whoever reads them: each is a sentence, and nothing is left of it."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rt_engine.apart import Apart
from rt_engine.binding import UNBOUND
from rt_engine.errors import EngineError
from rt_engine.gate import limits
from rt_engine.gate.job import GateJob
from rt_engine.read.source import Source
from tests.rt_engine.gate.models import proto

LARGE = 1 << 18


def endless():
    """Adds to its input for minutes, if that is above -1; nobody could say so without running it."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still"]),
            helper.make_node("Add", ["sum", "one"], ["more"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [LARGE]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [LARGE]),
        ],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Greater", ["most", "below"], ["go"]),
            helper.make_node("Loop", ["count", "go", "x"], ["y"], body=body),
        ],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [LARGE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [LARGE])],
        [
            numpy_helper.from_array(np.array(-1.0, np.float32), "below"),
            numpy_helper.from_array(np.array(1_000_000, np.int64), "count"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_a_run_that_never_ends_is_ended_by_its_time_of_the_processor():
    worker = Apart()
    with pytest.raises(EngineError, match=r"at the stage 'one run': it takes too long: has each of its loops an end"):
        worker.examine(Source(endless().SerializeToString(), "m.onnx"), UNBOUND, GateJob(once_s=0.2))
    assert not worker._children


@pytest.mark.parametrize("case", ["an enormous tensor", "nested deeply", "a contract nested deeply"])
def test_a_hostile_file_is_a_sentence(case):
    model = proto([("Identity", ["x"], ["y"])], [("x", [1 << 40, 1 << 20])], [("y", [1 << 40, 1 << 20])])
    if case != "an enormous tensor":
        model = proto([("Neg", ["x"], ["y"])], [("x", [1])], [("y", [1])])
        deep = "[" * 100_000
        onnx.helper.set_model_props(model, {"rt_engine.contract": deep})
    data = model.SerializeToString()
    if case == "nested deeply":
        data = _message(7, _nested(3000))
    source, job = Source(data, "m.onnx"), GateJob(once_s=1.0)
    if case == "a contract nested deeply":
        report = Apart().examine(source, UNBOUND, job).report
        assert "is nested too deeply to be a contract" in report.refusal
        return
    with pytest.raises(EngineError, match=r"m\.onnx"):
        Apart().examine(source, UNBOUND, job)


def _nested(levels):
    """A graph with a node with an attribute with a graph ..."""
    data = b""
    for _ in range(levels):
        data = _message(1, _message(5, _message(6, data)))
    return data


def _message(field, data):
    return bytes([field << 3 | 2, *_varint(len(data))]) + data


def _varint(number):
    while number > 127:
        yield number & 127 | 128
        number >>= 7
    yield number


def test_a_worker_may_take_no_more_than_the_machine_has_free(monkeypatch):
    monkeypatch.setattr(limits, "free_bytes", lambda: 1 << 30)
    assert limits.most_bytes(1 << 20) == limits.OWN_BYTES + int(0.8 * (1 << 30))
    monkeypatch.setattr(limits, "free_bytes", lambda: 1 << 40)
    assert limits.most_bytes(1 << 20) == (4 << 30) + (32 << 20)


def test_a_worker_stays_away_from_the_cores_of_tasks():
    """Unless there is no other."""
    code = """
import os
from rt_engine.gate.limits import stand_back
here = sorted(os.sched_getaffinity(0))
stand_back(0, here[:1])
print(sorted(os.sched_getaffinity(0)) == (here[1:] or here))
stand_back(0, here)
print(sorted(os.sched_getaffinity(0)) == (here[1:] or here))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True\nTrue\n"


def test_memory_that_is_not_there_is_a_sentence():
    """A limit of this process is one of the worker too."""
    code = """
import resource, sys
from rt_engine.apart import Apart
from rt_engine.binding import UNBOUND
from rt_engine.gate.job import GateJob
from rt_engine.read.source import Source
from tests.rt_engine.gate.models import proto
model = proto([("Tile", ["x", "n"], ["y"])], [("x", [1000, 1000])], [("y", [100000, 1000])])
import numpy as np
from onnx import numpy_helper
model.graph.initializer.append(numpy_helper.from_array(np.array([100, 1]), "n"))
resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))
try:
    Apart().examine(Source(model.SerializeToString(), "m.onnx"), UNBOUND, GateJob())
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.startswith("EngineError") and ("too little memory" in said or "has ended" in said), said
