"""Waiting for facts instead of sleeping."""

import socket
import time
from collections.abc import Callable


def wait_for(fact: Callable[[], bool], timeout_s: float = 10.0, what: str = "") -> float:
    """Wait until `fact()`; gives the seconds that it took, fails if it never comes true."""
    start = time.monotonic()
    while not fact():
        assert time.monotonic() - start < timeout_s, f"never came true: {what or fact}"
        time.sleep(0.0005)
    return time.monotonic() - start


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
