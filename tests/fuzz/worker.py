"""Loads and runs mutants, one after the other; a parent watches. Memory and time are limited, so that every fault is seen.

python -m tests.fuzz.worker FOLDER FIRST COUNT     prints a line of JSON per mutant
"""

import faulthandler
import json
import resource
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import rt_engine
from rt_engine.errors import EngineError, RunError
from rt_engine.model import Model
from tests.fuzz.guards import BYTE, fill, guarded, paged
from tests.fuzz.mutate import PLANTED, binding_of, mutant

SECONDS = 60
"""A mutant that takes longer ends the process; real time, of which a busy machine takes its share."""
MEMORY = 6 << 30
"""Bytes of address space beyond what the process has at its start."""
MOST_RUN_BYTES, MOST_RUN_MACS = 1 << 26, 1 << 28
"""Larger mutants are loaded and not run."""


def load_and_run(data: bytes, binding: dict[str, Any], is_planted: bool = False) -> str:
    """What came of it, in a word.

    Raises:
        AssertionError: a kernel wrote where it must not; or whatever else goes wrong.
    """
    with guarded() as spans:
        try:
            model = rt_engine.load(data, **binding)
        except EngineError as error:
            net = ", by the last net" if "compiling it ended in" in str(error) else ""
            return f"{type(error).__name__}{net}"
        layout = list(spans)
    if is_planted:
        model = _with_a_fault(model)
    program = model.program
    if program.arena_nbytes > MOST_RUN_BYTES or sum(n.macs for n in program.nodes) > MOST_RUN_MACS:
        return "large"
    context = model.context()
    arena = context._arena.view(np.uint8, 0, program.arena_nbytes)
    guards = fill(arena, layout)
    weights = program.weights.view(np.uint8, 0, program.weights.nbytes).tobytes()
    rng, word = np.random.default_rng(0), "runs"
    for spread in (1.0, 1e3, 1e30):
        for view in context.inputs.values():
            view[...] = _random(rng, view, spread)
        before = {name: view.tobytes() for name, view in context.inputs.items()}
        try:
            context.run()
        except RunError as error:
            word = error.status.name
        assert np.all(arena[guards] == BYTE), "a kernel wrote outside of its tensors"
        assert program.weights.view(np.uint8, 0, program.weights.nbytes).tobytes() == weights, "weights were written"
        assert all(context.inputs[n].tobytes() == b for n, b in before.items()), "an input was written"
    return word


def _random(rng: np.random.Generator, view: Any, spread: float) -> Any:
    if view.dtype.kind in "iu":
        low, high = (-3, 4) if spread == 1 else (-(10**6), 10**6) if spread < 1e6 else (-(2**63), 2**63 - 1)
        return rng.integers(low, high, view.shape).astype(view.dtype)
    with np.errstate(all="ignore"):
        return (rng.standard_normal(view.shape) * spread).astype(view.dtype)


def _with_a_fault(model: Model) -> Model:
    """The same with sizes in its records that are wrong: it writes beyond its memory."""
    records = model.program.records.copy()
    records["size"] *= 1 << 16
    return Model(replace(model.program, records=records))


def main() -> None:
    """Work off a range of mutants, arenas and weights between pages that nobody may touch."""
    with paged():
        _work()


def _work() -> None:
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    mutant(first)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for number in range(first, first + count):
        name, data = mutant(number)
        (folder / "now.json").write_text(json.dumps({"number": number, "seed": name}))
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        _reset_peak()
        began, resident = time.process_time(), _status("VmRSS")
        try:
            word = load_and_run(data, binding_of(number, data), number == PLANTED)
        except BaseException as error:
            word = f"FAULT {type(error).__name__}: {error}"[:300]
        faulthandler.cancel_dump_traceback_later()
        result = {
            "number": number,
            "seed": name,
            "bytes": len(data),
            "word": word,
            "seconds": round(time.process_time() - began, 2),
            "memory": _status("VmHWM") - resident,
        }
        print(json.dumps(result), flush=True)


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key + ":"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
