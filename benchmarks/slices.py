"""ResNet-50 inside a task of 1 kHz: does the task miss a tick, and are the results those of a whole run?

    python -m benchmarks.slices                              a minute, slices of 300 us
    python -m benchmarks.slices --slice 500 --seconds 10     microseconds
    python -m benchmarks.slices --threads 2                  another core helps

The network has random weights and is made here, so nothing else is needed. Beside it runs an empty task of 1 kHz on the same core, in
a thread of its own: what that misses, the machine took away. One line of JSON; times in microseconds.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from fieldbus.image.image import ProcessImage
from fieldbus.tags import Tag
from rt_engine.run.slicing import slice_runs
from scheduler import Guard, Input, Output, Scheduler, Task

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Of ResNet-50: channels within a block, blocks, stride of the first."""
OUTPUTS = 8


@dataclass
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(50))

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, inputs, [name], name=f"{operator.lower()}_{len(self.nodes)}", **attributes)
        )
        return name

    def weight(self, value: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def conv(self, x: str, inputs: int, outputs: int, size: int, stride: int = 1) -> str:
        weights = self.random.normal(0, (2 / (inputs * size * size)) ** 0.5, (outputs, inputs, size, size)).astype(
            np.float32
        )
        names = [x, self.weight(weights), self.weight(np.zeros(outputs, np.float32))]
        return self.add("Conv", names, pads=[size // 2] * 4, strides=[stride, stride], kernel_shape=[size, size])

    def block(self, x: str, inputs: int, channels: int, stride: int) -> str:
        inner = self.add("Relu", [self.conv(x, inputs, channels, 1)])
        inner = self.add("Relu", [self.conv(inner, channels, channels, 3, stride)])
        half = self.add("Mul", [self.conv(inner, channels, 4 * channels, 1), self.weight(np.float32(0.3))])
        same = inputs == 4 * channels and stride == 1
        return self.add("Relu", [self.add("Add", [half, x if same else self.conv(x, inputs, 4 * channels, 1, stride)])])


def resnet50() -> onnx.ModelProto:
    """x [1, 1] times an image that is a constant -> y [1, 8]: ResNet-50 for 224 x 224 with random weights."""
    g = _Graph()
    image = g.weight(g.random.normal(0, 1, (1, 3, 224, 224)).astype(np.float32))
    x = g.add("Mul", [g.add("Reshape", ["x", g.weight(np.array([1, 1, 1, 1], np.int64))]), image])
    x = g.add("Relu", [g.conv(x, 3, 64, 7, 2)])
    x, inputs = g.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64
    for channels, blocks, stride in STAGES:
        for number in range(blocks):
            x, inputs = g.block(x, inputs, channels, stride if number == 0 else 1), 4 * channels
    x = g.add("Flatten", [g.add("GlobalAveragePool", [x])])
    g.nodes.append(
        helper.make_node("MatMul", [x, g.weight(g.random.normal(0, 0.05, (2048, OUTPUTS)).astype(np.float32))], ["y"])
    )
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n]) for name, n in (("x", 1), ("y", OUTPUTS))]
    graph = helper.make_graph(g.nodes, "resnet-50", ends[:1], ends[1:], g.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tasks(model: rt_engine.Model, slice_s: float, cpu: int, threads: int) -> Iterator[Task]:
    """The sliced one with its channels, and the empty one."""
    image, names = ProcessImage(), [f"y{k}" for k in range(OUTPUTS)]
    x = image.channel("x", [Tag("x", "float64", "in")], writer="w", reader="r")
    y = image.channel("y", [Tag(name, "float64", "out") for name in names], writer="w", reader="r")
    yield Task(
        name="vision", model=model, period_s=1e-3, slice_s=slice_s, threads=threads, cpu=cpu, priority=80, watchdog=0, thread="vision",
        inputs=(Input(tensor="x", channel=x),), outputs=(Output(tensor="y", channel=y, count=OUTPUTS),),
        guard=Guard(max_age_s=float("inf")),
    )  # fmt: skip
    yield Task(name="empty", period_s=1e-3, cpu=cpu, priority=90, watchdog=0, thread="empty")


def measure(seconds: float, slice_s: float, cpu: int, threads: int) -> dict[str, Any]:
    """Run both; compare every result that is seen with a whole run on its input."""
    model = rt_engine.load(resnet50())
    context, inputs, wanted = model.context(), (0.5, 1.0, -2.0), dict[float, bytes]()
    whole = int(np.median(context.measure(5)))
    for value in inputs:
        context.inputs["x"][...] = value
        context.run()
        wanted[value] = context.outputs["y"].astype(np.float64).tobytes()
    known = slice_runs(model.context(), round(slice_s * 1e9), threads=threads)
    vision, empty = tasks(model, slice_s, cpu, threads)
    x, y = vision.channels_read[0], vision.channels_written[0]
    seen, wrong, number, safe = set[bytes](), 0, 0, np.zeros(OUTPUTS).tobytes()
    x.write([inputs[0]])
    with Scheduler([vision, empty]) as scheduler:
        time.sleep(1.0)
        scheduler.reset_stats()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.05)
            number += 1
            if number % 40 == 0:
                x.write([inputs[number // 40 % len(inputs)]])
            found = y.read().values.tobytes()
            if found != safe:  # as they are where a helper was late, until the next result
                seen.add(found)
                wrong += found not in wanted.values()
        stats = scheduler.stats()
        fifo = all(grant.granted for grant in scheduler.rights if "SCHED_FIFO" in grant.name)
    return _row(stats, known, whole, fifo) | {"results_seen": len(seen), "wrong": wrong}


def _row(stats: Any, known: Any, whole: int, fifo: bool) -> dict[str, Any]:
    vision, empty = stats["vision"], stats["empty"]
    slices = vision.slices
    return {
        "whole_run_ms": round(whole / 1e6, 2), "pieces": known.pieces, "split": known.split, "cycles_foretold": known.cycles,
        "cycles": vision.cycles, "missed": vision.missed, "missed_by_the_empty_task": empty.missed, "runs": vision.runs,
        "cycles_of_a_run": slices.cycles, "most_cycles": slices.most_cycles, "run_in_slices_ms": round(slices.run_ns / 1e6, 2),
        "slice_us": slices.slice_ns / 1e3, "longest_slice_us": round(slices.longest_ns / 1e3, 1),
        "slice_overruns": vision.slice_overruns,
        "cycle_p50_us": round(vision.execution.p50_ns / 1e3, 1), "cycle_p99_99_us": round(vision.execution.p99_99_ns / 1e3, 1),
        "longest_cycle_us": round(vision.execution.max_ns / 1e3, 1), "longest_empty_cycle_us": round(empty.execution.max_ns / 1e3, 1),
        "complaint": known.complaint, "fifo": fifo, "threads": known.threads, "helpers_late": vision.helpers_late,
        "pieces_taken_back": vision.pieces_taken_back,
        "longest_wait_us": round(vision.barrier.max_ns / 1e3, 1) if vision.barrier else 0.0,
    }  # fmt: skip


def main() -> None:
    """One measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slice", type=float, default=300.0, help="microseconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--cpu", type=int, default=0, help="the core")
    parser.add_argument("--threads", type=int, default=1, help="cores that run it together")
    args = parser.parse_args()
    print(json.dumps(measure(args.seconds, args.slice / 1e6, args.cpu, args.threads)), flush=True)


if __name__ == "__main__":
    main()
