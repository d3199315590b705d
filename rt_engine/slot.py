"""A model slot: the place in which a running model is replaced.

    update(model):  interface checked -> a warmed context for every reader -> offered -> activation time -> all have taken it
                                                                                                           -> old one freed

A reader is one task's view of the slot. Its task picks the version for each tick with `slot_native.pick`: the pending one
from the activation time on. A reader whose task does not run takes the new version here and now.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rt_engine.errors import InterfaceError, UpdateError
from rt_engine.gate.interface import objection
from rt_engine.model import Model
from rt_engine.run.blocks import NEVER, READER, SLOT
from rt_engine.run.context import Context
from rt_engine.run.native import KERNELS
from rt_native.memory import Block

MARGIN_NS = 5_000_000
"""An update becomes active this long after it is offered, unless the caller says when."""
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

    @property
    def same_tick(self) -> bool:
        """Did all readers take it at the same tick?"""
        return len(set(self.taken_ns)) <= 1


Prepare = Callable[[Model, Context], None]
"""What a task wants of every version before it may take it: done to the reader's context of it, by whoever updates."""


class SlotReader:
    """One task's view of a slot. The task sets `running` while its thread picks versions."""

    def __init__(self, slot: "ModelSlot", prepare: Prepare | None = None) -> None:
        self._prepare = prepare
        context = self.fresh(slot.model, slot.version)
        self._block = Block(READER.itemsize)
        self._fields = self._block.view(READER)
        self.address = self._block.address
        self.context = context
        """The context of the version that is active, as far as Python knows."""
        self.running = False
        self._offered: Context | None = None
        self._fields["slot"] = slot.address
        self._fields["active"] = context.block_address

    def fresh(self, model: Model, version: int) -> Context:
        """A context of a version for this task, warmed and prepared; raises what `prepare` raises."""
        context = warmed(model, version)
        if self._prepare is not None:
            self._prepare(model, context)
        return context

    @property
    def taken_ns(self) -> int:
        """Due time of the tick that took the newest version; 0 before the first update."""
        return int(self._fields["taken_ns"][0])

    @property
    def switches(self) -> int:
        """How many times the version was changed."""
        return int(self._fields["switches"][0])

    @property
    def dropped(self) -> bool:
        """Did the newest version begin anew because the states held NaN or infinity?"""
        return bool(self._fields["dropped"][0])

    @property
    def is_pending(self) -> bool:
        """Has a version been offered and not been taken yet?"""
        return bool(self._fields["next"][0])

    @property
    def _has_offered(self) -> bool:
        """Does the task run the offered version? It does only when the states are copied, a moment after it was taken."""
        return self._offered is not None and int(self._fields["active"][0]) == self._offered.block_address

    def _offer(self, context: Context) -> None:
        if self._offered is not None:  # an update was interrupted; its context may be the one that runs
            self._withdraw()
        self._offered = context
        self._fields["carry"] = int(bool(context.state) and self.context.state_specs == context.state_specs)
        self._fields["next"] = context.block_address

    def _settle(self) -> None:
        """The offered version has been taken: let the old one go."""
        assert self._offered is not None
        self.context, self._offered = self._offered, None

    def _withdraw(self) -> bool:
        """Take the offer back; False if the task has taken it at this very moment."""
        if KERNELS.function("slot_withdraw")(self.address) == 0:
            for _ in range(
                10_000
            ):  # it copies its states; a second passes only if the offer was interrupted before it was made
                if self._has_offered:
                    self._settle()
                    return False
                time.sleep(0.0001)
        self._offered = None
        return True


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
        self._block = Block(SLOT.itemsize)
        self._fields = self._block.view(SLOT)
        self._fields["activation_ns"] = NEVER
        self.address = self._block.address
        self._shown = Block(8)
        self._shown.view(np.int64)[0] = self.version
        self.version_address = self._shown.address
        """Where native code reads `version`."""
        self._readers: list[SlotReader] = []
        self._lock = threading.Lock()
        self._pick = KERNELS.function("slot_pick")

    @property
    def model(self) -> Model:
        """The version that is live."""
        return self._live[0]

    @property
    def version(self) -> int:
        """1 for the first model, one more after each update."""
        return self._live[1]

    @property
    def live(self) -> tuple[Model, int]:
        """Model and version that belong together, though another thread may update."""
        return self._live

    @property
    def readers(self) -> tuple[SlotReader, ...]:
        """All tasks' views."""
        return tuple(self._readers)

    def reader(self, prepare: Prepare | None = None) -> SlotReader:
        """A new task's view, with a context of its own; `prepare` is done to each context before the task may take it."""
        with self._lock:
            reader = SlotReader(self, prepare)
            self._readers.append(reader)
            return reader

    def release(self, reader: SlotReader) -> None:
        """Forget a task that has ended."""
        with self._lock:
            self._readers.remove(reader)

    def check(self, model: Model) -> None:
        """Raise InterfaceError unless `model` can take the place of the running one."""
        _check_loaded(model)
        if why := objection(self.name, self.model.inputs, self.model.outputs, model):
            raise InterfaceError(why)

    def update(
        self,
        model: Model,
        at: int | Callable[[], int] | None = None,
        timeout_s: float = 5.0,
    ) -> UpdateResult:
        """Replace the model while tasks run; returns when every task has taken it.

        Args:
            model: the new version; the same names, shapes and types of inputs and outputs.
            at: CLOCK_MONOTONIC nanoseconds from which on a tick takes it, or a function that gives it once all is ready.
                By default a few milliseconds after the contexts are ready.
            timeout_s: how long tasks may take after that.

        Raises:
            InterfaceError: inputs or outputs differ, or a task lacks something in it; nothing has changed.
            UpdateError: a task did not take it in time; it was taken back from the others (or the message says from whom not).
        """
        begin = time.monotonic_ns()
        with self._lock:
            self.check(model)
            contexts = [reader.fresh(model, self.version + 1) for reader in self._readers]
            ready = time.monotonic_ns()
            old = [r.context for r in self._readers]
            running = [r for r in self._readers if r.running]
            fate = "none" if not self.model.state else "carried" if self.model.state == model.state else "reset"
            activation, late = self._switch(list(zip(self._readers, contexts, strict=True)), at, timeout_s)
            if late:
                back = [(r, c) for r, c in zip(self._readers, old, strict=True) if r not in late]
                _, stuck = self._switch(back, None, timeout_s)
                now = (
                    f"{len(stuck)} of the others still run the new one: update again"
                    if stuck
                    else "all run the old one"
                )
                raise UpdateError(
                    f"slot '{self.name}': {len(late)} of {len(self._readers)} tasks did not take the new version within "
                    f"{timeout_s:g} s; {now}. Is a task hung, or overrunning?"
                )
            live = time.monotonic_ns()
            self._live = model, self.version + 1
            self._shown.view(np.int64)[0] = self.version
            taken, why = tuple(r.taken_ns for r in running), OTHER_STATES if fate == "reset" else ""
            if any(r.dropped for r in self._readers):
                fate, why = "reset", NOT_FINITE
            return UpdateResult(self.version, ready - begin, live - begin, activation, taken, fate, why)

    def _switch(
        self, offers: list[tuple[SlotReader, Context]], at: int | Callable[[], int] | None, timeout_s: float
    ) -> tuple[int, list[SlotReader]]:
        """Offer a context to each reader, activate, wait; gives the activation time and who did not take it."""
        self._fields["activation_ns"] = NEVER
        for reader, context in offers:
            reader._offer(context)
        activation = at() if callable(at) else at if at is not None else time.monotonic_ns() + MARGIN_NS
        self._fields["activation_ns"] = activation
        until = max(activation, time.monotonic_ns()) + int(timeout_s * 1e9)
        pending = [r for r, _ in offers]
        while pending and time.monotonic_ns() < until:
            pending = [r for r in pending if not self._has_taken(r)]
            if pending:
                time.sleep(0.0005)
        return activation, [r for r in pending if not self._has_taken(r) and r._withdraw()]

    def __reduce__(self) -> Any:
        raise TypeError("a slot belongs to the tasks of this process: pickle or copy its model")

    def _has_taken(self, reader: SlotReader) -> bool:
        if reader.is_pending and not reader.running:
            self._pick(reader.address, NEVER)
        if not reader._has_offered:
            return False
        reader._settle()
        return True


def _check_loaded(model: Any) -> None:
    if not isinstance(model, Model):
        raise InterfaceError(
            f"a slot takes a model that is loaded, got a {type(model).__name__}: rt_engine.load makes one of a file"
        )


def warmed(model: Model, version: int) -> Context:
    """A context that has run once on zeros, so that its memory is in the caches and no first run is slow."""
    context = model.context()
    context._fields["version"] = version
    context._run(context.block_address)
    for view in context.outputs.values():
        np.copyto(view, np.zeros((), view.dtype))
    context.reset()
    return context
