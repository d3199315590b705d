"""The running station on a terminal: a table, four times a second; without a terminal, a line every few seconds."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from fieldbus.link.state import LINK_STATISTICS
from fieldbus.statistic import Statistic
from rt_native.terminal import Column, Sheet
from scheduler.stats import TASK_STATISTICS, Latency
from station.show import changes
from station.show.changes import changes_sheet, seen
from station.show.recorder import doubts
from station.show.snapshot import LinkView, Snapshot, TaskView
from station.show.tags import sheet
from station.terms.durations import format_duration

REFRESH_S: Final = 0.25
LINE_EVERY_S: Final = 5.0
LIVE_TAGS: Final = 60
"""More tags than a screen has lines."""
LEAST_TAGS: Final = 3
"""So many are shown on the lowest screen."""
_TABLE_LINES: Final = 3
"""Of a table: its heading, and what is said below it."""
_OTHER_LINES: Final = 5
"""The first line, the recorder, what the system did not grant, what is said below the tags, the cursor."""
_WHAT: Final = "us\n50/99/max"


class View(Protocol):
    """Something that shows snapshots."""

    def __enter__(self) -> View: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def show(self, snapshot: Snapshot) -> None:
        """Show the newest snapshot."""


class TableView:
    """Redraws the table in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> TableView:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):  # the terminal is gone: nothing is left to be restored
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Draw."""
        self._live.update(draw(snapshot, tag_lines(snapshot, self._live.console.height)), refresh=True)
        _check(self._live.console)


class LineView:
    """Prints one line now and then, for logs and pipes."""

    def __init__(
        self, console: Console, now: Callable[[], float] = time.monotonic, every_s: float = LINE_EVERY_S
    ) -> None:
        self._console, self._now, self._every_s = console, now, every_s
        self._due = now() if every_s < math.inf else math.inf
        self._told = False

    def __enter__(self) -> LineView:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def show(self, snapshot: Snapshot) -> None:
        """Print, when it is time again."""
        if snapshot.rights and not self._told:
            self._told = True
            self._console.print(Text(_not_granted(snapshot)), soft_wrap=True)
        if self._now() >= self._due:
            self._due = self._now() + self._every_s
            self._console.print(Text(one_line(snapshot)), soft_wrap=True)
        _check(self._console)


def _check(console: Console) -> None:
    """Raise OSError when what was printed is not taken (`station.show.unheld` writes later, and so fails later)."""
    if failure := getattr(console.file, "failure", ""):
        raise OSError(failure)


def view_for(console: Console, status_lines: bool | None = None) -> View:
    """A table on a terminal, lines elsewhere; None: in a service, which has a log of what happens, none."""
    wanted = not os.environ.get("INVOCATION_ID") if status_lines is None else status_lines
    return (
        TableView(console) if console.is_terminal else LineView(console, every_s=LINE_EVERY_S if wanted else math.inf)
    )


def tag_lines(snapshot: Snapshot, height: int) -> int:
    """How many tags fit on a screen of so many lines, below all else."""
    tables = (snapshot.tasks, snapshot.links, snapshot.servers, seen(snapshot.changes))
    lines = sum(len(rows) + _TABLE_LINES for rows in tables if rows) + len(list(_notes(snapshot)))
    lines += sum(task.slices is not None for task in snapshot.tasks)
    return max(LEAST_TAGS, height - lines - _TABLE_LINES - _OTHER_LINES)


def draw(snapshot: Snapshot, most_tags: int = LIVE_TAGS) -> Group:
    """Tasks, links, tags, what is wrong with them, each on a line of its own, and what the system did not grant."""
    head = Text.assemble((snapshot.station, "bold"), f"  running {snapshot.running_s:.0f} s  process {snapshot.pid}")
    parts: list[Text | Sheet] = [head]
    if snapshot.tasks:
        parts.append(_tasks(snapshot))
    parts += [Text(f"{task.name}: {task.slice_words}") for task in snapshot.tasks if task.slices is not None]
    if snapshot.links:
        parts.append(_links(snapshot))
    if snapshot.servers:
        parts.append(_servers(snapshot))
    if changed := seen(snapshot.changes):
        parts.append(changes_sheet(changed))
    if snapshot.recorder is not None:
        parts.append(Text(f"recorder {snapshot.recorder.line}"))
    if tags := snapshot.tags[:most_tags]:
        parts.append(sheet(tags, snapshot.tag_count - len(tags)))
    parts += [Text(f"{name}: {text}", style="yellow") for name, text in _notes(snapshot)]
    if snapshot.rights:
        parts.append(Text(_not_granted(snapshot), style="yellow"))
    return Group(*parts)


def _notes(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for task in snapshot.tasks:
        if task.note:
            yield task.name, task.note
    for link in snapshot.links:
        if link.state != "up" and link.last_error:
            yield link.name, link.last_error
        if link.note:
            yield link.name, link.note
    yield from ((server.name, server.note) for server in snapshot.servers if server.note)
    yield from changes.notes(snapshot.changes)
    if snapshot.recorder is not None:
        yield from (("recorder", text) for text in doubts(snapshot.recorder))


def _tasks(snapshot: Snapshot) -> Sheet:
    counts = [statistic for statistic in TASK_STATISTICS if statistic.is_live]
    sheet = Sheet(
        (
            Column("task"),
            Column("model", rank=1),
            Column("cycle", rank=2, right=True),
            *(Column(statistic.heading, rank=2, right=True) for statistic in counts),
            Column("safe,\nheld", rank=1, right=True),
            Column(f"wake-up {_WHAT}", rank=3, right=True),
            Column(f"run {_WHAT}", rank=4, right=True),
            Column(f"reaction {_WHAT}", rank=4, right=True),
        )
    )
    for task in snapshot.tasks:
        unlive = task.unlive
        sheet.add(
            Text(task.name, style="bold"),
            f"{task.model} v{task.model_version}" if task.model else "-",
            format_duration(task.cycle_ns),
            *(_count(task, statistic) for statistic in counts),
            Text(f"{unlive:,}", style="yellow" if unlive > task.starting else "green"),
            _spread(task.wake_up),
            _spread(task.execution),
            _spread(task.reaction),
        )
    return sheet


def _links(snapshot: Snapshot) -> Sheet:
    counts = [statistic for statistic in LINK_STATISTICS if statistic.is_live]
    sheet = Sheet(
        (
            Column("link"),
            Column("device", rank=1),
            Column("state"),
            Column(f"round trip {_WHAT}", rank=3, right=True),
            *(Column(statistic.heading, rank=2, right=True) for statistic in counts),
        )
    )
    for link in snapshot.links:
        sheet.add(
            Text(link.name, style="bold"),
            link.device,
            Text(link.state, style="green" if link.state == "up" else "red"),
            _spread(link.round_trip),
            *(_count(link, statistic) for statistic in counts),
        )
    return sheet


def _servers(snapshot: Snapshot) -> Sheet:
    sheet = Sheet(
        (
            Column("server"),
            Column("address", rank=1),
            Column("clients", rank=2, right=True),
            Column("requests", rank=3, right=True),
            Column("refused", rank=1, right=True),
        )
    )
    for server in snapshot.servers:
        refused = Text(f"{server.refused:,}", style="yellow" if server.refused else "green")
        sheet.add(Text(server.name, style="bold"), server.address, str(server.clients), f"{server.requests:,}", refused)
    return sheet


def _count(view: TaskView | LinkView, statistic: Statistic) -> Text:
    number = view.count(statistic.name)
    style = "" if not statistic.is_fault else "red" if number else "green"
    return Text("-" if number is None else f"{number:,}", style=style)


def _spread(timing: Latency) -> str:
    """Median, 99th percentile and maximum in microseconds, as narrow as can be."""
    times_us = (ns / 1e3 for ns in (timing.p50_ns, timing.p99_ns, timing.max_ns))
    return "/".join(f"{us:.0f}" if us >= 10 else f"{us:.2g}" for us in times_us) if timing.count else "-"


def _not_granted(snapshot: Snapshot) -> str:
    names = ", ".join(right.partition(":")[0] for right in snapshot.rights)
    return f"not granted: {names}; `rt-engine doctor` and the report tell how to get it"


def one_line(snapshot: Snapshot) -> str:
    """The station in one line: cycles, overruns, missed ticks and wake-up of each task, state of each link."""
    tasks = (
        f"{task.name} {task.cycles:,} cycles, {task.overruns:,} overruns, {task.counters.get('missed', 0):,} missed, "
        f"wake-up {_spread(task.wake_up)} us"
        + "".join(f", {words}" for words in (task.slice_words,) if words)
        + (f" ({task.note})" if task.note else "")
        for task in snapshot.tasks
    )
    links = (f"{link.name} {link.state}" for link in snapshot.links)
    servers = (f"{server.name} {server.clients} clients, {server.requests:,} requests" for server in snapshot.servers)
    going = (f"{view.slot} {changes.STATES[view.state]}" for view in seen(snapshot.changes))
    return f"{snapshot.running_s:7.1f} s  " + " | ".join((*tasks, *links, *servers, *going))
