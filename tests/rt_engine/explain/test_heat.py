"""Tensors as sheets, sheets as pictures."""

import struct
import zlib

import numpy as np
import pytest

from rt_engine.explain.heat import MOST_COLUMNS, MOST_ROWS, png, sheet


@pytest.mark.parametrize(
    "shape", [(), (5,), (1, 100), (3, 4), (2, 3, 4), (1, 7, 5, 6), (1, 64, 20, 20), (5000,), (0, 3)]
)
def test_every_element_is_in_some_cell(shape):
    """The greatest is always seen; sheets have a limit."""
    values = np.zeros(shape, np.float32)
    if values.size:
        values.ravel()[values.size // 2] = -9
    found = sheet(values)
    assert found.cells.shape[0] <= MOST_ROWS and found.cells.shape[1] <= MOST_COLUMNS
    assert found.elements == values.size
    if values.size:
        assert np.nanmin(found.cells) == -9
    if found.is_whole:
        assert np.isfinite(found.cells).sum() == values.size


def test_tiles_are_channels_side_by_side():
    """[2, 2, 3]: two tiles in a row."""
    found = sheet(np.arange(12).reshape(1, 2, 2, 3))
    np.testing.assert_array_equal(found.cells, [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]])


def decoded(data: bytes) -> np.ndarray:
    """[rows, columns, RGBA] of a PNG with a palette and without filters; every checksum is looked at."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + body),)
        found[kind], at = body, at + 12 + size
    columns, rows, bits, colour = struct.unpack(">IIBB", found[b"IHDR"][:10])
    assert (bits, colour) == (8, 3)
    lines = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(rows, columns + 1)
    assert (lines[:, 0] == 0).all()
    palette = np.frombuffer(found[b"PLTE"], np.uint8).reshape(-1, 3)
    colours = np.column_stack([palette, np.frombuffer(found[b"tRNS"], np.uint8)])
    return colours[lines[:, 1:]]


def test_a_picture_is_a_png_with_a_colour_for_each_sign():
    """Read as the PNG specification says."""
    cells = np.array([[-1.0, 0.0, 1.0], [np.nan, np.inf, 0.5]])
    pixels = decoded(png(cells))
    assert pixels.shape == (2, 3, 4)
    (blue, white, red), (nothing, magenta, pale) = pixels.tolist()
    assert blue[2] > blue[0] and red[0] > red[2]
    assert min(white[:3]) > 240
    assert nothing[3] == 0 and magenta[:3] == [255, 0, 255]
    assert red[1] < pale[1] < white[1]
