"""The gate of a station: what it asks of a new version (`rt_engine.gate`), in a worker process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from rt_engine import Model
from rt_engine.apart import Apart
from rt_engine.contract.compare import Wiring
from rt_engine.gate.contracts import MEANING, STATION, UNKNOWN
from rt_engine.gate.job import Budget, GateJob, Recorded
from rt_engine.gate.report import NONE_YET, GateReport
from scheduler.scheduler import Scheduler
from station.change.parts import Candidate, Kept
from station.errors import StoreError
from station.file.config import StationConfig
from station.terms.tables import ModelTable
from station.wiring.parts import Parts

RUNS: Final = 20
"""Of the running model, to know what of a cycle is its own."""
LONG_NS: Final = 5_000_000
"""A model that takes longer is run but once or twice."""


class StationGate:
    """Examines new versions against the model that runs, and against the cycles of the tasks that run it.

    `folder`: of the station file, where paths in it begin.
    """

    def __init__(
        self, config: StationConfig, parts: Parts, scheduler: Scheduler, apart: Apart, folder: Path = Path()
    ) -> None:
        self._config, self._parts, self._scheduler, self._apart = config, parts, scheduler, apart
        self._folder = folder
        self._takes: dict[str, int] = {}
        """Hash of a model that runs -> how long it takes here."""

    def examine(self, candidate: Candidate, kept: Kept | None) -> None:
        """See `station.change.parts.Gate`."""
        table, job = self._config.models[candidate.slot], self._job(candidate.slot)
        candidate.budgets = {budget.task: budget.ns for budget in job.budgets}
        try:
            found = self._apart.examine(candidate.read, table.binding, job)
        finally:
            candidate.source = None  # nobody needs the file's bytes any more; a change is remembered for long
        candidate.report = found.report
        self._keep(candidate, table, found.program, kept)
        candidate.model = found.accepted()

    def load(self, candidate: Candidate) -> None:
        """Its model, without a question: it was examined before it was committed."""
        table = self._config.models[candidate.slot]
        candidate.model = self._apart.load(candidate.read, table.binding)

    def notes(self, candidate: Candidate, is_plain: bool) -> str:
        """What an update is told although it passed: less is known of it than of the running one; what of it does not quite fit
        what tasks connect to it; that nothing is recorded yet; which tasks have no time for both versions in one cycle, unless it
        goes live at once (`is_plain`)."""
        if candidate.report is None:
            return ""
        unknown = next(
            (check.why for check in candidate.report.checks if check.name == MEANING and UNKNOWN in check.figures), ""
        )
        tight = "" if is_plain else self._tight(candidate.report)
        unseen = next(
            (f"{check.name}: {check.why}" for check in candidate.report.checks if NONE_YET in check.figures), ""
        )
        return "; ".join(filter(None, (unknown, self._warnings(candidate.report), unseen, tight)))

    @staticmethod
    def _warnings(report: GateReport) -> str:
        return next(
            (check.why for check in report.checks if check.name == STATION and check.figures.get("warnings")), ""
        )

    @staticmethod
    def _tight(report: GateReport) -> str:
        tight = [task for task, fits in report.fits_both.items() if not fits]
        return (
            f"in a cycle of {', '.join(tight)} there is no time for both versions: a shadow skips such a cycle, and a tick in which "
            "the new one fails on trial holds its outputs"
            if tight
            else ""
        )

    def _keep(self, candidate: Candidate, table: ModelTable, program: memoryview, kept: Kept | None) -> None:
        """Report and program into the store; without the program the next start compiles the version again."""
        if kept is None or candidate.report is None:
            return
        try:
            kept.put_report(candidate.sha256, candidate.report.to_json())
            if program:
                kept.put_program(candidate.sha256, program, table.binding)
        except StoreError:
            pass  # what must be there is the journal; it says so by itself

    def _job(self, slot: str) -> GateJob:
        running = self._parts.slots[slot].model
        return GateJob(
            slot=slot,
            inputs=running.inputs,
            outputs=running.outputs,
            classes=running.classes,
            budgets=self._budgets(slot, running),
            running=running.metadata,
            wirings=tuple(self._wirings(slot)),
            recording=self._recording(slot),
        )

    def _recording(self, slot: str) -> Recorded | None:
        change = self._config.models[slot].change
        if change.recording is None:
            return None
        return Recorded(
            path=str((self._folder / change.recording).resolve()),
            slot=slot,
            tolerance=change.tolerance if isinstance(change.tolerance, float) else None,
            tolerances=change.tolerance if isinstance(change.tolerance, dict) else {},
            disagreements=change.disagreements,
            folders=tuple(
                str(self._folder.resolve() / name) for name in (self._config.station.store, "") if name is not None
            ),
            steps=str(self._folder.resolve()),
        )

    def _wirings(self, slot: str) -> Iterator[Wiring]:
        """What tasks connect to it; who stands in for a task's model gets the same, and has states of its own."""
        for name, table in self._config.tasks.items():
            if (wiring := self._parts.wirings.get(name)) is None:
                continue
            if table.model == slot:
                yield wiring
            if slot in (table.others.get("fallback"), table.others.get("on_late")):
                yield replace(wiring, state=tuple(self._config.models[slot].state.items()))

    def _budgets(self, slot: str, running: Model) -> tuple[Budget, ...]:
        """What each task has for its model.

        What a task needs besides is told by the medians, of its cycle and of the model alone: the tails are those of the
        system, which the gate measures with the new version. That of a model's turns, which are not in each cycle, has no model.
        A model that runs in slices has no budget: it takes more cycles. A monitor is in the cycles that its task's model is in; a
        fallback comes on top; a smaller model comes in the model's place.
        """
        stats, found = self._scheduler.stats(), []
        for name, table in self._config.tasks.items():
            monitor, late = table.others.get("monitor"), table.others.get("on_late")
            if slot not in (table.model if table.slice_ns is None else None, *table.others.values()):
                continue
            model_ns, in_median = self._taken_ns(running), 0
            if not table.has_turns and slot in (table.model, monitor):
                in_median = model_ns
            elif not table.has_turns and table.model is not None and slot == late:
                in_median = self._taken_ns(self._parts.slots[table.model].model)
            needs_ns = max(int(stats[name].execution.p50_ns) - in_median, 0)
            found.append(Budget(name, stats[name].period_ns, needs_ns, model_ns))
        return tuple(found)

    def _taken_ns(self, model: Model) -> int:
        """Half of its runs take no longer than that."""
        if model.sha256 not in self._takes:
            context = model.context()
            first = int(context.measure(2)[1])
            times = sorted(context.measure(RUNS)) if first < LONG_NS else [first]
            self._takes = {model.sha256: int(times[len(times) // 2])}
        return self._takes[model.sha256]
