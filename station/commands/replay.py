"""The command `replay`: a recording run again, to the bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.many_replays import replay_on
from station.commands.shared.many_what_ifs import what_if_on
from station.commands.shared.options import JsonOption, ModelsOption, RunStepsOption, StepsOption
from station.commands.shared.what_if import Wanted, tolerances, what_if
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Sheet, Terminal
    from station.replay.asking import Asked
    from station.replay.repeat import How, Repeated

ORDER = 104


def _there(given: list[str]) -> list[str]:
    """Addresses are asked later."""
    from station.replay.places import is_address

    for one in given:
        if not is_address(one) and not Path(one).exists():
            raise typer.BadParameter(f"Path '{one}' does not exist.")
    return given


def replay(
    recording: Annotated[
        list[str],
        typer.Argument(
            metavar="REC...",
            callback=_there,
            help="Recordings: files, or a folder of them; with --workers also s3://... and others.",
        ),
    ],
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this task. Repeat it for others.")
    ] = None,
    models: ModelsOption = None,
    steps: StepsOption = None,
    run_steps: RunStepsOption = False,
    model: Annotated[
        Path | None, typer.Option(metavar="NEW", help="What would this model have put out? .onnx or .rtp.")
    ] = None,
    slot: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --model: whose place it takes, where tasks run several models."),
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TAG=]NUMBER",
            help="With --model: so far outputs may lie from those recorded. Repeat it for others.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --model: a page with trends of both, which needs no network."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Replay in so many processes; folders then are of many stations."),
    ] = None,
    on: Annotated[
        str | None, typer.Option(metavar="dask://HOST:PORT", help="Replay on the workers of a Dask cluster.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run what was recorded again, through windows, model, step and guard: every output equal, bit for bit, or the first that is not.

    Nothing is asked of a device, and no station runs. Exit code 1: something differs, or a new model does not pass; 3: a task cannot
    be repeated at all, or the model does not fit.
    """
    from rt_native.terminal import Terminal
    from station.replay.places import is_address

    console, errors = Terminal(), Terminal(stderr=True)
    is_many = workers is not None or on is not None or any(map(is_address, recording))
    if model is not None:
        what = Asking(recording, task or [], models or [], steps, run_steps, slot, tolerance or [])
        many = (workers or 1, on) if is_many else None
        raise typer.Exit(_what_if(console, errors, what, Wanted(model, html, as_json), many))
    if unused := [name for name, given in (("--slot", slot), ("--tolerance", tolerance), ("--html", html)) if given]:
        raise typer.BadParameter("it is about another model; give --model too", param_hint=unused[0])
    with explained(errors):
        from station.replay.repeat import How

        how = How(models=tuple(models or ()), steps=steps, trusted=run_steps, tasks=tuple(task or ()))
        if is_many:
            raise typer.Exit(replay_on(console, errors, recording, how, workers, on, as_json))
        found = _repeated(recording, how, errors)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        _show(console, found)
    raise typer.Exit(_code(found))


@dataclass(frozen=True, slots=True)
class Asking:
    """What the options say of a what-if, as they are given."""

    recordings: list[str]
    tasks: list[str]
    models: list[Path]
    steps: Path | None
    run_steps: bool
    slot: str | None
    tolerances: list[str]


def _what_if(
    console: Terminal, errors: Terminal, asking: Asking, wanted: Wanted, many: tuple[int, str | None] | None
) -> ExitCode:
    """`many`: on so many processes, or at that address."""
    if len(asking.tasks) > 1:
        raise typer.BadParameter("a what-if is of one task, or of all that run a model", param_hint="--task")
    for_all, by_name = tolerances(asking.tolerances)
    with explained(errors):
        import rt_engine.recording
        from station.replay.asking import Asked

        asked = Asked(
            task=next(iter(asking.tasks), None),
            slot=asking.slot,
            tolerance=for_all,
            tolerances=by_name,
            folders=tuple(asking.models),
            steps=asking.steps,
            trusts_steps=asking.run_steps,
        )
        if many is not None:
            return _what_if_on(console, errors, asking, asked, wanted, many)
        paths = asking.recordings
        return what_if(console, rt_engine.recording.open(paths[0] if len(paths) == 1 else paths), asked, wanted)


def _what_if_on(
    console: Terminal, errors: Terminal, asking: Asking, asked: Asked, wanted: Wanted, many: tuple[int, str | None]
) -> ExitCode:
    """Workers have other folders to work in."""
    from station.replay.pool import pool_of

    if wanted.html is not None:
        raise typer.BadParameter("a page is of one station: leave out --workers and --on", param_hint="--html")
    folders = tuple(folder.absolute() for folder in asked.folders)
    steps = None if asked.steps is None else asked.steps.absolute()
    asked = replace(asked, folders=folders, steps=steps)
    return what_if_on(console, errors, asking.recordings, wanted.model, asked, pool_of(*many), wanted.as_json)


def _repeated(paths: list[str], how: How, errors: Terminal) -> list[Repeated]:
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
    if any(one.found is not None and not one.found.is_equal and not one.may_differ for one in found):
        return ExitCode.FAILED
    if not found or any(not one.is_equal and not one.may_differ for one in found):
        return ExitCode.BAD_FILE
    return ExitCode.OK


def _show(console: Terminal, found: list[Repeated]) -> None:
    from station.replay.repeat import difference_words, left_out_words, missing_words

    console.print(_sheet(found))
    for one in found:
        if one.why:
            say(console, f"{one.task}: {one.why}", "red")
        if one.found is not None and one.found.first is not None:
            color = "yellow" if one.may_differ else "red"
            say(console, f"{one.task}: {difference_words(one.found.first, one.offset_ns)}", color)
        if one.may_differ:
            say(console, f"{one.task}: {one.arithmetic}", "yellow")
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
        words, color = ("other arithmetic", "yellow") if one.may_differ else (words, "green" if one.is_equal else "red")
        sheet.add(
            one.task,
            f"{one.found.recorded:,}",
            f"{one.found.cycles:,}",
            f"{one.found.equal:,}",
            f"{one.speed:,.0f}",
            f"{one.times_life:,.0f}",
            words,
            style=color,
        )
    return sheet
