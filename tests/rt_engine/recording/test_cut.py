import pytest

from rt_engine import recording as rec
from rt_engine.errors import RecordingError
from rt_engine.recording import Version, Writer
from rt_engine.recording.cut import cut
from tests.rt_engine.recording.recorded import LAYOUT, OFFSET_NS, checkpoints, cycles, tick
from tests.rt_engine.recording.test_recording import OTHER, written


def at(number):
    return tick(number) + OFFSET_NS


@pytest.fixture
def whole(tmp_path):
    """Cycles 0 to 299 with checkpoints each 100, and all that comes with a recording."""
    path = tmp_path / "whole.mcap"
    with Writer(
        path, [LAYOUT, OTHER], offset_ns=OFFSET_NS, about={"machine": "press"}, station="[tasks]",
        versions=[Version("balance", 1, "aa")], attachments={"models/aa.onnx": b"a"},
    ) as writer:  # fmt: skip
        writer.add_checkpoints(LAYOUT, checkpoints([0, 100, 200]))
        writer.add_records(LAYOUT, cycles(0, 300))
        for number, kind in ((50, "version"), (120, "trigger"), (250, "trigger")):
            writer.add_event({"tick_ns": tick(number), "kind": kind, "task": "balance", "number": 2, "sha256": "bb"})
    return rec.open(path)


def test_a_part_begins_at_the_checkpoint_before_it_and_has_all_that_was_said(whole, tmp_path):
    (part,) = cut(whole, tmp_path / "part.mcap", at(150), at(210))
    assert (part.start, part.stop, part.has_checkpoint) == (100, 210, True)
    found = rec.open(tmp_path / "part.mcap")
    task = found.task()
    assert task.records().tobytes() == cycles(100, 210).tobytes()
    assert [checkpoint.number for checkpoint in task.checkpoints] == [100, 200]
    assert task.checkpoints[0].record.tobytes() == checkpoints([100]).tobytes()
    assert (found.about["machine"], found.about["cut_of"], found.station_text) == ("press", "whole.mcap", "[tasks]")
    assert found.versions["balance"][2].sha256 == "bb" and found.model("aa") == b"a"
    assert [event["tick_ns"] for event in found.events] == [tick(120)]
    assert found.check() == () and task.utc_ns()[0] == at(100)


def test_a_part_can_begin_exactly_where_one_says(whole, tmp_path):
    (part,) = cut(whole, tmp_path / "part.mcap", at(150), at(160), is_exact=True)
    assert (part.start, part.has_checkpoint) == (150, False)
    (part,) = cut(whole, tmp_path / "other.mcap", at(100), at(110), is_exact=True)
    assert (part.start, part.has_checkpoint) == (100, True)


def test_nothing_is_cut_where_nothing_is(whole, tmp_path):
    for start, stop in ((300, 400), (10, 10)):
        with pytest.raises(RecordingError, match="no cycle"):
            cut(whole, tmp_path / "part.mcap", at(start), at(stop))
    with pytest.raises(FileExistsError):
        cut(whole, tmp_path / "whole.mcap", at(0), at(10))
    assert whole.task("balance").records().tobytes() == cycles(0, 300).tobytes()


def test_a_part_does_not_go_over_a_boot(tmp_path):
    """A file has one clock."""
    (tmp_path / "two").mkdir()
    written(tmp_path / "two" / "a.mcap", [(0, 100)])
    written(tmp_path / "two" / "b.mcap", [(0, 100)], boot="2", offset_ns=OFFSET_NS + 10**12)
    both = rec.open(tmp_path / "two")
    with pytest.raises(RecordingError, match="over a start of the computer"):
        cut(both, tmp_path / "part.mcap", at(50), at(50) + 10**12)
    cut(both, tmp_path / "part.mcap", at(0) + 10**12, at(50) + 10**12)
    assert len(rec.open(tmp_path / "part.mcap").task()) == 50


def test_an_attachment_that_is_damaged_keeps_nobody_from_the_rest(whole, tmp_path):
    place = whole.files[0].contents.attachments[0].at
    data = bytearray((tmp_path / "whole.mcap").read_bytes())
    data[place] ^= 1
    (tmp_path / "damaged.mcap").write_bytes(data)
    damaged = rec.open(tmp_path / "damaged.mcap")
    (part,) = cut(damaged, tmp_path / "part.mcap", at(150), at(210))
    assert (part.start, part.stop) == (100, 210)
    assert rec.open(tmp_path / "part.mcap").attachments == {}
    assert "attachment 'models/aa.onnx' is damaged" in str(damaged.damaged)
