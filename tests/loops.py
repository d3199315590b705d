"""Servers on an event loop in a thread, as a station's servers run; the thread ends with its server, and holds up nobody's exit."""

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
