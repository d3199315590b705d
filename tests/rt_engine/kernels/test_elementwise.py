"""Every element-wise kernel against its NumPy twin, and bit for bit over lane widths."""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from numpy.typing import NDArray

from rt_engine.kernels import unary as native
from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.record import RECORD
from rt_engine.ops.unary import FUNCTIONS
from rt_engine.status import Status
from rt_native.library import Library
from tests.rt_engine.kernels import twins
from tests.rt_engine.kernels.calling import Call, call, libraries
from tests.rt_engine.kernels.test_elementary import NUMERICS, documented, wide_enough

Array = NDArray[Any]

MODULES = tuple(f"rt_engine.kernels.{m}" for m in ("booleans", "integers"))
FLOATS = libraries("test-elementwise", "rt_engine.kernels.unary", "rt_engine.kernels.elementwise")
OTHERS = libraries("test-integers", *MODULES)
SIZES = (0, 1, 15, 16, 17, 1000)
OF_REFERENCE = 4.0
"""Largest error, in ulp, of a function of which docs/numerics.md says nothing, against ONNX's reference."""
DTYPES = (np.float32, np.float64)
WHERE_BYTES = (1, 2, 4, 8)
INTEGERS = tuple(np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64))
ELEMENTARY = ("exp", "log", "tanh", "sigmoid", "softplus", "erf", "sin", "cos", "sqrt", "reciprocal", "pow")


def floats(dtype: Any, size: int, seed: int = 0) -> Array:
    """Random numbers with everything that is special among them."""
    random = np.random.default_rng(seed)
    limits = np.finfo(dtype)
    special = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        limits.tiny,
        limits.max,
        -limits.max,
        1.0,
        -1.0,
        0.5,
        2.5,
        -2.5,
        60.0,
        -60.0,
    ]
    x = random.normal(0, 3, size)
    where = random.random(size) < 0.2
    return np.where(where, random.choice(special, size), x).astype(dtype)


def same(a: Array, b: Array) -> bool:
    """Equal bit for bit, but for the bits of a NaN."""
    if a.dtype.kind != "f":
        return a.tobytes() == b.tobytes()
    clean = [np.where(np.isnan(v), np.array(np.nan, v.dtype), v) for v in (a, b)]
    return clean[0].tobytes() == clean[1].tobytes()


def on_all_widths(
    kernel: str,
    operands: list[Array | None],
    sizes: list[int],
    params: tuple[float, ...] = (),
    of: Sequence[Library] = FLOATS,
) -> Array:
    """Operand 3 after the call; every lane width gives the same."""
    first, *others = [call(library, kernel, operands, sizes, params)[3] for library in of]
    for other in others:
        assert same(first, other), f"{kernel} depends on the lane width"
    return first


# --- unary float ------------------------------------------------------------------------------------------------------


def tolerance(operation: str, dtype: Any) -> float:
    """The bound of docs/numerics.md, in ulp; what is not listed there is exact to half an ulp."""
    return documented(operation, dtype) if re.search(rf"^\| {operation} \|", NUMERICS, re.MULTILINE) else 0.5


def scale(operation: str, x: Array, exact: Array) -> Array:
    """What the documented bound is measured in the last place of."""
    floors = {"hardsigmoid": 0.5, "hardswish": x / 8, "gelu_tanh": x / 32, "swish": x / 32, "mish": x * 2.0**-100}
    floor = floors.get(operation, exact)
    return x / 2 if operation == "gelu" else np.fmax(np.abs(exact), np.abs(floor))


def check_unary(operation: str, dtype: Any, x: Array, exact: Array, bound: float, names: Sequence[str],
                of: Sequence[Library] = FLOATS) -> None:  # fmt: skip
    """The kernel gives `exact` within `bound`, the same bits on every lane width."""
    params = twins.parameters(names)
    kernel = f"{operation}_{twins.SUFFIX[dtype]}"
    got = on_all_widths(kernel, [x, None, None, np.zeros_like(x)], [x.size], params, of)
    with np.errstate(all="ignore"):
        error = twins.ulps(got, exact, scale(operation, x.astype(exact.dtype), exact))
    assert error.max(initial=0) <= bound, (x[np.argmax(error)], error.max())


def check_against_onnx(operator: str, dtype: Any, names: Sequence[str], of: Sequence[Library] = FLOATS) -> None:
    """The kernel of an operator gives what ONNX's reference gives in float64."""
    node = onnx.helper.make_node(operator, ["x"], ["y"], **dict(zip(names, twins.parameters(names), strict=True)))
    ends = [onnx.helper.make_tensor_value_info(end, onnx.TensorProto.DOUBLE, ["n"]) for end in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "one", ends[:1], ends[1:]))
    bound = max(tolerance(operator.lower(), dtype), OF_REFERENCE)
    for size in SIZES:
        x = np.random.default_rng(size).normal(0, 3, size).astype(dtype)
        with np.errstate(all="ignore"):
            exact = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x.astype(np.float64)})[0]
        check_unary(operator.lower(), dtype, x, exact, bound, names, of)


@wide_enough
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", twins.UNARY)
def test_unary_float(operation: str, dtype: Any) -> None:
    """A unary kernel gives its twin's values within the documented bound, for odd sizes and special values."""
    names = native.PARAMETERS[operation]
    params = twins.parameters(names)
    for size in (*SIZES, 20_000):
        x = floats(dtype, size)
        wide = x.astype(twins.WIDE[dtype])
        with np.errstate(all="ignore"):
            exact = twins.UNARY[operation](wide, *(wide.dtype.type(p) for p in (*params, 0, 0)[:2]))
        check_unary(operation, dtype, x, exact, tolerance(operation, dtype), names)


@pytest.mark.parametrize(
    ("operator", "dtype"),
    [(o, d) for o in FUNCTIONS for d in DTYPES if d is np.float32 or o.lower() not in twins.UNARY],
)
def test_unary_float_is_onnx(operator: str, dtype: Any) -> None:
    """The kernel of an operator gives what ONNX's reference gives in float64; in float64 that is asked of what has no twin.

    (The reference rounds some functions, erf among them, to float32 on its way.)
    """
    names = native.PARAMETERS[operator.lower()]
    assert names == tuple(name for name, _ in FUNCTIONS[operator])
    check_against_onnx(operator, dtype, names)


ADDED = '''

@_function
def thresholdedrelu(x, alpha):
    """x above alpha, else 0."""
    return select(x > alpha, x, 0.0)
'''


def test_a_function_that_is_added_is_a_kernel_and_is_tested(tmp_path: Path) -> None:
    """A few lines at the end of `kernels.unary` are kernels for every type, and ONNX's reference tests them."""
    text = Path(native.__file__).read_text()
    (tmp_path / "unary_and_one.py").write_text(text[: text.index("\nfor _name,")] + ADDED)
    of = libraries("test-added", "unary_and_one", path=(str(tmp_path),))
    assert set(of[-1].exports) == {f"{KERNEL_PREFIX}thresholdedrelu_{suffix}" for suffix in twins.SUFFIX.values()}
    for dtype in DTYPES:
        check_against_onnx("ThresholdedRelu", dtype, ("alpha",), of)


def test_a_parameter_without_a_value_is_named() -> None:
    """With the place where it gets one."""
    with pytest.raises(AssertionError, match=r"twins\.py: PARAMETERS has no value for bias, lambd; give it one"):
        twins.parameters(("alpha", "lambd", "bias"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", native.PARAMETERS)
def test_unary_in_place(operation: str, dtype: Any) -> None:
    """The output may be the input."""
    params = twins.parameters(native.PARAMETERS[operation])
    x, kernel = floats(dtype, 37), f"{operation}_{twins.SUFFIX[dtype]}"
    apart = call(FLOATS[-1], kernel, [x, None, None, np.zeros_like(x)], [37], params)[3]
    one = Call([x, None, None, np.zeros_like(x)], [37], params)
    record = one.record.view(RECORD)[0]
    record["operand"][3] = record["operand"][0]
    assert one.run(FLOATS[-1], kernel) == 0
    assert same(one.views[0], apart)


# --- several operands: rows, strides, broadcasts ----------------------------------------------------------------------

LAYOUTS = [(rows, n) for rows in (1, 3) for n in SIZES]


class Spread:
    """An operand of [rows, n], stored with or without rows, with or without columns."""

    def __init__(self, values: Array, by_row: bool, by_column: bool) -> None:
        rows, n = values.shape
        stored = values[: rows if by_row else 1, : n if by_column else 1]
        self.full = np.broadcast_to(stored, values.shape) if values.size else values
        self.stored = np.ascontiguousarray(stored)
        self.strides = [stored.shape[1] if by_row else 0, int(by_column)]


def spreads(count: int) -> list[tuple[tuple[bool, bool], ...]]:
    """Which operands have rows and columns: all combinations of two, a selection of three."""
    kinds = list(product((True, False), repeat=2))
    if count == 2:
        return list(product(kinds, repeat=2))
    return [(a, b, c) for a, b in product(kinds, repeat=2) for c in ((True, True), (False, True))]


def check_spread(
    kernel: str, operands: list[Any], twin: Any, out_dtype: Any, library_list: list[Any], sizes: list[int]
) -> None:
    """Run a kernel over all ways to store its operands, and compare each with the twin bit for bit."""
    rows, n = operands[0].shape
    for combination in spreads(len(operands)):
        stored = [Spread(v, *kind) for v, kind in zip(operands, combination, strict=True)]
        with np.errstate(all="ignore"):
            expected = np.asarray(twin(*(s.full for s in stored))).astype(out_dtype)
        out = np.zeros((rows, n), out_dtype)
        arrays: list[Array | None] = [s.stored for s in stored] + [None] * (3 - len(stored)) + [out]
        strides = [v for s in stored for v in s.strides]
        record_sizes = [rows, n, *strides, *[0] * (6 - len(strides)), *sizes]
        for library in library_list:
            got = call(library, kernel, arrays, record_sizes)[3]
            assert same(got, expected), f"{kernel} {rows} x {n}, rows and columns {combination}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", [o for o in twins.BINARY if o not in ("pow", "mod", "fmod")])
def test_binary_float(operation: str, dtype: Any) -> None:
    """A binary kernel gives NumPy's bits, for every way to broadcast its operands, on every lane width."""
    for rows, n in LAYOUTS:
        x, y = (floats(dtype, rows * n, seed).reshape(rows, n) for seed in (1, 2))
        check_spread(f"{operation}_{twins.SUFFIX[dtype]}", [x, y], twins.BINARY[operation], dtype, FLOATS, [])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", ["pow", "mod", "fmod"])
def test_binary_float_tails(operation: str, dtype: Any) -> None:
    """Tails and broadcasts of the costly operations give what one long row gives (which test_elementary checks)."""
    kernel = f"{operation}_{twins.SUFFIX[dtype]}"

    def long_row(x: Array, y: Array) -> Array:
        arrays = [np.ascontiguousarray(v).ravel() for v in (x, y)]
        return call(FLOATS[-1], kernel, [*arrays, None, np.zeros_like(arrays[0])], [1, x.size, 0, 1, 0, 1])[3].reshape(
            x.shape
        )

    for rows, n in LAYOUTS:
        x, y = (floats(dtype, rows * n, seed).reshape(rows, n) for seed in (1, 2))
        check_spread(kernel, [x, y], long_row, dtype, FLOATS, [])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", twins.COMPARE)
def test_compare_float(operation: str, dtype: Any) -> None:
    """A comparison gives bytes 0 and 1, NaN is not equal and not in order."""
    for rows, n in LAYOUTS:
        x, y = (floats(dtype, rows * n, seed).reshape(rows, n) for seed in (1, 2))
        y = np.where(np.arange(n) % 3 == 0, x, y)
        check_spread(f"{operation}_{twins.SUFFIX[dtype]}", [x, y], twins.COMPARE[operation], np.bool_, FLOATS, [])


@wide_enough
@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_shift(dtype: Any) -> None:
    """x * s + b is rounded once."""

    def twin(x: Array, s: Array, b: Array) -> Array:
        # float32 products are exact in float64; in long double, numbers of few bits are.
        wide = [v.astype(twins.WIDE[dtype]) for v in (x, s, b)]
        return wide[0] * wide[1] + wide[2]

    for rows, n in LAYOUTS:
        operands = [floats(dtype, rows * n, seed).reshape(rows, n) for seed in (1, 2, 3)]
        operands = [np.round(np.where(np.abs(v) > 1e6, dtype(7), v) * 64) / 64 for v in operands]
        check_spread(f"scale_shift_{twins.SUFFIX[dtype]}", operands, twin, dtype, FLOATS, [])


@pytest.mark.parametrize("size", WHERE_BYTES)
def test_where(size: int) -> None:
    """Where chooses whole elements of 1, 2, 4 and 8 bytes, and keeps their bits."""
    dtype = np.dtype(f"uint{8 * size}").type
    libraries_of = FLOATS if size >= 4 else OTHERS
    random = np.random.default_rng(size)
    for rows, n in LAYOUTS:
        condition = random.random((rows, n)) < 0.5
        x, y = random.integers(0, np.iinfo(dtype).max, (2, rows, n), dtype)
        check_spread(f"where_{size}", [condition, x, y], np.where, dtype, libraries_of, [])


@pytest.mark.parametrize("kernel", ["add_f32", "less_f64", "pow_f32", "where_4"])
def test_rows_do_not_touch_the_padding(kernel: str) -> None:
    """With several rows nothing behind the output is written, so that a row can stand inside of a larger tensor."""
    dtype = {"less_f64": np.float64, "where_4": np.int32}.get(kernel, np.float32)
    out_dtype = np.uint8 if kernel == "less_f64" else dtype
    x = np.ones((2, 5), dtype)
    first = np.ones((2, 5), np.bool_) if kernel == "where_4" else x
    out = np.full(64, 77, out_dtype)
    got = call(FLOATS[-1], kernel, [first, x, x, out], [2, 5, 5, 1, 5, 1, 5, 1])[3]
    assert (got[10:] == 77).all()
    assert not (got[:10] == 77).any()


# --- bool and integers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", twins.BOOL)
def test_binary_bool(operation: str) -> None:
    """Logic gives NumPy's."""
    for rows, n in LAYOUTS:
        x, y = np.random.default_rng(n).random((2, rows, n)) < 0.5
        check_spread(f"{operation}_bool", [x, y], twins.BOOL[operation], np.bool_, OTHERS, [])


def test_not_bool() -> None:
    """Not gives NumPy's."""
    for n in SIZES:
        x = np.random.default_rng(n).random(n) < 0.5
        assert same(call(OTHERS[-1], "not_bool", [x, None, None, np.zeros_like(x)], [n])[3], ~x)


def integers(dtype: Any, shape: tuple[int, ...], seed: int) -> Array:
    """Random integers of all magnitudes, with the limits, 0, 1 and -1 among them."""
    random = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    whole = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    small = random.integers(0, 12, shape).astype(dtype)
    special = np.array([limits.min, limits.max, 0, 1, limits.max if limits.min == 0 else -1], dtype)
    return np.choose(random.integers(0, 3, shape), [whole, small, random.choice(special, shape)])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("operation", twins.BINARY_INTEGER)
def test_binary_integer(operation: str, dtype: Any) -> None:
    """Integer operations wrap around as NumPy's do; quotients go toward zero."""
    for rows, n in ((1, 257), (3, 17), (2, 0)):
        x, y = (integers(dtype, (rows, n), seed) for seed in (1, 2))
        if operation in ("div", "mod", "fmod"):
            y = np.where(y == 0, dtype(3), y)
        code = int(CODE[np.dtype(dtype)])
        check_spread(f"{operation}_int", [x, y], twins.BINARY_INTEGER[operation], dtype, OTHERS[-1:], [code])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("operation", twins.COMPARE)
def test_compare_integer(operation: str, dtype: Any) -> None:
    """Integers compare by value, the largest unsigned ones too."""
    x, y = (integers(dtype, (3, 40), seed) for seed in (1, 2))
    code = int(CODE[np.dtype(dtype)])
    check_spread(f"{operation}_int", [x, y], twins.COMPARE[operation], np.bool_, OTHERS[-1:], [code])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("operation", twins.UNARY_INTEGER)
def test_unary_integer(operation: str, dtype: Any) -> None:
    """Unary integer operations give NumPy's, the lowest number included."""
    for n in SIZES:
        x = integers(dtype, (n,), n)
        with np.errstate(all="ignore"):
            expected = twins.UNARY_INTEGER[operation](x)
        sizes = [n, *[0] * 7, int(CODE[np.dtype(dtype)])]
        assert same(call(OTHERS[-1], f"{operation}_int", [x, None, None, np.zeros_like(x)], sizes)[3], expected)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("operation", ["div", "mod", "fmod"])
def test_division_by_zero(operation: str, dtype: Any) -> None:
    """A zero divisor gives 0 and the status; the other elements are computed."""
    x, y = np.array([7, 9, 8], dtype), np.array([2, 0, 4], dtype)
    one = Call([x, y, None, np.full_like(x, 99)], [1, 3, 3, 1, 3, 1, 0, 0, int(CODE[np.dtype(dtype)])])
    assert one.run(OTHERS[-1], f"{operation}_int") == Status.DIVISION_BY_ZERO
    assert one.views[3].tolist() == ([3, 0, 2] if operation == "div" else [1, 0, 0])


# --- the registry -----------------------------------------------------------------------------------------------------


def test_every_kernel_is_known_here() -> None:
    """A kernel without a twin, or an operator of ONNX, would not be tested."""
    tested = {*twins.UNARY, *(operator.lower() for operator in FUNCTIONS), *twins.BINARY, *twins.COMPARE, "scale_shift"}
    listed = {f"{o}_{s}" for o in tested for s in twins.SUFFIX.values()}
    listed |= {f"{o}_int" for o in (*twins.BINARY_INTEGER, *twins.COMPARE, *twins.UNARY_INTEGER)}
    listed |= {f"{o}_bool" for o in (*twins.BOOL, "not")} | {f"where_{b}" for b in WHERE_BYTES}
    assert {f"{KERNEL_PREFIX}{name}" for name in listed} == {*FLOATS[-1].exports, *OTHERS[-1].exports}
    assert set(ELEMENTARY) - {"pow"} <= set(twins.UNARY)
