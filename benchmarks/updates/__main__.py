"""PLC calls and link round trips with and without an update of a large model: python -m benchmarks.updates [--megabytes 500]

A station (1 ms task, Modbus link every 2 ms, ADS server) whose second model is a table of so many megabytes, replaced again and
again. A client in C calls the first one every millisecond. Quiet and busy rounds take turns, so that both meet the same moments.
"""

import argparse
import struct
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.c_programs import MissingError, compiled
from benchmarks.plc_calls.__main__ import HERE as CALLS
from benchmarks.plc_calls.__main__ import LIBMODBUS, Peer, client, free_port, results, started
from benchmarks.spoken import Spoken
from rt_native.histogram import edges_ns

COLUMNS = 128
WANTED = 1.2
REPLY = 6 + 32 + 8 + 8 + 4


def table(path: Path, megabytes: int, seed: int) -> None:
    """A model that looks up a row of a large table, and gives its mean."""
    rows = megabytes * 1_000_000 // (4 * COLUMNS)
    values = np.random.default_rng(seed).standard_normal((rows, COLUMNS), np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "i"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["y"], axes=[1]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1]), ("y", [1, 1]))]
    graph = helper.make_graph(nodes, "big", ends[:1], ends[1:], [numpy_helper.from_array(values, "table")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def mean(path: Path) -> None:
    """y is the mean of two inputs."""
    weights = numpy_helper.from_array(np.full((2, 1), 0.5, np.float32), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 2]), ("y", [1, 1])))
    graph = helper.make_graph([helper.make_node("Gemm", ["x", "w"], ["y"])], "mean", [x], [y], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def request() -> bytes:
    """ReadWrite of the predict group, of the first model."""
    inputs = np.array([1, 3], np.float32).tobytes()
    body = struct.pack("<4I", 0x5254_0001, 1, 8 + 4, len(inputs)) + inputs
    target, source = bytes((127, 0, 0, 1, 1, 1)), bytes((127, 0, 0, 1, 2, 1))
    head = target + struct.pack("<H", 851) + source + struct.pack("<HHHIII", 32_800, 9, 4, len(body), 0, 1)
    return struct.pack("<HI", 0, len(head) + len(body)) + head + body


class Measured:
    """What came of the rounds of one kind."""

    def __init__(self) -> None:
        self.calls: list[NDArray[np.int64]] = []
        self.bins: NDArray[np.int64] = np.zeros(len(edges_ns()) - 1, np.int64)
        self.updates: list[dict[str, Any]] = []

    def line(self, name: str) -> str:
        """In words."""
        times = np.concatenate(self.calls)
        p50, p99, p999 = np.percentile(times, (50, 99, 99.9)) / 1e3
        trips = [self.trip(p) / 1e3 for p in (50, 99, 99.9)]
        return (
            f"{name}, us: {len(times)} calls: p50 {p50:.0f}, p99 {p99:.0f}, p99.9 {p999:.0f}, longest {times.max() / 1e3:.0f}; "
            f"{self.bins.sum()} round trips of the link: p50 {trips[0]:.0f}, p99 {trips[1]:.0f}, p99.9 {trips[2]:.0f}"
        )

    def call_p99(self) -> float:
        """Nanoseconds: the median of the rounds."""
        return float(np.median([np.percentile(times, 99) for times in self.calls]))

    def trip(self, percent: float) -> float:
        """Nanoseconds of the link's round trips."""
        sums = np.cumsum(self.bins)
        return float(edges_ns()[1:][np.searchsorted(sums, sums[-1] * percent / 100)])


def measured(rounds: int, count: int, megabytes: int) -> dict[str, Measured]:
    """Quiet and busy rounds in turns."""
    found = {"quiet": Measured(), "busy": Measured()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mean(folder / "mean.onnx")
        for seed, name in enumerate(("a.onnx", "b.onnx")):
            table(folder / name, megabytes, seed)
        port = free_port()
        stack.enter_context(started(compiled(folder, LIBMODBUS, "-lmodbus"), "tcp", str(port)))
        station = Spoken(sys.executable, "-m", "benchmarks.updates.server", str(folder), str(port))
        stack.callback(station.close)
        program = compiled(folder, CALLS / "client.c")
        servers = [Peer("ADS", int(station.first["ads"].rsplit(":", 1)[1]), request(), REPLY)]
        for _ in range(rounds):
            for name, kind in found.items():
                if name == "busy":
                    station.ask("go")
                before = np.array(station.ask("link")["bins"])
                kind.calls.append(results(client(program, 1000, count, servers), count, servers)["ADS"])
                after = station.ask("link")
                kind.bins += np.array(after["bins"]) - before
                if name == "busy":
                    kind.updates += station.ask("stop")["updates"]
        print(f"{station.ask('link')['overruns']} overruns of the task")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.updates", description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=8000, help="of each round")
    arguments = parser.parse_args()
    found = measured(arguments.rounds, arguments.calls, arguments.megabytes)
    for name, kind in found.items():
        print(kind.line(name))
    quiet, busy = found["quiet"], found["busy"]
    took = ", ".join(f"{u['s']:.1f}" for u in busy.updates)
    print(f"updates took {took} s; the last: {busy.updates[-1]['said']}")
    calls, trips = busy.call_p99() / quiet.call_p99(), busy.trip(99) / quiet.trip(99)
    print(f"p99 with updates, as a multiple of that without (<= {WANTED:g}): calls {calls:.2f}, link {trips:.2f}")


if __name__ == "__main__":
    try:
        main()
    except MissingError as error:
        sys.exit(str(error))
