"""Reduction kernels against NumPy, and bit for bit over lane widths."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.rt_engine.kernels.calling import call, libraries, same_bits

Array = NDArray[Any]

LIBRARIES = libraries("test-reduce", "rt_engine.kernels.reduce")
DTYPES = {"f32": np.float32, "f64": np.float64}
SHAPES = [(1, n, 1) for n in (0, 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 80, 1000)]
SHAPES += [
    (5, 3, 1),
    (3, 17, 1),
    (2, 0, 5),
    (3, 1, 7),
    (1, 5, 15),
    (2, 6, 16),
    (2, 9, 17),
    (1, 65, 33),
    (1, 1000, 3),
    (0, 4, 4),
]


def _log_sum_exp(x: Array, axis: int) -> Array:
    return np.logaddexp.reduce(x, axis=axis, initial=-np.inf)


TWINS: dict[str, Callable[..., Array]] = {
    "sum": np.sum,
    "mean": lambda x, axis: np.sum(x, axis=axis) / np.longdouble(x.shape[axis]),
    "max": lambda x, axis: np.max(x, axis=axis, initial=-np.inf),
    "min": lambda x, axis: np.min(x, axis=axis, initial=np.inf),
    "prod": np.prod,
    "l1": lambda x, axis: np.sum(np.abs(x), axis=axis),
    "l2": lambda x, axis: np.sqrt(np.sum(x * x, axis=axis)),
    "sum_square": lambda x, axis: np.sum(x * x, axis=axis),
    "log_sum": lambda x, axis: np.log(np.sum(x, axis=axis)),
    "log_sum_exp": _log_sum_exp,
}


def kernels() -> list[str]:
    """Every kernel of the module, so that a new one is tested at once."""
    return sorted(name.removeprefix("k_") for name in LIBRARIES[-1].exports)


def reductions() -> list[list[str]]:
    """[operation, type] of each reduction."""
    return [k.removeprefix("reduce_").rsplit("_", 1) for k in kernels() if k.startswith("reduce_")]


def numbers(shape: tuple[int, ...], dtype: Any) -> Array:
    """Positive and near one, so that logarithms and products stay within range."""
    return np.random.default_rng(7).uniform(0.5, 1.5, shape).astype(dtype)


def reduced(library: Any, op: str, kind: str, x: Array) -> Array:
    outer, _, inner = x.shape
    return call(library, f"reduce_{op}_{kind}", [x, np.full((outer, inner), 77, x.dtype)], x.shape)[1]


def chosen(library: Any, name: str, kind: str, x: Array, last: int) -> Array:
    outer, _, inner = x.shape
    return call(library, f"{name}_{kind}", [x, np.full((outer, inner), -1, np.int64)], [*x.shape, last])[1]


def test_every_kernel_is_known_here() -> None:
    """A kernel without a twin would not be tested, and one without a name could not be called."""
    assert {op for op, _ in reductions()} == set(TWINS)
    assert [k for k in kernels() if not k.startswith("reduce_")] == [
        f"arg{m}_{s}" for m in ("max", "min") for s in DTYPES
    ]


@pytest.mark.parametrize(("op", "kind"), reductions())
def test_equals_numpy(op: str, kind: str) -> None:
    """Every shape is within rounding of NumPy in double precision."""
    for shape in SHAPES:
        x = numbers(shape, DTYPES[kind])
        with np.errstate(all="ignore"):
            expected = TWINS[op](x.astype(np.longdouble), axis=1)
        tolerance = 4 * np.finfo(x.dtype).eps * max(np.sqrt(shape[1]), 1)
        scale = 1 + np.sum(np.abs(x), axis=1) if op == "log_sum" else 1.0
        np.testing.assert_allclose(
            reduced(LIBRARIES[-1], op, kind, x),
            expected,
            rtol=tolerance,
            atol=tolerance * np.max(scale, initial=0),
            err_msg=str(shape),
        )


@pytest.mark.parametrize(("op", "kind"), reductions())
def test_same_bits_on_every_width(op: str, kind: str) -> None:
    """4, 8 and 16 lanes give the same bits."""
    for shape in SHAPES:
        x = numbers(shape, DTYPES[kind])
        results = [reduced(library, op, kind, x) for library in LIBRARIES]
        assert all(same_bits(r, results[0]) for r in results), shape


def summed(x: Array) -> Any:
    """The documented order of a row's sum, in NumPy."""
    lanes = 64 // x.itemsize
    chains = [np.zeros(lanes, x.dtype) for _ in range(4)]
    whole = len(x) // lanes
    for j in range(whole):
        chains[j % 4] = chains[j % 4] + x[j * lanes : (j + 1) * lanes]
    vector = (chains[0] + chains[2]) + (chains[1] + chains[3])
    vector = vector + np.pad(x[whole * lanes :], (0, (whole + 1) * lanes - len(x)))
    while len(vector) > 1:
        vector = vector[: len(vector) // 2] + vector[len(vector) // 2 :]
    return vector[0]


@pytest.mark.parametrize("kind", DTYPES)
def test_order_of_a_row(kind: str) -> None:
    """The bits of a sum are those of the documented order."""
    for n in (1, 15, 16, 17, 64, 65, 200, 1000):
        x = np.random.default_rng(n).standard_normal(n).astype(DTYPES[kind])
        assert reduced(LIBRARIES[-1], "sum", kind, x.reshape(1, n, 1))[0, 0] == summed(x), n


@pytest.mark.parametrize(("op", "kind"), reductions())
@pytest.mark.parametrize("inner", [1, 5, 19])
def test_not_finite(op: str, kind: str, inner: int) -> None:
    """NaN and infinities give what NumPy gives, wherever they stand."""
    nan, inf = np.nan, np.inf
    for values in ([nan], [inf], [-inf], [inf, -inf], [nan, inf], [-inf, nan]):
        for n, at in ((3, 0), (17, 16), (70, 40)):
            x = numbers((1, n, inner), DTYPES[kind])
            x[0, at : at + len(values) if at + len(values) <= n else n, :] = np.array(values)[: n - at, None]
            with np.errstate(all="ignore"):
                expected = TWINS[op](x.astype(np.float64), axis=1)
            got = reduced(LIBRARIES[-1], op, kind, x)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
            np.testing.assert_array_equal(got[~np.isfinite(got)], expected[~np.isfinite(expected)].astype(got.dtype))


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("inner", [1, 3])
def test_log_sum_exp_does_not_overflow(kind: str, inner: int) -> None:
    """Values that exp cannot hold are fine; nothing but -inf gives -inf."""
    x = np.full((1, 20, inner), 5000.0, DTYPES[kind])
    np.testing.assert_allclose(reduced(LIBRARIES[-1], "log_sum_exp", kind, x), 5000 + np.log(20), rtol=1e-6)
    np.testing.assert_allclose(reduced(LIBRARIES[-1], "log_sum_exp", kind, -x), -5000 + np.log(20), rtol=1e-6)
    assert (reduced(LIBRARIES[-1], "log_sum_exp", kind, x * -np.inf) == -np.inf).all()


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arg(name: str, kind: str) -> None:
    """The first or the last of equals; NaN wins, as in NumPy; on every lane width."""
    rng, twin = np.random.default_rng(3), getattr(np, name)
    for shape in SHAPES:
        if shape[1] == 0:
            continue
        for spoil in (None, np.nan, np.inf, -np.inf):
            x = rng.integers(0, 7, shape).astype(DTYPES[kind])
            if spoil is not None:
                x[rng.uniform(size=shape) < 0.1] = spoil
            for library in LIBRARIES:
                assert (chosen(library, name, kind, x, 0) == twin(x, axis=1)).all(), (shape, spoil)
                backwards = shape[1] - 1 - twin(x[:, ::-1], axis=1)
                assert (chosen(library, name, kind, x, 1) == backwards).all(), (shape, spoil)
