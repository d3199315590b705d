"""Servers on an event loop in a thread, as a station's servers run; the thread ends with its server, and holds up nobody's exit.

And time that passes for a loop: what happens after so many seconds is not tried by waiting for them, nor missed by a pause.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tests.waiting import PATIENCE_S


class Server(Protocol):
    """What `running` runs."""

    def start(self) -> Coroutine[Any, Any, None]:
        """It serves."""

    def stop(self) -> Coroutine[Any, Any, None]:
        """It serves no more."""


def pass_time(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """So many seconds go by at once, for all that asks the loop for the time. Its timers that are due by then have run. Any thread."""
    passed = threading.Event()

    def jump() -> None:
        now = loop.time
        loop.time = lambda: now() + seconds  # type: ignore[method-assign]
        loop.call_later(0, passed.set)  # behind all that are due

    loop.call_soon_threadsafe(jump)
    assert passed.wait(PATIENCE_S), "the loop does not go on"


@contextmanager
def running(server: Server) -> Iterator[None]:
    """Between its start and its stop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(PATIENCE_S)
        yield
    finally:
        try:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(PATIENCE_S)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a server's loop does not end"
            loop.close()
