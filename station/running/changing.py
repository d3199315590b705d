"""What the control socket answers of changes of models.

POST /update/{slot}    <- {"file": "/absolute/model.onnx"}                            -> 200 {"message", "version", "state"}
POST /update           <- {"files": {"policy": "/absolute/x.onnx", ...}}: one tick, one fate
                          both may have "shadow", "trial" ("10 min", "5000 cycles", "none"), "commit" ("auto", "manual"),
                          "signature" (of the only file, in hex)
POST /commit/{slot}    -> 200 {"message"}: on to the next state
POST /rollback/{slot}  -> 200 {"message"}: not this one
POST /allow/{slot}     <- {"sha256": "at least its first digits"}                     -> 200 {"message"}

400 the question is not understood | 404 no such slot | 422 refused; each with {"error"}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from station.change.answer import NONE, Updated, Wish
from station.change.machine import Span
from station.errors import RefusedError
from station.machine.beside import in_thread
from station.terms.lengths import parse_span
from station.wiring.plc_side import CONTROL_SOCKET

_BODY: Final = 'expected {"file": "/path/of/model.onnx"}, or {"files": {"SLOT": "/path/of/model.onnx"}}'


class Changing(Protocol):
    """What changes models: `station.change.changes.Changes`."""

    def update(self, files: Mapping[str, Path], who: str, wish: Wish) -> Updated:
        """New versions.

        Raises:
            KeyError: no such slot; the message names those that exist.
            RefusedError: with the reason; the old ones go on.
        """

    def commit(self, slot: str, who: str) -> str:
        """On to the next state; raises as `update`."""

    def roll_back(self, slot: str, who: str) -> str:
        """Not this one; raises as `update`."""

    def allow(self, slot: str, sha256: str, who: str) -> str:
        """A barred version may come again; raises as `update`."""


def changing_routes(changes: Changing) -> list[Any]:
    """The routes of all this, for aiohttp."""
    from aiohttp import web

    async def update(request: Any) -> Any:
        try:
            files, wish = await _asked(request)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return await _told(lambda: _updated(changes.update(files, CONTROL_SOCKET, wish)))

    async def allow(request: Any) -> Any:
        try:
            sha256 = str((await request.json())["sha256"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return web.json_response({"error": 'expected {"sha256": "0123abcd"}'}, status=400)
        slot = request.match_info["slot"]
        return await _told(lambda: {"message": changes.allow(slot, sha256, CONTROL_SOCKET)})

    def word(say: Callable[[str, str], str]) -> Callable[[Any], Awaitable[Any]]:
        async def said(request: Any) -> Any:
            slot = request.match_info["slot"]
            return await _told(lambda: {"message": say(slot, CONTROL_SOCKET)})

        return said

    return [
        web.post("/update/{slot}", update),
        web.post("/update", update),
        web.post("/commit/{slot}", word(changes.commit)),
        web.post("/rollback/{slot}", word(changes.roll_back)),
        web.post("/allow/{slot}", allow),
    ]


async def _asked(request: Any) -> tuple[dict[str, Path], Wish]:
    """Slot -> file, and what is wished besides; raises ValueError, in words, where it is not understood."""
    try:
        body, slot = await request.json(), request.match_info.get("slot")
        named = {slot: body["file"]} if slot is not None else dict(body["files"])
        files = {str(name): Path(file) for name, file in named.items()}
        wishes = {key: body.get(key) for key in ("shadow", "trial", "commit")}
        signature = bytes.fromhex(body.get("signature", ""))
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ):  # no JSON, no charset, or without an end
        raise ValueError(_BODY) from None
    if relative := [file for file in files.values() if not file.is_absolute()]:
        raise ValueError(f"{relative[0]} must be an absolute path")
    if not files or (signature and len(files) > 1):
        raise ValueError(_BODY)
    return files, replace(_wish(**wishes), signature=signature)


def _updated(updated: Updated) -> dict[str, Any]:
    return {"message": updated.message, "version": updated.version, "state": updated.state.name}


def _wish(shadow: str | None, trial: str | None, commit: Literal["auto", "manual"] | None) -> Wish:
    if commit not in (None, "auto", "manual"):
        raise ValueError(f"commit is auto or manual, not {commit!r}")
    return Wish(_span(shadow), _span(trial), commit)


def _span(text: str | None) -> Span | None:
    if text is None:
        return None
    return Span() if text == NONE else Span(*parse_span(text))


async def _told(work: Callable[[], dict[str, Any]]) -> Any:
    """The answer to what was done in a thread of its own."""
    from aiohttp import web

    try:
        return web.json_response(await in_thread(work, "update"))
    except KeyError as error:
        return web.json_response({"error": error.args[0]}, status=404)
    except RefusedError as error:
        return web.json_response({"error": str(error)}, status=422)
