"""A machine as its own files describe it, below a root folder; and what a probe of it answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from scheduler.groups import cores as cores_of_group
from scheduler.rights import Grant
from station.machine.card import Card
from station.machine.container import engine, is_rootless

Level = Literal["ok", "warn", "bad"]

CPU_FOLDER: Final = "/sys/devices/system/cpu"
NET: Final = "/sys/class/net"
GRUB: Final = "/etc/default/grub"
RESTART: Final = "   # then restart the computer"


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer: how good it is, what was found, what it means for a control task, and the command that mends it.

    `family`: the group of questions that it belongs to, as `station.machine.probes` names it.
    """

    name: str
    level: Level
    value: str
    meaning: str
    fix: str = ""
    family: str = ""


@dataclass(frozen=True, slots=True)
class Computer:
    """The files of a computer, and the core that the control task is meant for (None: the best candidate).

    `grants`: what this process really asked the system for, and its answers. Files say what is allowed; only asking says what
    is granted. `card`: the network card to judge for EtherCAT, which is there. `cycle_us`: the cycle that a delay is measured
    against. `denied`: files that are there and could not be read for want of rights, as they were met.
    """

    root: Path = Path("/")
    wanted_cpu: int | None = None
    grants: tuple[Grant, ...] = ()
    card: Card | None = None
    cycle_us: int = 1000
    denied: set[str] = field(default_factory=set, compare=False, repr=False)

    def answer(self, name: str) -> Grant | None:
        """What the system said to the first grant whose name begins so; None: it was not asked."""
        return next((grant for grant in self.grants if grant.name.startswith(name)), None)

    def read(self, path: str) -> str | None:
        """Stripped text of a file; None when it does not exist or may not be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").strip()
        except PermissionError:
            self.denied.add(path)
            return None
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """The whole number that a file begins with; None: there is none."""
        found = re.match(r"-?\d{1,20}(?![\w.])", self.read(path) or "")
        return int(found[0]) if found else None

    def path(self, file: Path) -> str:
        """A path of `glob` as `read` takes it."""
        return f"/{file.relative_to(self.root)}"

    def exists(self, path: str) -> bool:
        """Is there such a file? No, if we may not look."""
        try:
            return (self.root / path.lstrip("/")).exists()
        except OSError:
            return False

    def is_writable(self, path: str) -> bool:
        """May its owner write the file?"""
        try:
            return bool((self.root / path.lstrip("/")).stat().st_mode & 0o200)
        except OSError:
            return False

    def glob(self, pattern: str) -> list[Path]:
        """Existing files, sorted."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    @property
    def cores(self) -> list[int]:
        """Cores that are online."""
        return parse_cpus(self.read(f"{CPU_FOLDER}/online") or self.read(f"{CPU_FOLDER}/present") or "0") or [0]

    @property
    def isolated(self) -> list[int]:
        """Cores that the kernel's scheduler leaves alone."""
        return parse_cpus(self.read(f"{CPU_FOLDER}/isolated") or "")

    @property
    def task_cpu(self) -> int:
        """The core to judge: the wanted one, else of those that this process may use the first isolated one or the last."""
        if self.wanted_cpu is not None:
            return self.wanted_cpu
        allowed = self.allowed
        return next((cpu for cpu in self.isolated if cpu in allowed), allowed[-1])

    @property
    def allowed(self) -> list[int]:
        """Cores that are online, and that the control group leaves to this process."""
        group = cores_of_group(self.root)
        left = parse_cpus(group.text) if group else []
        return [cpu for cpu in self.cores if cpu in left] or self.cores

    @property
    def boot_words(self) -> list[str]:
        """Words of the kernel's command line."""
        return (self.read("/proc/cmdline") or "").split()

    def boot_value(self, name: str) -> str | None:
        """What follows `NAME=` on the kernel's command line, the last time; "": the bare word; None: it is not there."""
        found = [word.partition("=")[2] for word in self.boot_words if word.partition("=")[0] == name]
        return found[-1] if found else None

    @property
    def is_virtual(self) -> bool:
        """Is it a virtual machine?"""
        return "hypervisor" in self.cpu_flags

    @property
    def is_x86(self) -> bool:
        """Does /proc/cpuinfo describe a processor of Intel's kind?"""
        return "flags" in (self.read("/proc/cpuinfo") or "")

    @property
    def cpu_flags(self) -> frozenset[str]:
        """Features of the first processor, as the kernel names them."""
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", self.read("/proc/cpuinfo") or "", re.MULTILINE)
        return frozenset(found[1].split()) if found else frozenset()

    @property
    def engine(self) -> str:
        """What runs this process in a container, as `station.machine.container` names it; "": none does."""
        return engine(self.read, self.exists)

    @property
    def in_container(self) -> bool:
        """Is this process in a container?"""
        return bool(self.engine)

    def has_capability(self, bit: int, which: str = "CapEff") -> bool:
        """Does this process hold a capability? Of another set than the effective one: `CapBnd`, what it could be given.

        One that a rootless engine gives is none for the processor and its memory.
        """
        if is_rootless(self.read):
            return False
        found = re.search(rf"^{which}:\s*([0-9a-f]+)", self.read("/proc/self/status") or "", re.MULTILINE)
        return found is not None and bool(int(found[1], 16) >> bit & 1)

    def soft_limit(self, name: str) -> float:
        """Soft limit of this process by its name in /proc/self/limits; 0 when unknown."""
        found = re.search(rf"^{name}\s+(\S+)", self.read("/proc/self/limits") or "", re.MULTILINE)
        return 0.0 if found is None else float("inf") if found[1] == "unlimited" else float(found[1])


def parse_cpus(text: str) -> list[int]:
    """`"0,2-4"` -> `[0, 2, 3, 4]`; what is no number or range is left out."""
    ends = re.findall(r"(?:^|,)\s*(\d{1,5})(?:-(\d{1,5}))?(?=\s*(?:,|$))", text)
    return [cpu for low, high in ends for cpu in range(int(low), int(high or low) + 1)]


def mask_cpus(text: str) -> list[int]:
    """Cores of a hexadecimal mask as the kernel writes it, `"ff,00000003"`; what is none has none."""
    digits = text.replace(",", "")
    if not re.fullmatch(r"[0-9a-fA-F]{1,2048}", digits):
        return []
    bits = int(digits, 16)
    return [cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1]


def cpu_list(cpus: Iterable[int]) -> str:
    """`[0, 1, 2, 5]` -> `"0-2,5"`."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def for_good(name: str, value: str) -> str:
    """The command that sets a value below /proc/sys, at once and after each start."""
    return f"echo {name}={value} | sudo tee /etc/sysctl.d/99-rt-{name.rpartition('.')[2]}.conf && sudo sysctl --system"


def boot_with(m: Computer, words: str) -> str:
    """How to give the kernel parameters."""
    if m.exists(GRUB) and not m.in_container:
        return f"""sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&{words} /' {GRUB} && sudo update-grub{RESTART}"""
    return f"start the computer with the kernel parameters {words}"
