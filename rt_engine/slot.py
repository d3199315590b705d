"""A model slot: the place in which a running model is replaced.

    update(model):  interface checked -> a warmed context for every reader -> offered -> activation time -> all have taken it
                                                                                                           -> old one freed

A reader (`rt_engine.reader`) is one task's view of the slot. Its task picks the version for each tick with `slot_native.pick`: the
pending one from the activation time on. A reader whose task does not run takes the new version here and now.

A change that is tried first, or that can be taken back, is a `rt_engine.slot_change.SlotChange`; the scheduler makes one
(`scheduler.second`). While there is one, the slot's `model`, `version` and `live` are what was committed last.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rt_engine.change import ChangeState
from rt_engine.errors import InterfaceError, UpdateError
from rt_engine.gate.interface import objection
from rt_engine.model import Model
from rt_engine.reader import At, ChangeWords, Prepare, SlotReader, go_over
from rt_native.memory import Block

__all__ = ["ModelSlot", "Prepare", "SlotReader", "UpdateResult"]

OTHER_STATES, NOT_FINITE = "its names, shapes or types differ", "it held NaN or infinity"
"""Why a state does not go over at an update."""


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """How a hot update went."""

    version: int
    prepared_ns: int
    """From the call to the contexts being ready."""
    live_ns: int
    """From the call to the last task having taken the new version."""
    activation_ns: int
    """CLOCK_MONOTONIC from which on a tick takes the new version."""
    taken_ns: tuple[int, ...]
    """For each running reader: the tick (its due time, CLOCK_MONOTONIC) that was the first with the new version."""
    state: str = "none"
    """What became of the state: `carried` over at that tick, `reset` (then `why_reset` says why), or there is `none`."""
    why_reset: str = ""
    """Names, shapes or types differ, or a task's state held NaN or infinity: that never goes over."""
    late: int = 0
    """Tasks that hang, where nothing waits for them: they take it when they come back."""

    @property
    def same_tick(self) -> bool:
        """Did all readers take it at the same tick?"""
        return len(set(self.taken_ns)) <= 1


class Change(Protocol):
    """A change of a slot that takes several steps: `rt_engine.slot_change.SlotChange`."""

    @property
    def state(self) -> ChangeState:
        """Where it is."""

    def version(self, slot: "ModelSlot") -> int:
        """The number of the version that it brings to a slot."""

    def before(self, slot: "ModelSlot") -> tuple[Model, int]:
        """Model and version that a slot had before."""


class ModelSlot:
    """Holds the model that several tasks run, and replaces it while they do.

    Args:
        model: the first version.
        name: for messages.
    """

    def __init__(self, model: Model, name: str = "") -> None:
        _check_loaded(model)
        self.name = name or model.name
        self._live = model, 1
        self._newest, self._updates = 1, 0
        self._shown = Block(8)
        self._shown.view(np.int64)[0] = self.version
        self.version_address = self._shown.address
        """Where native code reads `version`."""
        self._readers: list[SlotReader] = []
        self._lock = threading.Lock()
        self._change: Change | None = None
        self._committed: Change | None = None

    @property
    def model(self) -> Model:
        """The version that is live; in a trial, the one before it."""
        return self._live[0]

    @property
    def version(self) -> int:
        """1 for the first model, and for each that came later a number that no other has; or as who keeps versions numbers them."""
        return self._live[1]

    @property
    def updates(self) -> int:
        """How often another version went live for good."""
        return self._updates

    @property
    def live(self) -> tuple[Model, int]:
        """Model and version that belong together, though another thread may update."""
        return self._live

    @property
    def change(self) -> Change | None:
        """The one that is under way, or None."""
        return self._change

    @property
    def committed(self) -> Change | None:
        """The newest that was committed and can still be rolled back, or None."""
        return self._committed

    @property
    def previous(self) -> tuple[Model, int] | None:
        """What a roll-back of `committed` brings back."""
        return None if self._committed is None else self._committed.before(self)

    @property
    def readers(self) -> tuple[SlotReader, ...]:
        """All tasks' views."""
        return tuple(self._readers)

    def reader(self, prepare: Prepare | None = None) -> SlotReader:
        """A new task's view, with a context of its own; `prepare` is done to each context before the task may take it.

        Raises:
            UpdateError: a change is under way, which would not be this task's.
        """
        with self._lock:
            self._check_free()
            reader = SlotReader(self.model, self.version, prepare)
            self._readers.append(reader)
            return reader

    def begin_at(self, version: int) -> None:
        """Give the first model another number than 1, before anybody runs it: who keeps versions has numbered it already."""
        assert not self._readers, "contexts have the number of their version"
        self._live, self._newest = (self.model, version), version
        self._shown.view(np.int64)[0] = version

    def release(self, reader: SlotReader) -> None:
        """Forget a task that has ended."""
        with self._lock:
            self._readers.remove(reader)

    def check(self, model: Model) -> None:
        """Raise InterfaceError unless `model` can take the place of the running one."""
        _check_loaded(model)
        if why := objection(self.name, self.model.inputs, self.model.outputs, self.model.classes, model):
            raise InterfaceError(why)

    def update(
        self,
        model: Model,
        at: At = None,
        timeout_s: float = 5.0,
    ) -> UpdateResult:
        """Replace the model while tasks run; returns when every task has taken it.

        Args:
            model: the new version; the same names, shapes and types of inputs and outputs.
            at: CLOCK_MONOTONIC nanoseconds from which on a tick takes it, the next tick of a grid (`rt_engine.reader.NextTick`), or a
                function that gives one of them once all is ready. By default a few milliseconds after the contexts are ready.
            timeout_s: how long tasks may take after that.

        Raises:
            InterfaceError: inputs or outputs differ, or a task lacks something in it; nothing has changed.
            UpdateError: a task did not take it in time; it was taken back from the others (or the message says from whom not).
                Or a change of this slot is under way.
        """
        begin = time.monotonic_ns()
        with self._lock:
            self._check_free()
            self.check(model)
            version = self._newest + 1
            contexts = [reader.fresh(model, version) for reader in self._readers]
            ready, words = time.monotonic_ns(), ChangeWords()
            old = {id(reader): reader.context for reader in self._readers}
            running = [reader for reader in self._readers if reader.running]
            fate = state_fate(self.model, model)
            activation = go_over(
                f"slot '{self.name}'",
                [(r, r.plain(words, context)) for r, context in zip(self._readers, contexts, strict=True)],
                lambda reader: reader.plain(words, old[id(reader)]),
                at,
                timeout_s,
            )
            live = time.monotonic_ns()
            self._commit(model, version, None)
            return UpdateResult(
                version,
                ready - begin,
                live - begin,
                activation,
                tuple(r.taken_ns for r in running),
                *lost(fate, self._readers),
            )

    def _check_free(self) -> None:
        """Raise UpdateError while a change is under way."""
        if self._change is not None:
            raise UpdateError(
                f"slot '{self.name}': version {self._change.version(self)} is in {self._change.state.name}; "
                "commit it or roll it back first"
            )

    def _commit(self, model: Model, version: int, change: Change | None) -> None:
        """`model` is live from now on; `change` can take that back."""
        self._live, self._newest = (model, version), max(version, self._newest)
        self._committed, self._updates = change, self._updates + 1
        self._shown.view(np.int64)[0] = version

    def __reduce__(self) -> Any:
        raise TypeError("a slot belongs to the tasks of this process: pickle or copy its model")


def state_fate(old: Model, new: Model) -> str:
    """What becomes of the state where `new` takes the place of `old`: see `UpdateResult.state`."""
    return "none" if not old.state else "carried" if old.state == new.state else "reset"


def lost(fate: str, readers: Sequence[SlotReader]) -> tuple[str, str]:
    """(state, why_reset) of an update that was taken: a state that is not finite did not go over."""
    if any(reader.dropped for reader in readers):
        return "reset", NOT_FINITE
    return fate, OTHER_STATES if fate == "reset" else ""


def _check_loaded(model: Any) -> None:
    if not isinstance(model, Model):
        raise InterfaceError(
            f"a slot takes a model that is loaded, got a {type(model).__name__}: rt_engine.load makes one of a file"
        )
