"""The command `contract`: what a model says about itself, and how it is told to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import JsonOption

if TYPE_CHECKING:
    from rt_engine.contract import Statistics
    from rt_native.terminal import Terminal

ORDER = 95


def contract(
    model: Annotated[Path | None, typer.Argument(metavar="MODEL", help="The model: .onnx or .rtp.")] = None,
    set_: Annotated[
        Path | None, typer.Option("--set", metavar="FILE.toml", help="Write what this file says into the model.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA.npz", help="Write the statistics of training data: arrays of samples, by tensor name."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write another model; by default the same.")
    ] = None,
    template: Annotated[bool, typer.Option("--template", help="Print TOML to fill in, for --set.")] = False,
    json: JsonOption = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a contract.")] = False,
) -> None:
    """Show a model's contract: names, units, ranges, rate, history, training data; --set adds it to a finished file."""
    from rt_native.terminal import Terminal
    from rt_native.text import visible

    errors = Terminal(stderr=True)
    with explained(errors):
        if schema:
            from rt_engine.contract.schema import FILE

            sys.stdout.write(FILE.read_text(encoding="utf-8"))
            return
        if model is None:
            raise typer.BadParameter("which model? only --schema needs none", param_hint="MODEL")
        if output is not None and set_ is None and data is None:
            raise typer.BadParameter("there is nothing to write; give --set or --data", param_hint="--output")
        if set_ is not None or data is not None:
            check_outputs(set_, data, files={"--output": output or model})
            _write(errors, model, set_, data, output or model)
        if template:
            sys.stdout.write(visible(_template(model), keep="\n"))
        else:
            _show(output or model, json)


def _write(errors: Terminal, model: Path, words: Path | None, data: Path | None, output: Path) -> None:
    """Attach what the files say, over what the model says already."""
    from rt_engine import contract as contracts
    from rt_engine.contract.plain import to_plain
    from rt_engine.contract.toml import from_toml, merged
    from rt_engine.read.source import opened

    source = opened(model)
    try:
        before = contracts.read(source)
    except contracts.ContractError as error:
        say(errors, f"it is replaced: {error}", "yellow")
        before = None
    for gap in before.gaps if before is not None else ():
        say(
            errors,
            f"{before.origin if before else ''} did not say, and from now on this counts as said: {gap}",
            "yellow",
        )
    plain = from_toml(_text(words), str(words)) if words is not None else {}
    made = merged(before, plain, str(words or model))
    if data is not None:
        found = {s.tensor: s for s in made.statistics} | _statistics(data)
        made = merged(
            made,
            {"statistics": to_plain(contracts.Contract(statistics=tuple(found.values())))["statistics"]},
            str(data),
        )
    try:
        contracts.attach(source, made, output)
    except OSError as error:
        raise typer.BadParameter(f"{error}; choose another place", param_hint="--output") from error
    say(errors, f"{output}: the contract is attached; the file's SHA-256 is another now, so sign it again", "green")


def _text(path: Path) -> str:
    from rt_engine.contract import ContractError
    from rt_native.files import open_file

    try:
        with open_file(path) as file:
            return file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path} cannot be read: {error}") from error


def _statistics(path: Path) -> dict[str, Statistics]:
    """Tensor -> the statistics of its array in an .npz file."""
    import zipfile

    import numpy as np

    from rt_engine.contract import ContractError, statistics_of

    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise ContractError(f"{path} is no .npz file: numpy.savez(file, x=samples) makes one")
        with found as file:
            return {name: statistics_of(file[name], name) for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ContractError(f"{path} cannot be read: {error}") from error


def _template(model: Path) -> str:
    """What the model says, or what it might."""
    from rt_engine import contract as contracts
    from rt_engine.contract.file import ends_of
    from rt_engine.contract.toml import template, to_toml
    from rt_engine.read.source import opened

    source = opened(model)
    found = contracts.read(source)
    return to_toml(found, model.name) if found is not None else template(ends_of(source), model.name)


def _show(model: Path, json: bool) -> None:
    from rt_engine import contract as contracts
    from rt_engine.contract.description import lines, table
    from rt_engine.contract.plain import to_plain
    from rt_native.terminal import Terminal

    console, found = Terminal(), contracts.read(model)
    if json:
        print_json(to_plain(found) | {"origin": found.origin, "gaps": list(found.gaps)} if found is not None else None)
    elif found is None:
        say(console, _NONE.format(model=model))
    else:
        sheet = table(found)
        if sheet.row_count:
            console.print(sheet)
        for line in lines(found):
            say(console, line)


_NONE = """{model} has no contract: it says nothing of names, units, ranges, rate or training data. To write one:
  rt-engine contract {model} --template > contract.toml
  edit contract.toml: names as your tags are called, units, ranges, rate_hz
  rt-engine contract {model} --set contract.toml
or in Python, after the export: rt_engine.contract.attach (docs/contract.md)"""
