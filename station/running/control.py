"""The control socket of a running station: HTTP over a Unix socket that only its owner can open.

    GET  /status          -> 200, a `Snapshot`
    POST /update/{slot}   <- {"file": "/absolute/model.onnx"}   -> 200 {"message", "version"} | 404 | 422 {"error"}
    POST /stop            -> 202; the station makes its outputs safe, writes its report and ends

The server runs in a thread with its own event loop, away from the real-time threads.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from station.errors import AlreadyRunningError, NotRunningError, RefusedError, UnsafeFolderError, UnsafeSocketError
from station.machine.folders import own_folder, temporary
from station.show.snapshot import Snapshot

SOCKET_MODE: Final = 0o600
BODY_LIMIT: Final = 64 * 1024
STATUS_TIMEOUT_S: Final = 5.0
UPDATE_TIMEOUT_S: Final = 120.0
SHUTDOWN_S: Final = 1.0
MOST_PATH_BYTES: Final = 107
"""Of a Unix socket, on Linux."""


@dataclass(frozen=True, slots=True)
class Updated:
    """What a successful update gives back: the words for a person, and the slot's new version number."""

    message: str
    version: int


class Controlled(Protocol):
    """What the control socket controls."""

    def snapshot(self) -> Snapshot:
        """The station now."""

    def update(self, slot: str, file: Path) -> Updated:
        """Replace a model.

        Raises:
            KeyError: no such slot; the message names those that exist.
            RefusedError: the model does not fit, with the reason; the old one goes on.
        """

    def request_stop(self) -> None:
        """Ask the station to end; returns at once."""


def socket_path(station: str) -> Path:
    """Where the control socket of a station of this user is; its folder is made, and is closed to everybody else.

    Raises:
        UnsafeSocketError: the folder is not ours alone.
    """
    return _folder() / f"{station}.sock"


def only_socket() -> Path:
    """The control socket of the only station that this user runs.

    Raises:
        NotRunningError: none runs, or several do; it names them.
        UnsafeSocketError: the folder is not ours alone.
    """
    names = running_stations(_folder())
    if not names:
        raise NotRunningError("no station runs (start one: rt-engine run station.toml)")
    if len(names) > 1:
        raise NotRunningError(f"several stations run: {', '.join(names)}; say which with --station")
    return _folder() / f"{names[0]}.sock"


def running_stations(folder: Path) -> list[str]:
    """Names of the stations that answer on a socket of this folder; what a killed one left behind is none."""
    return [path.stem for path in sorted(folder.glob("*.sock")) if _answers(path)]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    try:
        return own_folder(Path(runtime) / "rt-engine" if runtime else temporary("/tmp"))
    except UnsafeFolderError as error:
        raise UnsafeSocketError(f"{error}: remove it, or set XDG_RUNTIME_DIR to a folder of your own") from error


class ControlServer:
    """Serves a station's control socket until closed. Context manager.

    Raises, on entering:
        AlreadyRunningError: a station answers at that path.
        UnsafeSocketError: something else is there.
        OSError: the socket cannot be made there.
    """

    def __init__(self, station: Controlled, path: Path) -> None:
        self.path = path
        self._station = station
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> ControlServer:
        self._lock = _lock(self.path)
        try:
            self._socket = _listen(self.path)
        except BaseException:
            os.close(self._lock)
            raise
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(2.0 * SHUTDOWN_S)  # no client keeps a station from its end
        self.path.unlink(missing_ok=True)
        os.close(self._lock)

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
                web.post("/update/{slot}", self._post_update),
                web.post("/stop", self._post_stop),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        await self._done.wait()
        await runner.cleanup()

    async def _get_status(self, _: Any) -> Any:
        from aiohttp import web

        return web.json_response(self._station.snapshot().to_json())

    async def _post_update(self, request: Any) -> Any:
        from aiohttp import web

        try:
            file = Path((await request.json())["file"])
        except (ValueError, TypeError, LookupError, RecursionError):  # no JSON, no charset, or without an end
            return web.json_response({"error": 'expected {"file": "/path/of/model.onnx"}'}, status=400)
        if not file.is_absolute():
            return web.json_response({"error": f"{file} must be an absolute path"}, status=400)
        try:
            updated = await asyncio.to_thread(self._station.update, request.match_info["slot"], file)
        except KeyError as error:
            return web.json_response({"error": error.args[0]}, status=404)
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({"message": updated.message, "version": updated.version})

    async def _post_stop(self, _: Any) -> Any:
        from aiohttp import web

        self._station.request_stop()
        return web.json_response({"message": "stopping"}, status=202)


def _lock(path: Path) -> int:
    """Hold `path`.lock while the station runs, so that of two that start at once only one goes on.

    The file stays: were it removed at the end, one that waits for the removed file and one that makes it anew would both
    hold "the" lock. It is empty, and there is one for each name.
    """
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SOCKET_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunningError(_running_already(path)) from None
    return lock


def _running_already(path: Path) -> str:
    return f"a station already answers at {path}; stop it first, or give this one another name in [station]"


def _listen(path: Path) -> socket.socket:
    """A listening Unix socket of mode 0600 from its first moment; a dead one in its place is replaced."""
    if why := _too_long(path):
        raise OSError(why)
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), SOCKET_MODE)  # Linux gives the file the mode that the socket has when it is bound
        listener.bind(str(path))
        os.chmod(path, SOCKET_MODE)  # for systems where bind does not take the mode over
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _too_long(path: Path) -> str:
    """Why no socket can have this path; empty: one can."""
    if len(os.fsencode(path)) <= MOST_PATH_BYTES:
        return ""
    return f"{path} is longer than the {MOST_PATH_BYTES} bytes that a socket's path can have; give a shorter one with --socket"


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
    if _answers(path):
        raise AlreadyRunningError(_running_already(path))
    path.unlink()


def fetch_status(path: Path) -> Snapshot:
    """The station that answers at `path`, now.

    Raises:
        NotRunningError: none does.
    """
    answer = _request(path, "GET", "/status", None, STATUS_TIMEOUT_S)
    try:
        return Snapshot.from_json(answer)
    except ValueError as error:
        raise NotRunningError(f"what answers at {path} is no station, or one of another version") from error


def request_update(path: Path, slot: str, file: Path) -> Updated:
    """Have a running station replace the model in `slot`.

    Raises:
        NotRunningError: no station answers at `path`.
        RefusedError: it refused, with its reason.
    """
    answer = _request(path, "POST", f"/update/{quote(slot, safe='')}", {"file": str(file.absolute())}, UPDATE_TIMEOUT_S)
    try:
        return Updated(str(answer["message"]), int(answer["version"]))
    except (ValueError, TypeError, LookupError) as error:
        raise NotRunningError(f"what answers at {path} is no station") from error


def request_stop(path: Path) -> None:
    """Ask a running station to end.

    Raises:
        NotRunningError: no station answers at `path`.
    """
    _request(path, "POST", "/stop", None, STATUS_TIMEOUT_S)


def _request(path: Path, method: str, url: str, body: Any, timeout_s: float) -> Any:
    import aiohttp

    if why := _too_long(path):
        raise NotRunningError(why)

    async def send() -> Any:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=timeout) as session,
            session.request(method, f"http://station{url}", json=body) as response,
        ):
            if response.content_type != "application/json":
                raise RefusedError(f"the station answered {response.status} {response.reason}")
            try:
                answer = await response.json()
                if response.status >= 400:
                    raise RefusedError(str(answer["error"]))
            except (ValueError, TypeError, LookupError, RecursionError) as error:
                raise NotRunningError(f"what answers at {path} is no station") from error
            return answer

    try:
        return asyncio.run(send())
    except TimeoutError as error:
        raise NotRunningError(f"the station at {path} did not answer within {timeout_s:g} s") from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise NotRunningError(_not_running(path, error)) from error


def _not_running(path: Path, error: Exception) -> str:
    """Which station does not run, how to start it, and which do."""
    if isinstance(error, PermissionError) or isinstance(getattr(error, "os_error", None), PermissionError):
        return f"the control socket {path} is another user's: only the user who runs a station can talk to it"
    others = running_stations(path.parent)
    running = f"; running: {', '.join(others)}" if others else "; no other station runs"
    return f"station '{path.stem}' is not running (start it: rt-engine run station.toml){running}"
