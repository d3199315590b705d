"""Hot update of a slot: checked, coordinated, complete."""

import gc
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper, numpy_helper

import rt_engine
from rt_engine.errors import InterfaceError, UpdateError
from rt_engine.reader import ChangeWords, NextTick, SlotReader
from rt_engine.run.native import KERNELS


def scale(factor, width=4, name="x"):
    """y = factor * x."""
    weights = [numpy_helper.from_array(np.eye(width, dtype=np.float32) * factor, "w")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [name, "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info(name, 1, [1, width])],
        [helper.make_tensor_value_info("y", 1, [1, width])],
        weights,
    )
    return rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


class Ticker(threading.Thread):
    """A task in Python: picks a version for each tick of a common grid and notes which."""

    def __init__(self, reader: SlotReader, period_ns: int) -> None:
        super().__init__(daemon=True)
        self.reader, self.period_ns, self.seen, self.stopped = reader, period_ns, {}, False
        reader.running = True

    def run(self) -> None:
        pick = KERNELS.function("slot_pick")
        tick = time.monotonic_ns() // 10_000_000 * 10_000_000
        while not self.stopped:
            tick += self.period_ns
            while time.monotonic_ns() < tick:
                time.sleep(0.0001)
            self.seen[tick] = pick(self.reader.address, tick)


def test_an_update_without_tasks_is_taken_at_once():
    """Readers that do not run change here and now."""
    slot = rt_engine.ModelSlot(scale(1))
    reader = slot.reader()
    result = slot.update(scale(2))
    assert (slot.version, result.version, reader.switches) == (2, 2, 1)
    reader.context.inputs["x"][...] = 3
    reader.context.run()
    assert reader.context.outputs["y"][0, 0] == 6


@pytest.mark.parametrize("other", [scale(1, width=5), scale(1, name="z")])
def test_another_interface_is_refused_and_nothing_changes(other):
    """The message shows both interfaces."""
    slot = rt_engine.ModelSlot(scale(1), "policy")
    reader = slot.reader()
    with pytest.raises(InterfaceError, match=r"slot 'policy'.*float32\[1, 4\]"):
        slot.update(other)
    assert (slot.version, reader.switches, reader.is_pending) == (1, 0, False)


def test_every_context_of_a_reader_is_prepared_before_it_is_offered():
    """The first, and that of an update; a version that lacks something is refused in words, and nothing changes."""
    seen = []

    def prepare(model, context):
        if len(seen) == 2:
            raise InterfaceError("it carries no statistics")
        seen.append((model, context))

    first, second = scale(1.0), scale(2.0)
    slot = rt_engine.ModelSlot(first)
    reader = slot.reader(prepare)
    slot.update(second)
    assert [model for model, _ in seen] == [first, second]
    assert seen[1][1] is reader.context
    with pytest.raises(InterfaceError, match="no statistics"):
        slot.update(first)
    assert (slot.model, slot.version, reader.context) == (second, 2, seen[1][1])


def test_all_tasks_change_at_the_activation_time():
    """Before it every tick runs the old version, from it on the new one; both tasks, whatever their period."""
    slot = rt_engine.ModelSlot(scale(1))
    tickers = [Ticker(slot.reader(), period) for period in (1_000_000, 2_000_000)]
    for t in tickers:
        t.start()
    old = [t.reader.context.block_address for t in tickers]
    result = slot.update(scale(2), at=NextTick(KERNELS.address("slices_clock"), 0, 0, 10_000_000, 50_000_000))
    for t in tickers:
        t.stopped = True
        t.join()
    assert result.same_tick
    assert set(result.taken_ns) == {result.activation_ns}
    for t, old_block in zip(tickers, old, strict=True):
        assert all((block == old_block) == (tick < result.activation_ns) for tick, block in t.seen.items())
        assert t.seen[result.activation_ns] == t.reader.context.block_address


def test_no_update_is_half_applied(monkeypatch):
    """One task ticks while the update waits, one does not: it is taken back from both, with an error; the slot stays usable."""
    slot = rt_engine.ModelSlot(scale(1))
    ticks, stuck = slot.reader(), slot.reader()
    ticks.running = stuck.running = True
    before, pick = ticks.context, KERNELS.function("slot_pick")
    now_ns, ran = [0], []

    def sleep(seconds):
        now_ns[0] += int(seconds * 1e9)
        ran.append(pick(ticks.address, now_ns[0]))

    monkeypatch.setattr("rt_engine.reader.time", SimpleNamespace(monotonic_ns=lambda: now_ns[0], sleep=sleep))
    with pytest.raises(UpdateError, match=r"1 of 2 tasks did not take .* within 1 s; all run the old one"):
        slot.update(scale(2), timeout_s=1.0)
    assert ticks.context is before and ran[0] == ran[-1] == before.block_address and len(set(ran)) == 2
    assert (slot.version, stuck.is_pending) == (1, False)
    ticks.running = stuck.running = False
    assert slot.update(scale(3)).version == 2


def test_the_old_version_is_freed():
    """After an update nothing holds the old model or its contexts."""
    slot = rt_engine.ModelSlot(scale(1))
    reader = slot.reader()
    old = weakref.ref(slot.model), weakref.ref(reader.context)
    slot.update(scale(2))
    gc.collect()
    assert [r() for r in old] == [None, None]


def test_a_version_counts_as_taken_when_its_states_are_copied(monkeypatch):
    """Inside of `pick` nothing is offered any more and the old version is still read: it must not be freed yet."""
    slot = rt_engine.ModelSlot(scale(1))
    reader = slot.reader()
    reader.running = True
    new = reader.plain(ChangeWords(), scale(2).context())
    reader.offer(new)
    reader._fields["next"] = 0  # as `pick` has it while it copies
    assert not reader.has_taken()

    def copied(_):
        reader._fields["active"], reader._fields["arrangement"] = new.active.block_address, new.address

    monkeypatch.setattr("rt_engine.reader.time.sleep", copied)
    assert not reader.withdraw()
    assert reader.context is new.active


def test_an_interrupted_update_leaves_the_running_context_alive(monkeypatch):
    """Ctrl-C while an update waits, the task takes the version after that: the next update must not free what it runs."""
    slot = rt_engine.ModelSlot(scale(1))
    reader = slot.reader()
    reader.running = True
    with monkeypatch.context() as patch:
        patch.setattr("rt_engine.reader.time.sleep", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            slot.update(scale(2), at=0)
    block = KERNELS.function("slot_pick")(reader.address, 1)
    reader.running = False
    contexts = []
    offer = SlotReader.offer

    def spy(self, arrangement):
        offer(self, arrangement)
        contexts.append(self.context.block_address)

    monkeypatch.setattr(SlotReader, "offer", spy)
    slot.update(scale(3))
    assert contexts == [block]
    reader.context.inputs["x"][...] = 1
    reader.context.run()
    assert reader.context.outputs["y"][0, 0] == 3


def _interrupt(seconds):
    raise KeyboardInterrupt
