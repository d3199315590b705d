"""A clock that the test moves, a model that is a Python function, and a bench that runs one task with both, cycle by
cycle."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from fieldbus.image.image import Channel, ProcessImage, Sample
from fieldbus.tags import Quality, Tag
from rt_engine import TensorSpec
from rt_engine.kernels.interface.record import RECORD
from rt_engine.run.blocks import ARRANGEMENT, BLOCK, CHANGE, NEVER, READER
from rt_native.memory import Block
from scheduler import Guard, Input, Output, Step, Task, TaskStats
from scheduler.checks import check_task
from scheduler.clock import Clock
from scheduler.runner import TaskRunner
from scheduler.task_block import Control

MS = 1_000_000
PERIOD = 1 * MS
EPOCH = 1_000 * MS

NO_PROGRAM = SimpleNamespace(kernels=(), records=(), nodes=())
ANY_AGE = Guard(max_age_s=float("inf"))

_NOW = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
_PAIR = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_STEP = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 5)


class FakeClock:
    """Time stands still except where the test moves it. Sleeping takes it to the wanted time, plus a scripted
    latency."""

    def __init__(self) -> None:
        self.now_ns = EPOCH - 10 * MS
        self.latency_ns = 0
        self.on_sleep: Callable[[int], None] = lambda until_ns: None
        self.failure: BaseException | None = None
        self._functions = (_NOW(lambda state: self.now_ns), _PAIR(self._sleep))
        now, sleep = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in self._functions)
        self.clock = Clock(now, sleep, owner=self)

    def _sleep(self, state: int, until_ns: int) -> int:
        if until_ns > self.now_ns:
            try:
                self.on_sleep(until_ns)
            except BaseException as error:  # ctypes would swallow it; the bench raises it
                self.failure = self.failure or error
            self.now_ns = max(self.now_ns, until_ns + self.latency_ns)
        return 0


class FakeModel:
    """A model whose only kernel is `compute(inputs, outputs) -> status`, a Python function on NumPy arrays."""

    def __init__(
        self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], compute: Callable[..., int | None]
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.program = NO_PROGRAM
        self._parts: list[Any] = []
        self.arrays = {spec.name: self._tensor(spec) for spec in (*inputs, *outputs)}
        x = {s.name: self.arrays[s.name] for s in inputs}
        y = {s.name: self.arrays[s.name] for s in outputs}
        kernel = _PAIR(lambda arena, record: compute(x, y) or 0)
        table = self._words([ctypes.cast(kernel, ctypes.c_void_p).value or 0])
        tensors = self._words([a.ctypes.data for a in self.arrays.values()])
        records, block = Block(RECORD.itemsize), Block(BLOCK.itemsize)
        self.fields = fields = block.view(BLOCK)
        fields["records"], fields["count"], fields["table"], fields["tensors"] = records.address, 1, table, tensors
        self.block_address = block.address
        self._parts += [kernel, records, block]

    def _tensor(self, spec: TensorSpec) -> np.ndarray[Any, Any]:
        return np.zeros(spec.shape, spec.dtype)

    def _words(self, values: Sequence[int]) -> int:
        block = Block(8 * max(len(values), 1))
        block.view(np.int64, 0, len(values))[:] = values
        self._parts.append(block)
        return block.address


class FakeSlot:
    """A slot with one reader, which is its own."""

    def __init__(self, model: FakeModel) -> None:
        self.model, self.running, self.switches, self.switched_ns = model, False, 0, 0
        self._change, self._offer, self._reader = (
            Block(CHANGE.itemsize),
            Block(ARRANGEMENT.itemsize),
            Block(READER.itemsize),
        )
        self._change.view(CHANGE)["activation_ns"] = NEVER
        self.fields = self._reader.view(READER)
        self.fields["active"] = model.block_address
        self.address = self._reader.address

    def reader(self, prepare: object = None) -> "FakeSlot":
        return self

    @property
    def context(self) -> FakeModel:
        return self.model

    def offer(self, model: FakeModel, activation_ns: int) -> None:
        self.next_model = model
        offer = self._offer.view(ARRANGEMENT)
        offer["active"], offer["change"] = model.block_address, self._change.address
        self.fields["next"] = self._offer.address
        self._change.view(CHANGE)["activation_ns"] = activation_ns


def spec(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, shape, np.dtype(dtype))


def tags(names: Sequence[str], direction: str, **more: Any) -> list[Tag]:
    return [Tag(name, "float64", direction, **more) for name in names]  # type: ignore[arg-type]


def channel(names: Sequence[str], direction: str, **more: Any) -> Channel:
    return ProcessImage().channel("/".join(names), tags(names, direction, **more), writer="w", reader="r")


def step_of(function: Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any], int], int], state_bytes: int = 64) -> Step:
    """A step that is a Python function of (inputs, outputs, state address)."""

    def call(inputs: int, n_in: int, outputs: int, n_out: int, state: int) -> int:
        arrays = [
            np.ctypeslib.as_array((ctypes.c_double * n).from_address(a)) for a, n in ((inputs, n_in), (outputs, n_out))
        ]
        return function(arrays[0], arrays[1], state)

    native = _STEP(call)
    return Step.from_address(ctypes.cast(native, ctypes.c_void_p).value or 0, state_bytes, owner=native)


@dataclass
class Tick:
    """What one cycle published, and what was known after it."""

    sample: Sample
    stats: TaskStats


@dataclass
class Bench:
    """One task `x -> model -> y` on a fake clock, run in the calling thread."""

    task: Task
    slot: FakeSlot | None
    clock: FakeClock
    x: Channel
    y: Channel
    ticks: list[Tick] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_task(self.task, self.slot.model if self.slot else None)  # type: ignore[arg-type]
        self.runner = TaskRunner(self.task, self.slot, self.clock.clock)  # type: ignore[arg-type]
        self.runner.set_epoch(EPOCH)

    def run(self, count: int, before: Callable[[int], None] = lambda k: None) -> list[Tick]:
        """Run `count` cycles; `before(k)` is called while cycle k is waited for. Gives what each published."""
        self.ticks, done = [], 0

        def on_sleep(until_ns: int) -> None:
            nonlocal done
            if self.clock.failure:  # nothing will be raised before the task has ended
                self.runner.tell(Control.STOP)
                return
            if done:
                self.ticks.append(Tick(self.y.read(), self.runner.stats()))
            if done == count:
                self.runner.tell(Control.STOP)
                return
            before(done)
            done += 1

        self.clock.on_sleep = on_sleep
        self.clock.now_ns += PERIOD // 2  # between two ticks, so that the first one is waited for
        self.runner.memory.clear()
        self.runner.run_here()
        if self.clock.failure:
            raise self.clock.failure
        assert len(self.ticks) == count
        return self.ticks

    def put(self, *values: float, quality: Quality = Quality.GOOD, age_ns: int = 0) -> None:
        """Write the input channel, as a link would that is `age_ns` late."""
        self.x.write(values, quality, self.clock.now_ns - age_ns)

    def values(self) -> list[float]:
        """First cell of what each cycle published."""
        return [float(t.sample.values[0]) for t in self.ticks]


def bench(
    compute: Callable[..., int | None] | None = None,
    *,
    x: Channel | None = None,
    y: Channel | None = None,
    window: int = 1,
    stride: int = 1,
    period_ns: int = PERIOD,
    output: dict[str, Any] | None = None,
    guard: Guard = ANY_AGE,
    clock: FakeClock | None = None,
    **task: Any,
) -> Bench:
    """A bench whose model computes y = 2 x by default (x: the newest of its window)."""

    def double(i: dict[str, Any], o: dict[str, Any]) -> None:
        o["y"][0, 0] = 2 * i["x"][0, -1]

    x, y = x or channel(["x"], "in"), y or channel(["y"], "out", safe=-1.0)
    model = FakeModel([spec("x", 1, window)], [spec("y", 1, 1)], compute or double)
    inputs = (Input(tensor="x", channel=x, window=window, stride=stride),)
    outputs = (Output(tensor="y", channel=y, **(output or {})),)
    built = Task(name="t", period_s=period_ns / 1e9, inputs=inputs, outputs=outputs, guard=guard, **task)
    return Bench(built, FakeSlot(model), clock or FakeClock(), x, y)
