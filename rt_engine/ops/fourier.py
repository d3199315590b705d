"""DFT, STFT: https://onnx.ai/onnx/operators/onnx__DFT.html (the length, the axis, frame step and length must be constant).

length has the factors 2, 3, 5, 7 only      one record; reals of an even length as half as many complex numbers
any other                                   two records (L. Bluestein, 1970): with c[k] = exp(-i pi k**2 / n)
                                            X[k] = c[k] * sum over j of (x[j] * c[j]) * conj(c[k - j])
                                            which is a convolution, by transforms of a length that has them only
"""

from dataclasses import dataclass
from math import log2, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.fourier import DFT
from rt_engine.kernels.interface.fourier_plan import (
    LOAD_COMPLEX,
    LOAD_HALF,
    LOAD_PAIRS,
    LOAD_REAL,
    STORE_COMPLEX,
    STORE_PAIRS,
    STORE_REAL,
    Transform,
    is_smooth,
    next_smooth,
    transform,
)
from rt_engine.ops.base import FLOATS, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import broadcast_to, reshaped, transposed
from rt_engine.program.calls import Buffer

MOST_POINTS = 1 << 20


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where rows lie in the input; strides in elements. `count` elements belong to a row."""

    batches: int
    rows: int
    batch_stride: int
    row_stride: int
    count: int


@dataclass(frozen=True, slots=True)
class _Spectrum:
    """What is asked for: `length` points, of which `out` are written."""

    length: int
    out: int
    complex: bool
    inverse: bool = False
    real_output: bool = False


@operator("DFT", since=20)
def dft(node: Node, build: Builder) -> None:
    """The axis is an input, the last signal axis by default."""
    axis = int(node.constant(2, "axis").reshape(-1)[0]) if node.optional(2) is not None else -2
    _dft(node, build, axis)


@operator("DFT", since=17)
def dft_with_attributes(node: Node, build: Builder) -> None:
    """Before opset 20 the axis is an attribute."""
    _dft(node, build, int(node.attr("axis", 1)))


def _dft(node: Node, build: Builder, axis: int) -> None:
    x, y, rank = node.x, node.y, len(node.x.shape)
    node.require_type(x, FLOATS)
    node.require(-rank <= axis < rank and axis % rank != rank - 1, f"axis {axis} of {rank}", "give a signal axis")
    axis, inverse, onesided = axis % rank, bool(node.attr("inverse", 0)), bool(node.attr("onesided", 0))
    parts = x.shape[-1]
    node.require(parts in (1, 2), f"its last axis has {parts} elements", "1 is real, 2 is complex")
    half = inverse and onesided
    node.require(not half or parts == 2, "a one-sided inverse of reals", "feed the complex spectrum")
    length = 2 * (x.shape[axis] - 1) if half else x.shape[axis]
    if node.optional(1) is not None:
        length = int(node.constant(1, "dft_length").reshape(-1)[0])
    node.require(0 < length <= MOST_POINTS, f"a transform of {length} points", f"the most is {MOST_POINTS:,}")
    wanted = length if half or not onesided else length // 2 + 1
    shape = (*x.shape[:axis], wanted, *x.shape[axis + 1 : -1], 1 if half else 2)
    node.require(y.shape == shape, f"its output is {list(y.shape)}, not {list(shape)}", "export it again")
    if not y.size:
        return
    order = [*(a for a in range(rank - 1) if a != axis), axis, rank - 1]
    x = transposed(build, x, order)
    lying = tuple(shape[a] for a in order)
    straight = order == sorted(order)
    out = y if straight else build.temporary(y.dtype, lying)
    points, count = x.shape[-2], prod(x.shape[:-2])
    rows = _Rows(1, count, 0, points * parts, min(points, length) * parts)
    _spectrum(build, x, None, out, rows, _Spectrum(length, wanted, parts == 2, inverse, half))
    if not straight:
        transposed(build, out, [order.index(a) for a in range(rank)], y)


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames of `length` points, `step` apart."""

    step: int
    length: int
    count: int
    bins: int


def _frames(
    signal: Buffer, step: Buffer | None, window: Buffer | None, length: Buffer | None, onesided: bool
) -> _Frames:
    if len(signal.shape) != 3 or signal.shape[2] not in (1, 2):
        raise Refusal(f"its signal has the shape {list(signal.shape)}", "make it [batch, samples, 1 or 2]")
    if step is None or step.value is None or (length is not None and length.value is None):
        raise Refusal("frame_step and frame_length are computed at run time", "export with constant ones")
    frame = window.size if window is not None else signal.shape[1]
    if length is not None and length.value is not None:
        frame = int(length.value.reshape(-1)[0])
    by = int(step.value.reshape(-1)[0])
    if by < 1 or not 0 < frame <= min(signal.shape[1], MOST_POINTS):
        raise Refusal(f"frames of {frame} by {by} of {signal.shape[1]} samples", "correct frame_step or frame_length")
    if window is not None and window.size != frame:
        raise Refusal(f"a window of {window.size} for frames of {frame}", "make them equal")
    if onesided and signal.shape[2] == 2:
        raise Refusal("a one-sided spectrum of complex numbers", "set onesided to 0")
    return _Frames(by, frame, (signal.shape[1] - frame) // by + 1, frame // 2 + 1 if onesided else frame)


def _infer_stft(node: Any, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    """ONNX's own inference takes a missing `onesided` for 0; its default is 1."""
    onesided = node.attributes.get("onesided")
    signal, step, window, length = (inputs + [None] * 2)[:4]
    found = _frames(signal, step, window, length, onesided is None or bool(onesided.value))
    return [(signal.dtype, (signal.shape[0], found.count, found.bins, 2))]


@operator("STFT", since=17, infer=_infer_stft)
def stft(node: Node, build: Builder) -> None:
    """Transforms of frames that overlap; frames are read where they lie."""
    x, y, window = node.x, node.y, node.optional(2)
    node.require_type(x, FLOATS)
    batch, samples, parts = x.shape
    at = _frames(x, node.input(1), window, node.optional(3), bool(node.attr("onesided", 1)))
    if window is not None and parts == 2:
        both = broadcast_to(build, reshaped(build, window, (at.length, 1)), (at.length, 2))
        window = reshaped(build, both, (2 * at.length,))
    rows = _Rows(batch, at.count, samples * parts, at.step * parts, at.length * parts)
    if y.size:
        _spectrum(build, x, window, y, rows, _Spectrum(at.length, at.bins, parts == 2))


def _spectrum(build: Builder, x: Buffer, window: Buffer | None, y: Buffer, rows: _Rows, wanted: _Spectrum) -> None:
    n, inverse = wanted.length, wanted.inverse
    sign = -1.0 if inverse else 1.0
    scale = 1.0 / n if inverse else 1.0
    count = rows.count
    pairs = not wanted.complex and n % 2 == 0
    if not is_smooth(n):
        _any_length(build, x, window, y, rows, wanted)
        return
    if pairs:
        load, mirror = (LOAD_PAIRS, count, 0), (n if wanted.out == n else 0)
        made = transform(n // 2, x.dtype, load, (STORE_PAIRS, n // 2 + 1, mirror))
        _call(build, (x, window, y), made, rows, wanted.out * 2, (1.0, scale, sign * scale), n // 2)
        return
    load, store = _ends(count, wanted)
    made = transform(n, x.dtype, load, store)
    _call(build, (x, window, y), made, rows, _row(wanted), (sign, scale, sign * scale), n)


def _row(wanted: _Spectrum) -> int:
    """Elements of a row of the output."""
    return wanted.out * (1 if wanted.real_output else 2)


def _ends(count: int, wanted: _Spectrum) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """How a row is loaded and stored."""
    n = wanted.length
    if wanted.real_output:
        return (LOAD_HALF, min(count, 2 * (n // 2 + 1)), n), (STORE_REAL, n, 0)
    return (LOAD_COMPLEX if wanted.complex else LOAD_REAL, count, 0), (STORE_COMPLEX, wanted.out, 0)


def _any_length(build: Builder, x: Buffer, window: Buffer | None, y: Buffer, rows: _Rows, wanted: _Spectrum) -> None:
    n, dtype = wanted.length, x.dtype
    size = next_smooth(2 * n - 1)
    chirp = _chirp(n)
    kernel = np.zeros(size, np.complex128)
    kernel[:n] = chirp.conj()
    kernel[size - n + 1 :] = chirp[1:][::-1].conj()
    response = np.fft.fft(kernel) / size
    load, store = _ends(rows.count, wanted)
    sign = -1.0 if wanted.inverse else 1.0
    middle = build.temporary(dtype, (rows.batches * rows.rows, size, 2))
    first = transform(size, dtype, load, (STORE_COMPLEX, size, 0), before=chirp, after=response)
    _call(build, (x, window, middle), first, rows, 2 * size, (sign, 1.0, 1.0), size)
    after = chirp.conj() / n if wanted.inverse else chirp
    second = transform(size, dtype, (LOAD_COMPLEX, 2 * size, 0), store, after=after[: store[1]])
    lying = _Rows(1, rows.batches * rows.rows, 0, 2 * size, 2 * size)
    _call(build, (middle, None, y), second, lying, _row(wanted), (-1.0, 1.0, -sign), size)


def _chirp(n: int) -> NDArray[np.complex128]:
    """exp(-i pi k**2 / n); the square is taken modulo 2 n, exactly."""
    angle = np.array([k * k % (2 * n) for k in range(n)], np.float64) * (np.pi / n)
    return np.asarray(np.cos(angle) - 1j * np.sin(angle))


def _call(
    build: Builder,
    buffers: tuple[Buffer, Buffer | None, Buffer],
    made: Transform,
    rows: _Rows,
    out_row: int,
    params: tuple[float, float, float],
    points: int,
) -> None:
    x, window, y = buffers
    last = (rows.batches - 1) * rows.batch_stride + (rows.rows - 1) * rows.row_stride + rows.count
    if last > x.size or rows.batches * rows.rows * out_row > y.size:
        raise ValueError(f"its rows do not fit {list(x.shape)} and {list(y.shape)}")
    scratch = build.temporary(x.dtype, (made.scratch,))
    sign, real, imaginary = params
    record = DFT(
        x=x, window=window, plan=build.constant(made.plan), tables=build.constant(made.tables), scratch=scratch, out=y,
        batches=rows.batches, rows=rows.rows, x_batch=rows.batch_stride, x_row=rows.row_stride, out_row=out_row,
        sign=sign, real=real, imaginary=imaginary,
    )  # fmt: skip
    macs = rows.batches * rows.rows * int(2 * points * max(log2(points), 1))
    build.call(f"dft_{SUFFIX[x.dtype]}", record, macs=macs)
