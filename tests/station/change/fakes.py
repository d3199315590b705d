"""A station around a change that is no station: a gate, tasks, a store and a diary that note what they are asked."""

from types import SimpleNamespace

from rt_engine.change import ChangeState
from rt_engine.errors import EngineError
from rt_engine.read.source import Source
from station.change.changes import Changes
from station.change.machine import Evidence, Policy, Span
from station.change.parts import Found, Taken
from station.change.seen_again import Places
from station.errors import StoreError

SECOND_NS = 1_000_000_000
SHADOW_THEN_TRIAL = Policy(shadow=Span(ns=10 * SECOND_NS), trial=Span(ns=60 * SECOND_NS), tolerance=0.5)


class World:
    """Everything that `Changes` needs, with one list of what was done, in its order: `done`."""

    def __init__(self, policies, kept=True, called_only=(), keys=()):
        self.done, self.notes, self.audit_lines, self.refused = [], [], [], []
        self.files, self.said_by_gate = {slot: ["old.onnx"] for slot in policies}, ""
        self.now_ns, self.finds, self.live_version = 0, Found(), dict.fromkeys(policies, 1)
        self.refuses, self.breaks, self.full, self.rows = set(), {}, set(), {}
        self.called_only, self.numbers, self.unprepared = set(called_only), 0, False
        self.places = Places()
        self.changes = Changes(
            policies,
            self.live_version.__getitem__,
            _Gate(self),
            self,
            _Told(self),
            now=lambda: self.now_ns,
            is_watched=False,
            recordings=lambda: self.places,
            keys=keys,
        )
        self.changes.start(self if kept else None, "" if kept else "the store is another's")

    # the test's own

    def update(self, *slots, wish=None, who="anna", data=b"new "):
        files = {slot: Source(data + slot.encode(), f"/x/{slot}.onnx") for slot in slots}
        return self.changes.update(files, who, **({} if wish is None else {"wish": wish}))

    def show(self, cycles=0, skipped=0, disagreements=0, verdict=0, **more):
        self.finds = Found(Evidence(cycles, skipped, disagreements, verdict), **more)

    def after(self, seconds, slot="m"):
        """So much later, and one look."""
        self.now_ns += round(seconds * SECOND_NS)
        self.changes.look(self.changes._newest[slot])
        return self.state(slot)

    def state(self, slot="m"):
        return next(view.state for view in self.changes.views() if view.slot == slot)

    def _do(self, what):
        self.done.append(what)
        if what in self.breaks:
            raise self.breaks[what]

    # Tasks

    def has_task(self, slot):
        return slot not in self.called_only

    def _taken(self, what, change, step):
        self._do(what)
        for slot in change.candidates:
            self.live_version[slot] += step
        return {
            slot: Taken(self.live_version[slot], "taken by all tasks at the same tick") for slot in change.candidates
        }

    def replace(self, change):
        return self._taken("replace", change, 1)

    def shadow(self, change):
        self._do("shadow")

    def trial(self, change):
        return self._taken("trial", change, 1)

    def commit(self, change):
        return self._taken("commit", change, 0)

    def withdraw(self, change):
        self._do("withdraw")

    def back(self, change):
        return self._taken("back", change, 0)

    def is_prepared(self, change):
        return not self.unprepared

    def found(self, change):
        return self.finds

    # Kept

    def next_change(self):
        self.numbers += 1
        return self.numbers

    def add(self, slot, source, who, signature=None):
        if "add" in self.full:
            raise StoreError("/x/store: No space left on device")
        return SimpleNamespace(sha256=source.sha256, number=0)

    def record(self, change, slots, state, who, why, bars=True):
        if state in self.full:
            raise StoreError("/x/store: No space left on device")
        self._do(state.name)
        for slot, sha256 in slots.items():
            is_end = state in (ChangeState.REJECTED, ChangeState.ROLLED_BACK)
            version = SimpleNamespace(sha256=sha256)
            if role := "committed" if state == ChangeState.COMMITTED else "":
                for (of, _), row in self.rows.items():
                    row.role = "" if of == slot else row.role
            self.rows[slot, sha256] = SimpleNamespace(version=version, barred=why if is_end and bars else "", role=role)

    def versions(self, slot):
        return [row for (of, _), row in self.rows.items() if of == slot]

    def barred(self, slot, sha256):
        row = self.rows.get((slot, sha256))
        return row.barred if row is not None else ""

    def allow(self, slot, sha256, who):
        self.rows[slot, sha256].barred = ""

    def put_report(self, sha256, report):
        pass


class _Gate:
    def __init__(self, world):
        self._world = world

    def examine(self, candidate, kept):
        self._world._do(f"gate {candidate.slot}")
        if candidate.slot in self._world.refuses:
            raise EngineError("its outputs are not finite for 3 of 10,000 inputs")

    def notes(self, candidate, is_plain):
        return self._world.said_by_gate


class _Told:
    def __init__(self, world):
        self._world = world

    def note(self, slot, text, good):
        self._world.notes.append((slot, text, good))

    def audit(self, who, slot, text, is_change, **more):
        self._world.audit_lines.append((who, slot, text, is_change))

    def live(self, slot, candidate, who):
        self._world.files[slot].append(candidate.name)

    def back(self, slot):
        self._world.files[slot].pop()

    def refused(self, slot):
        self._world.refused.append(slot)


def words(world):
    """The texts of all events."""
    return [text for _, text, _ in world.notes]
