"""Relations between [servers] and the rest of a station file: who may write, what nobody can reach.

What only concerns a server its kind knows (`station.servers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from plc_bindings.data.types import identifier
from station.file.view import View
from station.links import type_of
from station.servers import server_tables
from station.terms.findings import Finding


def _servers(view: View) -> Iterator[Finding]:
    """What each kind knows; and no two at one place."""
    taken: dict[tuple[str, int], str] = {}
    for name, server in view.config.servers.items():
        yield from server.findings(name, view.folder)
        yield from server.name_findings(name, view.config.station.name, view.names("models"))
        if server.endpoint is not None:
            other = taken.setdefault(server.endpoint, name)
            if other != name:
                host, port = server.endpoint
                yield Finding(("servers", name, "port"), f"server {other} listens at {host}:{port} already")


def _writable(view: View) -> Iterator[Finding]:
    """Inputs that PLC clients are to write, but may not."""
    patterns = [pattern.lower() for server in view.config.servers.values() for pattern in server.writable]
    for name, tag in view.config.tags.items():
        link = view.config.links.get(view.link_of(tag) or "")
        if link is None or not link.is_called or tag.direction != "in":
            continue
        symbol = f"tags.{identifier(name)}".lower()
        if not view.names("servers"):
            yield Finding(("tags", name), "nobody can write it: a plc link needs a [servers.NAME]")
        elif not any(fnmatchcase(symbol, pattern) for pattern in patterns):
            message = f'nobody may write it: no server names it, writable = ["Tags.{identifier(name)}"]'
            yield Finding(("tags", name), message, "warning")


def _patterns(view: View) -> Iterator[Finding]:
    """What `writable` names, but nothing is: a slip of the pen that a PLC would meet as a refusal."""
    config = view.config
    names = [f"links.{identifier(name)}.reset".lower() for name in view.names("links")]
    names += [f"tasks.{identifier(name)}.reset".lower() for name in view.names("tasks")]
    names += [f"tags.{identifier(name)}".lower() for name in view.names("tags") if _is_input(view, name)]
    names += ["recorder.record"] if config.recorder is not None else []
    for name, server in config.servers.items():
        for index, pattern in enumerate(server.writable):
            if not any(fnmatchcase(one, pattern.lower()) for one in names):
                message = f'"{pattern}" names nothing that can be written: inputs of plc links ("Tags.*"), '
                message += '"Tasks.*.Reset", "Links.*.Reset"; see `rt-engine symbols`'
                yield Finding(("servers", name, "writable", index), message, "warning")


def _models(view: View) -> Iterator[Finding]:
    """Models that a server names, and nobody has."""
    for name, server in view.config.servers.items():
        for index, pattern in enumerate(server.model_patterns):
            if not any(fnmatchcase(model, pattern) for model in view.names("models")):
                message = f'"{pattern}" is the name of no model; there are: {", ".join(view.names("models")) or "none"}'
                yield Finding(("servers", name, "models", index), message)


def _is_input(view: View, name: str) -> bool:
    """May PLC clients write this tag? Yes of one whose entry is wrong: it is not to be reported twice."""
    tag = view.config.tags.get(name)
    link = view.link_of(tag) if tag is not None else None
    if tag is None or link is None or link not in view.config.links:
        return True
    return view.config.links[link].is_called and tag.direction == "in"


def _remote_updates(view: View) -> Iterator[Finding]:
    if view.config.station.keys:
        yield from _keys(view.config.station.keys)
    updates = [name for name, model in view.config.models.items() if model.remote_update]
    for name in updates:
        path = ("models", name, "remote_update")
        if not view.config.station.keys:
            yield Finding(path, "needs a key that signs such files: keys = [...] in [station]; see `rt-engine keygen`")
        if not any(server.takes_uploads for server in view.config.servers.values()):
            kinds = " or ".join(f'"{type_of(table)}"' for table in server_tables() if table.takes_uploads)
            yield Finding(path, f"needs a server of type {kinds}")


def _keys(texts: tuple[str, ...]) -> Iterator[Finding]:
    from plc_bindings.errors import SigningError
    from plc_bindings.security.signing import PublicKey

    for index, text in enumerate(texts):
        try:
            PublicKey.parse(text)
        except SigningError as error:
            yield Finding(("station", "keys", index), str(error))


SERVER_CHECKS: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (
    _servers,
    _writable,
    _patterns,
    _models,
    _remote_updates,
)
