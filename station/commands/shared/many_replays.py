"""`rt-engine replay` over many recordings: on processes of this computer or a Dask cluster; tables of what was found, what it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from rt_native.text import print_json
from station.commands.shared.explaining import say
from station.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from rt_native.terminal import Sheet, Terminal
    from station.replay.many import Many, Part, Step
    from station.replay.pool import Pool
    from station.replay.repeat import How

T = TypeVar("T")
MOST_WORDS = 20
"""Lines about single failures, retries and files; the rest is in the JSON."""
LEAST_HOURS = 0.1
"""Of less, most of the time is for loading what replays, once."""


def replay_on(
    console: Terminal,
    errors: Terminal,
    where: Sequence[str],
    how: How,
    workers: int | None,
    on: str | None,
    as_json: bool,
) -> ExitCode:
    """Run, print, and say with which code to end.

    Raises:
        RecordingError: there is no recording.
        FleetError: the workers, or an address, are not reached.
    """
    from station.replay.pool import pool_of

    pool = pool_of(workers or 1, on)
    try:
        found = _found(errors, where, how, pool)
    finally:
        pool.close()
    if as_json:
        print_json(found.to_json())
    else:
        _show(console, found)
    if found.is_equal:
        return ExitCode.OK
    differs = any(not part.found.is_equal for part in found.parts)
    return ExitCode.FAILED if differs else ExitCode.BAD_FILE


def _found(errors: Terminal, where: Sequence[str], how: How, pool: Pool) -> Many:
    from station.replay.many import replay_many
    from station.replay.worker import Ask

    ask = Ask(_whole(how.models), None if how.steps is None else str(how.steps.absolute()), how.trusted)

    def run(step: Step | None) -> Many:
        return replay_many(whole_paths(where), pool, tasks=how.tasks, ask=ask, step=step)

    return with_bar(errors, "cycles", run)


def with_bar(errors: Terminal, what: str, run: Callable[[Step | None], T]) -> T:
    """What `run` gives, which is told by whom it says how far it is: a bar, where there is a screen."""
    if not errors.is_terminal:
        return run(None)
    from rich.progress import Progress

    with Progress(console=errors, transient=True) as bar:
        row = bar.add_task(what, total=None)
        return run(lambda done, total: bar.update(row, completed=done, total=total))


def _whole(folders: Sequence[Path]) -> tuple[str, ...]:
    """As workers see them, who work in another folder."""
    return tuple(str(folder.absolute()) for folder in folders)


def whole_paths(where: Sequence[str]) -> list[str]:
    """The same of recordings; addresses are whole."""
    from pathlib import Path

    from station.replay.places import is_address

    return [one if is_address(one) else str(Path(one).absolute()) for one in where]


def _show(console: Terminal, found: Many) -> None:
    console.print(_sheet(found))
    for text in _took(found):
        say(console, text)
    for words, style in (*_failures(found), *((text, "yellow") for text in _warnings(found))):
        say(console, words, style)


def _sheet(found: Many) -> Sheet:
    from rt_native.terminal import Column, Sheet

    numbers = (("recorded", 1), ("repeated", 0), ("equal", 0), ("segments", 2), ("core s", 2), ("times life", 1))
    sheet = Sheet(
        (Column("station"), Column("task"), *(Column(name, rank, right=True) for name, rank in numbers), Column(""))
    )
    for part in found.parts:
        one = part.found
        life = one.cycles * part.period_ns / 1e9 / part.cpu_s if part.cpu_s > 0 else 0.0
        figures = (
            f"{one.recorded:,}",
            f"{one.cycles:,}",
            f"{one.equal:,}",
            f"{part.segments:,}",
            f"{part.cpu_s:,.2f}",
        )
        sheet.add(
            part.station, part.task, *figures, f"{life:,.0f}", _verdict(part), style="green" if part.is_equal else "red"
        )
    return sheet


def _verdict(part: Part) -> str:
    if not part.found.is_equal:
        return "differs"
    if part.failed:
        return f"{len(part.failed):,} of {part.segments:,} segments not run"
    return "the same bits" if part.found.cycles else "nothing to repeat"


def _took(found: Many) -> Iterator[str]:
    """How fast, on what, at what cost."""
    hours = found.recorded_s / 3600
    cost = f"; an hour of recording took {found.cpu_s / hours:,.2f} s of a core" if hours >= LEAST_HOURS else ""
    times = found.recorded_s / found.seconds if found.seconds > 0 else 0.0
    workers = len(found.workers)
    yield (
        f"{found.cycles:,} cycles in {found.seconds:,.1f} s on {workers:,} {'worker' if workers == 1 else 'workers'}: "
        f"{found.speed:,.0f} cycles/s, {times:,.0f} times life{cost}"
    )
    widths = ", ".join(f"{count:,} with {lanes} lanes" for lanes, count in sorted(found.lanes.items()))
    if len(found.lanes) > 1:
        yield f"segments: {widths}"


def _failures(found: Many) -> Iterator[tuple[str, str]]:
    from station.replay.repeat import difference_words, left_out_words

    left = MOST_WORDS
    for part in found.parts:
        name = f"{part.station}, {part.task}"
        if part.found.first is not None:
            yield f"{name}: {difference_words(part.found.first, part.offset_ns)}", "red"
        for text in part.failed[:left]:
            yield f"{name}: {text}", "red"
        left = max(left - len(part.failed), 0)
        for words in left_out_words(part.found):
            yield f"{name}: {words}", "yellow"


def _warnings(found: Many) -> Iterator[str]:
    for part in found.parts:
        yield from (f"{part.station}, {part.task}: not found: {text}" for text in part.missing)
    yield from (f"a worker went away: {worker}" for worker in found.lost[:MOST_WORDS])
    yield from (f"tried again elsewhere: {text}" for text in found.again[:MOST_WORDS])
    yield from (f"not read: {text}" for text in found.unread[:MOST_WORDS])
    more = sum(max(len(texts) - MOST_WORDS, 0) for texts in (found.lost, found.again, found.unread))
    if more:
        yield f"and {more:,} more; --json has all"
