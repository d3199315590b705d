"""The answer to a good call: bytes that are sent as they are, where the connection stays; else a response of aiohttp's."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Final

from aiohttp import HttpVersion11, web

LENGTH: Final = "Inference-Header-Content-Length"
_JSON: Final = "application/json"
_BINARY: Final = "application/octet-stream"
_BEGIN: Final = "HTTP/1.1 200 OK\r\nServer: rt-engine\r\nContent-Type: "
_HEAD: Final = f"{_BEGIN}{_JSON}\r\n".encode()
_HEAD_BINARY: Final = f"{_BEGIN}{_BINARY}\r\n{LENGTH}: ".encode()
_SMALL: Final = 64 * 1024
"""A body up to this size goes out in one piece with its head."""


class Ready:
    """All that aiohttp asks of an answer."""

    __slots__ = ("_body", "_head")
    keep_alive: Final = True

    def __init__(self, head: bytes, body: bytes) -> None:
        self._head, self._body = head, body

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it; raises `ConnectionError`: nobody is there any more."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if len(self._body) <= _SMALL:
            transport.write(self._head + self._body)
        else:
            transport.write(self._head)
            transport.write(self._body)
        await request.writer.drain()

    async def write_eof(self) -> None:
        """It is sent already."""


class _Date:
    """Made once a second."""

    second = 0
    text = b""


def called(request: web.BaseRequest, body: bytes, header: int | None, coding: str) -> web.Response | Ready:
    """An answer to a call.

    Args:
        header: bytes of JSON before binary tensors; None: the body is JSON.
        coding: how the body is compressed, or empty.
    """
    if not coding and request.keep_alive and request.version == HttpVersion11:
        second = int(time.time())
        if second != _Date.second:
            _Date.second, _Date.text = second, formatdate(second, usegmt=True).encode()
        head = _HEAD if header is None else b"%b%d\r\n" % (_HEAD_BINARY, header)
        return Ready(b"%bContent-Length: %d\r\nDate: %b\r\n\r\n" % (head, len(body), _Date.text), body)
    headers = {"Server": "rt-engine", "Content-Type": _JSON if header is None else _BINARY}
    if header is not None:
        headers[LENGTH] = str(header)
    if coding:
        headers["Content-Encoding"] = coding
    return web.Response(body=body, headers=headers)
