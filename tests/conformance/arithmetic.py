"""What processors without FMA (x86-64-v2) compute, on any x86-64 machine with FMA, or on such a one.

    python -m tests.conformance.arithmetic exact     golden programs and ONNX's suite: every bit as with FMA
    python -m tests.conformance.arithmetic fast      golden programs: the bits in arithmetic.txt; how far the suite is from FMA's
    python -m tests.conformance.arithmetic renew     write arithmetic.txt: what golden programs give in `fast` arithmetic

All kernels are compiled for x86-64-v2 in that arithmetic, which takes minutes the first time. The suite is compared with this
machine's own kernels, if it has FMA; NaNs are alike, whatever their sign and payload. Whether the suite is right in `fast` arithmetic:
RT_ENGINE_LEVEL=x86-64-v2 python -m pytest tests/conformance/test_suite.py
"""

import hashlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rt_engine
from rt_engine.backend import bind, constant_inputs
from rt_engine.errors import EngineError
from rt_engine.run.native import library
from rt_native.levels import EXACT, level
from rt_native.library import Library
from rt_native.target import host
from tests.conformance.suite import Case, cases, excluded
from tests.rt_engine.program.golden_programs import Stored, run, stored

FILE = Path(__file__).with_suffix(".txt")
LEVELS = {"exact": EXACT, "fast": "x86-64-v2"}
Outputs = list[NDArray[Any]]


def outputs(model: rt_engine.Model, data: bytes) -> Outputs:
    """A model's outputs of their bytes, with one NaN for all."""
    at, found = 0, []
    for view in model.context().outputs.values():
        part = np.frombuffer(data, view.dtype, view.size, at).copy()
        at += view.nbytes
        if part.dtype.kind in "fc":
            part[part != part] = np.nan
        found.append(part)
    return found


def same(ours: Outputs, theirs: Outputs) -> bool:
    """Bit for bit."""
    return [a.tobytes() for a in ours] == [b.tobytes() for b in theirs]


def digest(found: Outputs) -> str:
    """Of outputs."""
    return hashlib.sha256(b"".join(part.tobytes() for part in found)).hexdigest()[:16]


def computed(entry: Stored, kernels: Library) -> Outputs:
    """What a stored program puts out with these kernels."""
    model = rt_engine.load(entry[0], library=kernels)
    return outputs(model, run(model, entry[1]))


def hashes() -> dict[str, str]:
    """Golden program -> digest of its outputs in `fast` arithmetic."""
    return dict(line.split() for line in FILE.read_text().splitlines())


def golden(arithmetic: str, kernels: Library) -> Iterator[str]:
    """Golden programs that give other bits than they should."""
    known = hashes() if arithmetic == "fast" else {}
    for name, entry in stored().items():
        found = computed(entry, kernels)
        right = outputs(rt_engine.load(entry[0], library=kernels), entry[2])
        if not (known.get(name) == digest(found) if arithmetic == "fast" else same(found, right)):
            yield f"golden program {name}: other bits"


def _fed(case: Case, own: Library) -> tuple[rt_engine.Model, bytes]:
    """The case compiled, with this machine's kernels, and the bytes of its inputs."""
    names = [v.name for v in case.model.graph.input if v.name not in {t.name for t in case.model.graph.initializer}]
    feeds = dict(zip(names, case.data[0][0], strict=True))
    constants = {name: feeds.pop(name) for name in constant_inputs(case.model) & set(feeds)}
    shapes = {name: value.shape for name, value in feeds.items()}
    model = rt_engine.load(bind(case.model, constants), shapes, library=own)
    return model, b"".join(feeds[spec.name].astype(spec.dtype).tobytes() for spec in model.inputs)


def suite(kernels: Library) -> Iterator[str]:
    """Cases of ONNX's suite with other bits than this machine's; says how many there were."""
    own, count = library(), 0
    for case in cases().values():
        if excluded(case.name) or not case.numeric:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model, feeds = _fed(case, own)
            except EngineError:
                continue
            count += 1
            ours = outputs(model, run(rt_engine.Model(model.program, library=kernels), feeds))
            theirs = outputs(model, run(model, feeds))
        if not same(ours, theirs):
            yield f"{case.name}: other bits, {_apart(ours, theirs)}"
    print(f"{count} cases of ONNX's suite")


def _apart(ours: Outputs, theirs: Outputs) -> str:
    """The largest difference, relative to the largest number of its output."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        x, y = a.astype(np.float64), b.astype(np.float64)
        finite = np.isfinite(x) & np.isfinite(y)
        if (a[~finite].astype(np.float64) != b[~finite].astype(np.float64)).any():
            return "also infinities"
        if finite.any():
            size = np.abs(y[finite]).max()
            worst = max(worst, float(np.abs(x - y)[finite].max() / (size or 1.0)))
    return f"at most {worst:.1e} of the largest"


def main(what: str) -> None:
    """Judge, or renew the hashes."""
    arithmetic = "fast" if what == "renew" else what
    kernels = library(level(LEVELS[arithmetic]).target)
    if what == "renew":
        FILE.write_text("".join(f"{name} {digest(computed(entry, kernels))}\n" for name, entry in stored().items()))
    faults = list(golden(arithmetic, kernels))
    print(f"{len(stored())} golden programs, {len(faults)} with other bits than they should have")
    if host().arithmetic == "fused":
        other = list(suite(kernels))
        print("\n".join(other))
        print(f"{len(other)} cases with other bits than this machine's own kernels")
        faults += other if arithmetic == "exact" else []
    if faults:
        raise SystemExit(f"{len(faults)} faults:\n" + "\n".join(faults))


if __name__ == "__main__":
    main(sys.argv[1])
