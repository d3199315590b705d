"""The link against asyncua's own server, with faults planted: values with their quality, outputs, and every way to lose a session."""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from asyncua import ua

from fieldbus.errors import OutdatedError, RefusedError
from fieldbus.image.image import ProcessImage
from fieldbus.opcua import link as link_module
from fieldbus.opcua import session as session_module
from fieldbus.opcua.address import parse
from fieldbus.opcua.certificates import Certificates
from fieldbus.opcua.link import OpcUaLink
from fieldbus.opcua.own import make
from fieldbus.opcua.session import Where
from fieldbus.tags import Quality, Tag
from tests.devices import TcpDevice
from tests.fieldbus.opcua.server import URI, serving
from tests.waiting import PATIENCE_S, free_port, is_once, wait_for

UNCERTAIN, BAD_SENSOR = 0x40900000, 0x808C0000
CYCLE_S, TIMEOUT_S = 0.02, 1.0
PLENTY_S = 10.0
"""So long a busy machine may be silent before a link gives its session up, where that is no part of the test."""


def tag(name, kind="float32", node="", **options):
    address = options.pop("address", f"nsu={URI};s=Line.{node or name}")
    return Tag(name, kind, options.pop("direction", "in"), address=parse(address), **options)


def linked(url, tags, timeout_s=TIMEOUT_S, **where):
    return OpcUaLink("line", tags, Where(url, **({"security": "none"} | where)), CYCLE_S, timeout_s)


def value(link, name):
    (one,) = link.values([name])
    return one.values if one.quality == Quality.GOOD else one.quality.name


@pytest.fixture(scope="module")
def running():
    with serving() as one:
        yield one


@pytest.fixture
def server(running):
    running.as_new()
    return running


def test_every_type_arrives_in_its_units(server):
    tags = [
        tag("speed", scale=2.0, offset=1.0),
        tag("count", "int32"),
        tag("on", "bool"),
        tag("level", "float64"),
        tag("word", "uint16"),
        tag("big", "int64"),
        tag("state", "int32"),
        tag("all", node="temps", count=4),
        tag("some", address=f"nsu={URI};index=1;s=Line.temps", count=2),
        tag("way", "float64", address=f"nsu={URI};path=Line/level"),
        tag("number", "int32", address="i=2259"),
    ]
    with linked(server.url, tags) as link:
        assert link.wait_up(PATIENCE_S)
        wait_for(lambda: all(v.quality == Quality.GOOD for v in link.values()))
        found = [v.values for v in link.values()]
        (speed,) = link.values(["speed"])
        assert (
            abs(
                (speed.source_time - server.do(server.nodes["speed"].read_data_value()).SourceTimestamp).total_seconds()
            )
            < 1e-3
        )
    one = [(4.0,), (7.0,), (1.0,), (2.5,), (9.0,), (float(1 << 40),), (2.0,)]
    assert found == [*one, (1.0, 2.0, 3.0, 4.0), (2.0, 3.0), (2.5,), (0.0,)]


def test_what_is_wrong_with_a_tag_is_said_of_it_alone(server):
    tags = [
        tag("speed"),
        tag("nope"),
        tag("word", "int16"),
        tag("text"),
        tag("temps"),
        tag("far", node="temps", count=5),
        tag("one", node="level", kind="float64", count=2),
        tag("line", address=f"nsu={URI};s=Line"),
        tag("space", address="nsu=urn:other;s=x"),
        tag("way", address=f"nsu={URI};path=Line/nobody"),
        tag("count", "int32", direction="out"),
    ]
    with linked(server.url, tags, PLENTY_S) as link:
        wait_for(lambda: link.status().state == "degraded" and value(link, "speed") != "BAD")
        faults = link._faults()
        assert [v.tag.name for v in link.values() if v.quality == Quality.BAD] == [t.name for t in tags[1:]]
    words = (
        "no such node",
        'it is a UInt16, not a Int16; write type = "uint16"',
        "it is a String, not a Float, which is no number",
        "it is an array",
        "its array has 4 elements, and 5 are needed",
        "it is one value",
        "it is no variable",
        "no namespace urn:other",
        "no such way",
        "may not be written",
    )
    for one, word in zip(tags[1:], words, strict=True):
        assert word in faults[one.name]


def test_a_node_that_comes_later_is_found(server, monkeypatch):
    monkeypatch.setattr(link_module, "RETRY_S", 0.1)
    with linked(server.url, [tag("speed"), tag("late")]) as link:
        wait_for(lambda: link.status().state == "degraded")
        server.do(server._add(server.server.nodes.objects, "late", 5.0, ua.VariantType.Float))
        assert link.wait_up(PATIENCE_S)
        wait_for(lambda: value(link, "late") == (5.0,))


@pytest.mark.parametrize(
    ("planted", "quality", "words"),
    [
        ({"value": 1.0, "status": UNCERTAIN}, Quality.STALE, "UncertainLastUsableValue"),
        ({"value": 1.0, "status": BAD_SENSOR}, Quality.BAD, "BadSensorFailure"),
        ({"value": None, "kind": ua.VariantType.Null}, Quality.BAD, "no value"),
        ({"value": "1", "kind": ua.VariantType.String}, Quality.BAD, "it came as String, and is a Float"),
        ({"value": 1.0, "kind": ua.VariantType.Double}, Quality.BAD, "it came as Double, and is a Float"),
        ({"value": [1.0, 2.0], "kind": ua.VariantType.Float}, Quality.BAD, "an array came"),
    ],
)
def test_a_value_that_is_not_good_is_told_with_its_tag_and_comes_back(server, planted, quality, words):
    image = ProcessImage()
    server.set("speed", 1.0)
    link = linked(server.url, [tag("speed"), tag("level", "float64")], PLENTY_S)
    both, other = link.subscribe(image, ["speed", "level"], "task"), link.subscribe(image, ["level"], "another")
    with link:
        wait_for(lambda: both.latest()[3] == Quality.GOOD)
        server.set("speed", **planted)
        wait_for(lambda: both.latest()[3] == quality)
        assert np.isnan(both.latest()[0][0]) == (quality == Quality.BAD)
        wait_for(lambda: other.latest()[3] == Quality.GOOD)
        wait_for(lambda: words in link.status().note and link.status().state == "up")
        server.set("speed", 3.0)
        wait_for(lambda: both.latest()[3] == Quality.GOOD and both.latest()[0][0] == 3.0)
        wait_for(lambda: not link.status().note)


def test_outputs_are_written_changed_refreshed_and_safe_when_their_task_dies(server):
    image = ProcessImage()
    tags = [
        tag("set", direction="out", safe=-1.0, low=-5.0, high=5.0),
        tag("sets", direction="out", count=2, scale=0.5),
    ]
    link = linked(server.url, tags)
    driven = link.drive(image, ["set"], "task")
    with link:
        assert link.wait_up(PATIENCE_S)
        wait_for(lambda: driven.write([9.0]) is None and server.get("set") == 5.0)
        server.set("sets", [7.0, 7.0])
        wait_for(lambda: server.get("sets") == [0.0, 0.0])

        def is_in_time() -> bool:
            wait_for(lambda: driven.write([2.0]) is None and server.get("set") == 2.0)
            return wait_for(lambda: server.get("set") == -1.0) < 1.9 * TIMEOUT_S

        assert is_once(is_in_time)
        wait_for(lambda: driven.write([3.0]) is None and server.get("set") == 3.0)
        assert link.stop()
    assert server.get("set") == -1.0


def test_a_part_of_an_array_is_not_written_where_the_server_would_take_it_for_the_whole(server):
    """asyncua's server knows no ranges."""
    with linked(server.url, [tag("part", direction="out", address=f"nsu={URI};index=1;s=Line.sets")]) as link:
        wait_for(lambda: "does not know ranges" in link.status().last_error)
    assert server.get("sets") == [0.0, 0.0]


def is_lost_in_time(channel, act):
    """Do it, and see whether subscribers know within the timeout, and no less than one more."""
    wait_for(lambda: channel.latest()[3] == Quality.GOOD)
    begun = time.monotonic()
    act()
    acted_s = time.monotonic() - begun
    return acted_s + wait_for(lambda: channel.latest()[3] == Quality.BAD) < 1.9 * TIMEOUT_S


def test_a_server_that_hangs_is_lost_within_the_timeout_and_back_by_itself(server):
    link = linked(server.url, [tag("speed")])
    channel = link.subscribe(ProcessImage(), ["speed"], "task")
    with link:
        assert is_once(lambda: is_lost_in_time(channel, lambda: server.hang(2.0)))
        server.set("speed", 8.0)
        wait_for(lambda: channel.latest()[3] == Quality.GOOD and channel.latest()[0][0] == 8.0)
        assert link.status().reconnects >= 1


def test_a_server_that_answers_and_tells_nothing_any_more_is_lost(server):
    link = linked(server.url, [tag("speed")])
    channel = link.subscribe(ProcessImage(), ["speed"], "task")
    with link:
        assert is_once(
            lambda: is_lost_in_time(channel, server.mute) and "said nothing for" in link.status().lost_reason
        )
        wait_for(lambda: channel.latest()[3] == Quality.GOOD)


def test_after_a_restart_namespaces_have_other_indices(server):
    port = free_port()
    link = linked(f"opc.tcp://127.0.0.1:{port}", [tag("speed"), tag("set", direction="out", safe=4.0)])
    channel = link.subscribe(ProcessImage(), ["speed"], "task")
    with link:
        with serving(port=port) as first:
            wait_for(lambda: channel.latest()[3] == Quality.GOOD)
            space = first.space
            first.do(first.server.stop())
        assert wait_for(lambda: channel.latest()[3] == Quality.BAD) < 1.9 * TIMEOUT_S
        with serving(port=port, before=3) as second:
            second.set("speed", 6.0)
            wait_for(lambda: channel.latest()[3] == Quality.GOOD and channel.latest()[0][0] == 6.0)
            wait_for(lambda: second.get("set") == 4.0)
            assert second.space == space + 3
            link.stop()


def test_keys_are_renewed_and_nothing_is_lost(server, monkeypatch):
    renewed = []
    whole = session_module.Session._renewed

    def soon(session):
        whole(session)
        renewed.append(session._renew_at - time.monotonic())
        session._renew_at = time.monotonic() + 0.2

    monkeypatch.setattr(session_module.Session, "_renewed", soon)
    with linked(server.url, [tag("speed")], PLENTY_S, channel_s=60.0) as link:  # a busy machine renews late
        wait_for(lambda: len(renewed) > 4)
        assert max(renewed) <= 0.75 * 60.0
        assert link.status().reconnects == 0 and link.status().errors == 0


def test_a_message_that_was_lost_is_made_good_by_asking(server):
    with linked(server.url, [tag("speed")], PLENTY_S) as link:
        wait_for(lambda: value(link, "speed") != "BAD")
        items = link._items
        items.raw[:] = 99.0
        items._next_sequence += 5
        server.set("level", 4.0)
        server.set("count", 8)
        server.set("speed", 2.0)
        wait_for(lambda: value(link, "speed") == (2.0,))
        assert link.status().reconnects == 0


def test_whoever_stood_still_takes_no_old_answer_for_a_new_one(server):
    with linked(server.url, [tag("speed")]) as link:
        wait_for(lambda: value(link, "speed") != "BAD")

        def is_found_out():
            if not link.status().reconnects:
                link._turn_ns = time.monotonic_ns() - 3 * 10**9  # again where the link has just written it
            return link.status().reconnects

        wait_for(is_found_out)
        assert "stood still" in link.status().lost_reason
        assert link.wait_up(PATIENCE_S)


def test_questions_go_in_batches_that_the_server_takes(server, monkeypatch):
    monkeypatch.setattr(session_module, "BATCH", 3)
    tags = [tag(f"t{n}", node="speed") for n in range(10)]
    with linked(server.url, tags) as link:
        assert link.wait_up(PATIENCE_S)
        wait_for(lambda: all(value(link, one.name) != "BAD" for one in tags))


@pytest.mark.parametrize("code", ["BadTooManyOperations", "BadResponseTooLarge"])
def test_a_request_that_is_too_large_is_asked_in_parts_from_then_on(server, monkeypatch, code):
    """Servers whose limits of operation say nothing, or too much."""
    refused, whole = [], session_module.Session.ask

    async def small(self, question):
        asked = []
        recorder = SimpleNamespace(read=lambda request: asked.append(len(request.NodesToRead)))
        with contextlib.suppress(AttributeError):
            question(recorder)
        if asked and asked[0] > 6:
            refused.append(asked[0])
            raise RefusedError("too much", getattr(ua.StatusCodes, code))
        return await whole(self, question)

    monkeypatch.setattr(session_module.Session, "ask", small)
    tags = [tag(f"t{n}", node="speed") for n in range(10)]
    with linked(server.url, tags, PLENTY_S) as link:
        assert link.wait_up(PATIENCE_S)
        wait_for(lambda: all(value(link, one.name) != "BAD" for one in tags))
    assert refused == [7, 40, 20, 10]


def test_a_silent_server_that_has_much_to_look_at_is_told_how_to_give_it_less(server, monkeypatch):
    monkeypatch.setattr(link_module, "BUSY_SAMPLES_PER_S", 10)
    with linked(server.url, [tag("speed")]) as link:

        def is_told():
            wait_for(lambda: value(link, "speed") != "BAD")
            before = link.status().reconnects
            server.mute()
            wait_for(lambda: link.status().reconnects > before)
            wait_for(lambda: link.status().lost_reason)
            return "make `sampling` longer" in link.status().lost_reason

        assert is_once(is_told)


def test_a_server_that_would_say_too_seldom_that_it_lives_is_refused(server, monkeypatch):
    async def revised(self, question):
        answer = await whole(self, question)
        if isinstance(answer, ua.CreateSubscriptionResult):
            answer.RevisedMaxKeepAliveCount = 10_000
        return answer

    whole = session_module.Session.ask
    monkeypatch.setattr(session_module.Session, "ask", revised)
    with linked(server.url, [tag("speed")]) as link:
        wait_for(lambda: "make timeout 600 s or longer" in link.status().last_error)


def test_nobody_there_is_a_lost_connection():
    with linked(f"opc.tcp://127.0.0.1:{free_port()}", [tag("speed")]) as link:
        wait_for(lambda: link.status().state == "down")
        assert "no connection to" in link.status().last_error


def test_what_speaks_something_else_is_a_reason_in_words():
    def answer(there):
        there.recv(100)
        there.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 1000)

    device = TcpDevice(answer)
    with linked(f"opc.tcp://127.0.0.1:{device.port}", [tag("speed")]) as link:
        wait_for(lambda: link.status().last_error)
        assert link.status().state in ("down", "connecting")
    device.close()


class Users:
    """One who may come."""

    def get_user(self, iserver, username=None, password=None, certificate=None):
        from asyncua.server.user_managers import User, UserRole

        return User(role=UserRole.Admin) if (username, password) == ("anna", "secret") else None


def test_an_unknown_server_is_rejected_until_it_is_trusted_and_a_user_logs_in(tmp_path, monkeypatch):
    theirs = make(tmp_path / "theirs", uri="urn:their:server", hosts=["127.0.0.1"])
    ours = make(tmp_path / "ours", uri="urn:our:client")
    (tmp_path / "password").write_text("secret\nand a comment\n")
    policies = [
        ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
        ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
        ua.SecurityPolicyType.Basic256Sha256_Sign,
    ]
    options = {"user": "anna", "password_file": tmp_path / "password", "certificates": ours.path.parent}
    with serving(own=theirs, policies=policies, users=Users()) as server:
        with linked(server.url, [tag("speed")], security="Basic256Sha256", **options) as link:
            wait_for(lambda: f"trust -f {ours.path.parent} {theirs.thumbprint}" in link.status().last_error)
            Certificates(ours.path.parent).trust(theirs.thumbprint)
            assert link.wait_up(PATIENCE_S)
        for policy, mode in (("Aes256Sha256RsaPss", "sign-and-encrypt"), ("Basic256Sha256", "sign")):
            with linked(server.url, [tag("speed")], security=policy, mode=mode, **options) as link:
                assert link.wait_up(PATIENCE_S), link.status().last_error
        with linked(server.url, [tag("speed")], security="Aes128Sha256RsaOaep", **options) as link:
            wait_for(lambda: "does not offer Aes128Sha256RsaOaep" in link.status().last_error)
        (tmp_path / "password").write_text("wrong")
        with linked(server.url, [tag("speed")], security="Basic256Sha256", **options) as link:
            wait_for(lambda: "BadUserAccessDenied; the user's name or password" in link.status().last_error)


def test_outputs_of_many_parts_do_not_grow_old_on_the_way():
    """A server that takes its time for each: what has become too old meanwhile is not sent."""
    link = OpcUaLink("line", [tag(name, direction="out") for name in "abc"], Where("opc.tcp://127.0.0.1:1"))
    sent = []

    async def write(values):
        sent.append(len(values))
        link._out.until_ns = time.monotonic_ns() - 1
        return [ua.StatusCode() for _ in values]

    found = {name: SimpleNamespace(node=name, elements=None, builtin=10, first=None) for name in "abc"}
    link._session, link._lookup = SimpleNamespace(most={"write": 2}, write=write), SimpleNamespace(found=found)
    with pytest.raises(OutdatedError):
        asyncio.run(link._send(np.array([1.0, 2.0, 3.0])))
    assert (sent, list(link._sent)) == ([2], ["a", "b"])
