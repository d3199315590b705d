"""Which control groups bind: on fake trees of /proc and /sys, and in a group of this test's own where one can be made."""

import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scheduler.groups import Cores, cores, cpu_quota, realtime_share, sees_topmost
from scheduler.rights import no_quota, throttling
from tests import ROOT

V1_CPU = "33 32 0:30 {root} {at} rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "31 23 0:28 {root} {at} rw,nosuid - cgroup2 cgroup2 rw\n"
OTHERS = "20 1 8:1 / / rw - ext4 /dev/root rw\n40 32 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
CPU = "/sys/fs/cgroup/cpu,cpuacct"


@pytest.fixture
def tree(tmp_path):
    def make(files):
        for path, text in files.items():
            file = tmp_path / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return make


def v1(path, root="/", at=CPU):
    return {
        "/proc/self/cgroup": f"4:memory:/other\n3:cpu,cpuacct:{path}\n1:name=systemd:/x\n",
        "/proc/self/mountinfo": OTHERS + V1_CPU.format(root=root, at=at),
        "/proc/self/stat": "71 (a b) S 1",
    }


def v2(path, root="/", at="/sys/fs/cgroup"):
    return {
        "/proc/self/cgroup": f"0::{path}\n",
        "/proc/self/mountinfo": OTHERS + V2.format(root=root, at=at),
        "/proc/self/stat": "71 (a b) S 1",
    }


def quota_of_v1(folder, quota=30000):
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


QUOTAS = [
    (v1("/a/b"), quota_of_v1(f"{CPU}/a/b"), f"{CPU}/a/b"),
    (v1("/a/b"), quota_of_v1(f"{CPU}/a"), f"{CPU}/a"),
    (v2("/a/b"), {"/sys/fs/cgroup/a/b/cpu.max": "30000 100000\n"}, "/sys/fs/cgroup/a/b"),
    (v2("/a/b"), {"/sys/fs/cgroup/a/cpu.max": "30000 100000\n"}, "/sys/fs/cgroup/a"),
    (v2("/a/b c", at=r"/sys/fs/c\040g"), {"/sys/fs/c g/a/b c/cpu.max": "30000 100000\n"}, "/sys/fs/c g/a/b c"),
    # a container without a namespace of control groups: its own group is mounted
    (v1("/docker/1f", "/docker/1f", CPU), quota_of_v1(CPU), CPU),
    (v1("/docker/1f/x", "/docker/1f", CPU), quota_of_v1(f"{CPU}/x"), f"{CPU}/x"),
    # with one: names begin at its own group
    (v2("/"), {"/sys/fs/cgroup/cpu.max": "30000 100000\n"}, "/sys/fs/cgroup"),
    # a mount from outside of the namespace, that begins at the group above, or two above: our process tells which folder
    (
        v2("/x", "/.."),
        {
            "/sys/fs/cgroup/other/x/cpu.max": "10000 100000\n",
            "/sys/fs/cgroup/other/x/cgroup.procs": "70\n",
            "/sys/fs/cgroup/pod/x/cgroup.procs": "70\n71\n",
            "/sys/fs/cgroup/pod/cpu.max": "30000 100000\n",
        },
        "/sys/fs/cgroup/pod",
    ),
    (
        v2("/", "/../.."),
        {"/sys/fs/cgroup/a/b/cgroup.procs": "71\n", "/sys/fs/cgroup/a/b/cpu.max": "30000 100000\n"},
        "/sys/fs/cgroup/a/b",
    ),
    # no mountinfo: where they usually are
    (v2("/a") | {"/proc/self/mountinfo": ""}, {"/sys/fs/cgroup/a/cpu.max": "30000 100000\n"}, "/sys/fs/cgroup/a"),
    (
        {"/proc/self/cgroup": "3:cpu:/a\n"},
        quota_of_v1("/sys/fs/cgroup/cpu/a"),
        "/sys/fs/cgroup/cpu/a",
    ),
]


@pytest.mark.parametrize(("where", "limit", "folder"), QUOTAS)
def test_a_quota_of_the_own_group_or_of_one_above_binds(tree, where, limit, folder):
    quota = cpu_quota(tree({**where, **limit}))
    assert (quota.folder, quota.cores, quota.stopped) == (folder, 0.3, 0)


def test_the_least_of_all_hierarchies_binds(tree):
    """A hybrid system: version 2 beside version 1; the group above has less than the own one."""
    hybrid = {
        "/proc/self/cgroup": "3:cpu:/a/b\n0::/s/t\n",
        "/proc/self/mountinfo": V1_CPU.format(root="/", at=CPU) + V2.format(root="/", at="/sys/fs/cgroup/unified"),
        **quota_of_v1(f"{CPU}/a/b", 90000),
        **quota_of_v1(f"{CPU}/a", 50000),
        "/sys/fs/cgroup/unified/s/t/cpu.max": "70000 100000",
    }
    assert cpu_quota(tree(hybrid)).folder == f"{CPU}/a"
    assert cpu_quota(tree({"/sys/fs/cgroup/unified/s/t/cpu.max": "20000 100000"})).file == "cpu.max"


@pytest.mark.parametrize(
    "limits",
    [
        {"/sys/fs/cgroup/a/b/cpu.max": "max 100000\n"},
        {"/sys/fs/cgroup/a/c/cpu.max": "30000 100000\n"},  # of a group beside
        {"/sys/fs/cgroup/a/b/below/cpu.max": "30000 100000\n"},
        {"/sys/fs/cgroup/a/cpu.max": "nonsense\n"},
        quota_of_v1("/sys/fs/cgroup/cpu", -1),
        {},
    ],
)
def test_other_groups_quotas_bind_not(tree, limits):
    assert cpu_quota(tree({**v2("/a/b"), **limits})) is None


def test_a_group_that_is_not_seen_is_none(tree):
    """The process is outside of its namespace, or its group is not below what is mounted: no guess."""
    for files in (v2("/../b"), v2("/a", "/docker/1f"), v1("/../../a"), {"/proc/self/cgroup": "nonsense\n:::\n"}):
        root = tree({**files, "/sys/fs/cgroup/cpu.max": "30000 100000\n", **quota_of_v1(CPU)})
        assert cpu_quota(root) is realtime_share(root) is cores(root) is None
        assert not sees_topmost(root)


def test_a_quota_says_how_often_it_was_used_up_and_how_to_end_it(tree):
    """By its unit where systemd made the group; else by its file."""
    folder = "/sys/fs/cgroup/system.slice/cell.service"
    root = tree(
        {
            **v2("/system.slice/cell.service"),
            f"{folder}/cpu.max": "150000 100000",
            f"{folder}/cpu.stat": "usage_usec 7\nnr_periods 20\nnr_throttled 1900\n",
        }
    )
    assert str(cpu_quota(root)) == f"1.5 cores of group {folder}, used up 1,900 times so far"
    assert cpu_quota(root).fix == "sudo systemctl set-property 'cell.service' CPUQuota="
    by_hand = tree({**v1("/hand"), **quota_of_v1(f"{CPU}/hand")})
    assert cpu_quota(by_hand).fix == f"echo -1 | sudo tee '{CPU}/hand/cpu.cfs_quota_us'"


def test_the_share_of_real_time_threads_is_the_least_of_the_groups(tree):
    shares = {f"{CPU}/cpu.rt_runtime_us": "950000", f"{CPU}/a/cpu.rt_runtime_us": "0"}
    period = {f"{CPU}/cpu.rt_period_us": "1000000", f"{CPU}/a/cpu.rt_period_us": "1000000"}
    kernel = {"/proc/sys/kernel/sched_rt_runtime_us": "950000", "/proc/sys/kernel/sched_rt_period_us": "1000000"}
    root = tree({**v1("/a"), **shares, **period, **kernel})
    share = realtime_share(root)
    assert (share.folder, share.percent) == (f"{CPU}/a", 0)
    tree({f"{CPU}/a/cpu.rt_runtime_us": "200000"})
    assert realtime_share(root).percent == 20
    grant = throttling(root)
    assert not grant.granted
    assert f"control group {CPU}/a: real-time threads may use 20 %" in grant.why
    tree({f"{CPU}/a/cpu.rt_runtime_us": "950000"})
    assert throttling(root).granted
    tree({"/proc/sys/kernel/sched_rt_runtime_us": "-1", f"{CPU}/a/cpu.rt_runtime_us": "0"})
    assert realtime_share(root) is None  # the kernel asks no group


def test_cores_are_those_of_the_nearest_group_that_says_so(tree):
    root = tree({**v2("/a/b"), "/sys/fs/cgroup/a/cpuset.cpus.effective": "0-1\n"})
    assert cores(root) == Cores("/sys/fs/cgroup/a", "0-1")
    mount = "35 32 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    old = {"/proc/self/cgroup": "3:cpuset:/x\n", "/proc/self/mountinfo": mount}
    assert cores(tree({**old, "/sys/fs/cgroup/cpuset/x/cpuset.effective_cpus": "2"})).text == "2"


def test_where_groups_end(tree):
    """The topmost group is known by its files: a container sees another one last."""
    root = tree({**v2("/a"), "/sys/fs/cgroup/a/cgroup.type": "domain"})
    assert sees_topmost(root)
    tree({"/sys/fs/cgroup/cgroup.type": "domain"})
    assert not sees_topmost(root)
    root = tree({**v1("/a"), f"{CPU}/cgroup.clone_children": "0"})
    assert not sees_topmost(root)
    tree({f"{CPU}/release_agent": ""})
    assert sees_topmost(root)


def test_a_quota_is_said_by_who_runs_tasks(tree):
    root = tree({**v2("/a"), "/sys/fs/cgroup/a/cpu.max": "30000 100000"})
    grant = no_quota(root)
    assert not grant.granted
    assert "0.3 cores of group /sys/fs/cgroup/a" in grant.why
    assert grant.how_to_grant == "echo max | sudo tee '/sys/fs/cgroup/a/cpu.max'"
    tree({"/sys/fs/cgroup/a/cpu.max": "max 100000"})
    assert no_quota(root).granted


# --- a real group -----------------------------------------------------------------------------------------------------


@contextmanager
def group(files):
    """A group of version 1 below the topmost one; gone afterwards.

    With no share for real-time threads, as every new one has where the kernel shares it out.
    """
    top = Path("/sys/fs/cgroup/cpu")
    folder = top / f"rt-engine-test-{os.getpid()}"
    if not (top / "cpu.cfs_quota_us").exists() and not (top / "cpu.shares").exists():
        pytest.skip("no hierarchy of version 1 with the controller cpu at /sys/fs/cgroup/cpu")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        for name, text in files.items():
            (folder / name).write_text(text)
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


def within(folder, program):
    """What a Python program in this group prints."""
    command = f"import os; open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
    done = subprocess.run(
        [sys.executable, "-c", command + textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_in_a_real_group_the_quota_is_seen_and_the_priority_is_as_tried():
    """Files and the kernel agree: 0.3 cores; and where the group has no real-time share, SCHED_FIFO is refused and it is named."""
    program = """
        from scheduler.groups import cpu_quota, realtime_share
        from scheduler.rights import try_rights
        quota, share = cpu_quota(), realtime_share()
        print(quota.folder, quota.cores)
        print("" if share is None else f"{share.percent:g}")
        fifo = next(grant for grant in try_rights() if grant.name.startswith("SCHED_FIFO"))
        print(fifo.granted, fifo.how_to_grant)
    """
    with group({"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "30000"}) as folder:
        where, share, fifo = within(folder, program)
        assert where == f"{folder} 0.3"
        if share == "0":
            assert fifo.startswith("False ")
            assert f"'{folder}/cpu.rt_runtime_us'" in fifo
        with suppress(OSError):  # the topmost group has no more to give, or the kernel shares nothing out
            (folder / "cpu.rt_runtime_us").write_text("10000")
            assert within(folder, program)[1] == "1"
