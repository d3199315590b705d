"""Repeat what was recorded of a task, exactly: the cycle of production runs on a clock that plays the recording.

    done = replay_task(task, {1: model}, layout, [Piece(records, checkpoints)])
    done.cycles, done.equal      repeated, and of those the same in all that came out, bit for bit
    done.first                   the first that was not: which tick, what, what was wanted, what came
    done.left_out                how many could not be repeated, and why (`scheduler.replay_plan.Why`)

Between two calls of the clock there is no Python; a piece more costs one call of it. Several replays may run in several threads, or
processes: each has memory of its own.
"""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import InterfaceError
from rt_engine.reader import Arrangement, ChangeWords
from rt_engine.recording.layout import CHECKPOINT_HEAD, SOURCE_HEAD, Phase, Records, TaskLayout
from rt_native.library import Library
from rt_native.memory import Block, offsets
from scheduler.clock import Clock
from scheduler.errors import ReplayError
from scheduler.kept import Kept
from scheduler.native import NATIVE
from scheduler.replay_block import OTHER, PLACE, REPLAY, VERSION, What, kept_dtype
from scheduler.replay_fit import check_fit, checked
from scheduler.replay_plan import Before, Plan, Why, plan
from scheduler.replay_regions import are_known, are_sound, region_rows, versions_of
from scheduler.replayed import NOT_REPEATED, Difference, Each, Piece, Replayed
from scheduler.runner import TaskRunner
from scheduler.tap_block import ABOUT, Whose
from scheduler.task import Task
from scheduler.watch import names_of

if TYPE_CHECKING:
    from rt_engine import Context, Model, ModelSlot
    from rt_engine.reader import SlotReader

CLOCK = Library("replay", modules=("scheduler.replay_native",), apart=True)
_MORE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)


def replay_task(
    task: Task,
    models: Mapping[int, Model],
    layout: TaskLayout,
    pieces: Iterable[Piece],
    *,
    keep: bool = False,
    what_if: bool = False,
    others: Mapping[str, Mapping[int, Model]] | None = None,
    each: Each | None = None,
) -> Replayed:
    """Repeat pieces of a recording.

    Args:
        task: as it ran; its channels are this function's while it works, its devices are not asked.
        models: version -> its model. Records of a version that is not here are left out. Empty for a task without a model.
        layout: of the records.
        pieces: taken one after the other, when the one before is done.
        keep: give what came out, of all records together.
        what_if: the models are others than those that ran: what comes out goes on as theirs, checkpoints count only where a run of
            records begins, and states are taken from there if they have the same size.
        others: "monitor", "fallback", "late" -> version -> model: of the slots that the task has there. Left out: the task's own.
        each: called after each piece.

    Raises:
        ReplayError: task, models and layout do not fit each other, or a checkpoint is broken.
    """
    return Replay(task, models, layout, what_if=what_if, others=others).run(pieces, keep=keep, each=each)


class Replay:
    """A task that repeats a recording; see `replay_task`. One thread at a time."""

    def __init__(
        self,
        task: Task,
        models: Mapping[int, Model],
        layout: TaskLayout,
        *,
        what_if: bool = False,
        others: Mapping[str, Mapping[int, Model]] | None = None,
    ) -> None:
        check_fit(task, layout)
        self.task, self.layout = _without_devices(task), layout
        self._block = Block(REPLAY.itemsize)
        self._fields = self._block.view(REPLAY)
        address = self._block.address
        self._clock = Clock(CLOCK.address("replay_now"), CLOCK.address("replay_sleep"), address, owner=self._block)
        self._models, self._contexts = dict(models), {}  # type: ignore[var-annotated]
        self._parts: list[Any] = []
        self.misfits: dict[tuple[str, int], str] = {}
        """Versions that do not fit the task, and why: ("" or whose, number)."""
        self._known_others: dict[str, set[int]] = {}
        self._runner = self._make(what_if)
        self._known = np.array(sorted(self._contexts) or [0], np.int64)
        self._bind(what_if, others or {})

    def _make(self, what_if: bool) -> TaskRunner:
        """The task, and a context of each version."""
        from rt_engine import ModelSlot

        if self.task.model is None:
            return TaskRunner(self.task, None, self._clock)
        if not self._models:
            raise ReplayError(f"task {self.task.name!r} has a model, and none of its versions is given")
        first = self.task.model.version if isinstance(self.task.model, ModelSlot) else 0
        first = first if first in self._models else next(iter(self._models))
        slot = ModelSlot(self._models[first], self.task.name)
        slot.begin_at(first)
        runner = TaskRunner(self.task, slot, self._clock)
        reader = runner._reader
        assert reader is not None
        self._contexts[first] = reader.context
        for number, model in self._models.items():
            same = next((n for n in self._contexts if what_if and self._models[n] is model), None)
            found = self._contexts.get(number) if same is None else self._contexts[same]
            if found := found or self._fresh(slot, reader, model, number, ""):
                self._contexts[number] = found
        return runner

    def _fresh(self, slot: ModelSlot, reader: SlotReader, model: Model, number: int, whose: str) -> Context | None:
        """A context of a version; None where it does not fit, so never ran: a gate refused it."""
        try:
            slot.check(model)
            return reader.fresh(model, number)
        except InterfaceError as error:
            self.misfits[whose, number] = str(error)
            return None

    def _others(self, others: Mapping[str, Mapping[int, Model]]) -> NDArray[Any]:
        """A row for each version of the task's other models; `_known_others`: the numbers that there are, by whose they are."""
        rows = list[tuple[int, ...]]()
        for (reader, slot), whose in zip(self._runner.instead.readers, self._runner.instead.whose, strict=True):
            versions = others.get(whose, {})
            for number, model in versions.items():
                is_first = number == slot.version
                context = reader.context if is_first else self._fresh(slot, reader, model, number, whose)
                if context is not None:
                    self._known_others.setdefault(whose, set()).add(number)
                    self._parts.append(context)
                    at = offsets(ABOUT).versions + 8 * Whose[whose.upper()]
                    rows.append((reader.address, at, number, context.block_address, self._offer(context)))
        return self._table(OTHER, rows)

    def _bind(self, what_if: bool, others: Mapping[str, Mapping[int, Model]]) -> None:
        """Everything that does not change from piece to piece."""
        memory, layout = self._runner.memory, self.layout
        row = memory.task[0]
        versions = self._table(VERSION, [(n, c.block_address, self._offer(c)) for n, c in self._contexts.items()])
        rows = self._others(others)
        places = self._table(PLACE, list(self._places()))
        self._kept = Kept(memory)
        regions = region_rows(self._kept, layout, 0 if self.task.step is None else self.task.step.fixed)
        self._parts.append(regions)
        self._set(
            is_what_if=int(what_if), remember_at=-1, index=-1, task=memory.address, stats=row["stats"], reader=row["reader"],
            late=row["late"], sliced=row["sliced"], monitor=row["monitor"], period_ns=self.task.period_ns, size=layout.nbytes,
            sources=places.ctypes.data, source_count=len(places), regions=regions.ctypes.data, region_count=len(regions),
            versions=versions.ctypes.data, version_count=len(versions),
            others=rows.ctypes.data, other_count=len(rows), raw=row["raw"], last=row["last"],
            count=layout.output_count, raw_at=layout.raw_at, published_at=layout.published_at,
            kept_size=kept_dtype(layout.output_count).itemsize,
        )  # fmt: skip

    def _offer(self, context: Context) -> int:
        """What makes a version live, without states of the one before: its address."""
        words = ChangeWords()
        words.set_activation(0)
        self._parts.append(Arrangement(words, context))
        return int(self._parts[-1].address)

    def _places(self) -> Iterator[tuple[int, int, int]]:
        """Where the parts of a record go: the slot of each channel that its reader has, as nobody publishes there."""
        from fieldbus.image.image import NATIVE as IMAGE
        from fieldbus.image.image_layout import SLOT

        latch = IMAGE.function("channel_latch")
        for number, channel in enumerate(self.task.channels_read):
            slot = int(latch(channel.address))
            yield slot, self.layout.source_at(number), SOURCE_HEAD.itemsize
            yield slot + SLOT.itemsize, self.layout.values_at(number), 8 * channel.cells

    def run(self, pieces: Iterable[Piece], *, keep: bool = False, each: Each | None = None) -> Replayed:
        """See `replay_task`."""
        feed = _Feed(self, iter(pieces), keep, each)
        more = _MORE(feed.more)
        self._set(
            more=ctypes.cast(more, ctypes.c_void_p).value or 0, is_begun=0, is_in_cycle=0, run=0, run_count=0, end=0
        )
        self._set(cycles=0, equal=0, differed=0, index=-1)
        table = Block(8)
        table.view(np.int64)[0] = self._runner.memory.address
        self._runner.memory.task["control"] = self._runner.memory.task["owner"] = 0
        self._runner.pick_versions(True)
        began = time.perf_counter()
        try:
            NATIVE.function("tasks_run")(table.address, 1)
        finally:
            self._runner.pick_versions(False)
        seconds = time.perf_counter() - began
        if feed.failure is not None:
            raise feed.failure
        return self._done(feed, seconds)

    def _done(self, feed: _Feed, seconds: float) -> Replayed:
        fields = self._fields[0]
        rows = None
        if feed.keeps:
            rows = np.concatenate([np.zeros(0, kept_dtype(self.layout.output_count)), *feed.rows])
        return Replayed(
            task=self.task.name,
            recorded=feed.recorded,
            cycles=int(fields["cycles"]),
            equal=int(fields["equal"]),
            first=feed.first,
            left_out={why: count for why, count in feed.left_out.items() if count},
            seconds=seconds,
            rows=rows,
        )

    def context(self, version: int) -> Context:
        """Where a version's model runs: between two pieces (`each`), what the newest cycle left there.

        Raises:
            KeyError: there is no model of that version.
        """
        found: Context = self._contexts[version]
        return found

    # --- for the feed -------------------------------------------------------------------------------------------------

    def put(self, piece: Piece, planned: Plan, rows: Records | None) -> None:
        """Let the clock play a piece. `planned` and the arrays stay where they are until the next one."""
        records, runs, checks = piece.records, planned.runs, planned.checks
        self._set(
            records=records.ctypes.data, index=-1, end=0, runs=runs.ctypes.data, run=0, run_count=len(runs),
            checks=checks.ctypes.data, check=0, check_count=len(checks), kept=0 if rows is None else rows.ctypes.data,
        )  # fmt: skip

    @property
    def known(self) -> NDArray[np.int64]:
        """The versions that it can repeat."""
        return self._known

    @property
    def differed(self) -> int:
        """How many cycles did."""
        return int(self._fields["differed"][0])

    def checked(self, piece: Piece) -> tuple[Piece, NDArray[np.int64]]:
        """A piece that native code may take, and the ticks at which another model began that is not there.

        Raises:
            ReplayError: it is of another layout.
        """
        records = checked(piece.records, self.layout.nbytes, "record")
        checkpoints = checked(piece.checkpoints, self.layout.checkpoint_bytes, "checkpoint")
        sound = are_sound(checkpoints, self._kept, self.layout, self.task.has_turns)
        sound &= are_known(checkpoints, self.layout, self._known_others)
        cuts = checkpoints["tick_ns"][~sound & (checkpoints["phase"] == Phase.AFTER_SWITCH)]
        checkpoints = checkpoints.view(f"V{checkpoints.dtype.itemsize}")[sound].view(checkpoints.dtype)
        checkpoints["version"] = versions_of(checkpoints, self.layout)  # the head's is of the cycle before
        return replace(piece, records=records, checkpoints=checkpoints), cuts

    def difference(self, records: Records) -> Difference:
        """The first that was found, in these records."""
        found = self._fields[0]
        record, what = records[int(found["first_index"])], What(int(found["first_what"]))
        place, name = int(found["first_place"]), ""
        if what in (What.RAW, What.PUBLISHED):
            name = names_of(self.task.outputs)[place]
        elif what is What.STATE:
            name = self.layout.regions[place][0]
        return Difference(
            int(record["tick_ns"]), int(record["number"]), int(record["version"]), what, name,
            int(found["first_wanted"]), int(found["first_got"]),
        )  # fmt: skip

    def _set(self, **fields: int) -> None:
        for name, value in fields.items():
            self._fields[name] = value

    def _table(self, dtype: np.dtype[Any], rows: list[tuple[int, ...]]) -> NDArray[Any]:
        table = np.array(rows, dtype) if rows else np.zeros(0, dtype)
        self._parts.append(table)
        return table


class _Feed:
    """Brings pieces when the clock has played the one before, and takes what came out of that."""

    def __init__(self, owner: Replay, pieces: Iterator[Piece], keeps: bool, each: Each | None) -> None:
        self._owner, self._pieces, self.keeps, self._each = owner, pieces, keeps, each
        self._now: tuple[Piece, Plan, Records | None] | None = None
        self._before = Before()
        self.rows: list[Records] = []
        self.left_out: Counter[Why] = Counter()
        self.recorded = 0
        self.first: Difference | None = None
        self.failure: BaseException | None = None

    def more(self, _replay: int) -> int:
        """1 if there is another piece. Native code calls it, so nothing may be raised."""
        try:
            self._close()
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._open(*self._owner.checked(piece))
            return 1
        except BaseException as error:  # a Control-C as well: it is raised again when the native code has returned
            self.failure = error
            return 0

    def _open(self, piece: Piece, cuts: NDArray[np.int64]) -> None:
        before = self._before if piece.goes_on else Before()
        planned = plan(piece.records, piece.checkpoints, self._owner.known, before, cuts)
        self._before = planned.after
        planned.checks["address"] = (
            piece.checkpoints.ctypes.data
            + planned.checks["address"] * piece.checkpoints.dtype.itemsize
            + CHECKPOINT_HEAD.itemsize
        )
        rows = None
        if self.keeps or self._each is not None:
            rows = np.zeros(len(piece.records), kept_dtype(self._owner.layout.output_count))
            rows["what"] = NOT_REPEATED
        self.recorded += len(piece.records)
        self.left_out.update(planned.left_out)
        self._now = piece, planned, rows
        self._owner.put(piece, planned, rows)

    def _close(self) -> None:
        if self._now is None:
            return
        piece, _, rows = self._now
        if self.first is None and self._owner.differed:
            self.first = self._owner.difference(piece.records)
        if rows is not None and self.keeps:
            self.rows.append(rows)
        if rows is not None and self._each is not None:
            self._each(piece, rows)
        self._now = None


def _without_devices(task: Task) -> Task:
    """What needs time is told by the record: whether the smaller model computed, is not measured again."""
    late = None if task.on_late is None else replace(task.on_late, needs_s=0.0)
    return replace(task, exchanges=(), on_late=late)


__all__ = ["CLOCK", "NOT_REPEATED", "Difference", "Piece", "Replay", "Replayed", "What", "Why", "replay_task"]
