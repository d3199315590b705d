"""Drawn inputs through the model: are all outputs finite, and within the contract's limits?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_engine.contract.terms import Contract
from rt_engine.errors import RunError
from rt_engine.gate.draws import Draws, kind_of
from rt_engine.gate.elements import Meaning, meanings
from rt_engine.gate.job import GateJob
from rt_engine.gate.report import Check, Outcome
from rt_engine.model import Model

NAME = "drawn inputs"
SEQUENCE = 100
"""Runs of a model with state from a fresh state on."""
MOST_BYTES, MOST_ROWS, PIECE_S = 32 << 20, 1000, 0.25
"""Of inputs and outputs that are held at once; what a piece may take."""
SLACK = 1e-6
"""A limit is kept within this part of it: float32 rounds."""
SHOWN = 8
Row = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Bad:
    """The first drawn input that gives something bad."""

    row: int
    why: str


def check_drawn(model: Model, job: GateJob, contract: Contract | None) -> Check:
    """Run `job.draws` inputs, or as many as `job.draw_s` allows. Without a contract, outputs have only to be finite."""
    if not model.inputs:
        return Check(NAME, Outcome.SKIPPED, "the model has no inputs")
    inputs, outputs = meanings(model.inputs, True, contract), meanings(model.outputs, False, contract)
    draws, begin = Draws(inputs, job.seed), time.monotonic()
    done, piece, bad = 0, 16, None
    nbytes = sum(m.size * m.spec.dtype.itemsize for m in (*inputs, *outputs))
    most = max(1, min(MOST_ROWS, MOST_BYTES // max(nbytes, 1), SEQUENCE if model.state else MOST_ROWS))
    while done < job.draws and bad is None and time.monotonic() - begin < job.draw_s:
        count, before = min(piece, most, job.draws - done), time.monotonic()
        bad = _first_bad(model, draws.take(count), outputs, done)
        done += count
        piece = int(np.clip(PIECE_S / max(time.monotonic() - before, 1e-9) * count, 1, MOST_ROWS))
    figures = {"inputs": float(done), "seed": float(job.seed)}
    if bad is not None:
        said = _inputs_shown(inputs, job.seed, bad.row)
        why = f"input {bad.row} of {job.draws:,} ({kind_of(bad.row)}), {said}: {bad.why}"
        return Check(NAME, Outcome.FAILED, why, figures)
    return Check(NAME, Outcome.PASSED, _said(job, contract, done, draws.assumed, bool(model.state)), figures)


def _said(job: GateJob, contract: Contract | None, done: int, assumed: int, has_state: bool) -> str:
    """What a good result means."""
    if contract is None:
        said = f"{done:,} inputs as N(0, 1) give finite outputs; the file has no contract: no limits are known, real inputs may differ"
    else:
        said = f"{done:,} inputs from the contract's ranges give finite outputs within its limits"
        if assumed:
            said += f"; {assumed} elements have no range and no statistics, and were taken as N(0, 1)"
    if done < job.draws:
        said += f"; there was no time for more ({job.draws:,} were wanted, within {job.draw_s:g} s)"
    return said + (f"; in sequences of at most {SEQUENCE} from a fresh state" if has_state else "")


def _first_bad(model: Model, rows: Row, outputs: Sequence[Meaning], first: int) -> Bad | None:
    """The first of these rows that gives something bad."""
    failed, count = None, len(next(iter(rows.values())))
    try:
        made = model.map(rows, threads=1)
    except RunError as error:
        failed = error
        count = error.sample or 0
        made = model.map({name: array[:count] for name, array in rows.items()}, threads=1) if count else []
    found = [bad for meaning, array in zip(outputs, made, strict=bool(made)) if (bad := _bad(meaning, array))]
    if found:
        row, why = min(found, key=lambda bad: bad[0])
        return Bad(first + row, why)
    return None if failed is None else Bad(first + count, f"{failed}")


def _bad(output: Meaning, made: NDArray[np.generic]) -> tuple[int, str] | None:
    """The first row of an output that is not finite, or beyond the limits; and why."""
    if output.spec.dtype.kind in "iub" and not output.parts:
        return None
    values = np.asarray(made).astype(np.float64).reshape(len(made), -1)
    wrong = ~np.isfinite(values)
    if output.parts:
        low, high = (end[output.rows()] for end in output.limits())
        with np.errstate(invalid="ignore"):
            wrong |= (values < low - SLACK * np.abs(low)) | (values > high + SLACK * np.abs(high))
    rows = np.flatnonzero(wrong.any(axis=1))
    if not rows.size:
        return None
    row = int(rows[0])
    flat = int(np.flatnonzero(wrong[row])[0])
    said = f"output {output.shown(flat, float(values[row, flat]))}"
    if not np.isfinite(values[row, flat]):
        return row, f"{said} is not finite"
    known = output.element(flat)
    assert known is not None
    return row, f"{said}, beyond the contract's limits {known.low:g} to {known.high:g}"


def _inputs_shown(inputs: Sequence[Meaning], seed: int, row: int) -> str:
    """The elements of a drawn input, by name: the first few."""
    drawn, at = Draws(inputs, seed), 0
    while at < row:
        drawn.take(step := min(MOST_ROWS, row - at))
        at += step
    made, told = drawn.take(1), []
    for meaning in inputs:
        flat = made[meaning.spec.name].astype(np.float64).reshape(-1)
        told += [meaning.shown(i, float(value)) for i, value in enumerate(flat[: SHOWN + 1])]
    return ", ".join(told[:SHOWN]) + (", ..." if len(told) > SHOWN else "")
