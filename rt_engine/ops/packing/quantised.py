"""Arithmetic of quantised tensors that is done when a model is loaded: packing, zero points, scales.

    real = scale * (q - zero point)

    sum over k of (x - zx) * w  =  [sum of x * w]  -  zx * [sum of w]            the kernel     the bias

Weights are signed numbers without a zero point of their own: it is subtracted here; what does not fit a byte is several rows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.panels import MATRIX_PANEL

LANES = 16


def padded(values: NDArray[Any], columns: int | None = None) -> NDArray[Any]:
    """A row with zeros up to whole vectors of 16; one number is first repeated `columns` times."""
    row = np.broadcast_to(values.reshape(-1), columns or values.size)
    out = np.zeros(-(-row.size // LANES) * LANES, values.dtype)
    out[: row.size] = row
    return out


def quads_of(w: NDArray[Any]) -> NDArray[Any]:
    """[k, n] -> [k / 4, 4, n], zeros behind the end."""
    k, n = w.shape
    whole = np.zeros((-(-k // 4) * 4, n), w.dtype)
    whole[:k] = w
    return whole.reshape(-1, 4, n)


def pack_bytes(w: NDArray[np.int8]) -> NDArray[np.int8]:
    """[k, n] as `kernels.qgemm` reads it."""
    return pack_quads(quads_of(w))


def pack_quads(quads: NDArray[np.int8]) -> NDArray[np.int8]:
    """[k / 4, 4, n] -> panels of up to 4 vectors of 16 columns, four k of a column side by side (see `parts.qtile`)."""
    count, _, n = quads.shape
    columns = -(-n // LANES) * LANES
    whole = np.zeros((count, 4, columns), np.int8)
    whole[..., :n] = quads
    by_quad = whole.transpose(0, 2, 1)
    step = MATRIX_PANEL * LANES
    parts = [by_quad[:, p : p + step].ravel() for p in range(0, columns, step)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int8)


def split_quads(quads: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Weights beyond a signed byte as several: (which quad of `quads` each is a part of, parts [more quads, 4, n])."""
    wide, which = quads.astype(np.int16), np.arange(len(quads), dtype=np.int64)
    found = [(which, np.clip(wide, -128, 127).astype(np.int8))]
    rest = wide - found[0][1]
    while rest.any():
        which = np.flatnonzero(rest.any((1, 2)))
        part = np.clip(rest[which], -128, 127).astype(np.int8)
        rest[which] -= part
        found.append((which, part))
    return np.concatenate([w for w, _ in found]), np.concatenate([p for _, p in found])


def signed_weights(w: NDArray[Any], zero: NDArray[Any] | None) -> NDArray[Any]:
    """Weights, bytes, less their zero point: int8, or int16 where they do not fit. `zero` broadcasts to `w`."""
    wide = w.astype(np.int16) - (np.int16(0) if zero is None else zero.astype(np.int16))
    fits = wide.size == 0 or (wide.min() >= -128 and wide.max() <= 127)
    return wide.astype(np.int8) if fits else wide


def bias_with_zero_point(bias: NDArray[Any] | None, w: NDArray[Any], zero: int) -> NDArray[np.int32]:
    """[n]: bias - zero * column sums of w [k, n], wrapping around like the kernel's sums."""
    sums = w.astype(np.int64).sum(0)
    total = (0 if bias is None else bias.astype(np.int64).reshape(-1)) - zero * sums
    wrapped: NDArray[np.int32] = (total & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return wrapped


def multiplier(x_scale: Any, w_scale: Any, y_scale: Any) -> NDArray[np.float32]:
    """s_x * s_w / s_y in float32, in this order: as ONNX's reference and ONNX Runtime do."""
    x, w, y = (np.asarray(s, np.float32) for s in (x_scale, w_scale, y_scale))
    return np.asarray(x * w / y, np.float32).reshape(-1)


def blocks(channels: int) -> list[int]:
    """Groups of 16 channels in each block of a depthwise convolution: 4, then 2 and 1 for what is left."""
    left, found = -(-channels // LANES), []
    while left > 0:
        found.append(4 if left >= 4 else 2 if left >= 2 else 1)
        left -= found[-1]
    return found


def by_blocks(rows: NDArray[Any]) -> NDArray[Any]:
    """[..., channels, t] -> flat, as `kernels.qdepthwise` reads it: [block][...][j][16 channels each: 4 of them][t]."""
    channels, last = rows.shape[-2:]
    lead = rows.shape[:-2]
    found, first = [], 0
    for groups in blocks(channels):
        part = rows[..., first : first + LANES * groups, :]
        whole = np.zeros((*lead, LANES * groups, last), rows.dtype)
        whole[..., : part.shape[-2], :] = part
        turned = np.moveaxis(whole.reshape(*lead, groups, 4, 4, last), -4, -3)  # [..., j, group, 4 channels, t]
        found.append(np.ascontiguousarray(turned).ravel())
        first += LANES * groups
    return np.concatenate(found)
