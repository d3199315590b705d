"""The recorder: triggers decide which cycles are kept, a thread of its own writes them.

    drain's thread      cycles -> triggers -> episodes -> jobs of each lane       never waits for a disk
    writer's thread     jobs -> files; then their room in the ring is the tap's

Whatever a disk does, tasks and drain go on. What it does not take waits in the rings for `stall`, then the oldest cycles give way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from station.machine.computer import Level
from station.recorder.drain import Drain
from station.recorder.episodes import Always, Episode, Episodes, Fired, Plan
from station.recorder.lanes import Lane
from station.recorder.pieces import Clocks, Facts, Pieces, is_full
from station.recorder.shelf import Shelf
from station.recorder.triggers import Triggers, assigned
from station.show.recorder import RecorderView
from station.terms.expressions import Condition
from station.terms.recorder import RecorderTable

ROUND_S: Final = 1.0
"""How often is written."""
SYNC_ROUNDS: Final = 10
PATIENCE_S: Final = 10.0
SLACK_NS: Final = 250_000_000
"""From a cycle's tick until it has been looked at, at most, besides two of its periods."""
PAGE_NS: Final = 1_000_000_000
WRITE_NS: Final = 2_000_000_000
"""From when a cycle is kept until it is written, by a disk that is well."""
Tell = Callable[[str, Level], None]
NS: Final = 1e9


class Recorder:
    """See the module. `start` after its drain's, `stop` after it.

    Args:
        table: `[recorder]`.
        shelf: where its files go.
        drain: whose cycles.
        facts: what each file says besides.
        when: the conditions of the table.
        count: (task, kind) -> how often a monitor spoke, or versions disagreed.
        tell: hears what people should know.
        clocks: both clocks.
        tasks: those of the drain that are recorded; None: all.
    """

    def __init__(
        self,
        table: RecorderTable,
        shelf: Shelf,
        drain: Drain,
        facts: Facts,
        when: Iterable[Condition],
        count: Callable[[str, str], int],
        tell: Tell,
        clocks: Clocks,
        tasks: Iterable[str] | None = None,
    ) -> None:
        self._table, self._shelf, self._drain, self._tell, self._clocks = table, shelf, drain, tell, clocks
        layouts = {ring.layout.task: ring.layout for ring in drain.rings}
        if tasks is not None:
            layouts = {task: layouts[task] for task in tasks}
        self.tasks = frozenset(layouts)
        conditions = assigned(when, layouts)
        self._triggers = {
            task: Triggers(layout, table.on, conditions[task], lambda kind, task=task: count(task, kind))  # type: ignore[misc]
            for task, layout in layouts.items()
        }
        longest_ns = max((layout.period_ns for layout in layouts.values()), default=0)
        self._plan: Plan = (
            Always()
            if table.mode == "continuous"
            else Episodes(table.before_ns + table.checkpoint_ns, table.after_ns, slack_ns(longest_ns))
        )
        self._records = tuple(lane for lane in drain.records if lane.task in layouts)
        self._lanes = (*(lane for lane in drain.checkpoints if lane.task in layouts), *self._records)
        """In the order in which they are written: of a file that ends early, what is there can be replayed."""
        self._pieces = Pieces(shelf, table, facts, clocks)
        self._lock = threading.Lock()
        self._fired: list[Fired] = []
        self._over: list[Episode] = []
        self._held: Lane | None = None
        """Its newest job is with its file, and not yet written."""
        self.triggers = 0
        self.trouble = ""
        self._lost_before, self._dropped_before = 0, 0
        self._rounds = 0
        self._done, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Write again and again, until `stop`."""
        with self._troubled():
            self._pieces.ground.begin()
            self._pieces.keep_quota()
        self._drain.keeper = self
        self._done.clear()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """All that was kept is written, if the disk takes it in time; files are whole. The drain has stopped.

        Gives whether it was; else what waits is still in the rings, for a salvage.
        """
        self._done.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                self._tell(f"the disk does not answer: {self._waits:,} cycles that were kept are not written", "bad")
                return False
            self._thread = None
        self._round()
        waits = self._waits
        if waits:
            self._tell(f"{waits:,} cycles that were kept are not written: the next start saves them", "bad")
        for episode in self._plan.episodes:
            with self._troubled():
                self._pieces.end(episode)
        self._drain.keeper = None
        return not waits

    def _run(self) -> None:
        while not self._done.is_set():
            self._wake.wait(ROUND_S)
            self._wake.clear()
            try:
                self._round()
            except Exception as error:  # a fault of ours: control and drain go on, and it is not hidden
                self.failed(OSError(None, f"{type(error).__name__}: {error}"))

    # --- what others ask ----------------------------------------------------------------------------------------------

    def record(self, why: str) -> str:
        """A trigger by command, now; gives in words what is kept."""
        fired = Fired(self._clocks.monotonic(), "command", "", why)
        with self._lock:
            self._fired.append(fired)
        if self.trouble:
            return f"noted; but nothing can be written in {self._shelf.folder} now: {self.trouble}"
        if self._table.mode == "continuous":
            return "noted in the recording, which is continuous"
        before, after = (ns / NS for ns in (self._table.before_ns, self._table.after_ns))
        return f"the last {before:g} s and the next {after:g} s are kept in {self._shelf.folder}"

    def view(self) -> RecorderView:
        """Now."""
        return RecorderView(
            mode=self._table.mode,
            is_recording=bool(self._pieces.open) and not self.trouble,
            files=self._pieces.files,
            nbytes=self._pieces.nbytes,
            quota=self._table.quota,
            triggers=self.triggers,
            dropped=self._dropped,
            lost=self._lost,
            removed=self._pieces.removed,
            newest=self._pieces.newest,
            trouble=self.trouble,
        )

    @property
    def _lost(self) -> int:
        return sum(lane.lost for lane in self._records)

    @property
    def _dropped(self) -> int:
        return sum(lane.ring.dropped for lane in self._records)

    @property
    def _waits(self) -> int:
        return sum(lane.waits for lane in self._records)

    # --- the drain's thread -------------------------------------------------------------------------------------------

    def seen(self, lane: Lane, records: Any) -> None:
        """Look for triggers in new cycles."""
        if lane.kind == "records" and len(records):
            fired = self._triggers[lane.task].look(records)
            if fired:
                with self._lock:
                    self._fired += fired

    def looked(self, look_ns: int) -> None:
        """Decide what is kept."""
        with self._lock:
            fired, self._fired = sorted(self._fired, key=lambda one: one.tick_ns), []
        with self._lock:
            for one in fired:
                self._plan.fire(one)
        self.triggers += len(fired)
        for lane in self._lanes:
            lane.decide(self._plan, look_ns)
            lane.spare()
        over = self._plan.ended(look_ns)
        with self._lock:
            self._over += over
        if over:
            self._wake.set()

    # --- the writer's thread ------------------------------------------------------------------------------------------

    def _round(self) -> None:
        """Write what is kept; end the files of episodes that are over."""
        with self._lock:
            over = list(self._over)
        with self._troubled():
            self._write_held()
            for lane in self._lanes:
                self._write(lane)
            self._note()
            for episode in over:
                with self._lock:
                    self._over.remove(episode)
                self._pieces.end(episode)
            self._rounds += 1
            is_tenth = self._rounds % SYNC_ROUNDS == 0
            if self.trouble or (is_tenth and not self._pieces.open):
                self._pieces.ground.probe()
            if over or self._pieces.open or is_tenth:
                self._pieces.keep_quota()
            for piece in self._pieces.open if is_tenth else ():
                piece.sync()
            self._well()

    def _write_held(self) -> None:
        if self._held is not None:
            for piece in self._pieces.open:
                piece.flush()
            self._held.done()
            self._held = None

    def _write(self, lane: Lane) -> None:
        while (one := lane.take()) is not None:
            job, records = one
            assert job.episode is not None
            try:
                piece = self._pieces.of(job.episode)
            except OSError:
                lane.given_up()
                raise
            self._held = lane
            piece.add(lane.kind, lane.task, records)
            piece.flush()
            lane.done()
            self._held = None

    def _note(self) -> None:
        """What happened besides: triggers, versions, cycles that are missing, a clock that was set."""
        with self._lock:
            self._pieces.note_fired()
        lost, dropped = self._lost, self._dropped
        for piece in self._pieces.open:
            moved_ns = piece.look()
            if abs(moved_ns) >= NS:
                self._tell(
                    f"the clock was set by {moved_ns / NS:+.1f} s: files keep the time at which they began", "warn"
                )
            if dropped > self._dropped_before:
                piece.event(
                    "dropped", f"{dropped - self._dropped_before} cycles dropped: the ring was full", count=dropped
                )
            if lost > self._lost_before:
                piece.event("lost", f"{lost - self._lost_before} cycles lost: the disk did not take them", count=lost)
            piece.flush()
        if dropped > self._dropped_before:
            self._tell(f"{dropped - self._dropped_before} cycles were not recorded: the ring was full", "warn")
        self._lost_before, self._dropped_before = lost, dropped

    def _troubled(self) -> _Troubled:
        return _Troubled(self)

    def failed(self, error: OSError) -> None:
        """The disk did not take something: it is tried again in the next round."""
        if not is_full(error):
            self._pieces.gone()
            if self._held is not None:
                self._held.given_up()
                self._held = None
        words = error.strerror or str(error)
        if words != self.trouble:
            self._tell(f"cannot be written in {self._shelf.folder}, control goes on: {words}", "bad")
        self.trouble = words

    def _well(self) -> None:
        if self.trouble:
            self.trouble = ""
            lost = self._lost
            self._tell(f"is written again; {lost} cycles were lost since the start", "warn" if lost else "ok")


class _Troubled:
    """What the disk does not take is told to the recorder, and nobody else."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, OSError):
            self._recorder.failed(error)
            return True
        return False


def slack_ns(longest_period_ns: int) -> int:
    """How long after its tick a cycle has been looked at, at most."""
    return SLACK_NS + 2 * longest_period_ns


def capacity(table: RecorderTable | None, period_ns: int) -> int:
    """Cycles that the ring of a task has room for: what must stay in it, and what may wait for a disk. None: for a page alone."""
    if table is None:
        return -(-PAGE_NS // period_ns)
    before_ns = table.before_ns + table.checkpoint_ns if table.mode == "trigger" else 0
    return -(-(before_ns + slack_ns(period_ns) + WRITE_NS + table.stall_ns) // period_ns)


def checkpoints(table: RecorderTable | None, period_ns: int) -> int:
    """Checkpoints that it has room for: as many as come in that time, and some for other versions."""
    if table is None:
        return 2
    return -(-capacity(table, period_ns) * period_ns // table.checkpoint_ns) + 8
