"""A report for people."""

from rt_engine.gate.report import GateReport, Outcome
from rt_native.terminal import Column, Sheet

STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.SKIPPED: "dim"}


def table(report: GateReport) -> Sheet:
    """One row for each check, and what the whole comes to."""
    columns = (Column("check"), Column("outcome"), Column("found", folds=True))
    made = Sheet(columns, title=f"{report.model}  {report.sha256[:12]}", caption=verdict(report))
    for check in report.checks:
        made.add(check.name, check.outcome.value, check.why, style=STYLES[check.outcome])
    return made


def verdict(report: GateReport) -> str:
    """What the whole comes to, in a line."""
    count = {outcome: sum(check.outcome is outcome for check in report.checks) for outcome in Outcome}
    skipped = f", {count[Outcome.SKIPPED]} could not be made" if count[Outcome.SKIPPED] else ""
    took = sum(report.took_ms.values())
    said = f"{'passes' if report.passed else 'is refused'}: {count[Outcome.PASSED]} checks passed, {count[Outcome.FAILED]} failed"
    return f"{said}{skipped}; examined in {took:,.0f} ms on {report.machine}; seed of the drawn inputs {report.seed}"
