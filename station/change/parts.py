"""What a change is made of, and what it needs of the station around it: small interfaces, so that it is tested without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from plc_bindings.data.changes import Difference
from rt_engine import Model
from rt_engine.change import ChangeState, Verdict
from rt_engine.gate.report import GateReport
from rt_engine.read.source import Source
from station.change.machine import Evidence, Policy


@dataclass(slots=True, eq=False)
class Candidate:
    """A new version for one slot: its file, and, behind the gate, its model."""

    slot: str
    path: str
    name: str
    source: Source | None = None
    sha256: str = ""
    number: int = 0
    """As the store numbers versions of the slot; 0: it does not know it."""
    model: Model | None = None
    report: GateReport | None = None
    budgets: Mapping[str, int] = field(default_factory=dict)
    """Task -> nanoseconds that it has for a model in a cycle, as the gate was told."""

    @property
    def read(self) -> Source:
        """Its file, read."""
        assert self.source is not None, "it has been opened"
        return self.source

    @property
    def loaded(self) -> Model:
        """The model; only behind the gate."""
        assert self.model is not None, "the gate has let it pass"
        return self.model


@dataclass(frozen=True, slots=True)
class Stand:
    """In which state a change is, since when (monotonic and UTC), and why."""

    state: ChangeState
    since_ns: int
    since: float
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the tasks have found so far; of a verdict, the task and the tick."""

    evidence: Evidence = field(default_factory=Evidence)
    differences: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict)
    """By slot."""
    task: str = ""
    tick_ns: int = 0
    output: str = ""

    @property
    def verdict(self) -> Verdict:
        """What a task found."""
        return self.evidence.verdict


@dataclass(frozen=True, slots=True)
class Taken:
    """How one slot went over to another version: the number, when its tasks took it, and what became of its state, in words."""

    version: int
    tick: str = ""
    state: str = ""


@dataclass(slots=True, eq=False)
class Change:
    """New versions for one or several slots, which have one fate."""

    number: int
    candidates: Mapping[str, Candidate]
    policy: Policy
    policies: Mapping[str, Policy]
    """By slot: for tolerances."""
    who: str
    stand: Stand
    begun_ns: int = 0
    version: Mapping[str, int] = field(default_factory=dict)
    """Slot -> the number that the new version has or would have."""
    taken: Mapping[str, Taken] = field(default_factory=dict)
    """Slot -> how the new version was taken, once it is live."""
    found: Found = field(default_factory=Found)
    """What was found when the newest state began; of a change that has ended, at its end."""
    is_kept: bool = False
    """Is it in the store?"""
    unkept: str = ""
    """Why it is not, where that is worth a word."""

    @property
    def state(self) -> ChangeState:
        """Where it is."""
        return self.stand.state

    @property
    def hashes(self) -> dict[str, str]:
        """Slot -> SHA-256."""
        return {slot: candidate.sha256 for slot, candidate in self.candidates.items()}

    @property
    def models(self) -> dict[str, Model]:
        """Slot -> model; only behind the gate."""
        return {slot: candidate.loaded for slot, candidate in self.candidates.items()}


class Gate(Protocol):
    """What looks at new versions before they run."""

    def examine(self, candidate: Candidate, kept: Kept | None) -> None:
        """Give the candidate its report and its model; the report, and what it was compiled to, go to the store, if there is one.

        Raises:
            EngineError: it cannot be read, or it does not pass; the message says why.
        """

    def load(self, candidate: Candidate) -> None:
        """Give the candidate its model; it was examined before. Raises EngineError."""

    def notes(self, candidate: Candidate, is_plain: bool) -> str:
        """What an operator should know of what was found, before shadow and trial begin or of what is live at once (`is_plain`), in
        words; mostly empty."""


class Tasks(Protocol):
    """What a change asks of the cycles. Each waits until all tasks of all slots have taken it, at one tick.

    Raises, all of them: EngineError, SchedulerError: a task did not take it; then all run what they ran before.
    """

    def has_task(self, slot: str) -> bool:
        """Does a task run this slot? Else only clients call it."""

    def replace(self, change: Change) -> Mapping[str, Taken]:
        """The new versions are live from now on, without the old ones as shadows."""

    def shadow(self, change: Change) -> None:
        """The new versions compute behind the live ones and are compared."""

    def trial(self, change: Change) -> Mapping[str, Taken]:
        """The new versions are live, and the old ones their shadows."""

    def commit(self, change: Change) -> Mapping[str, Taken]:
        """The new versions stay, from shadow or trial; the old ones no longer compute and stay prepared."""

    def withdraw(self, change: Change) -> None:
        """The old versions alone, from shadow or trial."""

    def back(self, change: Change) -> Mapping[str, Taken]:
        """Behind `replace` or `commit`: the versions before, at the next tick."""

    def is_prepared(self, change: Change) -> bool:
        """Can a committed change be taken back within a tick? Not once another change of one of its slots was committed."""

    def found(self, change: Change) -> Found:
        """What shadow or trial have shown since it began. Returns at once."""


class Told(Protocol):
    """Who hears of it: the diary, the audit log, the servers. All return at once."""

    def note(self, slot: str, text: str, good: bool) -> None:
        """An event of the run."""

    def audit(self, who: str, slot: str, text: str, is_change: bool, **more: str | int) -> None:
        """A line of the audit log. `more`: for programs, of a change: `state`, `sha256`, `change`, `version`."""

    def live(self, slot: str, candidate: Candidate, who: str) -> None:
        """This version is live now."""

    def back(self, slot: str) -> None:
        """The version before the newest that was told is live again."""

    def refused(self, slot: str) -> None:
        """A version was refused, or rejected."""


class Kept(Protocol):
    """The store (`station.store`). All raise `StoreError`."""

    def add(self, slot: str, source: Source, who: str, signature: bytes | None = None) -> Any:
        """Keep a file."""

    def next_change(self) -> int:
        """A number that no change has had."""

    def record(
        self, change: int, slots: Mapping[str, str], state: ChangeState, who: str, why: str, bars: bool = True
    ) -> None:
        """A state, on the disk when this returns."""

    def put_report(self, sha256: str, report: Mapping[str, Any]) -> None:
        """The gate's report."""

    def put_program(self, sha256: str, program: bytes | memoryview, binding: Any) -> None:
        """What it was compiled to."""

    def barred(self, slot: str, sha256: str) -> str:
        """Why a version must not come again; empty: it may."""

    def allow(self, slot: str, sha256: str, who: str) -> None:
        """It may come again."""

    def versions(self, slot: str | None = None) -> tuple[Any, ...]:
        """What is known."""

    def together(self, slot: str) -> Mapping[str, Any]:
        """Slot -> committed version, of all slots that go back together with this one."""

    def previous(self, slot: str) -> Any:
        """The version before the committed one; None: there is none."""

    def source(self, version: Any) -> Source:
        """Its file."""
