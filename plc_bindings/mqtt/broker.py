"""One session with an MQTT broker, kept up: connected, subscribed, and again after every loss. Knows no payloads.

    broker = Broker(BrokerOptions("192.168.10.9"), topics={"plant/desired/#": 1}, received=take, connected=greet)
    running = asyncio.create_task(broker.run())
    await broker.publish(Message("plant/reported", b"...", qos=1))        returns when the broker has acknowledged it
    running.cancel()

A broker is not trusted: packets, messages that wait, messages in a second have bounds (`BrokerOptions`), and a broker that goes beyond
is left, and tried again later. Sessions are clean: what must survive is retained at the broker, or kept by who publishes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from plc_bindings.errors import BindingError
from plc_bindings.security.access import Bucket

Client = Any
"""aiomqtt's, which is imported by who uses it."""
INSTALL: Final = 'pip install "rt-engine[mqtt]"'
ANSWER_S: Final = 5.0
"""For each step: CONNACK, SUBACK, PUBACK. Half of it for TCP, and for TLS: a program that ends waits for them."""
STEADY_S: Final = 10.0
"""A connection that held so long was a good one: the next attempt comes soon."""
REFUSED: Final = 0x80
_NO_TLS: Final = (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a connection ends that asks for TLS where nobody speaks it."""
_QUIET: Final = logging.Logger("rt-engine mqtt", logging.CRITICAL + 1)
"""A broker does not fill our log: its last error is in `BrokerCounts`."""


class BrokerError(BindingError):
    """A broker does not take a message now, or cannot be spoken to at all. The message says why."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Where a broker is, who we are to it, and what is taken from it.

    Args:
        client_id: of this client alone: a broker ends the older of two; empty: the broker makes one up.
        password_file: its first line is the password; read at each connection.
        tls: encrypted; also with a `ca_file` or a `cert_file`. Without a `ca_file` the system's authorities are asked.
        cert_file, key_file: this client's own certificate, PEM; read at each connection.
        keepalive_s: a connection over which nothing comes for twice that long is lost.
        retry_s, retry_most_s: before the second attempt, doubled up to the longest; each is shortened by chance to a half at most.
        most_bytes: of a packet from the broker.
        most_waiting, most_waiting_bytes: messages not yet looked at; more are dropped and counted.
        most_per_s: messages, on average over a second; a broker that sends more is left.
    """

    host: str
    port: int = 1883
    client_id: str = ""
    user: str = ""
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: int = 20
    version: Literal["5", "3.1.1"] = "5"
    retry_s: float = 1.0
    retry_most_s: float = 60.0
    most_bytes: int = 1 << 20
    most_waiting: int = 1000
    most_waiting_bytes: int = 64 << 20
    most_per_s: int = 5000

    @property
    def address(self) -> str:
        """`192.168.10.9:1883`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def encrypted(self) -> bool:
        """Does it speak TLS?"""
        return self.tls or self.ca_file is not None or self.cert_file is not None


@dataclass(frozen=True, slots=True)
class Message:
    """What is published, comes in, or is said after us when we are gone (a will)."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(slots=True)
class BrokerCounts:
    """Since the start."""

    attempts: int = 0
    connects: int = 0
    """Attempts that led to a connection with all its subscriptions."""
    sent: int = 0
    """Messages: at QoS 0 given to the system, at QoS 1 acknowledged."""
    sent_bytes: int = 0
    received: int = 0
    dropped: int = 0
    """Came in faster than they were looked at."""
    last_error: str = ""


async def _nothing(*_: object) -> None:
    return


class Broker:
    """A session. One event loop; `up` and `counts` may be read in any thread.

    Args:
        options: see there.
        topics: filter -> QoS, subscribed to after every connection, before `connected`.
        received: called with one message after the other; raises nothing.
        connected: called after every connection, when publishing is possible; a `BrokerError` from it ends the connection.
        will: asked before every connection.
    """

    def __init__(
        self,
        options: BrokerOptions,
        topics: Mapping[str, int],
        received: Callable[[Message], Awaitable[None]] = _nothing,
        connected: Callable[[], Awaitable[None]] = _nothing,
        will: Callable[[], Message | None] = lambda: None,
    ) -> None:
        self.options, self.topics = options, dict(topics)
        self.counts = BrokerCounts()
        self._received, self._connected, self._will = received, connected, will
        self._client: Client | None = None
        self._aiomqtt = _library()

    @property
    def up(self) -> bool:
        """Is there a connection over which messages go?"""
        return self._client is not None

    async def run(self) -> None:
        """Keep the session up until cancelled; then the broker is told that we leave, so it says no will."""
        pause_s = self.options.retry_s
        while True:
            began = time.monotonic()
            self.counts.attempts += 1
            try:
                await self._one_connection()
            except (BrokerError, self._aiomqtt.MqttError, OSError, ValueError) as error:
                self.counts.last_error = f"{self.options.address}: {_why(error, self.options.encrypted)}"
            if time.monotonic() - began > STEADY_S:
                pause_s = self.options.retry_s
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, self.options.retry_most_s)

    async def publish(self, message: Message) -> None:
        """Returns when the message was given to the system (QoS 0) or the broker has acknowledged it; raises `BrokerError`."""
        client = self._client
        if client is None:
            raise BrokerError(f"{self.options.address}: not connected")
        try:
            await client.publish(message.topic, message.payload, message.qos, message.retain, timeout=ANSWER_S)
            _check(client)
        except (BrokerError, self._aiomqtt.MqttError, OSError, ValueError) as error:
            raise BrokerError(f"{self.options.address}: {_why(error)}") from error
        self.counts.sent += 1
        self.counts.sent_bytes += len(message.payload)

    async def confirm(self) -> None:
        """Returns when the broker has answered a question that was sent behind all messages: it has read them.

        For messages of QoS 0, which it does not acknowledge. The question is to end a subscription that is not there.

        Raises:
            BrokerError: no answer; what was sent since the last confirmation may be lost.
        """
        client = self._client
        if client is None:
            raise BrokerError(f"{self.options.address}: not connected")
        try:
            await client.unsubscribe("rt-engine/confirm", timeout=ANSWER_S)
            _check(client)
        except (BrokerError, self._aiomqtt.MqttError, OSError) as error:
            raise BrokerError(f"{self.options.address}: {_why(error)}") from error

    def leave(self, why: str) -> None:
        """End this connection, because the broker does what it must not, or has gone silent; `run` makes the next."""
        client = self._client
        if client is not None and not client._disconnected.done():
            client._disconnected.set_exception(BrokerError(why))

    async def _one_connection(self) -> None:
        client = await self._made()
        try:
            await _entered(client)
            for topic, qos in self.topics.items():
                granted = await client.subscribe(topic, qos, timeout=ANSWER_S)
                if any((code if isinstance(code, int) else code.value) >= REFUSED for code in granted):
                    raise BrokerError(f"does not let us subscribe to {topic}: its access list")
            self._client = client
            self.counts.connects += 1
            await self._connected()
            async for message in client.messages:
                self.counts.received += 1
                payload = message.payload if isinstance(message.payload, bytes) else b""
                await self._received(Message(str(message.topic), payload, message.qos, bool(message.retain)))
        except asyncio.CancelledError:
            if self._client is not None:
                with contextlib.suppress(self._aiomqtt.MqttError):
                    await client.__aexit__(None, None, None)
            raise
        finally:
            self._client = None
            # Not at once: aiomqtt may have asked the loop to watch the socket, whose number would be another's.
            asyncio.get_running_loop().call_soon(_close, client)

    async def _made(self) -> Client:
        """A client for one connection."""
        options, aiomqtt = self.options, self._aiomqtt
        password, context = await asyncio.to_thread(_secrets, options)
        will = self._will()
        five = options.version == "5"
        client: Client = aiomqtt.Client(
            options.host,
            options.port,
            identifier=options.client_id or None,
            username=options.user or None,
            password=password,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            keepalive=options.keepalive_s,
            timeout=ANSWER_S,
            logger=_QUIET,
            tls_context=context,
            will=will and aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
            **({"clean_start": True, "properties": _limits(options)} if five else {"clean_session": True}),
            queue_type=lambda maxsize: _Waiting(options, self.counts),
        )
        _guard(client, options.most_bytes)
        return client


class _Waiting(asyncio.Queue[Any]):
    """Messages that were not looked at yet. A broker that sends too many in a second is an error."""

    def __init__(self, options: BrokerOptions, counts: BrokerCounts) -> None:
        super().__init__(options.most_waiting)
        self._bytes, self._most_bytes = 0, options.most_waiting_bytes
        self._rate, self._counts = Bucket(options.most_per_s), counts

    def put_nowait(self, item: Any) -> None:
        """One more; dropped where too many wait."""
        if not self._rate.take_one():
            raise BrokerError(f"sent more than {self._rate.rate} messages in a second")
        if self.full() or self._bytes + _size(item) > self._most_bytes:
            self._counts.dropped += 1
            return
        super().put_nowait(item)

    def _put(self, item: Any) -> None:
        self._bytes += _size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size(item)
        return item


def _size(message: Any) -> int:
    return len(message.payload or b"")


def _library() -> Any:
    try:
        return importlib.import_module("aiomqtt")
    except ImportError as error:
        raise BrokerError(f"MQTT needs aiomqtt: {INSTALL} ({error})") from error


def _secrets(options: BrokerOptions) -> tuple[str | None, ssl.SSLContext | None]:
    """(password, TLS) as the files are now; raises `OSError`, `BrokerError`."""
    password = None
    if options.password_file is not None:
        password = options.password_file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    if not options.encrypted:
        return password, None
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file is not None:
            context.load_cert_chain(options.cert_file, options.key_file)
    except (ssl.SSLError, OSError) as error:
        files = ", ".join(str(file) for file in (options.ca_file, options.cert_file, options.key_file) if file)
        raise BrokerError(f"{files}: {error}; expected PEM, a certificate and the key that belongs to it") from error
    return password, context


def _limits(options: BrokerOptions) -> Any:
    """What an honest broker of MQTT 5 is told of our limits."""
    properties = importlib.import_module("paho.mqtt.properties").Properties(
        importlib.import_module("paho.mqtt.packettypes").PacketTypes.CONNECT
    )
    properties.MaximumPacketSize = options.most_bytes
    return properties


def _guard(client: Client, most_bytes: int) -> None:
    """No packet is longer, whatever its length says: paho would take 256 MB. And an end is seen at once: aiomqtt waits for answers."""
    paho: Any = client._client
    receive: Callable[[int], bytes] = paho._sock_recv
    said: Callable[..., None] = client._on_disconnect
    loop = asyncio.get_running_loop()

    def bounded(size: int) -> bytes:
        if size > most_bytes:
            raise BrokerError(f"sent a packet of more than {most_bytes} bytes")
        return receive(size)

    def fail() -> None:
        if not client._connected.done():
            client._connected.set_exception(BrokerError("closed the connection instead of an answer to CONNECT"))

    def ended(*args: Any) -> None:
        loop.call_soon_threadsafe(fail)
        said(*args)

    paho.connect_timeout = ANSWER_S / 2
    paho._sock_recv = bounded
    paho.on_disconnect = ended
    client._disconnected.add_done_callback(lambda _: _release(client))


def _release(client: Client) -> None:
    """Who waits for an answer waits no longer; `_check` tells him why."""
    for event in (*client._pending_publishes.values(), *client._pending_unsubscribes.values()):
        event.set()
    for granted in client._pending_subscribes.values():
        if not granted.done():
            granted.set_exception(BrokerError("the connection ended"))


def _check(client: Client) -> None:
    if client._disconnected.done():
        raise BrokerError(f"the connection ended: {_why(client._disconnected.exception() or OSError('closed'))}")


async def _entered(client: Client) -> None:
    """Connected; who is cancelled meanwhile leaves no connection, although a thread makes it."""
    ended = client._disconnected
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        entering.add_done_callback(lambda _: _close(client))
        raise
    if ended.done():  # with CONNACK already: aiomqtt has forgotten it
        raise BrokerError(f"ended the connection: {_why(ended.exception() or OSError('closed'))}")


def _close(client: Client) -> None:
    """Nothing is left of it: aiomqtt keeps the socket of a connection that was never acknowledged."""
    client._client._sock_close()
    for future in (client._connected, client._disconnected):
        if future.done() and not future.cancelled():
            future.exception()  # seen: asyncio would tell of it


def _why(error: BaseException, encrypted: bool = False) -> str:
    """What was first; aiomqtt hides what the system said of a socket."""
    while not isinstance(error, BrokerError):
        first = error.__cause__ or error.__context__
        if first is None or (error.__cause__ is None and getattr(first, "errno", None) is None):
            break
        error = first
    words = str(error) if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None) or str(error)
    is_no_tls = encrypted and isinstance(error, _NO_TLS)
    helps = "; no TLS at this port? `tls = false` where the broker has none" if is_no_tls else ""
    return f"{words or type(error).__name__}{helps}"
