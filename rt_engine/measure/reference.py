"""Operators of ONNX's own evaluator, in float64: faster where its loops are slow, wider where it would round to float32."""

from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def _windows(x: NDArray[Any], kernel: list[int], stride: list[int], dilation: list[int]) -> NDArray[Any]:
    """[N, C, out..., kernel...] of a padded [N, C, size...]."""
    axes = tuple(range(2, x.ndim))
    wide = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    seen = sliding_window_view(x, wide, axes)
    picked = (slice(None),) * 2 + tuple(slice(None, None, s) for s in stride)
    return seen[(*picked, *(slice(None, None, d) for d in dilation))]


def _padding(
    size: tuple[int, ...], kernel: list[int], stride: list[int], dilation: list[int], pads: Any, auto: str
) -> list[tuple[int, int]]:
    """(before, after) of each axis."""
    if auto in ("NOTSET", ""):
        pads = list(pads or [0] * 2 * len(size))
        return list(zip(pads[: len(size)], pads[len(size) :], strict=True))
    if auto == "VALID":
        return [(0, 0)] * len(size)
    found = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        small = total // 2
        found.append((small, total - small) if auto == "SAME_UPPER" else (total - small, small))
    return found


class Conv(OpRun):
    """A convolution as one product of matrices per group; ONNX's own evaluator takes minutes for a large one."""

    op_domain = ""

    def _run(
        self, X, W, B=None, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None
    ):
        rank = X.ndim - 2
        kernel, strides, dilations = list(W.shape[2:]), list(strides or [1] * rank), list(dilations or [1] * rank)
        around = _padding(X.shape[2:], kernel, strides, dilations, pads, auto_pad)
        seen = _windows(np.pad(X, [(0, 0), (0, 0), *around]), kernel, strides, dilations)
        out, each = seen.shape[2 : 2 + rank], W.shape[0] // group
        parts = []
        for g in range(group):
            some = seen[:, g * W.shape[1] : (g + 1) * W.shape[1]]
            columns = np.moveaxis(some, 1, 1 + rank).reshape(-1, W.shape[1] * int(np.prod(kernel)))
            part = columns @ W[g * each : (g + 1) * each].reshape(each, -1).T
            parts.append(np.moveaxis(part.reshape(X.shape[0], *out, each), -1, 1))
        y = np.concatenate(parts, 1)
        return (y if B is None else y + B.reshape(-1, *[1] * rank),)


class MaxPool(OpRun):
    """The greatest of each window."""

    op_domain = ""

    def _run(
        self,
        x,
        auto_pad="NOTSET",
        ceil_mode=0,
        dilations=None,
        kernel_shape=None,
        pads=None,
        storage_order=0,
        strides=None,
    ):
        rank = x.ndim - 2
        strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
        around = _padding(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad)
        if ceil_mode:
            around = [(a, b + s - 1) for (a, b), s in zip(around, strides, strict=True)]
        padded = np.pad(x, [(0, 0), (0, 0), *around], constant_values=-np.inf)
        return (_windows(padded, kernel_shape, strides, dilations).max(tuple(range(-rank, 0))),)


class QuantizeLinear(OpRun):
    """x / scale + zero point, saturated but not rounded."""

    op_domain = ""

    def _run(self, x, scale, zero=None, axis=1, **_):
        kind = np.iinfo(zero.dtype if zero is not None and zero.dtype.kind in "iu" else np.uint8)
        return (np.clip(x / _along(scale, x, axis) + _along(zero, x, axis), kind.min, kind.max),)


class DequantizeLinear(OpRun):
    """(x - zero point) * scale in float64."""

    op_domain = ""

    def _run(self, x, scale, zero=None, axis=1, **_):
        return ((np.asarray(x, np.float64) - _along(zero, x, axis)) * _along(scale, x, axis),)


def _along(value: NDArray[Any] | None, x: NDArray[Any], axis: int) -> Any:
    """Scales or zero points of one axis, so that they broadcast over `x`."""
    if value is None:
        return 0.0
    value = np.asarray(value, np.float64)
    return (
        value.reshape([-1 if a == axis % max(x.ndim, 1) else 1 for a in range(x.ndim)])
        if value.size > 1
        else value.reshape(())
    )


class Cast(OpRun):
    """A cast; floats of any width are float64."""

    op_domain = ""

    def _run(self, x, to=None, **_):
        floats = (*FLOAT_TYPES, onnx.TensorProto.DOUBLE)
        dtype = np.float64 if to in floats else onnx.helper.tensor_dtype_to_np_dtype(to)
        return (np.asarray(x).astype(dtype),)


OPERATORS = [Conv, MaxPool, QuantizeLinear, DequantizeLinear, Cast]
