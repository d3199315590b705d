"""The graph of a program: operators, what flows between them, and how long each takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.measure.inspect import End, OperatorRow, inputs_of, outputs_of
from rt_engine.measure.picture import graph_svg
from rt_engine.measure.profile import record_times
from rt_engine.model import Model


@dataclass(frozen=True, slots=True)
class Edge:
    """What flows from one box to another. Boxes: "i0" the first input, "n3" operator 3, "o1" the second output."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A program as boxes and edges. `rows[i]` is operator i; those without kernels only give a value another shape."""

    model: str
    inputs: tuple[End, ...]
    """Inputs, then states; each with the operators that read it."""
    outputs: tuple[End, ...]
    rows: tuple[OperatorRow, ...]

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Each once, in the order of the operators."""
        found = [Edge(f"i{i}", f"n{row}") for i, end in enumerate(self.inputs) for row in end.rows]
        found += [Edge(f"n{source}", f"n{i}") for i, row in enumerate(self.rows) for source in row.inputs]
        found += [Edge(f"n{row}", f"o{i}") for i, end in enumerate(self.outputs) for row in end.rows]
        return tuple(dict.fromkeys(found))

    def svg(self) -> str:
        """A picture: boxes coloured by their share of the time, each a link to `#r` and the operator's number."""
        return graph_svg(self)

    def to_json(self) -> dict[str, Any]:
        """`nodes` in the order of the operators, `ns` of each where it was measured."""
        return {
            "model": self.model,
            "inputs": [{"name": e.name, "value": e.value} for e in self.inputs],
            "outputs": [{"name": e.name, "value": e.value} for e in self.outputs],
            "nodes": [
                {"name": r.name, "operator": r.operator, "kernels": list(r.kernels), "output": r.output, "macs": r.macs,
                 "weight_bytes": r.weight_bytes, "ns": r.ns, "share": r.share}
                for r in self.rows
            ],
            "edges": [[e.source, e.target] for e in self.edges],
        }  # fmt: skip


def graph_of(model: Model, times: Sequence[float] | NDArray[np.float64] | None = None) -> Graph:
    """The graph of a model; `times`: nanoseconds of each record (`operator_times`), zeros where they were not measured."""
    program = model.program
    rows = tuple(
        OperatorRow(
            n.name, n.operator, n.kernels, n.sources, n.output, n.macs, n.weight_bytes, n.arena_bytes, 0.0, 0.0, None, None, None
        )
        for n in program.nodes
    )  # fmt: skip
    if times is not None:
        of_node = np.bincount(program.records["node"], np.asarray(times, np.float64), len(rows))
        whole = max(float(of_node.sum()), 1.0)
        rows = tuple(
            replace(row, ns=float(ns), share=float(ns) / whole) for row, ns in zip(rows, of_node.tolist(), strict=True)
        )
    return Graph(model.name, inputs_of(program), outputs_of(program), rows)


def operator_times(model: Model, seconds: float = 0.2) -> NDArray[np.float64]:
    """Nanoseconds of each record of a model, in a context of its own whose inputs are zeros.

    What a run takes depends little on the values; where it does (loops, trees), give `record_times` a context with real ones.
    """
    return record_times(model.context(), seconds)
