"""The command `explain`: what a model made of one tick, or of given inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.model_check import MODEL_SUFFIXES
from station.commands.shared.options import (
    BoundOption,
    DataOption,
    JsonOption,
    ModelsOption,
    RunStepsOption,
    ShapeOption,
    StateOption,
    StepsOption,
    ValueOption,
    parse_binding,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rt_engine import Model
    from rt_engine.binding import Binding
    from rt_engine.explain import Explanation
    from rt_native.terminal import Terminal

ORDER = 105


def explain(
    what: Annotated[Path, typer.Argument(metavar="REC|MODEL", help="A recording, or a model: .onnx or .rtp.")],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Which cycle of a recording: 2026-11-28T03:12:00.5Z, #1200, a tick, +12.5s, @1."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task of a recording; its only one by default.")] = None,
    data: DataOption = None,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    state: StateOption = None,
    models: ModelsOption = None,
    steps: StepsOption = None,
    run_steps: RunStepsOption = False,
    output: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Only this output: a tag or tensor. Repeat it for others.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", "-o", metavar="FILE", help="Write a page, to be opened anywhere.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Every tensor of every operator at one tick, and which inputs moved each output most.

    Of a recording, the cycle of --at is run again, with the windows and states that it had. A model is run on the arrays of
    --input (a state among them is where it begins), else on random ones.
    """
    from rt_native.terminal import Terminal

    errors, binding, is_model = (
        Terminal(stderr=True),
        parse_binding(shape, value, bound, state),
        what.suffix in MODEL_SUFFIXES,
    )
    _check(what, is_model, recording=(at, task, models, steps, run_steps), model=(data, shape, value, bound, state))
    if not is_model and at is None:
        raise typer.BadParameter("which cycle? Say --at TIME, --at '#NUMBER' or --at TICK", param_hint="--at")
    check_outputs(what, data, files={"--html": html})
    with explained(errors):
        from rt_engine.explain import graph_of, operator_times
        from rt_engine.explain.page import page

        if is_model:
            model, found, facts = _of_model(what, data, binding, output or ())
        else:
            from station.replay.explained import explain_recording
            from station.replay.repeat import How

            how = How(tuple(models or ()), steps, run_steps, (task,) if task else ())
            model, found, facts = explain_recording(what, at or "", how, output or ())
            facts.insert(0, ("recording", str(what)))
        if html is not None:
            html.write_text(page(found, graph_of(model, operator_times(model)), facts), encoding="utf-8")
        if as_json:
            print_json(found.to_json())
        else:
            _print(Terminal(), found, facts)


def _check(what: Path, is_model: bool, recording: Sequence[object], model: Sequence[object]) -> None:
    """Options that are of the other kind are no slip of the pen to be passed over."""
    if is_model and any(recording):
        raise typer.BadParameter(f"{what} is a model: --at, --task, --models and --steps are for recordings")
    if not is_model and any(model):
        raise typer.BadParameter(
            f"{what} is taken for a recording: --input, --shape, --value, --bound and --state are for .onnx and .rtp"
        )


Facts = list[tuple[str, str]]


def _of_model(
    path: Path, data: Path | None, binding: Binding, outputs: Sequence[str]
) -> tuple[Model, Explanation, Facts]:
    """Without a recording: on given arrays, or random ones."""
    import rt_engine
    from rt_engine.explain import explain as explanation
    from rt_engine.measure.examples import drawn
    from rt_engine.quantization.calibration import read_arrays

    model = rt_engine.load(path, **binding.options)
    arrays = drawn(model.inputs) if data is None else read_arrays(data)
    state = {spec.name: arrays[spec.name] for spec in model.state if spec.name in arrays}
    inputs = {name: array for name, array in arrays.items() if name not in state}
    _refuse_batch(model, inputs, path)
    facts = [("inputs", str(data) if data is not None else "random")]
    return model, explanation(model, inputs, state, outputs=outputs), facts


def _refuse_batch(model: Model, inputs: Mapping[str, NDArray[Any]], path: Path) -> None:
    """What `bench` and `quantize` take many of is explained one at a time, or all of them as one.

    Raises:
        InputError: an array has another first size than its input, and is like it otherwise.
    """
    from rt_engine.errors import InputError

    for spec in model.inputs:
        given = inputs[spec.name].shape if spec.name in inputs else spec.shape
        if given[:1] != spec.shape[:1] and given[1:] == spec.shape[1:]:
            sizes = ",".join(map(str, given))
            raise InputError(
                f"input '{spec.name}' of {path.name} takes {spec.dtype}{list(spec.shape)}, got {list(given)}; give one example, "
                f"or say --shape {spec.name}={sizes} where the file leaves that size open"
            )


def _print(console: Terminal, found: Explanation, facts: Facts) -> None:
    from rt_engine.explain import table

    for word, value in facts:
        say(console, f"{word}: {value}")
    console.print(table.tensors(found))
    if found.influence is not None:
        for sheet in table.influences(found.influence):
            console.print()
            console.print(sheet)
        say(console, f"\n{found.influence.method}", "dim")
