"""A link whose exchange is native: the link's thread is the keeper, the exchange runs elsewhere.

keeper (Python)      connects, lays out the plan, arms; is woken when something happens that only Python understands
runner (native)      a real-time thread of the link's own, or the cycle of the task that owns the link
"""

import os
import select
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldbus.codec import Field
from fieldbus.errors import (
    ConfigurationError,
    ConnectionLostError,
    DeviceError,
    GarbageError,
    NoAnswerError,
    RefusedError,
    ResourceError,
    told,
)
from fieldbus.exchange.block import MOST_TOGETHER, Event, Phase
from fieldbus.exchange.carried import Carried
from fieldbus.exchange.memory import Exchange, Note
from fieldbus.exchange.plan import Plan, Transaction
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.cyclic import TOLD_IN_TIME, CyclicLink, precise_sleep
from fieldbus.link.link import NS
from fieldbus.link.state import LinkStatus
from fieldbus.link.values import TagValue
from fieldbus.tags import Quality, Tag
from rt_native.faults import leave_signals
from rt_native.histogram import Histogram

How = Literal["own-thread", "in-cycle"]

_LOOK_MS = 200
"""The keeper looks at least so often, without being woken."""
_BETWEEN_S = 0.01
"""It does not look more often than that, however much happens."""
_STACK_BYTES = 256 * 1024
_BEATS = 3.0
"""Cycles without a complete answer until the link is degraded."""
_SHOWN_BYTES = 32
GOES_ON = (Event.REFUSED, Event.BUSY, Event.MISSED, Event.NOISE, Event.COUNTER, Event.STATE)
"""Notes after which the exchange goes on."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the exchange runs on: a descriptor that does not block, and what is done with it."""

    fd: int
    plan: Plan
    is_socket: bool = True
    begin_ns: int = 0
    """CLOCK_MONOTONIC: some devices want to be left in peace after connecting."""
    already: bytes = b""
    """What came before the exchange is begun, and is still to be looked at."""


class NativeLink(CyclicLink):
    """A link to a device whose exchange is carried out without Python, in the link's own thread or in a task's cycle.

    A kind brings `_open` and `_close`, and `_connection`, which says what the exchange is; None: it is done in Python after all
    (`_exchange`, `_write`). `_named` says what bytes mean that were not expected.

    Args:
        exchange: "own-thread", or "in-cycle": a task that has the link among its `exchanges` carries it out at its tick.
    """

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        cycle_s: float,
        timeout_s: float,
        *,
        backoff_s: tuple[float, float] = (0.05, 2.0),
        exchange: How = "own-thread",
    ) -> None:
        self._native: Exchange | None = None
        super().__init__(name, tags, cycle_s, timeout_s, backoff_s=backoff_s)
        self.how: How = exchange
        self.has_clock = False
        """Has the device a clock that the ticks of who carries out the exchange are to follow?"""
        self.period_ns = round(cycle_s * NS)
        """From one exchange to the next: that of the task that carries it out."""
        self.prepare: Callable[[], object] | None = None
        """Called once in the thread of the exchange before it begins: gives it real-time rights."""
        timeout_ns, cycle_ns = round(timeout_s * NS), round(cycle_s * NS)
        self._native = Exchange(self._in.cells, self._out.cells, timeout_ns, cycle_ns, round(timeout_ns * TOLD_IN_TIME))
        self._round_trip = self._native.round_trip
        self._runner: threading.Thread | None = None
        self._is_in_python = False
        self._laying = threading.RLock()
        """Tables of channels name transactions by their place in the plan: both are made by one at a time."""
        self._carried: Carried | None = None
        """Of the plan that is laid."""
        self._stale_since_s: float | None = None
        self._has_answered = False
        """Was there ever a whole exchange that was good?"""
        self._beats = (-1, 0)
        """How often the exchange was begun, and since when that is so."""

    # --- what a kind provides -----------------------------------------------------------------------------------------

    @abstractmethod
    def _connection(self) -> Connection | None:
        """What to exchange, now that `_open` has connected; None: Python does it."""

    @abstractmethod
    def _named(self, transaction: Transaction, frame: bytes, note: Note) -> DeviceError:
        """The error that a frame means which is not the expected answer, or which is a refusal."""

    def _is_outdated(self) -> bool:
        """Has what was told led to another plan, which `_connection` gives?"""
        return False

    def _was_good(self) -> None:
        """A whole exchange was good, after one that was not."""

    def _tend(self) -> None:
        """Look after the device while the exchange runs: called in each round of the keeper, at least every `_look_ms`."""

    # --- channels -----------------------------------------------------------------------------------------------------

    def subscribe(self, image: ProcessImage, tag_names: Sequence[str], reader: str, name: str = "") -> Channel:
        """See `Link.subscribe`."""
        with self._laying:
            channel = super().subscribe(image, tag_names, reader, name)
            self.exchange.subscribers(self._in.channels)
        return channel

    def drive(self, image: ProcessImage, tag_names: Sequence[str], writer: str, name: str = "") -> Channel:
        """See `Link.drive`."""
        with self._laying:
            channel = super().drive(image, tag_names, writer, name)
            channel.reaction = Histogram()
            self.exchange.drivers(self._out.channels)
        return channel

    def observe(self, image: ProcessImage, reader: str, name: str = "") -> Channel:
        """See `Link.observe`."""
        with self._laying:
            channel = super().observe(image, reader, name)
            self.exchange.observers(self._out.observers)
        return channel

    @property
    def exchange(self) -> Exchange:
        """The native memory; its `address` is what a task that owns the link carries out."""
        assert self._native is not None
        return self._native

    def watch_life(self, tag_name: str, timeout_s: float) -> None:
        """See `Link.watch_life`."""
        super().watch_life(tag_name, timeout_s)
        self.exchange.watch(self._in.cells.first[tag_name], round(timeout_s * NS))

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect and to exchange; returns at once."""
        if self._thread is None:
            self.exchange.stop(False)
            self.exchange.force_safe(False)
            self._is_in_python = False
            self._start_runner()
        try:
            super().start()
        except ResourceError:
            self._stop_runner()
            raise

    def ask_to_stop(self, safe: bool = True) -> None:
        """Begin what `stop` ends; returns at once."""
        super().ask_to_stop(safe)
        with suppress(OSError):
            os.eventfd_write(self.exchange.wake_fd, 1)

    def _start_runner(self) -> None:
        if self.how == "in-cycle":
            return
        before = threading.stack_size(_STACK_BYTES)
        try:
            self._runner = threading.Thread(target=self._exchange_here, name=f"io-{self.name}", daemon=True)
            self._runner.start()
        except RuntimeError as error:
            self._runner = None
            message = f"the system gave no thread for link {self.name!r}: {error}; see 'ulimit -u'"
            raise ResourceError(message) from error
        finally:
            threading.stack_size(before)

    def _exchange_here(self) -> None:
        leave_signals()
        precise_sleep()
        if self.prepare is not None:
            self.prepare()
        self.exchange.run()

    def _stop_runner(self) -> None:
        """A phase has a bounded length, so this is soon."""
        self.exchange.stop()
        if self._runner is not None:
            self._runner.join(self.timeout_s + 1.0)
            self._runner = None

    def _finish(self) -> None:
        self._stop_runner()
        super()._finish()

    # --- the keeper ---------------------------------------------------------------------------------------------------

    def _cycles(self) -> None:
        while not self._stop.is_set():
            connection = self._connection()
            if connection is None:
                self._stop_runner()
                self._is_in_python = True
                super()._cycles()
                return
            self._arm(connection)
            try:
                self._keep()
            finally:
                self._take()

    def _arm(self, connection: Connection) -> None:
        exchange = self.exchange
        if not exchange.is_mine:  # it did not come to an end: what the runner works on must not be laid anew
            self._take()
        if exchange.plan is not connection.plan:
            self._lay(connection.plan)
        exchange.arm(connection.fd, connection.is_socket, connection.begin_ns, connection.already)

    def _lay(self, plan: Plan) -> None:
        with self._laying:
            self.exchange.lay(plan)
            self._carried = Carried(plan, self._in.cells.tags, self._place)
            self.exchange.subscribers(self._in.channels)

    def _take(self) -> None:
        if not self.exchange.take():
            raise ConnectionLostError("the exchange does not come to an end")

    def _keep(self) -> None:
        """Sleep until woken; see what the runner has to tell.

        Ends when the link is stopped, or has another plan; raises when the connection is over.
        """
        exchange, poll = self.exchange, select.poll()
        poll.register(exchange.wake_fd, select.POLLIN)
        while not self._stop.is_set() and not self._is_outdated():
            poll.poll(self._look_ms())
            with suppress(BlockingIOError):
                os.eventfd_read(exchange.wake_fd)
            is_over = exchange.is_mine
            note = exchange.note()
            if note is not None:
                self._hear(note)
            if is_over:
                raise ConnectionLostError("the exchange ended without a reason")
            self._show()
            self._tend()
            if self.how == "in-cycle":
                self._stand_in()
            self._stop.wait(_BETWEEN_S)

    def _stand_in(self) -> None:
        """While the task does not cycle, the device is exchanged with here: it gets the safe values, others their inputs."""
        now_ns, beats = time.monotonic_ns(), self.exchange.counter("cycles")
        if beats != self._beats[0]:
            self._beats = beats, now_ns
        elif now_ns - self._beats[1] > self.timeout_s * NS / 2:
            self.exchange.phase(Phase.ALL, now_ns + round(self.timeout_s * NS / 2))
            self._beats = self.exchange.counter("cycles"), self._beats[1]

    def _hear(self, note: Note) -> None:
        """Say what a note means; raise it if it ends the connection."""
        error = self._error_of(note)
        if note.event in GOES_ON:
            self._last_error = told(error)
            return
        raise error

    def _transaction(self, note: Note) -> Transaction:
        assert self.exchange.plan is not None
        return self.exchange.plan.questions[note.transaction]

    def _error_of(self, note: Note) -> DeviceError:
        """The words for a note."""
        asked = f"{self._transaction(note).label}: " if note.transaction >= 0 else ""
        shown = shown_bytes(note.frame)
        match note.event:
            case Event.CLOSED:
                return ConnectionLostError("the device closed the connection")
            case Event.FAILED:
                return ConnectionLostError(f"the connection broke: {os.strerror(note.error)}")
            case Event.NOT_SENT:
                return ConnectionLostError("the device does not read what it is sent")
            case Event.MISSED if note.code:
                return NoAnswerError(f"{asked}{self._other_number(note.code - 1, note.number)}")
            case Event.SILENT | Event.MISSED:
                got = f"half an answer: {shown}" if note.frame else "no answer"
                return NoAnswerError(f"{asked}{got} in time{'' if self._has_answered else self._deaf()}")
            case Event.NOISE:
                return GarbageError(f"the line is never quiet: somebody else talks on it: {shown}")
            case Event.GARBAGE:
                return GarbageError(f"{asked}{self._no_frame(note.frame)}")
            case Event.UNASKED:
                return self._named_unasked(note)
            case _:
                return self._named(self._transaction(note), note.frame, note)

    def _other_number(self, came: int, asked: int) -> str:
        """In words: what came answers another question."""
        return f"an answer with number {came} came where {asked} was asked"

    def _deaf(self) -> str:
        """What may help with a device that has never answered, in words."""
        return ""

    def _no_frame(self, frame: bytes) -> str:
        """In words: these bytes cannot begin a frame."""
        return f"what came is no frame: {shown_bytes(frame)}"

    def _named_unasked(self, note: Note) -> DeviceError:
        return GarbageError(f"an answer to a question that was not asked: {shown_bytes(note.frame)}")

    def _show(self) -> None:
        """The state that the newest cycles mean. One missed beat is no change of state, nor is it a device to which a
        connection was made and which has said nothing yet: the attempt goes on (a serial line has no connections)."""
        health, now_s = self.exchange.health, time.monotonic()
        if health is None:
            return
        self._has_answered = self._has_answered or health is Quality.GOOD
        if health is not Quality.STALE:
            self._stale_since_s = None
        elif self._stale_since_s is None:
            self._stale_since_s = now_s
        is_lifeless, has_changed = self.exchange.lifeless
        if health is Quality.GOOD and is_lifeless and self._life is not None:
            self._not_well(self._life.words(has_changed))
        elif health is Quality.GOOD and self._state[0] != "up":
            self._backoff.reset()
            self._was_good()
            self._enter("up")
        elif (
            (self._state[0] == "connecting" and self.exchange.is_mute)
            or health is Quality.GOOD
            or self._state[0] == "degraded"
        ):
            return
        elif self._stale_since_s is None or now_s - self._stale_since_s > _BEATS * self.cycle_s:
            if not self._last_error and self.exchange.plan is not None:
                label = self.exchange.plan.transactions[max(self.exchange.pending, 0)].label
                self._last_error = f"{label}: no answer by the task's I/O deadline"
            self._enter("degraded")

    def _look_ms(self) -> int:
        """How long to sleep at most: a state that changes with time has to be looked at."""
        if self.exchange.health is Quality.STALE:
            return max(1, min(_LOOK_MS, round(_BEATS * self.cycle_s * 1e3)))
        return _LOOK_MS if self.how == "own-thread" else max(1, min(_LOOK_MS, round(self.timeout_s * 250)))

    def _lost(self, reason: str) -> None:
        self.exchange.lose()
        super()._lost(reason)

    def _shut(self) -> None:
        """A descriptor on which a phase is under way stays open: its number would be somebody else's, who is sent the rest."""
        while not self.exchange.take():
            continue
        super()._shut()

    def _all_bad(self) -> None:
        self.exchange.lose()
        if self._is_in_python:
            super()._all_bad()
        elif self._runner is None:  # else the runner tells
            self.exchange.publish_age()

    # --- safe values at the end ---------------------------------------------------------------------------------------

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        """The safe values, carried out by this thread."""
        connection = self._connection()
        if connection is None:
            self._write_in_python(outputs, deadline_ns)
            return
        exchange = self.exchange
        exchange.force_safe()
        self._arm(connection)
        before = [int(t["confirmed"]) for t in exchange.transactions]
        exchange.phase(Phase.WRITES, deadline_ns)
        is_line = connection.plan.frames.line is not None  # there everybody was asked
        if not is_line and not exchange.is_mine and not self._are_confirmed(connection.plan, before):
            exchange.ask_all_again()  # those who were silent were not waited for: others had to become safe first
            exchange.phase(Phase.WRITES, deadline_ns)
        note = exchange.note()
        self._take()
        if note is not None:
            raise self._error_of(note)
        for i, transaction in enumerate(connection.plan.transactions[: connection.plan.writes]):
            if transaction.answer is None:
                raise NoAnswerError(f"{transaction.label}: a broadcast, which nobody confirms")
            if int(exchange.transactions[i]["confirmed"]) == before[i]:
                raise NoAnswerError(f"{transaction.label}: no answer in time")

    def _are_confirmed(self, plan: Plan, before: Sequence[int]) -> bool:
        asked = plan.transactions[: plan.writes]
        now = [int(t["confirmed"]) for t in self.exchange.transactions]
        return all(t.answer is None or now[i] != before[i] for i, t in enumerate(asked))

    def _write_in_python(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        raise NotImplementedError

    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        raise NotImplementedError

    @property
    def has_driven(self) -> bool:
        """See `Link.has_driven`."""
        return super().has_driven or self.exchange.counter("driven") > 0

    # --- what others see ----------------------------------------------------------------------------------------------

    def status(self) -> LinkStatus:
        """How the link is, now."""
        exchange, status = self.exchange, super().status()
        return replace(
            status,
            reads=status.reads + exchange.counter("reads"),
            writes=status.writes + exchange.counter("writes_done"),
            errors=status.errors + exchange.counter("errors"),
            safe_writes=status.safe_writes + exchange.counter("safe_writes"),
            limited=status.limited + exchange.counter("limited"),
            implausible=status.implausible + exchange.counter("implausible"),
            frames_lost=exchange.counter("frames_lost"),
            wrong_counters=exchange.counter("wrong_counters"),
            foreign_frames=exchange.counter("foreign"),
            late=exchange.counter("late"),
            state_changes=exchange.counter("state_changes"),
        )

    def reset_counters(self) -> None:
        """Count from 0 again."""
        super().reset_counters()
        if self._native is not None:
            self._native.reset_counters()
            for channel in self._out.channels:
                if channel.reaction:
                    channel.reaction.reset()

    def _value(self, tag: Tag, inputs: NDArray[np.float64], heard_ns: int) -> TagValue:
        """Of the newest answer, or request, that carries the tag."""
        exchange, carried = self.exchange, self._carried
        of = carried.transactions.get(tag.name) if carried is not None else None
        if not of:
            return super()._value(tag, inputs, heard_ns)
        try:
            rows = [exchange.transactions[i] for i in of]
        except IndexError:  # another plan was laid meanwhile
            return super()._value(tag, inputs, heard_ns)
        first = (self._in if tag.direction == "in" else self._out).cells.first[tag.name]
        cells = exchange.values_in if tag.direction == "in" else exchange.values_out
        asked_ns = min(int(row["asked_ns"]) for row in rows)
        age_ns = max(0, time.monotonic_ns() - asked_ns) if asked_ns else None
        is_old = age_ns is None or age_ns > self.timeout_s * NS
        quality = Quality.BAD if is_old else Quality(max(int(row["quality"]) for row in rows))
        if tag.direction == "in" and (exchange.suspect[first : first + tag.count].any() or exchange.lifeless[0]):
            quality = Quality.BAD
        return TagValue(tag, tuple(cells[first : first + tag.count].tolist()), self._raw(tag), quality, age_ns)

    def _doubts(self) -> str:
        """Which inputs mean nothing now, and why."""
        exchange = self.exchange
        if exchange.plan is None or not exchange.suspect.any():
            return super()._doubts()
        return self._in.doubts_of(exchange.values_in.copy(), exchange.suspect.astype(np.bool_))

    def _raw(self, tag: Tag) -> bytes:
        """The bytes of the tag in the newest answer, or request."""
        exchange, carried = self.exchange, self._carried
        if carried is None:
            return b""
        newest = exchange.newest if tag.direction == "in" else exchange.asked
        try:
            return b"".join(newest(i)[at:][place] for i, at, place in carried.parts.get(tag.name, ()))
        except IndexError:  # another plan was laid meanwhile
            return b""

    def _place(self, transaction: int, field: Field) -> slice:
        """The bytes of a field to be shown, in what follows the head."""
        return slice(field.byte, field.byte + field.width * field.count)


def shown_bytes(frame: bytes) -> str:
    """Bytes for people, not too many."""
    more = f" ... ({len(frame)} bytes)" if len(frame) > _SHOWN_BYTES else ""
    return frame[:_SHOWN_BYTES].hex(" ") + more


def together(links: Sequence[NativeLink]) -> NDArray[np.int64]:
    """The table of addresses for a task that carries out the exchanges of these links in its cycle; raises `ConfigurationError`."""
    if len(links) > MOST_TOGETHER:
        raise ConfigurationError(
            f"a task exchanges with at most {MOST_TOGETHER} devices in its cycle, not {len(links)}"
        )
    for link in links:
        if link.how != "in-cycle":
            raise ConfigurationError(f'link {link.name!r} has a thread of its own: make it with exchange="in-cycle"')
    return np.array([link.exchange.address for link in links], np.int64)


__all__ = ["Connection", "NativeLink", "RefusedError", "shown_bytes", "together"]
