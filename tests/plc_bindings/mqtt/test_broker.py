"""A session with a broker: kept up, bounded, whatever the broker does. Mosquitto is the honest one."""

import asyncio
import contextlib
import re
import subprocess
import time

import pytest

from plc_bindings.mqtt.broker import Broker, BrokerCounts, BrokerError, BrokerOptions, Message, _Waiting
from tests.peers.mosquitto import Mosquitto
from tests.plc_bindings.modbus.test_tls import Authority
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.peer("mosquitto")
QUICK = {"retry_s": 0.05, "retry_most_s": 0.2, "keepalive_s": 5}


def run(main):
    return asyncio.run(asyncio.wait_for(main, 2 * PATIENCE_S))


async def until(condition, why="did not happen"):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, why
        await asyncio.sleep(0.01)


async def until_said(broker, why):
    """One of its attempts ends so: another may meet a reset instead."""
    await until(lambda: re.search(why, broker.counts.last_error, re.IGNORECASE), why)


@contextlib.asynccontextmanager
async def session(options, topics=None, **more):
    """A broker's session that runs, and what came over it."""
    came = []

    async def take(message):
        came.append(message)

    broker = Broker(options, topics or {}, take, **more)
    running = asyncio.create_task(broker.run())
    try:
        yield broker, came
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_message_comes_back(tmp_path, version):
    async def main(port):
        options = BrokerOptions("127.0.0.1", port, version=version, **QUICK)
        async with session(options, {"plant/#": 1}) as (broker, came):
            await until(lambda: broker.up)
            await broker.publish(Message("plant/a", b"1", qos=1))
            await broker.publish(Message("plant/b", b"2"))
            await broker.confirm()
            await until(lambda: len(came) == 2)
            assert came == [Message("plant/a", b"1", 1), Message("plant/b", b"2")]
            assert (broker.counts.sent, broker.counts.sent_bytes, broker.counts.received) == (2, 2, 2)

    with Mosquitto(tmp_path) as mosquitto:
        run(main(mosquitto.port))


def test_a_broker_that_comes_back_is_subscribed_to_again(tmp_path):
    async def main(mosquitto):
        greeted = []

        async def greet():
            greeted.append(broker.up)

        options = BrokerOptions("127.0.0.1", mosquitto.port, **QUICK)
        async with session(options, {"plant/#": 1}, connected=greet) as (broker, came):
            await until(lambda: greeted)
            mosquitto.stop()
            await until(lambda: not broker.up)
            with pytest.raises(BrokerError, match="not connected"):
                await broker.publish(Message("plant/a", b"lost"))
            await until(lambda: "refused" in broker.counts.last_error)
            mosquitto.start()
            await until(lambda: len(greeted) == 2)
            await broker.publish(Message("plant/a", b"again", qos=1))
            await until(lambda: came)
            assert [m.payload for m in came] == [b"again"]
            assert greeted == [True, True]
            assert broker.counts.connects == 2

    with Mosquitto(tmp_path) as mosquitto:
        run(main(mosquitto))


def test_the_will_is_that_of_the_connection_that_ended(tmp_path):
    async def main(mosquitto):
        wills = iter(range(100))
        options = BrokerOptions("127.0.0.1", mosquitto.port, **QUICK)
        async with session(options, {"gone": 1}) as (watcher, came):
            await until(lambda: watcher.up)
            async with session(options, will=lambda: Message("gone", b"%d" % next(wills), 1)) as (broker, _):
                for number in range(2):
                    await until(lambda: broker.up)
                    broker.leave("for a test")
                    await until(lambda number=number: len(came) > number)
                await until(lambda: broker.up)
            await watcher.publish(Message("gone", b"end", 1))
            await until(lambda: b"end" in [m.payload for m in came])
            assert [m.payload for m in came] == [b"0", b"1", b"end"]  # who leaves with a word has no will

    with Mosquitto(tmp_path) as mosquitto:
        run(main(mosquitto))


def test_user_and_password(tmp_path):
    passwords = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "press", "secret"], check=True)
    mine = tmp_path / "password"
    mine.write_text("wrong\n")

    async def main(port):
        options = BrokerOptions("127.0.0.1", port, user="press", password_file=mine, **QUICK)
        async with session(options) as (broker, _):
            await until_said(broker, "authori")
            mine.write_text("secret\n")  # read again at each connection
            await until(lambda: broker.up)

    with Mosquitto(tmp_path, f"password_file {passwords}", "allow_anonymous false") as mosquitto:
        run(main(mosquitto.port))


def test_tls_with_certificates_of_both(tmp_path):
    (tmp_path / "other").mkdir()
    ours, strangers = Authority(tmp_path), Authority(tmp_path / "other", "stranger")
    server, client = ours.issue("localhost"), ours.issue("press")
    lines = (f"cafile {ours.file}", f"certfile {server[0]}", f"keyfile {server[1]}", "require_certificate true",
             "allow_anonymous true")  # fmt: skip

    async def main(port):
        def options(ca, certificate):
            files = {"cert_file": certificate[0], "key_file": certificate[1]} if certificate else {}
            return BrokerOptions("localhost", port, ca_file=ca, **files, **QUICK)

        async with session(options(ours.file, client)) as (broker, _):
            await until(lambda: broker.up)
            await broker.publish(Message("a", b"1" * 100_000, 1))
        for wrong, why in (
            (options(strangers.file, client), "certificate verify failed"),
            (options(ours.file, strangers.issue("press")), "unknown ca|instead of an answer"),
            (options(ours.file, None), "certificate required|instead of an answer"),
            (options(ours.file, ours.issue("late", days=(-3, -2))), "certificate expired|instead of an answer"),
        ):
            async with session(wrong) as (broker, _):
                await until_said(broker, why)
                assert not broker.up

    with Mosquitto(tmp_path, *lines) as mosquitto:
        run(main(mosquitto.port))


def test_a_broker_whose_certificate_has_expired_is_not_spoken_to(tmp_path):
    """The password does not leave; the reason is said."""
    ours = Authority(tmp_path)
    server = ours.issue("localhost", days=(-3, -2))
    (tmp_path / "password").write_text("secret\n")

    async def main(port):
        options = BrokerOptions(
            "localhost", port, user="press", password_file=tmp_path / "password", ca_file=ours.file, **QUICK
        )
        async with session(options) as (broker, _):
            await until_said(broker, "certificate has expired")
            assert not broker.up

    lines = (f"cafile {ours.file}", f"certfile {server[0]}", f"keyfile {server[1]}", "allow_anonymous true")
    with Mosquitto(tmp_path, *lines) as mosquitto:
        run(main(mosquitto.port))


CONNACK = b"\x20\x03\x00\x00\x00"


def liar(answer):
    """A broker that answers a connection with these bytes, and again, and again."""

    async def serve(reader, writer):
        with contextlib.suppress(OSError, TimeoutError):
            await reader.read(1000)
            for part in answer:
                writer.write(part)
                await writer.drain()
            await asyncio.wait_for(reader.read(1000), 0.3)
        writer.close()

    return asyncio.start_server(serve, "127.0.0.1", 0)


FLOOD = (CONNACK, *[b"\x30\x06\x00\x01a\x00xy" * 100] * 10_000)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((b"\x20\x03\x00\x87\x00",), "Not authorized"),
        ((CONNACK, b"\x30\xff\xff\xff\x7f" + b"x" * 100_000), "packet of more than 65536 bytes"),
        (FLOOD, "more than 500 messages in a second"),
        ((CONNACK, b"\x30\xff\xff\xff\xff\xff\x7f"), "protocol error"),
        ((CONNACK, b"\x30\x05\x00\x03\xff\xfe\xfd"), "protocol error"),
        ((CONNACK, b"\xf0\x00"), "protocol error"),
        ((CONNACK, CONNACK, b"\x90\x01\x00"), "."),
    ],
    ids=["refused", "huge", "flood", "length", "topic", "type", "twice"],
)
def test_a_broker_that_lies_is_left_and_tried_again(answer, why):
    async def main():
        async with await liar(answer) as server:
            port = server.sockets[0].getsockname()[1]
            options = BrokerOptions("127.0.0.1", port, most_bytes=1 << 16, most_per_s=500, most_waiting=100, **QUICK)
            async with session(options) as (broker, _):
                await until_said(broker, why)
                await until(lambda: broker.counts.attempts > 2)

    run(main())


def test_a_broker_that_says_nothing_is_left(monkeypatch):
    monkeypatch.setattr("plc_bindings.mqtt.broker.ANSWER_S", 0.2)

    async def main():
        async with await liar(()) as server:
            options = BrokerOptions("127.0.0.1", server.sockets[0].getsockname()[1], **QUICK)
            async with session(options) as (broker, _):
                await until(lambda: "timed out" in broker.counts.last_error)

    run(main())


def test_a_broker_without_tls_is_told_apart_from_one_that_is_away(tmp_path):
    async def main(port):
        async with session(BrokerOptions("127.0.0.1", port, tls=True, **QUICK)) as (broker, _):
            await until_said(broker, "`tls = false`")
        async with session(BrokerOptions("127.0.0.1", 1, tls=True, **QUICK)) as (broker, _):
            await until(lambda: broker.counts.last_error)
            assert broker.counts.last_error == "127.0.0.1:1: Connection refused"

    with Mosquitto(tmp_path) as mosquitto:
        run(main(mosquitto.port))


def test_messages_that_wait_have_a_bound_in_bytes_too():
    counts = BrokerCounts()
    waiting = _Waiting(BrokerOptions("127.0.0.1", most_waiting_bytes=10), counts)
    for _ in range(2):
        waiting.put_nowait(Message("t", b"123456"))
    assert (waiting.qsize(), counts.dropped) == (1, 1)
    waiting.get_nowait()
    waiting.put_nowait(Message("t", b"1234567890"))
    assert (waiting.qsize(), counts.dropped) == (1, 1)
