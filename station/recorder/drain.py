"""Takes the cycles of all tasks out of their rings, some twenty times a second, and hands them to who listens.

    ring of each task --look--> arrays of records --> listeners (the page's trends)
                                               \\--> keeper (the recorder), which decides what stays; without one they are released

A plain Python thread: no task waits for it. Where it is too slow a ring is full, and its tap drops whole cycles and counts them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from rt_engine.recording.layout import TaskLayout
from station.recorder.lanes import Lane, RingLike

Listener = Callable[[TaskLayout, Any], None]
EVERY_S: Final = 0.05
PATIENCE_S: Final = 5.0


class Keeper(Protocol):
    """Who decides what becomes of what was looked at."""

    @property
    def tasks(self) -> frozenset[str]:
        """Those that it keeps; of others nothing stays."""

    def seen(self, lane: Lane, records: Any) -> None:
        """New ones of a lane; may be none."""

    def looked(self, look_ns: int) -> None:
        """All lanes have been seen."""


class Drain:
    """See the module.

    Args:
        rings: of the tasks.
        tell: hears when a listener fails; it is not called again.
        now: monotonic nanoseconds.
    """

    def __init__(
        self,
        rings: Iterable[RingLike],
        tell: Callable[[str], None] = lambda words: None,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.rings = tuple(rings)
        self.records = tuple(Lane(ring, "records") for ring in self.rings)
        self.checkpoints = tuple(Lane(ring, "checkpoints") for ring in self.rings)
        self.keeper: Keeper | None = None
        self._tell, self._now = tell, now
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, hear: Listener) -> Callable[[], None]:
        """Call `hear(layout, records)` with the new cycles of each task at each look, in the drain's thread; gives what ends it.

        Records are the listener's to keep and not to change. It must return soon; if it raises, it is not called again.
        """
        with self._lock:
            self._listeners = (*self._listeners, hear)
        return lambda: self._forget(hear)

    def _forget(self, hear: Listener) -> None:
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not hear)

    def start(self) -> None:
        """Look again and again, until `stop`."""
        self._done.clear()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """A last look: all cycles that the tasks have made are seen."""
        self._done.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            self._thread = None
        self.look()

    def _run(self) -> None:
        while not self._done.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Once through all rings."""
        look_ns = self._now()
        for lane in self.records:
            records = lane.new()
            if len(records):
                for hear in self._listeners:
                    self._hand(hear, lane.ring.layout, records)
            self._keep(lane, records)
        for lane in self.checkpoints:
            self._keep(lane, lane.new())
        if self.keeper is not None:
            self.keeper.looked(look_ns)

    def _keep(self, lane: Lane, records: Any) -> None:
        if self.keeper is None or lane.task not in self.keeper.tasks:
            lane.drop()
        else:
            self.keeper.seen(lane, records)

    def _hand(self, hear: Listener, layout: TaskLayout, records: Any) -> None:
        try:
            hear(layout, records)
        except Exception as error:  # whatever it is: recording goes on
            self._forget(hear)
            self._tell(f"a listener to recorded cycles failed, and hears no more: {type(error).__name__}: {error}")
