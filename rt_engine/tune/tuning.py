"""A model, measured: what would be chosen for each of its records, and what that gains."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.model import Model
from rt_engine.run.chosen import Pieces, shape_of, told, with_pieces
from rt_engine.run.context import Context
from rt_engine.run.executable import Executable
from rt_engine.tune.alternatives import ALTERNATIVES, applicable
from rt_engine.tune.choose import choose
from rt_engine.tune.rounds import rounds

Step = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A record for which something else than what the program says is quicker."""

    node: str
    shape: str
    """Kernel and sizes."""
    pieces: Pieces
    fixed_ns: float
    chosen_ns: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was measured of one model."""

    rows: tuple[Row, ...]
    records: int
    """Records for which there was a choice."""
    rounds: int
    fixed_ns: float
    """One run as the program says: the median, with two looks at the clock for each record."""
    ratio: float
    """One run with what was chosen, to one without, in turns: the median. 1 where nothing was chosen."""

    @property
    def chosen(self) -> dict[str, Pieces]:
        """Shape -> pieces, as `rt_engine.run.chosen.keep` takes them."""
        return {row.shape: row.pieces for row in self.rows}


def tune(model: Model, seconds: float = 10.0, step: Step = lambda share: None) -> Tuned:
    """Measure all alternatives on the records of a model, and then all that was chosen together; keeps nothing.

    Four fifths of `seconds` go to the alternatives, the rest to the proof: what is not quicker as a whole is not chosen. A model of
    which ten rounds take longer takes longer. `step` is told the share that is done.

    Raises:
        RunError: a kernel ended with a status.
    """
    program = model.program
    context = Context(Executable(program, model._executable.library, {}))
    _feed(context)
    apply = applicable(program)
    if not apply.any():
        return Tuned((), 0, 0, 0.0, 1.0)
    kernels = dict(told(program))
    used = np.flatnonzero(apply.any(axis=1))
    versions = [program.records]
    versions += [
        with_pieces(program, [(int(i), kernels[int(i)], ALTERNATIVES[a]) for i in np.flatnonzero(apply[a])])
        for a in used
    ]
    times = rounds(context, versions, 0.8 * seconds, lambda share: step(0.8 * share))
    mask = np.concatenate([np.zeros((1, apply.shape[1]), bool), apply[used]])
    picked = choose(times, mask)
    middle, fixed = np.median(times, axis=0), float(np.median(times[:, 0].sum(axis=-1)))
    which = np.flatnonzero(picked)
    pieces = {int(i): ALTERNATIVES[used[picked[i] - 1]] for i in which}
    records = int(apply.any(axis=0).sum())
    if not pieces:
        return Tuned((), records, len(times), fixed, 1.0)
    proof = rounds(
        context,
        [program.records, with_pieces(program, [(i, kernels[i], p) for i, p in pieces.items()])],
        0.2 * seconds,
        lambda share: step(0.8 + 0.2 * share),
    ).sum(axis=-1)
    ratio = float(np.median(proof[:, 1] / proof[:, 0]))
    if ratio >= 1.0:
        return Tuned((), records, len(times), fixed, 1.0)
    rows = [
        Row(_node(model, i), shape_of(kernels[i], program.records[i]), p, middle[0, i], middle[picked[i], i])
        for i, p in pieces.items()
    ]
    return Tuned(tuple(_agreed(rows)), records, len(times), fixed, ratio)


def _agreed(rows: list[Row]) -> list[Row]:
    """For each shape, which may stand in a program several times, what saves most of all."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.shape not in best or row.fixed_ns - row.chosen_ns > best[row.shape].fixed_ns - best[row.shape].chosen_ns:
            best[row.shape] = row
    return list(best.values())


def _node(model: Model, record: int) -> str:
    return model.program.nodes[int(model.program.records["node"][record])].name


def _feed(context: Context) -> None:
    """Numbers of usual size; whole numbers, which may be indices, are 0."""
    rng = np.random.default_rng(0)
    for view in context.inputs.values():
        values: NDArray[Any] = rng.standard_normal(view.shape)
        view[...] = values if view.dtype.kind == "f" else 0
