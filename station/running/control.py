"""The control socket of a running station: HTTP over a Unix socket that only its user, and root, can talk to.

    GET  /status          -> 200, a `Snapshot` without tags; /status?tags=20 or ?tags=all with some or all of them
    GET  /health          -> 200, {"station", "wrong": [what is not well, in words]}
    GET  /tags            -> 200, {"tags": [`TagView`...]}; /tags?name=level&name=tank.* some of them | 404 {"error"}
    POST /update, /commit, /rollback, /allow: `station.running.changing`
    POST /reset-state/{task}  -> 200 {"message"} | 404 | 422 {"error"}; what the task keeps from cycle to cycle begins anew
    POST /reset-drive/{drive} -> 200 {"message"} | 404 {"error"}; the drive is told to reset its fault
    POST /record {"why"}  -> 200 {"message"} | 422 {"error"}; the cycles around now are kept
    GET  /recordings      -> 200 {"recordings": [{"file", "number", "begun", "why", "size"}...]} | 422 {"error"}
    POST /stop            -> 202; the station makes its outputs safe, writes its report and ends

The same is answered at two places: at a path, for other programs, made again when somebody removes it or its folder; and at
the station's own claim (`station.running.holding`), which nobody can remove and which needs no folder: commands ask there.
The server runs in a thread with its own event loop, away from the real-time threads.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import stat
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from station.errors import AlreadyRunningError, RefusedError, StationError, UnsafeSocketError
from station.machine.claims import claim, peer
from station.machine.folders import FOLDER_MODE
from station.recorder.shelf import Kept
from station.running.asking import ALL_TAGS
from station.running.changing import Changing, changing_routes
from station.running.holding import Held
from station.running.places import answers, too_long
from station.show.snapshot import Snapshot
from station.show.tags import TagView, to_json
from station.show.verdict import unwell

SOCKET_MODE: Final = 0o600
BODY_LIMIT: Final = 192 * 1024
MOST_WHY: Final = 500
"""Characters of why somebody records."""
SHUTDOWN_S: Final = 1.0
LOOK_S: Final = 1.0
"""How often it is seen whether the socket is still in its place."""
_DIGITS: Final = 9
STRANGERS: Final = 256
STRANGER_S: Final = 0.05
"""How long nobody is let in after so many knocks of other users: who does it again and again costs the station little, and a
full queue (`station.machine.claims.WAITING`) is empty before a command gives up."""


class Controlled(Protocol):
    """What the control socket controls."""

    def snapshot(self, tags: int | None = 0) -> Snapshot:
        """The station now, with so many of its tags; None: all."""

    def tags(self, patterns: Iterable[str]) -> tuple[TagView, ...]:
        """The tags that the patterns mean, now; all, where there is none.

        Raises:
            KeyError: a pattern means none; the message names the nearest.
        """

    @property
    def changes(self) -> Changing:
        """What changes its models."""

    def reset_state(self, task: str) -> str:
        """Put what a task keeps from cycle to cycle back to where it began; what was done, in words.

        Raises:
            KeyError: no such task; the message names those that exist.
            RefusedError: it keeps nothing.
        """

    def reset_drive(self, drive: str) -> str:
        """Tell a drive to reset its fault; what was done, in words.

        Raises:
            KeyError: no such drive; the message names those that exist.
        """

    def record(self, why: str) -> str:
        """Keep the cycles around now; what is kept, in words.

        Raises:
            RefusedError: it has no recorder.
        """

    def recordings(self) -> Sequence[Kept]:
        """The recorder's files, oldest first.

        Raises:
            RefusedError: it has no recorder, or its folder cannot be read.
        """

    def request_stop(self) -> None:
        """Ask the station to end; returns at once."""


class ControlServer:
    """Serves a station's control socket until closed. Context manager.

    Args:
        path: where other programs find it. `trouble` says why it cannot be there, and is empty when it is.
        held: what the station holds; it answers there too.

    Raises, on entering:
        AlreadyRunningError: a station answers at that path.
        UnsafeSocketError: something else is there.
    """

    def __init__(self, station: Controlled, path: Path, held: Held | None = None) -> None:
        self.path, self.trouble = path, ""
        self._station, self._held = station, held
        self._door: _Door | None = None
        self._loop = _event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> ControlServer:
        import aiohttp.web  # noqa: F401  here, where a lack of descriptors is told, not in the thread

        claimed = claim("socket", str(self.path.absolute()))
        if claimed is None:
            raise AlreadyRunningError(_running_already(self.path))
        self._claim = claimed
        try:
            self._door = _listen(self.path)
        except OSError as error:
            self.trouble = error.strerror or str(error)
        except BaseException:
            self._claim.close()
            raise
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(2.0 * SHUTDOWN_S)  # no client keeps a station from its end
        if self._door is not None and self._door.is_in_place():
            self.path.unlink(missing_ok=True)
        self._claim.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        from aiohttp import web

        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes(
            [
                web.get("/status", self._get_status),
                web.get("/health", self._get_health),
                web.get("/tags", self._get_tags),
                *changing_routes(self._station.changes),
                web.post("/reset-state/{task}", self._post_reset_state),
                web.post("/reset-drive/{drive}", self._post_reset_drive),
                web.post("/record", self._post_record),
                web.get("/recordings", self._get_recordings),
                web.post("/stop", self._post_stop),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        doors = [asyncio.create_task(self._keep_path(runner.server))]
        if self._held is not None:
            doors.append(asyncio.create_task(_let_in(self._held.answering, runner.server)))
        await self._done.wait()
        for door in doors:
            door.cancel()
        await asyncio.gather(*doors, return_exceptions=True)
        await runner.cleanup()

    async def _keep_path(self, server: Any) -> None:
        """Answer at the path. When the socket, or its folder, is removed, make it again."""
        while True:
            if (door := self._door) is not None:
                entering = asyncio.create_task(_let_in(door.listener, server))
                try:
                    while door.is_in_place():
                        await self._rest()
                finally:
                    entering.cancel()
                    await asyncio.gather(entering, return_exceptions=True)
                    door.listener.close()
            await self._rest()
            self._door = _listen_again(self.path)

    async def _rest(self) -> None:
        await asyncio.sleep(LOOK_S)
        if self._held is not None:
            self._held.drain()

    async def _get_status(self, request: Any) -> Any:
        from aiohttp import web

        asked = request.query.get("tags", "0")
        if asked != ALL_TAGS and not (asked.isascii() and asked.isdecimal()):
            return web.json_response({"error": f"expected tags={ALL_TAGS}, or a number"}, status=400)
        tags = None if asked == ALL_TAGS else int(asked[:_DIGITS])
        return web.json_response(self._station.snapshot(tags).to_json())

    async def _get_health(self, _: Any) -> Any:
        from aiohttp import web

        asked_ns = time.monotonic_ns()
        snapshot = self._station.snapshot()
        return web.json_response({"station": snapshot.station, "wrong": list(unwell(snapshot, asked_ns))})

    async def _get_tags(self, request: Any) -> Any:
        from aiohttp import web

        try:
            tags = self._station.tags(request.query.getall("name", ()))
        except KeyError as error:
            return web.json_response({"error": error.args[0]}, status=404)
        return web.json_response({"tags": to_json(tags)})

    async def _post_reset_state(self, request: Any) -> Any:
        from aiohttp import web

        try:
            return web.json_response({"message": self._station.reset_state(request.match_info["task"])})
        except KeyError as error:
            return web.json_response({"error": error.args[0]}, status=404)
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=422)

    async def _post_reset_drive(self, request: Any) -> Any:
        from aiohttp import web

        try:
            return web.json_response({"message": self._station.reset_drive(request.match_info["drive"])})
        except KeyError as error:
            return web.json_response({"error": error.args[0]}, status=404)

    async def _post_record(self, request: Any) -> Any:
        from aiohttp import web

        try:
            body = await request.json()
            why = str(body.get("why", ""))[:MOST_WHY]
            return web.json_response({"message": self._station.record(why)})
        except (ValueError, AttributeError, RecursionError):
            return web.json_response({"error": 'expected {"why": "..."}'}, status=400)
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=422)

    async def _get_recordings(self, _: Any) -> Any:
        from aiohttp import web

        try:
            found = await asyncio.to_thread(self._station.recordings)
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({"recordings": [one.to_json() for one in found]})

    async def _post_stop(self, _: Any) -> Any:
        from aiohttp import web

        self._station.request_stop()
        return web.json_response({"message": "stopping"}, status=202)


def _event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop; where descriptors are few, OSError before there is half of one, which complains when it is freed."""
    with selectors.DefaultSelector(), ExitStack() as ends:
        for end in socket.socketpair():
            ends.enter_context(end)
    return asyncio.new_event_loop()


async def _let_in(listener: socket.socket, server: Any) -> None:
    """Give every client of our user, or root's, to the server; close the others, and take a rest after `STRANGERS` of them."""
    loop = asyncio.get_running_loop()
    strangers = 0
    while True:
        try:
            client, _ = await loop.sock_accept(listener)
            if peer(client).may_ask_us:
                await loop.connect_accepted_socket(server, client)
                continue
            client.close()
            strangers += 1
            if strangers < STRANGERS:
                continue
        except OSError:  # it has gone already, or no descriptor is left
            pass
        strangers = 0
        await asyncio.sleep(STRANGER_S)


def _running_already(path: Path) -> str:
    return f"a station already answers at {path}; stop it first, or give this one another name in [station]"


@dataclass(frozen=True, slots=True)
class _Door:
    """A socket that listens at a path, and the file that it made there."""

    listener: socket.socket
    path: Path
    file: tuple[int, int]

    def is_in_place(self) -> bool:
        """Does the path still lead here?"""
        try:
            return _file_at(self.path) == self.file
        except OSError:
            return False


def _file_at(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _listen(path: Path) -> _Door:
    """A listening Unix socket of mode 0600 from its first moment; a dead one in its place is replaced."""
    if why := too_long(path):
        raise OSError(why)
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), SOCKET_MODE)  # Linux gives the file the mode that the socket has when it is bound
        listener.bind(str(path))
        os.chmod(path, SOCKET_MODE)  # for systems where bind does not take the mode over
        listener.listen()
        listener.setblocking(False)
        return _Door(listener, path, _file_at(path))
    except OSError:
        listener.close()
        raise


def _listen_again(path: Path) -> _Door | None:
    """The same once more, its folder too if that is gone; None as long as it cannot be, or is another's."""
    try:
        path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
        return _listen(path)
    except (OSError, StationError):
        return None


def _clear(path: Path) -> None:
    """Remove a socket that nobody answers; refuse to touch anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise UnsafeSocketError(
            f"{path} is there already and is not a socket; remove it, or give another with --socket"
        )
    if answers(path):
        raise AlreadyRunningError(_running_already(path))
    path.unlink()
