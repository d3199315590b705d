"""What all connections have in common, with a protocol of lines: each is answered by itself.

`slow` is a job, `more` has a turn to itself, `often` is over the rate, `bad` cannot be a request, `note` is sent unasked later.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from plc_bindings.calls.repeated import RepeatedCalls
from plc_bindings.net.connection import MOST_WAITING, Connection, ConnectionServer, Rules
from plc_bindings.net.conversation import Conversation
from plc_bindings.net.serving import Serving
from plc_bindings.security.access import Access
from tests.loops import pass_time
from tests.waiting import wait_for

RULES = Rules(keep_alive={"TCP_KEEPIDLE": 10}, stuck=("stuck", "closed"), idle=("idle", "closed"))


class Lines(Conversation):
    """One client's."""

    def __init__(self, go: threading.Event) -> None:
        self._go, self._rest, self._due, self.has_ended = go, b"", float("inf"), False

    def feed(self, data: bytes) -> bytes:
        self.has_more = self.is_over_rate = False
        self._rest += data
        answers = b""
        while b"\n" in self._rest:
            line, self._rest = self._rest.split(b"\n", 1)
            self.requests += 1
            if line == b"slow":
                self.job = self._wait
                break
            if line == b"bad":
                self.is_closed = True
                break
            if line == b"note":
                self._due = time.monotonic() + 0.05
            answers += line + b"\n"
            self.has_more, self.is_over_rate = line == b"more", line == b"often"
            if self.has_more or self.is_over_rate:
                break
        return answers

    def _wait(self) -> bytes:
        assert self._go.wait(20)
        return b"slow\n"

    def resume(self, result: bytes) -> bytes:
        self.job = None
        return result + self.feed(b"")

    @property
    def is_whole(self) -> bool:
        return not self._rest and self.job is None

    @property
    def next_due(self) -> float:
        return self._due

    def tick(self, now: float) -> bytes:
        self._due = float("inf")
        return b"noted\n"

    def close(self) -> None:
        self.has_ended = True


class NoCalls(RepeatedCalls):
    """Nothing is replayed."""

    def _call(self, request: bytes, answer: bytes) -> None:
        return None

    def _failed(self, answer: bytes, status: int) -> None:
        raise AssertionError


class LineServer(ConnectionServer):
    """Of lines; `talks` are all conversations."""

    def __init__(self, rules: Rules) -> None:
        self.audit: list[tuple[str, str, str]] = []
        super().__init__(Access(audit=lambda *line: self.audit.append(line)), rules, "lines")
        self.go, self.talks = threading.Event(), []

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.listen("127.0.0.1", 0)

    def status(self):
        return self.status_of("lines")

    def conversation(self, client, host):
        assert host == "127.0.0.1"
        self.talks.append(Lines(self.go))
        return self.talks[-1]

    def repeated(self, conversation, *how):
        return NoCalls(*how)


@contextmanager
def serving(**rules) -> Iterator[LineServer]:
    server = LineServer(replace(RULES, **rules))
    thread = Serving({"lines": server})
    thread.start()
    try:
        yield server
    finally:
        server.go.set()
        thread.stop()


@contextmanager
def client(server: LineServer) -> Iterator[socket.socket]:
    with closing(socket.create_connection(server.address, timeout=20)) as sock:
        yield sock


def received(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := sock.recv(count - len(data))):
        data += part
    return data


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.mark.parametrize(
    "text", [b"a\nb\nc\n", b"more\nmore\nmore\na\n", b"often\noften\na\n", b"a\nslow\nb\nmore\nslow\nc\n"]
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_answers_come_in_order_however_requests_are_cut(server, text, size):
    """Whatever a request does: needs a thread, ends a turn, is one too many."""
    server.go.set()
    with client(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(text), size):
            sock.sendall(text[at : at + size])
        assert received(sock, len(text)) == text


def test_half_a_request_behind_one_too_many_is_answered(server):
    """When its other half comes: it is listened to again."""
    with client(server) as sock:
        sock.sendall(b"often\nha")
        assert received(sock, 6) == b"often\n"
        time.sleep(0.1)
        sock.sendall(b"lf\n")
        assert received(sock, 5) == b"half\n"


def test_a_job_keeps_its_own_client_waiting_alone(server):
    with client(server) as slow, client(server) as other:
        slow.sendall(b"slow\nafter\n")
        other.sendall(b"a\n")
        assert received(other, 2) == b"a\n"
        slow.settimeout(0.05)
        with pytest.raises(TimeoutError):
            slow.recv(1)
        slow.settimeout(20)
        server.go.set()
        assert received(slow, 11) == b"slow\nafter\n"


@pytest.mark.parametrize("last", [b"a\n", b"more\n", b"often\n", b"slow\n"])
def test_a_client_that_sends_no_more_gets_all_its_answers(server, last):
    with client(server) as sock:
        sock.sendall(b"more\nslow\nb\n" + last)
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.05)
        server.go.set()
        assert received(sock, 999) == b"more\nslow\nb\n" + last
    wait_for(lambda: server.talks[0].has_ended and not server.connections)


def test_what_waits_behind_a_job_is_bounded(server):
    """Then it is left in the socket; and answered all the same."""
    text = b"slow\n" + b"x" * 4999 + b"\n"
    with client(server) as sock:
        thread = threading.Thread(target=sock.sendall, args=(text + text[5:] * 2000,))
        thread.start()
        (connection,) = wait_until_one(server)
        wait_for(lambda: not connection._transport.is_reading())
        assert len(connection._waiting) < MOST_WAITING + (1 << 14) + 1
        server.go.set()
        assert len(received(sock, len(text) + 2000 * 5000)) == len(text) + 2000 * 5000
        thread.join()


def wait_until_one(server):
    wait_for(lambda: len(server.connections) == 1)
    return tuple(server.connections)


def test_what_is_no_request_is_disconnected_and_what_was_asked_before_answered(server):
    with client(server) as sock:
        sock.sendall(b"a\nbad\nb\n")
        assert received(sock, 99) == b"a\n"
    assert server.status().requests == 2


def test_what_is_due_is_sent_unasked(server):
    with client(server) as sock:
        sock.sendall(b"note\n")
        assert received(sock, 11) == b"note\nnoted\n"


def test_one_who_asks_nothing_is_disconnected_where_there_is_a_rule():
    """Not before: each request counts."""
    with serving(idle_s=1000.0, stuck_s=1e9) as server, client(server) as sock:
        for _ in range(3):
            sock.sendall(b"a\n")
            assert received(sock, 2) == b"a\n"
            pass_time(server.loop, 800)
        pass_time(server.loop, 300)
        assert received(sock, 99) == b""
        assert server.audit == [("127.0.0.1", "idle", "closed")]


def test_one_who_fetches_nothing_is_disconnected_and_what_it_asked_is_not_kept():
    with serving(stuck_s=0.5, high_water=4096) as server, client(server) as deaf, client(server) as other:
        deaf.settimeout(0.01)
        line, is_cut, waits = b"x" * 9999 + b"\n", False, 0
        while not is_cut:
            try:
                deaf.send(line)
            except TimeoutError:
                pass
            except ConnectionError:
                is_cut = True
            waits = max([waits, *(len(connection._waiting) for connection in tuple(server.connections))])
        assert waits <= MOST_WAITING + (1 << 14)
        assert server.audit == [("127.0.0.1", "stuck", "closed")]
        other.sendall(b"a\n")
        assert received(other, 2) == b"a\n"


def test_one_who_leaves_one_answer_with_the_system_is_disconnected_too():
    """It fits into the system's queue, so asyncio hears of nothing; who fetches it, and then asks nothing, stays."""
    with serving(stuck_s=0.5) as server, client(server) as other:
        other.sendall(b"x" * 60_000 + b"\n")
        assert len(received(other, 60_001)) == 60_001
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(server.address)
            deaf.sendall(b"x" * 60_000 + b"\n")
            wait_for(lambda: server.audit == [("127.0.0.1", "stuck", "closed")])
        other.sendall(b"a\n")
        assert received(other, 2) == b"a\n"


def test_requests_of_those_who_have_gone_are_still_counted(server):
    for _ in range(2):
        with client(server) as sock:
            sock.sendall(b"a\nb\n")
            assert received(sock, 4) == b"a\nb\n"
    wait_for(lambda: not server.connections)
    status = server.status()
    assert (status.requests, status.clients, status.refused) == (4, 0, 0)
    assert status.address == "lines {}:{}".format(*server.address)


def test_requests_are_counted_once_while_their_client_goes(server, monkeypatch):
    """Whoever asks just then: neither less than before nor twice."""
    counts, answered, is_asking = [], Connection.answered, []

    def looked(connection):
        if not is_asking:
            is_asking.append(True)
            counts.append(server.status().requests)
            is_asking.clear()
        return answered.fget(connection)

    with client(server) as sock:
        sock.sendall(b"a\nb\n")
        assert received(sock, 4) == b"a\nb\n"
        monkeypatch.setattr(Connection, "answered", property(looked))
    wait_for(lambda: not server.connections)
    assert set(counts) == {2} and server.status().requests == 2


def test_a_client_whose_conversation_cannot_begin_leaves_its_place(server, monkeypatch):
    """Whatever goes wrong between being let in and the first byte."""

    def broken(client, host):
        raise OSError("no conversation")

    monkeypatch.setattr(server, "conversation", broken)
    for _ in range(3):
        with client(server) as sock:
            assert sock.recv(1) == b""
    wait_for(lambda: server.access.clients == 0)
