"""Connections that mean no good: too many, too slow, too long; and that those who mean well are served meanwhile."""

import socket
import time
from contextlib import ExitStack

import pytest

from plc_bindings.security.access import Limits
from plc_bindings.web import door
from tests.station.page.fakes import served
from tests.waiting import PATIENCE_S, wait_for


def connected(page, stack):
    return stack.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S))


def is_closed(connection, within_s=PATIENCE_S):
    connection.settimeout(within_s)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def takes(connection, parts, every_s=0.0):
    """Does it take all of them?"""
    try:
        for part in parts:
            connection.sendall(part)
            time.sleep(every_s)
    except OSError:
        return False
    return True


@pytest.fixture
def impatient(monkeypatch):
    """Makes a door impatient: from the call on, whoever keeps it waiting in this way is shown out soon."""
    monkeypatch.setattr(door, "SWEEP_S", 0.1)
    return lambda name: monkeypatch.setattr(door, name, 0.1)


def test_a_thousand_sockets_are_turned_away_but_for_a_few(monkeypatch):
    """Those that are let in are as many as the file says; when they go, others are served."""
    monkeypatch.setattr(door, "HEAD_S", PATIENCE_S)
    with served(limits=Limits(connections=8, connections_per_address=8)) as page, ExitStack() as stack:
        sockets = [connected(page, stack) for _ in range(1000)]
        wait_for(lambda: page.server.access.refused >= 992)
        assert page.server.status().clients == 8
        assert all(is_closed(one) for one in sockets[8:40])
        for one in sockets:
            one.close()
        wait_for(lambda: page.server.status().clients == 0)
        assert page.ask("/api/status")[0] == 200
        assert set(page.audited) == {("127.0.0.1", "connect", "refused: too many connections")}


def test_another_address_is_turned_away():
    with served() as page, socket.socket() as stranger:
        page.server.access._networks = page.server.access._networks[:0]
        stranger.settimeout(PATIENCE_S)
        stranger.connect(("127.0.0.1", page.port))
        assert is_closed(stranger)
        assert [outcome for *_, outcome in page.audited] == ["refused: address not allowed"]


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"])
def test_a_head_that_does_not_come_to_its_end_ends_the_connection(impatient, sent):
    impatient("HEAD_S")
    with served() as page, ExitStack() as stack:
        slow = connected(page, stack)
        slow.sendall(sent)
        assert is_closed(slow)
        assert page.audited == [("127.0.0.1", "connection", "closed: its request does not come to an end")]


def test_a_head_that_comes_byte_by_byte_gets_no_more_time(impatient):
    """Also where the connection was good for a request before."""
    with served() as page, ExitStack() as stack:
        slow = connected(page, stack)
        slow.sendall(b"GET /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        impatient("HEAD_S")
        assert not takes(slow, [bytes([byte]) for byte in b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 3000], 0.01)
        assert [what for _, what, _ in page.audited] == ["connection"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: a\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["line", "header", "headers", "tls", "zeros", "version", "smuggled"],
)
def test_what_is_no_http_or_too_long_is_refused_in_a_word(page, head):
    with ExitStack() as stack:
        client = connected(page, stack)
        client.sendall(head)
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert answer.endswith(b'{"error": "the request is not understood"}')
    assert b"aiohttp" not in answer and b"Traceback" not in answer
    assert page.audited == [("127.0.0.1", "request", "refused: is no HTTP, or too long")]
    assert page.ask("/api/status")[0] == 200


def test_who_fetches_no_answers_is_disconnected(impatient):
    """He keeps no memory: what he asked beyond what a socket holds is not even read."""
    impatient("STUCK_S")
    with served() as page, ExitStack() as stack:
        greedy = stack.enter_context(socket.socket())
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(PATIENCE_S)
        greedy.connect(("127.0.0.1", page.port))
        assert not takes(greedy, [b"GET /static/js/api.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"] * 100_000)
        wait_for(lambda: page.audited)
        assert page.audited == [("127.0.0.1", "connection", "closed: fetches no answers")]


def test_a_body_that_does_not_come_ends_the_request(monkeypatch):
    monkeypatch.setattr("station.page.routes.BODY_S", 0.1)
    with served() as page, ExitStack() as stack:
        slow = connected(page, stack)
        head = (
            b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
        )
        slow.sendall(head)
        assert is_closed(slow)
        assert page.ask("/api/status")[0] == 200
