"""Cores that a process may use: its affinity, and the time that its control group has."""

import pytest

from rt_native.build import workers
from rt_native.cores import cores


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)))


def _group(root, name, **limits):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"1:cpu:/other\n0::/{name}\n")
    for folder, limit in limits.items():
        path = root / "sys/fs/cgroup" / folder.replace("_", "/")
        path.mkdir(parents=True, exist_ok=True)
        (path / "cpu.max").write_text(limit)


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({}, 6),
        ({"a_b": "max 100000"}, 6),
        ({"a_b": "250000 100000"}, 3),
        ({"a_b": "max 100000", "a": "100000 100000"}, 1),
        ({"a_b": "20000 100000"}, 1),
        ({"a_b": "nonsense"}, 6),
        ({"a_b": "900000 100000"}, 6),
    ],
)
def test_a_control_group_may_have_less(many, tmp_path, limits, count):
    """A group above counts too; what is not understood does not."""
    _group(tmp_path, "a/b", **limits)
    assert cores(tmp_path) == count


def test_without_control_groups_affinity_counts(many, tmp_path):
    assert cores(tmp_path) == 6


def test_no_more_processes_compile_than_have_a_core(monkeypatch):
    """Each takes a quarter of a gigabyte, and on a core that is not ours none runs."""
    for here, count in ((1, 1), (3, 3), (64, 4)):
        monkeypatch.setattr("rt_native.build.cores", lambda here=here: here)
        with workers() as pool:
            assert pool._max_workers == count
