"""Does a task fit its model and its channels? Complaints say which task and entry, what was expected and what came."""

import math
from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from fieldbus.image.image import Channel
from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.run.slicing import why_not
from scheduler.errors import TaskError
from scheduler.instead_checks import check_instead
from scheduler.task import Input, Output, Task
from scheduler.task_block import TYPES

if TYPE_CHECKING:
    from rt_engine import Model, TensorSpec

_NO_MODEL = "{}: tensor {!r}, but the task has no model; use tensor=None for values of the step alone"


def tensor_position(specs: "Sequence[TensorSpec]", name: str, what: str) -> int:
    """Which of the model's tensors has this name, in a type that a task can convert."""
    names = [spec.name for spec in specs]
    if name not in names:
        raise TaskError(f"{what}: the model has no tensor {name!r}; it has {', '.join(names) or 'none'}")
    position = names.index(name)
    dtype = np.dtype(specs[position].dtype)
    if CODE.get(dtype) not in TYPES:
        raise TaskError(f"{what}: tensor {name!r} is {dtype}; a task converts {', '.join(t.numpy for t in TYPES)}")
    return position


def check_task(task: Task, model: "Model | None") -> None:
    """Raise `TaskError` unless every entry fits the model's tensors and its channel's cells."""
    for number, entry in enumerate(task.inputs):
        _check_input(entry, model, f"task {task.name!r}, input {number}")
    _check_no_overlap(task, task.inputs)
    for number, output in enumerate(task.outputs):
        _check_output(output, model, task, f"task {task.name!r}, output {number}")
    _check_coverage(task)
    _check_step(task)
    _check_slice(task, model)
    check_instead(task, model)
    if task.reset is not None and not 0 <= task.reset.cell < task.reset.channel.cells:
        raise TaskError(
            f"task {task.name!r}, reset: cell {task.reset.cell} of channel {task.reset.channel.name!r}, "
            f"which has {task.reset.channel.cells}"
        )


def _check_common(entry: Input | Output, what: str) -> None:
    if entry.count < 1 or entry.cell < 0 or entry.index < 0:
        raise TaskError(
            f"{what}: count {entry.count} must be 1 or more, cell {entry.cell} and index {entry.index} 0 or more"
        )
    if entry.cell + entry.count > entry.channel.cells:
        raise TaskError(
            f"{what}: cells {entry.cell} to {entry.cell + entry.count - 1} of channel {entry.channel.name!r}, "
            f"which has {entry.channel.cells}"
        )
    if not (math.isfinite(entry.scale) and math.isfinite(entry.offset)):
        raise TaskError(f"{what}: scale {entry.scale} and offset {entry.offset} must be finite")


def _check_in_tensor(spec: "TensorSpec", last: int, what: str) -> None:
    size = prod(spec.shape)
    if last >= size:
        raise TaskError(f"{what}: element {last} of tensor {spec.name!r}, which has {size} {list(spec.shape)}")


def _check_input(entry: Input, model: "Model | None", what: str) -> None:
    _check_common(entry, what)
    if entry.window < 1 or entry.stride < 1 or (entry.spacing is not None and entry.spacing < entry.count):
        raise TaskError(
            f"{what}: window {entry.window} and stride {entry.stride} must be 1 or more, spacing {entry.spacing} "
            f"at least count {entry.count}"
        )
    if entry.low is not None and entry.high is not None and not entry.low <= entry.high:
        raise TaskError(f"{what}: low {entry.low} is above high {entry.high}")
    if entry.scale == 0 and (entry.low, entry.high) != (None, None):
        raise TaskError(f"{what}: scale 0 leaves nothing that low and high could limit")
    if entry.tensor is None:
        return
    if model is None:
        raise TaskError(
            f"{what}: tensor {entry.tensor!r}, but the task has no model; use tensor=None for the step's values"
        )
    spec = model.inputs[tensor_position(model.inputs, entry.tensor, what)]
    _check_in_tensor(spec, max(elements_of(entry)), what)


def elements_of(entry: Input) -> Iterable[int]:
    """The elements of its tensor that an input fills."""
    spacing = entry.spacing or entry.count
    return [entry.index + t * spacing + i for t in range(entry.window) for i in range(entry.count)]


def _check_no_overlap(task: Task, inputs: Iterable[Input]) -> None:
    filled: set[tuple[str, int]] = set()
    for number, entry in enumerate(inputs):
        if entry.tensor is None:
            continue
        mine = {(entry.tensor, element) for element in elements_of(entry)}
        if not mine.isdisjoint(filled):
            name, element = min(mine & filled)
            raise TaskError(f"task {task.name!r}, input {number}: element {element} of tensor {name!r} is filled twice")
        filled |= mine


def _check_output(entry: Output, model: "Model | None", task: Task, what: str) -> None:
    _check_common(entry, what)
    if entry.tensor is None and task.step is None:
        raise TaskError(f"{what}: it has no tensor, and the task has no step that could compute it")
    if entry.tensor is not None:
        if model is None:
            raise TaskError(
                f"{what}: tensor {entry.tensor!r}, but the task has no model; use tensor=None for the step's values"
            )
        spec = model.outputs[tensor_position(model.outputs, entry.tensor, what)]
        _check_in_tensor(spec, entry.index + entry.count - 1, what)
    low, high, safe = limits_of(entry)
    if not low <= safe <= high:
        raise TaskError(f"{what}: the safe value {safe} is not within low {low} and high {high}")
    if not entry.max_rate > 0:
        raise TaskError(f"{what}: max_rate {entry.max_rate} must be above 0")


def limits_of(entry: Output) -> tuple[float, float, float]:
    """(low, high, safe) of an output: its own, else those of its tag."""
    tag, _ = entry.channel.tag_at(entry.cell)
    low = tag.low if entry.low is None else entry.low
    high = tag.high if entry.high is None else entry.high
    return low, high, tag.safe if entry.safe is None else entry.safe


def _check_coverage(task: Task) -> None:
    """Every cell of an output channel has exactly one driver."""
    drivers: dict[int, list[int]] = {}
    channels: dict[int, Channel] = {}
    for output in task.outputs:
        channels[id(output.channel)] = output.channel
        cells = drivers.setdefault(id(output.channel), [0] * output.channel.cells)
        for cell in range(output.cell, output.cell + output.count):
            cells[cell] += 1
    for key, cells in drivers.items():
        for cell, count in enumerate(cells):
            if count != 1:
                tag, _ = channels[key].tag_at(cell)
                raise TaskError(
                    f"task {task.name!r}: cell {cell} ({tag.name}) of output channel {channels[key].name!r} "
                    f"is driven by {count} outputs; each cell needs exactly one"
                )


def _check_step(task: Task) -> None:
    """A step that is made for so many elements gets as many."""
    if task.step is None:
        return
    values = sum(entry.count for entry in task.inputs), sum(entry.count for entry in task.outputs)
    for kind, found, wanted in zip(("inputs", "outputs"), values, task.step.shape, strict=True):
        if wanted is not None and found != wanted:
            raise TaskError(
                f"task {task.name!r}: its {kind} have {found} values; the step {task.step.name} is made for {wanted}"
            )


def _check_slice(task: Task, model: "Model | None") -> None:
    """A model that runs in slices can."""
    if task.slice_ns and model is None:
        raise TaskError(f"task {task.name!r}: slice_s {task.slice_s:g} without a model; leave it out")
    if task.slice_ns and model is not None and (why := why_not(model.program)):
        raise TaskError(f"task {task.name!r}, slice_s: {why}")


def check_together(tasks: Sequence[Task]) -> None:
    """Raise `TaskError` unless names are unique, threads fit, one clock leads, and every channel has one writer and one reader."""
    names = [task.name for task in tasks]
    if len(set(names)) != len(names):
        raise TaskError(f"tasks need different names, got {names}")
    _check_threads(tasks)
    _check_helpers(tasks)
    clocks = [f"{link.name} (task {task.name!r})" for task in tasks for link in task.exchanges if link.has_clock]
    if len(clocks) > 1:
        raise TaskError(
            f"ticks of all tasks lie on one grid, which follows one bus clock; here are {len(clocks)}: {', '.join(clocks)}. "
            "Give all but one of these links a thread of its own, or set its key clock = false"
        )
    for kind in ("read", "written"):
        owner: dict[int, str] = {}
        for task in tasks:
            for channel in task.channels_read if kind == "read" else task.channels_written:
                other = owner.setdefault(id(channel), task.name)
                if other != task.name:
                    raise TaskError(
                        f"channel {channel.name!r} is {kind} by tasks {other!r} and {task.name!r}; give each its own"
                    )


def _check_threads(tasks: Sequence[Task]) -> None:
    """Tasks of one thread tick together, on one core."""
    first: dict[str, Task] = {}
    for task in tasks:
        if task.thread is None:
            continue
        one = first.setdefault(task.thread, task)
        if (one.period_ns, one.cpu) != (task.period_ns, task.cpu):
            raise TaskError(
                f"tasks {one.name!r} and {task.name!r} name the same thread {task.thread!r}, so their period and core must "
                f"be equal: {one.period_s} s on {_core(one)}, and {task.period_s} s on {_core(task)}"
            )


def _check_helpers(tasks: Sequence[Task]) -> None:
    """A helper has its core for itself."""
    for task in tasks:
        for other in tasks:
            if other is not task and (shared := sorted(other.cpus.intersection(task.helper_cpus))):
                raise TaskError(
                    f"task {task.name!r}: helper_cpus {list(task.helper_cpus)} names core {shared[0]}, which task {other.name!r} "
                    "uses; a helper needs a core for itself"
                )


def _core(task: Task) -> str:
    return "any core" if task.cpu is None else f"core {task.cpu}"
