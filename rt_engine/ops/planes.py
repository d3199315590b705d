"""A transposed convolution to few channels, channels first, with constant weights. No operator of its own.

    x [N, C, sizes] --zeros around--> planes, each one long line --`kernels.planes`--> [N, phases * M, line] --> y [N, M, out]

The phases are channels of one plain convolution (`ops.phases`). Between the lines of a picture a few pixels are computed that nobody
reads. Channels are summed within taps, as in a convolution channels last: the same bits.
"""

from collections.abc import Sequence
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.panels import VECTOR
from rt_engine.kernels.interface.planes import PLANES
from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.builder import Builder
from rt_engine.ops.pad import padded_constant
from rt_engine.ops.phases import Geometry, PhaseAxis, phase_weights
from rt_engine.ops.spread import Phases, put_phases
from rt_engine.program.calls import Buffer, Kind

MOST_COLUMNS = 16
"""Phases times channels that are few: they would leave a part of each vector empty, or just fill one."""
FEWEST_PIXELS = 64
"""Pixels of a plane from which on its vectors are full."""
USED = 0.75
"""Share of the taps of all phases that are no zeros: else phases are computed apart."""


def planes_pay(shape: Sequence[int], w: NDArray[Any], at: Geometry, axes: Sequence[PhaseAxis], group: int) -> bool:
    """Does it pay for x of this shape, and w [C, M, kernel...]?"""
    phases, taps = prod(a.stride for a in axes), prod(a.taps for a in axes)
    few = group == 1 and w.dtype == np.float32 and phases * w.shape[1] <= MOST_COLUMNS
    full = phases > 1 and prod(at.block) >= USED * phases * taps and all(a.begin >= 0 for a in axes)
    if not few or not full or prod(shape[2:]) < FEWEST_PIXELS:
        return False
    plane = prod(_padded(shape[2:], axes))
    return shape[1] * plane * w.dtype.itemsize < np.iinfo(np.int32).max


def _padded(sizes: Sequence[int], axes: Sequence[PhaseAxis]) -> list[int]:
    """Sizes of a picture with the zeros that its windows read."""
    return [max(a.begin + size, a.out + a.taps - 1) for a, size in zip(axes, sizes, strict=True)]


def planes(
    build: Builder, x: Buffer, w: NDArray[Any], bias: NDArray[Any] | None, y: Buffer, at: Geometry,
    axes: Sequence[PhaseAxis],
) -> None:  # fmt: skip
    """y = the transposed convolution of x with w [C, M, kernel...], where `planes_pay`."""
    (images, channels), sizes, outputs = x.shape[:2], _padded(x.shape[2:], axes), w.shape[1]
    strides, taps = [a.stride for a in axes], [a.taps for a in axes]
    if sizes != list(x.shape[2:]) or x.storage.kind is Kind.CONSTANT:
        whole = build.temporary(x.dtype, (images, channels, *sizes))
        padded_constant(build, x, whole, [0, 0, *(a.begin for a in axes)], None)
        x = whole
    x.storage.nbytes = max(x.storage.nbytes, x.nbytes + VECTOR)
    lines, columns = contiguous(sizes), prod(strides) * outputs
    pixels = sum((a.out - 1) * line for a, line in zip(axes, lines, strict=True)) + 1
    packed = phase_weights(w, at, list(axes), 1).reshape(-1, columns)
    row = np.zeros(outputs, w.dtype) if bias is None else bias
    shifts = sum(np.ix_(*(np.arange(t) * line for t, line in zip(taps, lines, strict=True))), np.int64(0)).reshape(
        -1, 1
    )
    table = (shifts + np.arange(channels) * prod(sizes)) * x.dtype.itemsize
    made = build.temporary(x.dtype, (images, columns, pixels))
    record = PLANES(
        x=x, w=build.constant(packed), bias=build.constant(np.tile(row, prod(strides))),
        table=build.constant(table.astype(np.int32).reshape(-1)), out=made, images=images, x_image=channels * prod(sizes),
        depth=table.size, columns=columns, pixels=pixels, low=-inf, high=inf,
    )  # fmt: skip
    build.call("planes_f32", record, macs=images * pixels * table.size * columns)
    apart, side = contiguous((*strides, outputs)), contiguous(y.shape)
    spread = [
        Phases(y.shape[2 + i], a.stride, a.first, lines[i], apart[i] * pixels, side[2 + i]) for i, a in enumerate(axes)
    ]
    put_phases(build, made, y, [(images, columns * pixels, side[0]), (outputs, pixels, side[1])], spread, [])
