"""The commands `recording ...`: what is in a recording, a part of it, and it as a table for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import JsonOption

if TYPE_CHECKING:
    from rt_engine.recording import Recording
    from rt_engine.recording.summary import TaskSummary
    from rt_native.terminal import Sheet, Terminal

ORDER = 52
_EVENTS_SHOWN = 10
_DIGITS = 12
_MOMENT = "TICK|TIME|#N|+S|@N"
RecordingArgument = Annotated[
    list[Path], typer.Argument(metavar="REC...", help="Files (.mcap), or a folder of them: together one recording.")
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar=_MOMENT,
        help="The first cycle: its tick, its UTC time (2026-11-28T03:12:00.5), its number (#1200), "
        "+12.5s since the begin, or @3 for the third trigger.",
    ),
]
ToOption = Annotated[str | None, typer.Option("--to", metavar=_MOMENT, help="The first cycle that is not taken.")]
TaskOption = Annotated[list[str] | None, typer.Option("--task", metavar="NAME", help="Only this task; repeat it.")]
recording = typer.Typer(help="Show, cut or export what the recorder recorded.", no_args_is_help=True)


@recording.command()
def info(
    files: RecordingArgument,
    quick: Annotated[
        bool, typer.Option("--quick", help="Read no cycle: neither gaps nor damage in chunks are seen.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Tell what is in a recording: tasks, time, gaps, versions, events, files; and what of it is damaged, and where."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from rt_engine.recording import open as open_recording
        from rt_engine.recording.summary import summarise, to_plain

        found = open_recording(_there(files))
        tasks = summarise(found, quick)
        if json:
            print_json(to_plain(found, tasks))
        else:
            _show(Terminal(), found, tasks)
        _warn(found)


@recording.command()
def cut(
    files: RecordingArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The new recording (.mcap).")],
    start: FromOption = None,
    stop: ToOption = None,
    before: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Begin so long before --from: 10s, 500ms.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End so long after --from, instead of --to.")
    ] = None,
    task: TaskOption = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Begin there, and not at the checkpoint before, from which it can be replayed."),
    ] = False,
) -> None:
    """Write a part of a recording as one of its own, with all that is attached, from the checkpoint before it on.

    So long around the third trigger: --from @3 --before 10s --after 5s
    """
    from rt_native.terminal import Terminal

    errors = Terminal(stderr=True)
    if stop is not None and after is not None:
        raise typer.BadParameter("give --to or --after, not both", param_hint="--after")
    if start is None and (before is not None or after is not None):
        raise typer.BadParameter("it says how far from --from; give that too", param_hint="--before, --after")
    check_outputs(*files, files={"--output": output})
    if output.exists():
        raise typer.BadParameter(f"{output} is there already; choose another name", param_hint="--output")
    with explained(errors):
        from rt_engine.recording import open as open_recording
        from rt_engine.recording.cut import cut as cut_recording
        from rt_engine.recording.moments import duration_ns

        found = open_recording(_there(files))
        start_ns, stop_ns = _between(found, start, stop, task[0] if task else None)
        middle_ns = start_ns
        start_ns = middle_ns - (duration_ns(before) if before else 0)
        stop_ns = middle_ns + duration_ns(after) if after else stop_ns
        parts = cut_recording(found, output, start_ns, stop_ns, tasks=task or (), is_exact=exact)
        for part in parts:
            begin = (
                "from a checkpoint on"
                if part.has_checkpoint
                else "without a checkpoint: it cannot be replayed from its begin"
            )
            say(Terminal(), f"{part.task}: {part.stop - part.start:,} cycles, {begin}")
        _warn(found)


@recording.command()
def export(
    files: RecordingArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The table: .csv, .parquet or .mf4.")],
    start: FromOption = None,
    stop: ToOption = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Which task; its only one by default.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="With commas: names of tags, or paths as info --json lists them."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--as", metavar="KIND", help="csv, parquet or mdf4; by default as FILE is called.")
    ] = None,
) -> None:
    """Write the cycles of a task as a table: CSV, Parquet (extra "recording") or MDF4 (extra "mdf")."""
    from rt_native.terminal import Terminal

    suffixes = {".csv": "csv", ".parquet": "parquet", ".mf4": "mdf4"}
    chosen = kind or suffixes.get(output.suffix.lower())
    if chosen is None or chosen not in suffixes.values():
        raise typer.BadParameter(
            "which kind of table? end FILE with .csv, .parquet or .mf4, or say --as", param_hint="--output"
        )
    check_outputs(*files, files={"--output": output})
    with explained(Terminal(stderr=True)):
        from rt_engine.recording import open as open_recording
        from rt_engine.recording.export import export as write

        found = open_recording(_there(files))
        cycles = found.task(task)
        rows = cycles.rows(*_between(found, start, stop, task), by="utc")
        count = write(cycles, output, chosen, rows=rows, columns=columns.split(",") if columns else ())
        say(Terminal(), f"{output}: {count:,} cycles of task {cycles.name}")
        _warn(found)


def _there(files: list[Path]) -> list[Path]:
    """Raises typer.BadParameter: a file is not there."""
    for path in files:
        if not path.exists():
            raise typer.BadParameter(f"there is no {path}", param_hint="REC")
    return files


def _between(found: Recording, start: str | None, stop: str | None, task: str | None) -> tuple[int, int]:
    """(first, behind the last) in UTC."""
    from rt_engine.recording.moments import span, utc_ns

    first, last = span(found)
    return (
        first if start is None else utc_ns(found, start, task),
        last + 1 if stop is None else utc_ns(found, stop, task),
    )


def _warn(found: Recording) -> None:
    """Say on stderr what of it could not be read."""
    from rt_native.terminal import Terminal

    for damage in found.damaged:
        say(Terminal(stderr=True), f"warning: {damage}", "yellow")


def _show(console: Terminal, found: Recording, tasks: tuple[TaskSummary, ...]) -> None:
    for file in found.files:
        say(console, f"{file.path}: {file.source.size:,} bytes")
    about = ", ".join(f"{name} {value}" for name, value in found.about.items() if not name.endswith("_ns"))
    say(console, about, "dim")
    console.print(_table(tasks))
    for versions in found.versions.values():
        for version in versions.values():
            is_here = "attached" if version.sha256 and found.has_model(version.sha256) else "not attached"
            model = f" of model {version.model}" if version.model else ""
            say(console, f"{version.task}: version {version.number}{model} is {version.sha256[:_DIGITS]}, {is_here}")
    shown = _in_words(found.events)
    for line in shown[:_EVENTS_SHOWN]:
        say(console, line)
    if len(shown) > _EVENTS_SHOWN:
        say(console, f"and {len(shown) - _EVENTS_SHOWN} more events; --json has all", "dim")
    for attached in found.attachments.values():
        say(console, f"attached: {attached.name}, {attached.nbytes:,} bytes", "dim")


def _in_words(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each event but new versions; a trigger has the number by which `--from @N` and `--at @N` mean it."""
    from rt_engine.recording.moments import in_words

    lines: list[str] = []
    triggers = 0
    for event in events:
        triggers += event["kind"] == "trigger"
        number = f"@{triggers} " if event["kind"] == "trigger" else ""
        task = f" of task {event['task']}" if event.get("task") else ""
        what = f"{event['kind']} {event.get('trigger', '')}".rstrip() + task
        if event["kind"] != "version":
            lines.append(f"{in_words(event['utc_ns'])} {number}{what}: {event.get('text', '')}".rstrip(": "))
    return lines


def _table(tasks: tuple[TaskSummary, ...]) -> Sheet:
    from rt_engine.recording.moments import in_words
    from rt_native.terminal import Column, Sheet

    sheet = Sheet(
        (
            Column("task"),
            Column("cycles", right=True),
            Column("from"),
            Column("to", rank=1),
            Column("period\nms", right=True, rank=4),
            Column("gaps", right=True),
            Column("lost", right=True, rank=2),
            Column("checkpoints", right=True, rank=3),
            Column("inputs", right=True, rank=5),
            Column("outputs", right=True, rank=6),
            Column("bytes\na cycle", right=True, rank=7),
        ),
        caption="" if tasks else "no task is in it",
    )
    for task in tasks:
        times = (in_words(task.begin_ns), in_words(task.end_ns)) if task.cycles else ("", "")
        unknown = ("?" if number is None else f"{number:,}" for number in (task.gaps, task.lost))
        sheet.add(
            task.task,
            f"{task.cycles:,}",
            *times,
            f"{task.period_ns / 1e6:g}",
            *unknown,
            f"{task.checkpoints:,}",
            f"{task.inputs:,}",
            f"{task.outputs:,}",
            f"{task.nbytes:,}",
        )
    return sheet
