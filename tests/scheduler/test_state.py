"""A model's state under a task: it moves on by one run per cycle, also over hot updates."""

from onnx import TensorProto, helper

import rt_engine
from scheduler import Scheduler
from tests.scheduler.test_scheduler import task, wait_for


def counter(extra: int = 0) -> rt_engine.Model:
    """y = before + x, and y is the next cycle's `before`; with `extra` nodes that change nothing."""
    nodes = [helper.make_node("Neg", ["x" if i == 0 else f"n{i - 1}"], [f"n{i}"]) for i in range(2 * extra)]
    nodes.append(helper.make_node("Add", ["before", f"n{2 * extra - 1}" if extra else "x"], ["y"]))
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "before", "y")}
    graph = helper.make_graph(nodes, "counter", [values["x"], values["before"]], [values["y"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return rt_engine.load(model, state={"y": "before"})


def test_every_cycle_counts_once_over_hot_updates() -> None:
    """What a model has counted after thirty updates is the number of cycles: none was lost at a switch, none came twice."""
    slot = rt_engine.ModelSlot(counter())
    t, _, y = task("t", slot, 0.001, watchdog=0)  # late cycles count, too
    with Scheduler([t]) as scheduler:
        wait_for(lambda: y.read().values[0] > 5)
        for number in range(30):
            result = scheduler.update(slot, counter(number % 3), margin_s=0.002)
            assert result.state == "carried"
        wait_for(lambda: scheduler.stats()["t"].cycles > 60)
    stats = scheduler.stats()["t"]
    (reader,) = slot.readers
    assert stats.failed == 0
    assert reader.context.state["before"][0] == stats.cycles
