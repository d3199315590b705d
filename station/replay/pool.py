"""Where segments of recordings are replayed: any executor, processes of this computer, or workers of a Dask cluster.

pool.submit(work, job)                  a future, as of `concurrent.futures`
pool.submit(work, job, apart="...")     the same, but not on that worker, where the pool can choose
pool.alone(work, job)                   in a process by itself, after one of the pool died: it may have been this job that killed it
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from importlib import import_module
from typing import Any, Final, Protocol

from rt_native import isolated
from station.errors import FleetError

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""Plain data in, plain data out: it may go to another version of this software, which then says so."""
Job = dict[str, Any]

DASK: Final = "dask://"
DASK_TLS: Final = "dask+tls://"
CONNECT_S: Final = 10.0
EACH: Final = 4
"""Jobs that wait for each worker, so that none is idle."""


class Pool(Protocol):
    """See above."""

    @property
    def most(self) -> int:
        """Jobs that are to be submitted at once; more would only wait."""

    def submit(self, work: Work, job: Job, apart: str = "") -> Future[dict[str, Any]]:
        """Begin."""

    def alone(self, work: Work, job: Job) -> Future[dict[str, Any]]:
        """Begin, with nothing else that could suffer."""

    def lost(self) -> list[str]:
        """Workers that were there, and are not any more."""

    def close(self) -> None:
        """End what it began, and nothing else."""


class Given:
    """An executor of the caller's, who also ends it. What it does with workers that die is its own matter."""

    def __init__(self, executor: Executor, most: int = 64) -> None:
        self._executor, self.most = executor, most

    def submit(self, work: Work, job: Job, apart: str = "") -> Future[dict[str, Any]]:
        """It cannot be told where."""
        return self._executor.submit(work, job)

    def alone(self, work: Work, job: Job) -> Future[dict[str, Any]]:
        """Once more."""
        return self._executor.submit(work, job)

    def lost(self) -> list[str]:
        """Not known."""
        return []

    def close(self) -> None:
        """It is the caller's."""


class Processes:
    """So many processes of this computer, which import everything themselves."""

    def __init__(self, workers: int) -> None:
        self._workers, self.most = workers, 2 * workers
        self._executor, self._alone = self._pool(workers), self._pool(1)

    @staticmethod
    def _pool(workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), isolated.end_with, (os.getpid(), signal.SIGKILL)
        )

    def submit(self, work: Work, job: Job, apart: str = "") -> Future[dict[str, Any]]:
        """A pool that broke is made anew."""
        if getattr(self._executor, "_broken", False):
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = self._pool(self._workers)
        return self._executor.submit(work, job)

    def alone(self, work: Work, job: Job) -> Future[dict[str, Any]]:
        """A process for this job, or for several in turn while it lives."""
        if getattr(self._alone, "_broken", False):
            self._alone.shutdown(wait=False, cancel_futures=True)
            self._alone = self._pool(1)
        return self._alone.submit(work, job)

    def lost(self) -> list[str]:
        """They have no names; a job that killed one is told."""
        return []

    def close(self) -> None:
        """Wait for what still works; nothing more begins."""
        for executor in (self._executor, self._alone):
            executor.shutdown(wait=True, cancel_futures=True)


class Dask:
    """Workers of a cluster, through its scheduler, which gives jobs of a worker that died to another one by itself.

    Args:
        address: `dask://HOST:8786`, or `dask+tls://HOST:8786` with the certificates of Dask's own configuration.

    Raises:
        FleetError: Dask is not installed, nobody answers there, or no worker is there.
    """

    def __init__(self, address: str) -> None:
        try:
            client: Any = import_module("distributed").Client
        except ImportError as error:
            raise FleetError(
                f'{address} needs Dask\'s distributed: pip install "rt-engine[fleet]" ({error})'
            ) from error
        secure = address.startswith(DASK_TLS)
        place = address.removeprefix(DASK_TLS if secure else DASK)
        try:
            self._client = client(f"{'tls' if secure else 'tcp'}://{place}", timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise FleetError(f"no Dask scheduler answers at {place}: {error}; `dask scheduler` starts one") from error
        self._first = self._workers()
        if not self._first:
            self._client.close()
            raise FleetError(f"the Dask scheduler at {place} has no workers; `dask worker {place}` starts one")
        self.most = EACH * len(self._first)

    def _workers(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, work: Work, job: Job, apart: str = "") -> Future[dict[str, Any]]:
        """Apart from a worker, if there is another."""
        others = [worker for worker in self._workers() if worker != apart] if apart else []
        where = {"workers": others} if others else {}
        executor: Executor = self._client.get_executor(pure=False, **where)
        return executor.submit(work, job)

    def alone(self, work: Work, job: Job) -> Future[dict[str, Any]]:
        """A worker that dies takes only its own jobs along, and Dask has tried those elsewhere."""
        return self.submit(work, job)

    def lost(self) -> list[str]:
        """Those of the beginning that the scheduler does not know any more."""
        now = self._workers()
        return [worker for worker in self._first if worker not in now]

    def close(self) -> None:
        """The cluster goes on."""
        self._client.close()


def pool_of(workers: int, on: str | None) -> Pool:
    """As options say: `--on dask://...`, else `--workers`.

    Raises:
        FleetError: see `Dask`; or the address is of no kind that is known.
    """
    if on is None:
        return Processes(workers)
    if on.startswith((DASK, DASK_TLS)):
        return Dask(on)
    raise FleetError(f"{on!r} is no place to replay on; write dask://HOST:8786, or --workers for this computer")
