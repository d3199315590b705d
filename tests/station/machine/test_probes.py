"""Probes of a machine, on fake /proc and /sys trees."""

import shlex

import pytest

from scheduler.rights import LIMITS_COMMAND, MEMORY_HOW, PRIORITY_HOW
from station.machine import probes
from station.machine.computer import Computer, parse_cpus
from station.machine.probes.allowed import throttling
from station.machine.probes.interrupts import interrupts
from station.machine.probes.kernel import kernel
from station.machine.rights import rights_fix
from tests import ROOT
from tests.station.machine.computers import V3, V4

FIELD = {
    "/proc/version": "Linux version 6.12.9-rt (build@host) #1 SMP PREEMPT_RT Debian",
    "/proc/cmdline": "root=/dev/sda isolcpus=3 nohz_full=3 rcu_nocbs=2-3 no_ipi_broadcast=1 tsc=reliable",
    "/sys/devices/system/cpu/online": "0-3\n",
    "/sys/devices/system/cpu/isolated": "3\n",
    "/sys/devices/system/cpu/nohz_full": "3\n",
    "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "performance\n",
    "/sys/devices/system/cpu/intel_pstate/no_turbo": "1\n",
    "/sys/devices/system/cpu/cpu3/cpuidle/state0/name": "POLL\n",
    "/sys/devices/system/cpu/cpu3/cpuidle/state0/latency": "0\n",
    "/sys/devices/system/cpu/cpu3/cpuidle/state0/disable": "0\n",
    "/sys/devices/system/cpu/cpu3/cpuidle/state1/name": "C6\n",
    "/sys/devices/system/cpu/cpu3/cpuidle/state1/latency": "133\n",
    "/sys/devices/system/cpu/cpu3/cpuidle/state1/disable": "1\n",
    "/sys/devices/system/cpu/cpu3/topology/thread_siblings_list": "3\n",
    "/proc/sys/kernel/sched_rt_runtime_us": "-1\n",
    "/proc/sys/kernel/sched_rt_period_us": "1000000\n",
    "/proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units\n"
    "Max locked memory         unlimited            unlimited            bytes\n"
    "Max realtime priority     95                   95\n",
    "/proc/self/status": "Name:\tx\nCapEff:\t0000000000000000\n",
    "/proc/self/cgroup": "0::/user.slice\n",
    "/sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
    "/proc/cpuinfo": f"processor\t: 0\nflags\t\t: fpu {V4} avx512_vnni\n",
    "/proc/interrupts": "           CPU0       CPU1       CPU2       CPU3\n"
    "  8:          1          0          0          0   IO-APIC   8-edge      rtc0\n"
    " 30:        900          0          0          7   PCI-MSI   0-edge      eth0\n"
    "LOC:        900        900        900        900   Local timer interrupts\n",
    "/proc/irq/8/smp_affinity_list": "0-2\n",
    "/proc/irq/30/smp_affinity_list": "0-2\n",
    "/proc/1/comm": "systemd\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "/sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm\n",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "/proc/swaps": "Filename Type Size Used Priority\n",
    "/etc/os-release": "ID=debian\n",
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX=""\n',
}
"""A machine without a shortcoming."""


@pytest.fixture
def machine(tmp_path):
    """A fake machine: the ready one, with some files changed (None: removed)."""

    def make(changes=(), cpu=None):
        for path, text in {**FIELD, **dict(changes)}.items():
            if text is not None:
                file = tmp_path / path.lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        return Computer(tmp_path, cpu)

    return make


def test_a_ready_machine_has_only_good_facts(machine):
    """On a machine prepared for real time every probe that has an answer says ok."""
    facts = probes.examine(machine())
    assert {fact.level for fact in facts} == {"ok"}, [fact for fact in facts if fact.level != "ok"]
    assert len(facts) == 18
    assert all(fact.meaning and not fact.fix for fact in facts)


CASES = [
    ("/proc/version", "Linux version 6.1 () #1 SMP PREEMPT_DYNAMIC", "kernel", "warn", "linux-image-rt"),
    ("/proc/version", "Linux version 6.1 () #1 SMP", "kernel", "bad", "linux-image-rt"),
    (
        "/sys/devices/system/cpu/isolated",
        "\n",
        "isolated cores",
        "warn",
        "isolcpus=3 nohz_full=3 rcu_nocbs=3 irqaffinity=0-2",
    ),
    ("/sys/devices/system/cpu/nohz_full", "(null)\n", "quiet core", "warn", "nohz_full=3"),
    ("/proc/cmdline", "isolcpus=3 nohz_full=3", "core messages", "warn", "no_ipi_broadcast=1"),
    ("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave", "frequency governor", "bad", "performance"),
    ("/sys/devices/system/cpu/intel_pstate/no_turbo", "0", "turbo", "warn", "echo 1"),
    ("/sys/devices/system/cpu/cpu3/cpuidle/state1/disable", "0", "idle states", "bad", "cpuidle"),
    ("/sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "1,3", "hyper-threads", "warn", "cpu1/online"),
    ("/sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "0,3", "hyper-threads", "warn", "nosmt"),
    ("/proc/sys/kernel/sched_rt_runtime_us", "500000", "RT throttling", "warn", "sched_rt_runtime_us=-1"),
    ("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000", "CPU quota", "warn", "CPUQuota="),
    ("/sys/fs/cgroup/user.slice/cpuset.cpus.effective", "0-2", "isolated cores", "warn", "isolcpus=2"),
    ("/proc/cpuinfo", f"flags : {V3} hypervisor", "hypervisor", "warn", "vcpupin"),
    ("/proc/cpuinfo", "flags : sse2", "SIMD", "bad", "x86-64-v2"),
    ("/proc/irq/30/smp_affinity_list", "0-3", "interrupts", "warn", "for i in 30; do echo 0,1,2"),
    ("/proc/77/comm", "irqbalance\n", "irqbalance", "warn", "disable --now irqbalance"),
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "clock source", "bad", "echo tsc"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never", "huge pages", "warn", "echo madvise"),
    ("/proc/swaps", "Filename Type\n/dev/sda2 partition", "swap", "warn", "swapoff"),
]


@pytest.mark.parametrize(("path", "text", "name", "level", "fix"), CASES)
def test_one_shortcoming(path, text, name, level, fix, machine):
    """Each shortcoming changes its own fact, says what it means, and names a command that a shell can parse."""
    fact = next(f for f in probes.examine(machine({path: text})) if f.name == name)
    assert fact.level == level
    assert fix in fact.fix
    assert fact.meaning
    assert shlex.split(fact.fix, comments=True)


def test_cores_that_are_isolated_stay_so(machine):
    """Of two lists that differ the kernel takes the first; and no device goes to a core of another task."""
    changes = {"/sys/devices/system/cpu/isolated": "2\n", "/proc/irq/30/smp_affinity_list": "0-3"}
    facts = {fact.name: fact for fact in probes.examine(machine(changes, cpu=3))}
    assert "isolcpus=2-3 nohz_full=2-3 rcu_nocbs=2-3 irqaffinity=0-1" in facts["isolated cores"].fix
    assert "echo 0,1 |" in facts["interrupts"].fix


def test_a_clock_that_the_kernel_gave_up_is_not_forced(machine):
    folder = "/sys/devices/system/clocksource/clocksource0"
    changes = {f"{folder}/current_clocksource": "hpet", f"{folder}/available_clocksource": "hpet acpi_pm"}
    fact = next(f for f in probes.examine(machine(changes)) if f.name == "clock source")
    assert shlex.split(fact.fix, comments=True) == ["sudo", "dmesg", "|", "grep", "-i", "tsc"]


def test_no_rights(machine):
    """Without limits and capabilities, priority and locked memory are bad; the mend differs in a container."""
    changes = {"/proc/self/limits": "Max locked memory  8388608 8388608 bytes\nMax realtime priority  0  0\n"}
    facts = {fact.name: fact for fact in probes.examine(machine(changes))}
    assert facts["real-time priority"].level == facts["locked memory"].level == "bad"
    assert facts["locked memory"].value == "8 MiB"
    assert "limits.d" in facts["real-time priority"].fix
    contained = {fact.name: fact for fact in probes.examine(machine({**changes, "/.dockerenv": ""}))}
    assert contained["real-time priority"].fix.startswith("docker run --cap-add=SYS_NICE")


def test_one_recipe_for_rights(machine):
    """The page for integrators, doctor, the report and the tasks' own words have the same command."""
    command = rights_fix(machine()).partition("   #")[0]
    page = (ROOT / "docs/for-integrators.md").read_text()
    assert command == LIMITS_COMMAND
    assert command in page
    assert command in PRIORITY_HOW
    assert command in MEMORY_HOW


def test_in_a_container_the_system_is_changed_on_the_host(machine):
    """No command is shown as if it worked in the container; its files say nothing about the host's boot loader."""
    changes = {path: text for path, text, *_ in CASES if path != "/proc/cpuinfo"}
    facts = probes.examine(machine({**changes, "/.dockerenv": ""}))
    fixes = [fact.fix for fact in facts if fact.fix]
    assert len(fixes) > 8
    assert all(fix.startswith(("on the host: ", "docker ")) for fix in fixes)
    assert not any(word in fix for fix in fixes for word in ("grub", "apt-get"))


def test_restarting_is_never_part_of_a_command(machine):
    """Nobody who copies a line loses the machine: it is said after the command, as a comment."""
    for path, text, *_ in CASES:
        for fact in probes.examine(machine({path: text})):
            assert "reboot" not in fact.fix
            assert "restart" not in " ".join(shlex.split(fact.fix, comments=True))


def test_without_grub_the_kernel_parameters_are_named(machine):
    """No /etc/default/grub: no command that edits it."""
    facts = probes.examine(machine({"/sys/devices/system/cpu/isolated": "\n", "/etc/default/grub": None}))
    fact = next(fact for fact in facts if fact.name == "isolated cores")
    assert (
        fact.fix == "start the computer with the kernel parameters isolcpus=3 nohz_full=3 rcu_nocbs=3 irqaffinity=0-2"
    )


def test_only_interrupts_that_can_be_moved_are_in_the_command(machine, tmp_path):
    """What is named and may be moved is in the command; when nothing may be, there is no command."""
    changes = {"/proc/irq/30/smp_affinity_list": "0-3", "/proc/irq/8/smp_affinity_list": "0-3"}
    made = machine(changes, cpu=0)
    fact = next(interrupts(made))
    assert fact.fix.startswith("for i in 30 8; do")
    (tmp_path / "proc/irq/30/smp_affinity_list").chmod(0o444)
    assert next(interrupts(made)).fix.startswith("for i in 8; do")
    (tmp_path / "proc/irq/8/smp_affinity_list").chmod(0o444)
    assert next(interrupts(made)).fix == ""


def test_the_kernels_usual_throttling_is_no_shortcoming(machine):
    """95 % of each second is enough: no task that leaves its core any air notices."""
    fact = next(throttling(machine({"/proc/sys/kernel/sched_rt_runtime_us": "950000"})))
    assert (fact.level, fact.fix) == ("ok", "")
    assert "95 %" in fact.meaning


def test_capabilities_are_rights(machine):
    """cap_sys_nice and cap_ipc_lock are as good as the limits."""
    changes = {"/proc/self/limits": "", "/proc/self/status": "CapEff:\t0000000000804000\n"}
    facts = {fact.name: fact for fact in probes.examine(machine(changes))}
    assert facts["real-time priority"].level == facts["locked memory"].level == "ok"


def test_the_core_asked_for_is_judged(machine):
    """With --cpu the probes look at that core."""
    facts = {fact.name: fact for fact in probes.examine(machine(cpu=0))}
    assert facts["isolated cores"].level == "warn"
    assert facts["interrupts"].value == "core 0: eth0 (900), rtc0 (1)"


def test_a_machine_that_shows_nothing(tmp_path):
    """An empty root (another system, a locked-down container) is one sentence."""
    assert [fact.name for fact in probes.examine(Computer(tmp_path))] == ["files"]


@pytest.mark.parametrize("text", ["", "x", "-1", "max max", "0-", ",,,", "9" * 50, "a:b:c\n1 2", "CPU0\n 0: 1 x\n"])
def test_a_machine_that_talks_nonsense(tmp_path, text):
    """Files with an unknown content make no probe fail: a report is written on every machine."""
    for path in NONSENSE:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert all(fact.meaning for fact in probes.examine(Computer(tmp_path)))
    assert Computer(tmp_path).cores == [0]


NONSENSE = (
    "proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/cpuset.cpus.effective",
    "proc/cmdline", "proc/cpuinfo", "proc/interrupts", "proc/self/limits", "proc/self/status",
    "proc/swaps", "proc/sys/kernel/sched_rt_period_us", "proc/sys/kernel/sched_rt_runtime_us", "proc/version",
    "sys/devices/system/clocksource/clocksource0/current_clocksource", "sys/devices/system/cpu/isolated",
    "sys/devices/system/cpu/online", "sys/kernel/realtime",
)  # fmt: skip


def test_this_machine():
    """The probes run on the machine that the tests run on."""
    assert {"kernel", "SIMD"} <= {fact.name for fact in probes.examine(Computer())}


def test_parse_cpus():
    """Lists of cores as the kernel writes them."""
    assert parse_cpus("0,2-4") == [0, 2, 3, 4]
    assert parse_cpus("") == parse_cpus("(null)") == []


def test_a_real_time_kernel_is_known_by_its_flag(machine):
    """/sys/kernel/realtime tells even when the version text does not."""
    changes = {"/proc/version": "Linux version 6.1 (vendor)", "/sys/kernel/realtime": "1\n"}
    assert next(kernel(machine(changes))).level == "ok"


def test_full_preemption_is_between(machine):
    """PREEMPT_DYNAMIC switched to full is better than not, and still not PREEMPT_RT."""
    version = {"/proc/version": "Linux version 6.1 () #1 SMP PREEMPT_DYNAMIC"}
    fact = next(kernel(machine({**version, "/sys/kernel/debug/sched/preempt": "none voluntary (full)"})))
    assert (fact.level, fact.value) == ("warn", "6.1, preemption full")
    fact = next(kernel(machine({**version, "/sys/kernel/debug/sched/preempt": "none (voluntary) full"})))
    assert "echo full" in fact.fix
