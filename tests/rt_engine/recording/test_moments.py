import pytest

from rt_engine import recording as rec
from rt_engine.errors import RecordingError
from rt_engine.recording import Writer
from rt_engine.recording.moments import duration_ns, in_words, span, utc_ns
from tests.rt_engine.recording.recorded import LAYOUT, OFFSET_NS, cycles, tick


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("moments") / "a.mcap"
    with Writer(path, [LAYOUT], offset_ns=OFFSET_NS) as writer:
        writer.add_records(LAYOUT, cycles(10, 100))
        writer.add_event({"tick_ns": tick(50), "kind": "trigger"})
        writer.add_event({"tick_ns": tick(20), "kind": "trigger"})
    return rec.open(path)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#30", 30), ("#0", 10), (str(tick(40)), 40), (str(tick(40) - 1), 40), ("@1", 20), ("@2", 50),
        ("+0.02", 30), ("+20ms", 30), ("+20 ms", 30), ("+0.02 s", 30), ("2023-11-14T22:13:25.030Z", 30),
        ("2023-11-14T23:13:25.030000000+01:00", 30), ("2023-11-14 22:13:25.03", 30),
    ],
)  # fmt: skip
def test_a_moment_is_said_in_several_ways(recording, text, number):
    assert utc_ns(recording, text) == tick(number) + OFFSET_NS


def test_a_time_is_taken_to_the_nanosecond(recording):
    assert utc_ns(recording, "2023-11-14T22:13:25.000000007Z") % 10**9 == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("now", "says no moment; write a tick"),
        ("@3", "has 2, from @1"),
        ("@", "has 2"),
        ("+x", "no duration"),
        ("", "no moment"),
    ],
)
def test_what_is_no_moment_is_refused_with_what_would_be(recording, text, words):
    with pytest.raises(RecordingError, match=words):
        utc_ns(recording, text)


def test_a_moment_behind_the_end_is_behind_the_last_cycle(recording):
    assert utc_ns(recording, "#5000") == span(recording)[1] + 1 == tick(99) + OFFSET_NS + 1


def test_durations_are_exact():
    assert [duration_ns(text) for text in ("10", "1.5ms", "0.000000001s", "2 min", "1h")] == [
        10**10, 1_500_000, 1, 120 * 10**9, 3600 * 10**9,
    ]  # fmt: skip
    for wrong in ("", "10 parsec", "-3s", "1e9"):
        with pytest.raises(RecordingError, match="no duration"):
            duration_ns(wrong)


def test_words_are_read_back():
    assert in_words(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456789Z"
    assert in_words(1 << 63).endswith("Z") and in_words(1 << 70).endswith("ns")
