"""A change of one or several slots, step by step: what every reader runs, what goes over, what comes back."""

import numpy as np
import pytest

import rt_engine
from rt_engine.change import ChangeState, Verdict
from rt_engine.errors import InterfaceError, UpdateError
from rt_engine.run.blocks import CHANGE
from rt_engine.run.native import KERNELS
from rt_engine.slot_change import SlotChange
from tests.rt_engine.test_slot import scale
from tests.rt_engine.test_state import STATE, counter

pick = KERNELS.function("slot_pick")


def version_of(reader):
    """Of the block that a reader runs."""
    return int(reader.context._fields["version"][0])


def total(context):
    """What a counter has counted."""
    return float(context.state["before"][0])


def count(context, times=1):
    """Let a counter count."""
    context.inputs["x"] = [1, 1, 1]
    for _ in range(times):
        context.run()


def counting():
    """A slot with a counter that has counted to 5, its reader, and another counter for it."""
    slot = rt_engine.ModelSlot(rt_engine.load(counter(), state=STATE))
    reader = slot.reader()
    count(reader.context, 5)
    return slot, reader, rt_engine.load(counter(), state=STATE)


def test_a_change_goes_through_its_steps():
    """Shadow and trial leave `live` to the committed version; a commit makes the new one it."""
    slot = rt_engine.ModelSlot(scale(1))
    reader, new = slot.reader(), scale(2)
    change = SlotChange({slot: new})
    assert (change.state, slot.change, version_of(reader)) == (ChangeState.STAGED, change, 1)
    change.shadow()
    assert (change.state, version_of(reader), slot.version) == (ChangeState.SHADOW, 1, 1)
    change.trial()
    assert (change.state, version_of(reader), slot.version) == (ChangeState.TRIAL, 2, 1)
    (result,) = change.commit()
    assert (change.state, version_of(reader), slot.live) == (ChangeState.COMMITTED, 2, (new, 2))
    assert (result.version, slot.change, reader.switches) == (2, None, 1)


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ((), ChangeState.REJECTED),
        (("shadow",), ChangeState.REJECTED),
        (("shadow", "trial"), ChangeState.ROLLED_BACK),
        (("trial",), ChangeState.ROLLED_BACK),
        (("commit",), ChangeState.ROLLED_BACK),
        (("shadow", "trial", "commit"), ChangeState.ROLLED_BACK),
    ],
)
def test_from_every_state_there_is_a_way_back(steps, ends):
    """The old version runs, is live for PLC clients, and the slot takes other changes; no number is given twice."""
    slot = rt_engine.ModelSlot(scale(1))
    reader, old = slot.reader(), slot.model
    change = SlotChange({slot: scale(2)})
    for step in steps:
        getattr(change, step)()
    (result,) = change.roll_back()
    assert (change.state, version_of(reader), slot.live, result.version) == (ends, 1, (old, 1), 1)
    assert (slot.change, slot.committed, slot.previous) == (None, None, None)
    assert slot.update(scale(3)).version == 3
    with pytest.raises(UpdateError, match="not its newest"):
        change.roll_back()


def test_a_step_that_is_not_the_next_is_refused():
    """In words, with where the change is."""
    slot = rt_engine.ModelSlot(scale(1), "policy")
    change = SlotChange({slot: scale(2)})
    change.trial()
    with pytest.raises(UpdateError, match="slot 'policy': it is TRIAL, from which there is no step to SHADOW"):
        change.shadow()


def test_a_slot_has_one_change_at_a_time():
    """Another change, an update and a task that is new are refused while there is one."""
    slot = rt_engine.ModelSlot(scale(1), "policy")
    change = SlotChange({slot: scale(2)})
    for refused in (lambda: SlotChange({slot: scale(3)}), lambda: slot.update(scale(3)), slot.reader):
        with pytest.raises(UpdateError, match="slot 'policy': version 2 is in STAGED; commit it or roll it back first"):
            refused()
    change.commit()
    slot.update(scale(3))


def test_a_model_that_fits_one_of_two_slots_stages_nothing():
    """Both are free after it."""
    a, b = rt_engine.ModelSlot(scale(1)), rt_engine.ModelSlot(scale(1))
    with pytest.raises(InterfaceError):
        SlotChange({a: scale(2), b: scale(2, width=5)})
    assert (a.change, b.change) == (None, None)


def test_a_shadow_begins_with_the_state_of_the_live_one_and_keeps_its_own():
    """The live one's is not touched; in the trial both go on from where they are, and the old one's is what comes back."""
    slot, reader, new = counting()
    change = SlotChange({slot: new})
    (result,) = change.shadow()
    old, second = reader.arrangement.contexts
    assert (result.state, total(old), total(second), reader.context) == ("carried", 5, 5, old)
    count(old, 2)
    count(second, 1)  # once it was skipped
    change.trial()
    assert (reader.context, total(second), total(old)) == (second, 6, 7)
    count(old)
    change.roll_back()
    assert (reader.context, total(old)) == (old, 8)


def test_a_trial_without_a_shadow_begins_with_the_state_of_the_live_one():
    """As an update does."""
    slot, reader, new = counting()
    change = SlotChange({slot: new})
    change.trial()
    live, old = reader.arrangement.contexts
    assert (reader.context, total(live), total(old)) == (live, 5, 5)


def test_a_commit_that_is_taken_back_carries_the_state():
    """The old version stood still since the commit; it goes on from where the new one is."""
    slot, reader, new = counting()
    change = SlotChange({slot: new})
    change.commit()
    assert slot.previous == (change.before(slot)[0], 1)
    count(reader.context, 2)
    change.roll_back()
    assert (version_of(reader), total(reader.context)) == (1, 7)


def test_another_change_ends_what_a_roll_back_could_bring():
    """The newest commit alone is prepared to be taken back."""
    slot = rt_engine.ModelSlot(scale(1))
    slot.reader()
    first, second = SlotChange({slot: scale(2)}), None
    first.commit()
    second = SlotChange({slot: scale(3)})
    second.commit()
    with pytest.raises(UpdateError, match="not its newest"):
        first.roll_back()
    second.roll_back()
    assert slot.version == 2


def condemn(change, verdict):
    """As native code does (`slot_native.condemn`)."""
    words = change._words._block.view(CHANGE)
    words["task"], words["place"], words["tick_ns"], words["verdict"] = 0, -1, 77, verdict


def test_readers_of_all_slots_fall_back_when_one_finds_the_version_bad():
    """At their next pick, each with the states of its old version, and without anybody in Python."""
    slots = [rt_engine.ModelSlot(scale(1)) for _ in range(2)]
    readers = [slot.reader() for slot in slots for _ in range(2)]
    change = SlotChange({slot: scale(2) for slot in slots})
    change.trial()
    assert [version_of(r) for r in readers] == [2, 2, 2, 2]
    condemn(change, Verdict.OUT_OF_LIMITS)
    for reader in readers:
        pick(reader.address, 100)
    assert [(version_of(r), r.switched_ns) for r in readers] == [(1, 100)] * 4
    assert (change.fate.verdict, change.fate.tick_ns) == (Verdict.OUT_OF_LIMITS, 77)
    change.roll_back()
    assert [version_of(r) for r in readers] == [1, 1, 1, 1]


def test_a_version_that_was_found_bad_is_not_committed():
    """The verdict came in the moment of the commit: that is refused, and the old version runs."""
    slot = rt_engine.ModelSlot(scale(1))
    reader = slot.reader()
    change = SlotChange({slot: scale(2)})
    change.trial()
    condemn(change, Verdict.TOO_SLOW)
    with pytest.raises(UpdateError, match=r"found bad .*TOO_SLOW"):
        change.commit()
    assert (version_of(reader), slot.version) == (1, 1)
    change.roll_back()


def test_a_step_that_one_task_does_not_take_changes_nothing():
    """A task that hangs: the other goes back to the step before, with its states as they went on."""
    slot, reader, new = counting()
    stuck = slot.reader()
    change = SlotChange({slot: new}, timeout_s=0.02)
    change.shadow()
    stuck.running = True
    with pytest.raises(UpdateError, match="1 of 2 tasks did not take"):
        change.trial()
    assert (change.state, version_of(reader), reader.arrangement.mode.name) == (ChangeState.SHADOW, 1, "SHADOW")
    assert not stuck.is_pending
    stuck.running = False
    change.trial()
    assert version_of(stuck) == 2


def test_a_roll_back_does_not_wait_for_a_task_that_hangs():
    """It is told how many; such a task takes it when it comes back."""
    slot = rt_engine.ModelSlot(scale(1))
    reader, stuck = slot.reader(), slot.reader()
    change = SlotChange({slot: scale(2)}, timeout_s=0.02)
    change.trial()
    stuck.running = True
    (result,) = change.roll_back()
    assert (result.late, version_of(reader), version_of(stuck)) == (1, 1, 2)
    pick(stuck.address, 5)
    assert version_of(stuck) == 1
    np.testing.assert_equal(stuck.context.block_address, int(stuck._fields["active"][0]))
