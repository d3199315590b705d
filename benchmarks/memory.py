"""How near each model's arena is to the least that its schedule allows: `python -m benchmarks.memory`."""

from rich.console import Console
from rich.table import Table

import rt_engine
from benchmarks.zoo import entries
from rt_engine.errors import EngineError


def main() -> None:
    """One line per model."""
    table = Table(
        "model",
        title="Bytes of one context (lower bounds: of the tensors alive at the busiest moment)",
        title_justify="left",
    )
    for column in (
        "arena",
        "lower bound",
        "ratio",
        "without padding",
        "padding",
        "inputs, outputs",
        "activations",
        "weights",
    ):
        table.add_column(column, justify="right")
    for entry in entries():
        try:
            model = rt_engine.load(entry.get().path)
        except EngineError:
            table.add_row(entry.name, "refused")
            continue
        program, report = model.program, model.report()
        ends = sum(view.nbytes for ends in (model.context().inputs, model.context().outputs) for view in ends.values())
        row = (report.arena_bytes, report.arena_lower_bound)
        rest = (program.arena_bare_bound, row[1] - program.arena_bare_bound, ends, row[0] - ends, report.weight_bytes)
        table.add_row(entry.name, f"{row[0]:,}", f"{row[1]:,}", f"{row[0] / row[1]:.3f}", *(f"{n:,}" for n in rest))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
