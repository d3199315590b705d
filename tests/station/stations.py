"""Small stations on disk, for tests: tiny ONNX models, a device that is a Python function, and how to run them."""

import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from station.errors import StationFileError
from station.file.reading import read_station

SIM = """\
[links.sim]
type = "in-process"
device = "device.py:device"
cycle = "1 ms"
timeout = "10 s"
"""
"""Its timeout is longer than a busy machine stands still."""
PLC = """\
[links.plc]
type = "plc"
timeout = "300 ms"
"""
AXIS = """\
[tags]
a = {}
b = {}
force = { direction = "out", low = -10, high = 10, safe = -1 }

[tasks.axis]
model = "mean"
cycle = "1 ms"
inputs = ["a", "b"]
outputs = ["force"]
"""


def station_text(name: str, *tables: str) -> str:
    """A station file with the model `mean` and these tables; the first may begin with lines of the model."""
    head = f'[station]\nname = "{name}"\n\n[models.mean]\nfile = "mean.onnx"\n'
    return head + "\n" + "\n".join(tables)


STATION = station_text("bench", SIM, AXIS)

DEVICE = """\
received = []

def device(outputs):
    received.append(outputs["force"])
    return {"a": 1.0, "b": 3.0}
"""
ENDS = """\
import os, signal

asked = []

def device(outputs):
    if outputs["force"] == 2.0 and not asked:
        asked.append(os.kill(os.getpid(), signal.SIGTERM))
    return {"a": 1.0, "b": 3.0}
"""
"""A device that ends its station, as SIGTERM does, once it has the model's output: however slow the machine is, that run went well."""


def gemm(path: Path, inputs: int, gain: float = 1.0) -> Path:
    """A model whose output is `gain` times the mean of its inputs."""
    weights = numpy_helper.from_array(np.full((inputs, 1), gain / inputs, np.float32), "w")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inputs])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph([helper.make_node("Gemm", ["x", "w"], ["y"])], "mean", [x], [y], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_station(folder: Path, text: str = STATION, device: str = DEVICE) -> Path:
    """A station file with everything that it names beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    gemm(folder / "mean.onnx", 2)
    gemm(folder / "twice.onnx", 2, 2.0)
    gemm(folder / "wide.onnx", 5)
    (folder / "device.py").write_text(device)
    path = folder / "station.toml"
    path.write_text(text)
    return path


class Recorder:
    """A view that keeps snapshots, and calls back at each."""

    def __init__(self, on_show=lambda: None):
        self.snapshots, self._on_show = [], on_show

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass

    def show(self, snapshot):
        self.snapshots.append(snapshot)
        self._on_show()


@contextmanager
def running(station):
    """The station started, and watched in a thread, as `rt-engine run` does."""
    with station:
        watch = threading.Thread(target=station.run, args=(Recorder(),))
        watch.start()
        try:
            yield
        finally:
            station.request_stop()
            watch.join()


def problems_of_server(folder: Path, name: str, kind: str, keys: str) -> list[tuple[str, str]]:
    """(key, message) of each error and warning about a station with a server of this kind, and these keys."""
    text = station_text("press", SIM, AXIS, f'[servers.{name}]\ntype = "{kind}"\n{keys}\n')
    try:
        found = read_station(write_station(folder, text)).warnings
    except StationFileError as error:
        found = error.problems
    return [(problem.key, problem.message) for problem in found]
