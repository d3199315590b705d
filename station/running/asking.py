"""What commands ask of a running station, at its control socket (`station.running.control` says what it answers).

What is asked every minute (`fetch_health`) takes nothing but the standard library.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from station.errors import NotRunningError, RefusedError
from station.running.finding import running_stations
from station.running.places import answers, too_long

if TYPE_CHECKING:
    from station.change.answer import Updated
    from station.show.snapshot import Snapshot
    from station.show.tags import TagView

STATUS_TIMEOUT_S: Final = 5.0
WORD_TIMEOUT_S: Final = 30.0
"""A word that changes what tasks run waits for the slowest of them."""
UPDATE_TIMEOUT_S: Final = 180.0
ALL_TAGS: Final = "all"
NO_WISHES: Final[Mapping[str, str]] = {}
_POLL_S: Final = 0.05


def fetch_status(path: Path, tags: int | None = 0) -> Snapshot:
    """The station that answers at `path`, now, with so many of its tags; None: all.

    Raises:
        NotRunningError: none does.
    """
    from station.show.snapshot import Snapshot

    asked = ALL_TAGS if tags is None else str(tags)
    answer = request(path, "GET", f"/status?tags={asked}", None, STATUS_TIMEOUT_S)
    try:
        return Snapshot.from_json(answer)
    except ValueError as error:
        raise NotRunningError(_no_station(path)) from error


def fetch_health(path: Path) -> tuple[str, list[str]]:
    """(the name of the station that answers at `path`, what is not well with it, in words). Raises as `fetch_status`."""
    try:
        answer = request(path, "GET", "/health", None, STATUS_TIMEOUT_S)
        return str(answer["station"]), [str(one) for one in answer["wrong"]]
    except (RefusedError, TypeError, LookupError) as error:
        raise NotRunningError(_no_station(path)) from error


def fetch_tags(path: Path, patterns: Iterable[str] = ()) -> tuple[TagView, ...]:
    """The tags that the patterns (`level`, `tank.*`) mean in a running station, now; all, where there is none.

    Raises:
        NotRunningError: no station answers at `path`.
        RefusedError: a pattern means no tag; the message names the nearest.
    """
    from station.show.tags import from_json

    url = "/tags?" + urlencode([("name", pattern) for pattern in patterns])
    answer = request(path, "GET", url, None, STATUS_TIMEOUT_S)
    try:
        return from_json(answer["tags"])
    except (ValueError, TypeError, LookupError) as error:
        raise NotRunningError(_no_station(path)) from error


def _no_station(path: Path) -> str:
    return f"what answers{_at(path)} is no station, or one of another version"


def request_update(path: Path, files: Mapping[str, Path], wishes: Mapping[str, str] = NO_WISHES) -> Updated:
    """Have a running station take new versions, slot -> file; returns when they are through the gate.

    Args:
        wishes: `shadow`, `trial`, `commit`: instead of what the station file says; `signature` of the only file, in hex; see
            `station.running.changing`.

    Raises:
        NotRunningError: no station answers at `path`.
        RefusedError: it refused, with its reason.
    """
    from rt_engine.change import ChangeState
    from station.change.answer import Updated

    body = {"files": {slot: str(file.absolute()) for slot, file in files.items()}, **wishes}
    answer = request(path, "POST", "/update", body, UPDATE_TIMEOUT_S * max(len(files), 1))
    try:
        return Updated(str(answer["message"]), int(answer["version"]), ChangeState[answer["state"]])
    except (ValueError, TypeError, LookupError) as error:
        raise NotRunningError(_no_station(path)) from error


def request_commit(path: Path, slot: str) -> str:
    """Have a running station go on with the change of a slot; gives its words. Raises as `request_update`."""
    return _words(path, f"/commit/{quote(slot, safe='')}")


def request_rollback(path: Path, slot: str) -> str:
    """Have a running station take a change of a slot back; gives its words. Raises as `request_update`."""
    return _words(path, f"/rollback/{quote(slot, safe='')}")


def request_allow(path: Path, slot: str, sha256: str) -> str:
    """Have a running station allow a barred version; gives its words. Raises as `request_update`."""
    return _words(path, f"/allow/{quote(slot, safe='')}", {"sha256": sha256})


def request_reset_state(path: Path, task: str) -> str:
    """Have a running station put what a task keeps back to where it began; gives its words. Raises as `request_update`."""
    return _words(path, f"/reset-state/{quote(task, safe='')}")


def request_reset_drive(path: Path, drive: str) -> str:
    """Have a running station tell a drive to reset its fault; gives its words. Raises as `request_update`."""
    return _words(path, f"/reset-drive/{quote(drive, safe='')}")


def request_record(path: Path, why: str) -> str:
    """Have a running station keep the cycles around now; gives its words. Raises as `request_update`."""
    return _words(path, "/record", {"why": why})


def fetch_recordings(path: Path) -> list[dict[str, Any]]:
    """The files of a running station's recorder, as `station.running.control` says. Raises as `request_update`."""
    answer = request(path, "GET", "/recordings", None, STATUS_TIMEOUT_S)
    try:
        return [dict(one) for one in answer["recordings"]]
    except (ValueError, TypeError, LookupError) as error:
        raise NotRunningError(_no_station(path)) from error


def _words(path: Path, url: str, body: object = None) -> str:
    answer = request(path, "POST", url, body, WORD_TIMEOUT_S)
    try:
        return str(answer["message"])
    except (TypeError, LookupError) as error:
        raise NotRunningError(_no_station(path)) from error


def request_stop(path: Path) -> None:
    """Ask a running station to end; returns when it begins to.

    Raises:
        NotRunningError: no station answers at `path`.
    """
    request(path, "POST", "/stop", None, STATUS_TIMEOUT_S)


def has_ended(path: Path, patience_s: float) -> bool:
    """Wait until nobody listens at `path`, not longer than that; gives whether nobody does."""
    until_s = time.monotonic() + patience_s
    while answers(path):
        if time.monotonic() >= until_s:
            return False
        time.sleep(_POLL_S)
    return True


def request(path: Path, method: str, url: str, body: Any, timeout_s: float) -> Any:
    """What the station answers to one question; raises as `request_update`."""
    if why := too_long(path):
        raise NotRunningError(why)
    sent = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {url} HTTP/1.1\r\nHost: station\r\nConnection: close\r\nContent-Type: application/json\r\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as station:
            station.settimeout(timeout_s)
            station.connect(str(path))
            station.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
            response = HTTPResponse(station, method=method)
            response.begin()
            if response.headers.get_content_type() != "application/json":
                raise RefusedError(f"the station answered {response.status} {response.reason}")
            answer = json.loads(response.read())
            if response.status >= 400:
                raise RefusedError(str(answer["error"]))
            return answer
    except TimeoutError as error:
        raise NotRunningError(
            f"the station{_at(path)} did not answer within {timeout_s:g} s: it is starting, or busy; ask again"
        ) from error
    except OSError as error:
        raise NotRunningError(_not_running(path, error)) from error
    except (HTTPException, ValueError, TypeError, LookupError, RecursionError) as error:
        raise NotRunningError(f"what answers{_at(path)} is no station") from error


def _at(path: Path) -> str:
    """Where a station answers, for a message; a name that the kernel alone knows helps nobody."""
    return "" if str(path).startswith("\0") else f" at {path}"


def _not_running(path: Path, error: Exception) -> str:
    """Which station does not run, how to start it, and which do."""
    if isinstance(error, PermissionError):
        return f"the control socket {path} is another user's: only the user who runs a station can talk to it"
    others = ", ".join(dict.fromkeys(str(station) for station in running_stations()))
    running = f"; running: {others}" if others else "; no other station runs"
    name = f"station '{path.stem}'" if _at(path) else "the station"
    return f"{name} is not running (start it: rt-engine run station.toml){running}"
