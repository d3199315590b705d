"""Values for OPC UA's thread, and work of its for the servers' thread, in which alone areas may be touched.

our loop        --areas wanted-->  servers' loop: Area.moment() of each, a few microseconds
                <--moments-------
pack() here: bytes of the areas that somebody asked for, and of no others
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from plc_bindings.data.database import Database, Moment
from plc_bindings.opcua.codec import NEVER, STATUS, Clock, data_value
from plc_bindings.opcua.tree import Place

_Result = TypeVar("_Result")
TURN_NS: Final = 200_000
"""So long we hold the servers' thread at a time, and then one area more."""


@dataclass(slots=True)
class Seen:
    """An area as it was: its bytes, and OPC UA's words for its quality and time. `when_ns`: the same time as CLOCK_MONOTONIC has it,
    which stays the same where `source` follows the computer's clock."""

    data: bytes
    status: int
    source: int
    when_ns: int

    def same_as(self, other: Seen | None) -> bool:
        """Nothing has come since then."""
        if other is None:
            return False
        return (self.when_ns, self.status, self.data) == (other.when_ns, other.status, other.data)


class Reading:
    """What the server asks of the database. Its own thread only.

    Args:
        database: of the station.
        servers: the loop of the servers' thread.
    """

    def __init__(self, database: Database, servers: asyncio.AbstractEventLoop) -> None:
        self.database, self._servers, self.clock = database, servers, Clock()

    async def there(self, work: Callable[[], _Result]) -> _Result:
        """Do something in the servers' thread; raises what it raises, and `ConnectionError` when that has ended."""
        ours = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = ours.create_future()

        def run() -> None:
            try:
                _back(ours, future, work(), None)
            except Exception as error:
                _back(ours, future, None, error)

        self._call(run)
        return await future

    async def seen(self, areas: Collection[int]) -> dict[int, Seen]:
        """These areas, each of one moment."""
        if not areas:
            return {}
        ours = asyncio.get_running_loop()
        future: asyncio.Future[dict[int, Moment]] = ours.create_future()
        left, found = iter(areas), dict[int, Moment]()

        def run() -> None:
            try:
                if self._take(left, found):
                    _back(ours, future, found, None)
                else:
                    self._servers.call_soon(run)
            except Exception as error:
                _back(ours, future, None, error)

        self._call(run)
        self.clock = Clock()
        return {area: self._seen(moment) for area, moment in (await future).items()}

    def _take(self, left: Iterator[int], found: dict[int, Moment]) -> bool:
        """Look at areas for a turn; True when none is left. In the servers' thread."""
        end = time.monotonic_ns() + TURN_NS
        for area in left:
            found[area] = self.database.areas[area].moment()
            if time.monotonic_ns() > end:
                return False
        return True

    def _seen(self, moment: Moment) -> Seen:
        status = STATUS[moment.quality] if moment.timestamp_ns else NEVER
        return Seen(moment.pack(), int(status), self.clock.source(moment.timestamp_ns), moment.timestamp_ns)

    def value(self, place: Place, seen: Seen, stamps: tuple[bool, bool] = (True, True)) -> bytes:
        """A DataValue, with its source's and the server's time where they are wanted."""
        raw = seen.data[place.offset : place.offset + place.codec.size]
        source, server = stamps
        variant = place.codec.encode(raw)
        return data_value(variant, seen.status, seen.source if source else 0, self.clock.now() if server else 0)

    def _call(self, run: Callable[[], None]) -> None:
        try:
            self._servers.call_soon_threadsafe(run)
        except RuntimeError as error:
            raise ConnectionError("the servers' thread has ended") from error


def _back(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    """Tell our loop, if it still waits."""

    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # it has ended
        return
