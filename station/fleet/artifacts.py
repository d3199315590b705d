"""Files by their SHA-256: got once, checked while they come, kept.

    FOLDER/0123abcd...          a file whose bytes have this SHA-256
    FOLDER/0123abcd....part     one that has come in part: the next attempt asks for the rest

Nothing is read of a file before all of it is there and its SHA-256 is right. The order says how many bytes it has: more are not taken.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rt_native.files import open_file
from station.fleet.documents import Wanted
from station.fleet.web import ArtifactError, Web, objection, place_of
from station.store.files import CHUNK, FILE_MODE, FOLDER_MODE, sync_folder, write_all

KEEP_BYTES: Final = 512 << 20
GRACE_S: Final = 60.0
LEAST_BYTES_PER_S: Final = 16 << 10
"""A server that gives less is left: it would keep a station busy for ever."""
PART: Final = ".part"


class _SpoiledError(ArtifactError):
    """What had come before does not belong to the file; it was removed."""


class Shelf:
    """The folder. Raises OSError where it cannot be read or written.

    Args:
        keep_bytes: of files; those that were got first go first.
    """

    def __init__(self, folder: Path, keep_bytes: int = KEEP_BYTES) -> None:
        self.folder, self._keep_bytes = folder, keep_bytes

    def path(self, sha256: str) -> Path:
        """Where a file is, if it is there."""
        return self.folder / sha256

    def has(self, sha256: str) -> bool:
        """Is it there? What it holds is checked when it is read."""
        return self.path(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        """The file. One that is damaged is removed. Raises ArtifactError: it is not there."""
        try:
            with open_file(self.path(sha256)) as file:
                data: bytes = file.readall()  # type: ignore[attr-defined]  # it is a FileIO
        except OSError as error:
            raise ArtifactError(f"{self.path(sha256)}: {error.strerror or error}") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            with suppress(OSError):
                self.path(sha256).unlink()
            raise ArtifactError(f"{self.path(sha256)} was damaged: it is got again")
        return data

    async def get(
        self, web: Web, wanted: Wanted, allowed: Collection[str], now: Callable[[], float] = time.monotonic
    ) -> None:
        """Have the file, from the first of its sources that gives it.

        Raises:
            ArtifactError: none does; with what each answered.
        """
        if self.has(wanted.sha256):
            return
        said = []
        for source in wanted.sources:
            try:
                if why := objection(source, allowed):
                    raise ArtifactError(why)
                await self._got(web, place_of(source, wanted.sha256), wanted, now)
                return
            except ArtifactError as error:
                said.append(str(error))
        raise ArtifactError("; ".join(said) or "the order names no source")

    async def _got(self, web: Web, url: str, wanted: Wanted, now: Callable[[], float]) -> None:
        """The file; all of it from here where what another source gave, or an earlier order, does not belong to it."""
        try:
            await self._get(web, url, wanted, now)
        except _SpoiledError:
            await self._get(web, url, wanted, now)

    async def _get(self, web: Web, url: str, wanted: Wanted, now: Callable[[], float]) -> None:
        self.folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        self._make_room(wanted.size)
        until = now() + GRACE_S + wanted.size / LEAST_BYTES_PER_S
        with open(self._part(wanted.sha256), "r+b", buffering=0) as file:
            hashed, came = hashlib.sha256(), 0
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
                came += len(chunk)
            before = came
            if came < wanted.size:
                hashed, came = await self._stream(web, url, wanted, file, hashed, came, lambda: now() > until)
            if came > wanted.size or (before and hashed.hexdigest() != wanted.sha256 and came == wanted.size):
                self._drop(wanted.sha256)
                raise _SpoiledError(f"what came before of {wanted.sha256} is of another file: it is got anew")
            if came != wanted.size:
                raise ArtifactError(f"{url} ended after {came:,} of {wanted.size:,} bytes: the rest is asked for next")
            if hashed.hexdigest() != wanted.sha256:
                self._drop(wanted.sha256)
                raise ArtifactError(
                    f"{url} serves other bytes: SHA-256 {hashed.hexdigest()}, the order says {wanted.sha256}"
                )
            self._settle(file, wanted.sha256)

    async def _stream(
        self, web: Web, url: str, wanted: Wanted, file: Any, hashed: Any, came: int, is_late: Callable[[], bool]
    ) -> tuple[Any, int]:
        """Take what is missing; a server that knows no parts sends all once more. Gives the hash and how many bytes are there."""
        asked = {"Range": f"bytes={came}-"} if came else {}
        async with web.get(url, asked) as answer:
            if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {came}-"):
                self._drop(wanted.sha256)
                raise ArtifactError(f"{url} gives another part than the one that was asked for")
            if answer.status == 200 and came:
                file.seek(0)
                file.truncate()
                hashed, came = hashlib.sha256(), 0
            async for chunk in answer.content.iter_chunked(1 << 16):
                if came + len(chunk) > wanted.size:
                    self._drop(wanted.sha256)
                    raise ArtifactError(f"{url} gives more than the {wanted.size:,} bytes that the order says")
                if is_late():
                    raise ArtifactError(f"{url} gives less than {LEAST_BYTES_PER_S:,} bytes a second")
                self._write(file, chunk)
                hashed.update(chunk)
                came += len(chunk)
        return hashed, came

    # --- files --------------------------------------------------------------------------------------------------------

    def _part(self, sha256: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.folder / (sha256 + PART), flags, FILE_MODE)

    def _write(self, file: Any, chunk: bytes) -> None:
        """What the disk refuses is no fault of the server's, whose answer is being read."""
        try:
            write_all(file.fileno(), chunk)
        except OSError as error:
            raise ArtifactError(f"{self.folder}: {error.strerror or error}; the rest is asked for later") from error

    def _drop(self, sha256: str) -> None:
        with suppress(OSError):
            (self.folder / (sha256 + PART)).unlink()

    def _settle(self, file: Any, sha256: str) -> None:
        file.flush()
        os.fsync(file.fileno())
        (self.folder / (sha256 + PART)).rename(self.path(sha256))
        sync_folder(self.folder)

    def _make_room(self, size: int) -> None:
        """Remove the oldest, until so many bytes more fit."""
        found = ((path.lstat(), path) for path in self.folder.iterdir() if not path.is_dir() or path.is_symlink())
        files = sorted(found, key=lambda one: one[0].st_mtime_ns)
        total = sum(one.st_size for one, _ in files) + size
        for one, path in files:
            if total <= self._keep_bytes:
                return
            total -= one.st_size
            path.unlink()
