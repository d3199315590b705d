"""How old values are, and how good, of each question by itself. A clock that the test moves."""

import struct

from fieldbus.exchange.block import Event, Phase
from tests.fieldbus.exchange.bench import MS, START, Bench, framed, number_of, qualities

WRITTEN = b"\x01\x10\x00\x64\x00\x02"
FIRST_READ = b"\x01\x03\x04\x00\x07\x00\x08"
SECOND_READ = b"\x02\x03\x04" + struct.pack(">f", 2.5)
ALL = (WRITTEN, FIRST_READ, SECOND_READ)


def sent_speed(request: bytes) -> float:
    """The output in a write."""
    assert request[7] == 16
    return float(struct.unpack(">f", request[13:17])[0])


def test_a_good_cycle_gives_values_as_old_as_their_question() -> None:
    """Asked at 0, 2 and 5 ms: the channel of one read has the time of its question, that of both the older one."""
    with Bench() as bench:
        bench.begin()
        bench.wait(2 * MS)
        bench.answer(framed(number_of(bench.asked()), WRITTEN))
        bench.wait(3 * MS)
        bench.answer(framed(number_of(bench.asked()), FIRST_READ))
        bench.wait(4 * MS)
        bench.answer(framed(number_of(bench.asked()), SECOND_READ))
        bench.finish()
        assert qualities([bench.both, bench.first, bench.second]) == ["GOOD"] * 3
        ages = [c.read().timestamp_ns - START for c in (bench.both, bench.first, bench.second)]
        assert ages == [2 * MS, 2 * MS, 5 * MS]
        assert bench.both.read().values.tolist() == [7.0, 8.0, 2.5]


def test_outputs_that_grew_too_old_while_another_was_asked_are_gathered_anew() -> None:
    """A late answer of the cycle before holds the write back: what is sent then is safe, or a newer write, never the old one."""
    for newer, expected in ((None, -1.0), (6.0, 6.0)):
        with Bench(answer_ns=500 * MS, timeout_ns=100 * MS) as bench:
            bench.exchange.drivers([bench.speed])
            bench.speed.write([5.0], timestamp_ns=bench.now_ns)
            bench.begin()
            bench.answer(framed(number_of(bench.asked()), WRITTEN))
            late = number_of(bench.asked())
            bench.finish()  # the task's I/O deadline
            bench.begin()  # gathers 5.0, and cannot send it yet
            assert bench.asked() == b""
            bench.wait(101 * MS)
            if newer is not None:
                bench.speed.write([newer], timestamp_ns=bench.now_ns)
            bench.answer(framed(late, FIRST_READ))
            assert sent_speed(bench.asked()) == expected


def test_outputs_within_the_timeout_are_sent_as_they_were_gathered() -> None:
    """At exactly the timeout they still count; what is written meanwhile is for the next cycle."""
    with Bench(answer_ns=500 * MS, timeout_ns=100 * MS) as bench:
        bench.exchange.drivers([bench.speed])
        bench.speed.write([5.0], timestamp_ns=bench.now_ns)
        bench.begin()
        bench.answer(framed(number_of(bench.asked()), WRITTEN))
        late = number_of(bench.asked())
        bench.finish()
        bench.begin()
        bench.wait(100 * MS)
        bench.speed.write([6.0], timestamp_ns=bench.now_ns)
        bench.answer(framed(late, FIRST_READ))
        assert sent_speed(bench.asked()) == 5.0


def test_inputs_are_stale_within_the_timeout_then_bad() -> None:
    """The device falls silent: STALE from the first missed beat on with the old time and values, BAD after the timeout."""
    with Bench(timeout_ns=100 * MS) as bench:
        bench.cycle(*ALL)
        bench.wait(50 * MS)
        bench.begin()
        bench.finish()
        sample = bench.first.read()
        assert (sample.quality.name, sample.timestamp_ns, sample.values.tolist()) == ("STALE", START, [7.0, 8.0])
        bench.wait(50 * MS)
        bench.begin()
        bench.finish()
        assert qualities([bench.first, bench.second]) == ["STALE"] * 2
        bench.wait(1)
        bench.begin()
        bench.finish()
        assert qualities([bench.both, bench.first, bench.second]) == ["BAD"] * 3


def test_a_refused_unit_leaves_the_other_one_good() -> None:
    """Exception 2 of unit 2: its channel, and one with both, are BAD; that of unit 1 is GOOD. It is asked again, and recovers."""
    with Bench() as bench:
        bench.cycle(*ALL)
        bench.cycle(WRITTEN, FIRST_READ, b"\x02\x83\x02")
        assert qualities([bench.both, bench.first, bench.second]) == ["BAD", "GOOD", "BAD"]
        note = bench.exchange.note()
        assert note is not None
        assert (note.event, note.transaction, note.code) == (Event.REFUSED, 2, 2)
        bench.cycle(*ALL)
        assert qualities([bench.both, bench.first, bench.second]) == ["GOOD"] * 3


def test_a_refusal_that_passes_makes_stale_and_bad_after_the_timeout() -> None:
    """Exception 6 (busy) of unit 2 again and again: STALE for the timeout, then BAD; unit 1 stays GOOD."""
    with Bench(timeout_ns=100 * MS) as bench:
        bench.cycle(*ALL)
        for waited_ms, expected in ((50, "STALE"), (50, "STALE"), (1, "BAD")):
            bench.wait(waited_ms * MS)
            bench.cycle(WRITTEN, FIRST_READ, b"\x02\x83\x06")
            assert qualities([bench.first, bench.second]) == ["GOOD", expected]


def test_a_question_is_not_repeated_before_its_time_is_over() -> None:
    """Cycles of 1 ms, an answer is awaited for 10 ms: one request in that time, the next one afterwards with another number."""
    with Bench(answer_ns=10 * MS) as bench:
        bench.begin()
        first = bench.asked()
        for _ in range(9):
            bench.finish()
            bench.wait(MS)
            bench.begin()
        assert bench.asked() == b""
        bench.finish()
        bench.wait(MS)
        bench.begin()
        again = bench.asked()
        assert (number_of(again), again[7]) == (number_of(first) + 1, first[7])


def test_a_late_answer_is_dropped_by_its_number() -> None:
    """What comes after its question was given up is never decoded, though it has the shape of what is asked now."""
    with Bench(answer_ns=10 * MS) as bench:
        bench.cycle(*ALL)
        bench.begin()
        bench.answer(framed(number_of(bench.asked()), WRITTEN))
        given_up = number_of(bench.asked())
        bench.wait(10 * MS)  # unit 1 is given up, unit 2 is asked
        bench.answer(framed(number_of(bench.asked()), SECOND_READ))
        bench.finish()
        bench.begin()
        bench.answer(framed(number_of(bench.asked()), WRITTEN))
        asked = number_of(bench.asked())
        bench.answer(framed(given_up, b"\x01\x03\x04\xde\xad\xbe\xef"))
        assert bench.exchange.counter("late") == 1
        bench.answer(framed(asked, FIRST_READ))
        bench.answer(framed(number_of(bench.asked()), SECOND_READ))
        bench.finish()
        assert bench.both.read().values.tolist() == [7.0, 8.0, 2.5]
        assert qualities([bench.first, bench.second]) == ["GOOD"] * 2


def test_an_answer_that_missed_its_cycle_counts_as_stale_and_as_old_as_its_question() -> None:
    """It comes in the next cycle, before anything else is asked: newer values, but no beat; right afterwards all is GOOD."""
    with Bench(answer_ns=100 * MS) as bench:
        bench.cycle(*ALL)
        bench.wait(MS)
        asked_ns = bench.now_ns
        bench.begin(Phase.READS)
        late = number_of(bench.asked())
        bench.finish(Phase.READS)
        bench.wait(5 * MS)
        bench.begin(Phase.READS)
        assert bench.asked() == b""
        bench.answer(framed(late, b"\x01\x03\x04\x00\x09\x00\x0a"))
        assert bench.asked()[7:] == b"\x03\x00\x00\x00\x02"  # the same question anew
        bench.finish(Phase.READS)
        sample = bench.first.read()
        assert (sample.quality.name, sample.timestamp_ns, sample.values.tolist()) == ("STALE", asked_ns, [9.0, 10.0])
