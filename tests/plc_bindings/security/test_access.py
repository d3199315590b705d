"""Who may connect, and how much one client may ask."""

import timeit

import pytest

from plc_bindings.security.access import Access, Limits


class Audit(list):
    def __call__(self, *line):
        self.append(line)


@pytest.fixture
def audit():
    return Audit()


def test_without_a_list_only_this_computer_may_come(audit):
    access = Access(audit=audit)
    assert access.admit("127.0.0.1") and access.admit("127.8.9.1") and access.admit("::1")
    assert access.admit("192.168.10.5") is None
    assert audit == [("192.168.10.5", "connect", "refused: address not allowed")]


@pytest.mark.parametrize(
    ("address", "comes"),
    [
        ("192.168.10.77", True),
        ("192.168.11.1", False),
        ("10.1.1.1", True),
        ("10.1.1.2", False),
        ("::ffff:10.1.1.1", True),
        ("::ffff:10.1.1.2", False),
        ("fe80::1%eth0", True),
        ("127.0.0.1", False),
        ("no address", False),
        ("?", False),
    ],
)
def test_networks_and_addresses(audit, address, comes):
    """A list replaces this computer; IPv4 in IPv6 counts as IPv4; what is no address does not come."""
    access = Access(["192.168.10.0/24", "10.1.1.1", "fe80::/10"], audit=audit)
    assert (access.admit(address) is not None) == comes
    assert bool(audit) != comes


def test_an_entry_that_is_no_network_is_named():
    with pytest.raises(ValueError, match=r"192\.168\.10\.5/24"):
        Access(["192.168.10.5/24"])


def test_certificates_by_fingerprint_or_name(audit):
    access = Access(certificates=["AB:CD:" + "00:" * 29 + "0F", "Line PLC"], audit=audit)
    assert access.admit("127.0.0.1", ("abcd" + "00" * 29 + "0f", "somebody"))
    assert access.admit("127.0.0.1", ("00" * 32, "line plc"))
    assert access.admit("127.0.0.1", ("00" * 32, "other")) is None
    assert access.admit("127.0.0.1") is None
    assert [line[2] for line in audit] == ["refused: certificate not allowed"] * 2


def test_net_ids(audit):
    access = Access(net_ids=["5.1.2.3.1.1"], audit=audit)
    client = access.admit("127.0.0.1")
    assert access.allows_net_id(client, "5.1.2.3.1.1")
    assert not access.allows_net_id(client, "5.1.2.3.1.2")
    assert audit[0][0] == "127.0.0.1 5.1.2.3.1.2"


def test_whatever_is_refused_is_counted_once(audit):
    access = Access(networks=["10.0.0.0/8"], net_ids=["5.1.2.3.1.1"], audit=audit)
    client = access.admit("10.0.0.1")
    assert access.admit("127.0.0.1") is None
    access.allows_net_id(client, "5.1.2.3.1.2")
    access.audit("10.0.0.1 anna", "write of Tags.speed", "refused: not writable")
    access.audit("10.0.0.1 anna", "call of Tasks.axis.Reset", "done")
    assert access.refused == 3 and len(audit) == 4


def test_connections_are_counted_and_given_back(audit):
    access = Access(limits=Limits(connections=3, connections_per_address=2), audit=audit)
    first, second = access.admit("127.0.0.1"), access.admit("127.0.0.1")
    assert access.admit("127.0.0.1") is None
    third = access.admit("127.0.0.2")
    assert access.admit("127.0.0.3") is None
    assert [line[2] for line in audit] == [
        "refused: too many connections from this address",
        "refused: too many connections",
    ]
    for client in (first, first, second, third):  # twice is once
        access.release(client)
    assert access.clients == 0
    assert access.admit("127.0.0.1")


def test_a_client_asks_as_often_as_it_may_and_no_more(monkeypatch):
    """Ten at once, then ten a second; another client has its own share."""
    now = [0.0]
    monkeypatch.setattr("plc_bindings.security.access.time.monotonic", lambda: now[0])
    access = Access(limits=Limits(requests_per_second=10))
    one, other = access.admit("127.0.0.1"), access.admit("127.0.0.1")
    one._then = other._then = now[0]
    assert [one.may_ask() for _ in range(12)] == [True] * 10 + [False] * 2
    assert other.may_ask()
    now[0] += 0.25
    assert [one.may_ask() for _ in range(4)] == [True] * 2 + [False] * 2
    now[0] += 3600
    assert [one.may_ask() for _ in range(11)] == [True] * 10 + [False]


def test_counting_a_request_costs_little():
    """Less than a hundred empty calls: it is asked for every request. (Measured: about 0.2 us.)"""
    client = Access(limits=Limits(requests_per_second=1_000_000)).admit("127.0.0.1")
    empty = min(timeit.repeat(lambda: None, number=10_000))
    assert min(timeit.repeat(client.may_ask, number=10_000)) < 100 * empty
