"""Registers of an ESC -> what is wrong, and what would help. Places: ESC data sheet, section II."""

import struct

import pytest

from fieldbus.ethercat.health import BLOCKS, Health, Port, findings, health_of

CLOCKED, PLAIN = 0x0004, 0x0000


def registers(features=PLAIN, state=8, code=0, errors=(), status=0x0210, expired=0, difference=0, activation=0):
    """A whole ESC of 64 KB with these registers, cut as it is read; by default one port with a link, in OP."""
    memory = bytearray(0x1000)
    struct.pack_into("<H", memory, 0x0008, features)
    struct.pack_into("<HH", memory, 0x0010, 0x1001, 7)
    struct.pack_into("<H", memory, 0x0110, status)
    struct.pack_into("<HHH", memory, 0x0130, state, 0, code)
    struct.pack_into("<H", memory, 0x0400, 2498)
    struct.pack_into("<H", memory, 0x0420, 1000)
    memory[0x0440], memory[0x0442] = 1, expired
    struct.pack_into("<II", memory, 0x0928, 310, difference)
    memory[0x0981] = activation
    struct.pack_into("<I", memory, 0x09A0, 1_000_000)
    for register, count in dict(errors).items():
        memory[register] = count
    return {register: bytes(memory[register : register + size]) for register, size in BLOCKS.items()}


def hint(position=0, **changes):
    """The only finding."""
    (found,) = findings([health_of(position, registers(**changes))])
    return found


def test_a_slave_that_is_well():
    """State, address, alias, watchdog (100 ms as it comes: 1000 ticks of 100 us) and ports; nothing is found."""
    health = health_of(3, registers())
    assert (health.position, health.address, health.alias, health.state_words) == (3, 0x1001, 7, "OP")
    assert health.watchdog_ms == 100.0
    assert health.clock is None
    assert [(p.has_link, p.is_used) for p in health.ports] == [
        (True, True),
        (False, False),
        (False, False),
        (False, False),
    ]
    assert findings([health]) == []
    assert health.as_dict()["state_words"] == "OP"


@pytest.mark.parametrize(
    ("changes", "what", "would_help"),
    [
        ({"state": 0x14, "code": 0x1B}, "SAFE-OP with an error: its watchdog expired", "no master wrote its outputs in time"),
        ({"state": 0x12, "code": 0x8001}, "of its maker's own", "its manual has this code"),
        ({"errors": {0x300: 3, 0x301: 2}}, "5 damaged frames or symbols came into port 0", "between it and the controller"),
        ({"errors": {0x303: 255}}, "255 or more damaged frames or symbols came into port 1", "behind it, from its port 1 on"),
        ({"errors": {0x311: 4}}, "port 1 lost its link 4 times", "look at the plugs behind it"),
        ({"errors": {0x30C: 9}}, "9 frames that are no EtherCAT came", "take it out"),
        ({"errors": {0x30D: 1}}, "1 errors between its ESC and its processor", "its maker knows"),
        ({"expired": 2}, "its watchdog expired 2 times", "watchdog of 100 ms"),
        ({"status": 0x0230}, "port 1 has a link, and no EtherCAT comes through", "is no slave, or starts"),
        ({"features": CLOCKED, "activation": 3, "difference": 0x80000000 | 5000}, "clock is +5,000 ns", "settles in seconds"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong(changes, what, would_help):
    """What is wrong, in words, and what would help, each alone."""
    found = hint(**changes)
    assert what in found.what
    assert would_help in found.hint
    assert str(found).startswith("slave 0: ")


def test_where_damage_came_from():
    """Port 0 of a slave leads to the one before it."""
    assert "between it and slave 3" in hint(4, errors={0x300: 1}).hint


def test_what_others_saw_before_is_no_finding():
    """Errors that an ESC before has marked are its finding alone."""
    health = health_of(1, registers(errors={0x308: 5}))
    assert health.ports[0].forwarded == 5
    assert findings([health]) == []


def test_clocks():
    """Sign and size of the difference; a clock that does not pulse may be wherever it is."""
    clock = health_of(0, registers(features=CLOCKED, difference=250)).clock
    assert (clock.difference_ns, clock.delay_ns, clock.is_pulsing, clock.cycle_ns) == (-250, 310, False, 1_000_000)
    assert findings([health_of(0, registers(features=CLOCKED, difference=99999))]) == []


def test_the_whole_bus():
    """Slaves that are not in OP where others are; two with one alias."""
    port = (Port(True, True),) * 4
    slaves = [Health(0, 1, 0, 8, 0, port), Health(1, 2, 5, 4, 0, port), Health(2, 3, 5, 2, 0, port)]
    found = findings(slaves)
    assert [f.position for f in found] == [None, None]
    assert "not in OP like the others: 1, 2" in found[0].what
    assert "slaves 1, 2 have one alias, 5" in found[1].what
    assert findings([Health(0, 1, 0, 2, 0, port), Health(1, 1, 0, 1, 0, port)]) == []


def test_registers_that_an_esc_does_not_have():
    """Old ESCs have no counters: they are zero."""
    blocks = {register: data for register, data in registers().items() if register < 0x300}
    assert health_of(0, blocks).errors == 0
