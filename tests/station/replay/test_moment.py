"""Which cycle is meant: by number, by time, by tick; with all records since the checkpoint before it."""

from pathlib import Path

import numpy as np
import pytest

import rt_engine.recording
from rt_engine.errors import RecordingError
from rt_engine.recording.layout import Field, SourceFields, TaskLayout
from station.replay.moment import cycle_at, row_at

LAYOUT = TaskLayout("axis", 1_000_000, (SourceFields("plc", (Field("speed"),)),), (Field("valve"),), (("states", 8),))
BEGIN_NS = 50_000_000
UTC_NS = 1_795_835_520_000_000_000
"""2026-11-28T03:12:00Z; that is the first tick."""


def records(numbers) -> np.ndarray:
    made = np.zeros(len(numbers), LAYOUT.dtype)
    made["number"] = numbers
    made["tick_ns"] = BEGIN_NS + np.array(numbers) * LAYOUT.period_ns
    return made


@pytest.fixture(scope="module")
def axis(tmp_path_factory):
    """Cycles 0 to 999, but 500 to 509; checkpoints before 100, 200, ..."""
    path = tmp_path_factory.mktemp("rec") / "a.mcap"
    checkpoints = np.zeros(9, LAYOUT.checkpoint_dtype)
    checkpoints["number"] = np.arange(100, 1000, 100)
    checkpoints["tick_ns"] = BEGIN_NS + checkpoints["number"] * LAYOUT.period_ns
    with rt_engine.recording.Writer(path, [LAYOUT], offset_ns=UTC_NS - BEGIN_NS, compression="none") as writer:
        writer.add_records("axis", records([*range(500), *range(510, 1000)]))
        writer.add_checkpoints("axis", checkpoints)
    return rt_engine.recording.open(path).task("axis")


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ("#234", 234),
        (str(BEGIN_NS + 234_000_000), 234),
        ("2026-11-28T03:12:00.234Z", 234),
        ("2026-11-28T03:12:00.2349Z", 234),
        ("2026-11-28 03:12:00.234", 234),
        ("2026-11-28T04:12:00.999+01:00", 999),
    ],
)
def test_a_cycle_is_found(axis, at, number):
    """A time means the cycle in which it lies; without a zone it is UTC."""
    assert axis.records(row_at(axis, at), None, "row")[0]["number"] == number


def test_the_records_begin_at_the_checkpoint_before(axis):
    """And end with the cycle that is meant."""
    found, checkpoint, offset_ns = cycle_at(axis, "#234")
    assert found["number"].tolist() == list(range(200, 235))
    assert checkpoint["number"].tolist() == [200]
    assert offset_ns == UTC_NS - BEGIN_NS
    found, checkpoint, _ = cycle_at(axis, "#300")
    assert (found["number"].tolist(), checkpoint["number"].tolist()) == ([300], [300])


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("#99", "no checkpoint before it"),
        ("#550", "cycles are missing"),
        ("#505", "the next one is #510"),
        ("#5000", "has no cycle at #5000; the recording has ticks 50000000 to 1049000000"),
        ("99", "has no cycle at 99; the recording has ticks 50000000 to 1049000000"),
        ("2025-01-01", "2026-11-28T03:12:00.000000000Z"),
        ("2027-01-01", "2026-11-28T03:12:00.000000000Z"),
        ("noon", "says no moment; write a tick"),
        ("#x", "says no moment"),
    ],
)
def test_what_is_not_there_is_said(axis, at, said):
    """With what would help."""
    with pytest.raises(RecordingError, match=said):
        cycle_at(axis, at)


@pytest.mark.parametrize("at", [str(BEGIN_NS + 234_000_000), "2026-11-28T03:12:00.234Z"])
def test_a_cycle_in_a_damaged_chunk_is_told(axis, tmp_path, at):
    data = bytearray(Path(axis.record_rows.pieces[0].file.path).read_bytes())
    data[axis.record_rows.pieces[0].chunk.at + 40] ^= 1
    (tmp_path / "a.mcap").write_bytes(data)
    damaged = rt_engine.recording.open(tmp_path / "a.mcap").task("axis")
    with pytest.raises(RecordingError, match=r"damaged part of the recording"):
        cycle_at(damaged, at)
