"""Matrix products: Gemm, MatMul, and the fused linear layer that passes make of them.

https://onnx.ai/onnx/operators/onnx__Gemm.html, https://onnx.ai/onnx/operators/onnx__MatMul.html
"""

from math import inf, prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.elementwise import BROADCAST, flat
from rt_engine.kernels.interface.gemm import GEMM, NARROW_PANEL, PACK
from rt_engine.kernels.interface.panels import MATRIX_PANEL, VECTOR
from rt_engine.kernels.interface.reduce import MATMUL
from rt_engine.ops.base import FLOATS, RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import broadcast_to, reshaped, transposed
from rt_engine.ops.sparse import is_taken, sparse_product
from rt_engine.program.calls import Buffer


def lanes(dtype: np.dtype[Any]) -> int:
    """Elements of a virtual vector."""
    return VECTOR // dtype.itemsize


def packed_columns(columns: int, dtype: np.dtype[Any]) -> int:
    """Columns after padding to whole vectors."""
    return -(-columns // lanes(dtype)) * lanes(dtype)


def pack(w: NDArray[Any], panel: int = MATRIX_PANEL) -> NDArray[Any]:
    """[k, n] -> panels of up to so many vectors, k-major: one layout for every lane width (see `parts.tile`)."""
    k, n = w.shape
    padded = np.zeros((k, packed_columns(n, w.dtype)), w.dtype)
    padded[:, :n] = w
    step = panel * lanes(w.dtype)
    return np.concatenate(
        [padded[:, p : p + step].ravel() for p in range(0, padded.shape[1], step)] or [padded.ravel()]
    )


def pad_bias(b: NDArray[Any]) -> NDArray[Any]:
    """A bias, with zeros up to whole vectors."""
    padded = np.zeros(packed_columns(b.size, b.dtype), b.dtype)
    padded[: b.size] = b.reshape(-1)
    return padded


def splits(rows: int, columns: int, dtype: np.dtype[Any]) -> int:
    """Into how many chains k is split: one row alone would leave the multipliers idle. Depends on the shapes alone."""
    if rows != 1:
        return 1
    return {1: 8, 2: 4}.get(packed_columns(columns, dtype) // lanes(dtype), 2)


def product(
    build: Builder,
    a: Buffer,
    packed: Buffer,
    bias: Buffer,
    out: Buffer,
    mkn: tuple[int, int, int],
    batch: tuple[int, int, int, int] = (1, 0, 0, 0),
    limits: tuple[float, float] = (-inf, inf),
    panel: int = MATRIX_PANEL,
) -> None:
    """Call the product kernel: out[m, n] = clip(bias + a[m, k] @ packed[k, n]), `batch` times (count and three strides).

    Args:
        panel: vectors of a full panel of `packed`.

    Raises:
        ValueError: an operand has another number of elements.
    """
    m, k, n = mkn
    count, a_stride, packed_stride, out_stride = batch
    columns = packed_columns(n, a.dtype)
    wanted = ((count if a_stride else 1) * m * k, (count if packed_stride else 1) * k * columns, columns, count * m * n)
    if any(o.size != size for o, size in zip((a, packed, bias, out), wanted, strict=True)):
        raise ValueError(f"[{m}, {k}] @ [{k}, {n}], {count} times, does not give {list(out.shape)} of {list(a.shape)}")
    record = GEMM(
        a=a, b=packed, bias=bias, out=out, rows=m, depth=k, columns=n, a_row=k, splits=splits(m, n, a.dtype), out_row=n,
        batch=count, a_batch=a_stride, b_batch=packed_stride, out_batch=out_stride, low=limits[0], high=limits[1],
        panel=0 if panel == MATRIX_PANEL else panel,
    )  # fmt: skip
    build.call(f"gemm_{SUFFIX[a.dtype]}", record, macs=m * k * n * count)


def product_by(
    build: Builder,
    a: Buffer,
    w: NDArray[Any],
    bias: Buffer,
    out: Buffer,
    limits: tuple[float, float] = (-inf, inf),
) -> None:
    """As `product`, by a matrix that is known, whose panels then lie as they are read: out[..., n] = clip(bias + a @ w)."""
    packed = build.constant(pack(w, NARROW_PANEL))
    product(build, a, packed, bias, out, (prod(out.shape[:-1]), *w.shape), limits=limits, panel=NARROW_PANEL)


def _linear_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    x, w, _ = inputs
    return [(x.dtype, (*x.shape[:-1], w.shape[1]))]


@operator("Linear", domain=RT_DOMAIN, since=1, infer=_linear_types)
def linear(node: Node, build: Builder) -> None:
    """clip(x @ w + b, low, high), weights constant: what `passes.linear` makes."""
    x, w, b = node.x, node.constant(1, "weights"), node.constant(2, "bias")
    rows = prod(x.shape[:-1])
    bias, limits = build.constant(pad_bias(b)), (node.attr("low", -inf), node.attr("high", inf))
    if is_taken(w):
        sparse_product(build, x, w, bias, node.y, splits(rows, w.shape[1], w.dtype), limits)
    else:
        product_by(build, x, w, bias, node.y, limits)


def run_time_product(
    build: Builder,
    a: Buffer,
    b: Buffer,
    out: Buffer,
    mkn: tuple[int, int, int],
    batch: tuple[int, int, int],
    b_strides: tuple[int, int],
) -> None:
    """A product whose right side is packed at run time, or now where it is known. `batch`: count, stride of a, stride of b."""
    (m, k, n), (count, a_stride, b_stride) = mkn, batch
    size = k * packed_columns(n, a.dtype)
    repeats = count if b_stride else 1
    if b.size != repeats * k * n:
        raise ValueError(f"a right side of shape {list(b.shape)} is not {repeats} times [{k}, {n}]")
    bias = build.constant(np.zeros(packed_columns(n, a.dtype), a.dtype))
    times = (count, a_stride, size if b_stride else 0, m * n)
    if b.value is not None:
        steps = [s * b.dtype.itemsize for s in (b_stride, *b_strides)]
        matrices = np.lib.stride_tricks.as_strided(b.value, (repeats, k, n), steps)
        packed = build.constant(np.concatenate([pack(w, NARROW_PANEL) for w in matrices]))
        product(build, a, packed, bias, out, mkn, times, panel=NARROW_PANEL)
        return
    packed = build.temporary(a.dtype, (repeats * size,))
    record = PACK(
        b=b, packed=packed, depth=k, columns=n, b_row=b_strides[0], b_column=b_strides[1],
        batch=repeats, b_batch=b_stride, packed_batch=size,
    )  # fmt: skip
    build.call(f"pack_{SUFFIX[a.dtype]}", record)
    product(build, a, packed, bias, out, mkn, times)


@operator("Gemm", since=1)
def gemm(node: Node, build: Builder) -> None:
    """alpha * A' @ B' + beta * C, in every form that `passes.linear` did not turn into a Linear."""
    a, b, c, y = node.x, node.input(1), node.optional(2), node.y
    node.require_type(a, FLOATS)
    if node.attr("transA", 0):
        a = transposed(build, a, (1, 0))
    (m, k), n, trans_b = a.shape, y.shape[1], node.attr("transB", 0)
    alpha, beta = float(node.attr("alpha", 1.0)), float(node.attr("beta", 1.0))
    plain = alpha == 1.0 and (c is None or beta == 0.0)
    result = y if plain else build.temporary(y.dtype, y.shape)
    run_time_product(build, a, b, result, (m, k, n), (1, 0, 0), (1, k) if trans_b else (n, 1))
    if c is None or beta == 0.0:
        if alpha != 1.0:
            _scale(build, result, alpha, y)
        return
    if alpha != 1.0:
        result = _scale(build, result, alpha)
    addend = broadcast_to(build, c, y.shape)
    if beta != 1.0:
        addend = _scale(build, addend, beta)
    build.call(f"add_{SUFFIX[y.dtype]}", BROADCAST(x=result, y=addend, out=y, **flat(y.size)), inplace=("x", "y"))


def _scale(build: Builder, x: Buffer, factor: float, out: Buffer | None = None) -> Buffer:
    out = out or build.temporary(x.dtype, x.shape)
    constant = build.constant(np.full(1, factor, x.dtype))
    record = BROADCAST(x=x, y=constant, out=out, **{**flat(x.size), "y_inner": 0})
    build.call(f"mul_{SUFFIX[x.dtype]}", record, inplace=("x",))
    return out


@operator("MatMul", since=1)
def matmul(node: Node, build: Builder) -> None:
    """NumPy's matmul of any ranks, with broadcasting of the leading dimensions."""
    a, b, y = node.x, node.input(1), node.y
    a_shape = a.shape if len(a.shape) > 1 else (1, *a.shape)
    b_shape = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    (m, k), n = a_shape[-2:], b_shape[-1]
    batch = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    count = prod(batch)
    if y.dtype in FLOATS and y.size and k and _by_constant(build, a, b, y, (a_shape, b_shape, batch)):
        return
    a = _batched(build, a, a_shape, batch)
    b = _batched(build, b, b_shape, batch)
    a_stride, b_stride = (m * k if prod(a.shape[:-2]) > 1 else 0), (k * n if prod(b.shape[:-2]) > 1 else 0)
    if y.dtype in FLOATS:
        if b_stride == 0 and a_stride:  # one right side for all: one tall product
            m, count, a_stride = m * count, 1, 0
        run_time_product(build, a, b, y, (m, k, n), (count, a_stride, b_stride), (n, 1))
        return
    kernel = {"int32": "matmul_i32", "uint32": "matmul_i32", "int64": "matmul_i64", "uint64": "matmul_i64"}.get(
        y.dtype.name
    )
    node.require(
        kernel is not None, f"type {y.dtype} is not supported here", "cast to float32, float64, int32 or int64"
    )
    record = MATMUL(
        a=a, b=b, out=y, batch=count, rows=m, depth=k, columns=n, a_batch=a_stride, b_batch=b_stride, out_batch=m * n
    )
    build.call(str(kernel), record, macs=count * m * k * n)


def _by_constant(
    build: Builder, a: Buffer, b: Buffer, y: Buffer, shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
) -> bool:
    """Products by matrices that are known and would otherwise be repeated, or meet a side of few columns.

    1. Constant b [E, k, n] for a [..., E, m, k], an ensemble: each matrix meets all its rows at once.
    2. Constant a for a b of less columns than a vector has: (b' @ a')', so that the vectors go along the constant.
    """
    a_shape, b_shape, batch = shapes
    (m, k), n, count = a_shape[-2:], b_shape[-1], prod(batch)
    each = prod(b_shape[:-2])
    if (
        b.value is not None
        and 1 < each < count
        and a_shape[:-2] == batch
        and batch[len(batch) - len(b_shape) + 2 :] == b_shape[:-2]
    ):
        outer = count // each
        rows = transposed(build, reshaped(build, a, (outer, each, m, k)), (1, 0, 2, 3))
        made = build.temporary(y.dtype, (each, outer, m, n))
        run_time_product(build, rows, b, made, (outer * m, k, n), (each, outer * m * k, k * n), (n, 1))
        transposed(build, made, (1, 0, 2, 3), reshaped(build, y, (outer, each, m, n)))
        return True
    if a.value is None or n >= lanes(y.dtype) or m <= n or prod(a_shape[:-2]) not in (1, count):
        return False
    if prod(b_shape[:-2]) not in (1, count) or (prod(a_shape[:-2]) == 1 and count > 1):
        return False
    rows = transposed(build, reshaped(build, b, (prod(b_shape[:-2]), k, n)), (0, 2, 1))
    made = reshaped(build, y, (count, n, m)) if n == 1 else build.temporary(y.dtype, (count, n, m))
    run_time_product(
        build, rows, a, made, (n, k, m), (count, n * k if rows.shape[0] > 1 else 0, m * k if count > 1 else 0), (1, k)
    )
    if n > 1:
        transposed(build, made, (0, 2, 1), reshaped(build, y, (count, m, n)))
    return True


def _batched(build: Builder, x: Buffer, shape: tuple[int, ...], batch: tuple[int, ...]) -> Buffer:
    """`x` as one matrix, or as one for each of `batch`."""
    x = reshaped(build, x, shape)
    if prod(shape[:-2]) in (1, prod(batch)):
        return x
    return broadcast_to(build, x, (*batch, *shape[-2:]))
