"""What a process may have: what was tried counts, then what its files say."""

import shlex
from dataclasses import replace

import pytest

from scheduler.rights import GROUP_HOW, MEMORY_HOW, PRIORITY_HOW, Grant
from station.machine import probes
from station.machine.probes import allowed
from station.machine.rights import facts_of
from tests.station.machine.test_probes import machine

__all__ = ["machine"]

GROUP = "/sys/fs/cgroup/cpu/cell"
V1 = {
    "/proc/self/cgroup": "1:cpu:/cell\n",
    "/proc/self/mountinfo": "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
    f"{GROUP}/cpu.cfs_period_us": "100000\n",
    "/proc/sys/kernel/sched_rt_runtime_us": "950000\n",
}
RIGHTS = {"/proc/self/status": "CapEff:\t0000000000804000\n"}
NONE = {"/proc/self/limits": "Max locked memory  8388608 8388608 bytes\nMax realtime priority  0  0\n"}
FIFO = Grant("SCHED_FIFO 80", True, "good")
REFUSED = Grant("SCHED_FIFO 80", False, "Operation not permitted; every other program may delay the task", PRIORITY_HOW)


def facts(computer, *grants):
    return {fact.name: fact for fact in probes.examine(replace(computer, grants=grants))}


def test_a_group_without_real_time_share_refuses_whoever_has_the_right(machine):
    """As every new group of version 1 does; the group and its mend are named, though the capability is there."""
    group = {f"{GROUP}/cpu.rt_runtime_us": "0\n", f"{GROUP}/cpu.rt_period_us": "1000000\n"}
    found = facts(machine({**V1, **RIGHTS, **group}))
    assert found["real-time priority"].level == "bad"
    assert GROUP in found["real-time priority"].value
    assert shlex.split(found["real-time priority"].fix, comments=True)[-1] == f"{GROUP}/cpu.rt_runtime_us"
    assert (found["RT throttling"].level, found["RT throttling"].value) == ("warn", f"0 % for control group {GROUP}")


@pytest.mark.parametrize(("share", "level"), [("950000", "ok"), ("200000", "warn")])
def test_a_groups_share_of_real_time_is_throttling(machine, share, level):
    group = {f"{GROUP}/cpu.rt_runtime_us": share, f"{GROUP}/cpu.rt_period_us": "1000000\n"}
    found = facts(machine({**V1, **RIGHTS, **group}))
    assert found["real-time priority"].level == "ok"
    assert found["RT throttling"].level == level


def test_a_quota_is_worse_where_tasks_have_no_priority(machine):
    """It never stops a thread of real-time priority; tasks that were refused it stop like all others."""
    quota = {**V1, f"{GROUP}/cpu.cfs_quota_us": "30000", f"{GROUP}/cpu.stat": "nr_throttled 7"}
    spared, hit = facts(machine(quota), FIFO)["CPU quota"], facts(machine(quota), REFUSED)["CPU quota"]
    assert spared.value == hit.value == f"no container, 0.3 cores of group {GROUP}, used up 7 times so far"
    assert (spared.level, hit.level) == ("warn", "bad")
    assert "run on" in spared.meaning
    assert facts(machine({**quota, **NONE}))["CPU quota"].level == "bad"


def test_a_container_that_sees_no_quota_says_that_the_host_may_have_one(machine):
    inside = {"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cgroup.type": "domain\n", "/.dockerenv": ""}
    fact = facts(machine(inside))["CPU quota"]
    assert (fact.level, fact.value) == ("ok", "container, no quota seen")
    assert "ask the host" in fact.meaning
    limited = facts(machine({**inside, "/sys/fs/cgroup/cpu.max": "30000 100000"}))["CPU quota"]
    assert limited.fix == "docker update --cpu-quota -1 NAME"


def test_what_was_refused_is_bad_whatever_the_files_say(machine):
    """A seccomp profile, a control group of version 2: the right is there on paper."""
    found = facts(
        machine(RIGHTS), replace(REFUSED, how_to_grant=GROUP_HOW), Grant("locked memory", False, "no; slow", "x")
    )
    assert found["real-time priority"].level == found["locked memory"].level == "bad"
    assert found["real-time priority"].value == "SCHED_FIFO 80 tried: Operation not permitted"
    assert found["real-time priority"].fix == GROUP_HOW
    assert (found["locked memory"].meaning, found["locked memory"].fix) == ("slow", "x")


def test_what_was_granted_is_granted_whatever_the_files_say(machine):
    found = facts(machine(NONE), FIFO)
    assert (found["real-time priority"].level, found["real-time priority"].fix) == ("ok", "")


def test_locked_memory_under_a_limit_is_between(machine):
    """Granted to this process, which is smaller than a station; refused: bad."""
    granted = facts(machine(NONE), Grant("locked memory", True, "good"))["locked memory"]
    assert (granted.level, granted.value) == ("warn", "8 MiB")
    refused = facts(machine(NONE), Grant("locked memory", False, "Cannot allocate memory; slow", MEMORY_HOW))[
        "locked memory"
    ]
    assert (refused.level, refused.value) == ("bad", "tried: Cannot allocate memory (limit 8 MiB)")
    assert "limits.d" in refused.fix


def test_cores_that_are_kept_awake_do_not_sleep_deeply(machine):
    """A station that holds /dev/cpu_dma_latency has no deep idle states; one that may not, has them, and both are said."""
    deep = machine({"/sys/devices/system/cpu/cpu3/cpuidle/state1/disable": "0"})
    held = facts(deep, Grant("no deep core sleep", True, "good"))
    assert held["idle states"].level == held["no deep core sleep"].level == "ok"
    refused = facts(deep, Grant("no deep core sleep", False, "Permission denied; wakes late", "udev"))
    assert (refused["idle states"].level, refused["no deep core sleep"].level) == ("bad", "warn")
    assert refused["no deep core sleep"].fix == "udev"


CPUSET = {"/sys/fs/cgroup/user.slice/cpuset.cpus.effective": "0-1\n"}


def test_a_core_outside_of_the_groups_cores_is_bad(machine):
    """Asked for with --cpu: the cores that there are, are named; another one is fine; without, one of those is judged."""
    fact = next(allowed.cores(machine(CPUSET, cpu=3)))
    assert (fact.level, fact.value) == ("bad", "0-1 of control group /sys/fs/cgroup/user.slice")
    assert "AllowedCPUs=3" in fact.fix
    assert next(allowed.cores(machine(CPUSET, cpu=1))).level == "ok"
    assert machine(CPUSET).task_cpu == 1
    assert list(allowed.cores(machine({"/sys/fs/cgroup/user.slice/cpuset.cpus.effective": "0-3"}))) == []


def test_a_core_that_was_refused_is_bad(machine):
    """No file says why: the answer counts."""
    computer = replace(machine(cpu=2), grants=(Grant("core 2", False, "Invalid argument", "x"),))
    assert next(allowed.cores(computer)).level == "bad"


def test_a_report_names_the_mend_of_the_group(machine):
    """What the group refuses is mended in the group; what the system refuses, by limits."""
    grants = [replace(REFUSED, how_to_grant="echo 950000 | sudo tee x"), replace(REFUSED, name="SCHED_FIFO 70")]
    assert [fact.fix.partition(" ")[0] for fact in facts_of(grants, machine())] == ["echo", "printf"]
