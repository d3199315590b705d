"""A model under the magnifying glass: per operator what it does, what it takes, how near the machine's peak, how exact."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rt_engine.measure.engines import Arrays
from rt_engine.measure.exactness import record_errors
from rt_engine.measure.peaks import Peaks, peaks
from rt_engine.measure.profile import record_times
from rt_engine.model import Model
from rt_engine.program.program import Place, Program
from rt_native.terminal import Column, Sheet

Step = Callable[[str], None]
STEPS = 3


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator of the program."""

    name: str
    operator: str
    kernels: tuple[str, ...]
    inputs: tuple[int, ...]
    """Rows whose results it reads."""
    output: str
    macs: int
    weight_bytes: int
    arena_bytes: int
    ns: float
    share: float
    """Of the time of all operators."""
    cycles_per_mac: float | None
    of_peak: float | None
    """The least time at the machine's measured peaks, divided by the measured one; None where nothing can be said."""
    error: float | None
    """Greatest difference from float64, as a share of the greatest value."""


@dataclass(frozen=True, slots=True)
class End:
    """An input or an output of the program, and the rows that read or make it."""

    name: str
    value: str
    """Type and shape."""
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """All operators, and the model as a whole."""

    model: str
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    rows: tuple[OperatorRow, ...]
    p50_ns: float
    """Of whole runs, without the clock in between."""
    macs: int
    weight_bytes: int
    arena_bytes: int
    arena_lower_bound: int
    arena_bare_bound: int
    ends_bytes: int
    """Of inputs and outputs, which are part of the arena."""
    machine: Peaks

    @property
    def padding_bytes(self) -> int:
        """What whole cache lines and the header cost: the lower bound with them, less the one without."""
        return self.arena_lower_bound - self.arena_bare_bound

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "padding_bytes": self.padding_bytes,
            "total_bytes": self.weight_bytes + self.arena_bytes,
        }


def inspect(
    model: Model, path: Path, inputs: Arrays, seconds: float = 1.0, errors: bool = True, step: Step = lambda what: None
) -> Inspection:
    """Measure a loaded model on given inputs.

    Args:
        path: the model's file, for the float64 reference.
        errors: also compare every value with float64.
    """
    program, facts = model.program, peaks()
    context = model.context()
    for name, value in inputs.items():
        context.inputs[name] = value
    context.run()
    step("timing every operator")
    times = record_times(context, seconds)
    step("timing whole runs")
    one = max(float(np.median(context.measure(5))), 100.0)
    p50 = float(np.median(context.measure(int(np.clip(seconds * 1e9 / one, 20, 5000)))))
    step("comparing with float64")
    differences = record_errors(model, path, inputs) if errors else [None] * len(times)
    of_node = program.records["node"]
    rows = []
    for index, node in enumerate(program.nodes):
        mine = np.flatnonzero(of_node == index)
        ns = float(times[mine].sum())
        found = [differences[i] for i in mine]
        known = [e for e in found if e is not None]
        least = facts.least_ns(node.macs, node.weight_bytes + node.arena_bytes, is_int8(node.kernels))
        rows.append(
            OperatorRow(
                node.name,
                node.operator,
                node.kernels,
                node.sources,
                node.output,
                node.macs,
                node.weight_bytes,
                node.arena_bytes,
                ns,
                ns / max(float(times.sum()), 1.0),
                ns * facts.ghz / node.macs if node.macs else None,
                min(least / ns, 1.0) if ns > 0 and len(mine) else None,
                known[-1] if known else None,
            )
        )
    ends = sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in (*model.inputs, *model.outputs))
    return Inspection(
        model.name,
        inputs_of(program),
        outputs_of(program),
        tuple(rows),
        p50,
        sum(n.macs for n in program.nodes),
        program.weight_nbytes,
        program.arena_nbytes,
        program.arena_lower_bound,
        program.arena_bare_bound,
        ends,
        facts,
    )


def inputs_of(program: Program) -> tuple[End, ...]:
    """Nothing else lies in the memory of an input: who touches it reads it."""
    found = []
    for place in (*program.inputs, *program.state):
        touching = (program.records["operand"] == place.offset).any(axis=1)
        found.append(_end(place, program.records["node"][touching].tolist()))
    return tuple(found)


def outputs_of(program: Program) -> tuple[End, ...]:
    """A compiled program does not say who makes an output: who writes there last, or touches it first."""
    if program.makers:
        return tuple(_end(p, [m] if m >= 0 else []) for p, m in zip(program.outputs, program.makers, strict=True))
    found = []
    for place in program.outputs:
        writing = [i for i, made in enumerate(program.results) if made is not None and made.offset == place.offset]
        touching = np.flatnonzero((program.records["operand"] == place.offset).any(axis=1)).tolist()
        found.append(_end(place, program.records["node"][writing[-1:] or touching[:1]].tolist()))
    return tuple(found)


def _end(place: Place, rows: list[int]) -> End:
    return End(place.spec.name, f"{place.spec.dtype}{list(place.spec.shape)}", tuple(dict.fromkeys(rows)))


def is_int8(kernels: Sequence[str]) -> bool:
    """Are multiply-accumulates made on bytes?"""
    return any(k.startswith(("qconv", "qgemm", "qdepthwise", "qdw", "qwinograd")) for k in kernels)


COLUMNS = (
    "operator",
    "name",
    "kernel",
    "output",
    "MACs",
    "weights",
    "arena",
    "us",
    "share",
    "cyc/MAC",
    "of peak",
    "error",
)


def cells(row: OperatorRow) -> tuple[str, ...]:
    """A row as text, in the order of `COLUMNS`."""
    return (
        row.operator,
        row.name,
        " ".join(_counted(row.kernels)) or "-",
        row.output,
        f"{row.macs:,}" if row.macs else "-",
        f"{row.weight_bytes:,}" if row.weight_bytes else "-",
        f"{row.arena_bytes:,}",
        f"{row.ns / 1000:.2f}",
        f"{row.share:.1%}",
        "-" if row.cycles_per_mac is None else f"{row.cycles_per_mac:.3f}",
        "-" if row.of_peak is None else f"{row.of_peak:.0%}",
        "-" if row.error is None else f"{row.error:.1e}",
    )


def _counted(kernels: Sequence[str]) -> list[str]:
    counts = {k: kernels.count(k) for k in dict.fromkeys(kernels)}
    return [k if n == 1 else f"{n}x{k}" for k, n in counts.items()]


RANKS = {"operator": 1, "name": 0, "kernel": 6, "output": 4, "us": 1, "share": 1, "error": 2, "MACs": 3, "cyc/MAC": 5}
"""Column -> how soon it goes where the screen is narrow; the others go in between."""
_FOLDED = ("name", "kernel", "output")


def table(found: Inspection) -> Sheet:
    """One line per operator, and the totals."""
    totals = {
        "operator": "total",
        "MACs": f"{found.macs:,}",
        "weights": f"{found.weight_bytes:,}",
        "arena": f"{found.arena_bytes:,}",
        "us": f"{sum(r.ns for r in found.rows) / 1000:.2f}",
    }
    columns = [
        Column(name, RANKS.get(name, 4), i >= COLUMNS.index("MACs"), name in _FOLDED, totals.get(name, ""))
        for i, name in enumerate(COLUMNS)
    ]
    made = Sheet(columns, title=found.model, caption=summary(found))
    worst = max((r.error for r in found.rows if r.error is not None), default=None)
    for row in found.rows:
        heavy = row.share >= 0.2
        inexact = row.error is not None and worst is not None and row.error == worst
        made.add(*cells(row), style="bold" if heavy else "yellow" if inexact else "")
    return made


def summary(found: Inspection) -> str:
    """The model as a whole, in words."""
    over = found.arena_bytes - found.arena_lower_bound
    near = "which is the lower bound" if over <= 0 else f"{over:,} over the lower bound"
    return (
        f"whole run {found.p50_ns / 1000:.2f} us (median); memory {found.weight_bytes + found.arena_bytes:,} bytes: weights "
        f"{found.weight_bytes:,}, arena {found.arena_bytes:,} ({near} of {found.arena_lower_bound:,} for this order; inputs and "
        f"outputs {found.ends_bytes:,}; whole cache lines and the header cost {found.padding_bytes:,}).\n{found.machine}"
    )
