"""The helpers of a context or a task: what they share with the thread that runs the model, and their threads outside of tasks."""

import threading
import weakref
from dataclasses import dataclass
from typing import Any

from rt_engine.errors import InputError
from rt_engine.run.blocks import NEVER
from rt_engine.run.context import Context
from rt_engine.run.distance import HELPING, NEAR_NS, farthest_ns
from rt_engine.run.executable import Executable
from rt_engine.run.fanned import Fanned
from rt_engine.run.team_block import HELPER, MOST, TEAM
from rt_native.histogram import NBYTES, Histogram
from rt_native.memory import Block

MOST_THREADS = MOST + 1
PATIENCE_NS = 5_000_000_000
"""How long a piece that a helper has begun is awaited outside of tasks: its thread is an ordinary one."""
AWAKE_NS = 300_000
"""How long a helper outside of tasks looks for pieces before it sleeps."""


def checked_threads(threads: int) -> int:
    """The same number, if so many threads can run a model together; else InputError."""
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"{threads} threads cannot run one model together; 1 to {MOST_THREADS} can")
    return threads


@dataclass(frozen=True, slots=True)
class TeamStats:
    """What was counted since the start."""

    fan_outs: int
    alone: int
    """Fan-outs that no helper came to."""
    taken_back: int
    """Pieces of helpers that the thread did itself then."""
    late: int
    """Pieces that were begun and not done in time: each ended a run."""
    done: tuple[int, ...]
    """Pieces of each helper."""


class Team:
    """Memory of a thread that runs models and of its helpers. Any number of contexts that the thread runs may join.

    Args:
        line_ns: how long a cache line takes to a helper's core and back (`run.distance`).

    Raises:
        InputError: less than 1 thread, or more than `MOST_THREADS`.
    """

    def __init__(
        self, threads: int, patience_ns: int = PATIENCE_NS, awake_ns: int = AWAKE_NS, line_ns: float = NEAR_NS
    ) -> None:
        self.threads, self.line_ns = checked_threads(threads), line_ns
        at = TEAM.itemsize + MOST * HELPER.itemsize
        self._block = Block(at + NBYTES)
        self.address = self._block.address
        self.fields = self._block.view(TEAM)
        self.helpers = self._block.view(HELPER, TEAM.itemsize, MOST)
        self.waits = Histogram(self._block, at)
        """Nanoseconds that the thread waited for pieces which helpers had begun, of fan-outs in which it did."""
        self.fields["helpers"], self.fields["patience_ns"], self.fields["awake_ns"] = threads - 1, patience_ns, awake_ns
        self.fields["waits"], self.fields["until_ns"] = self.waits.address, NEVER
        self._held: list[tuple[weakref.ref[Context], Block, Executable, Fanned | None]] = []
        """What a helper that is late may still read and write, records and weights too, when nobody has the context any more."""

    def admit(self, context: Context) -> bool:
        """Let helpers work on what a context runs; False: it is too short for cores that far apart, and stays on one."""
        if not context._join(self.threads, self.address, self.line_ns):
            return False
        context._kept["team"] = self._block
        busy = {int(row["arena"]) for row in self.helpers if row["busy"]}
        self._held = [held for held in self._held if held[0]() is not None or held[1].address in busy]
        self._held.append((weakref.ref(context), context._arena, context._executable, context._fanned))
        return True

    def is_too_far(self, context: Context) -> bool:
        """Would its program be cut for cores that are nearer?"""
        return context._executable.is_too_far(self.threads, self.line_ns)

    def stats(self) -> TeamStats:
        """The counters, while it runs."""
        row = self.fields[0]
        return TeamStats(
            fan_outs=int(row["fan_outs"]),
            alone=int(row["alone"]),
            taken_back=int(row["taken_back"]),
            late=int(row["late"]),
            done=tuple(int(n) for n in self.helpers["pieces"][: self.threads - 1]),
        )


class Helpers:
    """Threads of a team outside of tasks: they sleep while nothing runs."""

    def __init__(self, team: Team) -> None:
        self.team = team
        HELPING.function("prepare_helpers")(team.address)
        team.fields["wake"] = HELPING.address("wake_helpers")
        run, address = HELPING.function("help_anyone"), team.address
        self._threads = [
            threading.Thread(target=_help, args=(run, address, number, team), name=f"rt-helper-{number}", daemon=True)
            for number in range(team.threads - 1)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End them; returns when they have."""
        HELPING.function("stop_helpers")(self.team.address)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()


def _help(run: Any, address: int, number: int, team: Team) -> None:
    """The thread of a helper; `team` keeps its memory."""
    run(address, number)


def with_helpers(context: Context, threads: int) -> Context:
    """The same context, with helpers of its own that end with it; as it was, where the model is too short for it."""
    team = Team(threads, line_ns=farthest_ns())
    if team.admit(context):
        helpers = Helpers(team)
        weakref.finalize(context, helpers.stop)
    return context
