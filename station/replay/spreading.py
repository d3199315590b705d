"""Jobs on workers of which some die, or lack something: each job is tried elsewhere once, and what happened is told.

job --submit--> reply "done"                                       Outcome(job, done)
                reply "refused": software, file, model, memory     once more, apart from that worker
                the worker died                                    once more, in a process by itself
                anything else                                      Outcome(job, None, failures)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Any, Final

from station.replay.pool import Job, Pool, Work

ELSEWHERE: Final = ("software", "file", "model", "memory", "arithmetic")
"""Why a worker may refuse what another one can do."""
TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try came to nothing. `worker`: its address or host and process; empty where it died and nobody knows which."""

    worker: str
    kind: str
    """"died"; "software", "file", "model", "memory", "arithmetic", "recording": what the worker refused; "error": anything else."""
    text: str

    def __str__(self) -> str:
        return f"{self.worker}: {self.text}" if self.worker else self.text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: `done` is the worker's reply, None if no try succeeded."""

    job: Job
    done: dict[str, Any] | None
    worker: str = ""
    lanes: int = 0
    """Of the vectors of the worker; 0: it did not say."""
    failures: tuple[Failure, ...] = ()


@dataclass(slots=True, eq=False)
class _Try:
    job: Job
    failures: list[Failure] = field(default_factory=list)
    alone: bool = False

    @property
    def apart(self) -> str:
        return self.failures[-1].worker if self.failures else ""


def spread(jobs: Iterable[Job], work: Work, pool: Pool) -> Iterator[Outcome]:
    """Do all jobs; gives each outcome as soon as it is there, in any order. Never more than `pool.most` are under way."""
    waiting = iter(jobs)
    under_way: dict[Future[dict[str, Any]], _Try] = {}
    again: deque[_Try] = deque()
    while True:
        while len(under_way) < pool.most:
            one = _next(again, waiting, any(other.alone for other in under_way.values()))
            if one is None:
                break
            future = _begin(pool, work, one)
            if isinstance(future, Failure):
                yield from _ended(one, future, again)
            else:
                under_way[future] = one
        if not under_way:
            return
        done, _ = wait(under_way, return_when=FIRST_COMPLETED)
        for future in done:
            one = under_way.pop(future)
            found = _reply(future)
            if isinstance(found, Failure):
                yield from _ended(one, found, again)
            else:
                about = str(found.get("worker", "")), int(found.get("lanes", 0))
                yield Outcome(one.job, found["done"], *about, tuple(one.failures))


def _next(again: deque[_Try], waiting: Iterator[Job], is_one_alone: bool) -> _Try | None:
    """Those that are tried again first; of those that go alone, one at a time: it may kill what it runs in."""
    for one in again:
        if not (one.alone and is_one_alone):
            again.remove(one)
            return one
    job = next(waiting, None)
    return None if job is None else _Try(job)


def _begin(pool: Pool, work: Work, one: _Try) -> Future[dict[str, Any]] | Failure:
    try:
        job = {**one.job, "tries": len(one.failures)} if one.failures else one.job
        return pool.alone(work, job) if one.alone else pool.submit(work, job, one.apart)
    except BrokenExecutor as error:
        return Failure("", "died", f"a worker died: {error}")


def _ended(one: _Try, failure: Failure, again: deque[_Try]) -> Iterator[Outcome]:
    """A try came to nothing: once more, or that was it."""
    one.failures.append(failure)
    one.alone = failure.kind == "died"
    if len(one.failures) < TRIES and (one.alone or failure.kind in ELSEWHERE):
        again.append(one)
    else:
        yield Outcome(one.job, None, failure.worker, failures=tuple(one.failures))


def _reply(future: Future[dict[str, Any]]) -> dict[str, Any] | Failure:
    try:
        reply = future.result()
    except (BrokenExecutor, CancelledError) as error:
        return Failure("", "died", f"a worker died while it did this, or beside it: {error}".rstrip(": "))
    except Exception as error:
        name = type(error).__name__
        if name == "KilledWorker":
            return Failure("", "error", f"workers died, one after the other, while they did this: {error}")
        if isinstance(error, ImportError):
            return Failure(
                "", "error", f"a worker has no rt-engine, or not this version of it: {error}; install it there"
            )
        return Failure("", "error", f"{name}: {error}")
    if "refused" in reply:
        return Failure(str(reply.get("worker", "")), str(reply["refused"]), str(reply.get("text", "")))
    return reply
