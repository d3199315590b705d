"""Not a test: what a station does with its store, told step by step to a descriptor. Run, and ended, by `crashes`.

begin open / done open / begin added / ... / done ROLLED_BACK       or, at any place: refused WHAT
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rt_engine.binding import Binding
from rt_engine.change import ChangeState
from rt_engine.errors import EngineError
from rt_engine.read.source import Source, opened
from station.errors import StoreError
from station.store.store import Store

SLOTS = ("a", "b")
OLD = {slot: Source(f"the old model of {slot}".encode() * 3, f"{slot}.onnx") for slot in SLOTS}
NEW = {slot: Source(f"the new model of {slot}".encode() * 50, f"{slot}.onnx") for slot in SLOTS}
REPORT = {"passed": True, "checks": ["interface", "vectors"]}
BINDING = Binding({"x": (1, 4)}, {"h_out": "h_in"})
BEFORE, AFTER = (
    (ChangeState.GATE, ChangeState.SHADOW, ChangeState.TRIAL),
    (ChangeState.COMMITTED, ChangeState.ROLLED_BACK),
)
Steps = Iterator[tuple[str, Callable[[], object]]]
"""(name, what is done), in order."""
Found = tuple[str, ...]
"""Of each slot: "old", "new", or "none"."""


def program_of(sha256: str) -> bytes:
    return b"the program of " * 40 + sha256.encode()


def first(store: Store) -> None:
    """What the first start of a station leaves."""
    store.open()
    for slot, source in OLD.items():
        store.take_file(slot, source)
    store.close()


# --- what a station does ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """Something that a station does with its store."""

    prepare: Callable[[Store], None]
    """Makes the store as it is before."""
    steps: Callable[[Store, Path], Steps]
    may_be: Callable[[list[str]], list[Found]]
    """What was told -> what the slots may have then."""


def _update(store: Store, incoming: Path) -> Steps:
    """Both slots, from staged to committed; then they are rolled back."""
    hashes: dict[str, str] = {}

    def add() -> None:
        for slot in SLOTS:
            hashes[slot] = store.add(slot, opened(incoming / f"{slot}.onnx"), "anna", bytes(72)).sha256

    def put() -> None:
        for sha256 in hashes.values():
            store.put_program(sha256, program_of(sha256), BINDING)
            store.put_report(sha256, REPORT)

    def record(state: ChangeState) -> None:
        change = store.next_change() if state == ChangeState.STAGED else store.next_change() - 1
        store.record(change, hashes, state, "anna", f"is {state.name}")

    yield "open", store.open
    yield "added", add
    yield "STAGED", lambda: record(ChangeState.STAGED)
    yield "kept", put
    for state in (*BEFORE, *AFTER):
        yield state.name, lambda state=state: record(state)


def _update_may_be(told: list[str]) -> list[Found]:
    """The new ones from their commit to their rollback; what is refused does not take effect."""
    old, new = ("old", "old"), ("new", "new")
    refused = any(line.startswith("refused") for line in told)
    if "done ROLLED_BACK" in told or "begin COMMITTED" not in told:
        return [old]
    if "begin ROLLED_BACK" in told:
        return [new] if refused else [old, new]
    if "done COMMITTED" in told:
        return [new]
    return [old] if refused else [old, new]


def _first(store: Store, incoming: Path) -> Steps:
    """A station starts for the first time: there is no store yet."""
    yield "open", store.open
    for slot, source in OLD.items():
        yield slot, lambda slot=slot, source=source: store.take_file(slot, source)
        yield "kept", lambda sha256=source.sha256: store.put_program(sha256, program_of(sha256), BINDING)


def _file(store: Store, incoming: Path) -> Steps:
    """An engineer has replaced the station file's models."""
    yield "open", store.open
    for slot in SLOTS:
        yield slot, lambda slot=slot: store.take_file(slot, opened(incoming / f"{slot}.onnx"))


def _slot_by_slot(before: str, after: str) -> Callable[[list[str]], list[Found]]:
    def may_be(told: list[str]) -> list[Found]:
        refused = any(line.startswith("refused") for line in told)
        each = []
        for slot in SLOTS:
            is_unclear = f"begin {slot}" in told and not refused
            each.append((after,) if f"done {slot}" in told else (before, after) if is_unclear else (before,))
        return [(a, b) for a in each[0] for b in each[1]]

    return may_be


def _on_trial(store: Store) -> None:
    """What a power cut leaves in a trial: half of a record, half of a version's folder."""
    first(store)
    store.open()
    hashes = {slot: store.add(slot, source, "anna").sha256 for slot, source in NEW.items()}
    for state in (ChangeState.STAGED, *BEFORE):
        store.record(1, hashes, state, "anna", "")
    store.close()
    with open(store.folder / "journal", "ab") as journal:
        journal.write(b"0011223344556677 300 {")
    half = store.folder / "versions" / ".new-half"
    half.mkdir(0o700)
    (half / "model.onnx").write_bytes(b"the new")


def _recovery(store: Store, incoming: Path) -> Steps:
    """A station starts again after the power went in a trial."""
    yield "open", store.open


SCENARIOS = {
    "update": Scenario(first, _update, _update_may_be),
    "first start": Scenario(lambda store: None, _first, _slot_by_slot("none", "old")),
    "replaced file": Scenario(first, _file, _slot_by_slot("old", "new")),
    "recovery": Scenario(_on_trial, _recovery, lambda told: [("old", "old")]),
}


def run(scenario: Scenario, folder: Path, incoming: Path, told: int) -> None:
    """The whole; what is refused ends it."""
    store = Store(folder)
    try:
        for name, do in scenario.steps(store, incoming):
            tell(told, f"begin {name}")
            do()
            tell(told, f"done {name}")
        tell(told, "done")
    except (StoreError, EngineError) as error:
        tell(told, f"refused {error}")
    store.close()


def tell(file: int, words: str) -> None:
    """By a call that the store does not use: it is never one of those that are broken."""
    os.writev(file, [f"{words}\n".encode()])
