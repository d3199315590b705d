"""The measurement itself: turns, loads and counters, until the time is over or somebody asks for the end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np

from rt_native import version
from scheduler.maxima import Maxima
from scheduler.rights import Grant
from scheduler.scheduler import Scheduler
from scheduler.status import Action
from station.latency.benches import Bench
from station.latency.causes import Counting
from station.latency.judged import judged
from station.latency.loading import Loading
from station.latency.loads import Load
from station.latency.result import KINDS, Peer, Result, Spread, Stretch, Subject, write
from station.latency.sources import Scene, read_all, sources
from station.latency.turns import Cyclictest, Gaps, order, spreads_of, turn_seconds
from station.machine.computer import Computer
from station.machine.probes import examine
from station.machine.rights import facts_of

WARM_S: Final = 0.5
"""After a start, before cycles count: the first ones find cold caches, and a station has them once."""
LIVE_PATIENCE_S: Final = 20.0
AHEAD_NS: Final = 20_000_000
"""From when the memory is cleared to the first interval."""
AFTER_S: Final = 0.002
"""The counters are read so long after an interval has ended."""
WRITE_EVERY_S: Final = 60.0
LONGEST_INTERVAL_S: Final = 1.0
INTERVALS: Final = 600
SHORTEST_INTERVAL_S: Final = 0.05
LEAST_CYCLES: Final = 10
"""Of an interval."""
NOTHING: Final = Spread.sum(())
Points = tuple[int, int, int, int]
STATES: Final = {"frequency"}
"""Kinds of counters that are a state: their value counts, and not the difference."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `json`: where the result so far is written every minute; `no_peer`: why nobody measures in turns with us."""

    benches: tuple[Bench, ...]
    seconds: float
    loads: tuple[Load, ...] = ()
    peer: Cyclictest | None = None
    no_peer: str = ""
    json: Path | None = None
    computer: Computer = field(default_factory=Computer)
    title: str = "wake-up"
    gaps: bool = False
    """In turns with the hwlat tracer: whatever else has to be on time on this computer must not run."""

    @property
    def interval_ns(self) -> int:
        """A second, or less where less than ten minutes are measured; ten cycles of the slowest task at least."""
        slowest_ns = max(task.period_ns for bench in self.benches for task in bench.tasks)
        wanted_ns = round(1e9 * min(max(self.seconds / INTERVALS, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S))
        return max(wanted_ns, LEAST_CYCLES * slowest_ns)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where it is. `longest_ns`: of all cycles so far, 0 before the first."""

    passed_s: float
    seconds: float
    doing: str
    longest_ns: int
    longest_of: str


class Stop(Exception):  # no error: the end that was asked for
    """Somebody asked for the end."""


@dataclass(slots=True)
class _Kept:
    """What is known of one task."""

    spreads: dict[str, Spread] = field(default_factory=lambda: dict.fromkeys(KINDS, NOTHING))
    stretches: list[Stretch] = field(default_factory=list)
    ticks: list[Any] = field(default_factory=list)
    """(wall clock less monotonic, rows) of each stretch."""
    missed: int = 0
    turns: list[Points] = field(default_factory=list)


class Measurement:
    """One run of a plan. `run` in the main thread; `request_stop` from anywhere, a signal handler too.

    Args:
        plan: what.
        show: is told how far it is, about once a second.

    Raises:
        TaskError: a task cannot run.
    """

    def __init__(self, plan: Plan, show: Callable[[Progress], None] = lambda progress: None) -> None:
        self._plan, self._show = plan, show
        self._asks: SimpleQueue[None] = SimpleQueue()
        self._kept = {task.name: _Kept() for bench in plan.benches for task in bench.tasks}
        self._rows = {bench.name: Counting() for bench in plan.benches}
        self._peer: dict[int, Spread] = {}
        self._peer_turns: dict[int, list[Points]] = {}
        self._peer_said = ""
        self._gaps: list[int] = []
        self._gap_turns = 0
        self._grants: dict[Grant, None] = {}
        self._notes: dict[str, None] = dict.fromkeys(note for bench in plan.benches for note in bench.notes)
        self._machine = tuple(examine(plan.computer))
        self._readable: dict[str, bool] = {}
        self._rng = np.random.default_rng(0)
        self._longest = (0, "")
        self._loading = Loading(plan.loads, _loaded_cores(plan.computer), plan.seconds)
        self._tracer, self._no_tracer = (
            Gaps.found(plan.computer.root) if plan.gaps else (None, "--gaps was not asked for")
        )
        self._started = datetime.now(UTC)
        self._begin_s = self._written_s = time.monotonic()
        for bench in plan.benches:  # compiles and loads what the cycle needs, and refuses tasks that cannot run
            Scheduler(bench.tasks).close()

    def request_stop(self) -> None:
        """End early, with what there is."""
        self._asks.put(None)

    def run(self) -> Result:
        """All turns; gives what was found, also when it ended early."""
        self._started, self._begin_s = datetime.now(UTC), time.monotonic()
        self._written_s = self._begin_s
        plan = self._plan
        turn_s = turn_seconds(plan.seconds)
        whose = order(len(plan.benches), plan.peer is not None, self._tracer is not None)
        turn = 0
        try:
            with self._loading:
                while (left_s := plan.seconds - self._passed_s) > SHORTEST_INTERVAL_S:
                    number = whose(turn)
                    turn += 1
                    seconds = min(turn_s, left_s)
                    if number == -1:
                        self._peer_turn(seconds)
                    elif number == -2:
                        self._gap_turn(seconds)
                    else:
                        self._our_turn(plan.benches[number], seconds)
        except Stop:
            self._notes[f"ended early, on request, after {self._passed_s:.0f} of {plan.seconds:.0f} s"] = None
        return self._result(True)

    @property
    def _passed_s(self) -> float:
        return time.monotonic() - self._begin_s

    def _wait(self, until_s: float, doing: str) -> None:
        """Until a time of the monotonic clock; says how far it is."""
        self._show(Progress(self._passed_s, self._plan.seconds, doing, *self._longest))
        try:
            self._asks.get(timeout=max(until_s - time.monotonic(), 0.0))
        except Empty:
            return
        raise Stop

    # --- turns ----------------------------------------------------------------------------------------------------------

    def _our_turn(self, bench: Bench, seconds: float) -> None:
        interval_ns = self._plan.interval_ns
        count = max(int((seconds - WARM_S) * 1e9) // interval_ns, 1)
        maxima = {task.name: Maxima(interval_ns, count) for task in bench.tasks}
        bench.feed(self._rng)
        scheduler = Scheduler(bench.tasks, maxima=maxima)
        with closing(scheduler), scheduler:
            self._grants.update(dict.fromkeys(scheduler.rights))
            self._wait(time.monotonic() + WARM_S, f"{bench.name}: warming up")
            self._await_live(bench, scheduler)
            first_ns = scheduler.now_ns() + AHEAD_NS
            for kept in maxima.values():
                kept.begin(first_ns)
            try:
                self._watch(bench, scheduler, maxima, first_ns, count)
            finally:
                self._take(bench, maxima, first_ns)
        self._write_sometimes()

    def _await_live(self, bench: Bench, scheduler: Scheduler) -> None:
        """A window fills, a monitor gets used to its task: only a task whose model acts is measured as it is in use."""
        until_s = time.monotonic() + LIVE_PATIENCE_S
        while time.monotonic() < until_s:
            unlive = [t.name for t in bench.tasks if scheduler.counters(t.name)["action"] != Action.LIVE]
            if not unlive:
                return
            bench.feed(self._rng)
            self._wait(time.monotonic() + 0.1, f"{bench.name}: warming up")
        for name in unlive:
            self._notes[f"task {name} did not become live with drawn inputs: its times are those of its safe path"] = (
                None
            )

    def _watch(
        self, bench: Bench, scheduler: Scheduler, maxima: Mapping[str, Maxima], first_ns: int, count: int
    ) -> None:
        """Until the last interval has ended; the counters of each, and new inputs."""
        scene = Scene(
            self._plan.computer,
            _cpus_of(bench, self._plan.computer),
            scheduler.thread_ids,
            min(task.priority for task in bench.tasks),
            frozenset(map(int, os.listdir("/proc/self/task"))),
        )
        before = read_all(scene)
        self._readable |= {counter.source: True for counter in before}
        rows = self._rows[bench.name]
        interval_s = self._plan.interval_ns / 1e9
        for number in range(count):
            due_s = first_ns / 1e9 + (number + 1) * interval_s + AFTER_S
            self._wait(due_s, bench.name)
            counted = before | read_all(scene)  # what could not be read now stands where it stood
            rows.add({c: v if c.source in STATES else v - before.get(c, 0.0) for c, v in counted.items()})
            before = counted
            bench.feed(self._rng)
            self._loading.look()
            for name, kept in maxima.items():
                self._longest = max(self._longest, (kept.histogram("reaction").max, name))

    def _take(self, bench: Bench, maxima: Mapping[str, Maxima], first_ns: int) -> None:
        """What a turn has found becomes ours. The last interval counts only if it was waited for."""
        wall_less_mono_ns = time.time_ns() - time.monotonic_ns()
        before = sum(len(s.reaction) for s in self._kept[bench.tasks[0].name].stretches)
        whole = self._rows[bench.name].count - before
        for name, found in maxima.items():
            rows, kept = found.rows()[:whole], self._kept[name]
            rows = np.concatenate([rows, np.zeros(whole - len(rows), rows.dtype)])
            kept.stretches.append(
                Stretch(
                    _wall(first_ns + wall_less_mono_ns),
                    **{kind: rows[f"{kind}_ns"].copy() for kind in KINDS},
                    cycles=rows["cycles"].copy(),
                )
            )
            kept.ticks.append((wall_less_mono_ns, rows))
            kept.missed += int(rows["missed"].sum())
            spreads = {kind: Spread.of(found.histogram(kind)) for kind in KINDS}
            for kind, spread in spreads.items():
                kept.spreads[kind] = Spread.sum((kept.spreads[kind], spread))
            kept.turns.append(_points(spreads["wakeup"]))

    def _peer_turn(self, seconds: float) -> None:
        peer = self._plan.peer
        assert peer is not None
        process = peer.start(seconds)
        until_s = time.monotonic() + seconds + 2.0
        try:
            while process.poll() is None and time.monotonic() < until_s:
                self._wait(time.monotonic() + 0.5, "cyclictest")
            text, said = process.communicate(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._peer_said = "it did not end in time"
            return
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            self._peer_said = said.strip().splitlines()[-1] if said.strip() else f"exit code {process.returncode}"
            return
        for number, spread in enumerate(spreads_of(text, len(peer.cpus))):
            if spread.count:
                self._peer[number] = Spread.sum((self._peer.get(number, NOTHING), spread))
                self._peer_turns.setdefault(number, []).append(_points(spread))

    def _gap_turn(self, seconds: float) -> None:
        assert self._tracer is not None
        try:
            self._tracer.start()
        except OSError as error:  # somebody reads the trace
            self._notes[f"hwlat had a turn less: {error.strerror}"] = None
            return
        try:
            self._wait(time.monotonic() + seconds, "hwlat")
        finally:
            self._gaps += self._tracer.stop()
            self._gap_turns += 1

    # --- what was found -------------------------------------------------------------------------------------------------

    def _write_sometimes(self) -> None:
        if self._plan.json is not None and time.monotonic() - self._written_s >= WRITE_EVERY_S:
            try:
                write(self._result(False), self._plan.json)
            except OSError as error:  # a full disk ends no measurement
                self._notes[f"what there was could not be written every minute: {error.strerror}"] = None
            self._written_s = time.monotonic()

    def _result(self, complete: bool) -> Result:
        plan = self._plan
        return Result(
            started=self._started,
            ended=datetime.now(UTC),
            complete=complete,
            asked_s=plan.seconds,
            interval_ns=plan.interval_ns,
            turn_s=turn_seconds(plan.seconds),
            title=plan.title,
            loads=self._loading.loaded(),
            subjects=tuple(self._subjects(complete)),
            peers=tuple(self._peers()),
            rights=tuple(_plain(fact) for fact in facts_of(self._grants, plan.computer)),
            machine=tuple(_plain(fact) for fact in self._machine),
            sources=tuple(self._told()),
            notes=(*self._notes, *self._said()),
            engine=version.TEXT,
        )

    def _subjects(self, is_last: bool) -> Iterator[Subject]:
        for bench in self._plan.benches:
            counted = self._rows[bench.name].counted()
            for task in bench.tasks:
                kept = self._kept[task.name]
                places = {task.name, *(f"cpu{cpu}" for cpu in plan_cpus(task))}
                subject = Subject(
                    name=task.name,
                    about=bench.about[task.name],
                    cpu=task.cpu,
                    priority=task.priority,
                    period_ns=task.period_ns,
                    missed=kept.missed,
                    spreads=dict(kept.spreads),
                    stretches=tuple(kept.stretches),
                )
                yield judged(subject, kept.ticks, counted.about(places), is_last, self._is_first())

    def _peers(self) -> Iterator[Peer]:
        peer = self._plan.peer
        for number, spread in self._peer.items():
            assert peer is not None
            cpu = peer.cpus[number]
            ours = [t for b in self._plan.benches for t in b.tasks if self._is_like(peer, t, cpu)]
            if ours:
                name = ours[0].name
                yield Peer("cyclictest", name, spread, tuple(self._peer_turns[number]), tuple(self._kept[name].turns))

    def _is_like(self, peer: Cyclictest, task: Any, cpu: int) -> bool:
        same = (task.cpu, task.period_ns, task.priority) == (cpu, peer.period_ns, peer.priority)
        return same and bool(self._kept[task.name].turns)

    def _told(self) -> Iterator[dict[str, Any]]:
        """Each kind of counter, and whether it was there."""
        names = {"interrupts": "interrupt", "threads": "waited", "rivals": "rival", "clock": "sleep frequency throttle"}
        for source in sources():
            kinds = names.get(source.name, source.name).split()
            told = any(kind in self._readable for kind in kinds)
            yield {"name": source.name, "what": source.what, "told": told, "lacks": "" if told else source.lacks}
        what = "gaps that even the kernel does not see (hwlat tracer), in turns of their own"
        yield {"name": "hwlat", "what": what, "told": self._tracer is not None, "lacks": self._no_tracer}

    def _is_first(self) -> bool:
        """Have the tasks real-time priority?"""
        return all(grant.granted for grant in self._grants if grant.name.startswith("SCHED_FIFO"))

    def _said(self) -> Iterator[str]:
        if self._gap_turns:
            longest = f"the longest {max(self._gaps) / 1000:.0f} us" if self._gaps else "none of 5 us or more"
            yield f"hwlat looked for gaps in {self._gap_turns} turns: {len(self._gaps)} found, {longest}"
        if not self._is_first():
            yield "without real-time priority every program may run first: where a task was ready and waited, one of them ran"
        if left := len({counter for rows in self._rows.values() for counter in rows.left}):
            yield f"{left} counters were not kept, as there are so many (interrupts of many cores): one of them may be a cause"
        if self._plan.no_peer:
            yield self._plan.no_peer
        if self._peer_said:
            yield f"cyclictest ended without a result: {self._peer_said}"
        for loaded in self._loading.loaded():
            if loaded.failed:
                yield f"load {loaded.name}: {loaded.failed}"


def plan_cpus(task: Any) -> list[int]:
    """Cores that a task and its helpers may run on."""
    anywhere = task.cpu is None or (task.threads > 1 and not task.helper_cpus)
    return sorted(os.sched_getaffinity(0)) if anywhere else [task.cpu, *task.helper_cpus]


def _cpus_of(bench: Bench, computer: Computer) -> tuple[int, ...]:
    return tuple(sorted({cpu for task in bench.tasks for cpu in plan_cpus(task)} & set(computer.cores)))


def _loaded_cores(computer: Computer) -> list[int]:
    """All cores but isolated ones: there nothing else runs in use."""
    return [cpu for cpu in computer.allowed if cpu not in computer.isolated] or computer.allowed


def _points(spread: Spread) -> Points:
    p50, p99, p99_9 = (spread.percentile(p) for p in (50, 99, 99.9))
    return p50, p99, p99_9, spread.max


def _wall(ns: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=ns // 1000)


def _plain(fact: Any) -> dict[str, str]:
    return {name: getattr(fact, name) for name in ("name", "level", "value", "meaning", "fix")}
