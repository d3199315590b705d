"""Slaves and places of tags -> datagrams, frames, working counters."""

import pytest

from fieldbus.errors import ConfigurationError
from fieldbus.ethercat.plan import BusSlave, Place, aligned, plan_of
from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.wire.frames import HEAD_BYTES, LEAST_FRAME, MOST_DATA, MOST_DATAGRAMS, Datagram, datagrams_of
from fieldbus.exchange.plan import Plan
from fieldbus.tags import Tag
from tests.fieldbus.ethercat.bench import PLACES, SLAVES

X = Tag("x", "int32", "in")


def frames_of(plan: Plan) -> list[list[Datagram]]:
    """Its frames, as they would be sent."""
    frames, first = [], 0
    for packet in plan.packets:
        some = plan.transactions[first : first + packet.count]
        frames.append(datagrams_of(packet.head + b"".join(one.request for one in some)))
        first += packet.count
    assert first == len(plan.transactions)
    return frames


def names(plan: Plan) -> list[str]:
    """Commands in order, frames apart."""
    return [" ".join(one.command.name for one in frame) for frame in frames_of(plan)]


def test_a_thread_of_its_own_asks_everything_at_once() -> None:
    """Outputs and inputs of a slave are one LRW; what it writes comes first."""
    plan = plan_of(SLAVES, PLACES, "own-thread", 1)
    assert names(plan) == ["LRW LWR LRD BRD"]
    assert [one.counter for one in plan.transactions] == [3, 1, 1, 4]
    assert plan.writes == 2


def test_a_cycle_reads_and_writes_apart() -> None:
    """LRD when it begins, LWR when the outputs are there: never in one frame."""
    plan = plan_of(SLAVES, PLACES, "in-cycle", 1, clock=1001)
    assert names(plan) == ["LWR LWR", "LRD LRD FRMW BRD"]
    assert [one.counter for one in plan.transactions] == [1, 1, 1, 1, 1, 4]
    assert [one.tells_time for one in plan.transactions].index(True) == 4
    assert plan.writes == 2


def test_a_slave_without_lrw_gets_lwr_and_lrd() -> None:
    """Its outputs are with those that write."""
    slaves = aligned([BusSlave(name="old", logical=0, out_bytes=2, in_bytes=2, has_lrw=False)])
    assert names(plan_of(slaves, (), "own-thread", 1)) == ["LWR LRD BRD"]


def test_a_frame_of_one_datagram_gets_a_second() -> None:
    """Its number would have 7 bits only. What follows still belongs to the phase that it must."""
    slaves = aligned([BusSlave(name="lamps", logical=0, out_bytes=1)])
    plan = plan_of(slaves, (), "in-cycle", 1)
    assert names(plan) == ["LWR NOP", "BRD NOP"]
    assert plan.writes == 2
    assert [one.counter for one in plan.transactions] == [1, 0, 1, 0]


def test_frames_are_as_long_as_ethernet_carries_and_no_longer() -> None:
    """Sixty slaves of 40 bytes each way: as few frames as it takes, none beyond 1,498 bytes of datagrams."""
    slaves = aligned([BusSlave(name=f"s{i}", logical=0, out_bytes=40, in_bytes=40) for i in range(60)])
    plan = plan_of(slaves, (), "own-thread", 1)
    sizes = [sum(one.nbytes for one in frame) for frame in frames_of(plan)]
    assert [len(frame) for frame in frames_of(plan)] == [28, 28, 5]
    assert all(size <= MOST_DATAGRAMS for size in sizes)
    assert plan.writes == 60
    assert [packet.least for packet in plan.packets] == [LEAST_FRAME] * 3


def test_process_data_beyond_a_datagram_are_several() -> None:
    """3,000 bytes of inputs and 1,000 of outputs: only parts that have outputs count as written; no tag is cut in two."""
    slave = aligned([BusSlave(name="big", logical=0, out_bytes=1000, in_bytes=3000)])
    place = Place(X, 0, 0, 8 * (MOST_DATA - 2), 32)
    plan = plan_of(slave, [place], "own-thread", 1)
    parts = [one for frame in frames_of(plan) for one in frame if one.command == Command.LRW]
    assert [(one.address, len(one.data)) for one in parts] == [(0, 1484), (1484, 1486), (2970, 30)]
    assert [one.counter for one in plan.transactions if one.label.startswith("big")] == [3, 1, 1]
    held = [one for one in plan.transactions if one.inputs]
    assert [(one.label, one.inputs[0].byte) for one in held] == [("big, LRW 1486 bytes (x)", 0)]
    assert max(HEAD_BYTES + sum(d.nbytes for d in f) for f in frames_of(plan)) <= HEAD_BYTES + MOST_DATAGRAMS


def test_a_tag_outside_of_its_slave_is_refused() -> None:
    """With both sides' numbers."""
    with pytest.raises(
        ConfigurationError, match=r"'x': bits 24 to 55 are not within the 6 bytes of inputs that slave 'drive' has"
    ):
        plan_of(SLAVES, [Place(X, 0, 1, 24, 32)], "own-thread", 1)


@pytest.mark.parametrize(
    ("type_name", "bits"), [("float32", 16), ("int16", 17), ("bool", 2), ("uint64", 60), ("float32", 31)]
)
def test_bits_that_are_no_value_of_the_type_are_refused(type_name: str, bits: int) -> None:
    """More than it has, or a part of a float."""
    slave = aligned([BusSlave(name="s", logical=0, in_bytes=16)])
    with pytest.raises(
        ConfigurationError, match=f"{bits} bits from bit 0 of the process data of slave 's' on are no {type_name}"
    ):
        plan_of(slave, [Place(Tag("x", type_name, "in"), 0, 0, 0, bits)], "own-thread", 1)


def test_a_tag_longer_than_a_datagram_is_refused() -> None:
    """It cannot be of one moment."""
    slave = aligned([BusSlave(name="s", logical=0, in_bytes=4000)])
    with pytest.raises(ConfigurationError, match=r"'x' has more than the 1486 bytes of a datagram"):
        plan_of(slave, [Place(Tag("x", "int32", "in", count=1000), 0, 0, 0, 32)], "own-thread", 1)


def test_logical_addresses_do_not_overlap() -> None:
    """Each slave begins at a multiple of 8; outputs and inputs share."""
    slaves = aligned([BusSlave(name=str(n), logical=0, out_bytes=n, in_bytes=9 - n) for n in (1, 9, 0)], 64)
    assert [slave.logical for slave in slaves] == [64, 72, 88]
