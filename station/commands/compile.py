"""The command `compile`: an ONNX model to a compiled program, one file that loads without ONNX."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import (
    BoundOption,
    ModelArgument,
    ShapeOption,
    StateOption,
    ValueOption,
    parse_binding,
)

ORDER = 90


def compile(
    model: ModelArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="By default MODEL.rtp, beside it.")
    ] = None,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    state: StateOption = None,
) -> None:
    """Compile a model to one file for C programs and fast loading: the same bytes on every machine."""
    from rt_native.terminal import Terminal

    console, binding = Terminal(), parse_binding(shape, value, bound, state)
    target = output or model.parent / f"{model.stem}.rtp"
    if output is None and target == model:
        raise typer.BadParameter(f"{model} is compiled already; --output FILE writes it anew", param_hint="MODEL")
    check_outputs(model, files={"--output": target})
    with explained(Terminal(stderr=True)):
        import rt_engine
        import rt_engine.compiler  # it takes longer to import than a small model to compile
        from rt_engine.program.rtp_file import write

        begin = time.monotonic()
        made = rt_engine.load(model, **binding.options)
        compiled = time.monotonic()
        try:
            size = write(made.program, target)
        except OSError as error:
            raise typer.BadParameter(f"{error}; choose another place", param_hint="--output") from error
        program = made.program
        say(console, f"{target}: {size:,} bytes, compiled in {1e3 * (compiled - begin):,.0f} ms", "green")
        for kind, specs in (("inputs", made.inputs), ("outputs", made.outputs), ("states", made.state)):
            say(console, f"  {kind}: {', '.join(map(str, specs)) or 'none'}")
        sizes = f"{program.weight_nbytes:,} bytes of weights, {program.arena_nbytes:,} per context"
        say(console, f"  {len(program.records):,} records; {sizes}")
        say(console, f"  {len(program.kernels)} kernels: {' '.join(program.kernels)}")
        for note in made.notes:
            say(console, f"  note: {note}")
