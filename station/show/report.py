"""The report of a run: one JSON file for programs, one HTML page for people that opens without a network.

A report never stops the control: when its folder cannot be written, the next one is tried, and what happened is said.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from fieldbus.link.state import LINK_STATISTICS
from fieldbus.statistic import Statistic
from plc_bindings.data.changes import ChangeView
from rt_native.text import in_html as escape
from rt_native.turns import TURNS
from scheduler.stats import TASK_STATISTICS
from station.errors import UnsafeFolderError
from station.machine.computer import Fact, Level
from station.machine.folders import own_folder, temporary
from station.show.changes import (
    CHANGE_COLUMNS,
    DIFFERENCE_COLUMNS,
    change_row,
    difference_picture,
    difference_row,
    seen,
)
from station.show.events import Event
from station.show.identity import Rows
from station.show.paper import folded, page, section, table
from station.show.picture import Picture, svg_picture
from station.show.reasons import reasons
from station.show.recorder import rows
from station.show.snapshot import LinkView, ServerView, Snapshot, TaskView
from station.show.tags import TagView
from station.show.verdict import Remark, judge
from station.terms.durations import format_duration

WRITE_PATIENCE_S: Final = 10.0
KEEPER_PATIENCE_S: Final = 2.0
FIRST_S: Final = 10.0
EVERY_S: Final = 60.0
"""When a report is written the first time while the station runs, and then how often."""


@dataclass(frozen=True, slots=True)
class TagRange:
    """What values a tag had in the cycles of all tasks."""

    name: str
    unit: str
    seen: int
    least: float
    mean: float
    greatest: float


@dataclass(frozen=True, slots=True)
class LateCycle:
    """One of the cycles of a task that were complete latest, `at_s` after the start; `did`: what made it late."""

    task: str
    at_s: float
    complete_ns: int
    did: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run leaves behind. `pictures`: what -> histograms (a task's name, a link's name)."""

    started: datetime
    snapshot: Snapshot
    pictures: tuple[tuple[str, tuple[Picture, ...]], ...]
    events: tuple[Event, ...]
    rights: tuple[Fact, ...]
    machine: tuple[Fact, ...]
    identity: Rows = ()
    tags: tuple[TagRange, ...] = ()
    worst: tuple[LateCycle, ...] = ()
    station_file: str = ""
    is_final: bool = True
    """False: the station ran on when this was written. Where it stays so, the process was killed."""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """How it went, the worst first; see `station.show.verdict`."""
        return judge(self.snapshot)

    @property
    def level(self) -> Level:
        """The worst of all remarks."""
        return self.remarks[0].level


@dataclass(frozen=True, slots=True)
class Written:
    """Where a report lies, and the warnings of those folders that could not be written."""

    page: Path | None
    data: Path | None
    warnings: tuple[str, ...]


class ReportKeeper:
    """Writes the report of a station again and again while it runs, in a thread: one that is killed has it. Context manager.

    A folder that hangs holds this thread alone. While a report is made, other Python threads, those of links among them,
    wait for this one no longer than `rt_native.turns.SHORT_S`.
    """

    def __init__(
        self, make: Callable[[], Report], folder: Path, first_s: float = FIRST_S, every_s: float = EVERY_S
    ) -> None:
        self._make, self._folder, self._first_s, self._every_s = make, folder, first_s, every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="report-keeper", daemon=True)

    def __enter__(self) -> ReportKeeper:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """No report is written from here on; one that is under way has a moment, so that it does not replace the last one."""
        self._done.set()
        self._thread.join(KEEPER_PATIENCE_S)

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._done.wait(wait_s):
            wait_s = self._every_s
            with TURNS.short(), suppress(OSError):  # the last report says where it could not be written
                _write_into(self._make(), self._folder, ".kept")


def write_report(report: Report, folder: Path) -> Written:
    """Write both files into `folder`, or below `_spare_folder` when that is not possible.

    In the folder for temporary files, in a folder of this user: a name that others can foresee could be theirs already,
    full of links to our files. When it is, in a new one.
    """
    warnings: list[str] = []
    places: tuple[Callable[[], Path], ...] = (lambda: folder, _spare_folder, _new_folder)
    for place in places:
        try:
            return Written(*_write_into(report, place()), tuple(warnings))
        except (OSError, UnsafeFolderError) as error:
            where = getattr(error, "filename", None) or folder
            warnings.append(f"the report could not be written to {where}: {getattr(error, 'strerror', None) or error}")
    return Written(None, None, tuple(warnings))


def write_in_time(report: Report, folder: Path, patience_s: float = WRITE_PATIENCE_S) -> Written:
    """`write_report`, but a folder that hangs (a network's) is left behind after `patience_s`, with a warning."""
    done: list[Written] = []
    writes = threading.Thread(target=lambda: done.append(write_report(report, folder)), name="report", daemon=True)
    writes.start()
    writes.join(patience_s)
    late = f"the report could not be written to {folder} within {patience_s:g} s: the place hangs"
    return done[0] if done else Written(None, None, (late,))


def _spare_folder() -> Path:
    """A service's own place for what it keeps ($STATE_DIRECTORY, from systemd), else one in the folder for temporary files."""
    if state := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(state) / "reports"
    return own_folder(own_folder(temporary(tempfile.gettempdir())) / "reports")


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="rt-engine-reports-"))


def _write_into(report: Report, folder: Path, draft: str = ".part") -> tuple[Path, Path]:
    """Both files whole, or none: they are written beside their names and then moved."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{report.snapshot.station}-{report.started:%Y%m%d-%H%M%S}"
    paths = folder / f"{stem}.html", folder / f"{stem}.json"
    drafts = [path.with_name(f".{path.name}{draft}") for path in paths]
    try:
        for place, text in zip(drafts, (to_html(report), to_json(report)), strict=True):
            place.write_text(text, encoding="utf-8")
        for place, path in zip(drafts, paths, strict=True):
            place.replace(path)
    finally:
        for place in drafts:
            place.unlink(missing_ok=True)
    return paths


def to_json(report: Report) -> str:
    """The report for programs. Times are nanoseconds; a histogram is its non-empty bins."""
    return json.dumps(
        {
            "started": report.started.isoformat(),
            "level": report.level,
            "verdict": [asdict(remark) for remark in report.remarks],
            "station": report.snapshot.to_json(),
            "histograms": {name: [asdict(picture) for picture in pictures] for name, pictures in report.pictures},
            "events": [asdict(event) | {"good": event.good, "when": event.when.isoformat()} for event in report.events],
            "rights": [asdict(fact) for fact in report.rights],
            "machine": [asdict(fact) for fact in report.machine],
            "final": report.is_final,
            "identity": dict(report.identity),
            "tags": [asdict(tag) for tag in report.tags],
            "worst_cycles": [asdict(cycle) for cycle in report.worst],
            "station_file": report.station_file,
        },
        indent=1,
    )


def to_html(report: Report) -> str:
    """The report for people: one page, no script, nothing fetched."""
    ran, servers = timedelta(seconds=round(report.snapshot.running_s)), report.snapshot.servers
    kept = report.snapshot.recorder
    sections = [
        section("What ran, and where", table(("what", "found"), map(_identity_row, report.identity))),
        section("Tasks", table(_TASK_COLUMNS, map(_task_row, report.snapshot.tasks))),
        section(
            "Tags: as their links had them last" + (", before the stop" if report.is_final else ""),
            folded(table(_VALUE_COLUMNS, map(_value_row, report.snapshot.tags)), len(report.snapshot.tags), "tags"),
        ),
        section("Tags: values in the cycles of the tasks", table(_TAG_COLUMNS, map(_tag_row, report.tags))),
        *(_pictures(name, pictures) for name, pictures in report.pictures),
        section(
            "The latest cycles, from the tick to the outputs", table(_CYCLE_COLUMNS, map(_cycle_row, report.worst))
        ),
        section("Links", table(_LINK_COLUMNS, map(_link_row, report.snapshot.links))),
        *([section("Servers", table(_SERVER_COLUMNS, map(_server_row, servers)))] if servers else []),
        *_changes(seen(report.snapshot.changes)),
        *([section("Recorder", table(("what", "found"), map(_identity_row, rows(kept))))] if kept else []),
        section(
            "What happened",
            table(("at", "what", "", ""), map(_event_row, sorted(report.events, key=lambda event: event.at_s))),
        ),
        section(
            "Rights: what this process asked for its own threads", table(_FACT_COLUMNS, map(_fact_row, report.rights))
        ),
        section(
            "Machine: what the system is, whoever runs on it", table(_FACT_COLUMNS, map(_fact_row, report.machine))
        ),
        section("The station file", f'<div class="card wide"><pre>{escape(report.station_file)}</pre></div>'),
    ]
    return page(
        f"{report.snapshot.station}, {report.started:%Y-%m-%d %H:%M}",
        report.snapshot.station,
        f"{report.started:%Y-%m-%d %H:%M:%S} {report.started.tzname() or ''}, ran {ran}"
        + ("" if report.is_final else ", and ran on when this was written; a later report has the same name"),
        report.remarks,
        sections,
    )


def _changes(changes: Sequence[ChangeView]) -> Iterator[str]:
    """The newest change of each slot; and how far the versions lay apart."""
    if not changes:
        return
    yield section("Changes of models", table(CHANGE_COLUMNS, map(change_row, changes)))
    for view in changes:
        if view.differences:
            cards = "".join(
                f'<div class="card"><h3>{escape(one.output)}: how far apart</h3>{difference_picture(one)}</div>'
                for one in view.differences
            )
            rows = table(DIFFERENCE_COLUMNS, map(difference_row, view.differences))
            yield section(
                f"{view.slot}: old and new version on the same inputs", f'{rows}<div class="pair">{cards}</div>'
            )


_QUALITY_LEVELS: Final[dict[str, Level]] = {"GOOD": "ok", "STALE": "warn", "BAD": "bad"}
_FACT_COLUMNS: Final = ("", "found", "what it means, and what mends it")
_SPREAD: Final = "p50 / p99 / max"


def _columns(statistics: Iterable[Statistic]) -> list[str]:
    return [">" + statistic.heading.replace("-\n", "").replace("\n", " ") for statistic in statistics]


_LIVE_COUNTS: Final = [statistic for statistic in TASK_STATISTICS if statistic.is_live]
_MORE_COUNTS: Final = [statistic for statistic in TASK_STATISTICS if statistic.heading and not statistic.is_live]
_LINK_COUNTS: Final = [statistic for statistic in LINK_STATISTICS if statistic.heading]
_TASK_COLUMNS: Final = (
    *("task", "model", ">cycle", *_columns(_LIVE_COUNTS), ">safe, held"),
    *(f">wake-up {_SPREAD}", f">execution {_SPREAD}", f">reaction {_SPREAD}", *_columns(_MORE_COUNTS)),
)
_LINK_COLUMNS: Final = ("link", "device", "state", f">round trip {_SPREAD}", *_columns(_LINK_COUNTS))
_SERVER_COLUMNS: Final = ("server", "address", ">clients", ">requests", ">refused")


def _task_row(task: TaskView) -> Sequence[str]:
    version, unlive = f"{escape(task.model)} v{task.model_version}", task.unlive
    if task.slices is not None:
        version += f'<br><span class="soft">{escape(task.slice_words)}</span>'
    level = "bad" if task.never_live else "warn" if unlive > task.starting else "ok"
    safe = f'<span class="{level}">{unlive:,}</span>' + (f"<br>{escape(reasons(task))}" if unlive else "")
    note = f'<br><span class="warn">{escape(task.note)}</span>' if task.note else ""
    wake_up = spread(task.wake_up.count, task.wake_up.p50_ns, task.wake_up.p99_ns, task.wake_up.max_ns)
    execution = spread(task.execution.count, task.execution.p50_ns, task.execution.p99_ns, task.execution.max_ns)
    reaction = spread(task.reaction.count, task.reaction.p50_ns, task.reaction.p99_ns, task.reaction.max_ns)
    live, more = ([_count(task, statistic) for statistic in counts] for counts in (_LIVE_COUNTS, _MORE_COUNTS))
    cycle = format_duration(task.cycle_ns)
    return f"<b>{escape(task.name)}</b>{note}", version, cycle, *live, safe, wake_up, execution, reaction, *more


def _link_row(link: LinkView) -> Sequence[str]:
    state = f'<span class="{_link_level(link)}">{"never up" if link.never_up else escape(link.state)}</span>'
    error = f'<br><span class="soft">{escape(link.last_error)}</span>' if link.last_error else ""
    trip = spread(link.round_trip.count, link.round_trip.p50_ns, link.round_trip.p99_ns, link.round_trip.max_ns)
    counts = (_count(link, statistic) for statistic in _LINK_COUNTS)
    return f"<b>{escape(link.name)}</b>", escape(link.device) + error, state, trip, *counts


def _count(view: TaskView | LinkView, statistic: Statistic) -> str:
    number = view.count(statistic.name)
    shown = "-" if number is None else f"{number:,}"
    return f'<span class="{"warn" if number else "ok"}">{shown}</span>' if statistic.is_fault else shown


def _server_row(server: ServerView) -> Sequence[str]:
    refused = f'<span class="{"warn" if server.refused else "ok"}">{server.refused:,}</span>'
    note = f'<br><span class="soft">{escape(server.note)}</span>' if server.note else ""
    name, address = escape(server.name), escape(server.address)
    return f"<b>{name}</b>", address + note, f"{server.clients:,}", f"{server.requests:,}", refused


def _link_level(link: LinkView) -> Level:
    if link.never_up or link.state not in ("up", "stopped"):
        return "bad"
    return "warn" if link.reconnects else "ok"


_VALUE_COLUMNS: Final = ("tag", "link", "address", "in, out", ">value", "unit", "raw", "quality", ">age")
_TAG_COLUMNS: Final = ("tag", "unit", ">least", ">mean", ">greatest", ">values")
_CYCLE_COLUMNS: Final = ("task", ">at", ">complete after", "what made it late")


def _identity_row(row: tuple[str, str]) -> Sequence[str]:
    return escape(row[0]), escape(row[1])


def _tag_row(tag: TagRange) -> Sequence[str]:
    values = (f"{value:.6g}" for value in (tag.least, tag.mean, tag.greatest))
    return f"<b>{escape(tag.name)}</b>", escape(tag.unit), *values, f"{tag.seen:,}"


def _value_row(tag: TagView) -> Sequence[str]:
    quality = f'<span class="{_QUALITY_LEVELS[tag.quality]}">{tag.quality}</span>'
    raw = f"<code>{escape(tag.raw_bytes)}</code>" if tag.raw else "-"
    name, link, place, unit = map(escape, (tag.name, tag.link, tag.place, tag.unit))
    return f"<b>{name}</b>", link, place, tag.direction, escape(tag.value), unit, raw, quality, tag.age


def _cycle_row(cycle: LateCycle) -> Sequence[str]:
    return escape(cycle.task), f"{cycle.at_s:.3f} s", format_duration(cycle.complete_ns, 3), escape(cycle.did)


def _event_row(event: Event) -> Sequence[str]:
    mark = '<span class="ok">&#10003;</span>' if event.good else f'<span class="{event.level}">&#10007;</span>'
    at = f'{event.at_s:.2f} s<br><span class="soft">{event.when:%H:%M:%S}</span>'
    return at, escape(f"{event.kind} {event.subject}"), escape(event.text), mark


def _fact_row(fact: Fact) -> Sequence[str]:
    fix = f"<br><code>{escape(fact.fix)}</code>" if fact.fix else ""
    return escape(fact.name), f'<span class="{fact.level}">{escape(fact.value)}</span>', escape(fact.meaning) + fix


def _pictures(name: str, pictures: Iterable[Picture]) -> str:
    cards = "".join(f'<div class="card"><h3>{escape(p.title)}</h3>{svg_picture(p)}</div>' for p in pictures)
    return section(name, f'<div class="pair">{cards}</div>')


def spread(count: int, *times_ns: float) -> str:
    """`30 / 61 / 257 us`: times, each with its unit where they differ; `-` when nothing was counted."""
    if not count:
        return "-"
    times = [format_duration(ns, 3) for ns in times_ns]
    units = {text.split()[1] for text in times}
    return " / ".join(times) if len(units) > 1 else " / ".join(text.split()[0] for text in times) + f" {units.pop()}"
