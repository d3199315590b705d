"""What happens in a running station, noted in its diary at every look: links, tasks, their outputs, the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from scheduler.status import State
from station.show.events import Diary, Doings

if TYPE_CHECKING:
    from fieldbus.link.link import Link
    from plc_bindings.security.audit import AuditLog
    from scheduler.scheduler import Scheduler

NS: Final = 1e9


class Watching:
    """Looks, and remembers what it has seen. One thread at a time."""

    def __init__(self, diary: Diary, links: Mapping[str, Link], scheduler: Scheduler, audit: AuditLog) -> None:
        self._diary, self._links, self._scheduler, self._audit = diary, links, scheduler, audit
        self._seen = {name: link.status() for name, link in links.items()}
        self._audit_failure = ""
        self.begin()

    def begin(self) -> None:
        """A run begins."""
        self.starting: dict[str, int] = {}
        """Task -> cycles until its outputs were live for the first time."""
        self._doings = {task.name: Doings(task, self._diary.begin_s) for task in self._scheduler.tasks}
        self._noted = dict.fromkeys(self._doings, 0)
        self._state_resets = dict.fromkeys(self._doings, 0)
        self._hung: set[str] = set()

    def look(self) -> None:
        """Note what has happened since the last look."""
        self._look_at_links()
        self._look_at_tasks()
        self.look_at_outputs()
        self._look_at_resets()
        self._diary.flush()
        self._look_at_audit()

    def _look_at_audit(self) -> None:
        """Note when the audit log cannot be written."""
        failure = self._audit.failure
        if failure and not self._audit_failure:
            self._diary.note("station", "audit log", f"cannot be written, control goes on: {failure}", "bad")
        self._audit_failure = failure

    def _look_at_tasks(self) -> None:
        """Note for each task how many cycles it took until its outputs were live."""
        if len(self.starting) == len(self._scheduler.tasks):
            return
        for name, stats in self._scheduler.stats().items():
            waited = stats.safe + stats.held
            if name not in self.starting and stats.cycles > waited:
                self.starting[name] = waited

    def _look_at_resets(self) -> None:
        """Note that a task's state was reset, by itself or by somebody."""
        for name, before in self._state_resets.items():
            count = int(self._scheduler.counters(name)["state_resets"])
            if count > before:
                times = "" if count == before + 1 else f" {count - before:,} times"
                self._diary.note("task", name, f"what it keeps from cycle to cycle began anew{times}", "warn")
            self._state_resets[name] = count

    def look_at_outputs(self) -> None:
        """Note what tasks did with their outputs, and why: read from what their cycles left behind."""
        for name, doings in self._doings.items():
            total, cycles = self._scheduler.notes(name, self._noted[name])
            unseen = total - self._noted[name] - len(cycles)
            self._noted[name] = total
            for cycle in cycles:
                for kind, text, level in doings.of(cycle):
                    self._diary.note(kind, name, text, level, cycle.tick_ns / NS, 1 + unseen)
                    unseen = 0
            if name not in self._hung and self._scheduler.state(name) == State.HUNG:
                self._hung.add(name)
                self._diary.note("task", name, "hangs inside a cycle: outputs taken from it and made safe", "bad")

    def _look_at_links(self) -> None:
        """Note changes of a link's state, not each attempt to connect; also what was undone between two looks; and its news."""
        for name, link in self._links.items():
            for sentence, is_good in link.take_news():
                self._diary.note("link", name, sentence, "ok" if is_good else "warn")
            status, seen = link.status(), self._seen[name]
            if status.state == "connecting" or status.since == seen.since:
                continue
            self._seen[name] = status
            change = f"{seen.state} -> {status.state}" if status.state != seen.state else f"{status.state} again"
            leads = "; the last error" if status.state == "up" else ""
            reason = f"{leads}: {status.last_error}" if status.errors > seen.errors else ""
            if change != "down again":
                self._diary.note("link", name, change + reason, "ok" if status.state == "up" else "bad")
