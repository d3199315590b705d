"""What the page of a station shows, and may ask of it: answered by whoever runs the station, never in a cycle.

Everything is plain: dictionaries, lists, texts and numbers as `station/page/static/js/api.js` says, so that nothing of the
page needs to know how a station is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fieldbus.link.state import LinkStatus
from plc_bindings.data.changes import ChangeView
from plc_bindings.net.serving import ServerStatus
from rt_native.histogram import Histogram
from scheduler.stats import TaskStats

COMMANDS: Final = ("record", "commit", "rollback", "reset-state")
"""What the page can do to a station, where its file names who may."""


SAMPLES_PER_S: Final = 5


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """A task's live histograms, in nanoseconds."""

    wakeup: Histogram
    execution: Histogram
    reaction: Histogram


@dataclass(frozen=True, slots=True)
class Measures:
    """The numbers of a station at one moment, for `GET /metrics`; by name. `recorder`: what its recorder counts; empty without one."""

    station: str
    version: str
    running_s: float
    tasks: Mapping[str, TaskStats]
    times: Mapping[str, TaskTimes]
    links: Mapping[str, LinkStatus]
    servers: Mapping[str, ServerStatus]
    models: Mapping[str, str]
    """Slot -> SHA-256 of what it runs."""
    changes: Sequence[ChangeView] = ()
    recorder: Mapping[str, float] = field(default_factory=dict)


class Source(Protocol):
    """A running station, as its page sees it. Any thread; what is marked slow may take seconds, the rest returns at once."""

    @property
    def avoid(self) -> frozenset[int]:
        """Processors that belong to tasks: the page stays away from them."""

    def status(self) -> dict[str, Any]:
        """`Snapshot.to_json`, and beside it `verdict` and `now`."""

    def histograms(self) -> dict[str, Any]:
        """Of each task and link."""

    def tags(self, patterns: Sequence[str]) -> list[Any]:
        """The tags that the patterns mean, now; raises `KeyError` with words for people."""

    def facts(self) -> dict[str, Any]:
        """What does not change: `statistics`, the words for what is counted; `trends`, their steps."""

    def trends(self, tags: Sequence[str], step_ms: int, after: int) -> dict[str, Any]:
        """Least and greatest of each tag in steps, from number `after` on; raises `ValueError` with words for people."""

    def sample(self) -> None:
        """Note the tags as they are now, where no recorder tells of every cycle. Called `SAMPLES_PER_S` times a second."""

    def events(self, after: int) -> dict[str, Any]:
        """What happened after the event of that number."""

    def models(self) -> list[Any]:
        """What is in the slots."""

    def recordings(self) -> dict[str, Any]:
        """The recorder and its files. Slow: it looks into a folder."""

    def audit(self) -> dict[str, Any]:
        """The newest changes that the audit log has. Slow: it reads a file."""

    def graph(self, slot: str) -> dict[str, Any]:
        """Operators, edges, time of each. Slow: it runs the model, in a context of its own. Raises `KeyError`, `RefusedError`."""

    def tensor(self, slot: str, node: str) -> dict[str, Any]:
        """What an operator made of recorded inputs. Slow, as `graph`. Raises `KeyError`, `RefusedError`."""

    def measures(self) -> Measures:
        """The numbers."""

    def command(self, name: str, arguments: Mapping[str, Any], who: str) -> str:
        """Do one of `COMMANDS`; what was done, in words. Slow. Raises `KeyError`, `ValueError`, `RefusedError`, with words."""
