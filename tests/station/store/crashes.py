"""Not a test: an update of a store is ended, or refused by its disk, at every place that a trace of it shows; then it is opened.

    python -m tests.station.store.crashes                all: every call, every byte, a thousand random moments; minutes
    python -m tests.station.store.crashes --part 7       every seventh; seconds
    python -m tests.station.store.crashes --unsynced     with an fsync that does nothing: what must be found out

What is right after it: both slots have the same one of the two versions, whole, by its hash; the new one if its commit was told
as done and its rollback was not begun; the old one if its commit was not begun; nothing is under way; and the update can be done
again. A refusal leaves the version that was committed before it. Prints a table; exit code 1: something was wrong.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from station.errors import StoreError
from station.store.store import Store, Version
from tests.station.store import disk, traced
from tests.station.store.an_update import (
    BINDING,
    NEW,
    OLD,
    REPORT,
    SCENARIOS,
    SLOTS,
    Found,
    Scenario,
    program_of,
    run,
)

T = TypeVar("T")
SUBSETS = 20
RANDOM_KILLS = 1000
NO_TRACE = 3
"""Exit code: this user may not trace processes here."""


@dataclass(slots=True)
class Tried:
    """One way to break it: how many places, which version was found there, and what was wrong."""

    what: str
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Bench:
    """A folder with a store, and the new models beside it, for one scenario."""

    def __init__(self, folder: Path, scenario: Scenario, part: int, sync: Callable[[int], None] = os.fsync) -> None:
        self.folder, self.scenario, self.part, self.sync = folder, scenario, part, sync
        self.store, self.first, self.told = folder / "here" / "store", folder / "before", folder / "told"
        self.incoming, self.log = folder / "incoming", folder / "trace"
        self.incoming.mkdir()
        for slot, source in NEW.items():
            assert isinstance(source.data, bytes)
            (self.incoming / f"{slot}.onnx").write_bytes(source.data)
        self.first.mkdir()
        scenario.prepare(Store(self.first / "store"))

    def again(self) -> None:
        """The store as it was first; nothing told."""
        shutil.rmtree(self.store.parent, ignore_errors=True)
        shutil.copytree(self.first, self.store.parent)
        self.told.write_bytes(b"")

    def work(self) -> None:
        """The scenario, in a child."""
        os.fsync = self.sync  # type: ignore[assignment]
        run(self.scenario, self.store, self.incoming, os.open(self.told, os.O_WRONLY | os.O_APPEND))

    def calls(self) -> list[traced.Call]:
        self.again()
        found = traced.calls_of(self.work, self.log)
        assert self.told.read_text().splitlines()[-1] == "done", self.told.read_text()
        return found

    def at_first(self) -> disk.Disk:
        """What the store is on, as it was first."""
        self.again()
        return disk.Disk(str(self.store.parent))

    def put(self, tree: disk.Tree) -> None:
        """The store as it was found on a disk."""
        shutil.rmtree(self.store.parent, ignore_errors=True)
        disk.write(tree, str(self.store.parent))

    def some(self, places: list[T]) -> list[T]:
        """Of all places, one in `part`; the first and the last among them."""
        return places[:: self.part] + places[-1:] if self.part > 1 else places

    # --- what is found ------------------------------------------------------------------------------------------------

    def check(self, tried: Tried, place: str, told: list[str] | None = None) -> None:
        """Open the store and see whether all is right."""
        told = self.told.read_text().splitlines() if told is None else told
        try:
            found = self._found()
            words = found[0] if len(set(found)) == 1 else " and ".join(found)
            tried.outcomes[words + (", refused" if any(line.startswith("refused") for line in told) else "")] += 1
            may = self.scenario.may_be(told)
            assert found in may, f"{words} behind {told[-1:]}, not {may}"
        except (AssertionError, StoreError) as error:
            tried.wrong.append(f"{place}: {type(error).__name__}: {error}")

    def _found(self) -> Found:
        store = Store(self.store)
        try:
            recovered = store.open()
            for version in recovered.committed.values():
                self._is_whole(store, version)
            store.close()
            again = store.open()
            assert not again.ended and not again.notes and again.committed == recovered.committed, again
            left = [path for path in self.store.rglob("*") if path.name.startswith(".new-")]
            assert not left, left
            for slot, source in NEW.items():
                store.allow(slot, source.sha256, "anna")
        finally:
            store.close()
        self._still_works()
        return tuple(_which(slot, recovered.committed.get(slot)) for slot in SLOTS)

    def _is_whole(self, store: Store, version: Version) -> None:
        assert store.source(version).data in (OLD[version.slot].data, NEW[version.slot].data)
        program = store.files.program(version.sha256, BINDING)
        assert program is None or program.data == program_of(version.sha256)
        assert store.files.report(version.sha256) in (None, REPORT)

    def _still_works(self) -> None:
        """A whole update ends as it should."""
        with tempfile.TemporaryFile() as file:
            run(SCENARIOS["update"], self.store, self.incoming, file.fileno())
            file.seek(0)
            words = file.read().decode().splitlines()
        assert words[-1] == "done", words[-1]


def _which(slot: str, version: Version | None) -> str:
    if version is None:
        return "none"
    return {OLD[slot].sha256: "old", NEW[slot].sha256: "new"}[version.sha256]


# --- the ways to break it ---------------------------------------------------------------------------------------------


def kills(bench: Bench, calls: list[traced.Call]) -> Iterator[Tried]:
    """SIGKILL before every call."""
    tried = Tried("killed before a call")
    for call in bench.some(calls):
        bench.again()
        status = traced.broken(bench.work, bench.log, call.name, str(call.nth), "signal=SIGKILL")
        place = f"{call.name} {call.nth}"
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            tried.wrong.append(f"{place}: was not reached")
        bench.check(tried, place)
    yield tried


def errors(bench: Bench, calls: list[traced.Call]) -> Iterator[Tried]:
    """Every call fails: once, or from then on."""
    for error, when in (("ENOSPC", "{}"), ("EIO", "{}"), ("ENOSPC", "{}+"), ("EIO", "{}+")):
        tried = Tried(f"{error} of a call" + (", and of all of its name behind it" if "+" in when else ""))
        for call in bench.some(calls):
            bench.again()
            status = traced.broken(bench.work, bench.log, call.name, when.format(call.nth), f"error={error}")
            place = f"{error} {call.name} {when.format(call.nth)}"
            if status:
                tried.wrong.append(f"{place}: the process ended with {os.waitstatus_to_exitcode(status)}")
            bench.check(tried, place)
        yield tried


def cuts(bench: Bench, calls: list[traced.Call]) -> Iterator[Tried]:
    """The last write is there up to every byte, as when the process is killed in it, or the power goes behind it."""
    tried, one, number = Tried("the last write cut at a byte"), bench.at_first(), 0
    told: list[str] = []
    for call in calls:
        sizes = range(len(call.texts[0])) if call.name == "write" else ()
        for size in sizes:
            number += 1
            if number % bench.part == 0:
                tree = one.found(None, is_cut=False)
                path = os.fsdecode(call.place).removeprefix(f"{bench.store.parent}/")
                tree[path] = (tree[path] or b"") + call.texts[0][:size]
                bench.put(tree)
                bench.check(tried, f"write {call.nth}, {size} bytes", told)
        _follow(one, told, call)
    yield tried


def power(bench: Bench, calls: list[traced.Call]) -> Iterator[Tried]:
    """The power goes behind every call: what was not synced is lost, or some of it is."""
    for what, subsets in (("power lost: nothing unsynced is there", 1), ("power lost: some of it is there", SUBSETS)):
        tried, one, number = Tried(what), bench.at_first(), 0
        told: list[str] = []
        for call in calls:
            _follow(one, told, call)
            for seed in range(subsets):
                number += 1
                if number % bench.part == 0:
                    bench.put(one.found(random.Random(number) if subsets > 1 else None))
                    bench.check(tried, f"behind {call.name} {call.nth}, seed {seed}", told)
        yield tried


def moments(bench: Bench, calls: list[traced.Call]) -> Iterator[Tried]:
    """SIGKILL at random moments."""
    bench.again()
    begin = time.monotonic()
    traced.run(bench.work)
    whole, choose, tried = time.monotonic() - begin, random.Random(7), Tried("killed at a random moment")
    for _ in range(max(1, RANDOM_KILLS // bench.part)):
        bench.again()
        child = os.fork()
        if not child:
            bench.work()
            os._exit(0)
        after = choose.uniform(0, 1.1 * whole)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        bench.check(tried, f"after {after:.6f} s")
    yield tried


Way = Callable[[Bench, list[traced.Call]], Iterator[Tried]]
WAYS: tuple[Way, ...] = (kills, errors, cuts, power, moments)


def _is_told(call: traced.Call, bench: Bench) -> bool:
    return os.fsencode(bench.told) in call.texts


def _follow(one: disk.Disk, told: list[str], call: traced.Call) -> None:
    if call.name == "writev":
        told += call.texts[0].decode().splitlines()
    else:
        one.do(call)


def unsynced(file: int) -> None:
    """An fsync that does nothing."""
    os.fstat(file)


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory, if there is one: what is synced there costs nothing."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, default=1, help="try one in so many places")
    parser.add_argument(
        "--only", choices=[way.__name__ for way in WAYS], action="append", help="one way; again for more"
    )
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="one scenario; again for more")
    parser.add_argument("--unsynced", action="store_true", help="with an fsync that does nothing")
    options = parser.parse_args(arguments)
    sync, are_wrong = unsynced if options.unsynced else os.fsync, 0
    try:
        traced.calls_of(lambda: None, Path(os.devnull))
    except PermissionError as error:
        print(error)
        return NO_TRACE
    for name in options.scenario or SCENARIOS:
        with quick_folder() as folder:
            bench = Bench(folder, SCENARIOS[name], options.part, sync)
            are_wrong += _scenario(
                name, bench, [way for way in WAYS if way.__name__ in (options.only or [way.__name__])]
            )
    print(f"{are_wrong} wrong")
    return int(are_wrong > 0)


def _scenario(name: str, bench: Bench, ways: list[Way]) -> int:
    """Break a scenario in these ways; how often it was wrong."""
    calls, are_wrong = bench.calls(), 0
    breakable = [call for call in calls if call.name in traced.CHANGING and not _is_told(call, bench)]
    print(
        f"{name}, {len(breakable)} calls:", *(f"{n} {call}" for call, n in Counter(c.name for c in breakable).items())
    )
    for way in ways:
        for tried in way(bench, calls if way in (cuts, power) else breakable):
            outcomes = ", ".join(f"{count} {which}" for which, count in sorted(tried.outcomes.items()))
            print(
                f"  {tried.what}: {sum(tried.outcomes.values())} tried: {outcomes}; {len(tried.wrong)} wrong",
                flush=True,
            )
            for words in tried.wrong[:5]:
                print(f"    {words}")
            are_wrong += len(tried.wrong)
    return are_wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
