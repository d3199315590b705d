"""Quantised operators: DequantizeLinear, the operator, QuantizeLinear; what these mean is decided once, by later passes.

https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from math import prod

import numpy as np
import onnx_ir as ir

from rt_engine.passes.microsoft.writer import Rewriting, Values, Writer, dtype_of, shape_of
from rt_engine.program.element_types import INTEGER_LIMITS

_EIGHT_BITS = (np.uint8, np.int8)


def _stored(w: Writer, y: ir.Value, index: int, like: ir.Value) -> ir.Value:
    """QuantizeLinear with scale `index` and the zero point behind it; where that is absent, it is 0 of `like`'s type."""
    scale, zero = w.input(index), w.optional(index + 1)
    zero = w.constant(np.zeros(shape_of(scale)), dtype_of(like)) if zero is None else zero
    return w.op("QuantizeLinear", y, scale, zero)


def _two(name: str) -> Rewriting:
    """a, its scale and zero point, b and its own, those of the result."""

    def rewritten(w: Writer) -> Values:
        parts = [w.real(w.input(i), w.input(i + 1), w.optional(i + 2)) for i in (0, 3)]
        return [_stored(w, w.op(name, *parts), 6, w.input(0))]

    return rewritten


def _one(name: str) -> Rewriting:
    """x, its scale and zero point, those of the result; with channels first, or last."""

    def rewritten(w: Writer) -> Values:
        x, last = w.input(0), w.integer("channels_last")
        rank = len(shape_of(x))
        x = w.transpose(x, 0, rank - 1, *range(1, rank - 1)) if last else x
        y = w.op(name, w.real(x, w.input(1), w.optional(2)), **w.kept("channels_last"))
        y = _stored(w, y, 3, x)
        return [w.transpose(y, 0, *range(2, rank), 1) if last else y]

    return rewritten


def _concat(w: Writer) -> Values:
    """Scale and zero point of the result; then x, scale and zero point of each part."""
    w.require(len(w.node.inputs) >= 5 and len(w.node.inputs) % 3 == 2, f"{len(w.node.inputs)} inputs")
    parts = [w.real(w.input(i), w.input(i + 1), w.optional(i + 2)) for i in range(2, len(w.node.inputs), 3)]
    return [_stored(w, w.op("Concat", *parts, **w.kept()), 0, w.input(2))]


def _where(w: Writer) -> Values:
    """The condition; x, scale, zero point; y, scale, zero point; those of the result."""
    parts = [w.real(w.input(i), w.input(i + 1), w.optional(i + 2)) for i in (1, 4)]
    return [_stored(w, w.op("Where", w.input(0), *parts), 7, w.input(1))]


def _softmax(w: Writer) -> Values:
    """`opset` says whether it is along one axis, or of a matrix that is split there."""
    x = w.input(0)
    shape, axis = shape_of(x), w.integer("axis", -1)
    axis %= len(shape)
    real = w.real(x, w.input(1), w.optional(2))
    if w.integer("opset", w.opset) < 13:
        flat = w.op("Softmax", w.reshape(real, prod(shape[:axis]), prod(shape[axis:])), axis=1)
        y = w.reshape(flat, *shape)
    elif axis == len(shape) - 1:
        y = w.op("Softmax", real, axis=axis)
    else:
        perm = list(range(len(shape)))
        perm[axis], perm[-1] = perm[-1], perm[axis]
        y = w.transpose(w.op("Softmax", w.transpose(real, *perm), axis=len(shape) - 1), *perm)
    return [_stored(w, y, 3, x)]


def _reduce_mean(w: Writer) -> Values:
    """data, its scale and zero point, those of the result; axes are an attribute."""
    x = w.input(0)
    axes = w.node.attributes.get_ints("axes", None) or range(len(shape_of(x)))
    y = w.reduced("ReduceMean", w.real(x, w.input(1), w.optional(2)), list(axes), w.integer("keepdims", 1), since=18)
    return [_stored(w, y, 3, x)]


def _gemm(w: Writer) -> Values:
    """a, scale, zero point; b, scale, zero point; bias of the product of the scales; without a scale of the result it is real."""
    scale_a, scale_b = w.known(1, "the scale of a"), w.known(4, "the scale of b")
    axis = None if scale_b.size == 1 else 0 if w.integer("transB") else 1
    parts = [w.real(w.input(0), w.input(1), w.optional(2)), w.real(w.input(3), w.input(4), w.optional(5), axis)]
    bias = w.optional(6)
    if bias is not None:
        product = np.asarray(scale_a * scale_b, np.float32)
        whole = product.size == 1
        scale = w.constant(product.reshape(() if whole else (-1,)))
        parts.append(w.real(bias, scale, axis=None if whole else 0))
    y = w.op("Gemm", *parts, **w.kept())
    made = w.optional(7)
    return [y if made is None else _stored(w, y, 7, w.input(0))]


def _conv(w: Writer) -> Values:
    """ONNX's QLinearConv, with channels last too: then so is the result."""
    x, last = w.input(0), w.integer("channels_last")
    rank = len(shape_of(x))
    x = w.transpose(x, 0, rank - 1, *range(1, rank - 1)) if last else x
    y = w.op("QLinearConv", x, *w.node.inputs[1:], **w.kept("channels_last"))
    return [w.transpose(y, 0, *range(2, rank), 1) if last else y]


def _max_pool(w: Writer) -> Values:
    """MaxPool of bytes with channels last."""
    rank = len(shape_of(w.input(0)))
    x = w.transpose(w.input(0), 0, rank - 1, *range(1, rank - 1))
    return [w.transpose(w.op("MaxPool", x, **w.kept()), 0, *range(2, rank), 1)]


def _to_float(w: Writer, product: ir.Value, scales: tuple[ir.Value, ir.Value], bias: ir.Value | None) -> Values:
    y = w.op("Mul", w.op("Cast", product, to=1), w.op("Mul", *scales))
    return [y if bias is None else w.op("Add", y, bias)]


def _product_to_float(w: Writer) -> Values:
    """a, b, their scales, their zero points, the bias."""
    product = w.op("MatMulInteger", w.input(0), w.input(1), w.optional(4), w.optional(5))
    return _to_float(w, product, (w.input(2), w.input(3)), w.optional(6))


def _dynamic_product(w: Writer) -> Values:
    """a, which is quantised now; b, its scale and zero point; the bias."""
    made = w.node_of("DynamicQuantizeLinear", [w.input(0)], {}, outputs=3).outputs
    product = w.op("MatMulInteger", made[0], w.input(1), made[2], w.optional(3))
    return _to_float(w, product, (made[1], w.input(2)), w.optional(4))


def _row(w: Writer, value: ir.Value, rank: int) -> ir.Value:
    """A scale or zero point, so that it broadcasts along its axis."""
    shape = shape_of(value)
    if prod(shape) == 1:
        return w.op("Reshape", value, w.constant(np.zeros(0), np.int64))
    axis = w.integer("axis", 1) % rank
    return w.reshape(value, *(-1 if a == axis else 1 for a in range(rank)))


def _quantize(w: Writer) -> Values:
    """As ONNX's; of 16 bits, which ONNX has from opset 21 on, in steps."""
    x, scale, zero = w.inputs(3)
    assert x is not None and scale is not None
    dtype = np.dtype(np.uint8) if zero is None else dtype_of(zero)
    if dtype in _EIGHT_BITS:
        return [w.op("QuantizeLinear", x, scale, zero, **w.kept())]
    w.require(zero is not None and dtype in (np.uint16, np.int16), f"type {dtype}")
    assert zero is not None
    rank, info = len(shape_of(x)), np.iinfo(dtype)
    y = w.op("Round", w.op("Div", x, _row(w, scale, rank)))
    y = w.op("Add", y, w.op("Cast", _row(w, zero, rank), to=1))
    low, high = (w.constant(n, np.float32) for n in (info.min, info.max))
    return [w.op("Cast", w.op("Max", w.op("Min", y, high), low), to=int(ir.DataType.from_numpy(dtype)))]


def _bytes(w: Writer, index: int) -> ir.Value:
    """Constant integers of 4 or 2 bits as bytes."""
    value = w.known(index, f"its integers of type {dtype_of(w.input(index))}")
    return w.constant(value, np.uint8 if value.dtype.name.startswith("u") else np.int8)


def _dequantize(w: Writer) -> Values:
    """As ONNX's; of 16 bits, which ONNX has from opset 21 on, in steps; weights of 4 and 2 bits become bytes."""
    x, scale, zero = w.inputs(3)
    assert x is not None and scale is not None
    if dtype_of(x) in INTEGER_LIMITS:
        x, zero = _bytes(w, 0), None if zero is None else _bytes(w, 2)
    if dtype_of(x) in (*_EIGHT_BITS, np.int32):
        return [w.op("DequantizeLinear", x, scale, zero, **w.kept())]
    w.require(dtype_of(x) in (np.uint16, np.int16), f"type {dtype_of(x)}")
    rank = len(shape_of(x))
    y = w.op("Cast", x, to=1)
    if zero is not None:
        y = w.op("Sub", y, w.op("Cast", _row(w, zero, rank), to=1))
    return [w.op("Mul", y, _row(w, scale, rank))]


TABLE: dict[str, Rewriting] = {
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeMatMul": _dynamic_product,
    "MatMulIntegerToFloat": _product_to_float,
    "NhwcMaxPool": _max_pool,
    "QGemm": _gemm,
    "QLinearAdd": _two("Add"),
    "QLinearAveragePool": _one("AveragePool"),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _one("GlobalAveragePool"),
    "QLinearLeakyRelu": _one("LeakyRelu"),
    "QLinearMul": _two("Mul"),
    "QLinearReduceMean": _reduce_mean,
    "QLinearSigmoid": _one("Sigmoid"),
    "QLinearSoftmax": _softmax,
    "QLinearWhere": _where,
    "QuantizeLinear": _quantize,
}
