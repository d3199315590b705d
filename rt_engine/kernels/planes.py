"""Convolutions to few channels, channels first: x [image, channel, pixel] -> out [image, channel, pixel].

    planes_f32     what is in its record: `interface.planes`

Vectors are of neighbouring pixels, so that few channels fill them too; some of them are done for all channels before the next
ones, as windows share what they read.
"""

from rt_engine.kernels.interface.planes import PLANES
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.plane_tile import make_plane_tiles
from rt_engine.kernels.parts.registers import TILES, of_six
from rt_engine.kernels.parts.scalars import to_f32
from rt_native.lang import inline
from rt_native.vector import f32x

_LANES, _ELEMENT = f32x.lanes, 4
_WIDEST = TILES.matrix
_tile = make_plane_tiles(f32x, [(rows, v) for rows in range(6, 0, -1) for v in (4, 2, 1) if v <= _WIDEST])


@inline
def _widest(left):
    """Vectors of the next tile, for so many pixels: none of them is behind all of these."""
    if _WIDEST == 4 and left > 3 * _LANES:
        return 4
    return 2 if _WIDEST >= 2 and left > _LANES else 1


@kernel("planes_f32", PLANES)
def planes(record):
    """See `interface.planes`."""
    depth, columns, pixels = record.depth, record.columns, record.pixels
    low, high = to_f32(record.low), to_f32(record.high)
    w_stride, out_stride = columns * _ELEMENT, pixels * _ELEMENT
    for image in range(record.images):
        x, out = record.x + image * record.x_image * _ELEMENT, record.out + image * columns * out_stride
        first = 0
        while first < pixels:
            vectors, at, row = _widest(pixels - first), first * _ELEMENT, 0
            while row < columns:
                rows, m = of_six(columns - row), row * _ELEMENT
                _tile(
                    rows, vectors, x + at, record.table, depth, record.w + m, w_stride, record.bias + m,
                    out + row * out_stride + at, out_stride, pixels - first, low, high,
                )  # fmt: skip
                row += rows
            first += vectors * _LANES
    return 0
