"""The files of a page, from this package (docs/adr/0029: there are no others).

Read once and compressed once, in a thread; a browser keeps them and asks whether they are still the same (`ETag`).
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Of other kinds none is served."""
_SMALL: Final = 512
"""Bytes below which compressing is not worth it."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, ready to be sent. `packed` is empty where that would not be shorter."""

    type: str
    data: bytes
    packed: bytes
    tag: str


class Assets:
    """All files of a page, by the path behind /static/. Read when they are first asked for."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES and path.is_file()
        }
        self._read: dict[str, Asset] = {}

    def find(self, name: str) -> Asset:
        """A file by its name; slow the first time.

        Raises:
            KeyError: there is none, in words.
        """
        asset = self._read.get(name)
        if asset is None:
            if name not in self._files:
                raise KeyError("no such file")
            asset = self._read[name] = _made(self._files[name])
        return asset

    def is_read(self, name: str) -> bool:
        """Is it at hand, or not there at all?"""
        return name in self._read or name not in self._files


def _made(path: Path) -> Asset:
    data = path.read_bytes()
    packed = gzip.compress(data, 6, mtime=0) if len(data) >= _SMALL else b""
    tag = hashlib.sha256(data).hexdigest()[:32]
    return Asset(TYPES[path.suffix], data, packed if len(packed) < len(data) else b"", f'"{tag}"')


def sent(request: web.Request, asset: Asset) -> web.Response:
    """The answer with a file, compressed where the browser takes that; none of it where the browser has it already."""
    headers = {"ETag": asset.tag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if asset.tag in [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]:
        return web.Response(status=304, headers=headers)
    takes_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    body = asset.packed if asset.packed and takes_packed else asset.data
    if body is asset.packed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers, content_type=asset.type, charset="utf-8")
