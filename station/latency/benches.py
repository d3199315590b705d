"""What is measured: tasks that run as they would in a station, and reach no device.

a station    its tasks, models and steps; its links are channels and nothing more: no device is asked, none is driven
models       a task for each, alone in its turn: inputs and outputs go through channels, as from a device
nothing      an empty task on each core: the wake-up alone
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fieldbus.image.image import Channel, ProcessImage
from fieldbus.tags import Tag
from scheduler.task import Guard, Input, Output, Task
from scheduler.task_block import TYPES
from station.file.reading import StationFile, read_station
from station.replay.restored import no_devices
from station.store.starting import Kept
from station.wiring.parts import Builder

if TYPE_CHECKING:
    from rt_engine import Model, TensorSpec
    from rt_engine.binding import Binding

ANY_AGE: Final = math.inf
MOST_CELLS: Final = 4096
"""Of a tensor that goes through a channel; one with more comes from elsewhere in a station too, and stays zero here."""
PRIORITY: Final = 80


@dataclass(frozen=True, slots=True)
class Bench:
    """Tasks that run together, in turns of their own. `about`: task -> what it is, for people. `notes`: what is not as in use."""

    name: str
    tasks: tuple[Task, ...]
    about: Mapping[str, str]
    notes: tuple[str, ...] = ()
    image: ProcessImage = field(default_factory=ProcessImage)

    def feed(self, rng: np.random.Generator) -> None:
        """New inputs for every task: within the limits of their tags, of good quality."""
        for task in self.tasks:
            triggers = () if task.reset is None else (id(task.reset.channel),)
            for channel in task.channels_read:
                values = np.concatenate([_drawn(tag, rng) for tag in channel.tags])
                if id(channel) in triggers and task.reset is not None:
                    values[task.reset.cell] = 0.0
                channel.write(values)


def _drawn(tag: Tag, rng: np.random.Generator) -> Any:
    if math.isfinite(tag.low) and math.isfinite(tag.high):
        return rng.uniform(tag.low, tag.high, tag.count)
    return np.clip(rng.normal(0.0, 1.0, tag.count), tag.low, tag.high)


def of_nothing(cpus: Sequence[int], period_ns: int) -> Bench:
    """An empty task on each of these cores."""
    tasks = tuple(
        Task(name=f"cpu{cpu}", period_s=period_ns / 1e9, priority=PRIORITY, cpu=cpu, watchdog=0) for cpu in cpus
    )
    return Bench("wake-up", tasks, {task.name: "an empty task" for task in tasks})


def of_model(path: Path, binding: Binding, cpu: int | None, period_ns: int) -> Bench:
    """A model in a task of its own.

    Raises:
        EngineError: it cannot be loaded.
    """
    import rt_engine

    model = rt_engine.load(path, **binding.options)
    image, name = ProcessImage(), path.stem
    inputs, outputs = _through(image, model, name)
    task = Task(
        name=name,
        model=model,
        period_s=period_ns / 1e9,
        inputs=inputs,
        outputs=outputs,
        priority=PRIORITY,
        cpu=cpu,
        watchdog=0,
        guard=Guard(on_nan="pass", max_age_s=ANY_AGE),
    )
    left = [spec.name for spec in model.inputs if not _fits(spec)]
    notes = (f"{name}: zero in every cycle are its inputs {', '.join(left)}",) if left else ()
    return Bench(name, (task,), {name: f"model {path.name}"}, notes, image)


def _fits(spec: TensorSpec) -> bool:
    return 0 < math.prod(spec.shape) <= MOST_CELLS and str(np.dtype(spec.dtype)) in {kind.numpy for kind in TYPES}


def _through(image: ProcessImage, model: Model, name: str) -> tuple[tuple[Input, ...], tuple[Output, ...]]:
    """Inputs and outputs of a task that moves every tensor that fits through a channel."""

    def channel(specs: Sequence[TensorSpec], way: Any) -> Channel:
        tags = [Tag(spec.name, "float64", way, count=math.prod(spec.shape)) for spec in specs]
        return image.channel(f"{name} {way}", tags, writer=way, reader=name)

    ins, outs = ([spec for spec in specs if _fits(spec)] for specs in (model.inputs, model.outputs))
    source, sink = (channel(specs, way) if specs else None for specs, way in ((ins, "in"), (outs, "out")))
    inputs = tuple(
        Input(tensor=s.name, channel=source, cell=source.index(s.name), count=math.prod(s.shape)) for s in ins if source
    )
    outputs = tuple(
        Output(tensor=s.name, channel=sink, cell=sink.index(s.name), count=math.prod(s.shape)) for s in outs if sink
    )
    return inputs, outputs


def of_station(path: Path) -> Bench:
    """The tasks of a station file, without its devices.

    Raises:
        StationFileError: it is wrong, or a model cannot run.
    """
    return of_file(read_station(path))


def of_file(file: StationFile) -> Bench:
    """The same, of a file that was read."""
    builder = _WithoutDevices(file, Kept())
    builder.make_parts()
    tasks = tuple(replace(task, guard=replace(task.guard, max_age_s=ANY_AGE)) for task in builder.parts.tasks)
    about = {
        name: f"model {file.config.models[table.model].file}" if table.model else "a step alone"
        for name, table in file.config.tasks.items()
    }
    notes = (
        "no device was asked or driven: inputs are drawn anew every second within the limits of their tags, and what exchanges "
        "with devices cost is not in these times",
    )
    return Bench(file.config.station.name, tasks, about, notes, builder.parts.image)


class _WithoutDevices(Builder):
    """Every link is channels, and no more."""

    def make_links(self) -> None:
        self.parts.links.update(no_devices(self._config))  # type: ignore[arg-type]  # tasks ask no more of a link
