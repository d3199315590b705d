"""A program's records for several threads: what is long enough is cut, and a record that fans out stands in its place.

    records     0           1        2 ... n - 1   |  n ...
                begin_run   conv     fan_out       |  the first record, and pieces: reached by distance, never by the executor
                                     size 0: how many, size 1: bytes to the first
    kernels     the program's, then fan_out and begin_run

Jumps stay right, as nothing moves. Pieces have the addresses of their kernels in them (`RECORD.spare`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.program import Program
from rt_engine.run.axes import FAMILIES
from rt_engine.run.cost import about_ns
from rt_engine.run.pieces import pieces_of
from rt_engine.run.team_block import MOST_PIECES
from rt_native.library import Library
from rt_native.memory import Block

LEAST_MODEL_NS = 50_000.0
"""Models that take less, as far as their records say, stay on one core."""
LEAST_RECORD_NS, LEAST_PIECE_NS = 1_000.0, 2_000.0
"""Below, waiting for each other costs more than a second core gives. What lies between records that are cut is cut early: a core that
reads what the other has just written waits for it, line by line."""
EACH = 4
"""At most so many pieces for each thread: one that comes late, or is slower, then takes fewer."""


@dataclass(frozen=True, slots=True)
class Fanned:
    """Records and kernels for some number of threads; `count` is what the executor runs, `shared` how many of them fan out."""

    records: NDArray[Any]
    table: Block
    count: int
    shared: int
    share: float
    """Of the time of all records that can be cut, as far as their sizes say, what is cut."""


def fanned(
    program: Program, records: NDArray[Any], addresses: Sequence[int], library: Library, threads: int
) -> Fanned | None:
    """For so many threads; None where the model is too short, or nothing of it can be cut.

    Args:
        records: of the program, as they are quickest here.
        addresses: of its kernels.
    """
    times = [about_ns(program.kernels[int(record["kernel"])], record) for record in records]
    if sum(times) < LEAST_MODEL_NS:
        return None
    kept = [(p.offset, p.offset + max(p.spec.dtype.itemsize * int(np.prod(p.spec.shape, dtype=np.int64)), 1))
            for p in (*program.state, *program.inputs)]  # fmt: skip
    cut = {
        index: pieces
        for index, (record, ns) in enumerate(zip(records, times, strict=True))
        if ns >= LEAST_RECORD_NS
        and not _writes_into(program.kernels[int(record["kernel"])], record, kept)
        and len(pieces := _pieces(program.kernels[int(record["kernel"])], record, ns, threads)) > 1
    }
    if not cut:
        return None
    share = sum(times[index] for index in cut) / sum(times)
    return _laid_out(records, cut, addresses, library, share)


def _pieces(kernel: str, record: NDArray[Any], ns: float, threads: int) -> list[NDArray[Any]]:
    parts = min(max(threads, int(ns / LEAST_PIECE_NS)), EACH * threads, MOST_PIECES)
    return pieces_of(kernel, record, parts)


def _writes_into(kernel: str, record: NDArray[Any], kept: list[tuple[int, int]]) -> bool:
    """Does it write what outlives a run? A helper that is late may write its piece when the run has ended, and states are restored."""
    fields = FAMILIES[kernel].fields
    written = [int(record["operand"][fields.places[name].index]) for name in fields.written]
    return any(first <= offset < end for offset in written for first, end in kept)


def _laid_out(
    records: NDArray[Any], cut: dict[int, list[NDArray[Any]]], addresses: Sequence[int], library: Library, share: float
) -> Fanned:
    """Records in native memory, with those that fan out."""
    count, extra = len(records), sum(map(len, cut.values())) + 1
    laid: NDArray[Any] = Block((count + extra) * RECORD.itemsize).view(RECORD, 0, count + extra)
    laid[:count] = records
    at = count
    for index, pieces in cut.items():
        laid[index] = _standing_for(records[index], len(addresses), len(pieces), at - index)
        for piece in pieces:
            laid[at] = piece
            laid["spare"][at] = addresses[int(piece["kernel"])]
            at += 1
    table = Block(8 * (len(addresses) + 2))
    kernels = [*addresses, library.address("fan_out"), library.address("begin_run")]
    table.view(np.int64, 0, len(kernels))[:] = kernels
    laid[at] = laid[0]
    laid["spare"][at] = kernels[int(laid[0]["kernel"])]
    if 0 in cut:  # its pieces lie as far from where it has gone as they do
        laid["size"][at, 1] -= at * RECORD.itemsize
    laid[0] = _standing_for(records[0], len(addresses) + 1, 1, at)
    laid.flags.writeable = False
    return Fanned(laid, table, count, len(cut), share)


def _standing_for(record: NDArray[Any], kernel: int, pieces: int, distance: int) -> NDArray[Any]:
    """The record that stands in the place of another: `distance` records on are its pieces."""
    stand: NDArray[Any] = np.zeros((), RECORD)
    stand["kernel"], stand["node"] = kernel, record["node"]
    stand["size"][:2] = pieces, distance * RECORD.itemsize
    return stand
