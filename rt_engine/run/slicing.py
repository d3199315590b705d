"""A context whose runs are spread over several cycles: its records measured, the longest split, the smallest put together.

    records    a  b  c   d-----------------  e  f         as they took when they were run here, just now
    split      a  b  c   d1--- d2--- d3---   e  f         what is too long for a slice, where its kernel allows it (`run.pieces`)
    threads    a  b--    d1-   d2-   d3-     e  f         each of these cut once more, for several cores (`run.fanned`)
    pieces     |a b c|  |d1---|d2---|d3---|  |e f|        at least `GROUP_NS` each: the clock is read behind every piece

Native code runs the pieces (`rt_engine.run.slices_native`); the bits are those of a whole run.
"""

import ctypes
import math
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.control import LOOP
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.program import ABSENT, Program
from rt_engine.run.blocks import BLOCK, NEVER, PIECE, SLICES
from rt_engine.run.context import Context
from rt_engine.run.cost import about_ns
from rt_engine.run.distance import NEAR_NS
from rt_engine.run.jumps import borders, jumps
from rt_engine.run.kept import keep
from rt_engine.run.pieces import pieces_of
from rt_native.memory import Block, offsets

GROUP_NS: Final = 5_000
"""Records are put together until they take so long: to read the clock takes less than a hundredth of it."""
RUNS: Final = 5
ROOM: Final = 1 / 8
"""So much longer than in the best run a record is expected to take; what it takes at most, a task learns while it runs."""
ROUNDS: Final = 2
"""Parts that are still too long are split again."""
LONG_NS: Final = 1_000_000_000
"""A run that takes longer is measured once."""
PARTS: Final = 2
"""A record that takes more than half a slice is split, into parts of about so many to a slice: the finer, the fuller slices are."""
SLOWER: Final = 4.0
"""So much slower than a fast core, of which sizes tell (`rt_engine.run.cost`), is one on which nothing was measured."""
SLOW: Final = 90
"""The percentile of what was measured, by which the rest is guessed."""
LEAST_NS: Final = 500
"""A guess is no shorter; and of shorter records nothing is learned of a core."""
MOST_STEPS: Final = 1_000_000

Records = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TooLong:
    """A record that takes longer than a slice."""

    layer: str
    operator: str
    ns: int

    def __str__(self) -> str:
        return f"layer {self.layer} ({self.operator}) takes {self.ns / 1e3:,.0f} us"


@dataclass(frozen=True, slots=True)
class Sliced:
    """What was measured of a context in slices, here, when it was made."""

    slice_ns: int
    run_ns: int
    """Of all pieces together."""
    pieces: int
    split: int
    """How many records there are more than the program has, as some were too long."""
    longest_ns: int
    """Of the longest piece."""
    surely_ns: int
    """Of the longest that ran: what a branch takes that was not taken is a guess."""
    cycles: int
    """So many slices a run takes."""
    threads: int
    """That run it together; times are what they take, as far as one core tells."""
    too_long: tuple[TooLong, ...]
    """Pieces longer than a slice: the longest first."""

    def __str__(self) -> str:
        return (
            f"in slices of {_us(self.slice_ns)} a run of {_us(self.run_ns)}{self.cores} takes {self.cycles:,} "
            f"{'cycle' if self.cycles == 1 else 'cycles'}: in a task of 1 ms a result is {self.cycles:,} ms old; "
            f"longest piece {_us(self.longest_ns)}"
        )

    @property
    def cores(self) -> str:
        """On how many it runs, if on several."""
        return f" on {self.threads} cores" if self.threads > 1 else ""

    @property
    def complaint(self) -> str:
        """Why slices are longer than they should be, and what helps; empty where they are not."""
        if not self.too_long:
            return ""
        others = f", and {len(self.too_long) - 1} more" if len(self.too_long) > 1 else ""
        return (
            f"the slice of {self.slice_ns / 1e3:,.0f} us is shorter than a part of the model that cannot be split: "
            f"{self.too_long[0]}{others}; a slice from {1.25 * self.too_long[0].ns / 1e3:,.0f} us on suffices, or a smaller layer"
        )

    @property
    def shortest_ns(self) -> int:
        """What the last slice of a run takes: the least, as the others are full."""
        return max(self.run_ns - (self.cycles - 1) * self.slice_ns, 0)

    def never_beside(self, rest_ns: int) -> str:
        """Why it never ends beside a live version that leaves at most so much of a cycle; empty where it does.

        It begins no part that may take longer than that, or than a slice.
        """
        if self.surely_ns <= min(self.slice_ns, rest_ns):
            return ""
        part = self.surely_ns / 1e3
        if self.surely_ns > self.slice_ns:
            limit = f"the slice of {self.slice_ns / 1e3:,.0f} us"
            helps = f"a slice from {1.25 * part:,.0f} us on suffices"
        else:
            limit = f"the {max(rest_ns, 0) / 1e3:,.0f} us that it leaves of a cycle at most"
            helps = "a longer cycle suffices"
        return (
            f"a part of the model may take {part:,.0f} us, and beside a live version none is begun that may take "
            f"longer than {limit}: {helps}, or a smaller layer, or no shadow"
        )


def why_not(program: Program) -> str:
    """Why runs of a program cannot be spread over cycles, and what helps; empty where they can."""
    of = dict(enumerate(program.kernels))
    loops = [r for r in program.records if of[int(r["kernel"])] == LOOP.name]
    for record in loops:
        if record["operand"][LOOP.places["condition"].index] != ABSENT:
            node = program.nodes[int(record["node"])].name
            return (
                f"the model has a loop whose data decide how often it runs (node {node!r}), so nobody can say after how many cycles "
                "a run is done; export it with a fixed number of iterations, or run it whole in a slower task"
            )
    return ""


def _us(ns: int) -> str:
    return f"{ns / 1e3:,.{0 if ns >= 100_000 else 2}f} us"


def slice_runs(
    context: Context, slice_ns: int, group_ns: int | None = None, threads: int = 1, line_ns: float = NEAR_NS
) -> Sliced:
    """Let a context run in slices of up to `slice_ns`; it runs several times for that, and its states begin anew.

    For several threads it joins a team when it is laid out (`run.team`). A piece is no longer than a slice, where no helper comes.
    What is too short for cores that are `line_ns` apart is laid out for one thread, as a whole run is.
    """
    if threads > 1 and context._executable.is_too_far(threads, line_ns):
        threads = 1
    context._lay(None)
    program = context._executable.program
    records = context._executable.records
    part_ns = slice_ns / PARTS if threads == 1 else slice_ns
    least = measured(context, records)
    times = known(program.kernels, records, least)
    for _ in range(ROUNDS):
        parts = {i: math.ceil(t / part_ns) for i, t in enumerate(times) if t > part_ns}
        longer = split(program.kernels, records, parts)
        if len(longer) == len(records):
            break
        records, least = longer, measured(context, longer)
        times = known(program.kernels, records, least)
    laid = context._executable.fan(records, threads, times, part_ns) if threads > 1 else None
    spans = laid.spans if laid else ()
    alone, times = times, by_all(times, spans, threads)
    begins = borders(program.kernels, records) | {end for _, end in spans}
    inside = {i for first, end in spans for i in range(first + 1, end)}
    pieces = list(grouped(times, begins, min(group_ns or GROUP_NS, slice_ns // 4), inside))
    context._lay(laid)
    lay_out(context, records, pieces, times, alone)
    sums = [sum(times[first:end]) for first, end in pieces]
    ran = [ns for ns, (first, end) in zip(sums, pieces, strict=True) if (least[first:end] < NEVER).all()]
    steps = [sums[i] for i in walk(program.kernels, records, pieces)]
    best = ((int(ns / (1 + ROOM)), first) for ns, (first, _) in zip(sums, pieces, strict=True))
    found = sorted(((ns, first) for ns, first in best if ns > slice_ns), reverse=True)
    nodes = [(ns, program.nodes[int(records["node"][first])]) for ns, first in found]
    return Sliced(
        slice_ns=slice_ns,
        run_ns=sum(steps),
        pieces=len(pieces),
        split=len(records) - len(context._executable.records),
        longest_ns=max(sums, default=0),
        surely_ns=max(ran, default=0),
        cycles=cycles_of(steps, slice_ns),
        threads=threads if laid else 1,
        too_long=tuple(TooLong(node.name, node.operator, ns) for ns, node in nodes),
    )


def measured(context: Context, records: Records) -> NDArray[Any]:
    """Nanoseconds of each record, the least of several runs, as who measures may be interrupted at any time; NEVER: it did not run.

    Inputs are zero meanwhile: a branch that is not taken then, and what lies behind a record that ends the run, is `unseen`.
    """
    singles = [(i, i + 1) for i in range(len(records))]
    block = lay_out(context, records, singles, [0] * len(records))
    rows = block.view(PIECE, SLICES.itemsize, len(singles))
    library, least = context._executable.library, np.full(len(records), NEVER)
    run, clock = library.function("execute_slice"), library.address("slices_clock")
    for _ in range(RUNS):
        rows["most_ns"] = 0
        run(context.block_address, clock, 0, NEVER, 1)
        least = np.where(rows["most_ns"] > 0, np.minimum(least, rows["most_ns"]), least)
        if int(least[least < NEVER].sum()) > LONG_NS:
            break
    context.reset()
    for view in context.outputs.values():
        view[...] = np.zeros((), view.dtype)
    return least


def lay_out(
    context: Context,
    records: Records,
    pieces: Sequence[tuple[int, int]],
    times: Sequence[int],
    alone: Sequence[int] | None = None,
) -> Block:
    """Let a context's block run these records, in these pieces, or what is laid out for threads in their place; gives SLICES."""
    if context._fanned is not None:
        address = context._fanned.records.ctypes.data
    elif records is not context._executable.records:
        copy = Block(max(records.nbytes, 1))
        copy.view(RECORD, 0, len(records))[:] = records
        context._kept["records of slices"], address = copy, copy.address
    else:
        address = records.ctypes.data
    context._fields["records"], context._fields["count"] = address, len(records)
    block = slices_block(address, len(records), pieces, times, alone)
    keep(context, "slices", block)
    return block


def slices_block(
    records: int,
    count: int,
    pieces: Sequence[tuple[int, int]],
    times: Sequence[int],
    alone: Sequence[int] | None = None,
) -> Block:
    """SLICES, the pieces, and where each begins. `records`: address of `count` of them; `times`: nanoseconds of each record, `alone`:
    on one core, where that is another."""
    at = SLICES.itemsize, SLICES.itemsize + PIECE.itemsize * len(pieces)
    block = Block(at[1] + 8 * (count + 1))
    rows, piece_of = block.view(PIECE, at[0], len(pieces)), block.view(np.int64, at[1], count + 1)
    piece_of[count] = len(pieces)
    for number, (first, end) in enumerate(pieces):
        rows[number]["first"], rows[number]["end"] = records + RECORD.itemsize * first, records + RECORD.itemsize * end
        rows[number]["most_ns"] = rows[number]["base_ns"] = sum(times[first:end])
        rows[number]["alone_ns"] = sum((alone or times)[first:end])
        piece_of[first] = number
    fields = block.view(SLICES)
    fields["pieces"], fields["count"], fields["records"] = block.address + at[0], len(pieces), records
    fields["piece_of"] = block.address + at[1]
    return block


def forget(block: int) -> None:
    """The execution block of a task that does not run at this moment begins its next run at the first piece."""
    slices = ctypes.c_int64.from_address(block + offsets(BLOCK).slices).value
    if slices:
        ctypes.c_int64.from_address(slices + offsets(SLICES).is_under_way).value = 0


# --- pure ----------------------------------------------------------------------------------------------------------------


def known(kernels: Sequence[str], records: Records, least: NDArray[Any]) -> list[int]:
    """What each record is expected to take. `least`: what it took at least when it ran, NEVER where it did not."""
    rows = [
        (int(ns), kernels[int(kernel)], record)
        for ns, kernel, record in zip(least, records["kernel"], records, strict=True)
    ]
    slower = pace(rows)
    return [int(ns * (1 + ROOM)) if ns < NEVER else unseen(kernel, record, slower) for ns, kernel, record in rows]


def pace(rows: Iterable[tuple[int, str, Any]]) -> float:
    """How much slower than a fast core this one is: what (nanoseconds, kernel, record) took, against what their sizes say."""
    found = [ns / about for ns, kernel, record in rows if ns < NEVER and (about := about_ns(kernel, record)) > LEAST_NS]
    return float(np.percentile(found, SLOW)) if found else SLOWER


def unseen(kernel: str, record: Any, slower: float = SLOWER) -> int:
    """Nanoseconds of a record that has not run yet, as its sizes say; one that says nothing is a piece of its own.

    Taken for nothing, a whole branch would be one piece, and the first run that takes it as long as that.
    """
    about = about_ns(kernel, record)
    return max(LEAST_NS, round(slower * about)) if about else GROUP_NS


def split(kernels: Sequence[str], records: Records, parts: dict[int, int]) -> Records:
    """Records of which some are split into so many parts, as far as their kernels allow it; jumps go where they went."""
    if not parts:
        return records
    rows, where = list[Any](), list[int]()
    for i, record in enumerate(records):
        where.append(len(rows))
        rows += pieces_of(kernels[int(record["kernel"])], record, parts.get(i, 1))
    where.append(len(rows))
    found = np.zeros(len(rows), RECORD)
    for i, row in enumerate(rows):
        found[i] = row
    for i, fields in jumps(kernels, found):
        place = fields.places["target"].index
        found["size"][i, place] = where[int(found["size"][i, place])]
    return found


def by_all(times: Sequence[int], spans: Iterable[tuple[int, int]], threads: int) -> list[int]:
    """What each record takes when what is cut is done by all threads: the first of a span does the work of all."""
    found = list(times)
    for first, end in spans:
        found[first:end] = [-(-sum(times[first:end]) // threads), *[0] * (end - first - 1)]
    return found


def grouped(
    times: Sequence[int], begins: Set[int], least_ns: int, inside: Set[int] = frozenset()
) -> Iterator[tuple[int, int]]:
    """(first, end) of pieces: records in a row that take `least_ns` together, but for those that end at a border. None begins at a
    record that is `inside` of what is done together."""
    first, together = 0, 0
    for i, ns in enumerate(times):
        if i > first and i not in inside and (i in begins or together >= least_ns or ns >= least_ns):
            yield first, i
            first, together = i, 0
        together += ns
    if first < len(times):
        yield first, len(times)


def walk(kernels: Sequence[str], records: Records, pieces: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Numbers of the pieces that a run goes through: loops to their end, of branches all. Not more than `MOST_STEPS`."""
    loops = {i: record for i, fields in jumps(kernels, records) if fields is LOOP for record in [records[i]]}
    number_of = {first: number for number, (first, _) in enumerate(pieces)}
    done = dict.fromkeys(loops, 0)
    number = 0
    for _ in range(MOST_STEPS):
        if number >= len(pieces):
            return
        yield number
        last = pieces[number][1] - 1
        number += 1
        if last in loops:
            done[last] += 1
            if done[last] < int(loops[last]["size"][LOOP.places["trips"].index]):
                number = number_of[int(loops[last]["size"][LOOP.places["target"].index])]
            else:
                done[last] = 0


def cycles_of(times: Iterable[int], slice_ns: int) -> int:
    """How many slices pieces take that run one after the other: the first of a slice always, another where it fits."""
    cycles, left = 0, -1
    for ns in times:
        if ns > left:
            cycles, left = cycles + 1, slice_ns
        left -= ns
    return max(cycles, 1)
