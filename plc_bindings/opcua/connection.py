"""A client's connection: frames in, answers out, within limits. The services themselves are asyncua's, and `session.py`.

    bytes -> frames of at most 64 KiB -> turn (rate, room for answers) -> Processor -> answer
    whatever is wrong with a frame: an error message of the protocol, and the connection ends

What asyncua leaves open, and is closed here: frames of any announced size, answers that nobody fetches, messages before a
channel is open, sessions in channels that the server does not offer, handshakes (RSA) as often as somebody likes, tokens of a
channel that have long expired.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.server.internal_session import SessionState
from asyncua.ua.ua_binary import header_from_binary, uatcp_to_binary

from fieldbus.opcua import bounds as _bounds  # noqa: F401  # what requests are decoded within
from plc_bindings.net.connection import keep_alive
from plc_bindings.net.fetching import Fetching, send_small
from plc_bindings.opcua.channel import MOST_WAITING_BYTES
from plc_bindings.opcua.policy import Policy
from plc_bindings.opcua.processor import Processor
from plc_bindings.opcua.sizes import Sizes
from plc_bindings.opcua.words import status
from plc_bindings.security.access import Access, Bucket, Client

if TYPE_CHECKING:
    from plc_bindings.opcua.engine import Engine

CHUNK_BYTES: Final = 65535
HELLO_S: Final = 20.0
"""From connecting to a session that is activated."""
FETCH_S: Final = 10.0
"""Answers that are not fetched for so long end a connection."""
MOST_FRAMES: Final = 16
"""That wait for their turn; then nothing more is read from the socket."""
HANDSHAKES_PER_S: Final = 20.0
HANDSHAKES: Final = 40.0
"""So many at once, and then so many a second, from all: each costs milliseconds of RSA. One address gets half and a quarter of it."""
MOST_ADDRESSES: Final = 1000
_URI: Final = b"http://opcfoundation.org/UA/SecurityPolicy#None"
_NO_SECURITY: Final = len(_URI).to_bytes(4, "little") + _URI
_URI_AT: Final = 12
"""Where a frame that opens a channel names its policy."""
KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 10, "TCP_USER_TIMEOUT": 30_000}
_SIZE: Final = struct.Struct("<4sI")
_KINDS: Final = (b"HEL", b"OPN", b"MSG", b"CLO")
_S = ua.StatusCodes


class Turnstile:
    """Handshakes of a whole server, that one waits at: those of one address leave room for others'."""

    def __init__(self) -> None:
        self._all = Bucket(HANDSHAKES_PER_S, HANDSHAKES)
        self._by_address: dict[str, Bucket] = {}

    async def turn(self, address: str) -> None:
        """Wait for it."""
        if len(self._by_address) >= MOST_ADDRESSES:
            self._by_address.clear()
        own = self._by_address.setdefault(address, Bucket(HANDSHAKES_PER_S / 4, HANDSHAKES / 2))
        while own.level() < 1.0 or self._all.level() < 1.0:
            await asyncio.sleep(1.0 / HANDSHAKES_PER_S)
        own.take(1)
        self._all.take(1)


class Connection(asyncio.Protocol):
    """One client's socket."""

    def __init__(
        self, engine: Engine, access: Access, turnstile: Turnstile, all_: set[Connection], count: Callable[[], None]
    ) -> None:
        self._engine, self._access, self._turnstile, self._all = engine, access, turnstile, all_
        self._count = count
        self._buffer = bytearray()
        self._frames: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._fetching: Fetching | None = None
        self._begun = time.monotonic()
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: Any = None
        self.processor: Processor | None = None

    # --- what asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Let it in, or not."""
        address = str(transport.get_extra_info("peername")[0])
        self._client = self._access.admit(address)
        self._transport = transport
        if self._client is None:
            transport.abort()
            return
        keep_alive(transport.get_extra_info("socket"), KEEP_ALIVE)
        send_small(transport.get_extra_info("socket"))
        self._fetching = Fetching(transport, self._begun)
        transport.set_write_buffer_limits(MOST_WAITING_BYTES)
        most = self._engine.options.limits.message_bytes
        limits = Sizes(CHUNK_BYTES, CHUNK_BYTES, -(-most // (CHUNK_BYTES // 2)), most)
        self.processor = Processor(self._engine, transport, limits, address)
        self.processor.set_policies([Policy(one, self._engine.believes, address) for one in self._engine.policies])
        self._all.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended."""
        self._all.discard(self)
        self._frames.clear()
        if self._client is not None:
            self._access.release(self._client)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Answers are not fetched."""
        self._room.clear()
        assert self._fetching is not None, "who was not let in is sent nothing"
        self._fetching.pause(time.monotonic())

    def resume_writing(self) -> None:
        """They are again."""
        self._room.set()
        assert self._fetching is not None, "it was paused"
        self._fetching.resume()

    def data_received(self, data: bytes) -> None:
        """Cut frames off; a client that sends more than it gets answered waits."""
        self._buffer += data
        while len(self._buffer) >= _SIZE.size:
            kind, size = _SIZE.unpack_from(self._buffer)
            if kind[:3] not in _KINDS or not _SIZE.size < size <= CHUNK_BYTES:
                self._fail(_S.BadTcpMessageTooLarge if kind[:3] in _KINDS else _S.BadTcpMessageTypeInvalid)
                return
            if len(self._buffer) < size:
                break
            self._frames.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        if self._frames:
            self._wake.set()
        if len(self._frames) > MOST_FRAMES:
            self._transport.pause_reading()

    # --- one frame after another --------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            while not self._transport.is_closing():
                await self._wake.wait()
                while self._frames:
                    frame = self._frames.popleft()
                    await self._turn(frame)
                    if not await self._process(frame):
                        return
                self._wake.clear()
                self._transport.resume_reading()
        except asyncio.CancelledError:
            pass
        finally:
            await self._end()

    async def _turn(self, frame: bytes) -> None:
        """Wait until this client may ask again, and fetches what it was answered."""
        assert self._client is not None
        await self._room.wait()
        while not self._client.may_ask():
            await asyncio.sleep(1.0 / min(self._client.rate, 100.0))
        if frame[:3] == b"OPN" and not frame.startswith(_NO_SECURITY, _URI_AT):
            await self._turnstile.turn(self._client.address)
        self._count()

    async def _process(self, frame: bytes) -> bool:
        assert self.processor is not None
        try:
            buffer = Buffer(frame)
            if await self.processor.process(header_from_binary(buffer), buffer):
                return True
            self._transport.close()
        except ServiceError as error:
            self._fail(error.code)
        except Exception:  # whatever the library makes of bytes from outside
            self._fail(_S.BadSecurityChecksFailed)
        return False

    def _fail(self, code: int) -> None:
        """An error message, and no more."""
        if self._client is not None:
            name = ua.status_codes.get_name_and_doc(code)[0]
            self._engine.audit(self._client.name, "message", f"disconnected: {name}")
        error = ua.ErrorMessage()
        error.Error = status(code)
        self._transport.write(uatcp_to_binary(cast(Any, ua.MessageType.Error), error))
        self._transport.close()

    async def _end(self) -> None:
        self._transport.close()
        if self.processor is not None:
            self.processor._publish_requests.clear()
            session = self.processor.session
            was_there = session is not None and session.is_activated()
            with suppress(Exception):
                await self.processor.close()
            was_aborted = was_there and session is not None and not session.is_activated()
            self._engine.diagnostics.counts.SessionAbortCount += was_aborted

    # --- from outside -------------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End it if it stands still, or its keys are old."""
        processor = self.processor
        assert processor is not None and self._client is not None and self._fetching is not None
        session = processor.session
        active = session is not None and session.state == SessionState.Activated
        if active:
            self._begun = now
        why = ""
        if self._fetching.stuck_s(now) > FETCH_S:
            why = "disconnected: answers are not fetched"
        elif now - self._begun > HELLO_S:
            why = "disconnected: no session"
        elif processor.has_expired:
            why = "disconnected: its keys were not renewed"
        if why:
            self._engine.audit(self._client.name, "connection", why)
            self._transport.abort()

    def close(self) -> None:
        """End it."""
        self._transport.abort()


def silence() -> None:
    """asyncua tells its log of every request, and of what clients do wrong; the audit log has that, bounded."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
