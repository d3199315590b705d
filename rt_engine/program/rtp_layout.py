"""The .rtp file as NumPy dtypes: header, section table, what sections are made of. docs/rtp.md says what each field means.

0     HEADER
64    ENTRY of each section, in the order of `Kind`
384   sections, each at a multiple of 64
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np

from rt_engine.kernels.interface.dtypes import CODE, NARROW, NUMPY, DType
from rt_engine.kernels.interface.record import RECORD
from rt_native.memory import align

MAGIC: Final = b"\x89RTP\r\n\x1a\n"
FORMAT: Final = 1
"""Version of the layout of the file."""
KERNEL_ABI: Final = 1
"""Version of what records, arena header and executor agree on. It changes with `RECORD`, `ARENA_HEADER` or the meaning of an operand.

What one kernel does has no number: its name is its version. A kernel that reads its record in another way, or gives other bits,
gets another name, and programs that need the old name are refused, by that name. `tests/rt_engine/program/golden_programs.py` notices.
"""
SUFFIX: Final = ".rtp"
CHECKED_FROM: Final = 16
"""The checksum is over everything from here on."""
MOST_BYTES: Final = 1 << 31
"""Of a file; no controller has more for one model."""
MOST_AXES: Final = 64

HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("format", "<u4"),
        ("checksum", "<u4"),
        ("file_bytes", "<u8"),
        ("kernel_abi", "<u4"),
        ("record_bytes", "<u4"),
        ("arena_bytes", "<u8"),
        ("inputs", "<u4"),
        ("outputs", "<u4"),
        ("states", "<u4"),
        ("sections", "<u4"),
        ("arena_bound", "<u4"),
        ("arena_bare_bound", "<u4"),
    ]
)
ENTRY = np.dtype([("kind", "<u4"), ("count", "<u4"), ("offset", "<u8"), ("bytes", "<u8")])
TEXT = np.dtype("<u4")
TENSOR = np.dtype(
    [
        ("name", TEXT),
        ("dtype", "<u4"),
        ("rank", "<u4"),
        ("axes", "<u4"),
        ("offset", "<u8"),
        ("bytes", "<u8"),
        ("initial", "<u8"),
    ]
)
NODE = np.dtype(
    [
        ("name", TEXT),
        ("operator", TEXT),
        ("output", TEXT),
        ("kernels", "<u4"),
        ("first_kernel", "<u4"),
        ("sources", "<u4"),
        ("first_source", "<u4"),
        ("spare", "<u4"),
        ("macs", "<u8"),
        ("weight_bytes", "<u8"),
        ("arena_bytes", "<u8"),
        ("spare2", "<u8"),
    ]
)
CLASSES = np.dtype([("output", TEXT), ("type", "<u4"), ("count", "<u4"), ("first", "<u4")])
NAMES, INTEGERS, CATEGORIES = 0, 1, 2
"""Types of a class list: names or integers that an output stands for; names that an input stands for."""


class Kind(IntEnum):
    """The sections, in the order of the file."""

    STRINGS = 0
    KERNELS = 1
    RECORDS = 2
    WEIGHTS = 3
    SHAPES = 4
    TENSORS = 5
    INITIAL = 6
    NODES = 7
    NUMBERS = 8
    RESULTS = 9
    ATTRIBUTES = 10
    CLASSES = 11
    NOTES = 12


ELEMENTS: dict[Kind, np.dtype[Any]] = {
    Kind.STRINGS: np.dtype(np.uint8),
    Kind.KERNELS: TEXT,
    Kind.RECORDS: RECORD,
    Kind.WEIGHTS: np.dtype(np.uint8),
    Kind.SHAPES: np.dtype("<i8"),
    Kind.TENSORS: TENSOR,
    Kind.INITIAL: np.dtype(np.uint8),
    Kind.NODES: NODE,
    Kind.NUMBERS: np.dtype("<u4"),
    Kind.RESULTS: TENSOR,
    Kind.ATTRIBUTES: np.dtype((TEXT, 2)),
    Kind.CLASSES: CLASSES,
    Kind.NOTES: TEXT,
}
"""Section -> its element."""

FIRST_SECTION: Final = align(HEADER.itemsize + len(ELEMENTS) * ENTRY.itemsize)

_BY_NAME = {DType.BFLOAT16.numpy: int(DType.BFLOAT16), **NARROW}
"""Types that NumPy has from `ml_dtypes` -> number."""


def dtype_code(dtype: np.dtype[Any]) -> int:
    """ONNX's number of a type."""
    return int(CODE[dtype]) if dtype in CODE else _BY_NAME[dtype.name]


def dtype_of(code: int) -> np.dtype[Any] | None:
    """The type of ONNX's number; None for a number that is none."""
    if code in NUMPY:
        return NUMPY[DType(code)]
    name = next((name for name, number in _BY_NAME.items() if number == code), None)
    if name is None:
        return None
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name)) if hasattr(ml_dtypes, name) else None
