"""A link that is called by its device: PLC clients write its inputs and read its outputs whenever they like.

    client  --write-->  inputs   --published at once-->  tasks
    client  <--read---  outputs  <--newest, or safe----  tasks

The inputs of one link are one group with one communication timeout: they are GOOD from the moment when every one of them
has been written, all elements of arrays too, and BAD when no client has written any for `timeout_s`. Then all have to be
written again: nobody knows what a client that comes back still believes.

What a client wrote while the process stood still has lain since then, nobody knows how long: it counts as one poll younger
than the last look at the clients.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldbus.link.link import NS, Link
from fieldbus.link.state import LinkStatus
from fieldbus.tags import Quality, Tag

POLLS = 4
"""How often within the timeout the servers look whether clients still write."""
_NAMED = 3
"""How many inputs a sentence names."""


class PlcLink(Link):
    """The tags that PLC clients write ("in") and read ("out"), through whatever servers there are.

    `write`, `outputs` and `poll` are for the servers' thread, which calls `poll` `POLLS` times within the timeout.
    Tasks do not depend on that: the age of their inputs shows the silence as well.
    """

    def __init__(self, name: str, tags: Sequence[Tag], timeout_s: float = 0.1) -> None:
        super().__init__(name, tags, timeout_s)
        self._lock = threading.Lock()
        self._missing: set[int] = set()
        self._awaited: tuple[int, ...] = ()
        """Cells that were still missing after the newest write."""
        self._heard_ns = self._looked_ns = 0
        self._every_ns = round(timeout_s * NS / POLLS)
        self._is_running = False
        self._was_read = threading.Event()

    @property
    def input_tags(self) -> tuple[Tag, ...]:
        """What clients write, in the order of the cells."""
        return tuple(self._in.cells.tags.values())

    @property
    def output_tags(self) -> tuple[Tag, ...]:
        """What clients read, in the order of the cells."""
        return tuple(self._out.cells.tags.values())

    def start(self) -> None:
        """Begin to take what clients write."""
        with self._lock:
            self.reset_counters()
            self._missing = self._all()
            self._awaited = ()
            self._is_running = True
            self._looked_ns = time.monotonic_ns()
            self._enter("connecting")

    def ask_to_stop(self, safe: bool = True) -> None:
        """From now on a read of the outputs counts as their confirmation. Tasks have stopped, so they are safe."""
        self._was_read.clear()

    def stop(self, safe: bool = True) -> bool:
        """End; gives whether a client has read the outputs since `ask_to_stop`, for which it waits up to the timeout."""
        confirmed = bool(self.output_tags) and self._is_running and self._was_read.wait(self.timeout_s if safe else 0.0)
        with self._lock:
            if self._is_running:
                self._is_running = False
                self._in.publish(Quality.BAD)
                self._enter("stopped")
        return confirmed

    def write(self, values: NDArray[np.float64], changed: Iterable[int]) -> bool:
        """Take all inputs, of which a client has written these cells; False when the link does not run."""
        with self._lock:
            if not self._is_running:
                return False
            now_ns = time.monotonic_ns()
            self._notice_silence(now_ns)
            self._heard_ns = min(now_ns, self._looked_ns + self._every_ns)
            self._missing.difference_update(changed)
            self._in.incoming[:] = values
            self._counts["implausible"] += self._in.accept(self._heard_ns)
            lifeless = self._note = self._lifeless(now_ns)
            is_old = now_ns - self._heard_ns > self.timeout_s * NS
            self._in.publish(Quality.BAD if self._missing or is_old or lifeless else Quality.GOOD)
            self._counts["reads"] += 1
            self._awaited = tuple(self._missing)
            if not self._missing and self._state[0] != "up":
                self._enter("up")
            return True

    def status(self) -> LinkStatus:
        """How the link is, now. `last_error` names the inputs that clients leave out, for which the others wait."""
        status, awaited = super().status(), self._awaited
        if status.state == "up" or not awaited:
            return status
        names, end = [], 0
        for tag in self.input_tags:
            first, end = end, end + tag.count
            if any(first <= cell < end for cell in awaited):
                names.append(tag.name)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        shown = ", ".join(names[:_NAMED]) + more
        return replace(status, last_error=f"no client has written {shown}, without which no input is good")

    def inputs(self) -> NDArray[np.float64]:
        """The inputs as they were last written."""
        return self._in.values

    def outputs(self) -> NDArray[np.float64]:
        """What tasks drive, or the safe values of those that do not."""
        with self._lock:
            safe, limited = self._out.gather(time.monotonic_ns())
            self._counts["writes"] += 1
            self._counts["safe_writes"] += safe
            self._counts["limited"] += limited
            self._was_read.set()
            self._out.publish(time.monotonic_ns())
            return self._out.values

    def _quality(self, tag: Tag) -> Quality:
        return Quality.GOOD if tag.direction == "out" else super()._quality(tag)

    def poll(self, now_ns: int) -> None:
        """Notice that no client writes any more."""
        with self._lock:
            self._notice_silence(now_ns)
            self._looked_ns = now_ns

    def _all(self) -> set[int]:
        return set(range(self._in.cells.count))

    def _notice_silence(self, now_ns: int) -> None:
        if not self.input_tags or now_ns - self._heard_ns <= self.timeout_s * NS:
            return
        self._missing = self._all()
        if self._state[0] == "up":
            self._lost_reason = f"no client has written for {self.timeout_s * 1e3:g} ms"
            self._failed(self._lost_reason)
            self._counts["timeouts"] += 1
            self._enter("down")
            self._in.publish(Quality.BAD)
            self._enter("connecting")
