"""Probes of a network card for EtherCAT, on fake /proc and /sys trees."""

import ctypes
import shlex
import struct
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fieldbus.ethercat.wire.interface import InterfaceFacts
from station.cli import app
from station.errors import ExitCode
from station.machine.card import Card, card_of
from station.machine.computer import Computer
from station.machine.probes import examine, families
from tests.station.machine.computers import put

CARD_PROBES = [probe for probes, is_for_card in families().values() if is_for_card for probe in probes]
READY = Card(
    "eth1",
    InterfaceFacts("eth1"),
    7,
    wait_us=0,
    wait_frames=1,
    saves_power=False,
    sent_us=50,
    ring=(256, 512),
    firmware="3.25",
)
FIELD = {
    "/proc/cmdline": "isolcpus=2,3",
    "/proc/cpuinfo": "flags : fpu\n",
    "/sys/devices/system/cpu/online": "0-3",
    "/sys/devices/system/cpu/isolated": "2-3",
    "/proc/interrupts": "     CPU0 CPU1 CPU2 CPU3\n 40: 0 0 5 0 PCI-MSI 0-edge eth1-rx-0\n 41: 0 0 5 0 PCI-MSI 1-edge other\n",
    "/proc/irq/40/smp_affinity_list": "3",
    "/sys/class/net/eth1/speed": "100",
    "/sys/class/net/eth1/duplex": "full",
    "/sys/class/net/eth1/napi_defer_hard_irqs": "0",
    "/sys/class/net/eth1/gro_flush_timeout": "0",
    "/sys/bus/pci/drivers/igb/x": "",
    "/sys/devices/pci0/y": "",
}
"""A card, and a computer around it, without a shortcoming."""


@pytest.fixture
def facts(tmp_path):
    """What the card's probes say; with files changed (None: removed), and the card's own answers."""

    def make(changes=(), place="pci0", driver="igb", cpu=2, **card):
        for path, text in {**FIELD, **dict(changes)}.items():
            if text is not None:
                file = tmp_path / path.lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        device = tmp_path / "sys/devices" / place
        device.mkdir(parents=True, exist_ok=True)
        drivers = tmp_path / "sys/bus/pci/drivers" / driver
        drivers.mkdir(parents=True, exist_ok=True)
        (device / "driver").symlink_to(drivers)
        (tmp_path / "sys/class/net/eth1/device").symlink_to(device)
        machine = Computer(tmp_path, cpu, card=replace(READY, **card))
        return {fact.name: fact for probe in CARD_PROBES for fact in probe(machine)}

    return make


def test_a_ready_card(facts):
    """Every probe that has an answer says ok, and needs no command."""
    found = facts()
    assert {fact.level for fact in found.values()} == {"ok"}, found
    assert list(found) == [
        "EtherCAT interface",
        "card",
        "link speed",
        "interrupt delay",
        "card's interrupts",
    ]
    assert found["card"].value == "igb 3.25, room for 256 frames that came, 512 to go"
    assert found["interrupt delay"].value == "none, 50 us for frames that left, which delays none"
    assert not any(fact.fix for fact in found.values())


@pytest.mark.parametrize(
    ("given", "name", "level", "fix"),
    [
        (
            {"use": InterfaceFacts("eth1", addresses=("10.0.0.1",))},
            "EtherCAT interface",
            "bad",
            "sudo ip addr flush dev eth1",
        ),
        ({"use": InterfaceFacts("eth1", is_up=False)}, "EtherCAT interface", "bad", "sudo ip link set eth1 up"),
        ({"use": InterfaceFacts("eth1", masters=("process 5 (rt-engine)",))}, "EtherCAT interface", "ok", ""),
        ({"place": "pci0/usb1/1-2", "driver": "ax88179"}, "card", "warn", "PCI Express"),
        ({"driver": "virtio_net"}, "card", "warn", ""),
        ({"changes": {"/sys/class/net/eth1/speed": "1000"}}, "link speed", "warn", "ip link show eth1"),
        ({"changes": {"/sys/class/net/eth1/duplex": "half"}}, "link speed", "bad", "ethtool -s eth1 autoneg on"),
        ({"wait_us": 3}, "interrupt delay", "warn", "sudo ethtool -C eth1 rx-usecs 0"),
        ({"wait_us": 50}, "interrupt delay", "bad", "rx-usecs 0"),
        ({"is_adaptive": True}, "interrupt delay", "warn", "adaptive-rx off rx-usecs 0"),
        ({"saves_power": True}, "energy saving", "warn", "sudo ethtool --set-eee eth1 eee off"),
        (
            {"changes": {"/sys/class/net/eth1/gro_flush_timeout": "20000"}},
            "gro_flush_timeout",
            "warn",
            "echo 0 | sudo tee",
        ),
        (
            {"changes": {"/proc/irq/40/smp_affinity_list": "0-3"}},
            "card's interrupts",
            "warn",
            "for i in 40; do echo 3 ",
        ),
        ({"changes": {"/proc/irq/40/smp_affinity_list": "0"}}, "card's interrupts", "warn", "for i in 40; do echo 3 "),
        ({"changes": {"/sys/class/net/eth1/threaded": "1"}}, "frames fetched by", "warn", "echo 0 | sudo tee"),
        ({"changes": {"/sys/class/net/eth1/queues/rx-0/rps_cpus": "e"}}, "frames handed on", "warn", "rps_cpus"),
        (
            {"changes": {"/run/NetworkManager/devices/7": "[device]\nmanaged=true\n"}},
            "NetworkManager",
            "warn",
            "nmcli device set eth1 managed no",
        ),
        (
            {"changes": {"/run/systemd/netif/links/7": "ADMIN_STATE=configured\n"}},
            "systemd-networkd",
            "warn",
            "Unmanaged=yes",
        ),
    ],
)
def test_one_shortcoming(given, name, level, fix, facts):
    """Each changes its own fact, says what it means, and names a command that a shell can parse."""
    found = facts(**given)[name]
    assert (found.level, fix in found.fix) == (level, True)
    assert found.meaning
    assert level == "ok" or name == "card" or shlex.split(found.fix, comments=True)


def test_what_does_not_stand_in_the_way_is_not_told(facts):
    """An unmanaged interface, a computer without isolated cores, a driver that does not say."""
    changes = {
        "/run/NetworkManager/devices/7": "[device]\nmanaged=false\n",
        "/run/systemd/netif/links/7": "ADMIN_STATE=unmanaged\n",
        "/sys/devices/system/cpu/isolated": "",
        "/sys/class/net/eth1/speed": "-1",
    }
    names = set(facts(changes, wait_us=None, saves_power=None))
    assert names == {"EtherCAT interface", "card", "card's interrupts"}


def test_what_a_driver_answers(monkeypatch):
    """Each answer is read from the place that linux/ethtool.h gives it, and of none is told more than there is."""
    answers = {
        0x03: struct.pack("=I32s32s32s", 3, b"igb", b"6.1", b"3.25, 0x800005cc"),
        0x0E: struct.pack("=12I", 14, 3, 8, 0, 0, 50, 0, 0, 0, 0, 1, 0),
        0x10: struct.pack("=9I", 16, 4096, 0, 0, 4096, 256, 0, 0, 512),
        0x44: struct.pack("=6I", 68, 0, 0, 0, 0, 1),
    }

    def ioctl(_, __, request):
        address = struct.unpack("16xQ16x", request)[0]
        answer = answers[ctypes.c_uint32.from_address(address).value]
        ctypes.memmove(address, answer, len(answer))

    monkeypatch.setattr("station.machine.card.fcntl.ioctl", ioctl)
    monkeypatch.setattr("station.machine.card.interface_facts", InterfaceFacts)
    card = card_of("lo")
    assert (card.wait_us, card.wait_frames, card.sent_us, card.is_adaptive) == (3, 8, 50, True)
    assert (card.ring, card.saves_power, card.driver, card.firmware) == ((256, 512), True, "igb", "3.25, 0x800005cc")


def test_without_a_card_nothing_is_asked(tmp_path):
    """The probes are those of `doctor --interface` alone."""
    put(tmp_path, FIELD)
    named = {fact.name for fact in examine(Computer(tmp_path, card=READY))}
    assert {fact.name for fact in examine(Computer(tmp_path))} < named


@pytest.mark.parametrize("text", ["", "x", "-1", "9" * 50, "a:b:c\n1 2", "CPU0\n 0: 1 eth1\n"])
def test_a_computer_that_talks_nonsense(tmp_path, text):
    """No probe fails."""
    for path in (
        *FIELD,
        "/run/NetworkManager/devices/7",
        "/run/systemd/netif/links/7",
        "/proc/irq/0/smp_affinity_list",
    ):
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert all(fact.meaning for fact in examine(Computer(tmp_path, card=READY)))


def test_this_computers_loopback():
    """A driver that answers nothing says nothing; doctor shows why the interface is none, with a command."""
    card = card_of("lo")
    assert (card.wait_us, card.saves_power) == (None, None)
    told = CliRunner().invoke(app, ["doctor", "--seconds", "0", "--interface", "lo"])
    assert told.exit_code == ExitCode.FAILED
    assert "EtherCAT interface" in told.output
    none = CliRunner().invoke(app, ["doctor", "--seconds", "0", "--interface", "nothing9"])
    assert none.exit_code == ExitCode.USAGE
    assert "ip -br link" in none.output
