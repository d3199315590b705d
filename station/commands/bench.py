"""The command `bench`: a model timed against its peers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from station.errors import ExitCode
from station.terms.durations import parse_duration

if TYPE_CHECKING:
    from rt_engine.binding import Binding
    from rt_engine.measure.compare import Comparison
    from rt_engine.read.source import Source

ORDER = 80
Shapes = dict[str, tuple[int, ...]]


def bench(
    model: ModelArgument,
    vs: Annotated[
        str | None,
        typer.Option(
            help="Peers, with commas: onnxruntime, openvino, mnn, tract, tl2cgen, openvino-bf16; by default all but the last."
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Also its int8 version (QDQ, per channel).")] = False,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    data: DataOption = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="For the warm rounds of each version.")] = 3.0,
    slice: Annotated[
        str | None,
        typer.Option(metavar="TIME", help='Also in slices of a task\'s cycle, "300 us": how many cycles a run takes.'),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            min=1, max=8, help="Also by so many threads together: how much quicker, and are the bits the same."
        ),
    ] = 1,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a plot: .svg, .html or .png.")] = None,
) -> None:
    """Time a model against ONNX Runtime, OpenVINO, MNN and others: one thread, bound memory, in turns, results compared first."""
    from rt_native.terminal import Terminal

    errors, binding = Terminal(stderr=True), parse_binding(shape, value, bound)
    slice_ns = None if slice is None else _slice_ns(slice)
    check_outputs(model, data, files={"--json": json, "--plot": plot})
    with explained(errors):
        from rt_engine.measure import results
        from rt_engine.measure.peaks import peaks
        from rt_engine.measure.peers import peers
        from rt_engine.read.source import opened
        from rt_engine.run.chosen import chosen_for
        from rt_engine.run.native import KERNELS

        if plot is not None:
            results.check_plot(plot)
        source = opened(model)
        if source.is_program:
            say(errors, f"{model} is a compiled program, which nobody else reads: measured alone", "yellow")
        engines = () if source.is_program else peers(vs)
        if vs is None and not engines and not source.is_program:
            say(errors, "no peer is installed; to compare: pip install onnxruntime openvino MNN", "yellow")
        found, notes = _compared(errors, source, binding, data, engines, int8, seconds)
        console, facts = Terminal(), peaks()
        console.print(results.table(found, facts))
        one = "the same one in each run" if data is None else f"the one sample of {data} in each run"
        which = "another sample in each run" if found[0].is_varied else one
        say(console, f"ran on {', '.join(found[0].inputs)}: {which}" if found[0].inputs else "ran on no inputs")
        for note in (*notes, *arithmetic_notes(), chosen_for(KERNELS).words):
            say(console, f"note: {note}")
        for line in results.notes(found):
            say(console, line, "yellow")
        if slice_ns is not None:
            say(console, _in_slices(source, binding, slice_ns, threads))
        if threads > 1:
            say(console, _together(source, binding, threads, seconds))
        if json is not None:
            results.write_json(json, found, facts)
        if plot is not None:
            results.write_plot(plot, found, facts)
        if any("rt_engine" in (c.wrong | c.refused) for c in found):
            raise typer.Exit(ExitCode.FAILED)


def _compared(
    errors: Any, source: Source, binding: Binding, data: Path | None, engines: Any, int8: bool, seconds: float
) -> tuple[list[Comparison], tuple[str, ...]]:
    """The comparison of the model, and of its int8 version where asked, with a progress bar; and what was assumed."""
    from rich.progress import Progress

    from rt_engine.errors import InputError, RunError
    from rt_engine.measure import examples
    from rt_engine.measure.compare import compare, steps
    from rt_engine.measure.engines import OURS

    shapes, notes = _bound(source, binding, int8)
    with tempfile.TemporaryDirectory() as folder, Progress(console=errors, transient=True) as bar:
        path = examples.static_copy(examples.saved(source, Path(folder)), Path(folder), shapes, binding.values)
        path, title = examples.tensor_copy(path, Path(folder)), Path(source.name).stem
        inputs = examples.example_inputs(path, data)
        samples = examples.samples_like(inputs) if data is None and inputs else []
        versions = [(path, title, 1e-4)]
        if int8:
            int8_path = examples.quantised_here(path, inputs, Path(folder), source.name)
            versions.append((int8_path, f"{title} int8", 0.05))
        task = bar.add_task("measuring", total=len(versions) * steps(len(engines) + 1))
        try:
            found = [
                compare(
                    file,
                    inputs,
                    None if source.is_program else examples.unoptimised_outputs(file, inputs),
                    (OURS, *engines),
                    title=title,
                    tolerance=tolerance,
                    samples=samples,
                    seconds=seconds,
                    step=lambda what, title=title: bar.update(task, advance=1, description=f"{title}: {what}"),  # type: ignore[misc]
                )
                for file, title, tolerance in versions
            ]
        except RunError as error:
            if data is not None:
                raise
            raise InputError(f"{error}, at inputs drawn at random: give some that the model takes, --input") from error
    return found, notes


def _slice_ns(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--slice") from error


def _in_slices(source: Source, binding: Binding, slice_ns: int, threads: int) -> str:
    """How a run of the model is spread over cycles, or why it cannot be."""
    import rt_engine
    from rt_engine.run.distance import farthest_ns
    from rt_engine.run.slicing import slice_runs, why_not

    model = rt_engine.load(source, **binding.options)
    if why := why_not(model.program):
        return f"in slices it cannot run: {why}"
    line_ns = farthest_ns() if threads > 1 else 0.0
    found = slice_runs(model.context(), slice_ns, threads=threads, line_ns=line_ns)
    return f"{found}; {found.complaint}" if found.complaint else str(found)


def _together(source: Source, binding: Binding, threads: int, seconds: float) -> str:
    """How much quicker several threads run the model."""
    import rt_engine
    from rt_engine.measure.together import run_together

    return str(run_together(rt_engine.load(source, **binding.options), threads, seconds))


def _bound(source: Source, binding: Binding, int8: bool) -> tuple[Shapes, tuple[str, ...]]:
    """The shapes that all engines run, and what was assumed; says what is wrong with the file before anybody else meets it."""
    import rt_engine

    if source.is_program and not int8:
        return {spec.name: spec.shape for spec in rt_engine.load(source, **binding.options).inputs}, ()
    from rt_engine.compiler import bound_inputs

    return bound_inputs(source, binding)
