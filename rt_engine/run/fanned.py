"""A program's records for several threads: what is long enough is cut, and a record that fans out stands in its place.

    records     0           1        2 ... n - 1   |  n ...
                begin_run   conv     fan_out       |  the first record, and pieces: reached by distance, never by the executor
                                     size 0: how many, size 1: bytes to the first
    kernels     the program's, then those of `STANDING`

Jumps stay right, as nothing moves. Pieces have the addresses of their kernels in them (`RECORD.spare`). Where a piece is several
records (`run.chains`), one among the pieces stands for them; what they hand on lies in memory that a context has besides its arena.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.program import Place, Program
from rt_engine.run.axes import FAMILIES, Reading
from rt_engine.run.chains import Step, chains_of
from rt_engine.run.cost import about_ns, pace_of_bytes
from rt_engine.run.elsewhere import ELSEWHERE, moved_elsewhere
from rt_engine.run.pieces import pieces_of
from rt_engine.run.strips import Strips
from rt_engine.run.team_block import MOST_PIECES
from rt_native.library import Library
from rt_native.memory import Block, align

LEAST_MODEL_NS = 50_000.0
"""Models that take less, as far as their records say, stay on one core."""
LEAST_RECORD_NS, LEAST_PIECE_NS = 1_000.0, 2_000.0
"""Below, waiting for each other costs more than a second core gives. What lies between records that are cut is cut early: a core that
reads what the other has just written waits for it, line by line."""
BARRIER_LINES, BARRIER_NS = 10.0, 500.0
"""What fanning out takes: so many ways of a cache line to the other core and back, and what does not depend on them."""
WON = 0.75
"""Of the time that sizes say is saved, what is: they say a little more than a fast core takes."""
LEAST_WON = 0.1
"""Of a model's time, what several cores have to save."""
EACH = 4
"""At most so many pieces for each thread: one that comes late, or is slower, then takes fewer."""


Piece = list[Step]
Cut = dict[int, tuple[int, list[Piece]]]
"""First record -> the one behind the last that its pieces do, and the pieces."""


@dataclass(frozen=True, slots=True)
class Fanned:
    """Records and kernels for some number of threads; `count` is what the executor runs, `shared` how many of them fan out."""

    records: NDArray[Any]
    table: Block
    count: int
    shared: int
    share: float
    """Of the time of all records that can be cut, as far as their sizes say, what is cut."""
    spans: tuple[tuple[int, int], ...] = ()
    """Of all that fan out: the first record whose work is done there, and the one behind the last."""
    own: tuple[tuple[int, int], ...] = ()
    """(record, operand) that count from the memory of a context's pieces."""
    own_nbytes: int = 0
    memory: Block | None = None
    """Of the pieces of one context."""
    about_ns: float = 0.0
    """The time of all records on one core, as far as their sizes say."""
    threads: int = 1

    def pays(self, line_ns: float) -> bool:
        """Is it quicker than one core, where a cache line takes so long to another core and back?"""
        saved = WON * self.share * self.about_ns * (1 - 1 / self.threads)
        return saved - self.shared * (BARRIER_LINES * line_ns + BARRIER_NS) > LEAST_WON * self.about_ns

    def joined(self, arena: int) -> "Fanned":
        """The records for the context with this arena, with memory for its pieces."""
        if not self.own:
            return self
        memory = Block(self.own_nbytes)
        laid: NDArray[Any] = Block(self.records.nbytes).view(RECORD, 0, len(self.records))
        laid[:] = self.records
        rows, operands = np.array(self.own).T
        laid["operand"][rows, operands] += memory.address - arena
        laid.flags.writeable = False
        return replace(self, records=laid, memory=memory)


def fanned(
    program: Program,
    records: NDArray[Any],
    addresses: Sequence[int],
    library: Library,
    threads: int,
    times: Sequence[float] | None = None,
    longest_ns: float = math.inf,
) -> Fanned | None:
    """For so many threads; None where the model is too short, or nothing of it can be cut.

    Args:
        records: of the program, as they are quickest here.
        addresses: of its kernels.
        times: nanoseconds of each record on one core; None: as sizes say.
        longest_ns: what the records that are cut together take at most on one core; one alone may take longer.
    """
    pace = pace_of_bytes(library.target)
    times = times or [about_ns(program.kernels[int(record["kernel"])], record, pace) for record in records]
    if sum(times) < LEAST_MODEL_NS:
        return None
    kept = _places((*program.state, *program.inputs))
    records, elsewhere = moved_elsewhere(program, records, [*kept, *_places(program.outputs)])
    may = [not _writes_into(program.kernels[int(record["kernel"])], record, kept) for record in records]
    cut, own_nbytes = _chained(program, records, times, may, threads, longest_ns)
    inside = inside_of(cut)
    free = [ok and i not in inside for i, ok in enumerate(may)]
    cut |= _in_strips(Strips(program, records, free, ends_of(times, longest_ns)), times, threads)
    inside = inside_of(cut)
    for index, (record, ns) in enumerate(zip(records, times, strict=True)):
        if index not in inside and may[index] and ns >= LEAST_RECORD_NS:
            kernel = program.kernels[int(record["kernel"])]
            pieces = pieces_of(kernel, record, _parts(ns, threads))
            if len(pieces) > 1:
                steps, nbytes = _with_own_memory(kernel, record, pieces)
                cut[index], own_nbytes = (index + 1, [[step] for step in steps]), max(own_nbytes, nbytes)
    if not cut:
        return None
    share = sum(sum(times[index:end]) for index, (end, _) in cut.items()) / sum(times)
    laid = _laid_out(records, cut, addresses, library, share, own_nbytes)
    return replace(laid, own_nbytes=own_nbytes + elsewhere, about_ns=sum(times), threads=threads)


def _places(places: Iterable[Place]) -> list[tuple[int, int]]:
    """The bytes of the arena where tensors lie."""
    sizes = (p.spec.dtype.itemsize * int(np.prod(p.spec.shape, dtype=np.int64)) for p in places)
    return [(p.offset, p.offset + max(size, 1)) for p, size in zip(places, sizes, strict=True)]


def inside_of(cut: Cut) -> set[int]:
    """Records whose work something that is cut does."""
    return {i for first, (end, _) in cut.items() for i in range(first, end)}


def _with_own_memory(kernel: str, record: Any, pieces: list[NDArray[Any]]) -> tuple[list[Step], int]:
    """Pieces of one record, each with memory of its own to work in, and the bytes of all that."""
    family = FAMILIES[kernel]
    works_in = family.works_in(Reading(family.fields, record), family.item) if family.works_in else {}
    steps, at = [Step(piece) for piece in pieces], 0
    for name, nbytes in works_in.items():
        place = family.fields.places[name].index
        for i, step in enumerate(steps):
            step.record["operand"][place] = at
            steps[i] = replace(step, own=(*step.own, place))
            at += align(nbytes)
    return steps, at


def _chained(
    program: Program, records: NDArray[Any], times: Sequence[float], may: list[bool], threads: int, longest_ns: float
) -> tuple[Cut, int]:
    """What is cut as chains, and the bytes that the pieces of any of them need."""
    cut, most = Cut(), 0
    for chain in (part for whole in chains_of(program, records) for part in whole.within(times, longest_ns)):
        at = slice(chain.first, chain.end)
        if all(may[at]) and sum(times[at]) >= 2 * LEAST_PIECE_NS:
            pieces, nbytes = chain.pieces(threads)
            if len(pieces) > 1:
                cut[chain.first], most = (chain.end, pieces), max(most, nbytes)
    return cut, most


def ends_of(times: Sequence[float], longest_ns: float) -> set[int]:
    """Where records end that take so long together, so that no strip is longer."""
    found, together = set[int](), 0.0
    for i, ns in enumerate(times):
        together += ns
        if together > longest_ns:
            found.add(i)
            together = ns
    return found


def _in_strips(strips: Strips, times: Sequence[float], threads: int) -> Cut:
    """What is cut together with layers before and behind it."""
    cut = Cut()
    for strip in strips.longest(threads):
        ns = sum(times[strip.first : strip.end])
        if ns >= LEAST_RECORD_NS:
            cut[strip.first] = strip.end, strips.pieces(strip, _parts(ns, threads))
    return cut


def _parts(ns: float, threads: int) -> int:
    return min(max(threads, int(ns / LEAST_PIECE_NS)), EACH * threads, MOST_PIECES)


def _writes_into(kernel: str, record: NDArray[Any], kept: list[tuple[int, int]]) -> bool:
    """Does it write what outlives a run? A helper that is late may write its piece when the run has ended, and states are restored."""
    if kernel not in FAMILIES:
        return False
    fields = FAMILIES[kernel].fields
    written = [int(record["operand"][fields.places[name].index]) for name in fields.written]
    return any(first <= offset < end for offset in written for first, end in kept)


def _laid_out(
    records: NDArray[Any], cut: Cut, addresses: Sequence[int], library: Library, share: float, elsewhere: int
) -> Fanned:
    """Records in native memory, with those that fan out. `elsewhere`: where that begins in the memory of pieces."""
    library.need(STANDING)
    kernels = [*addresses, *(library.address(name) for name in STANDING)]
    fan_out, begin_run, pass_over, run_chain = range(len(addresses), len(kernels))
    many = [piece for _, pieces in cut.values() for piece in pieces]
    extra = len(many) + sum(len(piece) for piece in many if len(piece) > 1) + 1
    count, at, own = len(records), len(records), list[tuple[int, int]]()
    laid: NDArray[Any] = Block((count + extra) * RECORD.itemsize).view(RECORD, 0, count + extra)
    laid[:count] = records

    def put(place: int, step: Step) -> None:
        laid[place] = step.record
        laid["spare"][place] = addresses[int(step.record["kernel"])]
        own.extend((place, operand) for operand in step.own)

    for index, (end, pieces) in cut.items():
        laid[index] = _standing_for(records[index], fan_out, len(pieces), at - index)
        if end > index + 1:
            laid[index + 1] = _standing_for(records[index], pass_over, end, 0)
        behind = at + len(pieces)
        for piece in pieces:
            if len(piece) == 1:
                put(at, piece[0])
            else:
                laid[at] = _standing_for(records[index], run_chain, len(piece), behind - at)
                laid["spare"][at] = kernels[run_chain]
                for step in piece:
                    put(behind, step)
                    behind += 1
            at += 1
        at = behind
    table = Block(8 * len(kernels))
    table.view(np.int64, 0, len(kernels))[:] = kernels
    _begin_at(laid, at, kernels, begin_run, is_cut=0 in cut)
    for place, operand in np.argwhere(laid["operand"] >= ELSEWHERE).tolist():
        laid["operand"][place, operand] += elsewhere - ELSEWHERE
        own.append((place, operand))
    laid.flags.writeable = False
    spans = tuple((first, end) for first, (end, _) in cut.items())
    return Fanned(laid, table, count, len(cut), share, spans, tuple(own))


def _begin_at(laid: NDArray[Any], at: int, kernels: Sequence[int], begin: int, is_cut: bool) -> None:
    """Move the first record to `at`, and let `begin`, which looks at helpers first, stand in its place."""
    laid[at] = laid[0]
    laid["spare"][at] = kernels[int(laid[0]["kernel"])]
    if is_cut:  # its pieces lie as far from where it has gone as they do
        laid["size"][at, 1] -= at * RECORD.itemsize
    laid[0] = _standing_for(laid[at], begin, 1, at)


STANDING = ("fan_out", "begin_run", "pass_over", "run_chain")
"""Kernels of records that stand for others."""


def _standing_for(record: NDArray[Any], kernel: int, pieces: int, distance: int) -> NDArray[Any]:
    """The record that stands in the place of another: `distance` records on are its pieces."""
    stand: NDArray[Any] = np.zeros((), RECORD)
    stand["kernel"], stand["node"] = kernel, record["node"]
    stand["size"][:2] = pieces, distance * RECORD.itemsize
    return stand
