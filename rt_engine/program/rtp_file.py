"""Compiled programs as files: .rtp (docs/rtp.md). Nothing here imports ONNX or Numba.

    write(program, path)       Program -> file
    read(data)                 bytes -> aligned memory -> checks -> Program that uses them where they lie

They are copied, not mapped: whoever overwrites the file later can neither change nor tear away what runs.
"""

import hashlib
import math
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import ProgramFileError
from rt_engine.kernels.interface.control import JUMP, LOOP
from rt_engine.kernels.interface.later import KNOWN
from rt_engine.kernels.interface.record import ARENA_HEADER, RECORD
from rt_engine.program.naming import Naming
from rt_engine.program.program import ABSENT, MOST_ARENA_BYTES, NodeCost, Place, Program, TensorSpec
from rt_engine.program.rtp_layout import (
    CATEGORIES,
    CHECKED_FROM,
    ELEMENTS,
    ENTRY,
    FORMAT,
    HEADER,
    INTEGERS,
    KERNEL_ABI,
    MAGIC,
    MOST_AXES,
    Kind,
    dtype_of,
)
from rt_native.files import write_whole
from rt_native.memory import ALIGNMENT, Block
from rt_native.pages import LargeBlock, fill

AGAIN = "compile the model again with `rt-engine compile`, or run it with the version that compiled it"
_DAMAGED = "copy the file again, or compile the model again"


def write(program: Program, path: str | Path) -> int:
    """Write a program; whoever reads the path meanwhile sees the old file or the new one, whole. Gives the bytes written.

    A link stays one: what it points at is replaced. A device or a pipe is written to.

    Raises:
        ProgramFileError: the program does not fit the format.
        OSError: the file cannot be written.
    """
    from rt_engine.program.rtp_writer import to_bytes

    data = to_bytes(program)
    write_whole(path, data)
    return len(data)


def read(data: "bytes | memoryview", name: str = "the program") -> Program:
    """Check the bytes of a compiled program, and make one of them. `name` is what messages call it.

    Raises:
        ProgramFileError: they are damaged, or were made for another version; the message says which.
    """
    block = LargeBlock(len(data))
    block.view(np.uint8, 0, len(data))[:] = np.frombuffer(data, np.uint8)
    return _read(block, len(data), name)


def read_open(file: int, name: str = "the program") -> tuple[Program, memoryview]:
    """As `read`, of an open file by its descriptor, in small steps that hold nobody up. Gives its bytes too, where the program lies.

    Raises:
        ProgramFileError: as `read`.
        OSError: it cannot be read.
    """
    size = os.fstat(file).st_size
    block = LargeBlock(size)
    fill(file, block.view(np.uint8, 0, size))
    return _read(block, size, name), block.view(np.uint8, 0, size).data.toreadonly()


def _read(block: Block, size: int, name: str) -> Program:
    program = _Reader(block, size, name).program()
    return replace(program, sha256=hashlib.sha256(block.view(np.uint8, 0, size).data).hexdigest())


class _Part(Block):
    """A part of a block that is used as a block of its own."""

    __slots__ = ()

    def __init__(self, whole: Block, offset: int, nbytes: int) -> None:
        self._bytes = whole.view(np.uint8, offset, nbytes)
        self.address, self.nbytes = whole.address + offset, nbytes


class _Reader:
    """The bytes of one file: checked as a whole, then part by part."""

    def __init__(self, block: Block, size: int, name: str) -> None:
        self.block, self.size, self.name = block, size, name
        self.header = self._header()
        self.sections = self._sections()
        self.strings = self.array(Kind.STRINGS).tobytes()
        self.numbers: list[int] = self.array(Kind.NUMBERS).tolist()
        self.shapes: list[int] = self.array(Kind.SHAPES).tolist()
        if not self.strings or self.strings[0] or self.strings[-1]:
            raise self.damaged("its strings have no end")

    def damaged(self, why: str) -> ProgramFileError:
        return ProgramFileError(f"{self.name} is damaged: {why}; {_DAMAGED}")

    def _header(self) -> Any:
        data = self.block.view(np.uint8, 0, self.size).data
        if bytes(data[: len(MAGIC)]) != MAGIC:
            raise ProgramFileError(
                f"{self.name} is not a compiled program: it does not begin as one; make it with `rt-engine compile`"
            )
        if self.size < HEADER.itemsize:
            raise self.damaged("it ends inside of its header")
        header = self.block.view(HEADER)[0]
        if header["format"] != FORMAT:
            raise ProgramFileError(
                f"{self.name} has version {header['format']} of the file format, this engine reads {FORMAT}; {AGAIN}"
            )
        if header["file_bytes"] != self.size:
            raise self.damaged(f"it has {self.size:,} bytes, its header says {header['file_bytes']:,}")
        if header["checksum"] != zlib.crc32(data[CHECKED_FROM:]):
            raise self.damaged("its checksum is wrong")
        if header["kernel_abi"] != KERNEL_ABI or header["record_bytes"] != RECORD.itemsize:
            raise ProgramFileError(
                f"{self.name} was compiled for version {header['kernel_abi']} of the kernels' interface, this engine has "
                f"{KERNEL_ABI}; {AGAIN}"
            )
        if not ARENA_HEADER.itemsize <= header["arena_bytes"] <= MOST_ARENA_BYTES:
            raise self.damaged(f"it asks for an arena of {header['arena_bytes']:,} bytes")
        return header

    def _sections(self) -> list[tuple[int, int]]:
        """(offset, count) of every section."""
        room = HEADER.itemsize + len(ELEMENTS) * ENTRY.itemsize
        if self.header["sections"] != len(ELEMENTS) or self.size < room:
            raise self.damaged(f"{self.header['sections']} sections, not {len(ELEMENTS)}")
        found = []
        for kind, (number, count, offset, nbytes) in zip(
            Kind, self.block.view(ENTRY, HEADER.itemsize, len(ELEMENTS)).tolist(), strict=True
        ):
            inside = offset % ALIGNMENT == 0 and offset + nbytes <= self.size
            if number != kind or nbytes != count * ELEMENTS[kind].itemsize or not inside:
                raise self.damaged(f"section {kind.name} has {count:,} elements, {nbytes:,} bytes at {offset:,}")
            found.append((offset, count))
        return found

    def array(self, kind: Kind) -> NDArray[Any]:
        """The elements of a section, where they lie; not to be written."""
        offset, count = self.sections[kind]
        element = ELEMENTS[kind]
        base, width = (element.subdtype[0], element.shape[0]) if element.subdtype else (element, 1)
        view = self.block.view(base, offset, count * width)
        view.flags.writeable = False
        return view if width == 1 else view.reshape(count, width)

    def text(self, offset: int) -> str:
        if offset >= len(self.strings):
            raise self.damaged(f"a text at {offset:,} of {len(self.strings):,}")
        try:
            return self.strings[offset : self.strings.index(0, offset)].decode()
        except UnicodeDecodeError as error:
            raise self.damaged(f"a text is no UTF-8: {error}") from error

    def listed(self, count: int, first: int) -> list[int]:
        if first + count > len(self.numbers):
            raise self.damaged(f"a list of {count:,} from {first:,}, of {len(self.numbers):,} numbers")
        return self.numbers[first : first + count]

    def place(self, row: tuple[int, ...]) -> Place:
        name, code, rank, first, offset, nbytes, _ = row
        title, dtype = self.text(name), dtype_of(code)
        if dtype is None:
            raise self.damaged(f"tensor '{title}' has type {code}, which does not exist")
        if rank > MOST_AXES or first + rank > len(self.shapes):
            raise self.damaged(f"tensor '{title}' has {rank:,} axes")
        shape = tuple(self.shapes[first : first + rank])
        # Axes of an empty tensor multiply to nothing, so each is bounded too: NumPy makes no view of absurd ones.
        sane = min(shape, default=1) >= 0 and math.prod(a or 1 for a in shape) <= MOST_ARENA_BYTES
        if not sane or math.prod(shape) * dtype.itemsize != nbytes:
            raise self.damaged(f"tensor '{title}' of shape {list(shape)} and type {dtype} has {nbytes:,} bytes")
        if offset % ALIGNMENT or offset < ARENA_HEADER.itemsize or offset + nbytes > self.header["arena_bytes"]:
            raise self.damaged(f"tensor '{title}' lies at {offset:,}, outside of the arena")
        return Place(TensorSpec(title, shape, dtype), offset)

    def places(self) -> tuple[tuple[Place, ...], tuple[Place, ...], tuple[Place, ...]]:
        """Inputs, outputs, states."""
        rows = self.array(Kind.TENSORS).tolist()
        inputs, outputs, states = (int(self.header[kind]) for kind in ("inputs", "outputs", "states"))
        if inputs + outputs + states != len(rows):
            raise self.damaged(f"{len(rows):,} tensors for {inputs:,} inputs, {outputs:,} outputs, {states:,} states")
        found = tuple(map(self.place, rows))
        ends = found[:inputs], found[inputs : inputs + outputs], found[inputs + outputs :]
        for group in ((*ends[0], *ends[2]), ends[1]):
            if len({place.spec.name for place in group}) < len(group):
                raise self.damaged("two tensors have the same name")
        return ends

    def initial(self, states: tuple[Place, ...]) -> tuple[NDArray[Any], ...]:
        start, room = self.sections[Kind.INITIAL]
        values = []
        for row, place in zip(self.array(Kind.TENSORS)[-len(states) :].tolist() if states else (), states, strict=True):
            spec, (nbytes, offset) = place.spec, row[5:]
            if offset % ALIGNMENT or offset + nbytes > room:
                raise self.damaged(f"the initial value of '{spec.name}' lies at {offset:,} of {room:,}")
            values.append(self.block.view(spec.dtype, start + offset, math.prod(spec.shape)).reshape(spec.shape))
        return tuple(values)

    def nodes(self) -> tuple[NodeCost, ...]:
        found = []
        rows = self.array(Kind.NODES).tolist()
        for name, operator, output, kernels, kernel, sources, source, _, macs, weights, arena, _ in rows:
            names = tuple(map(self.text, self.listed(kernels, kernel)))
            texts = self.text(name), self.text(operator), self.text(output)
            listed = tuple(self.listed(sources, source))
            if listed and max(listed) >= len(rows):
                raise self.damaged(f"node '{texts[0]}' reads from a node that does not exist")
            found.append(NodeCost(*texts, names, macs, weights, arena, listed))
        return tuple(found)

    def kernels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(kernels, later fields that records use)."""
        names = tuple(map(self.text, self.array(Kind.KERNELS).tolist()))
        if len(set(names)) < len(names):
            raise self.damaged("a kernel is listed twice")
        count = next((i for i, name in enumerate(names) if "." in name), len(names))
        if unknown := [name for name in names[count:] if name not in KNOWN]:
            raise ProgramFileError(
                f"{self.name} uses fields of records that this version does not know: {', '.join(map(repr, unknown[:5]))}; {AGAIN}"
            )
        return names[:count], names[count:]

    def records(self, kernels: tuple[str, ...]) -> NDArray[Any]:
        """The records, all of whose indices, operands and jumps are inside."""
        records = self.array(Kind.RECORDS)
        nodes, weights = self.sections[Kind.NODES][1], self.sections[Kind.WEIGHTS][1]
        operands = records["operand"]
        offsets = operands & ~1
        ends = np.where(operands & 1, weights, int(self.header["arena_bytes"]))
        inside = (offsets >= 0) & (offsets % ALIGNMENT == 0) & (offsets < ends)
        wrong = ~(inside | (operands == ABSENT)).all(axis=1)
        wrong |= (records["kernel"] >= len(kernels)) | (records["node"] >= nodes)
        for fields, forward in ((JUMP, True), (LOOP, False)):
            if fields.name in kernels:
                which = np.flatnonzero(records["kernel"] == kernels.index(fields.name))
                target = records["size"][which, fields.places["target"].index]
                good = (target > which) & (target <= len(records)) if forward else (target >= 0) & (target <= which)
                wrong[which] |= ~good
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise self.damaged(f"record {first} of {len(records)} points outside of the program")
        return records

    def naming(self) -> Naming:
        classes: dict[str, tuple[Any, ...]] = {}
        categories: dict[str, tuple[str, ...]] = {}
        lists: dict[tuple[int, int], tuple[str, ...]] = {}
        for output, type, count, first in self.array(Kind.CLASSES).tolist():
            if type == CATEGORIES:
                if (count, first) not in lists:
                    lists[count, first] = tuple(map(self.text, self.listed(count, first)))
                categories[self.text(output)] = lists[count, first]
                continue
            labels = tuple(map(self.text, self.listed(count, first)))
            try:
                classes[self.text(output)] = tuple(map(int, labels)) if type == INTEGERS else labels
            except ValueError as error:
                raise self.damaged(f"a class that is no integer: {error}") from error
        return Naming(classes, [self.text(note) for note in self.array(Kind.NOTES).tolist()], categories)

    def results(self, records: int) -> tuple[Place | None, ...]:
        rows = self.array(Kind.RESULTS).tolist()
        if rows and len(rows) != records:
            raise self.damaged(f"{len(rows):,} results of {records:,} records")
        return tuple(self.place(row) if row[1] else None for row in rows)

    def program(self) -> Program:
        """Everything, checked."""
        kernels, later = self.kernels()
        inputs, outputs, states = self.places()
        records = self.records(kernels)
        program = Program(
            kernels,
            records,
            _Part(self.block, *self.sections[Kind.WEIGHTS]),
            inputs,
            outputs,
            self.nodes(),
            int(self.header["arena_bytes"]),
            int(self.header["arena_bound"]),
            states,
            self.initial(states),
            int(self.header["arena_bare_bound"]),
            self.results(len(records)),
            metadata={self.text(key): self.text(value) for key, value in self.array(Kind.ATTRIBUTES).tolist()},
            later=later,
        )
        return program.named(self.naming())
