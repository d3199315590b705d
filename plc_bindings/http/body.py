"""The bytes of a request: all of them, soon enough, not too many; and compression, of requests and of answers."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import web

from plc_bindings.http.errors import Refusal

HELD: Final = 4
"""So many bodies of the greatest size may be there at once, from their first byte until they are answered."""
HELD_OF_ONE: Final = HELD // 2
"""Of who asks: nobody can take all, however slowly he sends."""
_LARGE: Final = 64 * 1024
"""More bytes are compressed, or unpacked, in a thread."""
_SMALL: Final = 1024
"""Fewer are not compressed."""
_WBITS: Final = {"gzip": 31, "deflate": 15}
"""Coding -> the format, as zlib says it: `deflate` is zlib's own, as HTTP and Triton's clients have it."""


class Room:
    """What one call holds of the bytes that all may hold: `with bodies.room(who) as room`."""

    __slots__ = ("_bodies", "_size", "_who")

    def __init__(self, bodies: Bodies, who: str) -> None:
        self._bodies, self._who, self._size = bodies, who, 0

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        if self._size:
            self._bodies.held -= Counter({self._who: self._size})  # who holds nothing is forgotten

    def take(self, size: int) -> None:
        """So many bytes more; raises `Refusal`."""
        held, most = self._bodies.held, self._bodies.most
        if held[self._who] + size > HELD_OF_ONE * most:
            words = "too many large requests of yours at once: try again when they are answered"
        elif held.total() + size > HELD * most:
            words = "too many large requests at once: try again"
        else:
            held[self._who] += size
            self._size += size
            return
        raise Refusal(503, words, "refused: too many large bodies", ends=True)


class Bodies:
    """Reads bodies. The server's thread only.

    Args:
        most: bytes of one, as it came and unpacked.
        within_s: how soon all of it has to be there.
        pool: threads for what takes long.
    """

    def __init__(self, most: int, within_s: float, pool: ThreadPoolExecutor) -> None:
        self.most, self._within_s, self._pool = most, within_s, pool
        self.held: Counter[str] = Counter()
        """Who -> bytes."""

    def room(self, who: str) -> Room:
        """For one call of somebody."""
        return Room(self, who)

    def at_hand(self, request: web.BaseRequest) -> bytes | None:
        """A short body that came with its head and is not packed; None: `read` it."""
        content = request.content
        if not content.is_eof() or "Content-Encoding" in request.headers:
            return None
        data = content.read_nowait(-1)
        if len(data) > self.most:
            raise self._too_long()
        return data

    async def read(self, request: web.BaseRequest, room: Room) -> bytes:
        """The whole body, unpacked; it takes `room`.

        Raises:
            Refusal: it is too long, comes too slowly, or is not what its headers say.
        """
        content = request.content
        if content.is_eof():
            data = content.read_nowait(-1)
            if len(data) > self.most:
                raise self._too_long()
        else:
            data = await self._wait_for(request, room)
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        if not coding or coding == "identity" or not data:
            return data
        if coding not in _WBITS:
            raise Refusal(415, f"Content-Encoding: expected gzip or deflate, got {coding[:40]!a}")
        found = await self._apart(len(data), lambda: self._unpacked(data, coding))
        room.take(len(found))
        return found

    async def packed(self, request: web.BaseRequest, data: bytes) -> tuple[bytes, str]:
        """(an answer's body, its coding): compressed where the client asked for one coding by name, and for no other.

        A list of codings is what libraries say by themselves; to compress numbers takes longer than to send them.
        """
        coding = request.headers.get("Accept-Encoding", "").strip().lower()
        if coding not in _WBITS or len(data) < _SMALL:
            return data, ""

        def pack() -> bytes:
            packer = zlib.compressobj(1, zlib.DEFLATED, _WBITS[coding])
            return packer.compress(data) + packer.flush()

        return await self._apart(len(data), pack), coding

    async def _wait_for(self, request: web.BaseRequest, room: Room) -> bytes:
        if (request.content_length or 0) > self.most:
            raise self._too_long()
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._within_s):
                while part := await request.content.readany():
                    size += len(part)
                    if size > self.most:
                        raise self._too_long()
                    room.take(len(part))
                    parts.append(part)
        except TimeoutError:
            words = f"the body was not there within {self._within_s:g} s: {size:,} bytes came"
            raise Refusal(408, words, "refused: its body comes too slowly", ends=True) from None
        return b"".join(parts)

    def _unpacked(self, data: bytes, coding: str) -> bytes:
        unpacker = zlib.decompressobj(_WBITS[coding])
        try:
            found = unpacker.decompress(data, self.most + 1)
        except zlib.error:
            raise Refusal(400, f"the body is not {coding}, as Content-Encoding says") from None
        if len(found) > self.most:
            raise self._too_long()
        if not unpacker.eof or unpacker.unused_data:
            raise Refusal(400, f"the body is not one whole {coding} stream")
        return found

    async def _apart(self, size: int, work: Callable[[], bytes]) -> bytes:
        if size <= _LARGE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _too_long(self) -> Refusal:
        words = f"the body is longer than {self.most:,} bytes: `body_bytes` in the station file"
        return Refusal(413, words, "refused: body too long", ends=True)
