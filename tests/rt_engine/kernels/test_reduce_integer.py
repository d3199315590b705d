"""Integer reductions and matrix products against NumPy. They use no virtual vectors: one lane width stands for all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import CODE, NUMPY, DType
from rt_native.library import Library
from tests.rt_engine.kernels.calling import call

Array = NDArray[Any]

LIBRARY = Library("test-reduce-integer", ("rt_engine.kernels.reduce_integer",))
KINDS = [t for t, dtype in NUMPY.items() if dtype.kind in "biu"]
SHAPES = [(1, 1, 1), (1, 17, 1), (2, 9, 3), (3, 1, 2), (2, 100, 5), (0, 3, 1), (2, 0, 3)]


def _lowest(dtype: np.dtype[Any]) -> int:
    return int(np.iinfo(dtype).min) if dtype.kind != "b" else 0


def _highest(dtype: np.dtype[Any]) -> int:
    return int(np.iinfo(dtype).max) if dtype.kind != "b" else 1


def _modulo(dtype: np.dtype[Any], value: int) -> int:
    """Two's complement, in Python's exact integers."""
    bits = 8 * dtype.itemsize
    value %= 1 << bits
    return value - (1 << bits) if dtype.kind == "i" and value >= 1 << (bits - 1) else value


def _toward_zero(a: int, b: int) -> int:
    return 0 if not b else (abs(a) // b) * (1 if a >= 0 else -1)


TWINS: dict[str, Callable[[np.dtype[Any], list[int]], int]] = {
    "sum": lambda t, x: sum(x),
    "mean": lambda t, x: _toward_zero(sum(x), len(x)),
    "max": lambda t, x: max(x, default=_lowest(t)),
    "min": lambda t, x: min(x, default=_highest(t)),
    "prod": lambda t, x: int(np.prod(np.array(x, object))) if x else 1,
    "l1": lambda t, x: sum(map(abs, x)),
    "l2": lambda t, x: int(np.sqrt(sum(v * v for v in x))),
    "sum_square": lambda t, x: sum(v * v for v in x),
}


def numbers(kind: DType, shape: tuple[int, ...], limits: bool) -> Array:
    """Small numbers; with `limits`, the smallest and the largest of the type among them."""
    dtype, rng = NUMPY[kind], np.random.default_rng(11)
    if kind is DType.BOOL:
        return rng.integers(0, 2, shape).astype(np.bool_)
    x = rng.integers(0 if dtype.kind == "u" else -9, 9, shape).astype(dtype)
    if limits and x.size > 1:
        x.reshape(-1)[::3], x.reshape(-1)[1::5] = _lowest(dtype), _highest(dtype)
    return x


def test_every_kernel_is_known_here() -> None:
    """A kernel without a twin would not be tested, and one without a name could not be called."""
    names = {name.removeprefix("k_") for name in LIBRARY.exports}
    assert names == {*(f"reduce_{op}_int" for op in TWINS), "argmax_int", "argmin_int", "matmul_i32", "matmul_i64"}


@pytest.mark.parametrize(
    ("op", "kind"), [(o, k) for o in TWINS for k in KINDS if k is not DType.BOOL or o in ("max", "min")]
)
def test_reduction(op: str, kind: DType) -> None:
    """Results are exact, modulo the type's range; ONNX reduces bool with max and min only."""
    for shape in SHAPES:
        x = numbers(kind, shape, limits=op in ("max", "min", "sum", "prod"))
        outer, _, inner = shape
        got = call(LIBRARY, f"reduce_{op}_int", [x, np.zeros((outer, inner), x.dtype)], [*shape, kind])[1]
        for o in range(outer):
            for i in range(inner):
                exact = TWINS[op](x.dtype, x[o, :, i].astype(object).tolist())
                assert int(got[o, i]) == _modulo(x.dtype, int(exact))


@pytest.mark.parametrize("kind", [DType.INT64, DType.UINT64], ids=lambda kind: kind.name)
def test_mean_of_large_numbers(kind: DType) -> None:
    """Numbers that float64 cannot hold have an exact mean; a negative one is rounded toward zero."""
    top = _highest(NUMPY[kind]) // 4
    x = np.array([top, top - 2, top - 1], NUMPY[kind]).reshape(1, 3, 1)
    assert call(LIBRARY, "reduce_mean_int", [x, np.zeros(1, x.dtype)], [1, 3, 1, kind])[1][0] == top - 1
    y = np.array([[[-7], [0]]])
    assert call(LIBRARY, "reduce_mean_int", [y, np.zeros(1, y.dtype)], [1, 2, 1, DType.INT64])[1][0] == -3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arg(name: str, kind: DType) -> None:
    """The first or the last of equals."""
    twin = getattr(np, name)
    for shape in SHAPES:
        if not shape[1]:
            continue
        x = numbers(kind, shape, limits=True)
        outer, count, inner = shape
        first, last = (
            call(LIBRARY, f"{name}_int", [x, np.full((outer, inner), -1, np.int64)], [*shape, choice, kind])[1]
            for choice in (0, 1)
        )
        assert (first == twin(x, axis=1)).all()
        assert (last == count - 1 - twin(x[:, ::-1], axis=1)).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 5, 2), (4, 0, 3), (0, 2, 2), (7, 16, 9)])
def test_matmul(m: int, k: int, n: int, dtype: Any) -> None:
    """Products wrap like NumPy's; a batch stride of 0 repeats a matrix."""
    kind = CODE[np.dtype(dtype)]
    a, b = numbers(kind, (2, m, k), limits=True), numbers(kind, (k, n), limits=True)
    kernel = "matmul_i32" if np.dtype(dtype).itemsize == 4 else "matmul_i64"
    got = call(LIBRARY, kernel, [a, b, np.zeros((2, m, n), dtype)], [2, m, k, n, m * k, 0, m * n])[2]
    assert (got == a @ b).all()
