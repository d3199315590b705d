"""Test vectors: does the model give here what its author saw it give?"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rt_engine.contract.terms import Contract, TestVector
from rt_engine.errors import InputError, RunError
from rt_engine.gate.elements import Meaning, meanings
from rt_engine.gate.report import Check, Outcome
from rt_engine.model import Model

NAME = "test vectors"
SHOWN = 3


def check_vectors(model: Model, contract: Contract | None) -> Check:
    """Run all vectors of the contract; those of a model with state in their order, from a fresh state on."""
    if contract is None or not contract.vectors:
        return Check(NAME, Outcome.SKIPPED, "the file has none")
    outputs = {m.spec.name: m for m in meanings(model.outputs, False, contract)}
    wrong: list[str] = []
    worst, context = 0.0, model.context()
    for at, vector in enumerate(contract.vectors):
        try:
            context.inputs = vector.inputs
            context.run()
        except (InputError, RunError) as error:
            wrong.append(f"vector {at}: {error}")
            continue
        for name, expected in vector.outputs.items():
            got = np.asarray(context.outputs[name]).astype(np.float64)
            beyond = _beyond(got, expected.astype(np.float64), vector)
            worst = max(worst, float(beyond.max(initial=0.0)))
            wrong += _said(at, outputs[name], got, expected, beyond, vector)
    count = len(contract.vectors)
    figures = {"vectors": float(count), "worst_of_tolerance": worst if np.isfinite(worst) else -1.0}
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        help = "was the file changed, quantised or exported otherwise since they were made?"
        return Check(NAME, Outcome.FAILED, f"{'; '.join(wrong[:SHOWN])}{more}; {help}", figures)
    return Check(NAME, Outcome.PASSED, f"{count} give what they should; at most {worst:.0%} of the tolerance", figures)


def _beyond(got: NDArray[np.float64], expected: NDArray[np.float64], vector: TestVector) -> NDArray[np.float64]:
    """|got - expected| as a part of the tolerance; what is not finite is infinitely far."""
    allowed = vector.atol + vector.rtol * np.abs(expected)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        apart = np.abs(got - expected)
        part = np.where(apart == 0, 0.0, apart / allowed)
    return np.where(np.isfinite(got), part, np.inf)


def _said(
    at: int,
    output: Meaning,
    got: NDArray[np.float64],
    expected: NDArray[np.generic],
    beyond: NDArray[np.float64],
    vector: TestVector,
) -> Iterator[str]:
    """What is wrong with an output: the element that is furthest beyond its tolerance."""
    count = int((beyond > 1).sum())
    if count:
        flat = int(beyond.reshape(-1).argmax())
        pair = f"{float(got.reshape(-1)[flat]):.9g}, expected {float(expected.reshape(-1)[flat]):.9g}"
        others = f" ({count} elements differ)" if count > 1 else ""
        yield f"vector {at}: {output.place(flat)} is {pair} (+-{vector.atol:g}, {vector.rtol:g} of it){others}"
