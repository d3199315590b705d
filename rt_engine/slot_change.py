"""A change of the models of one or several slots, in steps: at one tick for all their tasks, and with one fate.

    STAGED ---> SHADOW ---> TRIAL ---> COMMITTED       each step is an arrangement that every reader takes (`rt_engine.reader`)
       |           |          |            |
       +-----------+-> REJECTED            |
                              +------------+-> ROLLED_BACK

    step          active, second    mode      states                                             falls to
    shadow        old, new          SHADOW    new begins with the old one's
    trial         new, old          TRIAL     new keeps those of its shadow, else the old one's  old
    commit        new, old          SHADOW    each its own: until no task judges any more        old
                  new               PLAIN
    roll_back     old               PLAIN     its own; after a commit those of the new one

A version on trial that is found bad has fallen back before anybody in Python knows (`slot_native.condemn`): `fate` tells.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rt_engine.change import ChangeState, Verdict
from rt_engine.errors import UpdateError
from rt_engine.model import Model
from rt_engine.reader import AT_ONCE, Arrangement, At, ChangeWords, SlotReader, Watch, arrange, go_over
from rt_engine.run.blocks import Mode
from rt_engine.run.context import Context
from rt_engine.slot import ModelSlot, UpdateResult, lost, state_fate

WORDS_S, WORDS_TRIES = 0.0001, 1000


@dataclass(frozen=True, slots=True)
class Fate:
    """Why the version of a change was found bad: the first verdict of all its tasks."""

    verdict: Verdict
    tick_ns: int
    """The tick in which it was found, CLOCK_MONOTONIC."""
    task: str
    output: str
    """The output that it was about; empty where it was about none."""


Watching = Callable[[SlotReader, Context, Context, Mode], Watch | None]
"""(reader, active, second, mode) -> what the task wants at hand; None of a reader whose second version is never run."""


class SlotChange:
    """New versions for one or several slots. Contexts are prepared and warmed; nothing has changed yet.

    Args:
        models: slot -> its new model.
        watching: what each task has at hand while there are two versions.
        numbers: of the new versions, by slot; where none is given, one more than any was.
        at: gives the tick of a step when all is ready.
        timeout_s: how long tasks may take after that.

    Raises:
        InterfaceError: a model does not fit its slot, or a task lacks something in it.
        UpdateError: a slot has a change under way.
    """

    def __init__(
        self,
        models: Mapping[ModelSlot, Model],
        *,
        watching: Watching = lambda reader, active, second, mode: None,
        at: At = None,
        timeout_s: float = 5.0,
        numbers: Mapping[ModelSlot, int] | None = None,
    ) -> None:
        self._begin = time.monotonic_ns()
        self._models, self._watching, self._at, self._timeout_s = dict(models), watching, at, timeout_s
        self._words = ChangeWords()
        self._state = ChangeState.STAGED
        self._watches: list[Watch] = []
        with self._locks():
            for slot, model in models.items():
                slot._check_free()
                slot.check(model)
            self._before = {slot: slot.live for slot in models}
            self._numbers = {slot: (numbers or {}).get(slot) or slot._newest + 1 for slot in models}
            self._readers = {slot: slot.readers for slot in models}
            self._fates = {slot: state_fate(slot.model, model) for slot, model in models.items()}
            self._old = {reader: reader.context for reader in self._all}
            self._new = {r: r.fresh(m, self._numbers[s]) for s, m in models.items() for r in self._readers[s]}
            self._carries = {reader: reader.carries(new) for reader, new in self._new.items()}
            for slot in models:
                slot._change = self
        self._ready = time.monotonic_ns()

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> ChangeState:
        """The step that all tasks have taken. In TRIAL the old versions may be live already: see `fate`."""
        return self._state

    @property
    def slots(self) -> tuple[ModelSlot, ...]:
        """Those that change."""
        return tuple(self._models)

    def version(self, slot: ModelSlot) -> int:
        """The number of the version that it brings to a slot."""
        return self._numbers[slot]

    def before(self, slot: ModelSlot) -> tuple[Model, int]:
        """Model and version that a slot had before."""
        return self._before[slot]

    @property
    def fate(self) -> Fate | None:
        """Why and when a version was found bad, or None as long as none was."""
        verdict = self._words.verdict
        if verdict is Verdict.NONE:
            return None
        for _ in range(WORDS_TRIES):  # who found it writes the rest within nanoseconds, unless it is interrupted
            if self._words.found is not None:
                break
            time.sleep(WORDS_S)
        tick, number, place = self._words.found or (0, -1, -1)
        task, output = next((w.told(place) for w in self._watches if w.number == number), ("", ""))
        return Fate(verdict, tick, task, output)

    # --- steps --------------------------------------------------------------------------------------------------------

    def shadow(self) -> tuple[UpdateResult, ...]:
        """The new versions compute beside the old ones; gives what became of each slot.

        Raises:
            UpdateError: not the state for it, or a task did not take it: then nothing has changed.
        """

        def beside(reader: SlotReader) -> Arrangement:
            old, new = self._old[reader], self._new[reader]
            carry_to = new if self._carries[reader] else None
            watch = self._watch(reader, old, new, Mode.SHADOW)
            return Arrangement(self._words, old, new, Mode.SHADOW, carry_to=carry_to, watch=watch)

        return self._step(ChangeState.SHADOW, (ChangeState.STAGED,), beside)

    def trial(self) -> tuple[UpdateResult, ...]:
        """The new versions are live, the old ones go on beside them and take over where one is found bad.

        Raises:
            UpdateError: not the state for it, or a task did not take it: then nothing has changed.
        """

        def live(reader: SlotReader) -> Arrangement:
            old, new = self._old[reader], self._new[reader]
            carry_to = new if self._state is ChangeState.STAGED and self._carries[reader] else None
            watch = self._watch(reader, new, old, Mode.TRIAL)
            return Arrangement(self._words, new, old, Mode.TRIAL, carry_to=carry_to, fall_to=old, watch=watch)

        return self._step(ChangeState.TRIAL, (ChangeState.STAGED, ChangeState.SHADOW), live)

    def commit(self) -> tuple[UpdateResult, ...]:
        """The new versions are live for good; the old ones stay prepared for `roll_back`.

        Raises:
            UpdateError: not the state for it; a version was found bad; or a task did not take it: then nothing has changed.
        """
        from_trial = self._state is ChangeState.TRIAL

        def unjudged(reader: SlotReader) -> Arrangement:
            old, new = self._old[reader], self._new[reader]
            return Arrangement(self._words, new, old, Mode.SHADOW, fall_to=old, watch=reader.arrangement.watch)

        def alone(reader: SlotReader) -> Arrangement:
            carry = self._state is ChangeState.STAGED and self._carries[reader]
            return Arrangement(self._words, self._new[reader], carry_to=self._new[reader] if carry else None)

        if from_trial:
            self._step(ChangeState.TRIAL, (ChangeState.TRIAL,), unjudged)
            if (fate := self.fate) is not None:
                raise UpdateError(f"{self._names}: found bad by task '{fate.task}' ({fate.verdict.name}); roll it back")
        allowed = (ChangeState.STAGED, ChangeState.SHADOW, ChangeState.TRIAL)
        return self._step(ChangeState.COMMITTED, allowed, alone, AT_ONCE if from_trial else self._at)

    def roll_back(self) -> tuple[UpdateResult, ...]:
        """The old versions alone, at the next tick of each task; from any state, COMMITTED too while no other change came.

        Never taken back: a task that hangs takes it when it comes back (`UpdateResult.late`).

        Raises:
            UpdateError: it is over already, or another change came.
        """
        begin = time.monotonic_ns()
        with self._locks():
            was = self._state
            for slot in self._models:
                if (slot._committed if was is ChangeState.COMMITTED else slot._change) is not self:
                    raise UpdateError(f"slot '{slot.name}': this change is {was.name}, and not its newest")
                if was is ChangeState.COMMITTED:
                    slot._check_free()
            offers = [(reader, self._undone(reader, was)) for reader in self._all if was is not ChangeState.STAGED]
            activation, late = arrange(offers, AT_ONCE, self._timeout_s) if offers else (AT_ONCE, [])
            never_live = was in (ChangeState.STAGED, ChangeState.SHADOW)
            self._state = ChangeState.REJECTED if never_live else ChangeState.ROLLED_BACK
            for slot in self._models:
                slot._change = None
                if was is ChangeState.COMMITTED:
                    slot._commit(*self._before[slot], None)
                slot._newest = max(slot._newest, self._numbers[slot])
            self._new.clear()
            return self._results(begin, activation, late)

    # --- how ----------------------------------------------------------------------------------------------------------

    def _undone(self, reader: SlotReader, was: ChangeState) -> Arrangement:
        old = self._old[reader]
        if was is not ChangeState.COMMITTED:
            return Arrangement(ChangeWords(), old)
        if not self._carries[reader]:
            old.reset()
        return Arrangement(ChangeWords(), old, carry_to=old if self._carries[reader] else None)

    def _step(
        self,
        to: ChangeState,
        allowed: Sequence[ChangeState],
        arranged: Callable[[SlotReader], Arrangement],
        at: At = None,
    ) -> tuple[UpdateResult, ...]:
        begin = time.monotonic_ns()
        with self._locks():
            if self._state not in allowed:
                raise UpdateError(f"{self._names}: it is {self._state.name}, from which there is no step to {to.name}")
            before = {reader: reader.arrangement for reader in self._all}
            offers = [(reader, arranged(reader)) for reader in self._all]
            activation = go_over(
                self._names, offers, lambda r: self._again(before[r]), self._at if at is None else at, self._timeout_s
            )
            self._state = to
            for slot, model in self._models.items():
                slot._newest = max(slot._newest, self._numbers[slot])
                if to is ChangeState.COMMITTED:
                    slot._change = None
                    slot._commit(model, self._numbers[slot], self)
            return self._results(begin, activation, [])

    def _again(self, was: Arrangement) -> Arrangement:
        """An arrangement to go back to: the same, but that nothing is carried."""
        return Arrangement(self._words, was.active, was.second, was.mode, fall_to=was.fall_to, watch=was.watch)

    def _results(self, begin: int, activation: int, late: list[SlotReader]) -> tuple[UpdateResult, ...]:
        now = time.monotonic_ns()
        found = []
        for slot, version in self._numbers.items():
            live = self._before[slot][1] if self._state in (ChangeState.REJECTED, ChangeState.ROLLED_BACK) else version
            readers = self._readers[slot]
            taken = tuple(r.taken_ns for r in readers if r.running and r not in late)
            fate, why = lost(self._fates[slot], readers)
            times = self._ready - self._begin, now - begin
            found.append(UpdateResult(live, *times, activation, taken, fate, why, sum(r in late for r in readers)))
        return tuple(found)

    def _watch(self, reader: SlotReader, active: Context, second: Context, mode: Mode) -> Watch | None:
        watch = self._watching(reader, active, second, mode)
        if watch is not None:
            self._watches.append(watch)
        return watch

    @property
    def _all(self) -> list[SlotReader]:
        return [reader for readers in self._readers.values() for reader in readers]

    @property
    def _names(self) -> str:
        return ", ".join(f"slot '{slot.name}'" for slot in self._models)

    def _locks(self) -> ExitStack:
        """Of all slots, always in the same order."""
        stack = ExitStack()
        for slot in sorted(self._models, key=id):
            stack.enter_context(slot._lock)
        return stack
