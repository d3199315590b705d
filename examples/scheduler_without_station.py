"""A cyclic task in ten lines, without a station file: a network keeps the level of a tank, 500 times a second.

    python examples/scheduler_without_station.py

The tank is a Python function behind an in-process link; the network is one linear layer, valve = 4 - 2 * level.
"""

import sys
import time
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import rt_engine
from fieldbus.image import ProcessImage
from fieldbus.inprocess import InProcessLink
from fieldbus.tags import Tag
from scheduler import Input, Output, Scheduler, Task


def network() -> onnx.ModelProto:
    """What an exporter would give: float32[1, 1] -> float32[1, 1]."""
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1]) for name in ("level", "valve"))
    weights = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("w", [[-2.0]]), ("b", [4.0]))]
    graph = helper.make_graph([helper.make_node("Gemm", ["level", "w", "b"], ["valve"])], "tank", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Tank:
    """Flows in through the valve, out through a hole: level' = 5 (valve - level / 2)."""

    level = 0.0

    def exchange(self, outputs: dict[str, Any]) -> dict[str, float]:
        """One exchange of the link: the valve's position goes in, the level comes out."""
        self.level += 0.001 * 5 * (outputs["valve"] - self.level / 2)
        return {"level": self.level}


def main() -> int:
    """Run for two seconds; gives the exit code."""
    level = Tag("level", "float64", "in", unit="m")
    valve = Tag("valve", "float64", "out", low=0.0, high=5.0, safe=0.0)
    tank = Tank()

    link, image = InProcessLink("tank", [level, valve], tank.exchange, cycle_s=0.001), ProcessImage()
    measured, driven = link.subscribe(image, ["level"], "control"), link.drive(image, ["valve"], "control")
    task = Task(
        name="control",
        model=rt_engine.load(network()),
        period_s=0.002,
        inputs=(Input(tensor="level", channel=measured),),
        outputs=(Output(tensor="valve", channel=driven, max_rate=100.0),),
    )
    link.start()
    with Scheduler([task]) as scheduler:
        time.sleep(2.0)
        stats, reached = scheduler.stats()["control"], tank.level
    link.stop()

    print(f"level {reached:.3f} m (wanted: 1.600 m), {stats.status_text}, {stats.action.name}")
    print(f"{stats.cycles} cycles, {stats.overruns} overruns, {stats.missed} missed ticks")
    for name, times in (("wake-up", stats.wakeup), ("execution", stats.execution)):
        p50, p99, longest = (ns / 1000 for ns in (times.p50_ns, times.p99_ns, times.max_ns))
        print(f"{name}: p50 {p50:.1f} us, p99 {p99:.1f} us, max {longest:.1f} us")
    print(*scheduler.rights, sep="\n")
    return 0 if abs(reached - 1.6) < 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
