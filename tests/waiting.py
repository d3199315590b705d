"""Waiting for facts instead of sleeping; ports that nobody else takes."""

import itertools
import os
import socket
import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 60.0
"""So long a busy machine may take for what takes it milliseconds when it is alone."""
_PORTS: Final = range(11_000, 31_000)
"""Below those that a system gives to whoever asks for any port: none of these is taken between `free_port` and its use. Workers of one
test run never get the same: each has every eighth.
"""
_WORKERS: Final = 8
_TURNS: Final = itertools.count(os.getpid() * 101)


def wait_for(fact: Callable[[], object], timeout_s: float = PATIENCE_S, what: str = "") -> float:
    """Wait until `fact()`; gives the seconds after which it was not yet so, fails if it never comes true.

    So what is too late is seen, and what this thread was kept from seeing is not called so.
    """
    start = now = looked = time.monotonic()
    while not fact():
        assert now - start < timeout_s, f"never came true: {what or fact}"
        time.sleep(0.001)
        looked, now = now, time.monotonic()
    return looked - start


def is_once(fact: Callable[[], object], tries: int = 5) -> bool:
    """Is it so in one of these tries? A machine that stands still spoils one, a fault spoils each. `fact` begins anew each time."""
    return any(fact() for _ in range(tries))


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses, another one each time."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        port = _PORTS[(next(_TURNS) * _WORKERS + worker) % len(_PORTS)]
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def is_open(port: int) -> bool:
    """Does somebody listen at a TCP port of the loopback interface?"""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
