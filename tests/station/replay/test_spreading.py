"""Jobs on workers: every job has one outcome, whatever happens to the workers."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from station.replay.pool import Given, Processes
from station.replay.spreading import spread
from tests.station.replay import errands


def jobs(count: int, **more):
    return ({"n": n, **more} for n in range(count))


class Here:
    """Does each job at once, in this thread; says what it was asked."""

    def __init__(self, most: int = 3) -> None:
        self.most, self.asked, self.open = most, [], 0

    def submit(self, work, job, apart=""):
        self.asked.append((job["n"], apart))
        future = Future()
        try:
            future.set_result(work(job))
        except Exception as error:
            future.set_exception(error)
        return future

    def alone(self, work, job):
        return self.submit(work, job, "alone")


def test_any_executor_does_all_jobs_once():
    """Also a lazy row of them."""
    with ThreadPoolExecutor(3) as executor:
        found = list(spread(jobs(50), errands.square, Given(executor)))
    assert sorted(o.done["value"] for o in found) == [n * n for n in range(50)]
    assert all(o.worker and not o.failures for o in found)


def test_no_more_jobs_are_taken_than_are_under_way():
    """A fleet's segments are not all in memory at once."""
    taken = []

    def row():
        for job in jobs(20):
            taken.append(job["n"])
            yield job

    outcomes = spread(row(), errands.square, Here(most=3))
    next(outcomes)
    assert len(taken) == 3


@pytest.mark.parametrize("why", ["software", "file", "model", "memory"])
def test_what_a_worker_lacks_is_tried_elsewhere_once(tmp_path, why):
    """Apart from that worker; the failure stays in the outcome."""
    pool = Here()
    found = list(spread(jobs(2, refused=why, folder=str(tmp_path)), errands.choosy, pool))
    assert all(o.done is not None for o in found)
    assert [(f.worker, f.kind) for o in found for f in o.failures] == [("poor", why)] * 2
    assert sorted(pool.asked) == [(0, ""), (0, "poor"), (1, ""), (1, "poor")]


def test_what_no_worker_would_do_is_not_tried_again(tmp_path):
    """A broken recording is broken everywhere; a mistake of ours is said with its name."""
    pool = Here()
    (found,) = spread(jobs(1, refused="recording", folder=str(tmp_path)), errands.choosy, pool)
    assert (found.done, len(pool.asked)) == (None, 1)
    (found,) = spread(jobs(1), errands.failing, Here())
    assert str(found.failures[0]) == "ValueError: job 0"


def test_a_worker_that_dies_takes_no_other_job_along(tmp_path):
    """One job kills whoever does it, one killed a worker once: all others are done, and it is said of which it cannot be."""
    pool = Processes(2)
    try:
        row = jobs(12, deadly=5, once=2, flag=str(tmp_path / "flag"))
        found = {o.job["n"]: o for o in spread(row, errands.fragile, pool)}
    finally:
        pool.close()
    assert sorted(n for n, o in found.items() if o.done is None) == [5]
    assert [f.kind for f in found[5].failures] == ["died", "died"]
    assert found[2].failures and all(f.kind == "died" for f in found[2].failures)
    assert {n: o.done["value"] for n, o in found.items() if o.done} == {n: n * n for n in range(12) if n != 5}
