"""Products and convolutions with an activation, and GELU: what ONNX Runtime's optimiser fuses.

https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import RT_DOMAIN, Refusal
from rt_engine.passes.microsoft.writer import Rewriting, Writer, dtype_of, shape_of

_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish"), ()),
    **dict.fromkeys(("LeakyRelu", "Elu", "ThresholdedRelu"), ("alpha",)),
    "HardSigmoid": ("alpha", "beta"),
    "Selu": ("alpha", "gamma"),
}
"""Activation -> the attributes that its parameters are, in order."""


def _activated(w: Writer, y: ir.Value, name: str, parameters: Sequence[float], dtype: np.dtype) -> ir.Value:
    if not name:
        return y
    if name == "Clip" and len(parameters) == 2:
        low, high = (w.constant(p, dtype) for p in parameters)
        return w.op("Max", w.op("Min", y, high), low)
    if name not in _ACTIVATIONS or len(parameters) not in (0, len(_ACTIVATIONS[name])):
        raise Refusal(
            f"its activation '{name}' with {len(parameters)} parameters is unknown", "save it at level 'basic'"
        )
    given = dict(zip(_ACTIVATIONS[name], map(float, parameters), strict=False))
    return w.op(name, y, **given)


def _fused_conv(w: Writer) -> list[ir.Value]:
    """act(Conv(x, w, b) + z)."""
    x, weights, bias, addend = w.inputs(4)
    given = w.node.attributes
    y = w.op("Conv", x, weights, bias, **w.kept("activation", "activation_params"))
    if addend is not None:
        y = w.op("Add", y, addend)
    name = given.get_string("activation", "") or ""
    return [_activated(w, y, name, given.get_floats("activation_params", ()), dtype_of(w.input(0)))]


def _fused_gemm(w: Writer) -> list[ir.Value]:
    """act(Gemm(a, b, c))."""
    own = ("activation", "activation_alpha", "activation_beta", "activation_gamma")
    given = w.node.attributes
    y = w.op("Gemm", *w.inputs(3), **w.kept(*own))
    parameters = [given.get_float(name, 0.0) for name in own[1:] if name in given]
    return [_activated(w, y, given.get_string("activation", "") or "", parameters, dtype_of(w.input(0)))]


def _fused_matmul(w: Writer) -> list[ir.Value]:
    """alpha * a' @ b', each transposed or not."""
    a, b = (_turned(w, w.input(i), w.integer(f"transBatch{n}"), w.integer(f"trans{n}")) for i, n in enumerate("AB"))
    y, alpha = w.op("MatMul", a, b), w.number("alpha", 1.0)
    return [y if alpha == 1.0 else w.op("Mul", y, w.constant(alpha, dtype_of(w.input(0))))]


def _turned(w: Writer, x: ir.Value, batch: int, last: int) -> ir.Value:
    """`batch`: the first axis becomes the last but one; `last`: the last two change places."""
    rank = len(shape_of(x))
    perm = list(range(rank))
    if batch and rank > 2:
        perm = [*perm[1:-1], 0, perm[-1]]
    if last and rank > 1:
        perm[-2:] = perm[:-3:-1]
    return x if perm == list(range(rank)) else w.transpose(x, *perm)


def _gelu(w: Writer) -> list[ir.Value]:
    return [w.own("GeluErf", w.input(0))[0]]


def _bias_gelu(w: Writer) -> list[ir.Value]:
    return [w.own("GeluErf", w.op("Add", w.input(0), w.input(1)))[0]]


def _fast_gelu(w: Writer) -> list[ir.Value]:
    bias = w.optional(1)
    x = w.input(0) if bias is None else w.op("Add", w.input(0), bias)
    return [w.own("GeluTanh", x)[0]]


def _quick_gelu(w: Writer) -> list[ir.Value]:
    return [w.own("Swish", w.input(0), alpha=w.number("alpha", 1.702))[0]]


def _standard(name: str, since: int, own: bool = False) -> Rewriting:
    """An operator that has become one of ONNX's, as it is; where the opset is older, this engine's of that name if it has one."""

    def rewritten(w: Writer) -> list[ir.Value]:
        if own and w.opset < since:
            return [w.node_of(name, w.node.inputs, w.kept(), RT_DOMAIN).outputs[0]]
        w.require(w.opset >= since, f"the file's opset is {w.opset}", f"export it for opset {since} or newer")
        return [w.op(name, *w.node.inputs, **w.kept())]

    return rewritten


def _gather_nd(w: Writer) -> Sequence[ir.Value | None]:
    """Indices of int32, too."""
    return _standard("GatherND", 12 if dtype_of(w.input(1)) == np.int64 else _NEVER, own=True)(w)


_NEVER = 1 << 30


def _matmul_n_bits(w: Writer) -> list[ir.Value]:
    """Weights of 2, 4 or 8 bits in blocks along k, each with a scale; the low bits of a byte come first."""
    bits, k, n, block = w.integer("bits", 4), w.integer("K"), w.integer("N"), w.integer("block_size")
    w.require(bits in (2, 4, 8) and block > 0, f"{bits} bits in blocks of {block}")
    w.require(w.optional(4) is None, "its blocks are in an order of their own (g_idx)", "quantise without act_order")
    blocks = -(-k // block)
    packed = w.known(1, "its weights").reshape(n, -1).astype(np.uint8)
    scales = w.known(2, "its scales").reshape(n, blocks)
    dtype = dtype_of(w.input(0))
    zeros = np.full((n, blocks), 1 << (bits - 1), np.float32)
    if w.optional(3) is not None:
        given = w.known(3, "its zero points")
        zeros = (
            given.reshape(n, blocks) if given.dtype != np.uint8 else _unpacked(given.reshape(n, -1), bits)[:, :blocks]
        )
    values = _unpacked(packed, bits)[:, : blocks * block].reshape(n, blocks, block)
    real = (values.astype(np.float32) - zeros[:, :, None].astype(np.float32)) * scales[:, :, None].astype(np.float32)
    y = w.op("MatMul", w.input(0), w.constant(real.reshape(n, -1)[:, :k].T, dtype))
    bias = w.optional(5)
    return [y if bias is None else w.op("Add", y, bias)]


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((packed[:, :, None] >> shifts) & ((1 << bits) - 1)).reshape(len(packed), -1)


TABLE: dict[str, Rewriting] = {
    "BiasGelu": _bias_gelu,
    "FastGelu": _fast_gelu,
    "FusedConv": _fused_conv,
    "FusedGemm": _fused_gemm,
    "FusedMatMul": _fused_matmul,
    "GatherND": _gather_nd,
    "Gelu": _gelu,
    "GridSample": _standard("GridSample", 16, own=True),
    "MatMulNBits": _matmul_n_bits,
    "QuickGelu": _quick_gelu,
    "TransposeMatMul": _fused_matmul,
    "Trilu": _standard("Trilu", 14, own=True),
}
