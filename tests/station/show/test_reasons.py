"""Why outputs are not the model's own: every status that a cycle can have is words, of the task or of its model's run."""

import re

import pytest

from rt_engine.status import Status
from scheduler.status import Action, TaskStatus
from station.show.reasons import note


@pytest.mark.parametrize("status", [s for s in (*Status, *TaskStatus) if s])
def test_no_status_is_shown_as_a_name_of_the_code(status):
    words = note(Action.SAFE, status)
    assert not re.search(r"[A-Z]{2,}_[A-Z]", words), words


def test_a_late_helper_is_told_as_one():
    assert note(Action.SAFE, Status.HELPER_LATE) == (
        "outputs safe, the model gave no result: a helper core began a part of it and did not end it in time"
    )
