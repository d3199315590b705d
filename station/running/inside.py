"""What happens inside a station's models: graph, times, tensors. Made in contexts of its own, never in a cycle."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_engine import Model, ModelSlot
from scheduler.scheduler import Scheduler
from station.errors import RefusedError
from station.terms.findings import unknown

if TYPE_CHECKING:  # what examines models is loaded when somebody looks at one, not at each start of a station
    from rt_engine.explain import Explanation, Graph

MEASURED_S: Final = 0.2
"""So long a model is run to know the time of its operators, once for each version."""
MOST_VALUES: Final = 4096
FRESH_S: Final = 0.5
"""Tensors of one cycle are shown for so long: whoever clicks through operators sees one moment."""
_SPEC: Final = re.compile(r"(\w+)\[(.*)\]")


@dataclass(frozen=True, slots=True)
class _Moment:
    """A cycle of a task, explained."""

    made_s: float
    task: str
    tick_ns: int
    found: Explanation
    is_same: bool
    """Did it give the very bits that the task had?"""


class Inside:
    """Of all slots of a station. Any thread; what is asked for is computed one at a time.

    Args:
        tasks: slot -> the tasks that run its model.
    """

    def __init__(self, slots: Mapping[str, ModelSlot], tasks: Mapping[str, list[str]], scheduler: Scheduler) -> None:
        self._slots, self._tasks, self._scheduler = slots, tasks, scheduler
        self._lock = threading.Lock()
        self._graphs: dict[str, tuple[str, Graph]] = {}
        self._moments: dict[str, tuple[str, _Moment]] = {}

    def graph(self, slot: str) -> dict[str, Any]:
        """Boxes and edges, with times; see `station/page/static/js/api.js`. Raises `KeyError`."""
        model, version = self._model(slot)
        with self._lock:
            graph = self._graph(slot, model)
        nodes = [*_ends("i", "input", graph), *_operators(graph), *_ends("o", "output", graph)]
        return {
            "version": version,
            "total_ns": sum(row.ns for row in graph.rows),
            "nodes": nodes,
            "edges": [[edge.source, edge.target] for edge in graph.edges],
        }

    def tensor(self, slot: str, node: str) -> dict[str, Any]:
        """What a box of the graph held in the newest cycle; see `station/page/static/js/api.js`.

        Raises:
            KeyError: no such slot, or box.
            RefusedError: no task runs the model, or none rests long enough to be asked.
        """
        model, _ = self._model(slot)
        with self._lock:
            moment = self._moment(slot, model)
            values, name = _values(model, moment, node)
        return {**_about(moment), "node": node, "name": name, **_numbers(values)}

    def _model(self, slot: str) -> tuple[Model, int]:
        if slot not in self._slots:
            raise KeyError(unknown("model", slot, self._slots))
        of = self._slots[slot]
        return of.model, of.version

    def _graph(self, slot: str, model: Model) -> Graph:
        from rt_engine.explain import graph_of, operator_times

        known = self._graphs.get(slot)
        if known is None or known[0] != model.sha256:
            known = self._graphs[slot] = (model.sha256, graph_of(model, operator_times(model, MEASURED_S)))
        return known[1]

    def _moment(self, slot: str, model: Model) -> _Moment:
        from rt_engine.explain import explain

        known, now_s = self._moments.get(slot), time.monotonic()
        if known is not None and known[0] == model.sha256 and now_s - known[1].made_s < FRESH_S:
            return known[1]
        for task in self._tasks.get(slot, ()):
            latched = self._scheduler.latched(task)
            if latched is None or set(latched.inputs) != {spec.name for spec in model.inputs}:
                continue
            found = explain(model, latched.inputs, latched.state or None, moving=False)
            moment = _Moment(now_s, task, latched.tick_ns, found, _is_same(found, latched.outputs))
            self._moments[slot] = (model.sha256, moment)
            return moment
        raise RefusedError(
            f"no task that runs {slot} can be asked now: none runs it, it runs in slices, or never rests long enough"
        )


def _values(model: Model, moment: _Moment, node: str) -> tuple[NDArray[Any], str]:
    """The tensor of a box, and its name."""
    kind, text = node[:1], node[1:]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else -1
    found: list[Any] = []
    if kind == "n" and number >= 0:
        found = [tensor for tensor in moment.found.tensors if tensor.node == number]
    elif number >= 0:
        ends = [model.inputs, model.outputs][kind == "o"]
        states = [tensor.name for tensor in moment.found.tensors if tensor.kind == "state"]
        names = [spec.name for spec in ends] + (states if kind == "i" else [])
        name = names[number] if kind in ("i", "o") and number < len(names) else ""
        found = [tensor for tensor in moment.found.tensors if tensor.name == name]
    if not found:
        raise KeyError(f"there is no tensor at {node[:20]!r}: it makes none, or there is no such box")
    return found[-1].values, found[-1].name


def _is_same(found: Explanation, outputs: Mapping[str, NDArray[Any]]) -> bool:
    made = {tensor.name: tensor.values for tensor in found.tensors if tensor.name in outputs}
    return made.keys() == outputs.keys() and all(
        np.array_equal(made[name], values, equal_nan=values.dtype.kind == "f") for name, values in outputs.items()
    )


def _about(moment: _Moment) -> dict[str, Any]:
    at_s = time.time() - (time.monotonic_ns() - moment.tick_ns) / 1e9
    words = f"computed again from the inputs of a cycle of task {moment.task}"
    words += (
        ", to the same bits"
        if moment.is_same
        else "; the task had other outputs: its model runs in some cycles only, or failed"
    )
    if moment.found.ended_at:
        words += f"; the run ended at {moment.found.ended_at}"
    when = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return {"tick_ns": moment.tick_ns, "when": when, "source": words}


def _numbers(values: NDArray[Any]) -> dict[str, Any]:
    from rt_engine.explain import Statistics

    seen = Statistics.of(values)
    return {
        "dtype": str(values.dtype),
        "shape": list(values.shape),
        "values": np.asarray(values).reshape(-1)[:MOST_VALUES].astype(np.float64).tolist(),
        "least": seen.least,
        "greatest": seen.greatest,
        "mean": seen.mean,
        "deviation": seen.deviation,
        "zeros": seen.zeros,
        "not_finite": seen.nan + seen.infinite,
    }


def _ends(letter: str, kind: str, graph: Graph) -> list[dict[str, Any]]:
    ends = graph.inputs if kind == "input" else graph.outputs
    return [
        {"id": f"{letter}{number}", "kind": kind, "name": end.name, **_spec(end.value)}
        for number, end in enumerate(ends)
    ]


def _operators(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "id": f"n{number}",
            "kind": "operator",
            "name": row.name,
            "operator": row.operator,
            **_spec(row.output),
            "kernels": list(row.kernels),
            "ns": row.ns,
            "share": row.share,
            "macs": row.macs,
            "weight_bytes": row.weight_bytes,
        }
        for number, row in enumerate(graph.rows)
    ]


def _spec(text: str) -> dict[str, Any]:
    """`float32[1, 2]` in parts."""
    found = _SPEC.search(text)
    if found is None:
        return {"dtype": text, "shape": []}
    return {"dtype": found[1], "shape": [int(one) for one in found[2].split(",") if one.strip().isdigit()]}
