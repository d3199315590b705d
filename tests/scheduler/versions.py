"""A real slot whose versions compute what a Python function says, and a bench that changes them between two cycles."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

import rt_engine
from fieldbus.image.image import Channel
from rt_engine import Context, Model
from rt_engine.kernels.interface.record import RECORD
from rt_engine.reader import Prepare, SlotReader
from rt_engine.slot_change import SlotChange
from rt_native.memory import Block
from scheduler import Input, Output, Task
from scheduler.runner import TaskRunner
from scheduler.second import Terms
from scheduler.task_block import Control
from tests.scheduler.fakes import _PAIR, ANY_AGE, EPOCH, MS, FakeClock, channel
from tests.scheduler.models import scale

Compute = Callable[["Run"], int | None]


class Run:
    """One run of a version: what the function that computes it gets."""

    def __init__(self, version: int, context: Context) -> None:
        self.version, self.count = version, 0
        self.x, self.state, self.y = context.inputs["x"], context.state["before"], context.outputs["y"]
        self.free = context.outputs["free"]


def template() -> Model:
    """float32[1]: x, a state, an output y, and one that no task reads. What it computes does not matter."""
    nodes = [
        helper.make_node("Add", ["before", "x"], ["after"]),
        helper.make_node("Neg", ["after"], ["y"]),
        helper.make_node("Neg", ["x"], ["free"]),
    ]
    values = {
        n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "before", "y", "free", "after")
    }
    graph = helper.make_graph(nodes, "g", [values["x"], values["before"]], [values[n] for n in ("y", "free", "after")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return rt_engine.load(model, state={"after": "before"})


TEMPLATE = template()


def tells(run: Run) -> None:
    """y = 1000 * version + the sum of all x until now, which is the state."""
    run.state += run.x
    run.y[0], run.free[0] = 1000 * run.version + run.state[0], 0.0


class Versions(rt_engine.ModelSlot):
    """A slot whose version n computes `computes[n - 1]`."""

    def __init__(self, *computes: Compute) -> None:
        super().__init__(TEMPLATE, "policy")
        self.computes, self._kept = computes, []  # type: ignore[var-annotated]

    def reader(self, prepare: Prepare | None = None) -> SlotReader:
        return super().reader(self._script)

    def _script(self, model: Model, context: Context) -> None:
        version = int(context._fields["version"][0])
        run = Run(version, context)

        def kernel(arena: int, record: int) -> int:
            status = self.computes[version - 1](run) or 0
            run.count += 1
            return status

        native, table, records = _PAIR(kernel), Block(8), Block(RECORD.itemsize)
        table.view(np.int64)[0] = ctypes.cast(native, ctypes.c_void_p).value or 0
        context._fields["table"], context._fields["records"], context._fields["count"] = (
            table.address,
            records.address,
            1,
        )
        self._kept.append((native, table, records, run))


TERMS = Terms(new_ns=100_000, old_ns=100_000, budget_ns=200_000)


def wide_trial(width: int, place: int, value: float) -> tuple[SlotChange, list[str]]:
    """A trial, after one cycle, of a model with so many outputs from -1 to 1, one of which is `value`; their names."""
    slot, clock = rt_engine.ModelSlot(scale(1, width)), FakeClock()
    names = [f"y{k}" for k in range(width)]
    x, y = channel([f"x{k}" for k in range(width)], "in"), channel(names, "out")
    inputs, outputs = (Input(tensor="x", channel=x, count=width),), (Output(tensor="y", channel=y, count=width),)
    built = Task(name="t", model=slot, period_s=0.001, inputs=inputs, outputs=outputs, guard=ANY_AGE)
    runner = TaskRunner(built, slot, clock.clock)
    runner.set_epoch(EPOCH)
    terms = Terms(new_ns=1, old_ns=1, low=dict.fromkeys(names, -1.0), high=dict.fromkeys(names, 1.0))
    change = SlotChange({slot: scale(1, width)}, watching=lambda reader, *two: runner.watch(0, *two, terms))
    change.trial()
    x.write([value if k == place else 1.0 for k in range(width)], timestamp_ns=clock.now_ns)
    clock.on_sleep = lambda until_ns: runner.tell(Control.STOP) if until_ns > EPOCH else None
    runner.run_here()
    return change, names


class Trial:
    """Tasks of one slot, one thread and one period on a fake clock; a change of the slot made between two cycles.

    Args:
        slot: its versions.
        tasks: so many, named a, b, ...
        output, step, guard: of each.
    """

    def __init__(self, slot: Versions, tasks: int = 1, terms: Terms = TERMS, period_ns: int = MS, **more: Any) -> None:
        self.slot, self.terms, self.clock = slot, terms, FakeClock()
        self.period_ns = period_ns
        self.xs: list[Channel] = []
        self.ys: list[Channel] = []
        self.runners: list[TaskRunner] = []
        for name in "abcdefgh"[:tasks]:
            self._add(name, more)
        self.change: SlotChange | None = None
        self.seen: dict[str, list[tuple[float, int]]] = {runner.task.name: [] for runner in self.runners}
        """Task -> (value, quality) of each cycle."""

    def _add(self, name: str, more: dict[str, Any]) -> None:
        x, y = channel([f"{name}.x"], "in"), channel([f"{name}.y"], "out", safe=-1.0)
        settings = {"guard": ANY_AGE} | {k: v for k, v in more.items() if k != "output"}
        built = Task(
            name=name,
            model=self.slot,
            period_s=self.period_ns / 1e9,
            inputs=(Input(tensor="x", channel=x),),
            outputs=(Output(tensor="y", channel=y, **more.get("output", {})),),
            **settings,
        )
        self.xs.append(x)
        self.ys.append(y)
        self.runners.append(TaskRunner(built, self.slot, self.clock.clock))
        self.runners[-1].set_epoch(EPOCH)

    def prepare(self) -> SlotChange:
        """Stage the slot's next version."""

        def watching(reader: SlotReader, active: Context, second: Context, mode: Any) -> Any:
            number = next(i for i, runner in enumerate(self.runners) if runner.reads(reader))
            return self.runners[number].watch(number, active, second, mode, self.terms)

        self.change = SlotChange({self.slot: TEMPLATE}, watching=watching)
        return self.change

    def step(self, name: str) -> None:
        """Take a step of the change between two cycles: by the thread that runs them."""
        for runner in self.runners:
            runner.pick_versions(False)
        getattr(self.change or self.prepare(), name)()
        for runner in self.runners:
            runner.pick_versions(True)

    def run(self, count: int, steps: dict[int, str] | None = None, x: Callable[[int], float] = lambda k: 1.0) -> None:
        """Run so many cycles of each task; `steps[k]` is taken before cycle k, whose input is `x(k)`."""
        done = 0

        def on_sleep(until_ns: int) -> None:
            nonlocal done
            if done:
                for runner, y in zip(self.runners, self.ys, strict=True):
                    sample = y.read()
                    self.seen[runner.task.name].append((float(sample.values[0]), int(sample.quality)))
            if done == count:
                self.runners[0].tell(Control.STOP)
                return
            if steps and done in steps:
                self.step(steps[done])
            for channel_ in self.xs:
                channel_.write([x(done)], timestamp_ns=self.clock.now_ns)
            done += 1

        from scheduler.threads import TaskThread

        self.clock.on_sleep = on_sleep
        self.clock.now_ns += self.period_ns // 2
        for runner in self.runners:
            runner.memory.clear()
        TaskThread(self.runners).run_here()
        if self.clock.failure:
            raise self.clock.failure

    def values(self, task: str = "a") -> list[float]:
        """What each cycle of a task published."""
        return [value for value, _ in self.seen[task]]

    def states(self) -> list[tuple[float, ...]]:
        """Of each task: the state of the version that is active, and of the one beside it."""
        found = []
        for runner in self.runners:
            assert runner._reader is not None
            contexts = sorted(runner._reader.arrangement.contexts, key=lambda c: c is not runner._reader.context)  # type: ignore[union-attr]
            found.append(tuple(float(c.state["before"][0]) for c in contexts))
        return found
