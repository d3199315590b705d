"""The server with real sockets: what one client does, the others do not feel."""

import socket
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from fieldbus.ads.frames import TCP
from fieldbus.ads.protocol import Command, Error, Group
from plc_bindings.ads.device import AdsOptions, Device
from plc_bindings.ads.groups import AREA, PREDICT, UPLOAD_ACTIVATE
from plc_bindings.ads.server import RULES, AdsServer
from plc_bindings.net.connection import Connection
from plc_bindings.net.serving import Serving
from plc_bindings.security.access import Limits
from tests.loops import pass_time
from tests.plc_bindings.ads.plant import Plant, add_note, model, read, read_write, split
from tests.waiting import wait_for

INPUTS = np.arange(16, dtype=np.float32).tobytes()
PREDICTION = read_write(PREDICT, 1, 24, INPUTS)
OPTIONS = AdsOptions(port=0)


@contextmanager
def serving(plant, options=OPTIONS, **keywords):
    """A server in the servers' thread."""
    server = AdsServer(plant.database, plant.models, options, plant.access, **keywords)
    thread = Serving({"ads": server})
    thread.start()
    try:
        yield server
    finally:
        thread.stop()


class Peer:
    """A client with a socket."""

    def __init__(self, server, receive_bytes=0):
        self.sock = socket.socket()
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(20)
        self.sock.connect(server.address)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.sock.close()

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def receive(self):
        """(command, AMS error, invoke id, data) of the next packet."""
        head = self.exactly(TCP.size)
        return split(head + self.exactly(TCP.unpack(head)[1]))[0]

    def ask(self, request):
        self.sock.sendall(request)
        return self.receive()

    def is_answered(self):
        _, error, _, data = self.ask(PREDICTION)
        return error == 0 and len(data) == 8 + 24 and data[:4] == bytes(4)

    def is_cut(self):
        """Has the server ended the connection? Waits for it."""
        try:
            while self.sock.recv(1 << 16):
                pass
        except ConnectionError:
            return True
        return True


@pytest.fixture
def plant():
    return Plant(Limits(requests_per_second=10**9))


def test_segments_do_not_matter(plant):
    """Byte by byte, and several requests in one segment."""
    stream = b"".join([read(AREA, 0, 4, invoke=i) for i in range(3)])
    with serving(plant) as server, Peer(server) as peer:
        for i in range(len(stream)):
            peer.sock.send(stream[i : i + 1])
        assert [peer.receive()[2] for _ in range(3)] == [0, 1, 2]
        peer.sock.sendall(stream * 500)
        assert [peer.receive()[2] for _ in range(1500)] == [0, 1, 2] * 500


@pytest.mark.parametrize(
    ("own", "host", "expected"),
    [
        ("", "192.168.10.2", "c0a80a020101"),
        ("", "::ffff:192.168.10.2", "c0a80a020101"),
        ("", "fe80::1", "000000000000"),
        ("5.1.2.3.1.1", "192.168.10.2", "050102030101"),
    ],
)
def test_the_net_id_is_that_of_the_address_that_a_client_connects_to(plant, own, host, expected):
    """So that a server on all addresses has one; unless the station has one of its own."""
    device = Device(plant.database, plant.models, AdsOptions(host="0.0.0.0", net_id=own), plant.access)
    assert device.net_id(host).hex() == expected


def test_notifications_come_by_themselves(plant):
    with serving(plant) as server, Peer(server) as peer:
        assert peer.ask(add_note(AREA, 0, 4, mode=3, cycle=10_000))[3][:4] == bytes(4)
        assert [peer.receive()[0] for _ in range(5)] == [Command.NOTIFICATION] * 5
        plant.tags.fails = True
        assert peer.is_cut()


def test_an_idle_connection_is_closed_but_not_one_that_waits_for_notifications(plant, monkeypatch):
    """Without a request for so long: the client is gone, or does not need it; one that is sent to asks nothing."""
    monkeypatch.setattr("plc_bindings.ads.server.RULES", replace(RULES, stuck_s=1e9))
    with (
        serving(plant, options=replace(OPTIONS, idle_s=1000.0)) as server,
        Peer(server) as idle,
        Peer(server) as listening,
    ):
        listening.ask(add_note(AREA, 0, 4, mode=4, cycle=10_000))
        assert idle.ask(read(AREA, 0, 4))[3][:4] == bytes(4)
        pass_time(next(iter(server.connections))._loop, 1100)
        assert idle.is_cut()
        answer = listening.ask(read(AREA, 0, 4))
        while answer[0] == Command.NOTIFICATION:
            answer = listening.receive()
        assert (answer[0], answer[3][:4]) == (Command.READ, bytes(4))


def test_a_hundred_thousand_handles_without_release(plant):
    """10,000 are had, the rest refused one by one; the others do not notice."""
    request = read_write(Group.HANDLE_BY_NAME, 0, 4, b"Tags.Count")
    with serving(plant) as server, Peer(server) as greedy, Peer(server) as other:
        codes = []

        def fetch():
            codes.extend([struct.unpack_from("<I", greedy.receive()[3])[0] for _ in range(100_000)])

        thread = threading.Thread(target=fetch)
        thread.start()
        for _ in range(100):
            greedy.sock.sendall(request * 1000)
            assert other.is_answered()
        thread.join()
        assert codes == [0] * 10_000 + [Error.NO_MORE_HANDLES] * 90_000
        assert greedy.is_answered()


def kept(connection):
    """Bytes of a client's, unanswered or unsent."""
    talk = connection._talk
    return (
        0
        if talk is None
        else connection._transport.get_write_buffer_size() + len(talk._rest) + len(connection._waiting)
    )


@pytest.mark.parametrize("at_once", [1, 1000])
def test_a_client_that_never_reads_is_bounded_then_disconnected(plant, monkeypatch, at_once):
    """Whether it asks one by one or sends a heap of requests: each answer has 200,000 bytes."""
    monkeypatch.setattr("plc_bindings.ads.server.RULES", replace(RULES, stuck_s=0.5))
    at_looks, look = [0], Connection.check
    monkeypatch.setattr(Connection, "check", lambda self, now: (at_looks.append(kept(self)), look(self, now))[1])
    items = struct.pack("<III", Group.TYPE_UPLOAD, 0, 1 << 20)
    count = 200_000 // len(plant.device.tables.type_upload)
    request = read_write(Group.SUM_READ_EX, count, 1 << 20, items * count) * at_once
    with serving(plant) as server, Peer(server, 4096) as deaf, Peer(server) as other:
        assert other.is_answered()
        wait_for(lambda: len(server.connections) == 2)
        name = deaf.sock.getsockname()
        connection = next(c for c in server.connections if c._transport.get_extra_info("peername") == name)
        deaf.sock.settimeout(0.01)
        at, most, is_cut = 0, 0, False
        while not is_cut:
            try:
                at = (at + deaf.sock.send(request[at:])) % len(request)
            except TimeoutError:
                pass
            except ConnectionError:
                is_cut = True
            most = max(most, kept(connection))
            assert other.is_answered()
            if at_once == 1:
                time.sleep(0.002)  # so that the requests come one by one
        assert max(at_looks) > 200_000
        assert max(most, *at_looks) < 1_500_000
        assert ("127.0.0.1", "answers are not fetched", "disconnected") in plant.audit
        wait_for(lambda: server.access.clients == 1)


def test_notifications_that_are_not_fetched_are_bounded(plant, monkeypatch):
    monkeypatch.setattr("plc_bindings.ads.server.RULES", replace(RULES, stuck_s=0.5, high_water=8192))
    with serving(plant) as server, Peer(server, 4096) as deaf, Peer(server) as other:
        deaf.sock.sendall(add_note(AREA, 0, 72, mode=3, cycle=10_000) * 50)
        wait_for(lambda: ("127.0.0.1", "answers are not fetched", "disconnected") in plant.audit)
        wait_for(lambda: server.access.clients == 1)
        assert other.is_answered()


@pytest.mark.parametrize("is_rude", [True, False])
def test_a_client_that_vanishes_leaves_nothing_behind(plant, is_rude):
    with serving(plant) as server, Peer(server) as other:
        for _ in range(20):
            with Peer(server) as gone:
                gone.sock.sendall(add_note(AREA, 0, 4, mode=3, cycle=10_000) * 20 + PREDICTION[:30])
                gone.receive()
                if is_rude:
                    gone.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_for(lambda: (server.access.clients, len(server.connections)) == (1, 1))
        assert other.is_answered()


def test_what_cannot_be_a_packet_is_disconnected(plant):
    with serving(plant) as server, Peer(server) as other:
        for rubbish in (b"GET / HTTP/1.1\r\n\r\n", TCP.pack(0, 1 << 30), TCP.pack(0, 0), b"\xff" * 100):
            with Peer(server) as peer:
                peer.sock.sendall(PREDICTION + rubbish)
                assert peer.receive()[1] == 0
                assert peer.is_cut()
        assert other.is_answered()


def test_too_many_connections():
    plant = Plant(Limits(connections=3))
    with serving(plant) as server, Peer(server) as first, Peer(server) as second, Peer(server) as third:
        for peer in (first, second, third):
            assert peer.is_answered()
        with Peer(server) as fourth:
            assert fourth.is_cut()
        first.sock.close()
        wait_for(lambda: server.access.clients == 2)
        with Peer(server) as fourth:
            assert fourth.is_answered()
        assert "too many connections" in plant.audit[0][2]


def test_a_flood_of_requests_is_not_listened_to_for_a_while(monkeypatch):
    """All are answered in the end; the others meanwhile, and no notification is lost to it."""
    monkeypatch.setattr("plc_bindings.net.connection.REST_S", 0.1)
    plant = Plant(Limits(requests_per_second=5))
    with serving(plant) as server, Peer(server) as flood, Peer(server) as other:
        begin = time.monotonic()
        flood.sock.sendall(add_note(AREA, 0, 4, mode=3, cycle=100_000) + read(AREA, 0, 4) * 320)
        assert other.is_answered()
        commands, codes = [], []
        while len(codes) < 321:
            command, _, _, data = flood.receive()
            commands.append(command)
            if command != Command.NOTIFICATION:
                codes.append(struct.unpack_from("<I", data)[0])
        assert set(codes) == {0, Error.BUSY}
        assert codes.count(Error.BUSY) > 200
        assert time.monotonic() - begin > 0.8, "nine turns of 32 requests that are too many"
        assert commands.count(Command.NOTIFICATION) > 10


def test_half_a_request_behind_a_flood_is_answered_when_the_rest_comes():
    """However long that takes."""
    plant = Plant(Limits(requests_per_second=5))
    request = read(AREA, 0, 4)
    with serving(plant) as server, Peer(server) as flood:
        flood.sock.sendall(request * 10 + request[:20])
        codes = [struct.unpack_from("<I", flood.receive()[3])[0] for _ in range(10)]
        assert Error.BUSY in codes
        time.sleep(0.3)
        flood.sock.sendall(request[20:])
        assert struct.unpack_from("<I", flood.receive()[3])[0] == 0


class Uploads:
    """Model updates whose activation takes until `go`."""

    def __init__(self):
        self.go, self.is_aborted = threading.Event(), threading.Event()

    def activate(self, model):
        self.go.wait(20)
        return 0, 7, f"{model} is live"

    def abort(self):
        self.is_aborted.set()


def test_what_takes_long_keeps_nobody_waiting_but_who_asked(plant):
    """Its own client's next requests are answered after it, in order."""
    uploads = Uploads()
    with serving(plant, uploads=lambda client: uploads) as server, Peer(server) as slow, Peer(server) as other:
        slow.sock.sendall(read_write(UPLOAD_ACTIVATE, 1, 255, b"", invoke=1))
        slow.sock.sendall(read(AREA, 0, 4, invoke=2) * 100)
        for _ in range(10):
            assert other.is_answered()
        slow.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            slow.receive()
        slow.sock.settimeout(20)
        uploads.go.set()
        _, _, invoke, data = slow.receive()
        assert (invoke, data[8:]) == (1, struct.pack("<II", 0, 7) + b"policy is live\0")
        assert [slow.receive()[2] for _ in range(100)] == [2] * 100
        slow.sock.close()
        assert uploads.is_aborted.wait(20)


def test_a_client_may_vanish_while_its_job_runs(plant):
    uploads = Uploads()
    with serving(plant, uploads=lambda client: uploads) as server, Peer(server) as other:
        with Peer(server) as gone:
            gone.sock.sendall(read_write(UPLOAD_ACTIVATE, 1, 255, b""))
            assert other.is_answered()
        uploads.go.set()
        wait_for(lambda: other.is_answered() and server.access.clients == 1)


def test_many_clients_get_their_own_answers(plant):
    with serving(plant) as server:
        wrong = []

        def call(number):
            with Peer(server) as peer:
                for i in range(100):
                    x = np.full(16, number + i / 100, np.float32).tobytes()
                    _, _, invoke, data = peer.ask(read_write(PREDICT, 1, 24, x, invoke=i))
                    if invoke != i or data[16:] != expected(x):
                        wrong.append((number, i))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert server.status().requests == 1000


def expected(x):
    (y,) = model().run({"x": np.frombuffer(x, np.float32).reshape(1, 16)})
    return y.tobytes()


def test_the_server_starts_again_after_a_stop(plant):
    server = AdsServer(plant.database, plant.models, OPTIONS, plant.access)
    for _ in range(2):
        thread = Serving({"ads": server})
        thread.start()
        with Peer(server) as peer:
            assert peer.is_answered()
        thread.stop()
