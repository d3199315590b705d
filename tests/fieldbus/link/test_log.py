"""Which changes of a link are told."""

import logging

import pytest

from fieldbus.errors import ConnectionLostError
from fieldbus.link.log import MOST_LINES, WITHIN_S, ChangeLog
from tests.fieldbus.link.test_cyclic import Scripted
from tests.waiting import PATIENCE_S, wait_for


def told(changes: list[tuple[str, float]]) -> list[str]:
    """The lines for some changes: (state, seconds)."""
    log = ChangeLog()
    lines = [log.change(state, "cut", now_s) for state, now_s in changes]  # type: ignore[arg-type]
    return [line[1] for line in lines if line]


def test_attempts_that_fail_are_not_told_but_counted() -> None:
    """Lost once, found again once, with the number of attempts and the time."""
    changes = [("connecting", 0.0), ("up", 0.1), ("down", 5.0)]
    changes += [(state, 5.0 + n) for n in range(3) for state in ("connecting", "down")]
    assert told([*changes, ("connecting", 8.0), ("up", 8.2)]) == ["up", "down: cut", "up again after 4 attempts, 3.2 s"]


def test_a_device_that_is_not_there_at_the_start() -> None:
    """One line, until it is there."""
    changes = [("connecting", 0.0), ("down", 0.1), ("connecting", 0.2), ("down", 0.3), ("connecting", 1.0), ("up", 1.1)]
    assert told(changes) == ["down: cut", "up again after 3 attempts, 1.0 s"]


def test_a_refusal_and_its_end() -> None:
    """Degraded and up again: there was no attempt to connect."""
    changes = [("connecting", 0.0), ("up", 0.0), ("degraded", 1.0), ("up", 3.0), ("stopped", 4.0)]
    assert told(changes) == ["up", "degraded: cut", "up again after 2.0 s", "stopped"]


def test_a_link_that_comes_and_goes_is_told_now_and_then() -> None:
    """So many lines in so much time; the next one says how many were left out."""
    flapping = [(state, 0.01 * n) for n in range(50) for state in ("degraded", "up")]
    lines = told([*flapping, ("down", WITHIN_S + 1.0)])
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"down: cut (it comes and goes: {100 - MOST_LINES} changes were not told)"


def test_a_link_logs_both_directions(caplog: pytest.LogCaptureFixture) -> None:
    """At the level that is shown without any setting: one line when it is lost, one when it is back."""
    link = Scripted()
    with caplog.at_level(logging.WARNING), link:
        assert link.wait_up(PATIENCE_S)
        link.no_connection, link.fault = True, ConnectionLostError("cut")
        wait_for(lambda: link.status().errors > 4)
        link.no_connection, link.fault = False, None
        assert link.wait_up(PATIENCE_S)
    lost, back = [record.getMessage() for record in caplog.records if record.name.startswith("fieldbus")]
    assert lost == "link plc: down: cut"
    assert back.startswith("link plc: up again after ")
