"""What `rt-engine fleet` says to people."""

import pytest

from station.fleet.rollout import Plan, RolloutState
from station.fleet.show import plan_help
from tests.station.fleet.world import wanted


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            RolloutState.RUNNING,
            "`rt-engine fleet resume` goes on; `rt-engine fleet abort --back` takes the version back",
        ),
        (RolloutState.STOPPED, "`rt-engine fleet resume` goes on in spite of that; "),
        (RolloutState.DONE, ""),
        (RolloutState.ABORTED, ""),
    ],
)
def test_a_rollout_that_nobody_commands_says_what_helps(state, words):
    said = plan_help(Plan(id="r1", term=1, slots={"policy": wanted("new", 5)}, state=state))
    assert said.startswith(words) and bool(said) == bool(words)
