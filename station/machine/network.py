"""How ready a network card, and what belongs to it, is for EtherCAT. Probes, as those of `probes`, of `Computer.card`.

Offloads are not looked at: they hold back TCP, and an EtherCAT frame is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from station.machine.computer import Computer, Fact, boot_with, parse_cpus

_NET: Final = "/sys/class/net"
_MBIT: Final = 100
_VIRTUAL: Final = frozenset({"veth", "virtio_net", "vmxnet3", "hv_netvsc", "xen-netfront", "ena"})


def interface(m: Computer) -> Iterator[Fact]:
    """May it be used at all?"""
    card = m.card
    assert card is not None
    if problem := replace(card.use, masters=()).problem:  # a station that runs is a master, too
        meaning, _, fix = problem.rpartition(": ")
        yield Fact("EtherCAT interface", "bad", card.name, meaning, fix)
    else:
        yield Fact("EtherCAT interface", "ok", card.name, "it is up, has no address, and may be used")


def driver(m: Computer) -> Iterator[Fact]:
    """Is it a card that interrupts at once?"""
    device = m.root / f"{_NET}/{_name(m)}/device".lstrip("/")
    try:
        name, place = (device / "driver").resolve(strict=True).name, str(device.resolve())
    except OSError:
        name, place = "", ""
    if "/usb" in place:
        meaning = "USB asks the adapter for frames when it likes: each comes up to 1 ms late"
        yield Fact(
            "card",
            "warn",
            f"{name}, on USB",
            meaning,
            "take a card on PCI Express (Intel i210, i225), or the board's own",
        )
    elif name in _VIRTUAL or not name:
        yield Fact(
            "card", "warn", name or "virtual", "no cable leads from it: nothing here says how a real bus behaves"
        )
    else:
        yield Fact("card", "ok", name, "its driver gets each frame as it comes, if it does not wait for more (below)")


def speed(m: Computer) -> Iterator[Fact]:
    """Are slaves at the other end of the cable?"""
    found, duplex = m.read(f"{_NET}/{_name(m)}/speed"), m.read(f"{_NET}/{_name(m)}/duplex")
    if found is None or not found.isdigit():
        return
    if int(found) > _MBIT:
        meaning = f"slaves speak {_MBIT} Mbit/s: what is plugged in is something else, a switch or a computer"
        yield Fact(
            "link speed",
            "warn",
            f"{found} Mbit/s",
            meaning,
            f"ip link show {_name(m)}   # then look where its cable ends",
        )
    elif int(found) < _MBIT or duplex == "half":
        fix = f"sudo ethtool -s {_name(m)} autoneg on"
        yield Fact(
            "link speed",
            "bad",
            f"{found} Mbit/s, {duplex} duplex",
            f"slaves need {_MBIT} Mbit/s in both directions",
            fix,
        )
    else:
        yield Fact("link speed", "ok", f"{found} Mbit/s, full duplex", "as slaves speak")


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
        yield Fact("interrupt delay", "ok", "none", "the card says at once that a frame came")


def polling(m: Computer) -> Iterator[Fact]:
    """Does the kernel put interrupts off?"""
    folder = f"{_NET}/{_name(m)}"
    for name in ("napi_defer_hard_irqs", "gro_flush_timeout"):
        found = m.read(f"{folder}/{name}")
        if found is not None and found.isdigit() and int(found):
            meaning = "the kernel leaves frames lying for a while before it looks"
            yield Fact(name, "warn", found, meaning, f"echo 0 | sudo tee {folder}/{name}")


def energy(m: Computer) -> Iterator[Fact]:
    """Does the line sleep between frames?"""
    card = m.card
    assert card is not None
    if card.saves_power:
        meaning = "the line sleeps between frames, and takes some 20 us to wake"
        yield Fact("energy saving", "warn", "on", meaning, f"sudo ethtool --set-eee {card.name} eee off")


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
    numbers = [path.name for path in m.glob(f"{_NET}/{_name(m)}/device/msi_irqs/*")]
    lines = (m.read("/proc/interrupts") or "").splitlines()
    named = [line.partition(":")[0].strip() for line in lines if _name(m) in line.replace("-", " ").split()]
    known = {line.partition(":")[0].strip() for line in lines}
    return sorted({n for n in (*numbers, *named) if n.isdigit() and n in known}, key=int)


def broadcasts(m: Computer) -> Iterator[Fact]:
    """Does every message between cores wake the isolated ones, too?"""
    if not m.isolated or "flags" not in (m.read("/proc/cpuinfo") or ""):
        return
    if "no_ipi_broadcast=1" in m.boot_words:
        yield Fact("core messages", "ok", "no_ipi_broadcast=1", "only the cores that are meant get them")
    else:
        meaning = "the kernel sends some to all cores at once, isolated ones too: jitter of some us"
        yield Fact("core messages", "warn", "broadcast", meaning, boot_with(m, "no_ipi_broadcast=1"))


def managers(m: Computer) -> Iterator[Fact]:
    """Does a daemon give the interface addresses, or take it down?"""
    card = m.card
    assert card is not None
    if "managed=true" in (m.read(f"/run/NetworkManager/devices/{card.index}") or "").splitlines():
        fix = f"sudo nmcli device set {card.name} managed no   # for good: unmanaged-devices=interface-name:{card.name} in its conf.d"
        yield Fact(
            "NetworkManager",
            "warn",
            f"manages {card.name}",
            "it sends DHCP requests to slaves, and may take it down",
            fix,
        )
    if "ADMIN_STATE=configur" in (m.read(f"/run/systemd/netif/links/{card.index}") or ""):
        file = f"/etc/systemd/network/00-{card.name}.network"
        fix = (
            rf"printf '[Match]\nName={card.name}\n[Link]\nUnmanaged=yes\n' | sudo tee {file} && sudo networkctl reload"
        )
        yield Fact(
            "systemd-networkd",
            "warn",
            f"manages {card.name}",
            "it sends DHCP requests to slaves, and may take it down",
            fix,
        )


def _name(m: Computer) -> str:
    assert m.card is not None
    return m.card.name


CARD_PROBES: Final[tuple[Callable[[Computer], Iterator[Fact]], ...]] = (
    interface,
    managers,
    driver,
    speed,
    coalescing,
    polling,
    energy,
    interrupt_cores,
    broadcasts,
)
