"""The door: bytes that are none of ours, clients that stand still, too many of everything; and afterwards a good client is served."""

import asyncio
import random
import socket
import struct
from types import SimpleNamespace

import pytest
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import struct_to_binary
from asyncua.ua.uaerrors import UaStatusCodeError

from plc_bindings.opcua.connection import HELLO_S, Connection, Turnstile
from plc_bindings.opcua.options import OpcUaLimits
from plc_bindings.security.access import Access, Limits
from tests.plc_bindings.opcua.plant import Heard, Plant, connected, node, options, refusal, run, serving
from tests.waiting import PATIENCE_S, wait_for

HELLO = b"HELF" + struct.pack("<I5Ii", 43, 0, 65535, 65535, 0, 0, 11) + b"opc.tcp://x"
LIMITS = OpcUaLimits(sessions=3, subscriptions=2, items=5, nodes=10)


@pytest.fixture(scope="module")
def running(folders):
    """A server with little room."""
    plant = Plant(limits=Limits(connections=8, connections_per_address=8))
    with serving(plant, options(folders[0], limits=LIMITS)) as server:
        run(works(server, folders[1]))
        yield plant, server, folders[1]


async def works(server, folder):
    """Is a good client served?"""
    async with connected(server, "otto", folder) as client:
        return await node(client, "Tags.Word").read_value()


def said(server, *parts, closes=True, until=b""):
    """(what comes back, whether it was closed then); `closes`: that is waited for, else it stays open for a moment at least.

    `until`: no more is waited for than what has these bytes.
    """
    with socket.create_connection(server.address, timeout=PATIENCE_S) as sock:
        got = b""
        try:
            for part in parts:
                sock.sendall(part)
            while data := sock.recv(65536):
                got += data
                if until and until in got:
                    break
                if not closes:
                    sock.settimeout(0.3)
        except TimeoutError:
            return got, False
        except OSError:
            pass
        return got, True


def test_bytes_that_are_no_message_end_the_connection(served):
    """With an error message of the protocol; 200 of them, of which nothing stays."""
    plant, server, folder = served
    chance = random.Random(7)
    for _ in range(200):
        got, closed = said(server, b"\0" + chance.randbytes(chance.randint(7, 400)))
        assert closed and got[:4] in (b"ERRF", b"")
    assert run(works(server, folder)) == 42
    assert any("BadTcpMessageTypeInvalid" in outcome for *_, outcome in plant.audit)


def test_what_announces_too_much_is_not_waited_for(served):
    _, server, _ = served
    got, closed = said(server, b"MSGF" + struct.pack("<I", 0x7FFF_FFFF) + bytes(100))
    assert closed and struct.unpack_from("<I", got, 8) == (ua.StatusCodes.BadTcpMessageTooLarge,)


def test_a_message_byte_by_byte_is_a_message(served):
    _, server, _ = served
    got, closed = said(server, *(HELLO[i : i + 1] for i in range(len(HELLO))), closes=False)
    assert (got[:4], closed) == (b"ACKF", False)


def in_plain_channel(server, request, chunk_type=None):
    """The status that a request gets in a channel without security; `chunk_type` instead of the one that it has."""
    channel = SecureConnection(SecurityPolicyNone(), TransportLimits())
    open_ = ua.OpenSecureChannelRequest()
    open_.Parameters.SecurityMode, open_.Parameters.ClientNonce = ua.MessageSecurityMode.None_, b""
    first = channel.message_to_binary(struct_to_binary(open_), ua.MessageType.SecureOpen, 1)
    with socket.create_connection(server.address, timeout=PATIENCE_S) as sock:
        sock.sendall(HELLO + first)
        got = b""
        while b"OPNF" not in got:
            part = sock.recv(65536)
            assert part, "the server has closed the connection"
            got += part
        at = got.index(b"OPNF")
        channel.security_token.ChannelId, channel.security_token.TokenId = struct.unpack_from("<I", got, at + 8)[0], 13
        message = channel.message_to_binary(struct_to_binary(request), ua.MessageType.SecureMessage, 2)
        sock.sendall(message[:3] + (chunk_type or message[3:4]) + message[4:])
        answer = sock.recv(65536)
    if answer[:3] == b"ERR":
        return struct.unpack_from("<I", answer, 8)[0]
    return struct.unpack_from("<I", answer, 24 + 4 + 8 + 4)[0]


@pytest.mark.parametrize(
    "request_",
    [
        ua.CreateSessionRequest(), ua.ActivateSessionRequest(), ua.ReadRequest(), ua.WriteRequest(), ua.CallRequest(),
        ua.AddNodesRequest(), ua.RegisterServerRequest(), ua.PublishRequest(), ua.CloseSessionRequest(),
    ],
    ids=lambda request: type(request).__name__,
)  # fmt: skip
def test_a_channel_without_security_tells_where_there_is_one_and_nothing_else(served, request_):
    _, server, _ = served
    assert in_plain_channel(server, request_) == ua.StatusCodes.BadSecurityPolicyRejected
    assert in_plain_channel(server, ua.GetEndpointsRequest()) == ua.StatusCodes.Good


def test_a_channel_without_security_takes_no_message_of_several_frames(served):
    """Nobody knows who fills the memory there."""
    _, server, _ = served
    request = ua.GetEndpointsRequest()
    assert in_plain_channel(server, request, ua.ChunkType.Intermediate) == ua.StatusCodes.BadTcpMessageTooLarge


def test_answers_are_not_cut_into_crumbs(served):
    """Each costs a signature."""
    _, server, _ = served
    crumbs = HELLO[:12] + struct.pack("<2I", 60, 60) + HELLO[20:]
    got, closed = said(server, crumbs)
    assert closed and struct.pack("<I", ua.StatusCodes.BadConnectionRejected) in got


def test_a_message_before_a_channel_is_open_is_refused(served):
    """asyncua would take it for one of channel 0."""
    _, server, _ = served
    plain = SecureConnection(SecurityPolicyNone(), TransportLimits())
    message = plain.message_to_binary(struct_to_binary(ua.ReadRequest()), ua.MessageType.SecureMessage, 1)
    refused = struct.pack("<I", ua.StatusCodes.BadSecureChannelClosed)
    got, _ = said(server, HELLO, message, until=refused)
    assert refused in got


def eleven(client, number):
    """Each service that takes many nodes, with one too many."""
    path = ua.BrowsePath(number, ua.RelativePath([ua.RelativePathElement()]))
    value = ua.DataValue(ua.Variant(1, ua.VariantType.Int32))
    yield client.read(ua.ReadParameters(NodesToRead=[ua.ReadValueId(number, ua.AttributeIds.Value)] * 11))
    yield client.write(
        ua.WriteParameters(NodesToWrite=[ua.WriteValue(number, ua.AttributeIds.Value, None, value)] * 11)
    )
    yield client.browse(ua.BrowseParameters(NodesToBrowse=[ua.BrowseDescription(number)] * 11))
    yield client.translate_browsepaths_to_nodeids([path] * 11)
    yield client.call([ua.CallMethodRequest(number, number)] * 11)


def test_there_is_an_end_to_connections_sessions_subscriptions_items_and_nodes(served):
    plant, server, folder = served

    async def work():
        found = {}
        async with connected(server, "anna", folder) as client, connected(server, "anna", folder):
            subscriptions = [await client.create_subscription(1000, Heard()) for _ in range(2)]
            found["third subscription"] = await refusal(client.create_subscription(1000, Heard()))
            made = await subscriptions[0].subscribe_data_change([node(client, "Tags.Count")] * 4)
            more = await subscriptions[1].subscribe_data_change([node(client, "Tags.Count")] * 3)
            found["items"] = [isinstance(one, int) for one in (*made, *more)]
            found["eleven nodes"] = [
                await refusal(asked) for asked in eleven(client.uaclient, node(client, "Tags.Count").nodeid)
            ]
            async with connected(server, "anna", folder):
                try:
                    found["fourth session"] = await asyncio.wait_for(works(server, folder), PATIENCE_S)
                except UaStatusCodeError as error:
                    found["fourth session"] = type(error).__name__
        return found

    found = run(work())
    assert found == {
        "third subscription": "BadTooManySubscriptions",
        "items": [True] * 5 + [False] * 2,
        "eleven nodes": ["BadTooManyOperations"] * 5,
        "fourth session": "BadTooManySessions",
    }
    sockets = [socket.create_connection(server.address) for _ in range(12)]
    wait_for(lambda: any("too many connections" in outcome for *_, outcome in plant.audit))
    assert server.access.clients <= 8
    for one in sockets:
        one.close()


class Transport:
    """A socket that keeps what is written to it."""

    def __init__(self):
        self.written, self.closed, self.aborted, self.reading = b"", False, False, True
        self.sock = socket.socket()

    def get_extra_info(self, name):
        return ("127.0.0.1", 5) if name == "peername" else self.sock

    def get_write_buffer_size(self):
        return 0

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def abort(self):
        self.aborted = True

    def is_closing(self):
        return self.closed or self.aborted

    def set_write_buffer_limits(self, high):
        self.high = high

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


def connection(lines, **limits):
    """One, on such a socket; and the socket."""
    access = Access(limits=Limits(**limits), audit=lambda *line: lines.append(line))
    engine = SimpleNamespace(options=options(), policies=[], believes=None, audit=access.audit, subscriptions=None)
    made, transport = Connection(engine, access, Turnstile(), set(), lambda: None), Transport()
    made.connection_made(transport)
    return made, transport


def test_who_has_no_session_for_too_long_is_disconnected():
    async def work():
        lines = []
        silent, transport = connection(lines)
        silent.look(silent._begun + HELLO_S - 1)
        assert not transport.aborted
        silent.look(silent._begun + HELLO_S + 1)
        return transport.aborted, [outcome for *_, outcome in lines]

    assert run(work()) == (True, ["disconnected: no session"])


def test_who_sends_faster_than_he_is_answered_is_not_read_from():
    async def work():
        made, transport = connection([], requests_per_second=1)
        made.data_received(HELLO * 40)
        paused = not transport.reading
        await asyncio.sleep(0.05)
        made.connection_lost(None)
        return paused, transport.written.count(b"ACKF")

    paused, answered = run(work())
    assert paused and answered == 1, "one request a second"


def test_handshakes_of_one_address_leave_room_for_others():
    async def work():
        turnstile = Turnstile()
        flood = [asyncio.ensure_future(turnstile.turn("10.0.0.1")) for _ in range(100)]
        await asyncio.sleep(0)
        other = asyncio.ensure_future(turnstile.turn("10.0.0.2"))
        await asyncio.sleep(0)
        assert other.done(), "it has to wait"
        done = sum(one.done() for one in flood)
        for one in flood:
            one.cancel()
        return done

    assert 15 <= run(work()) <= 25
