"""The cast kernel against NumPy: every type to every other, bit for bit the same on every lane width."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import NUMPY, DType
from tests.rt_engine.kernels.calling import Call, call, libraries, same_bits

Array = NDArray[Any]

LIBRARIES = libraries("test-cast", "rt_engine.kernels.cast")
SIZES = (0, 1, 15, 16, 17, 100)
PAIRS = [(a, b) for a in DType for b in DType]


def stored(kind: DType) -> np.dtype[Any]:
    """The NumPy dtype that holds a type's bits."""
    return NUMPY.get(kind, np.dtype(np.uint16))


def to_bfloat16(x: Array) -> Array:
    """Bits of the nearest bfloat16, ties to even, found by comparing all neighbours in exact arithmetic."""
    wide = x.astype(np.longdouble)
    down = (x.astype(np.float64).astype(np.float32).view(np.uint32) >> 16).astype(np.int64)
    candidates = down[:, None] + np.arange(-1, 3)
    distance = np.abs(from_bfloat16(candidates.astype(np.uint16)).astype(np.longdouble) - wide[:, None])
    best = distance.min(1, keepdims=True)
    return np.where(distance == best, candidates + (1 << 20) * (candidates & 1), 1 << 40).min(1) & 0xFFFF


def from_bfloat16(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def values(kind: DType, n: int) -> Array:
    """Bits of numbers of a type: small ones, its limits, halves for rounding."""
    rng = np.random.default_rng(int(kind))
    dtype = NUMPY.get(kind)
    if kind is DType.BOOL:
        return rng.integers(0, 2, n).astype(np.bool_)
    if kind is DType.BFLOAT16:
        return (rng.standard_normal(n).astype(np.float32) * 100).view(np.uint32).__rshift__(16).astype(np.uint16)
    assert dtype is not None
    if dtype.kind == "f":
        x = (rng.standard_normal(n) * 10.0 ** rng.integers(-3, 5, n)).astype(dtype)
        x[::7] = np.round(x[::7]) + dtype.type(0.5)
        return x
    info = np.iinfo(dtype)
    x = rng.integers(-100 if info.min else 0, 100, n).astype(dtype)
    x[::5], x[1::5] = info.max, info.min
    return x


def expected(x: Array, source: DType, target: DType) -> Array:
    """What the module's docstring promises."""
    if source is DType.BFLOAT16:
        x = from_bfloat16(x)
    if target is DType.BFLOAT16:
        return to_bfloat16(x if x.dtype.kind == "f" else x.astype(np.float64)).astype(np.uint16)
    dtype = NUMPY[target]
    with np.errstate(all="ignore"):
        if target is DType.BOOL:
            return x != 0
        if x.dtype.kind != "f" or dtype.kind == "f":
            return (x.astype(np.float64) if target is DType.FLOAT16 else x).astype(dtype)
        info = np.iinfo(dtype)
        whole = [0 if np.isnan(v) else info.max if v == np.inf else info.min if v == -np.inf else int(v) for v in x]
        return np.array([min(max(v, info.min), info.max) for v in whole], dtype)


def cast(library: Any, x: Array, source: DType, target: DType) -> Array:
    return call(library, "cast", [x, np.zeros(x.shape, stored(target))], [x.size, source, target])[1]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda kind: kind.name)
def test_every_pair(source: DType, target: DType) -> None:
    """Each value becomes what NumPy, or Python's exact integers, make of it."""
    for n in SIZES:
        x = values(source, n)
        results = [cast(library, x, source, target) for library in LIBRARIES]
        np.testing.assert_array_equal(results[0], expected(x, source, target))
        assert all(same_bits(r, results[0]) for r in results)


@pytest.mark.parametrize("source", [DType.FLOAT, DType.DOUBLE, DType.FLOAT16], ids=lambda kind: kind.name)
@pytest.mark.parametrize("target", [t for t in DType if t is not DType.BFLOAT16], ids=lambda kind: kind.name)
def test_not_finite_and_too_large(source: DType, target: DType) -> None:
    """Out of range saturates, NaN becomes 0 in integers and true in bool; in rounds of 16 and in the rest alike."""
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e4, -3e4, 2.5, -2.5, 0.999, -0.999, 1e-3])
    x = np.tile(special, 2).astype(NUMPY[source])
    large = np.array([1e10, -1e10, 2.0**63, -(2.0**63), 2.0**64, 1e38, -1e38, 65519.0, 65520.0])
    if source is not DType.FLOAT16:
        x = np.concatenate([x, large.astype(NUMPY[source])])
    for library in LIBRARIES:
        np.testing.assert_array_equal(cast(library, x, source, target), expected(x, source, target))


def test_rounded_once() -> None:
    """float64 to float16 and bfloat16 does not round to float32 on the way."""
    x = np.array([1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-11 - 2.0**-40, -1 - 2.0**-11 - 2.0**-40, 2.0**-25 + 2.0**-60])
    assert (cast(LIBRARIES[-1], x, DType.DOUBLE, DType.FLOAT16) == x.astype(np.float16)).all()
    assert (x.astype(np.float32).astype(np.float16) != x.astype(np.float16)).any()
    y = np.array([1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8, 1 + 3 * 2.0**-8])
    assert cast(LIBRARIES[-1], y, DType.DOUBLE, DType.BFLOAT16).tolist() == [0x3F81, 0x3F80, 0x3F82]


def test_bfloat16_not_finite() -> None:
    """NaN stays NaN, whatever its payload; infinities and overflow are infinite."""
    x = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38], np.float32)
    x = np.append(x, np.array([0x7F800001], np.uint32).view(np.float32))
    got = from_bfloat16(cast(LIBRARIES[-1], x, DType.FLOAT, DType.BFLOAT16))
    np.testing.assert_array_equal(got, [np.nan, np.inf, -np.inf, np.inf, -np.inf, np.nan])


def test_in_place() -> None:
    """A tensor may become another type of the same size where it stands."""
    x = values(DType.FLOAT, 100)
    one = Call([x], [100, DType.FLOAT, DType.INT32])
    one.record.view(np.int64, 16, 2)[:] = 64
    assert one.run(LIBRARIES[-1], "cast") == 0
    assert (one.views[0].view(np.int32) == x.astype(np.int32)).all()
