"""Who hears of a change: the events of the run, the audit log, what PLC clients see of a model's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plc_bindings.security.audit import AuditLog
from station.change.parts import Candidate
from station.show.events import Diary
from station.wiring.plc_side import CONTROL_SOCKET, PlcSide


class Heard:
    """Tells them all, and keeps which file each slot runs.

    Args:
        files: slot -> the file that runs, as people see it.
        hashes: slot -> its SHA-256.
        plc: the servers' side, or None.
    """

    def __init__(
        self,
        diary: Diary,
        audit: AuditLog,
        plc: Callable[[], PlcSide | None],
        files: Mapping[str, str],
        hashes: Mapping[str, str],
    ) -> None:
        self._diary, self._audit, self._plc = diary, audit, plc
        self._live = {slot: [(file, hashes[slot])] for slot, file in files.items()}

    @property
    def files(self) -> dict[str, str]:
        """Slot -> the file that is live."""
        return {slot: past[-1][0] for slot, past in self._live.items()}

    @property
    def hashes(self) -> dict[str, str]:
        """Slot -> SHA-256 of what is live."""
        return {slot: past[-1][1] for slot, past in self._live.items()}

    def note(self, slot: str, text: str, good: bool) -> None:
        """An event of the run."""
        self._diary.note("update", slot, text, "ok" if good else "bad")

    def audit(self, who: str, slot: str, text: str, is_change: bool, **more: str | int) -> None:
        """A line of the audit log; a change has keys for programs too."""
        if is_change:
            self._audit.record_change(who, f"model {slot}", text, slot=slot, **more)
        else:
            self._audit.record(who, f"model {slot}", text)

    def live(self, slot: str, candidate: Candidate, who: str) -> None:
        """This version is live now."""
        shown = candidate.path if who == CONTROL_SOCKET else f"{candidate.name}, from {who}"
        self._live[slot] = [*self._live[slot], (shown, candidate.sha256)]
        if (plc := self._plc()) is not None:
            plc.note_update(slot, candidate.name, candidate.sha256)

    def back(self, slot: str) -> None:
        """The version before is live again."""
        self._live[slot] = self._live[slot][:-1] or self._live[slot]
        file, sha256 = self._live[slot][-1]
        if (plc := self._plc()) is not None:
            plc.note_update(slot, file.rpartition("/")[2], sha256)

    def refused(self, slot: str) -> None:
        """A version was refused, or rejected."""
        if (plc := self._plc()) is not None:
            plc.note_refused(slot)
