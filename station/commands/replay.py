"""The command `replay`: a recording run again, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import explained, print_json, say
from station.commands.shared.options import JsonOption
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Sheet, Terminal
    from station.replay.repeat import How, Repeated

ORDER = 104


def replay(
    recording: Annotated[list[Path], typer.Argument(metavar="REC...", help="Recordings: files, or a folder of them.")],
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this task. Repeat it for others.")
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Where models lie that are not in the recording, or a station's store."),
    ] = None,
    steps: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the steps of your own lie that the tasks have.")
    ] = None,
    run_steps: Annotated[
        bool, typer.Option("--run-steps", help="Run the steps, which are code, that came with the recording.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run what was recorded again, through windows, model, step and guard: every output equal, bit for bit, or the first that is not.

    Nothing is asked of a device, and no station runs. Exit code 1: something differs; 3: a task cannot be repeated at all.
    """
    from rt_native.terminal import Terminal

    console, errors = Terminal(), Terminal(stderr=True)
    with explained(errors):
        from station.replay.repeat import How

        how = How(models=tuple(models or ()), steps=steps, trusted=run_steps, tasks=tuple(task or ()))
        found = _repeated(recording, how, errors)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        _show(console, found)
    raise typer.Exit(_code(found))


def _repeated(paths: list[Path], how: How, errors: Terminal) -> list[Repeated]:
    """All of it, with a bar where there is a screen."""
    import rt_engine.recording
    from station.replay.repeat import repeat

    opened = rt_engine.recording.open(paths[0] if len(paths) == 1 else paths)
    if not errors.is_terminal:
        return list(repeat(opened, how))
    from rich.progress import Progress

    with Progress(console=errors, transient=True) as bar:
        rows = {name: bar.add_task(name, total=len(opened.task(name)), visible=False) for name in opened.tasks}
        return list(repeat(opened, how, lambda name, done, total: bar.update(rows[name], completed=done, visible=True)))


def _code(found: list[Repeated]) -> ExitCode:
    if any(one.found is not None and not one.found.is_equal for one in found):
        return ExitCode.FAILED
    if not found or any(not one.is_equal for one in found):
        return ExitCode.BAD_FILE
    return ExitCode.OK


def _show(console: Terminal, found: list[Repeated]) -> None:
    from station.replay.repeat import difference_words, left_out_words, missing_words

    console.print(_sheet(found))
    for one in found:
        if one.why:
            say(console, f"{one.task}: {one.why}", "red")
        if one.found is not None and one.found.first is not None:
            say(console, f"{one.task}: {difference_words(one.found.first, one.offset_ns)}", "red")
        for words in one.hints:
            say(console, f"{one.task}: {words}", "yellow")
        for words in left_out_words(one.found) if one.found is not None else ():
            say(console, f"{one.task}: {words}", "yellow")
        for words in missing_words(one):
            say(console, f"{one.task}: {words}", "yellow")


def _sheet(found: list[Repeated]) -> Sheet:
    from rt_native.terminal import Column, Sheet

    sheet = Sheet(
        (
            Column("task"),
            Column("recorded", right=True, rank=1),
            Column("repeated", right=True),
            Column("equal", right=True),
            Column("cycles/s", right=True, rank=2),
            Column("times life", right=True, rank=1),
            Column(""),
        ),
        caption="" if found else "there is no cycle in the recording",
    )
    for one in found:
        if one.found is None:
            sheet.add(one.task, "", "", "", "", "", "cannot be repeated", style="red")
            continue
        words = "the same bits" if one.is_equal else "nothing to repeat" if not one.found.cycles else "differs"
        sheet.add(
            one.task,
            f"{one.found.recorded:,}",
            f"{one.found.cycles:,}",
            f"{one.found.equal:,}",
            f"{one.speed:,.0f}",
            f"{one.times_life:,.0f}",
            words,
            style="green" if one.is_equal else "red",
        )
    return sheet
