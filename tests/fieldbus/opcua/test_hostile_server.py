"""A server that lies, falls silent, cuts and floods: the link says what is wrong, takes no more than its share, and comes back."""

import asyncio
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from asyncua import ua
from asyncua.common.connection import SecureConnection
from asyncua.ua.ua_binary import uatcp_to_binary

from fieldbus.image.image import ProcessImage
from fieldbus.link import cyclic
from fieldbus.opcua import certificates as certificates_module
from fieldbus.opcua import items as items_module
from fieldbus.opcua import link as link_module
from fieldbus.opcua import session as session_module
from fieldbus.opcua.bounds import MOST_MESSAGE
from fieldbus.opcua.certificates import Certificates
from fieldbus.opcua.items import LONGEST_REST_S, Items
from fieldbus.opcua.link import OpcUaLink
from fieldbus.opcua.own import make
from fieldbus.opcua.session import Where
from fieldbus.tags import Quality
from tests.devices import TcpDevice, Threads
from tests.fieldbus.opcua.server import serving
from tests.fieldbus.opcua.test_link import CYCLE_S, PLENTY_S, linked, tag, value
from tests.waiting import PATIENCE_S, wait_for

STEPS = 12
"""Messages of a server until a link is up, and some more."""
ACKNOWLEDGE = uatcp_to_binary(ua.MessageType.Acknowledge, ua.Acknowledge(0, 65536, 65536, 0, 0))


@pytest.fixture(scope="module")
def running():
    with serving() as one:
        yield one


@pytest.fixture
def server(running):
    running.as_new()
    return running


@pytest.fixture
def hasty(monkeypatch):
    """An attempt to connect is given up soon."""
    for module in (link_module, cyclic):
        monkeypatch.setattr(module, "CONNECT_S", 0.3)


@contextmanager
def between(port, spoil):
    """A wire to the server: of connection n the n-th message from there is what `spoil` makes of it, None: cut; a little later
    it is cut in any case. From connection `STEPS` on it is sound.

    Gives the wire's port, and a list of how many connections there were.
    """
    counts = [0]

    def carry(client, there, number):
        seen = 0
        while head := received(there, 8):
            seen += 1
            whole = head + received(there, struct.unpack_from("<I", head, 4)[0] - 8)
            if seen == number <= STEPS:
                whole = spoil(whole)
            if whole is None or (number + 4 < seen and number <= STEPS):
                return
            client.sendall(whole)

    def both_ways(client):
        counts[0] += 1
        number, back = counts[0], Threads()
        with socket.create_connection(("127.0.0.1", port)) as there:
            back.start(pump, client, there)
            try:
                carry(client, there, number)
            finally:
                for sock in (client, there):
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                back.end()

    wire = TcpDevice(both_ways)
    try:
        yield wire.port, counts
    finally:
        wire.close()


def pump(source, sink):
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def received(sock, size):
    data = b""
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return data


def garbled(whole):
    return whole[:24] + bytes(byte ^ 0xA5 for byte in whole[24:])


@pytest.mark.parametrize(
    "spoil",
    [lambda _: None, lambda _: b"", garbled, lambda whole: whole[:-1]],
    ids=["cut", "silent", "garbled", "one byte short"],
)
def test_whatever_goes_wrong_at_whatever_step_the_link_comes_up_after_it(server, hasty, spoil):
    server.set("speed", 1.5)
    with between(server.port, spoil) as (port, counts):
        where = Where(f"opc.tcp://127.0.0.1:{port}", "none")
        link = OpcUaLink("line", [tag("speed")], where, CYCLE_S, 0.5, backoff_s=(0.01, 0.02))
        channel = link.subscribe(ProcessImage(), ["speed"], "task")
        with link:
            wait_for(lambda: counts[0] > STEPS and channel.latest()[3] == Quality.GOOD)
            assert "internal error" not in link.status().last_error
            assert channel.latest()[0][0] == 1.5
    assert not [thread for thread in threading.enumerate() if thread.name == "link-line"]


@contextmanager
def talking(say):
    """A server that shakes hands and then says things; gives its address, and how much it could say in each connection."""
    took = []

    def answer(client):
        at = len(took)
        took.append(0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # what lies there has not been taken
        client.recv(100)
        client.sendall(ACKNOWLEDGE)
        for data in say():
            client.sendall(data)
            took[at] += len(data)
        client.recv(1)

    server = TcpDevice(answer)
    try:
        yield f"opc.tcp://127.0.0.1:{server.port}", took
    finally:
        server.close()


def a_frame_without_end():
    yield b"MSGF" + struct.pack("<II", 0xFFFF_FFFF, 0)
    for _ in range(1000):
        yield bytes(1 << 20)


def frames_without_end():
    for number in range(20_000):
        yield b"MSGC" + struct.pack("<IIIII", 24 + 8000, 0, 0, number + 1, 1) + bytes(8000)


def empty_frames():
    for number in range(100_000):
        yield b"MSGC" + struct.pack("<IIIII", 24, 0, 0, number + 1, 1)


def frames_of_no_size():
    yield b"MSGF" + struct.pack("<II", 0, 0) * 1000


@pytest.mark.parametrize(
    "say", [a_frame_without_end, frames_without_end, empty_frames, frames_of_no_size], ids=lambda say: say.__name__
)
def test_what_never_ends_is_not_kept(hasty, say):
    """A few megabytes are taken, then the connection is closed; not as much as there is."""
    with talking(say) as (url, took):
        with OpcUaLink("line", [tag("speed")], Where(url, "none"), CYCLE_S, 0.5, backoff_s=(0.05, 0.1)) as link:
            wait_for(lambda: len(took) > 1)
            assert link.status().state in ("down", "connecting") and link.status().last_error
        assert max(took) < 3 * MOST_MESSAGE, took


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_no_value_of_a_tag_with_limits_though_its_status_is_good(server, number):
    with linked(server.url, [tag("speed", low=-10.0, high=10.0), tag("level", "float64")]) as link:
        server.set("speed", number)
        wait_for(lambda: value(link, "level") != "BAD")
        wait_for(lambda: value(link, "speed") == "BAD" and "speed" in link.status().note)
        assert link.status().implausible
        server.set("speed", 2.5)
        wait_for(lambda: value(link, "speed") == (2.5,))


@pytest.mark.parametrize("year", [1601, 9999])
def test_a_clock_that_is_far_off_changes_no_age(server, year):
    """The source's time is told as it came; how old a value is, our own clock says."""
    when = datetime(year, 1, 1, tzinfo=UTC)
    with linked(server.url, [tag("speed")]) as link:
        server.set("speed", 4.5, source=when)
        wait_for(lambda: value(link, "speed") == (4.5,) and link.values()[0].source_time.year == year)
        assert link.values()[0].age_ns < PATIENCE_S * 1e9


def test_keys_of_a_server_whose_clock_is_behind_are_as_good_as_others(server, monkeypatch):
    """It stands at 1970: what was told with the keys before the last ones is not too old."""
    channels = []
    whole = SecureConnection.set_channel

    def behind(self, params, *more):
        params.SecurityToken.CreatedAt = datetime(1970, 1, 1, tzinfo=UTC)
        whole(self, params, *more)
        channels.append(self)

    def soon(session):
        session._renew_at = time.monotonic() + 0.2

    monkeypatch.setattr(SecureConnection, "set_channel", behind)
    monkeypatch.setattr(session_module.Session, "_renewed", soon)  # keys live on for long: a busy machine renews late
    with linked(server.url, [tag("speed")], PLENTY_S) as link:
        wait_for(lambda: len(channels) > 3)
        assert link.status().reconnects == 0
        assert all(
            token.CreatedAt.year != 1970 for token in (channels[-1].security_token, channels[-1].prev_security_token)
        )


def test_keys_that_a_server_wants_renewed_all_the_time_are_not(server, monkeypatch):
    """A renewal costs two operations of RSA."""
    renewed, whole = [], session_module.Session._renewed
    monkeypatch.setattr(session_module.Session, "_renewed", lambda self: (renewed.append(1), whole(self)))
    with linked(server.url, [tag("speed")], channel_s=0.001) as link:
        wait_for(lambda: value(link, "speed") != "BAD")
        begun, before = time.monotonic(), len(renewed)
        wait_for(lambda: len(renewed) > before + 3)
        assert time.monotonic() - begun > 2 * session_module.SHORTEST_CHANNEL_S


def test_who_never_stops_talking_takes_half_of_a_core(monkeypatch):
    """The next message is asked for after a rest as long as the thread has worked since the one before, within bounds."""
    rests, worked = [], [100.0]

    async def rest(seconds):
        rests.append(seconds)

    own = SimpleNamespace(sleep=rest, Event=asyncio.Event)  # loops of other threads sleep as ever
    monkeypatch.setattr(items_module, "asyncio", own)
    clocks = SimpleNamespace(thread_time=lambda: worked[0], monotonic_ns=time.monotonic_ns)
    monkeypatch.setattr(items_module, "time", clocks)
    items, message = Items(None, {}, 0), ua.PublishResult(SubscriptionId=0)
    for seconds in (0.01, 0.03, 0.0, 3 * LONGEST_REST_S):
        worked[0] += seconds
        asyncio.run(items._told(message))
    assert rests == pytest.approx([0.01, 0.03, 0.0, LONGEST_REST_S])


def test_what_it_says_of_itself_is_told_in_short(server, monkeypatch):
    """Names of a megabyte do not stand in messages, of 10,000 tags each."""
    monkeypatch.setattr(link_module, "RETRY_S", 0.1)
    with linked(server.url, [tag("speed", address="nsu=urn:other;s=x")], PLENTY_S) as link:
        wait_for(lambda: "urn:other" in link.status().last_error)
        link._session.namespaces = ["urn:" + "x" * 1_000_000] * 1000
        wait_for(lambda: "xxx" in link.status().last_error)
        assert len(link.status().last_error) < 2000


def test_a_trusted_certificate_that_has_expired_or_is_for_another_application_is_told(tmp_path, monkeypatch):
    ours = make(tmp_path / "ours", uri="urn:our:client")
    theirs = make(tmp_path / "theirs", uri="urn:their:server", hosts=["127.0.0.1"])
    certificates = Certificates(ours.path.parent)
    certificates.trust(str(theirs.path))
    own = SimpleNamespace(uri="urn:another:server", path=theirs.path, key_path=theirs.key_path)
    later = SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(days=10_000))
    with (
        serving(own=own, policies=[ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]) as server,
        monkeypatch.context() as clock,
    ):
        clock.setattr(certificates_module, "datetime", later)
        with linked(server.url, [tag("speed")], security="Basic256Sha256", certificates=certificates.folder) as link:
            wait_for(lambda: "is valid from" in link.status().last_error)
            clock.undo()
            says = 'is for the application "urn:their:server", and it says that it is "urn:another:server"'
            wait_for(lambda: says in link.status().last_error)
