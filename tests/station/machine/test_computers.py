"""What is said of computers of several kinds; and that no probe ever raises."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from fieldbus.ethercat.wire.interface import InterfaceFacts
from rt_native.features import features_of
from rt_native.levels import fitting
from station.machine.card import Card
from station.machine.computer import Computer, cpu_list, mask_cpus
from station.machine.probes import examine, families
from station.machine.probes.cores import programs_on
from station.machine.probes.idle import deepest, idle_states_of
from tests.station.machine.computers import AMD, ATOM, CONTAINER, CPU, DELL, RT_DEBIAN, V2, V3, VIRTUAL, put, stat

PROBES = [probe for probes, _ in families().values() for probe in probes]
CARD = Card("eth1", InterfaceFacts("eth1"), 7, wait_us=0)


@pytest.fixture
def found(tmp_path):
    """Facts by name of a computer of these files."""

    def look(files, **more):
        return {fact.name: fact for fact in examine(Computer(put(tmp_path, files), **more))}

    return look


SHORT = [
    ("Atom", ATOM, {"kernel": "warn", "isolated cores": "warn", "idle states": "bad", "frequency governor": "bad", "turbo": "warn",
                    "heat": "warn", "lockup watchdog": "warn", "compaction": "warn", "mitigations": "warn"}),
    ("Dell", DELL, {"kernel": "bad", "new interrupts": "warn", "core messages": "warn", "idle states": "bad",
                    "energy preference": "warn", "lockup watchdog": "warn", "timer migration": "warn", "ticks": "warn",
                    "compaction": "warn", "memory nodes": "warn", "NUMA balancing": "warn"}),
    ("AMD", AMD, {"kernel": "warn", "isolated cores": "warn", "irqbalance": "warn", "hyper-threads": "warn",
                  "idle states": "bad", "frequency governor": "bad", "turbo": "warn", "lockup watchdog": "warn",
                  "compaction": "warn", "microcode": "warn"}),
    ("PREEMPT_RT", RT_DEBIAN, {}),
    ("container", CONTAINER, {"kernel": "warn", "isolated cores": "warn", "irqbalance": "warn", "hyper-threads": "warn",
                              "idle states": "bad", "frequency governor": "bad", "turbo": "warn", "lockup watchdog": "warn",
                              "compaction": "warn", "microcode": "warn", "real-time priority": "bad", "locked memory": "bad",
                              "CPU quota": "bad", "container options": "bad"}),
    ("virtual", VIRTUAL, {"hypervisor": "warn", "kernel": "warn", "kernel parameter": "warn", "isolated cores": "warn",
                          "lockup watchdog": "warn", "compaction": "warn"}),
]  # fmt: skip


@pytest.mark.parametrize(("files", "short"), [case[1:] for case in SHORT], ids=[case[0] for case in SHORT])
def test_what_each_computer_lacks(found, files, short):
    """All of it and nothing else; each with what it means, and a command that a shell can parse."""
    facts = found(files)
    facts.pop("SIMD")
    assert {name: fact.level for name, fact in facts.items() if fact.level != "ok"} == short
    for fact in facts.values():
        assert fact.meaning
        assert fact.family
        assert fact.level == "ok" or shlex.split(fact.fix, comments=True)
        assert fact.level != "ok" or not fact.fix


def test_sleep_is_judged_by_the_cycle(found, tmp_path):
    """A state that is not worth it within a cycle is not entered; the same state is little of a long cycle and much of a short."""
    assert found(ATOM)["idle states"].value == "C8, 1000 us (intel_idle)"
    assert found(ATOM, cycle_us=500)["idle states"].value == "C7s, 155 us (intel_idle)"
    assert found(DELL)["idle states"].level == "bad"
    assert found(DELL, cycle_us=500)["idle states"].level == "warn"
    assert found(DELL, cycle_us=20_000)["idle states"].level == "ok"
    machine = Computer(tmp_path, 15)
    assert [state.name for state in idle_states_of(machine, 15)] == ["POLL", "C1", "C1E", "C6"]
    assert deepest(machine, 15).exit_us == 133
    assert deepest(machine, 14) is None


def test_a_kernel_that_polls_never_sleeps(found):
    """idle=poll: whatever states there are."""
    assert found({**ATOM, "/proc/cmdline": "idle=poll"})["idle states"].value == "idle=poll"


def test_who_runs_beside_the_task(found, tmp_path):
    """Programs on the sibling, those that used most first; threads of the kernel, and other cores, are not told."""
    facts = found(AMD)
    assert "post (gres)" in facts["hyper-threads"].meaning
    assert "ksoftirqd" not in facts["hyper-threads"].meaning
    assert programs_on(Computer(tmp_path), 2) == ["irqbalance"]


def test_a_sibling_that_is_isolated_too_is_fine(found):
    """Until a program is seen there."""
    assert found(DELL)["hyper-threads"].level == "ok"
    assert found({**DELL, "/proc/7/stat": stat("x", 31)})["hyper-threads"].level == "warn"


def test_what_mended_faults_cost(found):
    """In words: what, and when; the same instruction for several faults is told once."""
    assert "without" not in found(DELL)["mitigations"].value
    value = found(DELL)["mitigations"].value
    assert value.startswith(
        "page tables changed (PTI) at each system call and interrupt; predictions restricted (IBRS)"
    )
    assert value.count("VERW") == value.count("IBRS") == 1
    heavy = {f"{CPU}/vulnerabilities/retbleed": "Mitigation: IBPB"}
    fact = found({**DELL, **heavy})["mitigations"]
    assert (fact.level, "mitigations=off" in fact.fix) == ("warn", True)
    assert "no foreign program" in fact.meaning
    for text, level in (("Mitigation: IBPB", "warn"), ("Mitigation: IBPB on VMEXIT only", "ok")):
        assert found({**DELL, f"{CPU}/vulnerabilities/spec_rstack_overflow": text})["mitigations"].level == level
    none = {path: "Not affected" for path in {**DELL, **AMD, **heavy} if "vulnerabilities" in path}
    assert found({**DELL, **none})["mitigations"].value == "none that costs a wake-up"


@pytest.mark.parametrize(
    "flags",
    [f"flags : fpu {V3}", f"flags : fpu {V2}", "flags : fpu sse2", "Features : fp asimd asimddp", "Features : half"],
)
def test_the_level_is_that_of_a_start(found, flags):
    """What a start would choose is named; where it would refuse, what is missing."""
    fact = found({**RT_DEBIAN, "/proc/cpuinfo": flags})["SIMD"]
    kind = "x86_64" if "flags" in flags else "aarch64" if "asimd" in flags else "armv7"
    levels = fitting(kind, features_of(kind, flags))
    assert (fact.level, fact.value) == (("ok", levels[0].name) if levels else ("bad", fact.value))
    assert levels or "no " in fact.value
    assert ("no FMA: arithmetic fast" in fact.meaning) == (flags == f"flags : fpu {V2}")


def test_a_virtual_machine_names_its_host_and_what_it_took(found):
    fact = found(VIRTUAL)["hypervisor"]
    assert fact.value == "QEMU Standard PC (Q35 + ICH9, 2009), took 4.17% of core 1"
    assert "larger doubt" in fact.meaning
    assert "microcode" not in found(VIRTUAL)


@pytest.mark.parametrize(
    ("changes", "name", "level", "fix"),
    [
        ({"/sys/kernel/mm/ksm/run": "1"}, "page merging", "warn", "echo 2"),
        ({"/proc/sys/vm/compact_unevictable_allowed": "1"}, "compaction", "warn", "vm.compact_unevictable_allowed=0"),
        ({"/proc/sys/kernel/nmi_watchdog": "1"}, "lockup watchdog", "warn", "kernel.nmi_watchdog=0"),
        ({"/proc/sys/kernel/timer_migration": "1"}, "timer migration", "warn", "kernel.timer_migration=0"),
        ({"/proc/irq/default_smp_affinity": "f"}, "new interrupts", "warn", "irqaffinity=0-2"),
        ({"/proc/cmdline": "isolcpus=3 nohz_full=3"}, "core messages", "warn", "no_ipi_broadcast=1"),
        ({"/proc/cpuinfo": f"flags : {V3}", "/proc/cmdline": "x"}, "clock watch", "warn", "tsc=nowatchdog"),
        ({f"{CPU}/cpu3/cpufreq/energy_performance_preference": "power"}, "energy preference", "warn", "echo performance"),
        ({f"{CPU}/cpu3/thermal_throttle/core_throttle_count": "3"}, "heat", "warn", "grep"),
        ({"/sys/kernel/debug/sched/fair_server/cpu3/runtime": "200000000",
          "/sys/kernel/debug/sched/fair_server/cpu3/period": "1000000000"}, "fair server", "warn", "echo 0"),
        ({"/sys/kernel/debug/sched/fair_server/cpu3/runtime": "0",
          "/sys/kernel/debug/sched/fair_server/cpu3/period": "1000000000"}, "fair server", "ok", ""),
        ({"/proc/sys/kernel/numa_balancing": "1"}, "NUMA balancing", "warn", "kernel.numa_balancing=0"),
        ({f"{CPU}/vulnerabilities/old_microcode": "Vulnerable"}, "microcode", "warn", "intel-microcode"),
    ],
)  # fmt: skip
def test_one_shortcoming(found, changes, name, level, fix):
    """Of a computer that has none but this."""
    facts = found({**RT_DEBIAN, **changes})
    assert (facts[name].level, fix in facts[name].fix) == (level, True)


def test_memory_on_the_cores_own_node(found):
    """Bound to the node: fine; a node without memory: not."""
    bound = {"/proc/self/status": "CapEff:\t0\nMems_allowed_list:\t1\n"}
    assert found({**DELL, **bound})["memory nodes"].level == "ok"
    fact = found({**DELL, "/sys/devices/system/node/node1/meminfo": "Node 1 MemTotal:       0 kB\n"})["memory nodes"]
    assert "no memory of its own" in fact.meaning
    assert "numactl --cpunodebind=1 --membind=1" in found(DELL)["memory nodes"].fix


def test_a_preemption_that_is_lazy_is_full_for_a_task(found):
    """Linux 6.13: only ordinary threads wait for the tick."""
    assert "preemption lazy" in found({**AMD, "/sys/kernel/debug/sched/preempt": "full (lazy)"})["kernel"].value


class Strange(Computer):
    """A computer on which every file that is asked for is there, and says the same."""

    text = ""

    def read(self, path: str) -> str | None:
        return type(self).text

    def glob(self, pattern: str) -> list[Path]:
        return [self.root / pattern.lstrip("/").replace("[0-9]*", i).replace("*", i) for i in ("0", "1")]


STRANGE = ["", "x", "-1", "0", "1", "max max", "0-", ",,,", "9" * 50, "a:b:c\n\n1 2", "CPU0 CPU1\n 0: 1\n", "1 (x", "(((", "[",
           "cpu1 1 2\nflags : \nMems_allowed_list: x", "Vulnerable: "]  # fmt: skip


@pytest.mark.parametrize("text", STRANGE)
def test_no_probe_raises(text, tmp_path, monkeypatch):
    """Whatever stands in all the files; nor where there are none."""
    monkeypatch.setattr(Strange, "text", text)
    for probe in PROBES:
        for cpu in (None, 1, 7):
            assert all(fact.meaning for fact in probe(Strange(tmp_path, cpu, card=CARD)))
        assert all(fact.meaning for fact in probe(Computer(tmp_path, card=CARD)))


@pytest.mark.parametrize("text", ["a:b:c\n\n1 2", "9" * 50, "CPU0 CPU3 CPU15\n 125: 1\n cpu3 1"])
def test_one_strange_file_makes_no_probe_raise(text, tmp_path):
    """Each in turn, on computers that are else as they are."""
    files = DELL | RT_DEBIAN | AMD
    machine = Computer(put(tmp_path, files), card=CARD)
    for path in files:
        put(tmp_path, {path: text})
        assert not [fact for fact in examine(machine) if fact.value == "not understood"], path
        put(tmp_path, {path: files[path]})


def test_files_that_may_not_be_read_are_told_at_the_end(found, monkeypatch):
    """One line, with the command; all else is judged."""
    real = Path.read_text

    def refused(path, *words, **more):
        if "debug" in path.parts:
            raise PermissionError(13, "Permission denied")
        return real(path, *words, **more)

    monkeypatch.setattr(Path, "read_text", refused)
    facts = found(AMD)
    assert facts["files"].value == "/sys/kernel/debug/sched/fair_server/cpu31/period and 2 more"
    assert (facts["files"].level, facts["files"].fix) == ("ok", "sudo rt-engine doctor")
    assert "mode not visible" in facts["kernel"].value


def test_nothing_may_be_read(tmp_path):
    """One sentence in the place of all others."""
    [fact] = examine(Computer(tmp_path))
    assert (fact.level, fact.name) == ("bad", "files")
    assert "nothing of this computer can be judged" in fact.meaning


def test_a_card_on_the_other_node(found):
    """And one that sleeps on its bus."""
    device = "/sys/class/net/eth1/device"
    near = found({**DELL, f"{device}/numa_node": "1"}, card=CARD)
    assert "card's node" not in near
    far = found({**DELL, f"{device}/numa_node": "0", f"{device}/link/l1_aspm": "1"}, card=CARD)
    assert far["card's node"].fix.startswith("give the task one of the cores 0,2,4")
    assert "pcie_aspm=off" in far["card's bus"].fix


def test_lists_and_masks_of_cores():
    assert mask_cpus("ff,00000003\n".strip()) == [0, 1, *range(32, 40)]
    assert mask_cpus("x") == mask_cpus("") == mask_cpus("0") == []
    assert cpu_list([3, 0, 1, 2, 5]) == "0-3,5"
    assert cpu_list([]) == ""


def test_a_reports_computer_is_judged_by_its_answers(tmp_path):
    """`examine` is pure: the same files, the same facts."""
    machine = Computer(put(tmp_path, DELL))
    assert examine(machine) == examine(replace(machine))
