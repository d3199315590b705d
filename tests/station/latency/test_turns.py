"""Whose turn it is, what cyclictest and the kernel's tracer print."""

import pytest

from station.latency.turns import Gaps, gaps_of, order, spreads_of, turn_seconds

CYCLICTEST = """\
# Histogram
000000 000000\t000000
000003 000007\t000001
000012 000001\t000000
# Total: 000000010 000000001
# Min Latencies: 00003 00003
# Avg Latencies: 00004 00003
# Max Latencies: 40000 00003
# Histogram Overflows: 00002 00000
# Histogram Overflow at cycle number:
# Thread 0: 00001
"""
TRACE = """\
# tracer: hwlat
           <...>-1729  [001] d..1.   678.473449: #1      inner/outer(us):   11/12    ts:1581527483.343962693 count:6
           <...>-1729  [004] d..1.   689.556542: #2      inner/outer(us):   16/9     ts:1581527494.889008092 count:1
"""


def test_a_histogram_of_cyclictest_is_read():
    """Both threads; what was beyond the last bin counts as the longest."""
    one, other = spreads_of(CYCLICTEST, 2)
    assert (one.count, one.min, one.max, one.percentile(50)) == (10, 3_000, 40_000_000, 4_000)
    assert (other.count, other.max) == (1, 3_000)


def test_gaps_of_the_tracer_are_read():
    assert gaps_of(TRACE) == [12_000, 16_000]


def test_turns():
    """Of four one is the peer's; models come in turns; the search for gaps seldom."""
    whose = order(2, True, True)
    assert [whose(turn) for turn in range(8)] == [0, 1, 0, -1, 1, 0, 1, -1]
    assert [order(1, False, False)(turn) for turn in range(3)] == [0, 0, 0]
    assert whose(19) == -2
    assert (turn_seconds(12), turn_seconds(600), turn_seconds(86_400)) == (3.0, 15.0, 60.0)


@pytest.fixture
def tracing(tmp_path):
    folder = tmp_path / "sys/kernel/tracing"
    folder.mkdir(parents=True)
    for name, text in {
        "available_tracers": "hwlat function nop\n",
        "current_tracer": "nop\n",
        "tracing_thresh": "0\n",
        "tracing_on": "0\n",
        "trace": TRACE,
    }.items():
        (folder / name).write_text(text)
    return folder


def test_the_tracer_is_left_as_it_was(tracing, tmp_path):
    gaps, why_not = Gaps.found(tmp_path)
    assert gaps is not None
    assert why_not == ""
    gaps.start()
    assert (tracing / "current_tracer").read_text() == "hwlat"
    assert gaps.stop() == [12_000, 16_000]
    assert [(tracing / name).read_text() for name in ("current_tracer", "tracing_thresh", "tracing_on")] == [
        "nop",
        "0",
        "0",
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [("available_tracers", "nop\n", "built without"), ("current_tracer", "function\n", "somebody traces already")],
)
def test_a_tracer_that_is_not_ours_is_left_alone(tracing, tmp_path, name, text, words):
    (tracing / name).write_text(text)
    assert words in Gaps.found(tmp_path)[1]


def test_without_tracing_it_is_said(tmp_path):
    assert "tracefs" in Gaps.found(tmp_path)[1]


def test_events_of_somebody_else_are_left_alone(tracing, tmp_path):
    """Another tracer would clear what they have so far."""
    (tracing / "set_event").write_text("sched:sched_switch\n")
    assert "events already" in Gaps.found(tmp_path)[1]


def test_a_tracer_that_is_refused_leaves_all_as_it_was(tracing, tmp_path):
    """A kernel refuses while somebody reads the trace."""
    gaps, _ = Gaps.found(tmp_path)
    assert gaps is not None
    (tracing / "tracing_on").unlink()
    with pytest.raises(OSError, match="tracing_on"):
        gaps.start()
    assert [(tracing / name).read_text() for name in ("current_tracer", "tracing_thresh")] == ["nop", "0"]
