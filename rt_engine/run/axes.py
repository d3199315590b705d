"""Along which axes the outputs of a record can be cut, so that no sum is added in another order. Pure; the table to extend.

An axis is a size of the record that counts outputs, and how far each operand moves from one of them to the next:

    gemm   rows      a + a_row, out + out_row               every piece reads all of b
           columns   b + depth, bias + 1, out + 1           every piece reads all of a

A kernel that is not in `FAMILIES` is one piece: it may end with a status, work in memory that all its outputs share, or have its sizes
in a table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from rt_engine.kernels.interface.attention import ATTENTION
from rt_engine.kernels.interface.cast import CAST
from rt_engine.kernels.interface.conv import CONV, DEPTHWISE
from rt_engine.kernels.interface.conv import NARROW_PANEL as NARROW_WINDOW
from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.interface.elementwise import BROADCAST, MAP
from rt_engine.kernels.interface.encode import ENCODE, LOOKUP_BYTES
from rt_engine.kernels.interface.fields import Fields
from rt_engine.kernels.interface.gemm import GEMM, PACK
from rt_engine.kernels.interface.gemm import NARROW_PANEL as NARROW_MATRIX
from rt_engine.kernels.interface.group_norm import GROUP_NORM
from rt_engine.kernels.interface.modes import QUANTISED
from rt_engine.kernels.interface.movement import COPY_BLOCKS, COPY_STRIDED, FILL, GATHER_BLOCKS
from rt_engine.kernels.interface.normalise import LAYER_NORM, SOFTMAX
from rt_engine.kernels.interface.panels import HALF, MATRIX_PANEL, VECTOR, WINDOW_PANEL
from rt_engine.kernels.interface.picture import PICTURE, kept_of, pitch_of, room_numbers
from rt_engine.kernels.interface.pool import POOL
from rt_engine.kernels.interface.qadd import QADD
from rt_engine.kernels.interface.qconv import QCONV
from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.kernels.interface.qgemm import QGEMM
from rt_engine.kernels.interface.qpool import QMAX_POOL
from rt_engine.kernels.interface.qshift import QSHIFT
from rt_engine.kernels.interface.quantise import QUANTISE
from rt_engine.kernels.interface.qwinograd import PATCH, QWINOGRAD, room_bytes
from rt_engine.kernels.interface.reduce import ARG, REDUCE
from rt_engine.kernels.interface.taps import TAPS
from rt_engine.kernels.interface.trees import TREES
from rt_engine.kernels.interface.winograd import WINOGRAD_IN, WINOGRAD_OUT

TALL = 24
"""Rows that are whole tiles on every machine, as `rt_engine.tune.alternatives` has them."""
FLAT = 64
"""Elements that are whole vectors and whole cache lines, whatever their type."""
WEIGHTS = 8
"""So many bytes of weights are read in the time in which one comes that another core has made."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One way to cut a record."""

    size: str
    """The size that counts what is cut."""
    moves: Mapping[str, int]
    """Operand -> bytes, or another size -> how much it grows, from one of them to the next."""
    unit: int = 1
    """Pieces begin at multiples of it."""
    tile: int = 1
    """Of long pieces, at multiples of this too, where a kernel is quicker."""
    least: int = 1
    """The smallest piece."""
    again: int = 0
    """Bytes that every piece reads, whatever its size."""
    each: Mapping[str, int] | None = None
    """Operand -> bytes that one of them touches, if that is not how far it moves: such layers can be cut together (`run.strips`).
    None: it is not known."""

    @property
    def shared(self) -> float:
        """What it costs that every piece reads the same, in bytes: what another core has made travels, weights lie in caches."""
        return self.again / WEIGHTS if self.each is not None else float(self.again)


class Reading:
    """The fields of one record by name."""

    def __init__(self, fields: Fields, record: NDArray[Any]) -> None:
        self._fields, self._record = fields, record

    def __getattr__(self, name: str) -> Any:
        place = self._fields.places[name]
        value = self._record[place.kind][place.index]
        return float(value) if place.kind == "param" else int(value)


Axes = Callable[[Reading, int], list[Axis]]
"""Of a record, and the bytes of an element of its kernel."""


@dataclass(frozen=True, slots=True)
class Family:
    """Kernels whose records are alike."""

    fields: Fields
    item: int
    axes: Axes = field(repr=False)
    works_in: Callable[[Reading, int], dict[str, int]] | None = field(default=None, repr=False)
    """Operands that are memory to work in -> bytes: pieces that run at once need it for themselves."""


def _gemm(r: Reading, item: int) -> list[Axis]:
    lanes, deep = VECTOR // item, r.depth * item
    panel = lanes * (NARROW_MATRIX if r.panel == NARROW_MATRIX else MATRIX_PANEL)
    a = r.rows * deep * (r.batch if r.a_batch else 1)
    b = r.columns * deep * (r.batch if r.b_batch else 1)
    matrices = {"a": r.a_batch * item, "b": r.b_batch * item, "out": r.out_batch * item}
    found = [
        Axis("columns", {"b": deep, "bias": item, "out": item}, panel, MATRIX_PANEL * lanes, again=a),
        Axis("batch", matrices, least=1 if r.rows > 1 else 2, again=a if r.a_batch < r.a_row else 0),
    ]
    if r.rows > 1:  # one row alone is written in whole vectors
        is_apart = r.batch == 1 and r.depth <= r.a_row and r.columns <= r.out_row
        each = {"a": deep, "out": r.columns * item} if is_apart else None
        found.append(Axis("rows", {"a": r.a_row * item, "out": r.out_row * item}, 6, TALL, 2, again=b, each=each))
    return found


def _pack(r: Reading, item: int) -> list[Axis]:
    return [Axis("batch", {"b": r.b_batch * item, "packed": r.packed_batch * item})]


def _images(r: Reading, item: int) -> Axis:
    image = r.out_pixels * r.out_channels * item
    return Axis("images", {"x": r.x_pixels * r.x_channels * item, "out": image, "addend": image})


def is_over(r: Reading, x: int, out: int) -> bool:
    """Does the output, of `out` bytes, lie where the input was, of `x` bytes? Then it is one pixel after the other."""
    return bool(r.x % 2 == 0 and r.x < r.out + out and r.out < r.x + x)


def _conv(r: Reading, item: int) -> list[Axis]:
    out = r.images * r.out_pixels * r.out_channels * item
    if is_over(r, r.images * r.x_pixels * r.x_channels * item, out):
        return []
    row, half = r.out_channels * item, HALF // item
    w = r.groups * r.columns * r.taps * r.run * item
    panel = half * (NARROW_WINDOW if r.panel == NARROW_WINDOW else WINDOW_PANEL)
    found = [_images(r, item)]
    if r.groups == 1:
        moves = {"w": r.taps * r.run * item, "bias": item, "out": item, "addend": item}
        found.append(Axis("columns", moves, panel, WINDOW_PANEL * half, again=r.x_pixels * r.x_channels * item))
    elif r.images == 1 and not r.zeros:  # of zeros the place is counted from x
        halves = -(-r.columns // half)
        step = {"x": r.run * item, "out": r.columns * item, "addend": r.columns * item}
        step |= {"w": r.taps * r.run * HALF * halves, "bias": HALF * halves}
        found.append(Axis("groups", step, again=r.x_pixels * r.x_channels * item))
    if r.images == 1:
        moves, each = {"table": 4 * r.taps, "out": row, "addend": row}, {"x": max(r.run, r.x_channels) * item}
        found.append(Axis("out_pixels", moves, 6, TALL, again=w, each=each))
    return found


def _picture(r: Reading, item: int) -> list[Axis]:
    return [Axis("lines", {"top": r.step, "out": r.pixels * r.columns * item}, again=r.depth * r.columns * item)]


def _picture_room(r: Reading, item: int) -> dict[str, int]:
    pitch = pitch_of(r.width, r.pixels)
    return {"room": room_numbers(r.channels, kept_of(r.window, r.step), r.columns, pitch) * item}


def _pixels(r: Reading, item: int, more: Mapping[str, int]) -> list[Axis]:
    """Images, or the output pixels of one; `more` moves."""
    if r.images > 1:
        return [_images(r, item)]
    row = r.out_channels * item
    moves, each = {"table": 4 * r.taps, "out": row, "addend": row, **more}, {"x": r.x_channels * item}
    return [Axis("out_pixels", moves, 4, TALL, each=each)]


def _dot(r: Reading, item: int) -> list[Axis]:
    return _pixels(r, item, {})


def _depthwise(r: Reading, item: int) -> list[Axis]:
    return _pixels(r, item, {"begun": 1} if r.line else {})


def _map(r: Reading, item: int) -> list[Axis]:
    return [Axis("n", {"x": item, "out": item}, FLAT, each={})]


def _broadcast(to: int = 0, x: int = 0) -> Axes:
    """`to`, `x`: bytes of an element of the output and of x, where they are not the kernel's."""

    def axes(r: Reading, item: int) -> list[Axis]:
        items = {"x": x or item, "y": item, "z": item}
        if r.rows == 1:
            return [
                Axis(
                    "n",
                    {name: getattr(r, f"{name}_inner") * n for name, n in items.items()} | {"out": to or item},
                    FLAT,
                    each={},
                )
            ]
        moves = {name: getattr(r, f"{name}_row") * n for name, n in items.items()}
        each = {name: (r.n if getattr(r, f"{name}_inner") else 1) * n for name, n in items.items()}
        return [
            Axis("rows", moves | {"out": r.n * (to or item)}, least=2, each=each)
        ]  # one row alone is written in whole vectors

    return axes


def _pool(r: Reading, item: int) -> list[Axis]:
    row, out = r.channels * item, r.pixels * r.channels
    if r.images > 1:
        return [Axis("images", {"x": r.in_pixels * row, "out": out * item})]
    return [Axis("pixels", {"table": 4 * r.taps, "counts": item, "out": row}, each={"x": row})]


def _rows(*names: str) -> Axes:
    return lambda r, item: [Axis("rows", dict.fromkeys(names, r.n * item), each={})]


def _layer_norm(r: Reading, item: int) -> list[Axis]:
    each = DType(r.statistics).nbytes if r.statistics else item
    return [Axis("rows", {"x": r.n * item, "out": r.n * item, "mean": each, "deviation": each}, each={})]


def _group_norm(r: Reading, item: int) -> list[Axis]:
    group = r.channels * r.elements * item
    if r.n == r.groups:  # of one item: scale and bias go along
        return [Axis("n", {"x": group, "out": group, "scale": r.channels * item, "bias": r.channels * item})]
    return [Axis("n", {"x": group, "out": group}, r.groups)]


def _trees(r: Reading, item: int) -> list[Axis]:
    return [Axis("rows", {"x": r.features * item, "out": r.targets * item})]


def _keys(r: Reading, item: int) -> dict[str, int]:
    """Keys of the features, a zero, and chains of whole vectors behind the next line."""
    return {"keys": (r.features * r.copies + 1 + r.targets) * item + 2 * VECTOR}


def _summed(mode: int) -> int:
    """Bytes of an element that integer kernels write."""
    return 1 if mode == QUANTISED else 4


def _qgemm(r: Reading, item: int) -> list[Axis]:
    out, deep = _summed(r.mode), -(-r.depth // 4) * 4
    columns = {"b": deep, "bias": 4, "scale": 4, "out": out}
    is_apart = r.depth <= r.a_row and r.columns <= r.out_row
    each = {"a": r.depth, "out": r.columns * out} if is_apart else None
    return [
        Axis("columns", columns, MATRIX_PANEL * 16, again=r.rows * r.depth),
        Axis("rows", {"a": r.a_row, "out": r.out_row * out}, 6, TALL, again=r.columns * deep, each=each),
    ]


def _qconv(r: Reading, item: int) -> list[Axis]:
    columns = {"w": r.depth, "bias": 4, "scale": 4, "out_first": 1}
    item = _summed(r.mode)
    each = {"x": 4, "out": (r.out_first + r.columns) * item}
    found = _windows(r, r.channels * item, r.depth * r.columns, each)
    return [*found, Axis("columns", columns, MATRIX_PANEL * 16, again=r.x_image)]


def _windows(r: Reading, row: int, w: int, each: Mapping[str, int]) -> list[Axis]:
    """Integer kernels that read windows of images; a pixel of the output has `row` bytes, the weights `w`. `each`: what a tap reads,
    what a pixel writes."""
    out = r.pixels * row
    found = [Axis("images", {"x": r.x_image, "out": out})]
    if r.images == 1 and r.offsets and not is_over(r, r.x_image, out):
        found.append(Axis("pixels", {"table": 4, "offsets": -4, "out": row}, 6, TALL, again=w, each=each))
    return found


def _qdepthwise(r: Reading, item: int) -> list[Axis]:
    """Lines that lie are cut between two, upright ones across: along rows of the image, as the layers around are."""
    item, count = (4 if r.sums else 1), max(r.count, 1)
    line, step, pixel = (int(r.out_line) or r.channels) * item, r.out_step * item, r.channels * item
    out, again = r.pixels * count * pixel, 4 * r.quads * r.channels
    reads = r.channels * (2 if r.chunk else 1)
    if r.images > 1 or not r.offsets or is_over(r, r.x_image, out):
        return [Axis("images", {"x": r.x_image, "out": out})]
    if line < step or r.pixels == 1:
        each = {"x": reads, "out": (r.pixels - 1) * line + pixel}
        return [Axis("count", {"x": r.x_step, "out": step}, again=again, each=each)]
    each = {"x": reads, "out": (count - 1) * step + pixel}
    return [Axis("pixels", {"table": 4, "offsets": -4, "out": line}, again=again, each=each)]


def _qmax_pool(r: Reading, item: int) -> list[Axis]:
    return _windows(r, r.channels, 0, {"x": r.channels, "out": r.channels})


def _qshift(r: Reading, item: int) -> list[Axis]:
    return [Axis("rows", {"total": 4 * r.columns, "each": 4, "out": r.columns * _summed(r.mode)}, each={})]


def _qadd(r: Reading, item: int) -> list[Axis]:
    return [Axis("n", {"a": 1, "b": 1, "out": 1}, FLAT, each={})]


def _quantise(r: Reading, item: int) -> list[Axis]:
    if r.rows == 1:
        each = 4 * r.scale_inner
        return [Axis("n", {"x": 4, "scale": each, "zero": each, "out": r.nbytes}, FLAT, each={})]
    row = 4 * r.scale_row
    return [Axis("rows", {"x": 4 * r.n, "scale": row, "zero": row, "out": r.n * r.nbytes}, each={})]


def _reduced(to: int = 0) -> Axes:
    """`to`: bytes of an element of the output, where they are not the kernel's."""
    return lambda r, item: [Axis("outer", {"x": r.count * r.inner * item, "out": r.inner * (to or item)})]


def _taps(r: Reading, item: int) -> list[Axis]:
    return [Axis("outer", {"x": r.n * r.inner * item, "out": r.m * r.inner * item})]


def _cast(r: Reading, item: int) -> list[Axis]:
    return [Axis("n", {"x": DType(r.x_type).nbytes, "out": DType(r.out_type).nbytes}, FLAT, each={})]


def _looked_up(to: int, x: int = 1) -> Axes:
    return lambda r, item: [Axis("n", {"x": x, "out": to}, FLAT, each={})]


def _attention(r: Reading, item: int) -> list[Axis]:
    return [Axis("count", {"first": 1})] if r.count else []


def _copy_strided(r: Reading, item: int) -> list[Axis]:
    return [Axis("outer", {"begin": 1}, tile=8, each={})] if r.outer else []


def _copy_blocks(r: Reading, item: int) -> list[Axis]:
    if r.count == 1:
        return [Axis("nbytes", {"x_first": 1, "out_first": 1}, FLAT, each={})]
    return [Axis("count", {"x_first": r.x_stride, "out_first": r.out_stride}, each={"x": r.nbytes, "out": r.nbytes})]


def _fill(r: Reading, item: int) -> list[Axis]:
    return [Axis("nbytes", {"out": 1}, FLAT)]


def _gather(r: Reading, item: int) -> list[Axis]:
    if r.outer == 1:
        return [Axis("count", {"index": 8, "out": r.nbytes})]
    return [Axis("outer", {"data": r.axis * r.nbytes, "out": r.count * r.nbytes})]


def _winograd(name: str, positions: int, results: int) -> dict[str, Family]:
    """The two transforms of a scheme, by tiles."""

    def forward(r: Reading, item: int) -> list[Axis]:
        return [Axis("tiles", {"v": positions * 4 * r.channels, "table": 4 * positions}, 6, TALL)]

    def backward(r: Reading, item: int) -> list[Axis]:
        return [Axis("tiles", {"m": positions * 4 * r.channels, "places": 4 * results}, 6, TALL)]

    return {f"{name}_in": Family(WINOGRAD_IN, 4, forward), f"{name}_out": Family(WINOGRAD_OUT, 4, backward)}


def _qwinograd(r: Reading, item: int) -> list[Axis]:
    return [Axis("tiles", {"first": 1}, 6, 12, again=2 * PATCH * r.channels * r.columns)]


_UNARY = [
    "abs",
    "ceil",
    "celu",
    "clip",
    "cos",
    "elu",
    "erf",
    "exp",
    "floor",
    "gelu",
    "gelu_tanh",
    "hardsigmoid",
    "hardswish",
    "leakyrelu",
    "log",
    "mish",
    "neg",
    "reciprocal",
    "relu",
    "round",
    "selu",
    "sigmoid",
    "sign",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "swish",
    "tanh",
]
_BINARY = ["add", "sub", "mul", "div", "pow", "min", "max", "prelu", "fmod", "mod", "scale_shift"]
_COMPARE = ["equal", "less", "less_or_equal", "greater", "greater_or_equal"]
_REDUCE = ["sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp"]


def _floats(suffix: str, item: int) -> dict[str, Family]:
    """The kernels that there are for each type of float."""
    one: dict[str, tuple[Fields, Axes]] = {
        **dict.fromkeys(_UNARY, (MAP, _map)),
        **dict.fromkeys(_BINARY, (BROADCAST, _broadcast())),
        **dict.fromkeys(_COMPARE, (BROADCAST, _broadcast(to=1))),
        **{f"reduce_{name}": (REDUCE, _reduced()) for name in _REDUCE},
        **dict.fromkeys(("argmax", "argmin"), (ARG, _reduced(to=8))),
        **dict.fromkeys(("softmax", "log_softmax"), (SOFTMAX, _rows("x", "out"))),
        **{"depthwise": (DEPTHWISE, _depthwise), "dot": (CONV, _dot)},
        **{"gemm": (GEMM, _gemm), "pack": (PACK, _pack), "conv": (CONV, _conv), "pool": (POOL, _pool)},
        **{"layer_norm": (LAYER_NORM, _layer_norm), "group_norm": (GROUP_NORM, _group_norm), "taps": (TAPS, _taps)},
    }
    return {f"{name}_{suffix}": Family(fields, item, axes) for name, (fields, axes) in one.items()}


FAMILIES: dict[str, Family] = {
    **_floats("f32", 4),
    **_floats("f64", 8),
    **{f"where_{item}": Family(BROADCAST, item, _broadcast(x=1)) for item in (1, 2, 4, 8)},
    **_winograd("winograd", 16, 4),
    **_winograd("winograd_line", 6, 4),
    **_winograd("winograd_four", 36, 16),
    **{
        f"trees_{suffix}": Family(TREES, item, _trees, _keys)
        for suffix, item in (("flat", 4), ("f32", 4), ("f32_big", 4), ("f64", 8))
    },
    "picture_f32": Family(PICTURE, 4, _picture, _picture_room),
    "qgemm": Family(QGEMM, 1, _qgemm),
    "qconv": Family(QCONV, 1, _qconv),
    "qdepthwise": Family(QDEPTHWISE, 1, _qdepthwise),
    "qwinograd": Family(QWINOGRAD, 1, _qwinograd, lambda r, item: {"room": room_bytes(r.block, r.channels, r.columns)}),
    "qmax_pool": Family(QMAX_POOL, 1, _qmax_pool),
    "qshift": Family(QSHIFT, 4, _qshift),
    "qadd": Family(QADD, 1, _qadd),
    "quantise": Family(QUANTISE, 4, _quantise),
    "cast": Family(CAST, 1, _cast),
    "lookup_1": Family(LOOKUP_BYTES, 1, _looked_up(1)),
    "lookup_4": Family(LOOKUP_BYTES, 1, _looked_up(4)),
    "encode": Family(ENCODE, 4, _looked_up(1, 4)),
    **{f"copy_strided_{item}": Family(COPY_STRIDED, item, _copy_strided) for item in (1, 2, 4, 8)},
    "attention_f32": Family(ATTENTION, 4, _attention),
    "fill": Family(FILL, 1, _fill),
    "copy_blocks": Family(COPY_BLOCKS, 1, _copy_blocks),
    "gather_blocks": Family(GATHER_BLOCKS, 1, _gather),
}
"""Kernel -> how its records can be cut."""
