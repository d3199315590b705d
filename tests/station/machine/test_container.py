"""Which engine a container has, and the options of its start that a control task misses; over made-up files."""

import pytest

from scheduler.rights import Grant
from station.machine.computer import Computer
from station.machine.probes.container import options, place
from tests.station.machine.computers import put

LIMITS = "Max locked memory         {memory}            unlimited            bytes\nMax realtime priority     {priority}    99\n"
STATUS = "Name:\tx\nUid:\t10001\t10001\t10001\t10001\nNoNewPrivs:\t1\nSeccomp:\t2\nCapEff:\t{effective}\nCapBnd:\t{bounding}\n"
NICE = f"{1 << 23 | 1 << 14:016x}"
GRANTED = {
    "/.dockerenv": "",
    "/proc/self/status": STATUS.format(effective="0" * 16, bounding="0" * 16),
    "/proc/self/limits": LIMITS.format(memory="unlimited", priority=99),
    "/dev/cpu_dma_latency": "",
}
"""A container of Docker that was given all."""
BARE = {"/proc/self/limits": LIMITS.format(memory=8388608, priority=0), "/dev/cpu_dma_latency": None}
ROOT_GROUP = {
    "/proc/self/cgroup": "2:cpu:/\n",
    "/proc/sys/kernel/sched_rt_runtime_us": "950000",
    "/sys/fs/cgroup/cpu/cpu.rt_runtime_us": "0\n",
}
ROOTLESS = {
    "/proc/self/limits": BARE["/proc/self/limits"],
    "/proc/self/status": STATUS.format(effective=NICE, bounding=NICE),
    "/run/.containerenv": "rootless=1",
}
"""With capabilities, which are those of a user's namespace."""
REFUSED = (Grant("SCHED_FIFO 80", False, "Operation not permitted; every other program may delay the task"),)


def fact(tmp_path, changes, **more):
    """What is said of the options of a container."""
    return next(options(Computer(put(tmp_path, GRANTED | changes), **more)), None)


@pytest.mark.parametrize(
    ("files", "engine"),
    [
        ({}, ""),
        ({"/.dockerenv": ""}, "docker"),
        ({"/run/.containerenv": ""}, "podman"),
        ({"/proc/self/environ": "TERM=xterm\0container=podman\0"}, "podman"),
        ({"/proc/self/environ": "A=1\0KUBERNETES_SERVICE_HOST=10.0.0.1\0"}, "kubernetes"),
        ({"/run/secrets/kubernetes.io/x": ""}, "kubernetes"),
        ({"/proc/self/environ": "container=lxc\0"}, "container"),
        ({"/proc/1/cgroup": "4:cpu:/docker/3f\n"}, "docker"),
        ({"/proc/self/environ": "TERM=xterm\0containers=2\0", "/proc/1/cgroup": "0::/init.scope\n"}, ""),
    ],
)
def test_the_engine_is_known_by_its_files(tmp_path, files, engine):
    """By those that are there with a root that cannot be written, too."""
    assert Computer(put(tmp_path, files)).engine == engine


def test_outside_of_a_container_nothing_is_said(tmp_path):
    machine = Computer(put(tmp_path, GRANTED | {"/.dockerenv": None}))
    assert [*place(machine), *options(machine)] == []


def test_the_place_names_user_and_filters(tmp_path):
    machine = Computer(put(tmp_path, GRANTED | {"/run/.containerenv": "engine=podman\nrootless=1\n"}))
    assert next(place(machine)).value == "podman, rootless, user 10001, system calls filtered, no new privileges"


def test_what_was_given_is_not_missing(tmp_path):
    """Limits serve any user; so do capabilities, where they are effective."""
    assert fact(tmp_path, {}).level == "ok"
    held = {
        "/proc/self/status": STATUS.format(effective=NICE, bounding=NICE),
        "/proc/self/limits": BARE["/proc/self/limits"],
    }
    assert fact(tmp_path, held).level == "ok"


@pytest.mark.parametrize(
    ("changes", "more", "level", "fix", "words"),
    [
        (BARE, {}, "bad", "docker run --ulimit rtprio=99 --ulimit memlock=-1 --device /dev/cpu_dma_latency ...", "memlock: -1"),
        ({"/run/.containerenv": "", **BARE}, {}, "bad", "podman run --ulimit rtprio=99 --ulimit memlock=-1", "rtprio: 99"),
        ({"/dev/cpu_dma_latency": None}, {}, "warn", "docker run --device /dev/cpu_dma_latency ...", "devices: [/dev/"),
        (ROOT_GROUP, {}, "bad", "docker run --cpu-rt-runtime=950000 ...", "cpu_rt_runtime: 950000"),
        ({}, {"grants": REFUSED}, "bad", "docker run --security-opt seccomp=unconfined ...", "security_opt"),
        (
            {"/sys/devices/system/cpu/online": "0-3", "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpuset.cpus.effective": "0"},
            {"wanted_cpu": 3},
            "bad",
            "docker run --cpuset-cpus=3 ...",
            'cpuset: "3"',
        ),
        (BARE | {"/proc/self/status": STATUS.format(effective="0" * 16, bounding=NICE)}, {}, "bad", "docker", "to root alone"),
        (BARE | {"/run/.containerenv": "rootless=1"}, {}, "bad", "podman", "on the host first"),
        (ROOTLESS, {"grants": REFUSED}, "bad", "podman run --ulimit rtprio=99 --ulimit memlock=-1 ...", "on the host first"),
        (BARE | {"/run/secrets/kubernetes.io/x": ""}, {}, "bad", "kubectl edit", "only root"),
    ],
)  # fmt: skip
def test_each_option_that_is_missing_is_named(tmp_path, changes, more, level, fix, words):
    """With the flag of the engine that is there, and the line of a compose file."""
    found = fact(tmp_path, changes, **more)
    assert (found.level, found.fix[: len(fix)]) == (level, fix)
    assert words in found.meaning


def test_a_refusal_without_the_right_is_no_filters(tmp_path):
    """Where the limit itself is missing, nobody is told to lift the filter."""
    assert "seccomp" not in fact(tmp_path, BARE, grants=REFUSED).fix
