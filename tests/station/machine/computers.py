"""Computers as their own files describe them: what kernels print there, as far as probes read it."""

from pathlib import Path

CPU = "/sys/devices/system/cpu"
PLAIN = {
    "/proc/self/limits": "Max locked memory         unlimited            unlimited            bytes\n"
    "Max realtime priority     95                   95\n",
    "/proc/self/cgroup": "0::/user.slice\n",
    "/proc/self/status": "Name:\tx\nCapEff:\t0000000000000000\n",
    "/proc/sys/kernel/sched_rt_runtime_us": "950000\n",
    "/proc/sys/kernel/sched_rt_period_us": "1000000\n",
    "/proc/sys/kernel/nmi_watchdog": "1\n",
    "/proc/sys/kernel/timer_migration": "1\n",
    "/proc/sys/vm/compact_unevictable_allowed": "1\n",
    "/sys/kernel/mm/ksm/run": "0\n",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "/sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm\n",
    "/proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX=""\n',
}
"""What a Debian sets by itself; the user has his rights."""
V2 = "pni ssse3 sse4_1 sse4_2 popcnt cx16"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"
TRUSTED = "constant_tsc nonstop_tsc tsc_adjust"


def states(cpu, *rows):
    """A core's ways to sleep: (name, us to wake, us that it must sleep)."""
    files = {}
    for i, (name, exit_us, residency_us) in enumerate(rows):
        folder = f"{CPU}/cpu{cpu}/cpuidle/state{i}"
        files |= {f"{folder}/name": name, f"{folder}/latency": str(exit_us), f"{folder}/residency": str(residency_us)}
        files[f"{folder}/disable"] = "0"
    return files


def stat(name, cpu, used=0, flags=4194560):
    """A program's line: its name, the core that it ran on last, the time that it used."""
    return f"9 ({name}) S 1 9 9 0 -1 {flags} 1 0 0 0 {used} 220 0 0 20 0 2 0 900{' 1' * 8}{' 0' * 7} 17 {cpu} 0 0\n"


def faults(**texts):
    """What the kernel says of the processor's faults."""
    return {f"{CPU}/vulnerabilities/{name}": f"{text}\n" for name, text in texts.items()}


ATOM = PLAIN | {
    # Atom E3940 (Apollo Lake), fanless, Debian 12
    "/proc/version": "Linux version 6.1.0-25-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3",
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz-6.1.0-25-amd64 root=/dev/mmcblk0p2 ro quiet",
    "/proc/cpuinfo": f"model name\t: Intel(R) Atom(TM) Processor E3940 @ 1.60GHz\nmicrocode\t: 0x28\n"
    f"flags\t\t: fpu ssse3 sse4_1 sse4_2 movbe popcnt aes {TRUSTED} sha_ni pti\n",
    f"{CPU}/online": "0-3\n",
    f"{CPU}/isolated": "\n",
    f"{CPU}/cpuidle/current_driver": "intel_idle\n",
    f"{CPU}/smt/active": "0\n",
    f"{CPU}/cpu3/topology/thread_siblings_list": "3\n",
    f"{CPU}/cpu3/cpufreq/scaling_governor": "powersave\n",
    f"{CPU}/cpu3/cpufreq/scaling_driver": "intel_pstate\n",
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    f"{CPU}/cpu3/thermal_throttle/core_throttle_count": "0\n",
    f"{CPU}/cpu3/thermal_throttle/package_throttle_count": "412\n",
    **states(3, ("POLL", 0, 0), ("C1", 2, 2), ("C1E", 10, 20), ("C6", 133, 133), ("C7s", 155, 155), ("C8", 1000, 1000),
             ("C9", 2000, 2000), ("C10", 10000, 10000)),
    **faults(meltdown="Mitigation: PTI", mds="Not affected", reg_file_data_sampling="Vulnerable: No microcode",
             spectre_v2="Mitigation: Retpolines; IBPB: conditional; STIBP: disabled; RSB filling"),
}  # fmt: skip

DELL = PLAIN | {
    # PowerEdge R740, two Xeon Gold 6130: cores of the sockets in turns; the card is on node 0; Ubuntu 22.04
    "/proc/version": "Linux version 5.15.0-119-generic (buildd@lcy02) #129-Ubuntu SMP Fri Aug 2 19:25:20 UTC 2024",
    "/etc/os-release": "ID=ubuntu\nID_LIKE=debian\n",
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz-5.15.0-119-generic ro isolcpus=managed_irq,domain,15,31 nohz_full=15,31",
    "/proc/cpuinfo": f"vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6130\nmicrocode\t: 0x2006e05\n"
    f"flags\t\t: {V4} pcid {TRUSTED}\n",
    "/proc/sys/kernel/numa_balancing": "1\n",
    "/proc/self/status": "CapEff:\t0000000000000000\nMems_allowed_list:\t0-1\n",
    "/proc/irq/default_smp_affinity": "ffffffff\n",
    f"{CPU}/online": "0-31\n",
    f"{CPU}/isolated": "15,31\n",
    f"{CPU}/nohz_full": "15,31\n",
    f"{CPU}/cpuidle/current_driver": "intel_idle\n",
    f"{CPU}/cpu15/topology/thread_siblings_list": "15,31\n",
    f"{CPU}/cpu15/cpufreq/scaling_governor": "performance\n",
    f"{CPU}/cpu15/cpufreq/scaling_driver": "intel_pstate\n",
    f"{CPU}/cpu15/cpufreq/energy_performance_preference": "balance_performance\n",
    f"{CPU}/intel_pstate/no_turbo": "1\n",
    "/sys/devices/system/node/node0/cpulist": "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30\n",
    "/sys/devices/system/node/node1/cpulist": "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31\n",
    "/sys/devices/system/node/node1/meminfo": "Node 1 MemTotal:       98304000 kB\n",
    **states(15, ("POLL", 0, 0), ("C1", 2, 2), ("C1E", 10, 20), ("C6", 133, 600)),
    **faults(meltdown="Mitigation: PTI", retbleed="Mitigation: IBRS", mds="Mitigation: Clear CPU buffers; SMT vulnerable",
             tsx_async_abort="Mitigation: Clear CPU buffers; SMT vulnerable", gather_data_sampling="Mitigation: Microcode",
             spectre_v2="Mitigation: IBRS; IBPB: conditional; STIBP: conditional; RSB filling; PBRSB-eIBRS: Not affected"),
}  # fmt: skip

AMD = PLAIN | {
    # EPYC 7313P, Debian 12; a database runs beside the task's hardware thread
    "/proc/version": "Linux version 6.10.11-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC Debian 6.10.11-1",
    "/sys/kernel/debug/sched/preempt": "none voluntary (full) \n",
    "/sys/kernel/debug/sched/fair_server/cpu31/runtime": "50000000\n",
    "/sys/kernel/debug/sched/fair_server/cpu31/period": "1000000000\n",
    "/etc/os-release": "ID=debian\n",
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz-6.10.11-amd64 ro quiet",
    "/proc/cpuinfo": "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7313P 16-Core Processor\nmicrocode\t: 0xa0011d1\n"
    f"flags\t\t: {V3} pcid constant_tsc nonstop_tsc\n",
    "/proc/812/comm": "irqbalance\n",
    "/proc/812/stat": stat("irqbalance", 2, 310),
    "/proc/900/stat": stat("post (gres)", 15, 31000),
    "/proc/30/stat": stat("ksoftirqd/15", 15, 9999, flags=69238848),
    f"{CPU}/online": "0-31\n",
    f"{CPU}/isolated": "\n",
    f"{CPU}/cpuidle/current_driver": "acpi_idle\n",
    f"{CPU}/cpu31/topology/thread_siblings_list": "15,31\n",
    f"{CPU}/cpu31/cpufreq/scaling_governor": "schedutil\n",
    f"{CPU}/cpu31/cpufreq/scaling_driver": "acpi-cpufreq\n",
    f"{CPU}/cpufreq/boost": "1\n",
    **states(31, ("POLL", 0, 0), ("C1", 1, 2), ("C2", 400, 800)),
    **faults(spec_rstack_overflow="Mitigation: Safe RET", tsa="Mitigation: Clear CPU buffers", old_microcode="Vulnerable",
             spectre_v2="Mitigation: Retpolines; IBPB: conditional; IBRS_FW; STIBP: always-on; RSB filling"),
}  # fmt: skip

RT_DEBIAN = PLAIN | {
    # Core i5-8365UE with all that Debian's kernel with PREEMPT_RT, and this page, ask for
    "/proc/version": "Linux version 6.12.9+deb13-rt-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_RT Debian 6.12.9-1",
    "/sys/kernel/realtime": "1\n",
    "/etc/os-release": "ID=debian\n",
    "/proc/cmdline": "root=/dev/sda2 isolcpus=3 nohz_full=3 irqaffinity=0-2 no_ipi_broadcast=1 tsc=nowatchdog nosmt",
    "/proc/cpuinfo": f"vendor_id\t: GenuineIntel\nflags\t\t: {V3} pcid {TRUSTED}\n",
    "/proc/sys/kernel/nmi_watchdog": "0\n",
    "/proc/sys/kernel/timer_migration": "0\n",
    "/proc/sys/vm/compact_unevictable_allowed": "0\n",
    "/proc/irq/default_smp_affinity": "7\n",
    "/proc/interrupts": "            CPU0       CPU1       CPU2       CPU3\n"
    " 125:          0     901234          0          0  IR-PCI-MSI 520192-edge      enp1s0\n"
    " NMI:          0          0          0          0   Non-maskable interrupts\n",
    "/proc/irq/125/smp_affinity_list": "1\n",
    f"{CPU}/online": "0-3\n",
    f"{CPU}/isolated": "3\n",
    f"{CPU}/nohz_full": "3\n",
    f"{CPU}/cpuidle/current_driver": "intel_idle\n",
    f"{CPU}/smt/active": "0\n",
    f"{CPU}/cpu3/topology/thread_siblings_list": "3\n",
    f"{CPU}/cpu3/cpufreq/scaling_governor": "performance\n",
    f"{CPU}/cpu3/cpufreq/scaling_driver": "intel_pstate\n",
    f"{CPU}/cpu3/cpufreq/energy_performance_preference": "performance\n",
    f"{CPU}/intel_pstate/no_turbo": "1\n",
    f"{CPU}/cpu3/thermal_throttle/core_throttle_count": "0\n",
    f"{CPU}/cpu3/thermal_throttle/package_throttle_count": "0\n",
    **states(3, ("POLL", 0, 0), ("C1", 2, 2)),
    **faults(spectre_v2="Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; RSB filling; BHI: SW loop, KVM: SW loop",
             mds="Not affected", old_microcode="Not affected"),
}  # fmt: skip

CONTAINER = AMD | {
    # Docker on that server, with two cores of it
    "/.dockerenv": "",
    "/proc/1/cgroup": "0::/\n",
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/cpu.max": "200000 100000\n",
    "/sys/fs/cgroup/cpuset.cpus.effective": "30-31\n",
    "/sys/fs/cgroup/cgroup.type": "domain\n",
    "/proc/self/limits": "Max locked memory         8388608              8388608              bytes\n"
    "Max realtime priority     0                    0\n",
    "/sys/kernel/debug/sched/preempt": None,
    "/proc/900/stat": None,
}

VIRTUAL = PLAIN | {
    # QEMU on that server, Ubuntu 24.04
    "/proc/version": "Linux version 6.8.0-45-generic (buildd@lcy02) #45-Ubuntu SMP PREEMPT_DYNAMIC",
    "/etc/os-release": "ID=ubuntu\nID_LIKE=debian\n",
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz-6.8.0-45-generic ro highres=off",
    "/proc/cpuinfo": f"vendor_id\t: AuthenticAMD\nmicrocode\t: 0x1000065\nflags\t\t: {V3} hypervisor constant_tsc nonstop_tsc\n",
    "/proc/stat": "cpu  400 0 200 5000 0 0 0 400 0 0\ncpu0 200 0 100 3000 0 0 0 0 0 0\ncpu1 200 0 100 2000 0 0 0 100 0 0\nintr 1\n",
    "/sys/class/dmi/id/sys_vendor": "QEMU\n",
    "/sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
    f"{CPU}/online": "0-1\n",
    f"{CPU}/cpuidle/current_driver": "none\n",
    f"{CPU}/smt/active": "0\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "kvm-clock\n",
    **faults(spec_rstack_overflow="Vulnerable: Safe RET, no microcode", old_microcode="Vulnerable"),
}


def put(root: Path, files) -> Path:
    """Writes the files below a folder; None: it is not there."""
    for path, text in files.items():
        if text is not None:
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return root
