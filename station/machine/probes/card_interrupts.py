"""A network card's interrupts: how soon is a frame told, and to which core?"""

from __future__ import annotations

from collections.abc import Iterator

from station.machine.computer import NET, Computer, Fact, mask_cpus, parse_cpus


def coalescing(m: Computer) -> Iterator[Fact]:
    """Does the card wait for more frames before it says that one came?"""
    card = m.card
    assert card is not None
    if card.wait_us is None:
        return
    fix = f"sudo ethtool -C {card.name} {'adaptive-rx off ' if card.is_adaptive else ''}rx-usecs 0"
    if card.is_adaptive:
        yield Fact(
            "interrupt delay",
            "warn",
            "adaptive",
            "the card waits for more frames as it likes: answers come late, unevenly",
            fix,
        )
    elif card.wait_us:
        meaning = f"an answer that is there is told up to {card.wait_us} us later"
        yield Fact("interrupt delay", "bad" if card.wait_us >= 50 else "warn", f"{card.wait_us} us", meaning, fix)
    else:
        sent = f", {card.sent_us} us for frames that left, which delays none" if card.sent_us else ""
        yield Fact("interrupt delay", "ok", f"none{sent}", "the card says at once that a frame came")


def polling(m: Computer) -> Iterator[Fact]:
    """Does the kernel put interrupts off?"""
    folder = f"{NET}/{_name(m)}"
    for name in ("napi_defer_hard_irqs", "gro_flush_timeout"):
        found = m.read(f"{folder}/{name}")
        if found is not None and found.isdigit() and int(found):
            meaning = "the kernel leaves frames lying for a while before it looks"
            yield Fact(name, "warn", found, meaning, f"echo 0 | sudo tee {folder}/{name}")


def queues(m: Computer) -> Iterator[Fact]:
    """Does the kernel hand a frame that came to another core?"""
    folders = m.glob(f"{NET}/{_name(m)}/queues/rx-*")
    steered = {cpu for folder in folders for cpu in mask_cpus(m.read(f"{m.path(folder)}/rps_cpus") or "")}
    if steered:
        meaning = "each frame is handed to another core by a message (RPS) before it is told"
        fix = f"for f in {NET}/{_name(m)}/queues/rx-*/rps_cpus; do echo 0 | sudo tee $f; done"
        yield Fact("frames handed on", "warn", f"to {len(steered)} cores", meaning, fix)


def threaded(m: Computer) -> Iterator[Fact]:
    """Does a thread of ordinary priority fetch the frames?"""
    file = f"{NET}/{_name(m)}/threaded"
    if m.number(file):
        meaning = "a thread without real-time priority fetches each frame: behind every other program of its core"
        yield Fact("frames fetched by", "warn", "a thread (NAPI)", meaning, f"echo 0 | sudo tee {file}")


def interrupt_cores(m: Computer) -> Iterator[Fact]:
    """Do the card's interrupts stay on one core, and not on one that does everything else?"""
    numbers = _interrupts(m)
    if not numbers or len(m.cores) == 1:
        return
    allowed = {cpu for number in numbers for cpu in parse_cpus(m.read(f"/proc/irq/{number}/smp_affinity_list") or "")}
    quiet = [cpu for cpu in m.isolated if cpu != m.task_cpu]
    best = quiet[0] if quiet else max(cpu for cpu in m.cores if cpu != m.task_cpu)
    shown = ",".join(map(str, sorted(allowed)))
    fix = f"for i in {' '.join(numbers)}; do echo {best} | sudo tee /proc/irq/$i/smp_affinity_list; done"
    if len(allowed) > 1:
        yield Fact("card's interrupts", "warn", f"cores {shown}", "they may wander: answers come unevenly", fix)
    elif quiet and not allowed <= set(quiet):
        meaning = f"other programs run there, too: answers wait for them; core {best} is isolated"
        yield Fact("card's interrupts", "warn", f"core {shown}", meaning, fix)
    elif allowed:
        yield Fact("card's interrupts", "ok", f"core {shown}", "they stay where they are")


def _interrupts(m: Computer) -> list[str]:
    """Their numbers: those of the device, or whose name has the interface's in it."""
    numbers = [path.name for path in m.glob(f"{NET}/{_name(m)}/device/msi_irqs/*")]
    lines = (m.read("/proc/interrupts") or "").splitlines()
    named = [line.partition(":")[0].strip() for line in lines if _name(m) in line.replace("-", " ").split()]
    known = {line.partition(":")[0].strip() for line in lines}
    return sorted({n for n in (*numbers, *named) if n.isdigit() and n in known}, key=int)


def _name(m: Computer) -> str:
    assert m.card is not None
    return m.card.name


FAMILY = "frames"
ORDER = 110
FOR_CARD = True
PROBES = (coalescing, polling, queues, threaded, interrupt_cores)
