"""What a machine's own files say about how ready it is for real time.

Each probe is a pure function of the files below `Computer.root`, so a test gives it a folder with a fake /proc and /sys.
A probe yields nothing where its question has no meaning (no frequency control in a virtual machine, for example).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from station.machine.allowed import awake_cores, cores, cpu_quota, locked_memory, priority, throttling
from station.machine.computer import CPU_FOLDER, RESTART, Computer, Fact, Level, boot_with, parse_cpus
from station.machine.network import CARD_PROBES

PREEMPT_SWITCH: Final = "/sys/kernel/debug/sched/preempt"
ON_HOST: Final = "on the host: "


def kernel(m: Computer) -> Iterator[Fact]:
    """Can the kernel itself be interrupted for a control task?"""
    version = m.read("/proc/version") or "unknown"
    release = version.split()[2] if len(version.split()) > 2 else version
    setting = re.search(r"\((\w+)\)", m.read(PREEMPT_SWITCH) or "")
    mode = setting[1] if setting else next((w.split("=")[1] for w in m.boot_words if w.startswith("preempt=")), None)
    if m.read("/sys/kernel/realtime") == "1" or "PREEMPT_RT" in version:
        yield Fact("kernel", "ok", f"{release}, PREEMPT_RT", "almost all of the kernel gives way to a control task")
    elif mode == "full" or re.search(r"\bPREEMPT\b", version):
        meaning = "the kernel gives way, except inside locks and interrupts: rare delays of some 100 us"
        yield Fact("kernel", "warn", f"{release}, preemption full", meaning, _rt_kernel(m))
    elif "PREEMPT_DYNAMIC" in version:
        found = f"preemption {mode}" if mode else "PREEMPT_DYNAMIC (mode not visible)"
        meaning = "unless the mode is full, a system call of any program can delay a control task"
        until = f"echo full | sudo tee {PREEMPT_SWITCH}   # until the next start; better: {_rt_kernel(m)}"
        fix = until if m.exists(PREEMPT_SWITCH) else _rt_kernel(m)
        yield Fact("kernel", "warn", f"{release}, {found}", meaning, fix)
    else:
        yield Fact("kernel", "bad", release, "a system call of any program delays a control task by ms", _rt_kernel(m))


def _rt_kernel(m: Computer) -> str:
    system = "" if m.in_container else m.read("/etc/os-release") or ""  # a container's system is not its kernel's
    if re.search(r"^ID=ubuntu", system, re.MULTILINE):
        return f"sudo pro attach && sudo pro enable realtime-kernel{RESTART}"
    if re.search(r"^ID(_LIKE)?=.*debian", system, re.MULTILINE):
        return f"sudo apt-get install linux-image-rt-$(dpkg --print-architecture){RESTART}"
    return "install a kernel with PREEMPT_RT, and start the computer with it"


def isolation(m: Computer) -> Iterator[Fact]:
    """Is there a core that nothing else runs on?"""
    if len(m.cores) == 1:
        yield Fact("isolated cores", "warn", "one core only", "everything else shares the core of the control task")
        return
    cpu = m.task_cpu
    fix = boot_with(m, f"isolcpus={cpu} nohz_full={cpu} rcu_nocbs={cpu}")
    if cpu not in m.isolated:
        shown = ",".join(map(str, m.isolated)) or "none"
        yield Fact("isolated cores", "warn", shown, f"other programs may run on core {cpu} of the control task", fix)
        return
    yield Fact("isolated cores", "ok", ",".join(map(str, m.isolated)), "nothing else is scheduled there")
    quiet = {
        "timer tick (nohz_full)": cpu in parse_cpus(m.read(f"{CPU_FOLDER}/nohz_full") or ""),
        "kernel callbacks (rcu_nocbs)": any(
            word.startswith("rcu_nocbs=") and cpu in parse_cpus(word.partition("=")[2]) for word in m.boot_words
        ),
    }
    noisy = [name for name, is_quiet in quiet.items() if not is_quiet]
    if noisy:
        yield Fact("quiet core", "warn", f"core {cpu} still has {' and '.join(noisy)}", "jitter of some us", fix)
    else:
        yield Fact("quiet core", "ok", f"core {cpu}: no tick, no callbacks", "the task is alone with its core")


def governor(m: Computer) -> Iterator[Fact]:
    """Does the core keep its clock?"""
    found = m.read(f"{CPU_FOLDER}/cpu{m.task_cpu}/cpufreq/scaling_governor")
    if found is None:
        return
    fix = f"echo performance | sudo tee {CPU_FOLDER}/cpu*/cpufreq/scaling_governor"
    if found == "performance":
        yield Fact("frequency governor", "ok", found, "the core keeps its highest clock")
    else:
        yield Fact(
            "frequency governor", "bad", found, "the core slows down while the task sleeps, and wakes slowly", fix
        )


def turbo(m: Computer) -> Iterator[Fact]:
    """Does the clock jump with temperature and the load of other cores?"""
    no_turbo = m.read(f"{CPU_FOLDER}/intel_pstate/no_turbo")
    boost = m.read(f"{CPU_FOLDER}/cpufreq/boost")
    if no_turbo is None and boost is None:
        return
    name, value = ("intel_pstate/no_turbo", "1") if no_turbo is not None else ("cpufreq/boost", "0")
    if no_turbo == "0" or boost == "1":
        meaning = "the clock depends on temperature and on other cores: execution times vary"
        yield Fact("turbo", "warn", "on", meaning, f"echo {value} | sudo tee {CPU_FOLDER}/{name}")
    else:
        yield Fact("turbo", "ok", "off", "execution times do not depend on other cores' load")


def idle_states(m: Computer) -> Iterator[Fact]:
    """How long does the core take to wake up?"""
    worst, worst_us = "", 0
    folders = m.glob(f"{CPU_FOLDER}/cpu{m.task_cpu}/cpuidle/state*")
    for folder in folders:
        path = f"/{folder.relative_to(m.root)}"
        latency_us = int(m.read(f"{path}/latency") or 0)
        if m.read(f"{path}/disable") == "0" and latency_us > worst_us:
            worst, worst_us = m.read(f"{path}/name") or folder.name, latency_us
    if not folders:
        return
    held = m.answer("no deep core sleep")
    fix = f"for f in {CPU_FOLDER}/cpu{m.task_cpu}/cpuidle/state[1-9]*/disable; do echo 1 | sudo tee $f; done"
    if worst_us > 10 and held is not None and held.granted:
        yield Fact("idle states", "ok", f"{worst}, {worst_us} us", "a station that runs keeps the core out of it")
    elif worst_us > 10:
        level: Level = "bad" if worst_us >= 100 else "warn"
        yield Fact("idle states", level, f"{worst}, {worst_us} us", f"waking up may take {worst_us} us longer", fix)
    else:
        yield Fact("idle states", "ok", f"at most {worst_us} us", "the core wakes at once")


def hypervisor(m: Computer) -> Iterator[Fact]:
    """Does another operating system own the cores?"""
    names = (m.read(path) for path in ("/sys/hypervisor/type", "/sys/class/dmi/id/sys_vendor"))
    if "hypervisor" in m.cpu_flags:
        meaning = "the host may take the core away at any time, for milliseconds; nothing in here can forbid it"
        fix = (
            f"virsh vcpupin GUEST {m.task_cpu} HOSTCORE   # on the host of the VM, an isolated core; or run without one"
        )
        yield Fact("hypervisor", "warn", next(filter(None, names), "yes, unnamed"), meaning, fix)
    elif "flags" in (m.read("/proc/cpuinfo") or ""):
        yield Fact("hypervisor", "ok", "none", "the kernel owns the cores")


def simd(m: Computer) -> Iterator[Fact]:
    """Which vector instructions can the kernels use?"""
    flags = m.cpu_flags
    if "asimd" in flags:
        yield Fact("SIMD", "ok", "NEON" + (" with dot product" if "asimddp" in flags else ""), "4 lanes of float32")
    elif not {"avx2", "fma"} <= flags:
        meaning = "AVX2 with FMA is the least that the kernels need"
        fix = "run on a processor of x86-64-v3 (Intel since Haswell, AMD since Excavator); in a VM: host CPU model"
        yield Fact("SIMD", "bad", "no AVX2 with FMA", meaning, fix)
    elif {"avx512f", "avx512vl"} <= flags:
        yield Fact("SIMD", "ok", "AVX-512" + (" with VNNI" if "avx512_vnni" in flags else ""), "16 lanes of float32")
    else:
        yield Fact("SIMD", "ok", "AVX2" + (" with VNNI" if "avx_vnni" in flags else ""), "8 lanes of float32")


def interrupts(m: Computer) -> Iterator[Fact]:
    """Do devices interrupt the task's core?"""
    if len(m.cores) == 1 or m.read("/proc/interrupts") is None:
        return
    cpu = m.task_cpu
    here = [(number, name, count) for number, name, count in _device_interrupts(m) if count > 0]
    if not here:
        yield Fact("interrupts", "ok", f"no device on core {cpu}", "devices do not delay the task")
        return
    top = sorted(here, key=lambda entry: -entry[2])[:3]
    shown = ", ".join(f"{name} ({count})" for _, name, count in top)
    others = ",".join(str(core) for core in m.cores if core != cpu)
    numbers = " ".join(number for number, _, _ in top if m.is_writable(f"/proc/irq/{number}/smp_affinity_list"))
    if numbers:
        fix = f"for i in {numbers}; do echo {others} | sudo tee /proc/irq/$i/smp_affinity_list; done"
        yield Fact("interrupts", "warn", f"core {cpu}: {shown}", "each costs the task some us", fix)
    else:
        meaning = "each costs the task some us; the kernel does not let them be moved"
        yield Fact("interrupts", "warn", f"core {cpu}: {shown}", meaning)


def _device_interrupts(m: Computer) -> Iterator[tuple[str, str, int]]:
    """(number, device, count on the task's core since boot) of the interrupts that may go to that core."""
    header, *lines = (m.read("/proc/interrupts") or "").splitlines() or [""]
    columns = header.split()
    if f"CPU{m.task_cpu}" not in columns:
        return
    column = columns.index(f"CPU{m.task_cpu}")
    for line in lines:
        number, _, rest = line.strip().partition(":")
        words = rest.split()
        allowed = m.read(f"/proc/irq/{number}/effective_affinity_list") or m.read(
            f"/proc/irq/{number}/smp_affinity_list"
        )
        if number.isdigit() and (allowed is None or m.task_cpu in parse_cpus(allowed)):
            yield number, words[-1], int(words[column])


def irq_balancer(m: Computer) -> Iterator[Fact]:
    """Does a daemon move interrupts between cores?"""
    names = (m.read(f"/{path.relative_to(m.root)}") for path in m.glob("/proc/[0-9]*/comm"))
    if "irqbalance" in names:
        meaning = "it moves interrupts onto the task's core again"
        yield Fact("irqbalance", "warn", "running", meaning, "sudo systemctl disable --now irqbalance")


def clock_source(m: Computer) -> Iterator[Fact]:
    """Is reading the clock cheap?"""
    folder = "/sys/devices/system/clocksource/clocksource0"
    found, available = m.read(f"{folder}/current_clocksource"), m.read(f"{folder}/available_clocksource") or ""
    if found is None:
        return
    if found in ("hpet", "acpi_pm", "jiffies", "refined-jiffies"):
        to = (
            f"echo tsc | sudo tee {folder}/current_clocksource"
            if "tsc" in available.split()
            else boot_with(m, "tsc=reliable")
        )
        yield Fact("clock source", "bad", found, "every look at the clock is a system call of about 1 us", to)
    else:
        yield Fact("clock source", "ok", found, "reading the clock costs nanoseconds")


def huge_pages(m: Computer) -> Iterator[Fact]:
    """Does the kernel move memory about to make huge pages?"""
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    found = re.search(r"\[(\w+)\]", m.read(path) or "")
    if found and found[1] == "always":
        meaning = "the kernel moves memory together in the background: rare delays"
        yield Fact("huge pages", "warn", "always", meaning, f"echo madvise | sudo tee {path}")
    elif found:
        yield Fact("huge pages", "ok", found[1], "memory stays where it is")


def swap(m: Computer) -> Iterator[Fact]:
    """Can memory that is not locked go to disk?"""
    areas = [line.split()[0] for line in (m.read("/proc/swaps") or "").splitlines()[1:]]
    if areas:
        meaning = "links and reports, whose memory is not locked, may wait for the disk"
        yield Fact("swap", "warn", ", ".join(areas), meaning, "sudo swapoff -a   # and take its line out of /etc/fstab")
    else:
        yield Fact("swap", "ok", "none", "nothing is paged out")


def sibling_threads(m: Computer) -> Iterator[Fact]:
    """Does the task's core share its units with a second hardware thread?"""
    siblings = parse_cpus(m.read(f"{CPU_FOLDER}/cpu{m.task_cpu}/topology/thread_siblings_list") or "")
    if len(siblings) > 1:
        other = next(cpu for cpu in siblings if cpu != m.task_cpu)
        meaning = f"a program on core {other} halves the speed of core {m.task_cpu}"
        yield Fact(
            "hyper-threads",
            "warn",
            f"{siblings} are one core",
            meaning,
            f"echo 0 | sudo tee {CPU_FOLDER}/cpu{other}/online",
        )


PROBES: Final[tuple[Callable[[Computer], Iterator[Fact]], ...]] = (
    kernel,
    priority,
    locked_memory,
    awake_cores,
    cores,
    isolation,
    interrupts,
    irq_balancer,
    governor,
    turbo,
    idle_states,
    sibling_threads,
    throttling,
    cpu_quota,
    hypervisor,
    clock_source,
    huge_pages,
    swap,
    simd,
)


def examine(machine: Computer) -> list[Fact]:
    """All facts of all probes. A machine whose files a probe cannot make sense of is a fact too."""
    probes = (*PROBES, *CARD_PROBES) if machine.card else PROBES
    return [fact for probe in probes for fact in _facts(probe, machine)]


def _facts(probe: Callable[[Computer], Iterator[Fact]], machine: Computer) -> list[Fact]:
    try:
        return [_where_it_works(fact, machine) for fact in probe(machine)]
    except (ValueError, LookupError) as error:
        name = probe.__name__.replace("_", " ")
        return [Fact(name, "warn", "not understood", f"this system describes itself in an unknown way: {error}")]


def _where_it_works(fact: Fact, m: Computer) -> Fact:
    """In a container nothing of the system can be changed: only its host can."""
    if not fact.fix or not m.in_container or fact.fix.startswith("docker"):
        return fact
    return replace(fact, fix=f"{ON_HOST}{fact.fix}")
