"""Servers in their thread: Python's other threads keep them waiting less, and only as long as they run."""

import errno
import sys

import pytest

from plc_bindings.errors import ServerError
from plc_bindings.net.serving import SWITCH_S, Serving


class Server:
    def __init__(self, error=None):
        self.error, self.events = error, []

    async def start(self):
        if self.error:
            raise self.error
        self.events.append(("start", sys.getswitchinterval()))

    async def stop(self):
        self.events.append(("stop", sys.getswitchinterval()))


def test_the_interval_is_short_while_servers_run():
    before, server = sys.getswitchinterval(), Server()
    serving = Serving({"a": server})
    for _ in range(2):
        serving.start()
        serving.stop()
        assert sys.getswitchinterval() == before
    assert server.events == [("start", pytest.approx(SWITCH_S)), ("stop", pytest.approx(SWITCH_S))] * 2


def test_it_is_as_before_when_a_server_cannot_listen():
    before, first = sys.getswitchinterval(), Server()
    with pytest.raises(ServerError, match="server b cannot listen: taken"):
        Serving({"a": first, "b": Server(OSError("taken"))}).start()
    assert [event for event, _ in first.events] == ["start", "stop"]
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize(
    ("code", "helps"),
    [
        (errno.EACCES, "port below 1024"),
        (errno.EADDRINUSE, "another program"),
        (errno.EADDRNOTAVAIL, "no such address"),
    ],
)
def test_what_helps_is_said(code, helps):
    with pytest.raises(ServerError, match=f"server a cannot listen: what it was; .*{helps}"):
        Serving({"a": Server(OSError(code, "what it was"))}).start()
