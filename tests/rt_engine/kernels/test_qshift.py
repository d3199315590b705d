"""Sums put right after their weights were shifted, against NumPy's int64, on every lane width."""

import ctypes
import mmap

import numpy as np
import pytest

from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.kernels.interface.modes import Mode
from rt_engine.kernels.interface.record import RECORD
from rt_engine.ops.packing.quantised import padded
from rt_native.memory import Block
from tests.rt_engine.kernels.calling import call, libraries

LIBRARIES = libraries("test-qshift", "rt_engine.kernels.qshift")


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: f"{lib.target.lanes} lanes")
@pytest.mark.parametrize("shape", [(1, 1), (3, 16), (5, 37), (2, 64)])
def test_every_mode_is_exact(library, shape):
    """Total plus row times column, then what the mode makes of it; nothing is written behind the end."""
    rng, (rows, columns) = np.random.default_rng(shape[1]), shape
    total = rng.integers(-(1 << 20), 1 << 20, shape).astype(np.int32)
    each, shift = (
        rng.integers(-(1 << 14), 1 << 14, rows).astype(np.int32),
        rng.integers(-128, 128, columns).astype(np.int32),
    )
    scale = rng.uniform(1e-5, 1e-4, columns).astype(np.float32)
    right = total + each.astype(np.int64)[:, None] * shift
    operands = [total, each, padded(shift), padded(scale)]
    for mode, dtype in ((Mode.RAW, np.int32), (Mode.REAL, np.float32), (Mode.QUANTISED, np.uint8)):
        limits = (-5, 240) if mode is Mode.QUANTISED else (-3, 7)
        zero = 5 if mode is Mode.QUANTISED else 0
        got = call(library, "qshift", [*operands, np.zeros(shape, dtype)], (rows, columns, mode, zero), limits)[4]
        real = np.clip(right.astype(np.float32) * scale, *limits)
        expected = {Mode.RAW: right, Mode.REAL: real, Mode.QUANTISED: np.rint(real) + zero}[mode]
        np.testing.assert_array_equal(got, expected.astype(dtype))


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: f"{lib.target.lanes} lanes")
def test_nothing_behind_the_sums_is_read(library):
    """They may end the arena: here no page follows it, so a read there would end this process."""
    page, line = mmap.PAGESIZE, 64
    memory = mmap.mmap(-1, 2 * page)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(begin + page), page, 0) == 0
    rows, columns, arena = 5, 3, begin + page - 2 * line
    weights, record = Block(8 * line), Block(RECORD.itemsize)
    ctypes.c_int64.from_address(arena).value = weights.address
    total = np.arange(rows * columns, dtype=np.int32)
    ctypes.memmove(arena + line, total.ctypes.data, total.nbytes)
    row = record.view(RECORD)[0]
    row["operand"][:5] = line, 1, line | 1, 2 * line | 1, 4 * line | 1
    row["size"][:4] = rows, columns, Mode.RAW, 0
    assert library.function(f"{KERNEL_PREFIX}qshift")(arena, record.address) == 0
    np.testing.assert_array_equal(weights.view(np.int32, 4 * line, rows * columns), total)
