"""Program -> the bytes of an .rtp file. The same program gives the same bytes."""

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import ProgramFileError
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.program import NodeCost, Place, Program
from rt_engine.program.rtp_layout import (
    CATEGORIES,
    CHECKED_FROM,
    ELEMENTS,
    ENTRY,
    FIRST_SECTION,
    FORMAT,
    HEADER,
    INTEGERS,
    KERNEL_ABI,
    MAGIC,
    MOST_BYTES,
    NAMES,
    Kind,
    dtype_code,
)
from rt_native.memory import align


def to_bytes(program: Program) -> bytes:
    """The file of a program.

    Raises:
        ProgramFileError: a name has a null character, or the file would be too large.
    """
    tables = _Tables()
    tensors = [tables.tensor(place) for place in (*program.inputs, *program.outputs)]
    tensors += [
        tables.tensor(place, tables.add_initial(value))
        for place, value in zip(program.state, program.initial, strict=True)
    ]
    rows = {
        Kind.KERNELS: [tables.text(name) for name in (*program.kernels, *program.later)],
        Kind.TENSORS: tensors,
        Kind.NODES: [tables.node(node) for node in program.nodes],
        Kind.RESULTS: [tables.tensor(place) if place is not None else (0,) * 7 for place in program.results],
        Kind.ATTRIBUTES: [(tables.text(key), tables.text(value)) for key, value in program.metadata.items()],
        Kind.CLASSES: [
            *(tables.classes(output, labels) for output, labels in program.naming.classes.items()),
            *(tables.categories(name, names) for name, names in program.naming.categories.items()),
        ],
        Kind.NOTES: [tables.text(note) for note in program.naming.notes],
        Kind.SHAPES: tables.shapes,
        Kind.NUMBERS: tables.numbers,
    }
    sections = {kind: np.array(values, ELEMENTS[kind]).tobytes() for kind, values in rows.items()}
    sections[Kind.RECORDS] = program.records.astype(RECORD, copy=False).tobytes()
    sections[Kind.WEIGHTS] = program.weights.view(np.uint8, 0, program.weights.nbytes).tobytes()
    sections[Kind.INITIAL], sections[Kind.STRINGS] = bytes(tables.initial), bytes(tables.strings)
    return _joined(program, sections)


def _joined(program: Program, sections: dict[Kind, bytes]) -> bytes:
    entries, at = np.zeros(len(ELEMENTS), ENTRY), FIRST_SECTION
    for kind in Kind:
        size = len(sections[kind])
        entries[kind] = (kind, size // ELEMENTS[kind].itemsize, at, size)
        at += align(size)
    if at > MOST_BYTES:
        raise ProgramFileError(
            f"the compiled program would have {at:,} bytes; the most is {MOST_BYTES:,}: quantise the model"
        )
    header = np.zeros((), HEADER)
    counts = len(program.inputs), len(program.outputs), len(program.state)
    header[()] = (
        *(MAGIC, FORMAT, 0, at, KERNEL_ABI, RECORD.itemsize, program.arena_nbytes),
        *(*counts, len(ELEMENTS), program.arena_lower_bound, program.arena_bare_bound),
    )
    file = bytearray(at)
    file[: HEADER.itemsize] = header.tobytes()
    file[HEADER.itemsize : HEADER.itemsize + entries.nbytes] = entries.tobytes()
    for kind in Kind:
        start = int(entries[kind]["offset"])
        file[start : start + len(sections[kind])] = sections[kind]
    file[CHECKED_FROM - 4 : CHECKED_FROM] = zlib.crc32(memoryview(file)[CHECKED_FROM:]).to_bytes(4, "little")
    return bytes(file)


@dataclass(slots=True)
class _Tables:
    """What other sections point into, and how much of it there is so far."""

    strings: bytearray = field(default_factory=lambda: bytearray(1))
    known: dict[str, int] = field(default_factory=lambda: {"": 0})
    shapes: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    initial: bytearray = field(default_factory=bytearray)
    lists: dict[int, tuple[int, int]] = field(default_factory=dict)

    def text(self, value: str | bytes) -> int:
        if isinstance(value, bytes):  # a name that is no UTF-8
            value = value.decode("utf-8", "replace")
        if value not in self.known:
            if "\0" in value:
                raise ProgramFileError(f"the text {value!r} has a null character; rename it in the model")
            self.known[value] = len(self.strings)
            self.strings += value.encode() + b"\0"
        return self.known[value]

    def list(self, values: Iterable[int]) -> tuple[int, int]:
        """(count, first) of numbers that are put into the list."""
        first = len(self.numbers)
        self.numbers.extend(values)
        return len(self.numbers) - first, first

    def add_initial(self, value: NDArray[Any]) -> int:
        at = len(self.initial)
        self.initial += np.ascontiguousarray(value).tobytes()
        self.initial += bytes(align(len(self.initial)) - len(self.initial))
        return at

    def tensor(self, place: Place, initial: int = 0) -> tuple[int, ...]:
        spec, first = place.spec, len(self.shapes)
        self.shapes.extend(spec.shape)
        size = math.prod(spec.shape) * spec.dtype.itemsize
        head = self.text(spec.name), dtype_code(spec.dtype), len(spec.shape), first
        return (*head, place.offset, size, initial)

    def node(self, node: NodeCost) -> tuple[int, ...]:
        texts = self.text(node.name), self.text(node.operator), self.text(node.output)
        kernels, sources = self.list([self.text(k) for k in node.kernels]), self.list(node.sources)
        return (*texts, *kernels, *sources, 0, node.macs, node.weight_bytes, node.arena_bytes, 0)

    def classes(self, output: str, labels: tuple[Any, ...]) -> tuple[int, ...]:
        integers = all(isinstance(label, int) for label in labels)
        listed = self.list([self.text(str(label)) for label in labels])
        return self.text(output), INTEGERS if integers else NAMES, *listed

    def categories(self, name: str, names: tuple[str, ...]) -> tuple[int, ...]:
        if id(names) not in self.lists:  # inputs of one component share a list
            self.lists[id(names)] = self.list([self.text(one) for one in names])
        return self.text(name), CATEGORIES, *self.lists[id(names)]
