"""A report as a table: every check, its outcome, what was found."""

import io
from dataclasses import replace

from rt_engine.gate.report import Check, Outcome
from rt_engine.gate.table import table
from rt_native.terminal import Terminal
from tests.rt_engine.gate.test_report import REPORT


def test_every_check_is_a_row_and_the_verdict_is_below():
    terminal = Terminal(width=200, record=True, file=io.StringIO())
    bad = replace(
        REPORT, sha256="abc", machine="here", seed=7, checks=(*REPORT.checks, Check("rate", Outcome.FAILED, "50 Hz"))
    )
    terminal.print(table(bad))
    lines = [" ".join(line.split()) for line in terminal.export_text().splitlines()]
    assert lines[:5] == [
        "m abc",
        "check outcome found",
        "interface passed same",
        "memory skipped no limit",
        "rate failed 50 Hz",
    ]
    assert lines[5].startswith("is refused: 1 checks passed, 1 failed, 1 could not be made; examined in")
