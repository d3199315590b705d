"""Where it can be seen again why a version had to go: the recording of what the tasks did then.

A recorder begins a file a moment after what it records, and a change that goes wrong ends at once: so its reason names the file that
is being written, or else the folder, and once there is a file in it, that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from station.change.machine import Event
from station.change.parts import Change, Stand

PATIENCE_S: Final = 10.0
LOOK_S: Final = 0.1
EVENTS: Final = frozenset({Event.DISAGREED, Event.VERDICT})
"""What a recording shows."""


@dataclass(frozen=True, slots=True)
class Places:
    """Of recordings, now. `file`: that is being written; `folder`: where disagreements and rollbacks are kept; empty: none."""

    file: str = ""
    folder: str = ""

    @property
    def any(self) -> str:
        """The best that is known."""
        return self.file or self.folder


Recordings = Callable[[], Places]
"""Returns at once; looks at no disk."""


def nowhere() -> Places:
    """Nobody records."""
    return Places()


def with_place(why: str, event: Event, places: Places) -> str:
    """A reason, with where it can be seen again."""
    return f"{why}; {_words(places.any)}" if event in EVENTS and places.any else why


def named(change: Change, recordings: Recordings, stopping: threading.Event, patience_s: float = PATIENCE_S) -> str:
    """Wait for the file of a change whose reason names only its folder; gives the file, and the reason names it.

    Empty: it names a file already, or none came.
    """
    stand, waited_s = change.stand, 0.0
    folder = recordings().folder
    if not folder or not stand.why.endswith(_words(folder)):
        return ""
    while waited_s <= patience_s:
        if file := recordings().file:
            change.stand = _of_file(stand, folder, file)
            return file
        if stopping.wait(LOOK_S):
            break
        waited_s += LOOK_S
    return ""


def _words(place: str) -> str:
    return f"what was seen is recorded in {place}"


def _of_file(stand: Stand, folder: str, file: str) -> Stand:
    return replace(stand, why=stand.why.removesuffix(_words(folder)) + _words(file))
