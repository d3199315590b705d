"""Writes a `Program` as an .rtp file, straight from docs/rtp.md; and changes bytes of one with a right checksum.

Apart from `rt_engine`'s own writer: the format's page, two writers and two readers have to agree.
"""

import math
import struct
import zlib

import numpy as np

from rt_engine.program.element_types import CODES
from rt_engine.program.program import Place, Program
from rt_native.memory import align

ELEMENTS = (1, 4, 192, 1, 8, 40, 1, 64, 4, 40, 8, 16, 4)
STRINGS, KERNELS, RECORDS, WEIGHTS, SHAPES, TENSORS, INITIAL, NODES = range(8)
HEADER, ENTRY = 64, 24


class _Texts:
    def __init__(self):
        self.data, self.known = b"\0", {"": 0}

    def __call__(self, text: str) -> int:
        if text not in self.known:
            self.known[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self.known[text]


def rtp(program: Program) -> bytes:
    """The file of a program: all that is run, without what only reports read."""
    text, shapes, initial = _Texts(), [], b""
    names = (*program.kernels, *program.later)
    kernels = struct.pack(f"<{len(names)}I", *map(text, names))
    tensors = b""

    def tensor(place: Place, at: int = 0) -> bytes:
        spec = place.spec
        head = struct.pack("<4I", text(spec.name), CODES[spec.dtype], len(spec.shape), len(shapes))
        shapes.extend(spec.shape)
        return head + struct.pack("<3Q", place.offset, math.prod(spec.shape) * spec.dtype.itemsize, at)

    for place in (*program.inputs, *program.outputs):
        tensors += tensor(place)
    for place, value in zip(program.state, program.initial, strict=True):
        tensors += tensor(place, len(initial))
        initial += _padded(np.ascontiguousarray(value).tobytes())
    nodes = b"".join(struct.pack("<I60x", text(node.name)) for node in program.nodes)
    weights = program.weights.view(np.uint8, 0, program.weights.nbytes).tobytes()
    sections = [b""] * len(ELEMENTS)
    sections[KERNELS : NODES + 1] = [
        *(kernels, program.records.tobytes(), weights, struct.pack(f"<{len(shapes)}q", *shapes)),
        *(tensors, initial, nodes),
    ]
    sections[STRINGS] = text.data
    counts = (len(program.inputs), len(program.outputs), len(program.state))
    return _file(sections, program.arena_nbytes, counts)


def _file(sections: list[bytes], arena: int, counts: tuple[int, int, int]) -> bytes:
    table, body, start = b"", b"", align(HEADER + ENTRY * len(sections))
    for kind, data in enumerate(sections):
        table += struct.pack("<2I2Q", kind, len(data) // ELEMENTS[kind], start + len(body), len(data))
        body += _padded(data)
    whole = bytes(HEADER) + _padded(table, HEADER) + body
    header = struct.pack("<2IQ2IQ4IQ", 1, 0, len(whole), 1, 192, arena, *counts, len(sections), 0)
    return sealed(b"\x89RTP\r\n\x1a\n" + header + whole[HEADER:])


def _padded(data: bytes, already: int = 0) -> bytes:
    return data + bytes(align(already + len(data)) - already - len(data))


def sealed(data: bytes) -> bytes:
    """The same file with the checksum that it should have."""
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """A file with other bytes at an offset, and the checksum that fits them."""
    return sealed(data[:at] + value + data[at + len(value) :])


def section(data: bytes, kind: int) -> tuple[int, int]:
    """Where a section begins, and how many elements it has."""
    _, count, offset, _ = struct.unpack_from("<2I2Q", data, HEADER + ENTRY * kind)
    return offset, count
