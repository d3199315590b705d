"""A recorder at one moment, and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from station.terms.lengths import format_size


@dataclass(frozen=True, slots=True)
class RecorderView:
    """A recorder at one moment.

    `files`, `nbytes`: what is in its folder. `dropped`: cycles for which a ring had no room; `lost`: those that the disk did not
    take; `removed`: files that went for the quota; `trouble`: why it does not record now, in words.
    """

    mode: str
    is_recording: bool
    files: int
    nbytes: int
    quota: int
    triggers: int
    dropped: int
    lost: int
    removed: int
    newest: str
    trouble: str

    @property
    def line(self) -> str:
        """`records always: 3 files, 41 MB of 2 GB, 7 triggers`."""
        doing = {"continuous": "records always", "trigger": "records around triggers"}.get(self.mode, self.mode)
        parts = [
            f"{self.files:,} file{'s' if self.files != 1 else ''}, {format_size(self.nbytes)} of {format_size(self.quota)}",
            f"{self.triggers:,} trigger{'s' if self.triggers != 1 else ''}",
        ]
        if self.is_recording and self.newest:
            parts.append(f"writes {self.newest}")
        return f"{doing}: {', '.join(parts)}"


def doubts(view: RecorderView) -> Iterator[str]:
    """What people should know."""
    if view.trouble:
        yield f"nothing is recorded: {view.trouble}"
    if view.dropped or view.lost:
        yield f"{view.dropped:,} cycles dropped by full rings, {view.lost:,} lost that the disk did not take"


def rows(view: RecorderView) -> Iterator[tuple[str, str]]:
    """(what, found) for the report."""
    yield "records", {"continuous": "always", "trigger": "around triggers"}.get(view.mode, view.mode)
    yield (
        "files",
        f"{view.files:,}, {format_size(view.nbytes)} of {format_size(view.quota)}; {view.removed:,} removed for it",
    )
    yield "newest file", view.newest or "none"
    yield "triggers", f"{view.triggers:,}"
    yield (
        "cycles not recorded",
        f"{view.dropped:,} dropped by full rings, {view.lost:,} lost that the disk did not take",
    )
    if view.trouble:
        yield "trouble", view.trouble
