"""Resize, Upsample: https://onnx.ai/onnx/operators/onnx__Resize.html (roi, scales and sizes must be constant).

Interpolation is separable: one pass per axis that changes, those that shrink first. Where an output comes from, and with
which weights, is worked out in float64 when the model is loaded, as ONNX's reference does.
"""

from dataclasses import dataclass
from math import floor, prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import FLOATS, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import F32, converted
from rt_engine.ops.moves import gathered, reshaped
from rt_engine.ops.tapping import check_table, taps
from rt_engine.program.calls import Buffer

_MODES = ("nearest", "linear", "cubic")
_WIDENED = tuple(map(np.dtype, (np.int8, np.uint8, np.int32)))
"""Interpolated in float32, then cut off towards zero, as ONNX Runtime does; with antialias it rounds, and int8 wrongly."""
_MOST_TAPS = 1 << 16


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis is resampled."""

    size: int
    wanted: int
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class _Filter:
    """What an output is made of."""

    mode: str
    coordinates: str
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


@operator("Resize", since=11)
def resize(node: Node, build: Builder) -> None:
    """Nearest, linear or cubic, in every coordinate transformation of ONNX; linear of int8, uint8 and int32 is cut off."""
    rank = len(node.x.shape)
    filter = _Filter(
        node.attr("mode", "nearest"),
        node.attr("coordinate_transformation_mode", "half_pixel"),
        node.attr("nearest_mode", "round_prefer_floor"),
        float(node.attr("cubic_coeff_a", -0.75)),
        bool(node.attr("antialias", 0)),
        bool(node.attr("exclude_outside", 0)),
    )
    axes = [a % rank for a in node.attr("axes", range(rank))]
    scales = _scales(node, axes)
    starts, ends = [0.0] * rank, [1.0] * rank
    if filter.coordinates == "tf_crop_and_resize":
        roi = node.constant(1, "roi").astype(np.float64).reshape(-1)
        node.require(roi.size == 2 * len(axes), f"roi has {roi.size} numbers", "give two for each axis")
        for i, axis in enumerate(axes):
            starts[axis], ends[axis] = float(roi[i]), float(roi[len(axes) + i])
    sizes = zip(node.x.shape, node.y.shape, scales, starts, ends, strict=True)
    _resampled(build, node.x, node.y, [_Axis(*s) for s in sizes], filter, float(node.attr("extrapolation_value", 0.0)))


def _scales(node: Node, axes: list[int]) -> list[float]:
    """One scale per axis, from `scales` or `sizes`."""
    x, result = node.x, [1.0] * len(node.x.shape)
    given = node.optional(2)
    if given is not None and given.size:
        values = node.constant(2, "scales").astype(np.float64).reshape(-1)
    else:
        sizes = node.constant(3, "sizes").astype(np.float64).reshape(-1)
        values = sizes / [max(x.shape[a], 1) for a in axes]
        policy = node.attr("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            values = np.full(len(axes), values.min() if policy == "not_larger" else values.max())
    node.require(len(values) == len(axes), f"{len(values)} scales or sizes for {len(axes)} axes", "give one for each")
    for axis, value in zip(axes, values, strict=True):
        result[axis] = float(value)
    return result


def _infer_from_scales(node: Any, inputs: list[Buffer]) -> list[tuple[Any, tuple[int, ...]]]:
    """Upsample before opset 9 has no inference of its own for scales in an attribute."""
    x, scales = inputs[0], node.attributes["scales"].value
    return [(x.dtype, tuple(scaled(size, scale) for size, scale in zip(x.shape, scales, strict=True)))]


def scaled(size: int, scale: float) -> int:
    """How long an axis becomes. In float32, as ONNX Runtime: an exporter's 7 / 12 makes 7 of 12, where the exact product is below."""
    return floor(np.float32(size) * np.float32(scale))


def scales_to_infer(node: ir.Node, scales: NDArray[Any]) -> NDArray[Any]:
    """Scales with which ONNX's inference, which multiplies exactly, gives the sizes of `scaled`."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    axes = node.attributes.get_ints("axes", range(len(shape or ())))
    if (
        shape is None
        or not len(axes) == scales.size == len(set(axes))
        or not all(-len(shape) <= a < len(shape) for a in axes)
    ):
        return scales
    found = scales.astype(np.float32)
    for i, axis in enumerate(axes):
        size, scale = int(shape[axis]), float(found[i])  # type: ignore[arg-type]  # static by now
        if size and np.isfinite(scale) and scaled(size, scale) != floor(size * scale):
            found[i] = np.nextafter(np.float32(scaled(size, scale) / size), np.float32(np.inf))
    return found


@operator("Upsample", since=7, infer=_infer_from_scales)
def upsample_by_attribute(node: Node, build: Builder) -> None:
    """Opset 7: the scales are an attribute."""
    _simple(node, build, [float(s) for s in node.attr("scales")])


@operator("Upsample", since=9)
@operator("Resize", since=10)
def upsample(node: Node, build: Builder) -> None:
    """Opsets 9 and 10: x_original = x / scale; nearest is rounded down, or up where an axis shrinks."""
    _simple(node, build, [float(s) for s in node.constant(1, "scales").reshape(-1)])


def _simple(node: Node, build: Builder, scales: list[float]) -> None:
    x, y = node.x, node.y
    mode = {"nearest": "nearest", "linear": "linear", "bilinear": "linear"}.get(node.attr("mode", "nearest"), "")
    node.require(len(scales) == len(x.shape), f"{len(scales)} scales for {len(x.shape)} axes", "give one for each")
    sizes = zip(x.shape, y.shape, scales, strict=True)
    _resampled(build, x, y, [_Axis(*s) for s in sizes], _Filter(mode, "asymmetric", "simple"), 0.0)


def _resampled(build: Builder, x: Buffer, y: Buffer, axes: list[_Axis], filter: _Filter, outside: float) -> None:
    if filter.mode not in _MODES:
        raise Refusal(f"mode '{filter.mode}'", f"use one of {', '.join(_MODES)}")
    widened = filter.mode == "linear" and not filter.antialias and x.dtype in _WIDENED
    if filter.mode != "nearest" and x.dtype not in FLOATS and not widened:
        how = f"{filter.mode} interpolation of {x.dtype}{' with antialias' if filter.antialias else ''}"
        raise Refusal(f"{how} is not supported", "cast to float32")
    if filter.antialias and filter.mode == "nearest":
        raise Refusal("antialias with mode nearest", "use mode linear or cubic")
    if not y.size:
        return
    steps = []
    for axis, shape in enumerate(axes):
        if min(shape.size, shape.wanted) < 1 or not 0 < shape.scale < 1e9:
            raise Refusal(f"axis {axis} is resized from {shape.size} to {shape.wanted} by {shape.scale}", "correct it")
        check_table(shape.wanted)
        index, weight = _tables(shape, filter)
        if not _changes_nothing(shape, index, weight):
            steps.append((shape.wanted / shape.size, -axis, index, weight))
    if not steps:
        build.alias(y, reshaped(build, x, y.shape))
        return
    if widened:
        x = converted(build, x, F32)
    for done, (_, axis, index, weight) in enumerate(sorted(steps, key=lambda s: s[:2]), 1):
        out = y if done == len(steps) and not widened else None
        x = _pass(build, x, -axis, index, weight, out, outside)
    if widened:
        converted(build, x, y.dtype, y)


def _pass(
    build: Builder, x: Buffer, axis: int, index: NDArray[Any], weight: NDArray[Any], out: Buffer | None, outside: float
) -> Buffer:
    block = prod(x.shape[axis + 1 :]) * x.dtype.itemsize
    plain = len(index) == 1 and bool((index >= 0).all()) and bool((weight == 1.0).all())
    if x.dtype in FLOATS and not (plain and block >= 64):
        return taps(build, x, axis, index, weight, out, outside)
    if not plain:
        raise Refusal(f"extrapolation of {x.dtype} is not supported", "cast to float32")
    out = out or build.temporary(x.dtype, (*x.shape[:axis], index.shape[1], *x.shape[axis + 1 :]))
    sizes = (prod(x.shape[:axis]), x.shape[axis], index.shape[1], block)
    gathered(build, x, index[0].astype(np.int64), out, sizes)
    return out


def _changes_nothing(shape: _Axis, index: NDArray[Any], weight: NDArray[Any]) -> bool:
    here = np.arange(shape.wanted)
    own = (weight == 0) | (index == here)
    return shape.size == shape.wanted and bool(own.all()) and bool((weight.sum(axis=0) == 1.0).all())


def _origin(shape: _Axis, coordinates: str) -> NDArray[np.float64]:
    """x_original of every output."""
    at, size, scale = np.arange(shape.wanted, dtype=np.float64), shape.size, shape.scale
    length = scale * size  # what ONNX calls output_width: not always a whole number
    span = shape.end - shape.start
    match coordinates:
        case "half_pixel":
            return (at + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (at + 0.5) / scale - 0.5 if length != 1 else np.zeros_like(at)
        case "half_pixel_symmetric":
            return size / 2 * (1 - shape.wanted / length) + (at + 0.5) / scale - 0.5
        case "align_corners":
            return at * (size - 1) / (length - 1) if length != 1 else np.zeros_like(at)
        case "asymmetric":
            return at / scale
        case "tf_half_pixel_for_nn":
            return (at + 0.5) / scale
        case "tf_crop_and_resize":
            inner = at * span * (size - 1) / (length - 1) if length != 1 else np.full_like(at, span * (size - 1) / 2)
            return inner + shape.start * (size - 1)
    raise Refusal(f"coordinate_transformation_mode '{coordinates}'", "use one that ONNX names")


def _tables(shape: _Axis, filter: _Filter) -> tuple[NDArray[Any], NDArray[Any]]:
    """(index, weight), [taps, outputs]; -1 where an output lies outside and is extrapolated."""
    origin = _origin(shape, filter.coordinates)
    limit = shape.size - 1
    if not np.isfinite(origin).all() or np.abs(origin).max(initial=0) > 1e15:
        raise Refusal("its coordinates are not finite", "correct scales and roi")
    if filter.mode == "nearest":
        index = np.clip(_nearest(origin, filter.rounding, shape.scale), 0, limit).reshape(1, -1)
        weight = np.ones(index.shape)
    else:
        index, weight = _window(origin, shape.scale, filter)
        if filter.exclude_outside:
            weight = np.where((index < 0) | (index > limit), 0.0, weight)
            total = weight.sum(axis=0)
            weight = weight / np.where(total == 0, 1.0, total)
        index = np.clip(index, 0, limit)
    if filter.coordinates == "tf_crop_and_resize":
        beyond = (origin < 0) | (origin > limit)
        index[:, beyond], weight[:, beyond] = -1, 0.0
        weight[0, beyond] = 1.0
    return index, weight


def _nearest(origin: NDArray[np.float64], rounding: str, scale: float) -> NDArray[np.int64]:
    match rounding:
        case "round_prefer_floor":
            found = np.ceil(origin - 0.5)
        case "round_prefer_ceil":
            found = np.floor(origin + 0.5)
        case "floor":
            found = np.floor(origin)
        case "ceil":
            found = np.ceil(origin)
        case "simple":
            found = np.ceil(origin) if scale < 1 else np.floor(origin)
        case _:
            raise Refusal(f"nearest_mode '{rounding}'", "use one that ONNX names")
    return found.astype(np.int64)


def _window(origin: NDArray[np.float64], scale: float, filter: _Filter) -> tuple[NDArray[Any], NDArray[Any]]:
    """Neighbours of every origin and their weights: a kernel of width 2 (linear) or 4 (cubic), stretched to antialias."""
    scale = min(scale, 1.0) if filter.antialias else 1.0
    reach = 1 if filter.mode == "linear" else 2
    first = floor(-reach / scale) + 1
    count = 2 - 2 * first
    if count > _MOST_TAPS:
        raise Refusal(f"an output would be the mean of {count:,} elements per axis", "correct scales")
    check_table(count * len(origin))
    left = np.ceil(origin) - 1  # the neighbour before, where the origin is an element
    ratio = origin - left
    steps = np.arange(first, first + count, dtype=np.float64)[:, None]
    distance = np.abs(scale * (steps - ratio))
    weight = np.clip(1 - distance, 0, 1) if filter.mode == "linear" else _cubic(distance, filter.cubic)
    if filter.antialias:
        weight = weight / weight.sum(axis=0)
    return (left + steps).astype(np.int64), weight


def _cubic(d: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """R. Keys, Cubic convolution interpolation (1981)."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
