"""Servers in their thread: Python's other threads keep them waiting less, and only as long as they run."""

import asyncio
import errno
import threading

import pytest

import plc_bindings.net.serving
from plc_bindings.errors import ServerError
from plc_bindings.net.serving import Serving
from rt_native.turns import SHORT_S, Turns
from tests.waiting import wait_for

USUAL_S = 0.005


@pytest.fixture
def interval(monkeypatch):
    """The interval of turns: of the servers of this test alone, whatever others of this process hold."""
    kept = {"now": USUAL_S}
    turns = Turns(lambda: kept["now"], lambda seconds: kept.update(now=seconds))
    monkeypatch.setattr(plc_bindings.net.serving, "TURNS", turns)
    return lambda: kept["now"]


class Server:
    def __init__(self, interval=lambda: 0.0, error=None):
        self.interval, self.error, self.events = interval, error, []

    async def start(self):
        if self.error:
            raise self.error
        self.events.append(("start", self.interval()))

    async def stop(self):
        self.events.append(("stop", self.interval()))


def test_the_interval_is_short_while_servers_run(interval):
    server = Server(interval)
    serving = Serving({"a": server})
    for _ in range(2):
        serving.start()
        serving.stop()
        assert interval() == USUAL_S
    assert server.events == [("start", SHORT_S), ("stop", SHORT_S)] * 2


@pytest.mark.parametrize("first_to_stop", [0, 1])
def test_it_is_short_until_the_last_of_several_stops(interval, first_to_stop):
    """Two stations in one process, stopped in either order."""
    both = [Serving({"a": Server()}), Serving({"b": Server()})]
    for serving in both:
        serving.start()
    both[first_to_stop].stop()
    assert interval() == SHORT_S
    both[1 - first_to_stop].stop()
    assert interval() == USUAL_S


def test_it_is_as_before_when_a_server_cannot_listen(interval):
    first = Server()
    with pytest.raises(ServerError, match="server b cannot listen: taken"):
        Serving({"a": first, "b": Server(error=OSError("taken"))}).start()
    assert [event for event, _ in first.events] == ["start", "stop"]
    assert interval() == USUAL_S


def test_it_is_as_before_when_the_system_gives_no_thread(interval, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(ServerError, match="gave no thread"):
        Serving({"a": Server()}).start()
    assert interval() == USUAL_S


def test_servers_that_do_not_start_in_time_are_stopped(interval, monkeypatch):
    """The one that was still busy is stopped once it listens; the interval is as before."""
    gate, server = threading.Event(), Server()

    async def slow():
        await asyncio.to_thread(gate.wait, 30)
        server.events.append(("start", 0.0))

    server.start = slow
    monkeypatch.setattr(plc_bindings.net.serving, "START_S", 0.01)
    monkeypatch.setattr(plc_bindings.net.serving, "STOP_S", 0.01)
    serving = Serving({"a": server})
    with pytest.raises(ServerError, match=r"did not start within 0\.01 s"):
        serving.start()
    assert interval() == USUAL_S
    gate.set()
    wait_for(lambda: [event for event, _ in server.events] == ["start", "stop"])


def test_a_thread_that_begins_after_the_stop_serves_nobody(interval, monkeypatch):
    """So slow may a machine be: the thread has no loop yet when its starter gives up."""
    gate, server = threading.Event(), Server()
    make = plc_bindings.net.serving.ServerLoop
    monkeypatch.setattr(plc_bindings.net.serving, "ServerLoop", lambda: (gate.wait(30), make())[1])
    monkeypatch.setattr(plc_bindings.net.serving, "START_S", 0.01)
    monkeypatch.setattr(plc_bindings.net.serving, "STOP_S", 0.01)
    with pytest.raises(ServerError, match="did not start"):
        Serving({"a": server}).start()
    gate.set()
    wait_for(lambda: [event for event, _ in server.events] == ["start", "stop"])


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
        Serving({"a": Server(error=OSError(code, "what it was"))}).start()
