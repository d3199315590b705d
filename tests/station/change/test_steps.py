"""A change goes from state to state, whatever breaks."""

import pytest

from rt_engine.change import ChangeState
from station.change.machine import Policy, Span
from station.errors import RefusedError
from tests.station.change.fakes import SHADOW_THEN_TRIAL, World, words


@pytest.mark.parametrize(("policy", "what"), [(Policy(), "replace"), (SHADOW_THEN_TRIAL, "shadow")])
def test_an_error_of_ours_ends_the_change_and_holds_no_slot(policy, what):
    """It is not held against the version; the next update may come."""
    world = World({"m": policy})
    world.breaks[what] = IndexError("tuple index out of range")
    with pytest.raises(IndexError):
        world.update("m")
    assert world.state() == ChangeState.REJECTED
    assert "an error in rt-engine: IndexError('tuple index out of range')" in words(world)[-1]
    assert not any(row.barred for row in world.rows.values())
    world.breaks.clear()
    world.update("m")
    assert world.state() in (ChangeState.COMMITTED, ChangeState.SHADOW)


def test_nothing_is_said_to_go_back_that_cannot():
    """Without a store, behind another change that went back: the journal and the status would say one thing, the tasks do another."""
    world = World({"m": Policy()}, kept=False)
    world.update("m")
    world.unprepared = True
    with pytest.raises(RefusedError, match=r"before m\.onnx are not prepared any more.* there is no store"):
        world.changes.roll_back("m", "anna")
    assert world.state() == ChangeState.COMMITTED


def test_who_commits_what_the_store_does_not_have_is_told_that_it_will_not_survive():
    """The update's answer said so; perhaps to somebody else, an hour ago."""
    world = World({"m": Policy(trial=Span(ns=10**9))}, kept=False)
    world.update("m")
    assert world.changes.commit("m", "bert").endswith("it will not survive a restart: the store is another's")
