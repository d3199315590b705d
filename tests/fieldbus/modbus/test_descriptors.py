"""A descriptor's number is somebody else's as soon as it is closed: nothing of a link is ever sent to him."""

import gc
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fieldbus.exchange.block import Phase, State
from fieldbus.exchange.link import How
from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.tags import Tag
from tests.devices import Threads
from tests.fieldbus.modbus.odd_device import Odd
from tests.processes import open_files
from tests.waiting import PATIENCE_S, wait_for

X = Tag("x", "uint16", "in", address=ModbusAddress("holding", 10))
VALVE = Tag("valve", "uint16", "out", safe=5, address=ModbusAddress("holding", 30))
PLANTED = b"x"
ROUNDS, TRAPS = 12, 8


def linked(device: Odd, how: How, timeout_s: float = 1.0) -> ModbusLink:
    """A link to it, not started."""
    where = Tcp("127.0.0.1", device.port)
    return ModbusLink("plc", [X, VALVE], where, 0.001, timeout_s, backoff_s=(0.001, 0.001), exchange=how)


def test_what_a_phase_works_on_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task stands still in the middle of its phase, and the link is stopped: its socket is closed when the phase has ended."""
    with Odd() as device:
        link = linked(device, "in-cycle", timeout_s=PATIENCE_S)
        exchange, take, takes = link.exchange, link.exchange.take, list[bool]()
        monkeypatch.setattr(exchange, "_longest_ns", 10_000_000)
        monkeypatch.setattr(exchange, "take", lambda: takes.append(True) or take())
        link.start()
        wait_for(lambda: exchange._x["state"] == State.READY)
        number = int(exchange._x[0]["fd"])
        exchange._x["state"], socket_of_link = State.BUSY, os.readlink(f"/proc/self/fd/{number}")
        link.ask_to_stop(safe=False)
        assert link._thread is not None
        wait_for(lambda: len(takes) > 2 or not link._thread.is_alive())
        assert os.readlink(f"/proc/self/fd/{number}") == socket_of_link
        assert link.status().last_error == "the exchange does not come to an end"
        exchange._x["state"] = State.READY
        link._thread.join(PATIENCE_S)
        assert not link._thread.is_alive()
        assert link._client.socket is None


@contextmanager
def traps(caught: list[bytes]) -> Iterator[list[int]]:
    """Sockets that take each number as soon as it is free, for a moment; `caught` is what others wrote to them, or read.

    Gives a count of those that were set.
    """
    is_over, count = threading.Event(), [0]

    def look(trap: socket.socket, bait: socket.socket) -> None:
        """Is what was planted there, and nothing else?"""
        with trap, bait:
            for end, expected in ((trap, PLANTED), (bait, b"")):
                try:
                    came = end.recv(512, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    came = b""
                if came != expected:
                    caught.append(came)

    def set_traps() -> None:
        pairs: list[tuple[socket.socket, socket.socket]] = []
        while not is_over.is_set():
            pairs.append(socket.socketpair())
            pairs[-1][1].send(PLANTED)
            count[0] += 1
            if len(pairs) >= TRAPS:
                look(*pairs.pop(0))
        for pair in pairs:
            look(*pair)

    threads = Threads()
    threads.start(set_traps)
    try:
        yield count
    finally:
        is_over.set()
        threads.end()


@pytest.mark.parametrize("how", ["own-thread", "in-cycle"])
def test_nobody_hears_of_a_link_whose_number_he_has(how: How) -> None:
    """Links start and stop while they exchange, devices hang up, tasks cycle on. (Seen to fail where the link does not take.)"""
    caught: list[bytes] = []
    with Odd() as device, traps(caught) as count:
        for number in range(ROUNDS):
            link, is_over = linked(device, how), threading.Event()
            link.subscribe(ProcessImage(), ["x"], "task")

            def cycle(link: ModbusLink = link, is_over: threading.Event = is_over) -> None:
                while not is_over.is_set():
                    link.exchange.phase(Phase.ALL, (1 << 63) - 1)

            task = Threads()
            if how == "in-cycle":
                task.start(cycle)
            try:
                with link:
                    for hang_ups in range(number % 3):
                        wait_for(lambda n=hang_ups: link.status().state == "up" and link.status().reconnects >= n)  # noqa: B023
                        wait_for(lambda n=hang_ups: device.hang_up() is None and link.status().reconnects > n)  # noqa: B023
                    assert link.wait_up(PATIENCE_S)
                    reads, sets = link.status().reads, count[0]
                    wait_for(lambda: link.status().reads > reads)  # noqa: B023
                wait_for(lambda: count[0] > sets + TRAPS)  # noqa: B023
            finally:
                is_over.set()
                task.end()
    assert caught == []


def events() -> set[tuple[str, str]]:
    """The event descriptors of this process."""
    return {(number, what) for number, what in open_files() if "eventfd" in what}


def test_a_link_that_is_gone_leaves_no_event_descriptor() -> None:
    """A program that makes links again and again would come to an end of them."""
    with Odd() as device:
        gc.collect()
        before = events()
        for _ in range(3):
            with linked(device, "own-thread") as link:
                assert link.wait_up(PATIENCE_S)
        del link
        gc.collect()
        wait_for(lambda: events() <= before)
