"""Every tensor that a run makes, copied when it is made: memory is used again by what comes later."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.explain.heat import sheet
from rt_engine.program.program import Place, Program
from rt_engine.run.context import Context
from rt_engine.run.stepping import stepped

TWIN = ".last"
"""Ends the name of a value that is kept channels last (`rt_engine.passes.channels_last`)."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the elements of a tensor that are finite; None where there are none."""

    least: float | None
    greatest: float | None
    mean: float | None
    deviation: float | None
    zeros: float
    """Share of the elements that are 0."""
    nan: int
    infinite: int

    @classmethod
    def of(cls, values: NDArray[Any]) -> "Statistics":
        """Look at every element, in float64."""
        wide = np.asarray(values).astype(np.float64).ravel()
        finite = wide[np.isfinite(wide)]
        nan = int(np.isnan(wide).sum())
        zeros = float((wide == 0).mean()) if wide.size else 0.0
        rest = (zeros, nan, int(wide.size - finite.size - nan))
        if not finite.size:
            return cls(None, None, None, None, *rest)
        return cls(float(finite.min()), float(finite.max()), float(finite.mean()), float(finite.std()), *rest)


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value of one run.

    `values` has the layout of the model's file, whatever the program does: channels that it keeps last are first again.
    """

    name: str
    """As in the model's file; of a step within an operator, which the file does not name: the operator, and its number there."""
    in_file: bool
    kind: str
    """"input", "state" (as it was before the run), "tensor" or "output"."""
    record: int
    """That wrote it; -1: none, it was given."""
    node: int
    """Operator: index into `Program.nodes`, -1: none."""
    operator: str
    kernel: str
    runs: int
    """How often the record ran: more than once in a loop, whose last value this is."""
    values: NDArray[Any]
    statistics: Statistics

    @property
    def shape(self) -> tuple[int, ...]:
        """As in the model's file."""
        return self.values.shape

    def to_json(self) -> dict[str, Any]:
        """All but the single values; of those a picture of at most `heat.MOST_ROWS` x `heat.MOST_COLUMNS` cells."""
        s = self.statistics
        return {
            "name": self.name, "in_file": self.in_file, "kind": self.kind, "record": self.record, "node": self.node,
            "operator": self.operator, "kernel": self.kernel, "runs": self.runs, "dtype": str(self.values.dtype),
            "shape": list(self.shape), "least": s.least, "greatest": s.greatest, "mean": s.mean, "deviation": s.deviation,
            "zeros": s.zeros, "nan": s.nan, "infinite": s.infinite, "sheet": sheet(self.values).to_json(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """What a run made, and how it ended: status 0, or that of the record that it ended with."""

    tensors: tuple[Tensor, ...]
    status: int
    ended_at: str
    """The operator that ended with a status; empty: none did."""


def given(context: Context) -> Iterator[Tensor]:
    """Inputs and states as they are now."""
    for kind, views in (("input", context.inputs), ("state", context.state)):
        for name, view in views.items():
            values = view.copy()
            yield Tensor(name, True, kind, -1, -1, kind, "", 1, values, Statistics.of(values))


def run_tensors(context: Context) -> Run:
    """Run a context once, as `Context.run`, and copy what every record makes. What one writes besides its first is not seen,
    unless it is an output of the model."""
    program = context._executable.program
    found = list(given(context))
    made: dict[int, NDArray[Any]] = {}
    runs: dict[int, int] = {}
    status, at = 0, -1
    for at, status in stepped(context):
        place = program.results[at] if program.results else None
        if place is not None and status == 0:
            made[at] = context._view(place).copy()
            runs[at] = runs.get(at, 0) + 1
    node = int(program.records["node"][at]) if status else -1
    found += _written(program, made, runs)
    if status == 0:
        found += _outputs(program, context, {t.name for t in found if t.in_file and t.kind == "tensor"})
    return Run(tuple(found), status, program.nodes[node].name if node >= 0 else "")


def _written(program: Program, made: dict[int, NDArray[Any]], runs: dict[int, int]) -> Iterator[Tensor]:
    """Of the records that write one value in turn (parts of it), the last one stands for all."""
    keeps_last = any(node.operator.endswith("Last") for node in program.nodes)
    last = {place.spec.name: i for i in sorted(made) if (place := program.results[i]) is not None}
    step: dict[int, int] = {}
    for index in sorted(made):
        place = program.results[index]
        assert place is not None
        node = int(program.records["node"][index])
        step[node] = step.get(node, 0) + 1
        name, values = place.spec.name, made[index]
        if name and last[name] != index:
            continue
        if keeps_last and name.endswith(TWIN) and values.ndim >= 3:
            name, values = name.removesuffix(TWIN), np.moveaxis(values, -1, 1)
        owner = program.nodes[node]
        kernel = program.kernels[int(program.records["kernel"][index])]
        title = name or f"{owner.name or owner.operator}, step {step[node]}"
        kind = "output" if name in {p.spec.name for p in program.outputs} else "tensor"
        yield Tensor(
            title, bool(name), kind, index, node, owner.operator, kernel, runs[index], values, Statistics.of(values)
        )


def _outputs(program: Program, context: Context, named: set[str]) -> Iterator[Tensor]:
    """Outputs that no record writes first: a second one of an operator, or a value that lies there already."""
    seen = named | {p.spec.name for p in program.results if p is not None}
    makers = program.makers or (-1,) * len(program.outputs)
    for place, node in zip(program.outputs, makers, strict=True):
        if place.spec.name not in seen:
            yield _output(program, context, place, node)


def _output(program: Program, context: Context, place: Place, node: int) -> Tensor:
    values = context._view(place).copy()
    operator = program.nodes[node].operator if node >= 0 else "output"
    return Tensor(place.spec.name, True, "output", -1, node, operator, "", 1, values, Statistics.of(values))
