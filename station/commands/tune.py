"""The command `tune`: what is quickest on this machine, measured once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import BoundOption, ShapeOption, StateOption, ValueOption, parse_binding
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_engine.tune import Tuned

ORDER = 85
MOST_ROWS = 12
"""Of a model, in the table."""


def tune(
    models: Annotated[list[Path] | None, typer.Argument(metavar="MODEL...", help="Models: .onnx or .rtp.")] = None,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    state: StateOption = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="For each model; ten rounds at least.")] = 10.0,
    forget: Annotated[bool, typer.Option("--forget", help="Remove what was measured before.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON.")] = None,
) -> None:
    """Measure in which pieces a model is quickest on this machine: kept for every later load, the same bits."""
    from rt_native.terminal import Terminal

    binding = parse_binding(shape, value, bound, state)
    if not (models or forget):
        raise typer.BadParameter("name a model, or say --forget", param_hint="MODEL...")
    check_outputs(*(models or ()), files={"--json": json})
    errors = Terminal(stderr=True)
    with explained(errors):
        from rt_engine.errors import EngineError
        from rt_engine.run import chosen
        from rt_native.errors import NativeError

        if forget:
            say(Terminal(), f"forgot what was measured: {chosen.forget()} files in {chosen.folder()}")
        found: dict[str, Tuned] = {}
        failed = False
        for model in models or ():
            try:
                found[str(model)] = _measured(errors, model, binding.options, seconds)
            except (EngineError, NativeError) as error:
                if len(models or ()) == 1:
                    raise
                say(errors, f"{model}: {error}", "red")
                failed = True
        _show(found)
        if json is not None:
            _write(json, found)
        if failed:
            raise typer.Exit(ExitCode.FAILED)


def _measured(errors: Any, path: Path, options: dict[str, Any], seconds: float) -> Tuned:
    from rich.progress import Progress

    import rt_engine
    from rt_engine.run.chosen import keep
    from rt_engine.run.native import KERNELS
    from rt_engine.tune import tune

    model = rt_engine.load(path, **options)
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task(f"measuring {path.name}", total=1.0)
        tuned = tune(model, seconds, lambda share: bar.update(task, completed=share))
    try:
        keep(KERNELS, tuned.chosen)
    except OSError as error:
        raise typer.BadParameter(f"what was chosen cannot be kept: {error}", param_hint="RT_ENGINE_CACHE") from error
    return tuned


def _show(found: dict[str, Tuned]) -> None:
    from rt_native.terminal import Column, Sheet, Terminal

    figures = (Column(name, right=True) for name in ("fixed", "chosen", "block", "cut", "gain"))
    table = Sheet((Column("model, node", folds=True), Column("kernel and sizes", folds=True), *figures))
    for name, tuned in found.items():
        if not tuned.records:
            table.add(Path(name).name, "nothing to choose: its kernels work in one way alone", *[""] * 5)
            continue
        told = f"{tuned.records} records with a choice, {len(tuned.rows)} shapes changed, {tuned.rounds} rounds"
        run = (f"{tuned.fixed_ns / 1e3:,.1f} us", f"{tuned.fixed_ns * tuned.ratio / 1e3:,.1f} us")
        table.add(Path(name).name, told, *run, "", "", f"{1 - tuned.ratio:.1%}")
        rows = sorted(tuned.rows, key=lambda row: row.chosen_ns - row.fixed_ns)
        for row in rows[:MOST_ROWS]:
            times = (f"{row.fixed_ns / 1e3:,.1f} us", f"{row.chosen_ns / 1e3:,.1f} us")
            pieces = [str(n) if n else "-" for n in (row.pieces.block, row.pieces.cut)]
            table.add(f"  {row.node}", row.shape, *times, *pieces, f"{1 - row.chosen_ns / row.fixed_ns:.1%}")
        if len(rows) > MOST_ROWS:
            table.add("", f"  and {len(rows) - MOST_ROWS} more: --json FILE has all", *[""] * 5)
    if found:
        Terminal().print(table)


def _write(path: Path, found: dict[str, Tuned]) -> None:
    import json
    from dataclasses import asdict

    text = json.dumps({name: asdict(tuned) for name, tuned in found.items()}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
