"""One task's view of a slot, and how several views go over to another arrangement of versions at one tick.

Arrangement   what a reader runs: the active version, a second one beside it, and where it falls to if the change is found bad
arrange       offered to every reader -> activation time -> all have taken it
ChangeWords   what the readers of a change share: the activation time, and the fate of the version that it brings
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rt_engine.change import Verdict
from rt_engine.errors import UpdateError
from rt_engine.model import Model
from rt_engine.run.blocks import ARRANGEMENT, CHANGE, NEVER, READER, Mode
from rt_engine.run.context import Context
from rt_engine.run.native import KERNELS
from rt_native.memory import Block

MARGIN_NS = 5_000_000
"""An update becomes active this long after it is offered, unless the caller says when."""
AT_ONCE = 0
"""Every task takes it at its own next tick."""
_COPYING_S, _COPYING_TRIES = 0.0001, 10_000

Prepare = Callable[[Model, Context], None]
"""What a task wants of every version before it may take it: done to the reader's context of it, by whoever updates."""
ACTIVATION_TRIES = 10


@dataclass(frozen=True, slots=True)
class NextTick:
    """The first tick of a grid that is at least a margin ahead, found and made known in one native call.

    No thread of Python that holds the interpreter, and no sleep of this one, lets that tick pass between the two unseen.
    """

    clock_now: int
    """Address of the function that tells the time, of what is at `clock`."""
    clock: int
    epoch_ns: int
    every_ns: int
    """From tick to tick; 0: no grid, just the margin."""
    margin_ns: int


At = int | NextTick | Callable[[], int | NextTick] | None
"""When an arrangement is taken: CLOCK_MONOTONIC nanoseconds, a tick, a function that gives them once all is ready, or soon."""


class Watch(Protocol):
    """What whoever runs the blocks of a task has at hand while there are two of them; see `scheduler.watch`."""

    @property
    def address(self) -> int:
        """For native code."""

    @property
    def number(self) -> int:
        """Of the task, among those of the change."""

    def told(self, place: int) -> tuple[str, str]:
        """(Name of the task, name of its output number `place`, or nothing)."""


class ChangeWords:
    """The words that the readers of one change share."""

    def __init__(self) -> None:
        self._block = Block(CHANGE.itemsize)
        self._fields = self._block.view(CHANGE)
        self.address = self._block.address
        self.set_activation(NEVER)

    def set_activation(self, tick_ns: int) -> None:
        """From which tick on offers are taken."""
        self._fields["activation_ns"] = tick_ns

    @property
    def verdict(self) -> Verdict:
        """Of the version that the change brings."""
        return Verdict(int(self._fields["verdict"][0]))

    def activate(self, at: NextTick) -> tuple[int, bool]:
        """From the next tick of a grid on; gives it, and whether it was still ahead when all readers could see it."""
        native = KERNELS.function("slot_activate")
        tick = native(self.address, at.clock_now, at.clock, at.epoch_ns, at.every_ns, at.margin_ns)
        return (tick, True) if tick else (int(self._fields["activation_ns"][0]), False)

    @property
    def found(self) -> tuple[int, int, int] | None:
        """(Tick, number of the task, number of its output or -1) of the verdict; None before all of it is written."""
        tick, task, place = (int(self._fields[name][0]) for name in ("tick_ns", "task", "place"))
        return (tick, task, place) if tick else None


class Arrangement:
    """What a reader runs. Frozen, as native code reads it.

    Args:
        words: of the change that brings it.
        active, second, mode: see `rt_engine.run.blocks.Mode`.
        carry_to: begins with the states of the version that ran before.
        fall_to: is active once the change has a verdict.
        watch: of the task.
    """

    def __init__(
        self,
        words: ChangeWords,
        active: Context,
        second: Context | None = None,
        mode: Mode = Mode.PLAIN,
        *,
        carry_to: Context | None = None,
        fall_to: Context | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.words, self.active, self.second, self.mode = words, active, second, mode
        self.fall_to, self.watch = fall_to, watch
        self.block = Block(ARRANGEMENT.itemsize)
        self.address = self.block.address
        fields = self.block.view(ARRANGEMENT)
        for name, context in {"active": active, "second": second, "carry_to": carry_to, "fall_to": fall_to}.items():
            fields[name] = context.block_address if context else 0
        fields["mode"], fields["change"], fields["watch"] = mode, words.address, watch.address if watch else 0

    def again(self) -> "Arrangement":
        """The same in other memory, to be offered once more."""
        new = Arrangement(self.words, self.active, self.second, self.mode, fall_to=self.fall_to, watch=self.watch)
        new.block.view(ARRANGEMENT)[:] = self.block.view(ARRANGEMENT)
        return new

    @property
    def contexts(self) -> tuple[Context, ...]:
        """Of both versions."""
        return (self.active,) if self.second is None else (self.active, self.second)


class SlotReader:
    """One task's view of a slot. The task sets `running` while its thread picks versions."""

    def __init__(self, model: Model, version: int, prepare: Prepare | None = None) -> None:
        self._prepare = prepare
        self._block = Block(READER.itemsize)
        self._fields = self._block.view(READER)
        self.address = self._block.address
        self.running = False
        self._now = Arrangement(ChangeWords(), self.fresh(model, version))
        self._offered: Arrangement | None = None
        self._withdrawn: list[tuple[Block, ChangeWords]] = []
        """Offers that a task may be looking at at this moment: they stay in memory as long as the reader."""
        self._fields["active"] = self._now.active.block_address
        self._fields["arrangement"] = self._now.address

    def fresh(self, model: Model, version: int) -> Context:
        """A context of a version for this task, warmed and prepared; raises what `prepare` raises."""
        context = warmed(model, version)
        if self._prepare is not None:
            self._prepare(model, context)
        return context

    @property
    def context(self) -> Context:
        """The context of the version that is active."""
        active = int(self._fields["active"][0])
        known = (*self._now.contexts, *(self._offered.contexts if self._offered else ()))
        return next(context for context in known if context.block_address == active)

    @property
    def arrangement(self) -> Arrangement:
        """What it runs, as far as Python knows."""
        return self._now

    @property
    def taken_ns(self) -> int:
        """Due time of the tick that took the newest arrangement; 0 before the first update."""
        return int(self._fields["taken_ns"][0])

    @property
    def switches(self) -> int:
        """How many times the version was changed."""
        return int(self._fields["switches"][0])

    @property
    def switched_ns(self) -> int:
        """Due time of the tick that was the first with the version that is active; 0 before the first change."""
        return int(self._fields["switched_ns"][0])

    @property
    def dropped(self) -> bool:
        """Did the newest version begin anew because the states held NaN or infinity?"""
        return bool(self._fields["dropped"][0])

    @property
    def is_pending(self) -> bool:
        """Has an arrangement been offered and not been taken yet?"""
        return bool(self._fields["next"][0])

    def reset(self) -> int:
        """Put the states of a task that does not run back to where they began, of both versions; gives how many it has."""
        for context in self._now.contexts:
            context.reset()
        return len(self.context.state)

    def carries(self, context: Context) -> bool:
        """Has it the same states as the version that runs?"""
        return bool(context.state) and self.context.state_specs == context.state_specs

    def plain(self, words: ChangeWords, context: Context) -> Arrangement:
        """A version alone, which goes on from the states of the one that runs, if it has the same."""
        return Arrangement(words, context, carry_to=context if self.carries(context) else None)

    def offer(self, arrangement: Arrangement) -> None:
        """What the task takes at its first tick from the activation time on."""
        if self._offered is not None:  # an update was interrupted; its context may be the one that runs
            self.withdraw()
        self._offered = arrangement
        self._fields["next"] = arrangement.address

    def has_taken(self) -> bool:
        """Does the task run what was offered? It does only when the states are copied, a moment after it was taken.

        A reader whose task does not run takes it here and now.
        """
        if self.is_pending and not self.running:
            KERNELS.function("slot_pick")(self.address, NEVER)
        if self._offered is None or int(self._fields["arrangement"][0]) != self._offered.address:
            return False
        self._now, self._offered = self._offered, None
        return True

    def withdraw(self) -> bool:
        """Take the offer back; False if the task has taken it at this very moment."""
        if KERNELS.function("slot_withdraw")(self.address) == 0:
            for _ in range(_COPYING_TRIES):  # it copies its states; all pass only if the offer was never made
                if self.has_taken():
                    return False
                time.sleep(_COPYING_S)
        if self._offered is not None:
            self._withdrawn.append((self._offered.block, self._offered.words))
        self._offered = None
        return True


def arrange(offers: Sequence[tuple[SlotReader, Arrangement]], at: At, timeout_s: float) -> tuple[int, list[SlotReader]]:
    """Offer arrangements of one change, activate, wait; gives the activation time, and who did not take it: the offer still stands.

    They are all taken at one tick, or each at its first after the activation time where the ticks differ.
    """
    activation, is_in_time = _activate(offers, at)
    for _ in range(ACTIVATION_TRIES):
        if is_in_time:
            break
        back = [(reader, arrangement.again()) for reader, arrangement in offers if reader.withdraw()]
        # the tick came before all could know of it: another one, unless somebody took it; then the others shall at once
        is_another = len(back) == len(offers)
        activation, is_in_time = _activate(back, at) if is_another else (activation, _activate(back, AT_ONCE)[1])
        offers = back
    until = max(activation, time.monotonic_ns()) + int(timeout_s * 1e9)
    pending = [reader for reader, _ in offers]
    while pending and time.monotonic_ns() < until:
        pending = [reader for reader in pending if not reader.has_taken()]
        if pending:
            time.sleep(0.0005)
    return activation, [reader for reader in pending if not reader.has_taken()]


def _activate(offers: Sequence[tuple[SlotReader, Arrangement]], at: At) -> tuple[int, bool]:
    """Offer, and choose when it is taken: (activation time, was it ahead when everybody could see it?)."""
    all_words = {arrangement.words for _, arrangement in offers}
    for words in all_words:
        words.set_activation(NEVER)
    for reader, arrangement in offers:
        reader.offer(arrangement)
    when = at() if callable(at) else at if at is not None else time.monotonic_ns() + MARGIN_NS
    if isinstance(when, NextTick):
        (words,) = all_words or {ChangeWords()}
        return words.activate(when)
    for words in all_words:
        words.set_activation(when)
    return when, True


def go_over(
    names: str,
    offers: Sequence[tuple[SlotReader, Arrangement]],
    back: Callable[[SlotReader], Arrangement],
    at: At,
    timeout_s: float,
) -> int:
    """`arrange`, of all or none; gives the activation time. `back`: the arrangement of a reader to go back to.

    Raises:
        UpdateError: a task did not take it in time; it was taken back from the others (or the message says from whom not).
    """
    activation, late = arrange(offers, at, timeout_s)
    late = [reader for reader in late if reader.withdraw()]
    if late:
        again = [(reader, back(reader)) for reader, _ in offers if reader not in late]
        stuck = [reader for reader in arrange(again, None, timeout_s)[1] if reader.withdraw()]
        now = f"{len(stuck)} of the others still run the new one: update again" if stuck else "all run the old one"
        raise UpdateError(
            f"{names}: {len(late)} of {len(offers)} tasks did not take the new version within {timeout_s:g} s; {now}. "
            "Is a task hung, or overrunning?"
        )
    return activation


def warmed(model: Model, version: int) -> Context:
    """A context that has run once on zeros, so that its memory is in the caches and no first run is slow."""
    context = model.context(1)
    context._fields["version"] = version
    context._run(context.block_address)
    for view in context.outputs.values():
        np.copyto(view, np.zeros((), view.dtype))
    context.reset()
    return context
