"""Where jobs are done: processes here, a Dask cluster, or a message that says what is missing."""

import pytest

from station.errors import FleetError
from station.replay import pool
from station.replay.pool import Dask, pool_of
from station.replay.spreading import spread
from tests.station.replay import errands
from tests.station.replay.clusters import Cluster, cluster


@pytest.fixture(scope="module")
def two() -> Cluster:
    pytest.importorskip("distributed", reason="the extra fleet is not installed")
    with cluster([{}, {}]) as made:
        yield made


def test_jobs_are_done_on_a_dask_cluster(two):
    """By processes that are not this one, each by its address apart from which another is found."""
    where = pool_of(1, two.address)
    try:
        found = list(spread(({"n": n} for n in range(30)), errands.square, where))
        assert sorted(o.done["value"] for o in found) == [n * n for n in range(30)]
        assert {o.worker for o in found} <= {f"w{process.pid}" for process in two.workers}
        first, second = where._workers()
        assert {where.submit(errands.address, {}, first).result()["worker"] for _ in range(5)} == {second}
    finally:
        where.close()


def test_what_a_dask_worker_refuses_another_one_does(two, tmp_path):
    """And the failure is told."""
    where = pool_of(1, two.address)
    try:
        row = ({"n": n, "refused": "model", "folder": str(tmp_path)} for n in range(4))
        found = list(spread(row, errands.choosy, where))
    finally:
        where.close()
    assert all(o.done is not None and len(o.failures) == 1 for o in found)


def test_a_dask_worker_that_is_killed_is_told(tmp_path):
    """Its jobs are done by the other one."""
    pytest.importorskip("distributed", reason="the extra fleet is not installed")
    with cluster([{}, {}]) as made:
        where = pool_of(1, made.address)
        try:
            row = ({"n": n, "once": 3, "flag": str(tmp_path / "flag")} for n in range(12))
            found = list(spread(row, errands.fragile, where))
            lost = where.lost()
        finally:
            where.close()
    assert sorted(o.done["value"] for o in found) == [n * n for n in range(12)]
    assert len(lost) == 1 and lost[0].startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize("place", ["dask://127.0.0.1:1", "dask://"])
def test_a_scheduler_that_does_not_answer_is_said(monkeypatch, place):
    """With the command that starts one."""
    pytest.importorskip("distributed", reason="the extra fleet is not installed")
    monkeypatch.setattr(pool, "CONNECT_S", 0.5)
    with pytest.raises(FleetError, match="dask scheduler"):
        Dask(place)


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    """Nothing is imported before it is needed."""

    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(pool, "import_module", missing)
    with pytest.raises(FleetError, match=r"rt-engine\[fleet\]"):
        pool_of(1, "dask://127.0.0.1:8786")


def test_a_place_of_no_known_kind_is_refused():
    with pytest.raises(FleetError, match="dask://HOST:8786"):
        pool_of(1, "ray://somewhere")
