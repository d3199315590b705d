"""What an agent asks of the station around it; and the station that answers.

A version comes in as one that a client uploads (`plc_bindings.security.updates`): its signature, its serial number, then the
change's own gate, shadow and trial (`station.change`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from plc_bindings.security.updates import Updates
from plc_bindings.status import CallStatus
from scheduler.status import Action
from station.errors import RefusedError
from station.fleet.documents import MOST_WORDS, Health, Wanted
from station.fleet.events import After, SlotSeen
from station.page.source import Measures, Source

PART_BYTES: Final = 1 << 20
FINAL: Final = frozenset({CallStatus.BAD_SIGNATURE, CallStatus.NOT_ALLOWED})
"""Answers that another attempt would get, too."""
_NO_ROOM: Final = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT)))
_BY_FILE: Final = {
    CallStatus.NOT_ALLOWED: "it takes no version from elsewhere: [models.NAME] remote_update = true, and [station] keys",
    CallStatus.BAD_SIGNATURE: "the signature in the order is none",
    CallStatus.BUSY: "another client uploads a version of it",
}


class Plant(Protocol):
    """A station, as its agent sees it. `look` returns at once; the others are for a thread."""

    @property
    def avoid(self) -> frozenset[int]:
        """Processors that belong to tasks."""

    def look(self) -> tuple[Mapping[str, SlotSeen], Health]:
        """The slots, and how well it runs."""

    def apply(self, slot: str, wanted: Wanted, data: bytes, who: str) -> tuple[str, After]:
        """Have a version taken: why it was not, mostly "", and what follows from that."""

    def back(self, slot: str, wanted: Wanted, who: str) -> tuple[str, After]:
        """Have the version before taken, where that is the one that is wanted; the same."""


class StationPlant:
    """A running station.

    Args:
        source: what it shows; None: it does not run, and nobody asks.
        uploads: what takes versions; None: nothing does.
        limit_ns: how long a reaction may take; 0: nothing is said.
    """

    def __init__(self, source: Source | None, uploads: Updates | None, limit_ns: int = 0) -> None:
        self._given, self._uploads, self._limit_ns = source, uploads, limit_ns

    @property
    def _source(self) -> Source:
        assert self._given is not None, "only a station that runs has an agent that runs"
        return self._given

    @property
    def avoid(self) -> frozenset[int]:
        """Processors that belong to tasks."""
        return self._source.avoid

    def look(self) -> tuple[Mapping[str, SlotSeen], Health]:
        """The slots, and how well it runs."""
        measures = self._source.measures()
        views = {view.slot: view for view in measures.changes}
        slots = {
            slot: SlotSeen(sha256, view.version, view.state, view.sha256, view.reason)
            for slot, sha256 in measures.models.items()
            if (view := views.get(slot)) is not None
        }
        return slots, self._health(measures)

    def apply(self, slot: str, wanted: Wanted, data: bytes, who: str) -> tuple[str, After]:
        """Upload and activate."""
        if self._uploads is None:
            return _BY_FILE[CallStatus.NOT_ALLOWED], After.NEVER
        client = self._uploads.client(who)
        status = client.begin(slot, len(data), bytes.fromhex(wanted.signature))
        for offset in range(0, len(data), PART_BYTES):
            status = status or client.data(offset, data[offset : offset + PART_BYTES])
        if status:
            client.abort()
            return _BY_FILE.get(CallStatus(status), CallStatus(status).name), _after(status)
        status, _, words = client.activate(slot)
        return ("" if status == CallStatus.OK else words or CallStatus(status).name), _after(status, words)

    def back(self, slot: str, wanted: Wanted, who: str) -> tuple[str, After]:
        """What was committed last is taken back; a person's own change is not."""
        runs = self._source.measures().models.get(slot, "")
        if wanted.before and runs != wanted.before:
            return f"{runs[:12]} runs, not {wanted.before[:12]}, which the order takes back", After.NEVER
        try:
            self._source.command("rollback", {"slot": slot}, who)
        except (KeyError, ValueError, RefusedError) as error:
            return str(error), _after(CallStatus.REFUSED, str(error))
        runs = self._source.measures().models.get(slot, "")
        if runs == wanted.sha256:
            return "", After.AGAIN
        return f"the version before was {runs[:12]}, not the one that the order wants back", After.NEVER

    def _health(self, measures: Measures) -> Health:
        words = "; ".join(_complaints(measures))
        return Health(
            well=not words,
            words=words[:MOST_WORDS],
            monitor_quiet=not any(task.monitor is not None and task.monitor.speaks for task in measures.tasks.values()),
            late=sum(task.overruns + task.missed for task in measures.tasks.values()),
            reaction_ns=int(
                max((task.reaction.p99_ns for task in measures.tasks.values() if task.reaction.count), default=0)
            ),
            limit_ns=self._limit_ns,
        )


def _after(status: int, words: str = "") -> After:
    if status in FINAL:
        return After.NEVER
    return After.FREE if any(one in words for one in _NO_ROOM) else After.AGAIN


def _complaints(measures: Measures) -> Iterator[str]:
    """What is not as it should be, in words."""
    for name, task in measures.tasks.items():
        if task.action != Action.LIVE:
            yield f"task {name}: {task.status_text or task.action.name.lower()}"
    for name, link in measures.links.items():
        if link.state in ("down", "degraded"):
            yield f"link {name} {link.state}"
