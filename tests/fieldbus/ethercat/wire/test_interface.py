"""Interfaces that cannot be used: one sentence each, with the command that mends it."""

import os
import re

import pytest

from fieldbus.errors import ConnectionLostError
from fieldbus.ethercat.wire import interface
from fieldbus.ethercat.wire.interface import (
    InterfaceFacts,
    addresses_6,
    check_interface,
    interface_facts,
    masters,
    missing_rights,
)

PACKET = """sk       RefCnt Type Proto  Iface R Rmem   User   Inode
ffff8881 3      3    88a4   7     1 0      0      4711
ffff8882 3      3    88a4   8     1 0      0      4712
ffff8883 3      3    0003   7     1 0      0      4713
ffff8884 3      2    88A4   7     1 0      0      4714
"""
CASES = [
    ({"exists": False, "others": ("eth0", "eth1")}, 'no network interface "eth9"; this computer has eth0, eth1', "ip -br link"),
    ({"exists": False}, "this computer has none", "ip -br link"),
    ({"is_ethernet": False}, "no Ethernet with a cable", "ip -br link"),
    ({"missing_rights": ("CAP_NET_RAW", "CAP_NET_ADMIN")}, "CAP_NET_RAW and", "sudo setcap cap_net_raw,cap_net_admin+ep /"),
    ({"is_up": False}, "is down", "sudo ip link set eth9 up"),
    ({"addresses": ("10.0.0.5",)}, "has the address 10.0.0.5", "sudo ip addr flush dev eth9"),
    ({"masters": ("process 42 (ec)",)}, "process 42 (ec)", "kill 42"),
    ({"masters": ("a process that is not seen from here",)}, "not seen from here", "sudo ss -0 -p -a"),
    ({"has_link": False}, "no link: is the cable in", "ip link show eth9"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "why", "command"), CASES)
def test_one_sentence_and_a_command(facts, why, command):
    """What stands in the way, and after the last colon what mends it."""
    problem = InterfaceFacts("eth9", **facts).problem
    assert why in problem
    assert command in problem
    assert re.fullmatch(r"[^\n]+[^.\n]", problem)


def test_an_interface_that_can_be_used():
    """Up, of its own, with the rights: nothing stands in the way."""
    assert InterfaceFacts("eth9").problem == ""


def test_what_is_not_there():
    """Names that are none, and one that no computer has."""
    for name in ("", "nothing-like-it", "../lo", "x" * 50, "\0"):
        with pytest.raises(ConnectionLostError, match="there is no network interface"):
            check_interface(name)


def test_the_loopback_interface():
    """It is seen as it is, and is no Ethernet."""
    facts = interface_facts("lo")
    assert facts.exists
    assert not facts.is_ethernet
    assert "no Ethernet" in facts.problem


def test_only_addresses_that_somebody_gave():
    """Every interface has a link-local one by itself; others' do not count."""
    table = (
        "fe800000000000000000000000000001 02 40 20 80     eth1\n"
        "20010db8000000000000000000000001 02 40 00 80     eth1\n"
        "20010db8000000000000000000000002 03 40 00 80     eth2\nnonsense\n"
    )
    assert list(addresses_6("eth1", table)) == ["2001:db8::1"]


def test_rights():
    """Bits 12 and 13 of the effective set; where nothing is said there are none."""
    assert missing_rights("Name:\tx\nCapEff:\t0000000000003000\n") == ()
    assert missing_rights("CapEff:\t0000000000001000\n") == ("CAP_NET_RAW",)
    assert missing_rights("") == ("CAP_NET_RAW", "CAP_NET_ADMIN")


@pytest.fixture
def table(tmp_path):
    """What `/proc/net/packet` says."""
    table = tmp_path / "packet"
    table.write_text(PACKET)
    return table


def test_other_masters_are_named(tmp_path, table, monkeypatch):
    """Sockets for EtherCAT's frames on this interface, whoever has them; not ours, not of others, not a sniffer's."""
    monkeypatch.setattr(interface, "_CLOSING_S", 0.0)
    fd = tmp_path / "42" / "fd"
    fd.mkdir(parents=True)
    (tmp_path / "42" / "comm").write_text("ec-master\n")
    (fd / "5").symlink_to("socket:[4711]")
    (fd / "6").symlink_to("socket:[4712]")
    (fd / "7").symlink_to("/dev/null")
    assert list(masters(7, table, tmp_path)) == ["process 42 (ec-master)", "a process that is not seen from here"]
    assert list(masters(9, table, tmp_path)) == []
    mine = tmp_path / str(os.getpid()) / "fd"
    mine.mkdir(parents=True)
    (mine / "9").symlink_to("socket:[4714]")
    assert list(masters(7, table, tmp_path)) == ["process 42 (ec-master)"]


def test_a_socket_that_is_just_closed_is_nobodys(tmp_path, table, monkeypatch):
    """Its process has it no longer, and the table still has it for a moment."""
    closing = PACKET.splitlines(keepends=True)
    monkeypatch.setattr(interface.time, "sleep", lambda _: (closing.pop(), table.write_text("".join(closing))))
    assert list(masters(7, table, tmp_path)) == []


def test_a_table_that_is_not_there_names_nobody(tmp_path):
    """A kernel without packet sockets, or one that does not tell."""
    assert list(masters(7, tmp_path / "none", tmp_path)) == []
    assert interface._read(tmp_path / "none") == ""
