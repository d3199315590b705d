"""The exchange on a bus: each slave as good as its own datagram; what is lost, late, doubled or foreign is counted."""

import random
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest

from fieldbus.errors import GarbageError
from fieldbus.ethercat.plan import BusSlave, Place, aligned
from fieldbus.ethercat.protocol import AL_ERROR, AlState, Command
from fieldbus.ethercat.wire.frames import datagrams_of, frame_of
from fieldbus.ethercat.wire.socket import INDEXES
from fieldbus.exchange.block import Event, Phase
from fieldbus.link.ports import Cells
from fieldbus.tags import Quality, Tag
from tests.fieldbus.ethercat.bench import ALL_GOOD, ANSWER_NS, DRIVE, OUT, OUTPUTS, TIMEOUT_NS, Bench
from tests.fieldbus.exchange.bench import MS


def test_outputs_go_out_and_inputs_come_back_in_one_frame() -> None:
    """Values, bits beside which nothing is touched, qualities and counters of two cycles."""
    with Bench() as bench:
        drive, switches, lamps = bench.wire.slaves[1:]
        bench.write(1.5, 15, 1)
        drive.inputs[:] = struct.pack("<Hi", 567, -1500)
        switches.inputs[0] = 0b10100
        assert len(bench.phase()) == 1
        assert (bytes(drive.outputs), bytes(lamps.outputs)) == (struct.pack("<Hi", 15, 1500), bytes([1 << 5]))
        assert [bench.values(name) for name in ("position", "status", "switches")] == [
            [-1.5],
            [567.0],
            [1.0, 0.0, 1.0, 0.0],
        ]
        bench.phase()
        assert bench.qualities() == ALL_GOOD
        assert bench.counters() == {"reads": 2, "writes_done": 2, "state_changes": 1}
        assert (bench.exchange.bus_state, bench.exchange.health) == ((AlState.OP, 4), Quality.GOOD)


def test_nobody_drives_and_safe_values_go_out() -> None:
    """And bits that are no tag's are 0."""
    with Bench() as bench:
        bench.phase()
        assert bytes(bench.wire.slaves[1].outputs) == struct.pack("<Hi", 2, -1000)
        assert bytes(bench.wire.slaves[3].outputs) == bytes([1 << 5])


def test_a_cycle_reads_at_its_begin_and_writes_at_its_end() -> None:
    """Outputs that were written after the inputs came are out in the same cycle."""
    with Bench("in-cycle") as bench:
        drive = bench.wire.slaves[1]
        drive.inputs[:] = struct.pack("<Hi", 1, 2000)
        bench.phase(Phase.READS)
        assert bench.values("position") == [2.0]
        bench.write(3.0, 4, 0)
        bench.phase(Phase.WRITES)
        assert bytes(drive.outputs) == struct.pack("<Hi", 4, 3000)
        bench.phase(Phase.READS)
        assert bench.counters() == {"reads": 1, "writes_done": 1, "state_changes": 1}
        assert bench.qualities() == ALL_GOOD


def test_numbers_of_frames_are_ours_and_unlike() -> None:
    """The first index is 0x80 or above; two of 300 frames have the same indexes nowhere."""
    with Bench() as bench:
        seen = set()
        for _ in range(300):
            (frame,) = bench.phase()
            indexes = tuple(one.index for one in datagrams_of(frame))
            assert indexes[0] in INDEXES
            seen.add(indexes)
        assert len(seen) == 300


def test_a_slave_that_is_gone_takes_only_its_own_inputs_with_it() -> None:
    """STALE at once, BAD at the timeout, and good again when it is back; counted, and named to the keeper."""
    with Bench() as bench:
        bench.phase()
        assert bench.exchange.note() is not None
        drive = bench.wire.slaves[1]
        drive.is_there = False
        bench.phase()
        assert bench.qualities() == {"position": "STALE", "status": "STALE", "switches": "GOOD"}
        note = bench.exchange.note()
        assert note is not None
        assert (note.event, bench.plan.transactions[note.transaction].label[:5], note.code) == (
            Event.COUNTER,
            "drive",
            0,
        )
        for _ in range(TIMEOUT_NS // MS + 1):
            bench.phase()
        assert bench.qualities() == {"position": "BAD", "status": "BAD", "switches": "GOOD"}
        assert bench.exchange.health is Quality.BAD
        assert bench.counters()["writes_done"] == 1
        assert bench.exchange.bus_state == (AlState.OP, 3)
        drive.is_there = True
        bench.phase()
        assert bench.qualities() == ALL_GOOD
        assert bench.exchange.health is Quality.GOOD


@pytest.mark.parametrize("state", [AlState.SAFEOP, AlState.SAFEOP | AL_ERROR, AlState.OP | AL_ERROR])
def test_a_state_that_is_not_op_alone_is_told_and_nothing_waits_for_it(state: int) -> None:
    """Inputs go on; the link is not good, and the keeper knows the word."""
    with Bench() as bench:
        bench.phase()
        bench.exchange.note()
        bench.wire.slaves[2].state = state
        bench.phase()
        assert bench.qualities() == ALL_GOOD
        assert bench.exchange.health is Quality.STALE
        note = bench.exchange.note()
        assert note is not None
        assert (note.event, note.code) == (Event.STATE, state | AlState.OP)
        bench.wire.slaves[2].state = AlState.OP
        bench.phase()
        assert bench.exchange.health is Quality.GOOD
        assert bench.counters()["state_changes"] == 3


def test_a_lost_frame_is_not_awaited_beyond_its_time() -> None:
    """Its inputs are stale, the phase is over, and the next is as good as ever."""
    with Bench() as bench:
        bench.phase()
        bench.exchange.note()
        assert bench.begin()
        bench.wait(ANSWER_NS - 1)
        assert bench.counters().get("frames_lost", 0) == 0
        bench.wait(1)
        assert bench.counters()["frames_lost"] == 1
        bench.finish()
        note = bench.exchange.note()
        assert note is not None
        assert note.event is Event.MISSED
        assert set(bench.qualities().values()) == {"STALE"}
        bench.phase()
        assert bench.qualities() == ALL_GOOD


def test_a_phase_that_ends_before_its_answer_counts_a_lost_frame() -> None:
    """The deadline of a task's I/O; what comes after it is late, and gives no value."""
    with Bench() as bench:
        bench.phase()
        (frame,) = bench.begin()
        bench.finish()
        assert bench.counters()["frames_lost"] == 1
        bench.wire.slaves[2].inputs[0] = 0xFF
        late = bench.wire.answer(frame)
        bench.wire.slaves[2].inputs[0] = 0
        (frame,) = bench.begin()
        bench.come(late, bench.wire.answer(frame))
        bench.finish()
        assert bench.counters()["late"] == 1
        assert (bench.values("switches"), bench.qualities()) == ([0.0] * 4, ALL_GOOD)


def test_a_frame_that_comes_twice_counts_once() -> None:
    """The second is late, in the next cycle too."""
    with Bench() as bench:
        (frame,) = bench.begin()
        back = bench.wire.answer(frame)
        bench.come(back, back)
        bench.finish()
        bench.phase()
        assert bench.counters() == {"reads": 2, "writes_done": 2, "state_changes": 1, "late": 1}


def test_a_frame_that_is_a_whole_turn_of_the_first_number_late_is_late() -> None:
    """128 frames later the first datagram's index is the same; the others' are not."""
    with Bench() as bench:
        (old,) = bench.begin()
        bench.finish()
        for _ in range(127):
            bench.phase()
        (frame,) = bench.begin()
        assert datagrams_of(old)[0].index == datagrams_of(frame)[0].index
        bench.come(bench.wire.answer(old), bench.wire.answer(frame))
        bench.finish()
        assert bench.counters()["late"] == 1


def many() -> Bench:
    """Sixty slaves of 40 bytes: three frames."""
    slaves = aligned([BusSlave(name=f"s{i}", logical=0, out_bytes=40, in_bytes=40) for i in range(60)])
    tags = [Tag(f"x{i}", "int16", "in") for i in range(60)]
    inputs = Cells("bus", tags)
    places = [Place(tag, inputs.first[tag.name], i, 16, 16) for i, tag in enumerate(tags)]
    return Bench("own-thread", slaves, places, inputs, OUTPUTS)


def test_several_frames_are_under_way_at_once_and_come_back_in_any_order() -> None:
    """Each tag gets its own slave's value; a frame that is lost takes its own slaves alone."""
    with many() as bench:
        for i, slave in enumerate(bench.wire.slaves):
            slave.inputs[2:4] = (i + 1).to_bytes(2, "little")
        frames = bench.begin()
        assert len(frames) == 3
        bench.come(*map(bench.wire.answer, reversed(frames)))
        bench.finish()
        assert [bench.values(f"x{i}") for i in range(60)] == [[i + 1.0] for i in range(60)]
        frames = bench.begin()
        bench.come(bench.wire.answer(frames[2]), bench.wire.answer(frames[0]))
        bench.wait(ANSWER_NS)
        bench.finish()
        stale = [i for i in range(60) if bench.inputs[f"x{i}"].read().quality is Quality.STALE]
        assert stale == list(range(28, 56))
        assert bench.counters()["frames_lost"] == 1


def test_a_full_queue_is_a_lost_frame_and_the_end_of_nothing() -> None:
    """The interface takes no more just now."""
    with Bench() as bench:
        while True:
            try:
                bench.ours.send(bytes(100))
            except BlockingIOError:
                break
        bench.begin()
        bench.finish()
        assert bench.counters()["frames_lost"] == 1
        bench.phase()
        assert bench.qualities() == ALL_GOOD


def test_an_interface_that_is_gone_ends_the_connection() -> None:
    """The keeper gets the exchange, and the system's word."""
    with Bench() as bench:
        bench.phase()
        bench.exchange.note()
        bench.theirs.close()
        bench.start()
        bench.finish()
        assert bench.exchange.is_mine
        note = bench.exchange.note()
        assert note is not None
        assert note.event is Event.FAILED


# --- bits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_numbers_of_whatever_bits_are_those_of_a_twin(seed: int) -> None:
    """Signed and unsigned, across bytes, several of one tag; outputs leave the bits around them alone."""
    chance = random.Random(seed)
    places, bit, tags = [], 0, {"in": [], "out": []}
    for number in range(12):
        type_name, most = chance.choice(
            [("bool", 1), ("int8", 8), ("uint8", 8), ("int16", 16), ("uint16", 16), ("int32", 32)]
        )
        way, bits, count = chance.choice(["in", "out"]), chance.randint(1, most), chance.randint(1, 4)
        tag = Tag(f"t{number}", type_name, way, count=count)
        bit += chance.randint(0, 9)
        places.append((tag, bit, bits))
        bit += bits * count
        tags[way].append(tag)
    nbytes = bit // 8 + 1
    slave = aligned([BusSlave(name="s", logical=0, out_bytes=nbytes, in_bytes=nbytes)])
    cells = {way: Cells("bus", tags[way]) for way in ("in", "out")}
    placed = [Place(tag, cells[tag.direction].first[tag.name], 0, bit, bits) for tag, bit, bits in places]
    with Bench("own-thread", slave, placed, cells["in"], cells["out"]) as bench:
        values = [chance.randint(-300, 300) for _ in range(cells["out"].count)]
        bench.outputs.write(np.array(values, float), timestamp_ns=bench.now_ns)
        bench.wire.slaves[0].inputs[:] = chance.randbytes(nbytes)
        bench.phase()
        image = int.from_bytes(bench.wire.slaves[0].inputs, "little")
        sent, mask = 0, 0
        for tag, first, bits in places:
            is_signed = tag.number.low < 0
            for i in range(tag.count):
                at = first + i * bits
                if tag.direction == "in":
                    raw = image >> at & ((1 << bits) - 1)
                    wanted = raw - (1 << bits) if is_signed and raw >> bits - 1 else raw
                    assert bench.values(tag.name)[i] == wanted, (tag, bits)
                else:
                    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
                    value = values[cells["out"].first[tag.name] + i]
                    sent |= (min(max(value, low), high) & ((1 << bits) - 1)) << at
                    mask |= ((1 << bits) - 1) << at
        assert int.from_bytes(bench.wire.slaves[0].outputs, "little") == sent


# --- what nobody asked for --------------------------------------------------------------------------------------------


def test_frames_that_are_nearly_ours_are_foreign() -> None:
    """Another command, address, length, type, count of datagrams: each is counted, and nothing else happens."""
    with Bench() as bench:
        (frame,) = bench.begin()
        back = bench.wire.answer(frame)
        one = datagrams_of(back)
        near = [
            frame_of([replace(one[0], command=Command.LRD), *one[1:]]),
            frame_of([replace(one[0], address=DRIVE.logical + 1), *one[1:]]),
            frame_of([replace(one[0], data=one[0].data + b"\0"), *one[1:]]),
            frame_of([*one[:1], replace(one[1], address=OUT.logical + 8), *one[2:]]),
            frame_of(one[:-1]),
            frame_of([*one, one[-1]]),
            frame_of([replace(one[0], index=5), *one[1:]]),
            back[:12] + b"\x08\x00" + back[14:],
            back[:40],
            b"",
            bytes(1514),
        ]
        bench.come(*filter(None, near), back)
        bench.finish()
        assert bench.counters() == {"foreign": len(near) - 1, "reads": 1, "writes_done": 1, "state_changes": 1}
        assert bench.qualities() == ALL_GOOD


def hostile(chance: random.Random, right: bytes, older: list[bytes]) -> bytes:
    """Something near the right answer, or far from it."""
    match chance.randrange(7):
        case 0:
            return chance.randbytes(chance.randrange(1, 1600))
        case 1:
            return right[: chance.randrange(1, len(right))]
        case 2:
            return right + chance.randbytes(chance.randrange(1, 200))
        case 3:
            return chance.choice(older) if older else right
        case 4:
            return right[:16] + chance.randbytes(len(right) - 16)
        case _:
            changed = bytearray(right)
            for _ in range(chance.choice((1, 1, 1, 2, 8))):
                place = chance.randrange(12, len(right)) if chance.random() < 0.7 else chance.randrange(12, 30)
                changed[place] = chance.choice((changed[place] ^ 1 << chance.randrange(8), chance.randrange(256)))
            return bytes(changed)


def campaign(seed: int, frames: int) -> dict[str, int]:
    """So many hostile frames among right ones; after each cycle every value is the slaves'. What differs from the right answer in its
    data alone nobody can tell, so that is left out."""
    chance, done, older = random.Random(seed), 0, []
    with Bench() as bench:
        bench.write(1.0, 2, 1)
        while done < frames:
            bench.wire.slaves[1].inputs[:] = chance.randbytes(6)
            (frame,) = bench.begin()
            right = bench.wire.answer(frame)
            others = [hostile(chance, right, older) for _ in range(chance.randrange(12))]
            others = [one for one in others if headers(one) != headers(right)]
            done += len(others)
            after = [
                one for one in others[: len(others) // 2] if one[17:18] == right[17:18]
            ]  # not the number of the next
            bench.come(*others[len(others) // 2 :], right, *after)
            bench.finish()
            assert bench.qualities() == ALL_GOOD
            assert bench.values("status") == [float(int.from_bytes(bench.wire.slaves[1].inputs[:2], "little"))]
            older = [*older[-20:], right]
        return bench.counters()


def headers(frame: bytes) -> list[tuple[int, int, int, int]] | None:
    """Of all datagrams, with the numbers that tell frames apart; None: it is none."""
    try:
        return [(one.command, one.index, one.address >> 16, len(one.data)) for one in datagrams_of(frame)]
    except GarbageError:
        return None


def test_thousands_of_hostile_frames_change_nothing() -> None:
    """Before and after the right answer: never a crash, never a wrong value; each is foreign or late. A million: `campaign`."""
    counters = campaign(1, 5000)
    assert counters["foreign"] > 2000
    assert counters["late"] > 200
    assert counters.get("wrong_counters", 0) == 0


def flood(seed: int, frames: int) -> dict[str, int]:
    """So many frames that are none of ours, again and again, dozens before each right answer; every exchange is as it must be."""
    chance = random.Random(seed)
    with Bench() as bench:
        bench.write(1.0, 2, 1)
        (frame,) = bench.phase()
        right = bench.wire.answer(frame)
        near = (hostile(chance, right, []) for _ in range(3000))
        pool = [one for one in near if shapes(one) != shapes(right)]
        for cycle in range(-(-frames // 40)):
            bench.wire.slaves[2].inputs[0] = cycle & 0xFF
            (frame,) = bench.begin()
            bench.come(*chance.choices(pool, k=40), bench.wire.answer(frame))
            bench.finish()
            assert bench.values("switches") == [float(cycle >> bit & 1) for bit in (2, 3, 4, 5)]
        assert bench.qualities() == ALL_GOOD
        return bench.counters()


def shapes(frame: bytes) -> list[tuple[int, int, int]] | None:
    """What tells a frame from those of others: no numbers."""
    found = headers(frame)
    return None if found is None else [(command, register, nbytes) for command, _, register, nbytes in found]


def test_a_flood_of_foreign_frames_is_counted() -> None:
    """A million of them: `python -m tests.fieldbus.ethercat.test_exchange 1000000`."""
    counters = flood(1, 10_000)
    assert counters["foreign"] == 10_000
    assert {name for name in counters if name not in ("foreign", "reads", "writes_done", "state_changes")} == set()


if __name__ == "__main__":
    print(flood(int(sys.argv[2]) if len(sys.argv) > 2 else 1, int(sys.argv[1])))
