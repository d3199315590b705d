"""About how long a record takes, from its sizes alone: is it worth cutting? Nothing is measured at load (docs/adr/0036). Pure."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from rt_engine.kernels.interface.attention import ATTENTION
from rt_engine.kernels.interface.conv import CONV, DEPTHWISE
from rt_engine.kernels.interface.gemm import GEMM
from rt_engine.kernels.interface.movement import COPY_STRIDED
from rt_engine.kernels.interface.picture import PICTURE
from rt_engine.kernels.interface.pool import POOL
from rt_engine.kernels.interface.qconv import QCONV
from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.kernels.interface.qgemm import QGEMM
from rt_engine.kernels.interface.qwinograd import PATCH, QWINOGRAD
from rt_engine.kernels.interface.trees import TREES
from rt_engine.run.axes import FAMILIES, Axis, Reading
from rt_native.target import Target

FAST, SLOW = 40.0, 10.0
"""Multiply-accumulates in a nanosecond, of tiles and of channel by channel, on a fast core. A slower one has more to gain."""
SLOW_BYTES = 25.0
"""Of bytes, channel by channel."""
BYTES = 40.0
"""Bytes in a nanosecond, of what is only read and written, in the second-level cache."""

GROUP = 40.0
"""Nanoseconds of eight trees, of six levels."""

_WORK: dict[str, Callable[[Reading], float]] = {
    GEMM.name: lambda r: r.batch * r.rows * r.depth * r.columns / FAST,
    ATTENTION.name: lambda r: r.count * r.each / FAST,
    COPY_STRIDED.name: lambda r: 2 * r.outer * r.each / BYTES,
    CONV.name: lambda r: r.images * r.out_pixels * r.taps * r.run * r.columns * r.groups / FAST,
    PICTURE.name: lambda r: r.lines * r.pixels * r.depth * r.columns / FAST,
    DEPTHWISE.name: lambda r: r.images * r.out_pixels * r.taps * r.x_channels / SLOW,
    POOL.name: lambda r: r.images * r.pixels * r.taps * r.channels / SLOW,
    QGEMM.name: lambda r: r.rows * r.depth * r.columns / FAST,
    QCONV.name: lambda r: r.images * r.pixels * r.depth * r.columns / FAST,
    QWINOGRAD.name: lambda r: 2 * PATCH * r.tiles * r.channels * r.columns / FAST,
    TREES.name: lambda r: r.rows * r.count * GROUP,
    QDEPTHWISE.name: lambda r: r.images * r.pixels * max(r.count, 1) * r.quads * 4 * r.channels / SLOW_BYTES,
}
_OF_BYTES = frozenset(fields.name for fields in (QGEMM, QCONV, QWINOGRAD, QDEPTHWISE))


def pace_of_bytes(target: Target) -> float:
    """How much quicker than floats a machine sums products of bytes."""
    has_dots = bool({"+avx512vnni", "+avxvnni"} & set(target.features.split(",")))
    return target.lanes / 4 if has_dots else 1.0


def about_ns(kernel: str, record: NDArray[Any], bytes_pace: float = 1.0) -> float:
    """Nanoseconds, within a factor of a few; 0 for a kernel whose records cannot be cut. `bytes_pace`: see `pace_of_bytes`."""
    family = FAMILIES.get(kernel)
    if family is None:
        return 0.0
    values, work = Reading(family.fields, record), 0.0
    if family.fields.name in _WORK:
        work = _WORK[family.fields.name](values) / (bytes_pace if family.fields.name in _OF_BYTES else 1.0)
    return max([work, *(_touched(values, axis) / BYTES for axis in family.axes(values, family.item))])


def _touched(values: Reading, axis: Axis) -> float:
    """Bytes that the pieces read and write all together, each of them once."""
    return float(getattr(values, axis.size) * sum(abs(move) for move in axis.moves.values()) + axis.again)
