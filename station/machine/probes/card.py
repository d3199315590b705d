"""A network card: is it one for EtherCAT, and does anything sleep or speak on it?

Offloads are not looked at: they hold back TCP, and an EtherCAT frame is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from station.machine.computer import NET, Computer, Fact, cpu_list
from station.machine.probes.memory import NODES, node_of

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


def driver(m: Computer) -> Iterator[Fact]:
    """Is it a card that interrupts at once?"""
    device = m.root / f"{NET}/{_name(m)}/device".lstrip("/")
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
        said = [name, m.card.firmware] if m.card else [name]
        rings = "room for {} frames that came, {} to go".format(*m.card.ring) if m.card and m.card.ring else ""
        meaning = "its driver gets each frame as it comes, if it does not wait for more (below)"
        yield Fact("card", "ok", ", ".join(filter(None, (" ".join(filter(None, said)), rings))), meaning)


def speed(m: Computer) -> Iterator[Fact]:
    """Are slaves at the other end of the cable?"""
    found, duplex = m.read(f"{NET}/{_name(m)}/speed"), m.read(f"{NET}/{_name(m)}/duplex")
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


def energy(m: Computer) -> Iterator[Fact]:
    """Does the line sleep between frames?"""
    card = m.card
    assert card is not None
    if card.saves_power:
        meaning = "the line sleeps between frames, and takes some 20 us to wake"
        yield Fact("energy saving", "warn", "on", meaning, f"sudo ethtool --set-eee {card.name} eee off")


def bus_sleep(m: Computer) -> Iterator[Fact]:
    """Does the card, or its way to the processor, sleep between frames?"""
    device = f"{NET}/{_name(m)}/device"
    if any(m.read(f"{device}/link/{state}_aspm") == "1" for state in ("l0s", "l1")):
        meaning = "the card's way to the processor sleeps between frames (ASPM), and takes up to 64 us to wake"
        fix = f"for f in {device}/link/*_aspm; do echo 0 | sudo tee $f; done   # for good: pcie_aspm=off at the start"
        yield Fact("card's bus", "warn", "sleeps", meaning, fix)
    if m.read(f"{device}/power/control") == "auto" and m.read(f"{device}/power/runtime_status") == "suspended":
        meaning = "the card is switched off while nobody uses it"
        yield Fact("card's power", "warn", "suspended", meaning, f"echo on | sudo tee {device}/power/control")


def nearness(m: Computer) -> Iterator[Fact]:
    """Is the card on the side of the task's core?"""
    node, own = m.number(f"{NET}/{_name(m)}/device/numa_node"), node_of(m, m.task_cpu)
    if node is None or own is None or node < 0 or node == own:
        return
    there = m.read(f"{NODES}/node{node}/cpulist") or cpu_list([])
    meaning = f"each frame crosses to node {own}, where core {m.task_cpu} is"
    fix = f"give the task one of the cores {there}: cpu = ... in its table, or a slot of the other side to the card"
    yield Fact("card's node", "warn", f"node {node}", meaning, fix)


def _name(m: Computer) -> str:
    assert m.card is not None
    return m.card.name


FAMILY = "network card"
ORDER = 100
FOR_CARD = True
PROBES = (interface, managers, driver, speed, energy, bus_sleep, nearness)
