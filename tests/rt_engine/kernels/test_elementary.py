"""Elementary functions against wider arithmetic, over the whole range; the bounds are those of docs/numerics.md."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import ROOT
from tests.rt_engine.kernels import twins
from tests.rt_engine.kernels.calling import Call, libraries
from tests.rt_engine.kernels.flushing import run_flushed

Array = NDArray[Any]

LIBRARIES = libraries("test-elementwise", "rt_engine.kernels.unary", "rt_engine.kernels.elementwise")
NUMERICS = (ROOT / "docs" / "numerics.md").read_text()
DTYPES = (np.float32, np.float64)
UNARY = ("exp", "log", "tanh", "sigmoid", "softplus", "erf", "sin", "cos", "sqrt", "reciprocal")
INTEGER: dict[Any, Any] = {np.float32: np.uint32, np.float64: np.uint64}

wide_enough = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= 52, reason="long double is no wider than float64 here"
)


def documented(function: str, dtype: Any) -> float:
    """The bound of docs/numerics.md, in ulp."""
    row = re.search(rf"^\| {function} \| ([\d.]+) \| ([\d.]+) \|", NUMERICS, re.MULTILINE)
    assert row, f"docs/numerics.md says nothing about {function}"
    return float(row[1 if dtype is np.float32 else 2])


def thresholds(dtype: Any) -> Array:
    """Where a function changes its formula, overflows or underflows, with the neighbours of each."""
    limits = np.finfo(dtype)
    places = [0.346573, 0.4142135, 0.5, 0.70710678, 0.75, 0.92, 1.0, 1.41421356, 4.0, 5.95, 10.0, 20.0, 40.0]
    places += [
        87.336544,
        88.722839,
        88.0,
        708.39641853,
        709.782712893,
        709.0,
        float(limits.max),
        float(limits.tiny),
        2.0**-28,
    ]
    places += [k * np.pi / 4 for k in range(1, 200)] + [2.0**k for k in range(-30, 60)]
    near = np.array(places, dtype)[:, None].view(INTEGER[dtype]).astype(np.int64) + np.arange(-3, 4)
    values = near.astype(INTEGER[dtype]).view(dtype).ravel()
    special = np.array([0.0, np.inf, np.nan, limits.tiny / 4, limits.smallest_subnormal], dtype)
    return np.concatenate([values, -values, special, -special])


def sweep(dtype: Any) -> Array:
    """Numbers over the whole range of a type."""
    if dtype is np.float32:
        return np.concatenate([np.arange(0, 1 << 32, 997, np.uint64).astype(np.uint32).view(dtype), thresholds(dtype)])
    random = np.random.default_rng(2)
    count = 20_000
    parts = [random.integers(0, 1 << 64, count, np.uint64).view(dtype), random.uniform(-750, 750, count)]
    parts += [random.normal(0, s, count) for s in (0.3, 1.0, 10.0)] + [10 ** random.uniform(-10, 3, count)]
    return np.concatenate([*parts, thresholds(dtype)])


def unary(library: Any, kernel: str, x: Array) -> Array:
    """Run a unary kernel as the executor does."""
    one = Call([x, None, None, np.zeros_like(x)], [x.size])
    assert run_flushed(one, library, kernel) == 0
    return one.views[3].copy()


def binary(library: Any, kernel: str, x: Array, y: Array) -> Array:
    """Run a binary kernel as the executor does."""
    one = Call([x, y, None, np.zeros_like(x)], [1, x.size, x.size, 1, x.size, 1])
    assert run_flushed(one, library, kernel) == 0
    return one.views[3].copy()


def worst(error: Array, *operands: Array) -> str:
    """Where the largest error is, for the message."""
    at = int(np.argmax(error))
    return f"{error[at]:.3f} ulp at {[repr(x[at]) for x in operands]}"


@wide_enough
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", UNARY)
def test_error_is_within_the_documented_bound(function: str, dtype: Any) -> None:
    """The error over the whole range, thresholds included, is at most what docs/numerics.md says."""
    x = sweep(dtype)
    got = unary(LIBRARIES[-1], f"{function}_{twins.SUFFIX[dtype]}", x)
    with np.errstate(all="ignore"):
        exact = twins.UNARY[function](twins.flushed(x).astype(twins.WIDE[dtype]), 0, 0)
    error = twins.ulps(got, exact)
    assert error.max() <= documented(function, dtype), worst(error, x, got)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", UNARY)
def test_bits_do_not_depend_on_the_lane_width(function: str, dtype: Any) -> None:
    """Every lane width gives the same bits; of a NaN only that it is one."""
    x = sweep(dtype)
    first, *others = [unary(library, f"{function}_{twins.SUFFIX[dtype]}", x) for library in LIBRARIES]
    for other in others:
        np.testing.assert_array_equal(_bits(first), _bits(other))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [*UNARY, "swish", "mish", "gelu", "gelu_tanh"])
def test_denormals_are_zero(function: str, dtype: Any) -> None:
    """A denormal argument acts as zero, and no result is denormal, also without hardware flushing of the last step."""
    tiny = np.finfo(dtype).tiny
    denormal = np.array([tiny / 2, -tiny / 2, tiny * 0.999, np.finfo(dtype).smallest_subnormal], dtype)
    kernel = f"{function}_{twins.SUFFIX[dtype]}"
    at_zero = unary(LIBRARIES[-1], kernel, np.copysign(np.zeros_like(denormal), denormal))
    np.testing.assert_array_equal(unary(LIBRARIES[-1], kernel, denormal), at_zero)
    results = np.abs(unary(LIBRARIES[-1], kernel, sweep(dtype)))
    assert not ((results > 0) & (results < tiny)).any()


SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (np.inf, np.inf), (-np.inf, 0.0), (1e3, np.inf), (-1e3, 0.0)],
    "log": [(0.0, -np.inf), (-0.0, -np.inf), (1.0, 0.0), (np.inf, np.inf), (-1.0, np.nan), (-np.inf, np.nan)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1.0), (-np.inf, -1.0), (100.0, 1.0)],
    "sigmoid": [(0.0, 0.5), (np.inf, 1.0), (-np.inf, 0.0), (1e3, 1.0), (-1e3, 0.0)],
    "softplus": [(np.inf, np.inf), (-np.inf, 0.0), (1e3, 1e3), (-1e3, 0.0)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1.0), (-np.inf, -1.0), (10.0, 1.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (np.inf, np.nan), (-np.inf, np.nan)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (np.inf, np.nan), (-np.inf, np.nan)],
    "sqrt": [(0.0, 0.0), (-0.0, -0.0), (4.0, 2.0), (-1.0, np.nan), (np.inf, np.inf)],
    "reciprocal": [(0.0, np.inf), (-0.0, -np.inf), (np.inf, 0.0), (-np.inf, -0.0)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", UNARY)
def test_special_values(function: str, dtype: Any) -> None:
    """Zeros keep their sign, infinities and NaN give what IEEE 754 says, overflow is inf, underflow 0."""
    x, expected = (np.array(column, dtype) for column in zip(*SPECIAL[function], (np.nan, np.nan), strict=True))
    got = unary(LIBRARIES[-1], f"{function}_{twins.SUFFIX[dtype]}", x)
    np.testing.assert_array_equal(_bits(got), _bits(expected))


def _power_operands(dtype: Any) -> tuple[Array, Array]:
    """Bases and exponents: all bits, products near the limits, whole exponents, and every pair of special values."""
    random = np.random.default_rng(3)
    count, limit = 20_000, float(np.log(np.finfo(dtype).max))
    whole = [random.integers(0, 1 << np.finfo(dtype).bits, count, INTEGER[dtype]).view(dtype) for _ in range(2)]
    base = np.exp(random.uniform(-limit, limit, count)).astype(dtype)
    near_one = np.abs(random.normal(1, 0.3, count)).astype(dtype)
    reach = random.uniform(-1.02 * limit, 1.02 * limit, count)
    pairs = [tuple(whole), (base, reach / np.abs(np.log(base))), (near_one, reach / np.abs(np.log(near_one)))]
    pairs.append((random.normal(0, 10, count), random.integers(-20, 20, count)))
    special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        0.5,
        -0.5,
        3.0,
        -3.0,
        1.5,
        np.inf,
        -np.inf,
        np.nan,
        2.0**24,
        2.0**53 - 1,
    ]
    pairs.append(tuple(a.ravel() for a in np.meshgrid(special, special)))
    x, y = (np.concatenate([np.asarray(pair[i], dtype) for pair in pairs]) for i in (0, 1))
    return x, y


@wide_enough
@pytest.mark.parametrize("dtype", DTYPES)
def test_pow(dtype: Any) -> None:
    """x**y is within the documented bound for all operands, special ones too; every lane width gives the same bits."""
    x, y = _power_operands(dtype)
    kernel = f"pow_{twins.SUFFIX[dtype]}"
    got, *others = [binary(library, kernel, x, y) for library in LIBRARIES]
    with np.errstate(all="ignore"):
        exact = np.power(*(twins.flushed(v).astype(twins.WIDE[dtype]) for v in (x, y)))
    error = twins.ulps(got, exact)
    assert error.max() <= documented("pow", dtype), worst(error, x, y, got)
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(np.signbit(got[finite]), np.signbit(exact[finite]))
    for other in others:
        np.testing.assert_array_equal(_bits(got), _bits(other))


@pytest.mark.parametrize("dtype", DTYPES)
def test_remainders_are_exact(dtype: Any) -> None:
    """fmod and mod give exactly NumPy's result for operands of all magnitudes, whatever the quotient."""
    random = np.random.default_rng(4)
    bits = random.integers(0, 1 << np.finfo(dtype).bits, (2, 50_000), INTEGER[dtype]).view(dtype)
    close = random.normal(0, 1, (2, 50_000)).astype(dtype)
    special = np.array([0.0, -0.0, 1.0, -1.0, 3.0, -2.5, np.inf, -np.inf, np.nan], dtype)
    grid = np.stack([a.ravel() for a in np.meshgrid(special, special)])
    x, y = np.concatenate([bits, close, grid], axis=1)
    x, y = (np.where(np.abs(v) < np.finfo(dtype).tiny * 2.0 ** np.finfo(dtype).nmant, dtype(0), v) for v in (x, y))
    for name, twin in (("fmod", np.fmod), ("mod", np.mod)):
        with np.errstate(all="ignore"):
            exact = twin(x, y)
        got, *others = [binary(library, f"{name}_{twins.SUFFIX[dtype]}", x, y) for library in LIBRARIES]
        np.testing.assert_array_equal(got, exact)
        for other in others:
            np.testing.assert_array_equal(_bits(got), _bits(other))


def _bits(x: Array) -> Array:
    """The bits of an array, all NaNs made one."""
    return np.where(np.isnan(x), np.array(np.nan, x.dtype), x).view(INTEGER[x.dtype.type])
