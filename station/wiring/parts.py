"""Tables of a station file -> the objects that they describe: tags, links, models, channels, tasks. Nothing is started.

    models --load--> slots --+
    tags -----> links --subscribe, drive--> channels --+--> tasks
                                                inputs, outputs laid over the model's tensors (`station.wiring.mapping`)

Whatever does not fit is collected as findings, so that `read_station` and `build` together name every mistake at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar

from fieldbus.errors import FieldbusError
from fieldbus.exchange.link import NativeLink
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.link import Link
from fieldbus.tags import Tag
from rt_engine import Model, ModelSlot
from rt_engine.contract.compare import Wiring
from rt_engine.errors import ContractError, EngineError, ShapeBindingError
from rt_native.files import is_scarce
from scheduler.checks import check_task
from scheduler.errors import SchedulerError
from scheduler.rights import Grant, use_cpu, use_exact_timers, use_fifo
from scheduler.task import Between, Guard, Input, Output, Task, Trigger
from station.errors import Problem, StationFileError
from station.file.owners import owner_of
from station.file.reading import StationFile
from station.file.view import link_of, tags_of
from station.links import LinkTable, NativeLinkTable
from station.store.starting import Beginning, Kept, Wanted
from station.store.store import Version
from station.terms.findings import Finding, Step
from station.terms.tables import TagTable
from station.terms.tasks import InputTable, OutputTable, TaskTable, surroundings
from station.wiring import mapping
from station.wiring.contracts import findings, wiring_of
from station.wiring.instead import fallback_of, monitor_of, on_late_of

NS = 1_000_000_000
P = ParamSpec("P")
T = TypeVar("T")
_Errors = type[Exception] | tuple[type[Exception], ...]


@dataclass(slots=True)
class Parts:
    """The objects of a station, wired, not started."""

    image: ProcessImage = field(default_factory=ProcessImage)
    models: dict[str, Model] = field(default_factory=dict)
    slots: dict[str, ModelSlot] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    """What the threads of links asked of the system."""
    versions: dict[str, Version] = field(default_factory=dict)
    """Slot -> the version of the store that it begins with; those whose model is not from the store are not in it."""
    warnings: tuple[Problem, ...] = ()
    """What is odd about how tags lie in the models."""
    wirings: dict[str, Wiring] = field(default_factory=dict)
    """Of each task with a model, what it connects to it: `rt_engine.contract.compare.differences` says whether a version fits."""

    @property
    def cpus(self) -> frozenset[int]:
        """Cores that tasks were given, where nothing else of ours may run."""
        return frozenset().union(*(task.cpus for task in self.tasks))


def build(file: StationFile, kept: Kept | None = None) -> Parts:
    """All parts of a station; its models are those that the store has committed, without one those of the file.

    Raises:
        StationFileError: models that cannot run, tags that do not fit them, what the devices' protocols do not allow.
    """
    builder = Builder(file, kept or Kept())
    builder.make_parts()
    builder.settle_versions()
    return builder.parts


class Builder:
    """The steps of `build`, in their order."""

    def __init__(self, file: StationFile, kept: Kept) -> None:
        self._file, self._config, self._kept = file, file.config, kept
        self._findings: list[Finding] = []
        self._counts = {name: tag.count for name, tag in self._config.tags.items()}
        self.parts = Parts()

    def make_parts(self, is_checked: bool = True) -> None:
        """All of them, but for what the store is told. `is_checked`: tags and models have to mean the same.

        Raises:
            StationFileError: see `build`.
        """
        self.load_models()
        self.make_links()
        if is_checked:
            self.check_mappings()
        self.stop_at_findings()
        self.make_tasks()
        self.stop_at_findings()

    def stop_at_findings(self) -> None:
        """Raise StationFileError if something is wrong so far."""
        problems = [self._file.problem(finding) for finding in self._findings]
        if any(problem.severity == "error" for problem in problems):
            raise StationFileError(problems)
        self.parts.warnings = tuple(problems)

    def _attempt(
        self, path: tuple[Step, ...], errors: _Errors, make: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T | None:
        """What `make` gives; None, and a finding, when it raises one of `errors`."""
        try:
            return make(*args, **options)
        except errors as error:
            if isinstance(error, OSError) and is_scarce(error):
                raise
            self._found(path, error)
            return None

    def _found(self, path: tuple[Step, ...], error: Exception) -> None:
        words = error.in_toml if isinstance(error, ShapeBindingError) else str(error)
        self._findings.append(Finding(path, words))

    def load_models(self) -> None:
        """A slot for each model."""
        wanted = {
            name: Wanted(self._file.beside(table.file), table.binding) for name, table in self._config.models.items()
        }
        self._beginning = Beginning(self._kept, wanted)
        for name, begun in self._beginning.models().items():
            if isinstance(begun, EngineError):
                self._found(("models", name), begun)
                continue
            self.parts.models[name] = begun.model
            self.parts.slots[name] = ModelSlot(begun.model, name)

    def settle_versions(self) -> None:
        """Now that nothing is wrong with the station: what its file names is committed."""
        self.parts.versions.update(self._beginning.settle())
        for name, version in self.parts.versions.items():
            if version.number:
                self.parts.slots[name].begin_at(version.number)

    def make_links(self) -> None:
        """A link for each that has tags."""
        for name, table in self._config.links.items():
            mine = tags_of(self._config, name)
            made = [
                self._attempt(("tags", tag), FieldbusError, make_tag, tag, entry, table) for tag, entry in mine.items()
            ]
            tags = [tag for tag in made if tag is not None]
            if not tags:
                continue
            owner = owner_of(self._config, name)
            if owner is not None and isinstance(table, NativeLinkTable):
                table = table.in_the_cycle_of(self._config.tasks[owner].cycle_ns)
            link = self._attempt(
                ("links", name), (FieldbusError, OSError), table.make, name, tags, self._file.path.parent
            )
            if link is not None:
                self.parts.links[name] = link
                if table.life_sign is not None:
                    link.watch_life(table.life_sign, table.life_sign_timeout_ns / NS)
                if isinstance(link, NativeLink) and isinstance(table, NativeLinkTable):
                    link.prepare = partial(self._prepare, table)

    def _prepare(self, table: NativeLinkTable) -> None:
        """What the thread of a link's exchange begins with."""
        grants = [use_exact_timers(), use_fifo(table.priority)]
        if table.cpu is not None:
            grants.append(use_cpu(table.cpu))
        self.parts.grants += [grant for grant in grants if grant not in self.parts.grants]

    def check_mappings(self) -> None:
        """How tags lie in the models' tensors."""
        for name, task in self._config.tasks.items():
            model = self.parts.models.get(task.model or "")
            if model is not None:
                inputs, outputs = self._mapped(name, task, model)
                self._findings += [*inputs.findings, *outputs.findings]
                self._compare(name, model, inputs.places, outputs.places)

    def _compare(
        self, name: str, model: Model, inputs: Sequence[mapping.Place], outputs: Sequence[mapping.Place]
    ) -> None:
        """What the task connects, against what the model says about itself."""
        try:
            contract = model.contract
        except ContractError as error:
            contract = None
            self._findings.append(Finding(("models", self._config.tasks[name].model or ""), str(error), "warning"))
        wiring = wiring_of(self._config, name, inputs, outputs, contract, self._file.by_name)
        self.parts.wirings[name] = wiring
        if contract is not None:
            self._findings += findings(contract, wiring)

    def _mapped(self, name: str, task: TaskTable, model: Model) -> tuple[mapping.Mapped, mapping.Mapped]:
        return (
            mapping.map_inputs(name, task.inputs, self._counts, model.inputs),
            mapping.map_outputs(name, task.outputs, self._counts, model.outputs),
        )

    def make_tasks(self) -> None:
        """The tasks, with their channels."""
        for name, table in self._config.tasks.items():
            task = self._attempt(("tasks", name), (SchedulerError, FieldbusError), self._task, name, table)
            if task is not None:
                self.parts.tasks.append(task)

    def _task(self, name: str, table: TaskTable) -> Task:
        inputs, outputs, trigger = self._entries(name, table)
        task = Task(
            name=name,
            model=None if table.model is None else self.parts.slots[table.model],
            period_s=table.cycle_ns / NS,
            every=table.every,
            slice_s=None if table.slice_ns is None else table.slice_ns / NS,
            inputs=inputs,
            outputs=outputs,
            priority=table.priority,
            cpu=table.cpu,
            thread=table.thread,
            threads=table.threads,
            helper_cpus=table.helper_cpus,
            overrun=table.overrun,
            exchanges=tuple(
                link
                for link_name, link in self.parts.links.items()
                if isinstance(link, NativeLink) and owner_of(self._config, link_name) == name
            ),
            io_deadline_s=None if table.io_deadline_ns is None else table.io_deadline_ns / NS,
            watchdog=table.watchdog,
            guard=Guard(
                on_nan=table.guard.on_nan,
                on_bad_input=table.guard.on_bad_input,
                on_bad_state=table.guard.on_bad_state,
                max_age_s=self._max_age_ns(table) / NS,
                max_hold_s=table.guard.max_hold_ns / NS,
            ),
            reset=trigger,
            monitor=monitor_of(table.monitor, self.parts.slots),
            fallback=fallback_of(table.fallback, self.parts.slots),
            on_late=on_late_of(table.on_late, self.parts.slots),
            step=None
            if table.step is None
            else table.step.make(surroundings(table, self._config.tags), self._file.path.parent, table.step_state),
        )
        check_task(task, None if table.model is None else self.parts.models[table.model])
        return task

    def _max_age_ns(self, table: TaskTable) -> float:
        """What the file says, else the longest timeout of the links that feed the task."""
        if table.guard.max_age_ns is not None:
            return table.guard.max_age_ns
        links = {self._link_of(entry.tag) for entry in table.inputs}
        return max((self._config.links[link].timeout_ns for link in links), default=float("inf"))

    def _link_of(self, tag: str) -> str:
        link = link_of(self._config, self._config.tags[tag])
        assert link is not None, "read_station has checked that every tag has a link"
        return link

    def _entries(self, name: str, table: TaskTable) -> tuple[tuple[Input, ...], tuple[Output, ...], Trigger | None]:
        in_places: dict[int, mapping.Place] = {}
        out_places: dict[int, mapping.Place] = {}
        if table.model is not None:
            inputs, outputs = self._mapped(name, table, self.parts.models[table.model])
            in_places = {place.entry: place for place in inputs.places}
            out_places = {place.entry: place for place in outputs.places}
        readers = (*table.inputs, *([InputTable(tag=table.reset)] if table.reset else []))
        sources = self._channels(readers, lambda link, tags: link.subscribe(self.parts.image, tags, name))
        sinks = self._channels(table.outputs, lambda link, tags: link.drive(self.parts.image, tags, name))
        return (
            tuple(self._input(entry, in_places.get(i), sources) for i, entry in enumerate(table.inputs)),
            tuple(
                self._output(entry, out_places.get(i), sinks, entry.between or table.between)
                for i, entry in enumerate(table.outputs)
            ),
            Trigger(channel=sources[table.reset], cell=sources[table.reset].index(table.reset))
            if table.reset
            else None,
        )

    def _channels(
        self, entries: Iterable[InputTable | OutputTable], connect: Callable[[Link, Sequence[str]], Channel]
    ) -> dict[str, Channel]:
        """One channel for each link that the entries use; tag -> its channel."""
        by_link: dict[str, dict[str, None]] = {}
        for entry in entries:
            by_link.setdefault(self._link_of(entry.tag), {})[entry.tag] = None
        channels = {link: connect(self.parts.links[link], list(names)) for link, names in by_link.items()}
        return {tag: channels[link] for link, names in by_link.items() for tag in names}

    def _input(self, entry: InputTable, place: mapping.Place | None, channels: Mapping[str, Channel]) -> Input:
        return Input(
            tensor=place.tensor if place else None,
            index=place.index if place else 0,
            spacing=place.spacing if place else None,
            channel=channels[entry.tag],
            cell=channels[entry.tag].index(entry.tag) + (entry.cell or 0),
            count=entry.values(self._counts[entry.tag]),
            scale=entry.scale,
            offset=entry.offset,
            low=entry.low,
            high=entry.high,
            window=entry.window,
            stride=entry.stride,
        )

    def _output(
        self, entry: OutputTable, place: mapping.Place | None, channels: Mapping[str, Channel], between: Between
    ) -> Output:
        return Output(
            tensor=place.tensor if place else None,
            index=place.index if place else 0,
            channel=channels[entry.tag],
            cell=channels[entry.tag].index(entry.tag) + (entry.cell or 0),
            count=entry.values(self._counts[entry.tag]),
            scale=entry.scale,
            offset=entry.offset,
            low=entry.low,
            high=entry.high,
            max_rate=entry.max_rate,
            safe=entry.safe,
            between=between,
        )


def make_tag(name: str, table: TagTable, link: LinkTable) -> Tag:
    """A tag with the address that its link's protocol understands; raises `FieldbusError`."""
    return Tag(
        name=name,
        type=table.type,
        direction=table.direction,
        unit=table.unit,
        scale=table.scale,
        offset=table.offset,
        low=table.low,
        high=table.high,
        safe=table.safe,
        count=table.count,
        address=link.address(table),
        not_available=table.not_available,
    )
