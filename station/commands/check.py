"""The command `check`: everything that is wrong with station files and models; nothing runs.

With --connect, what their devices have, too; nothing is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rt_native.text import print_json
from station.commands.shared.arithmetic import arithmetic_notes
from station.commands.shared.explaining import explained, print_problems, say
from station.commands.shared.options import (
    DEFAULT_FILE,
    BoundOption,
    JsonOption,
    ShapeOption,
    ValueOption,
    parse_binding,
)
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_engine.binding import Binding
    from rt_native.terminal import Terminal

ORDER = 20


def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE...]", help="Station files and models (.onnx, .rtp); by default station.toml."),
    ] = None,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    as_json: JsonOption = False,
    hardening: Annotated[
        bool,
        typer.Option("--hardening", help="Also list what a station leaves open to others, and what closes it."),
    ] = False,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect", help="Also read every device once, write nothing, and say what is odd about its values."
        ),
    ] = False,
) -> None:
    """Check station files and models: every problem with its line; what of a model runs, its size, what is refused.

    With --hardening also what is open to others, and what closes it.
    With --connect also the devices: what each gives for every tag, and which values look wrong. Nothing is written.
    """
    from rt_native.terminal import Terminal
    from station.commands.shared.model_check import MODEL_SUFFIXES

    console, errors = Terminal(), Terminal(stderr=True)
    binding, files = parse_binding(shape, value, bound), files or [Path(DEFAULT_FILE)]
    if binding.options and not all(file.suffix in MODEL_SUFFIXES for file in files):
        raise typer.BadParameter("a station's are in its file: [models.x] shapes, values, bounds", param_hint="--shape")
    if connect and all(file.suffix in MODEL_SUFFIXES for file in files):
        raise typer.BadParameter("a model has no devices; name a station file", param_hint="--connect")
    found: list[dict[str, Any]] = []
    codes: set[int] = set()
    for file in files:
        try:
            with explained(errors):
                if file.suffix in MODEL_SUFFIXES:
                    found.append(_check_model(None if as_json else console, errors, file, binding))
                else:
                    found.append(_check_station(None if as_json else console, errors, file))
                    if hardening and found[-1]["runs"]:
                        found[-1]["open"] = _open_doors(None if as_json else console, file)
                    if connect and found[-1]["runs"]:
                        found[-1]["devices"], code = _ask_devices(None if as_json else console, errors, file)
                        codes |= {code} - {ExitCode.OK}
        except typer.Exit as failed:
            codes.add(failed.exit_code)
    if as_json:
        print_json(found)
    elif any(result["runs"] for result in found):
        for note in arithmetic_notes():
            say(console, f"note: {note}")
    if not all(result["runs"] for result in found):
        codes.add(ExitCode.BAD_FILE)
    if codes:
        raise typer.Exit(min(codes))


def _check_station(console: Terminal | None, errors: Terminal, path: Path) -> dict[str, Any]:
    """Build all parts of a station; print what they are, or on no console give it for JSON."""
    from dataclasses import asdict

    from station.errors import StationFileError
    from station.file.reactions import expected
    from station.file.reading import read_station
    from station.recorder.cost import cost_of
    from station.terms.counting import many
    from station.wiring.parts import build
    from station.wiring.slices import spread
    from station.wiring.together import together

    try:
        file = read_station(path)
        parts = build(file)
    except StationFileError as error:
        if console is not None:
            raise
        return {"file": str(path), "runs": False, "problems": [asdict(problem) for problem in error.problems]}
    if console is not None:
        print_problems(errors, (*file.warnings, *parts.warnings))
    slices, shared = list(spread(file.config, parts.models)), list(together(file.config, parts.models))
    reactions = list(expected(file.config, {one.task: one.cycles for one in slices}))
    recording = cost_of(file.config.recorder, parts.tasks) if file.config.recorder is not None else None
    counts = (("task", parts.tasks), ("model", parts.models), ("link", parts.links), ("tag", file.config.tags))
    models = {
        name: [", ".join(map(str, specs)) or "none" for specs in (model.inputs, model.outputs)]
        for name, model in parts.models.items()
    }
    if console is not None:
        say(console, f"{path}: good: " + ", ".join(many(len(things), name) for name, things in counts), "green")
        for name, ends in models.items():
            say(console, f"  model {name}: ({ends[0]}) -> ({ends[1]})")
            for note in parts.models[name].notes:
                say(console, f"  note: {note}")
        for told, complaint in [(str(one), one.complaint) for one in slices] + [
            (str(one), one.complaint) for one in shared
        ]:
            say(console, f"  {told}")
            if complaint:
                say(console, f"  note: {complaint}", "yellow")
        for reaction in reactions:
            say(console, f"  reaction {reaction}")
            if reaction.advice:
                say(console, f"  note: {reaction.advice}")
        for line in recording.lines() if recording is not None else ():
            say(console, f"  {line}")
    return {
        "file": str(path),
        "runs": True,
        "problems": [asdict(problem) for problem in (*file.warnings, *parts.warnings)],
        **{f"{name}s": len(things) for name, things in counts},
        "signatures": models,
        "slices": [asdict(one) for one in slices],
        "together": [asdict(one) for one in shared],
        "reactions": [asdict(reaction) for reaction in reactions],
        **({"recorder": asdict(recording)} if recording is not None else {}),
    }


def _open_doors(console: Terminal | None, path: Path) -> list[dict[str, str]]:
    """What a good station leaves open to others."""
    from dataclasses import asdict

    from station.file.hardening import open_doors
    from station.file.reading import read_station

    doors = open_doors(read_station(path))
    if console is not None:
        say(console, f"{path}: {len(doors)} open" if doors else f"{path}: nothing is open that could be looked up")
        for door in doors:
            say(console, f"  {door}", "yellow")
    return [asdict(door) for door in doors]


def _ask_devices(console: Terminal | None, errors: Terminal, path: Path) -> tuple[list[dict[str, Any]], ExitCode]:
    """Read what the devices of a good station have."""
    from station.commands.shared.devices import ask_devices
    from station.file.reading import read_station

    return ask_devices(console, errors, read_station(path))


def _check_model(console: Terminal | None, errors: Terminal, path: Path, binding: Binding) -> dict[str, Any]:
    """Load a model; print what it is or what is refused, or on no console give it for JSON."""
    from station.commands.shared.model_check import check_model

    result = check_model(path, binding)
    if console is not None and result.runs:
        say(console, f"{path}: runs", "green")
        for line in result.lines():
            say(console, line)
    elif console is not None and result.reasons:
        say(errors, f"{path}: {len(result.reasons)} of its parts cannot run here", "red")
        errors.print(result.table())
    elif console is not None:
        say(errors, result.error, "red")
    return result.to_json()
