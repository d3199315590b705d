"""A convolution of a picture, channels first, to few output channels, in steps of two pixels: the first layer of small networks.

    x [1, C, H, W], w [taps, taps, C, M] --`kernels.picture`--> y [1, lines, pixels, M]

No operator of its own. Sums are those of `ops.convolve`, in the same order: the same bits.
"""

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.panels import HALF
from rt_engine.kernels.interface.picture import EDGE, PICTURE, kept_of, pitch_of, room_numbers
from rt_engine.ops.builder import Builder
from rt_engine.ops.linear import packed_columns
from rt_engine.ops.window import Window
from rt_engine.program.calls import Buffer

MOST_CHANNELS = 4
"""Of a picture."""
USED = 0.75
"""Share of the vectors of a line that its pixels fill."""
MOST_ROOM = 1 << 20
"""Numbers of its room: windows or steps of very many lines would ask for any memory."""
_ELEMENT = np.dtype(np.float32).itemsize


def picture_pays(x: Buffer, w: NDArray[np.float32], window: Window) -> bool:
    """Does it pay for x [N, C, ...] and w [taps..., C, M]? M fills half a vector then, which would leave the other half empty."""
    if x.dtype != np.float32 or len(window.size) != 2 or x.shape[0] > 1 or x.shape[1] > MOST_CHANNELS:
        return False
    moves = window.strides[1] == 2 and window.dilations == (1, 1) and 0 <= window.begin[1] < EDGE
    full = window.out[1] >= USED * packed_columns(window.out[1], x.dtype)
    small = window.kernel[1] <= EDGE and _room(x, w.shape[-1], window) <= MOST_ROOM
    return moves and full and small and w.shape[-1] == HALF // _ELEMENT


def _room(x: Buffer, columns: int, window: Window) -> int:
    kept, pitch = kept_of(window.kernel[0], window.strides[0]), pitch_of(window.size[1], window.out[1])
    return room_numbers(x.shape[1], kept, columns, pitch)


def picture(
    build: Builder, x: Buffer, y: Buffer, w: NDArray[np.float32], bias: NDArray[np.float32], window: Window,
    limits: tuple[float, float],
) -> None:  # fmt: skip
    """y = clip(conv(x, w) + bias), where `picture_pays`."""
    (_, channels, height, width), columns = x.shape, y.shape[-1]
    lines, pixels = window.out
    tall, wide = window.kernel
    step, depth = window.strides[0], tall * wide * channels
    room = build.temporary(x.dtype, (_room(x, columns, window),))
    record = PICTURE(
        x=x, w=build.constant(w.reshape(-1, columns)), bias=build.constant(bias), room=room, out=y,
        table=build.constant(table_of(window, channels)), channels=channels, height=height, width=width,
        window=tall, depth=depth, lines=lines, pixels=pixels, columns=columns, top=-window.begin[0],
        step=step, low=limits[0], high=limits[1],
    )  # fmt: skip
    build.call("picture_f32", record, macs=lines * pixels * depth * columns)


def table_of(window: Window, channels: int) -> NDArray[np.int32]:
    """Where in its room the kernel finds each tap and channel, for each place in the ring where a window begins; byte offsets.

    No more rows than lines: a window of very many lines begins at few of their places.
    """
    (tall, wide), step, (lines, _) = window.kernel, window.strides[0], window.out
    pitch, kept = pitch_of(window.size[1], window.out[1]), kept_of(tall, step)
    shift, odd = np.divmod(np.arange(wide) - window.begin[1], 2)
    places = np.arange(0, min(kept, lines * step), step)
    planes = ((np.arange(tall) + places[:, None]) % kept)[..., None, None] * channels + np.arange(channels)
    table = (2 * planes + odd[:, None]) * pitch + EDGE + shift[:, None]
    return (table * _ELEMENT).astype(np.int32).reshape(-1)
