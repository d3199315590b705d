"""The processor: what it can compute with, and what its mended faults cost a wake-up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from rt_native.features import features_of
from rt_native.levels import LEVELS, fitting
from rt_native.machine import ARITHMETICS, Target
from station.machine.computer import CPU_FOLDER, Computer, Fact, boot_with

VULNERABILITIES: Final = f"{CPU_FOLDER}/vulnerabilities"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a mitigation costs: where the kernel says it (file, pattern), what it does, when; `is_heavy`: the slowest of their kind."""

    file: str
    pattern: str
    name: str
    when: str
    is_heavy: bool = False


_ENTRY: Final = "at each system call and interrupt"
_SWITCH: Final = "at each switch to another program"
_LEAVE: Final = "each time the kernel is left"
_BUFFERS: Final = ("buffers cleared (VERW)", _LEAVE)
_FORGOTTEN: Final = "all predictions forgotten (IBPB)"
COSTS: Final = (
    Cost("meltdown", "PTI", "page tables changed (PTI)", _ENTRY),
    Cost("retbleed", "Mitigation: IBPB", _FORGOTTEN, _ENTRY, is_heavy=True),
    Cost("spec_rstack_overflow", "Mitigation: IBPB(?! on VMEXIT)", _FORGOTTEN, _ENTRY, is_heavy=True),
    Cost("spectre_v2", "IBPB: always-on", _FORGOTTEN, _SWITCH, is_heavy=True),
    Cost("spectre_v2", "Mitigation: IBRS", "predictions restricted (IBRS)", _ENTRY),
    Cost("retbleed", "Mitigation: IBRS", "predictions restricted (IBRS)", _ENTRY),
    Cost("retbleed", "untrained return", "returns untrained (retbleed)", _ENTRY),
    Cost("spec_rstack_overflow", "Safe RET", "returns made safe (SRSO)", _ENTRY),
    Cost("spectre_v2", "BHI: SW loop", "branch history cleared (BHI)", _ENTRY),
    Cost("mds", "Clear CPU buffers", *_BUFFERS),
    Cost("tsx_async_abort", "Clear CPU buffers", *_BUFFERS),
    Cost("mmio_stale_data", "Clear CPU buffers", *_BUFFERS),
    Cost("tsa", "Clear CPU buffers", *_BUFFERS),
    Cost("reg_file_data_sampling", "Clear Register File", *_BUFFERS),
    Cost("gather_data_sampling", "Mitigation: Microcode", "gathers slowed (GDS)", "where a model looks values up"),
)
"""Those of which a task sees something. Others cost at the start, or programs that ask for them."""


def costs(m: Computer) -> tuple[Cost, ...]:
    """What is on here and costs something, each once."""
    found: dict[str, Cost] = {}
    for cost in COSTS:
        if re.search(cost.pattern, m.read(f"{VULNERABILITIES}/{cost.file}") or ""):
            is_slow_pti = cost.file == "meltdown" and "pcid" not in m.cpu_flags  # each change forgets all translations
            found.setdefault(cost.name, replace(cost, is_heavy=cost.is_heavy or is_slow_pti))
    return tuple(found.values())


def mitigations(m: Computer) -> Iterator[Fact]:
    """What do mended faults of the processor cost a wake-up?"""
    if not m.glob(f"{VULNERABILITIES}/*"):
        return
    found = costs(m)
    heavy = [cost for cost in found if cost.is_heavy]
    if heavy:
        value = "; ".join(f"{cost.name} {cost.when}" for cost in heavy)
        meaning = "the slowest of their kind, and a wake-up has several; off only where no foreign program ever runs"
        yield Fact("mitigations", "warn", value, meaning, boot_with(m, "mitigations=off"))
    elif found:
        value = "; ".join(f"{cost.name} {cost.when}" for cost in found)
        yield Fact("mitigations", "ok", value, "each makes a wake-up longer, which enters and leaves the kernel")
    else:
        yield Fact(
            "mitigations", "ok", "none that costs a wake-up", "system calls and interrupts are as short as can be"
        )


def microcode(m: Computer) -> Iterator[Fact]:
    """Is the processor's own program old?"""
    if m.is_virtual or not (m.read(f"{VULNERABILITIES}/old_microcode") or "").startswith("Vulnerable"):
        return
    revision = re.search(r"^microcode\s*:\s*(\S+)", m.read("/proc/cpuinfo") or "", re.MULTILINE)
    vendor = "intel" if "GenuineIntel" in (m.read("/proc/cpuinfo") or "") else "amd64"
    meaning = "newer ones mend faults in hardware that the kernel else goes around, at the cost of wake-ups"
    fix = f"sudo apt-get install {vendor}-microcode   # then restart the computer; or a newer firmware"
    yield Fact("microcode", "warn", f"{revision[1] if revision else 'unknown'}, old", meaning, fix)


def simd(m: Computer) -> Iterator[Fact]:
    """Which vector instructions can the kernels use? The same question as at a start, asked of the files."""
    kind = "x86_64" if m.is_x86 else "aarch64" if "asimd" in m.cpu_flags else "armv7"
    features = features_of(kind, m.read("/proc/cpuinfo") or "")
    if found := fitting(kind, features):
        target = found[0].target
        words = "" if target.arithmetic == "fused" else f"; no FMA: {_arithmetic(target)}"
        yield Fact("SIMD", "ok", found[0].name, f"{target.lanes} lanes of float32{words}")
        return
    least = next((entry for entry in LEVELS.values() if entry.machine == kind), LEVELS["x86-64-v2"])
    lacks = [name for name in least.required if name not in features]
    fix = "run on a processor of x86-64-v2 (Intel since Nehalem, AMD since Bulldozer); in a VM: host CPU model"
    yield Fact("SIMD", "bad", f"no {', '.join(lacks)}", f"{least.name} is the least that the kernels need", fix)


def _arithmetic(target: Target) -> str:
    """What a start here would compute, if it is told nothing else."""
    chosen = os.environ.get("RT_ENGINE_ARITHMETIC") or target.arithmetic
    return f"arithmetic {chosen}: {ARITHMETICS.get(chosen, 'there is none of this name')}"


FAMILY = "processor"
ORDER = 90
PROBES = (simd, mitigations, microcode)
