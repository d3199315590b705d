"""An OPC UA server as a device, for slow tags: inputs by subscription, outputs by writing what has changed.

The link's thread has an event loop of its own, which runs while the link waits: nothing of OPC UA runs in a task's thread, and a task
sees what any link gives it. A server that has said nothing for 0.9 of the timeout, not even that nothing has changed, is lost;
session, namespaces, nodes and subscription are then made anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fieldbus.errors import AddressError, ConfigurationError, ConnectionLostError, NoAnswerError, RefusedError
from fieldbus.link.cyclic import CONNECT_S, TOLD_IN_TIME, CyclicLink
from fieldbus.link.link import NS
from fieldbus.link.values import TagValue
from fieldbus.opcua.address import NodeAddress
from fieldbus.tags import Quality, Tag

try:
    from fieldbus.opcua.items import Items
    from fieldbus.opcua.lookup import Lookup
    from fieldbus.opcua.session import Session, Where
    from fieldbus.opcua.values import status_name, variant_of
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "asyncua":
        raise
    raise ConfigurationError("OPC UA needs the package asyncua: pip install 'rt-engine[opcua]'") from error

KEEP_ALIVES: Final = 3
"""A server that has nothing to tell says so so often within the timeout."""
REFRESHES: Final = 2
"""Outputs that stay the same are written again so often within the timeout."""
RETRY_S: Final = 5.0
"""Tags that were not there, or not as they should be, are looked up again after so long."""
BUSY_SAMPLES_PER_S: Final = 20_000
"""So many keep node-opcua's server busy for a quarter of its only core."""
MOST_NAMED: Final = 3
_T = TypeVar("_T")


class OpcUaLink(CyclicLink):
    """`cycle_s` is the publishing interval, and how often outputs are looked at; `sampling_s`: None as often.

    A tag that is not there, has another type or is refused has no value, alone: the others go on, and the link is `degraded`.
    An input whose value is uncertain makes its channels STALE, one that is bad BAD, in a link that is `up`.
    """

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        where: Where,
        cycle_s: float = 0.1,
        timeout_s: float = 2.0,
        sampling_s: float | None = None,
        *,
        backoff_s: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        super().__init__(name, tags, cycle_s, timeout_s, backoff_s=backoff_s)
        for tag in tags:
            if not isinstance(tag.address, NodeAddress):
                raise AddressError(f"tag {tag.name!r} needs a NodeAddress, has {tag.address!r}")
        self._where, self._sampling_s = where, sampling_s
        cells = self._in.cells
        self._scale, self._offset = (
            np.array([getattr(tag, part) for tag in cells.tags.values() for _ in range(tag.count)], np.float64)
            for part in ("scale", "offset")
        )
        self._in.qualities = np.full(cells.count, int(Quality.BAD), np.uint8)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: Session | None = None
        self._items: Items | None = None
        self._lookup: Lookup | None = None
        self._refused: dict[str, str] = {}
        self._sent: dict[str, tuple[float, ...]] = {}
        self._refresh_ns = self._retry_ns = self._turn_ns = 0
        self._is_ending = False
        self._doubted: dict[str, str] = {}
        self._faulty: dict[str, str] = {}
        """Tag -> what is wrong with it, as of the newest exchange: what other threads read."""

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            super()._run()
        finally:
            loop, self._loop = self._loop, None
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def ask_to_stop(self, safe: bool = True) -> None:
        """Begin what `stop` ends; returns at once."""
        super().ask_to_stop(safe)
        loop, items = self._loop, self._items
        if loop is not None and items is not None:
            with suppress(RuntimeError):  # it has just been closed
                loop.call_soon_threadsafe(items.news.set)

    def _cycles(self) -> None:
        while not self._stop.is_set():
            self._cycle(time.monotonic_ns())
            assert self._items is not None
            self._wait(self._pause(self._items), self.cycle_s + self.timeout_s)

    async def _pause(self, items: Items) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(items.news.wait(), self.cycle_s)
        items.news.clear()

    def _wait(self, what: Coroutine[Any, Any, _T], seconds: float) -> _T:
        """Run the loop until it is done; raises `NoAnswerError` when it is not in time."""
        assert self._loop is not None
        try:
            return self._loop.run_until_complete(asyncio.wait_for(what, max(seconds, 0.001)))
        except TimeoutError:
            raise NoAnswerError(f"{self._where.url} does not answer in time") from None

    # --- the device's side --------------------------------------------------------------------------------------------

    def _open(self, deadline_ns: int) -> None:
        self._session = Session(self._where, max(self.timeout_s, CONNECT_S))
        self._lookup = Lookup(self._session, self._check_stopped)
        self._refused, self._sent, self._doubted = {}, {}, {}
        self._refresh_ns = 0
        self._is_ending = self._stop.is_set()  # then only safe values are still to be written
        self._wait(self._session.open(), (deadline_ns - time.monotonic_ns()) / NS)
        wanted = [tag for tag in self.tags if not self._is_ending or tag.direction == "out"]
        limit_s = CONNECT_S + self.timeout_s * (
            1 + 3 * len(wanted) // min(self._session.most["read"], self._session.most["create_monitored_items"])
        )
        self._wait(self._find(wanted), limit_s)
        self._turn_ns = time.monotonic_ns()

    def _check_stopped(self) -> None:
        if self._stop.is_set() and not self._is_ending:
            raise ConnectionLostError("the link is being stopped")

    async def _find(self, tags: Sequence[Tag]) -> None:
        assert self._session is not None and self._lookup is not None
        await self._lookup.look(tags)
        items = Items(self._session, self._in.cells.first, self._in.cells.count)
        if not self._is_ending:
            await items.subscribe(self.cycle_s, self.timeout_s / KEEP_ALIVES, self._sampling_s)
        self._items = items
        await self._monitor(tags)
        self._retry_ns = time.monotonic_ns() + round(RETRY_S * NS)

    async def _monitor(self, tags: Sequence[Tag]) -> None:
        assert self._items is not None and self._lookup is not None
        found = self._lookup.found
        wanted = [(tag, found[tag.name]) for tag in tags if tag.direction == "in" and tag.name in found]
        if wanted:
            self._lookup.faults |= await self._items.add(wanted, self._check_stopped)

    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        items = self._items
        assert items is not None
        now_ns, before_ns, self._turn_ns = time.monotonic_ns(), self._turn_ns, time.monotonic_ns()
        if now_ns - before_ns > self.timeout_s * NS:
            raise NoAnswerError(
                f"this computer stood still for {(now_ns - before_ns) / NS:.1f} s: what came may be old"
            )
        silent_ns, most_ns = now_ns - items.heard_ns, round(self.timeout_s * TOLD_IN_TIME * NS)
        if silent_ns > most_ns:
            raise NoAnswerError(
                f"{self._where.url} has said nothing for {silent_ns / NS:.1f} s, not even that nothing changed{self._much()}"
            )
        self._wait(self._turn(outputs), (items.heard_ns + most_ns - now_ns) / NS)
        items.check()
        np.multiply(items.raw, self._scale, out=inputs)
        inputs += self._offset
        assert self._in.qualities is not None
        self._in.qualities[:] = items.quality
        self._doubted, self._faulty = dict(items.doubts), self._faults()
        return items.heard_ns

    def _much(self) -> str:
        """What may be too much for the server, in words; empty: nothing is."""
        every_s = self.cycle_s if self._sampling_s is None else self._sampling_s
        count = len(self._in.cells.tags)
        return (
            f"; it looks at {count:,} values every {every_s:g} s for us, which may be too much for it: make `sampling` longer"
            if count > BUSY_SAMPLES_PER_S * every_s
            else ""
        )

    async def _turn(self, outputs: NDArray[np.float64]) -> None:
        """What a cycle has to ask: as a rule nothing."""
        assert self._session is not None and self._items is not None and self._lookup is not None
        await self._session.keep()
        if self._items.gap:
            await self._items.reread()
        if outputs.size:
            await self._send(outputs)
        if self._lookup.faults and time.monotonic_ns() > self._retry_ns:
            again = [tag for tag in self.tags if tag.name in self._lookup.faults]
            await self._lookup.look(again)
            await self._monitor(again)
            self._retry_ns = time.monotonic_ns() + round(RETRY_S * NS)

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        self._refresh_ns = 0
        self._wait(self._send(outputs), (deadline_ns - time.monotonic_ns()) / NS)
        bad = {name: why for name, why in self._faults().items() if name in self._out.cells.tags}
        if bad:
            raise RefusedError(_said(bad), 0)

    async def _send(self, outputs: NDArray[np.float64]) -> None:
        """Write what has changed, and everything again every now and then."""
        assert self._session is not None and self._lookup is not None
        now_ns = time.monotonic_ns()
        is_refresh = now_ns >= self._refresh_ns
        if is_refresh:
            self._refresh_ns = now_ns + round(self.timeout_s / REFRESHES * NS)
        wanted, names = [], []
        for name, tag in self._out.cells.tags.items():
            found = self._lookup.found.get(name)
            first = self._out.cells.first[name]
            values = tuple(outputs[first : first + tag.count].tolist())
            if found is not None and (is_refresh or self._sent.get(name) != values):
                raw = [tag.raw(value) for value in values]
                wanted.append((found.node, found.elements, variant_of(raw, found.builtin, found.first is not None)))
                names.append((name, values))
        most = self._session.most["write"]
        for first in range(0, len(wanted), most):
            self._out.check_age()  # a server may take its time for each part
            statuses = await self._session.write(wanted[first : first + most])
            for (name, values), status in zip(names[first : first + most], statuses, strict=True):
                if status.is_bad():
                    self._sent.pop(name, None)
                    self._refused[name] = f"it cannot be written: {status_name(status.value)}"
                else:
                    self._sent[name] = values
                    self._refused.pop(name, None)

    def _close(self) -> None:
        session, self._session, self._items = self._session, None, None
        if session is not None and self._loop is not None:
            self._loop.run_until_complete(session.close())
            self._loop.run_until_complete(_cancelled())

    # --- what is told -------------------------------------------------------------------------------------------------

    def _faults(self) -> dict[str, str]:
        return (self._lookup.faults if self._lookup is not None else {}) | self._refused

    def _shortcomings(self) -> str:
        return _said(self._faulty)

    def _doubts(self) -> str:
        return _said(self._doubted) or ("" if self._faulty else super()._doubts())

    def _value(self, tag: Tag, inputs: NDArray[np.float64], heard_ns: int) -> TagValue:
        items = self._items
        when = items.source_times.get(tag.name) if items is not None else None
        return replace(super()._value(tag, inputs, heard_ns), source_time=when)

    def _quality(self, tag: Tag) -> Quality:
        quality = super()._quality(tag)
        if tag.direction == "out":
            return Quality.BAD if tag.name in self._faulty else quality
        assert self._in.qualities is not None
        first = self._in.cells.first[tag.name]
        return max(quality, Quality(int(self._in.qualities[first : first + tag.count].max())))


def _said(faults: dict[str, str]) -> str:
    """`temp: BadSensorFailure; speed: there is no such node; and 3 more`."""
    named = [f"{name}: {why}" for name, why in list(faults.items())[:MOST_NAMED]]
    return "; ".join([*named, *([f"and {len(faults) - MOST_NAMED} more"] if len(faults) > MOST_NAMED else [])])


async def _cancelled() -> None:
    """End what the library has left running."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
