"""The command `inspect`: what each operator of a model costs, and how exact it is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.arithmetic import arithmetic_notes
from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import (
    BoundOption,
    DataOption,
    ModelArgument,
    ShapeOption,
    ValueOption,
    parse_binding,
)

if TYPE_CHECKING:
    from rt_engine import Model

ORDER = 100


def inspect(
    model: ModelArgument,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    data: DataOption = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="For timing every operator.")] = 1.0,
    no_errors: Annotated[bool, typer.Option("--no-errors", help="Do not compare with float64.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with the graph as a picture.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON.")] = None,
) -> None:
    """Per operator: kernels, shapes, work, memory, time, share of the machine's peak, error against float64."""
    from rich.progress import Progress

    from rt_native.terminal import Terminal

    errors, binding = Terminal(stderr=True), parse_binding(shape, value, bound)
    check_outputs(model, data, files={"--json": json, "--html": html})
    with explained(errors), tempfile.TemporaryDirectory() as folder:
        import rt_engine
        from rt_engine.measure import examples
        from rt_engine.measure import inspect as inspection
        from rt_engine.measure.picture import page
        from rt_engine.measure.results import json_text
        from rt_engine.read.source import opened

        source = opened(model)
        loaded = rt_engine.load(source, **binding.options)
        if source.is_program and not no_errors:
            say(
                errors,
                f"{model} is a compiled program: not compared with float64, which needs its ONNX model",
                "yellow",
            )
            no_errors = True
        sizes = {spec.name: spec.shape for spec in loaded.inputs}
        path = examples.static_copy(examples.saved(source, Path(folder)), Path(folder), sizes, binding.values)
        inputs = examples.example_inputs(path, data)
        with Progress(console=errors, transient=True) as bar:
            task = bar.add_task("inspecting", total=inspection.STEPS)
            found = inspection.inspect(
                loaded,
                path,
                inputs,
                seconds,
                not no_errors,
                lambda what: bar.update(task, advance=1, description=f"{loaded.name}: {what}"),
            )
        console = Terminal()
        console.print(inspection.table(found))
        for note in (*loaded.notes, *arithmetic_notes()):
            say(console, f"note: {note}")
        say(console, f"contract: {_contract(loaded)}")
        if json is not None:
            json.write_text(json_text(found.as_dict()), encoding="utf-8")
        if html is not None:
            html.write_text(page(found), encoding="utf-8")


def _contract(model: Model) -> str:
    """What the model says about itself, in a line."""
    from rt_engine.contract import ContractError
    from rt_engine.contract.description import summary

    try:
        return (
            summary(model.contract)
            if model.contract is not None
            else "none; `rt-engine contract` says how to write one"
        )
    except ContractError as error:
        return str(error)
