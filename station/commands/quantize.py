"""The command `quantize`: a float32 model to an int8 one, and what that costs."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import BoundOption, ModelArgument, ShapeOption, ValueOption, parse_binding

if TYPE_CHECKING:
    from rt_engine import Quantized
    from rt_native.terminal import Sheet

ORDER = 110
PATIENCE_S = 2.0
"""A progress bar comes after so long."""


class ActivationType(StrEnum):
    """Types of quantised activations."""

    int8 = "int8"
    uint8 = "uint8"


class RangeMethod(StrEnum):
    """How the range of a tensor is chosen."""

    minmax = "minmax"
    percentile = "percentile"


def quantize(
    model: ModelArgument,
    calibrate: Annotated[
        Path,
        typer.Option(
            metavar="DATA.npz", help="Typical inputs: an array for each input's name, samples along its first axis."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="By default MODEL-int8.onnx, beside it.")
    ] = None,
    per_channel: Annotated[
        bool, typer.Option("--per-channel/--per-tensor", help="A scale for each output channel of the weights, or one.")
    ] = True,
    type: Annotated[ActivationType, typer.Option(help="Of the activations; weights are int8.")] = ActivationType.int8,
    method: Annotated[
        RangeMethod, typer.Option(help="Ranges: the extremes of the data, or a percentile of it.")
    ] = RangeMethod.minmax,
    percentile: Annotated[float, typer.Option(min=50, max=100, help="For --method percentile.")] = 99.99,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
) -> None:
    """Quantise a model to int8 with calibration data; print the error of each layer and of the outputs."""
    from rt_native.terminal import Terminal

    console, errors = Terminal(), Terminal(stderr=True)
    said = parse_binding(shape, value, bound)
    target = output or model.with_name(f"{model.stem}-int8.onnx")
    check_outputs(model, calibrate, files={"--output": target})
    with explained(errors):
        import rt_engine
        from rt_engine.read.source import opened

        source = opened(model)
        with _Bar(errors) as bar:
            result = rt_engine.quantize(
                source,
                calibrate,
                per_channel=per_channel,
                type=type.value,
                method=method.value,
                percentile=percentile,
                **said.options,
                progress=bar,
            )
        result.save(target)
        console.print(layer_table(result))
        if result.kept:
            console.print(kept_table(result))
        console.print(output_table(result))
        say(
            console,
            f"{target}: {target.stat().st_size:,} bytes, {model} with its weights {result.float_bytes:,}",
            "green",
        )
        for note in result.notes:
            say(console, f"  note: {note}")


class _Bar:
    """A progress bar that appears when the work takes longer than `PATIENCE_S`."""

    def __init__(self, console: Any) -> None:
        from rich.progress import Progress

        self._bar = Progress(console=console, transient=True)
        self._task = self._bar.add_task("running the model", total=None)
        self._start, self._shown = time.monotonic(), False

    def __enter__(self) -> _Bar:
        return self

    def __call__(self, done: int, total: int) -> None:
        if not self._shown and time.monotonic() - self._start > PATIENCE_S:
            self._bar.start()
            self._shown = True
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._bar.stop()


def layer_table(result: Quantized) -> Sheet:
    """Every quantised layer with its signal-to-noise ratio; the worst is marked."""
    from rt_native.terminal import Column, Sheet

    columns = (Column("layer", folds=True), Column("operator", rank=1), Column("SQNR dB", right=True))
    sheet = Sheet(columns, title=f"Layers, {result.samples} samples")
    worst = min((layer.sqnr_db for layer in result.layers), default=0.0)
    for layer in result.layers:
        style = "yellow" if layer.sqnr_db == worst and len(result.layers) > 1 else ""
        sheet.add(layer.name, layer.operator, f"{layer.sqnr_db:.1f}", style=style)
    return sheet


def kept_table(result: Quantized) -> Sheet:
    """What stays float, and why."""
    from rt_native.terminal import Column, Sheet

    columns = (
        Column("layer", folds=True),
        Column("operator", 1),
        Column("weights", 2, right=True),
        Column("why", folds=True),
    )
    sheet = Sheet(columns, title="Stays float")
    for kept in result.kept:
        sheet.add(kept.name, kept.operator, f"{kept.weight_bytes:,}" if kept.weight_bytes else "-", kept.why)
    return sheet


def output_table(result: Quantized) -> Sheet:
    """Every output with its largest and mean error."""
    from rt_native.terminal import Column, Sheet

    ranks = {"largest error": 0, "mean error": 2, "largest value": 2, "largest error, share": 1}
    columns = (Column("output", folds=True), *(Column(name, rank, right=True) for name, rank in ranks.items()))
    sheet = Sheet(columns, title="Outputs, against float32")
    for out in result.outputs:
        share = f"{out.largest / out.span:.2%}" if out.span else "-"
        sheet.add(out.name, f"{out.largest:.3g}", f"{out.mean:.3g}", f"{out.span:.3g}", share)
    return sheet
