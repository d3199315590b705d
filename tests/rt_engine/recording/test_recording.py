import pickle
import re

import numpy as np
import pytest

from rt_engine import recording as rec
from rt_engine.errors import RecordingError
from rt_engine.recording import Field, SourceFields, TaskLayout, Version, Writer
from tests import ROOT
from tests.rt_engine.recording.recorded import FIRST_NS, LAYOUT, OFFSET_NS, checkpoints, cycles, tick

OTHER = TaskLayout("other", 10_000_000, (), (Field("y"),))


def written(path, parts, *, boot="boot 1", offset_ns=OFFSET_NS, remembered=(), layouts=(LAYOUT,), **more):
    """A file with these runs of cycles; each is a chunk."""
    with Writer(path, layouts, offset_ns=offset_ns, about={"boot_id": boot}, compression="none", **more) as writer:
        for first, stop in parts:
            writer.add_records(LAYOUT, cycles(first, stop))
            writer.flush()
        for number in remembered:
            writer.add_checkpoints(LAYOUT, checkpoints([number]))
            writer.flush()
    return path


def numbers(task, *slices, by="tick"):
    return task.records(*slices, by=by)["number"].tolist()


@pytest.fixture
def task(tmp_path):
    """Cycles 0 to 299, in three chunks."""
    return rec.open(written(tmp_path / "a.mcap", [(0, 100), (100, 200), (200, 300)])).task()


def test_all_records_are_there_bit_for_bit(task):
    assert task.records().tobytes() == cycles(0, 300).tobytes()
    assert (len(task), task.layout, task.records().flags.writeable) == (300, LAYOUT, True)
    assert [len(block) for block in task.blocks()] == [100, 100, 100]
    assert [int(cycle["number"]) for cycle in task][-1] == 299


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (99, 100), (100, 101), (50, 250), (0, 300), (299, 300), (7, 7)])
def test_a_slice_is_the_same_by_tick_utc_number_and_row(task, start, stop):
    wanted = list(range(start, stop))
    assert numbers(task, tick(start), tick(stop)) == wanted
    assert numbers(task, tick(start) - 1, tick(stop) - 1) == wanted
    assert numbers(task, tick(start) + OFFSET_NS, tick(stop) + OFFSET_NS, by="utc") == wanted
    assert numbers(task, start, stop, by="number") == wanted
    assert numbers(task, start, stop, by="row") == wanted


def test_slices_that_leave_the_recording_end_with_it(task):
    assert numbers(task, None, tick(2)) == [0, 1]
    assert numbers(task, tick(298), 1 << 62) == [298, 299]
    assert numbers(task, -(1 << 70), 1 << 70) == list(range(300))
    assert numbers(task, 1 << 70) == numbers(task, tick(5), tick(3)) == []
    assert numbers(task, -2, None, by="row") == [298, 299]
    with pytest.raises(RecordingError, match="not by 'day'"):
        task.records(1, by="day")


def test_columns_go_by_the_name_of_a_tag_or_by_their_path(task):
    records = cycles(0, 300)
    assert np.array_equal(
        task.column("cart.position", tick(10), tick(20)), records["inputs"]["plc"]["cart_position"][10:20]
    )
    assert np.array_equal(task.column("pole"), records["inputs"]["plc"]["pole"])
    assert np.array_equal(task.column("force"), records["published"]["force"])
    assert np.array_equal(task.column("raw.modes"), records["raw"]["modes"])
    assert task.column("clock").shape == (300, 8) and task.column("plc.quality").shape == (300,)
    assert task.column("force", 5, 5).shape == (0,) and task.column("pole", 5, 5).shape == (0, 3)
    with pytest.raises(
        RecordingError, match=r"no column 'speeed'; did you mean 'speed'. It has tick_ns, .*inputs\.drive\.speed"
    ):
        task.column("speeed")


def test_a_name_that_two_columns_have_asks_for_a_path():
    layout = TaskLayout("t", 1, (SourceFields("a", (Field("x"),)), SourceFields("b", (Field("x"),))), ())
    with pytest.raises(RecordingError, match=r"inputs\.a\.x, inputs\.b\.x"):
        rec.columns.column(layout, "x")


def test_a_data_frame_has_a_column_for_each_value(task):
    frame = task.pandas(tick(3), tick(5))
    assert frame["inputs.plc.pole.1"].tolist() == cycles(3, 5)["inputs"]["plc"]["pole"][:, 1].tolist()
    assert frame.index[0].value == tick(3) + OFFSET_NS and str(frame.index.tz) == "UTC"
    assert set(task.numpy()) == {column.path for column in task.columns}


def test_what_is_around_ticks_and_where_something_holds(task):
    ticks = task.where(lambda records: records["number"] % 100 == 50)
    assert ticks.tolist() == [tick(50), tick(150), tick(250)]
    found = task.around(ticks, 2_000_000, 1_000_000)
    assert [part["number"].tolist() for part in found] == [[n - 2, n - 1, n, n + 1] for n in (50, 150, 250)]


def test_what_is_missing_is_known(tmp_path):
    """Cycles that were dropped, and a task that began anew."""
    path = written(tmp_path / "a.mcap", [(0, 10), (15, 20)])
    with Writer(tmp_path / "b.mcap", [LAYOUT], offset_ns=OFFSET_NS, about={"boot_id": "boot 1"}) as writer:
        again = cycles(0, 5)
        again["tick_ns"] = tick(100) + np.arange(5)
        again["number"] += 3
        writer.add_records(LAYOUT, again)
    gaps = rec.open([path, tmp_path / "b.mcap"]).task().gaps()
    assert [(gap.row, gap.lost) for gap in gaps] == [(10, 5), (15, -1)]
    assert (gaps[0].before_ns, gaps[0].after_ns) == (tick(9), tick(15))


def test_files_of_a_folder_are_one_recording_in_order_of_time(tmp_path):
    written(tmp_path / "a.mcap", [(200, 300)])
    written(tmp_path / "b.mcap", [(0, 200)])
    (tmp_path / "notes.txt").write_text("no recording")
    recording = rec.open(tmp_path)
    assert numbers(recording.task()) == list(range(300))
    assert [file[-6:] for file in recording.paths] == ["b.mcap", "a.mcap"]


@pytest.mark.parametrize(
    "parts", [[(150, 300)], [(120, 180), (180, 300)], [(0, 200), (200, 300)], [(199, 201), (201, 300)]]
)
def test_cycles_that_two_files_have_are_there_once(tmp_path, parts):
    """What was saved from a ring after a crash overlaps with what was written before."""
    written(tmp_path / "a.mcap", [(0, 100), (100, 200)])
    written(tmp_path / "b.mcap", parts)
    task = rec.open(tmp_path).task()
    assert numbers(task) == list(range(300)) and len(task) == 300
    assert numbers(task, tick(190), tick(210)) == list(range(190, 210))


def test_boots_follow_each_other_by_utc_though_ticks_begin_anew(tmp_path):
    """Then ticks alone do not say which row is meant."""
    written(tmp_path / "a.mcap", [(0, 50)], boot="2", offset_ns=OFFSET_NS + 10**12)
    written(tmp_path / "b.mcap", [(100, 200)], boot="1")
    task = rec.open(tmp_path).task()
    assert numbers(task) == [*range(100, 200), *range(50)]
    assert numbers(task, OFFSET_NS + 10**12, by="utc") == list(range(50))
    assert np.all(np.diff(task.utc_ns()) > 0)
    for by in ("tick", "number"):
        with pytest.raises(RecordingError, match="several runs"):
            numbers(task, 0, by=by)


def test_what_was_said_with_it_is_there(tmp_path):
    known = Version("balance", 1, "ab" * 32, "policy")
    path = tmp_path / "a.mcap"
    with Writer(
        path, [LAYOUT, OTHER], offset_ns=7, about={"machine": "press 4"}, station="[tasks.balance]\n", versions=[known],
        attachments={f"models/{'ab' * 32}.onnx": b"model", "step.py": b"step"},
    ) as writer:  # fmt: skip
        writer.add_event({"tick_ns": 20, "kind": "version", "task": "balance", "number": 2, "sha256": "cd" * 32})
        writer.add_event({"tick_ns": 10, "kind": "trigger", "text": "fault"})
    recording = rec.open(path)
    assert (recording.about["machine"], recording.station_text) == ("press 4", "[tasks.balance]\n")
    assert recording.tasks == ("balance", "other") and len(recording.task("other")) == 0
    assert recording.task("other").records().shape == (0,) and recording.task("other").segments() == ()
    assert [(event["kind"], event["utc_ns"]) for event in recording.events] == [("trigger", 17), ("version", 27)]
    assert recording.versions == {"balance": {1: known, 2: Version("balance", 2, "cd" * 32)}}
    assert recording.model("ab" * 32) == b"model" and recording.model("cd" * 32) is recording.model("") is None
    assert recording.attachments["step.py"].read() == b"step"
    assert recording.damaged == recording.check() == ()
    for name, words in ((None, "which task"), ("x", "no task 'x' in the recording; it has balance, other")):
        with pytest.raises(RecordingError, match=words):
            recording.task(name)


def test_checkpoints_are_found_by_place_and_by_tick(tmp_path):
    task = rec.open(written(tmp_path / "a.mcap", [(0, 300)], remembered=[0, 100, 200])).task()
    assert [(c.number, c.tick_ns, c.phase) for c in task.checkpoints] == [(n, tick(n), 0) for n in (0, 100, 200)]
    assert task.checkpoints[1].region(0).tobytes() == bytes([100] * 128)
    assert (len(task.checkpoints), task.checkpoints[-1].number, len(task.checkpoints[1].region(1))) == (3, 200, 13)
    assert [task.checkpoints.before(tick(n)).number for n in (0, 99, 100, 299)] == [0, 0, 100, 200]
    assert task.checkpoints.before(tick(0) - 1) is None
    with pytest.raises(IndexError):
        task.checkpoints[3]
    with pytest.raises(AttributeError):
        task.checkpoints[0].nothing  # noqa: B018


def parts(segments):
    return [(s.start, s.stop, s.has_checkpoint) for s in segments]


def test_segments_begin_at_checkpoints(tmp_path):
    """About as long as each other; what is before the first checkpoint is a part of its own."""
    task = rec.open(written(tmp_path / "a.mcap", [(0, 150), (150, 400)], remembered=range(20, 400, 10))).task()
    assert parts(task.segments()) == [(0, 20, False), (20, 400, True)]
    assert parts(task.segments(4)) == [
        (0, 20, False), (20, 120, True), (120, 220, True), (220, 320, True), (320, 400, True),
    ]  # fmt: skip
    assert parts(task.segments(1000))[-1] == (390, 400, True) and len(task.segments(1000)) == 39
    segment = pickle.loads(pickle.dumps(task.segments(4)[2]))
    again = rec.open(segment.paths).task(segment.task)
    assert [c.number for c in again.checkpoints.of(segment)] == list(range(120, 220, 10))
    assert numbers(again, segment.start, segment.stop, by="row") == list(range(120, 220))
    assert (segment.first_ns, segment.last_ns, len(segment)) == (tick(120), tick(219), 100)


def test_segments_do_not_go_over_a_boot(tmp_path):
    written(tmp_path / "a.mcap", [(0, 100)], remembered=[0, 50])
    written(tmp_path / "b.mcap", [(0, 100)], remembered=[10], boot="2", offset_ns=OFFSET_NS + 10**12)
    segments = rec.open(tmp_path).task().segments()
    assert parts(segments) == [(0, 100, True), (100, 110, False), (110, 200, True)]
    assert [c.number for c in rec.open(tmp_path).task().checkpoints.of(segments[2])] == [10]


def test_a_checkpoint_after_a_take_back_is_no_place_to_begin(tmp_path):
    path = tmp_path / "a.mcap"
    with Writer(path, [LAYOUT], offset_ns=0) as writer:
        writer.add_records(LAYOUT, cycles(0, 100))
        writer.add_checkpoints(
            LAYOUT, np.concatenate([checkpoints([10]), checkpoints([10], phase=1), checkpoints([90], phase=1)])
        )
    task = rec.open(path).task()
    assert parts(task.segments(50)) == [(0, 10, False), (10, 100, True)]
    assert [(c.number, c.phase) for c in task.checkpoints.of(task.segments()[1])] == [(10, 0), (10, 1), (90, 1)]
    assert task.checkpoints.before(tick(95)).number == 10


def test_a_task_whose_tags_changed_is_not_one_table(tmp_path):
    changed = TaskLayout("balance", 1_000_000, LAYOUT.sources, (Field("force"),), LAYOUT.regions)
    written(tmp_path / "a.mcap", [(0, 10)])
    with Writer(tmp_path / "b.mcap", [changed], offset_ns=OFFSET_NS) as writer:
        writer.add_records(changed, cycles(10, 20, changed))
    task = rec.open(tmp_path).task()
    assert len(task.layouts) == 2
    with pytest.raises(RecordingError, match="changed its inputs or outputs"):
        task.records()


def test_what_is_no_recording_says_what_it_is(tmp_path):
    (tmp_path / "a.mcap").write_text("no")
    for path, words in ((tmp_path / "a.mcap", "a.mcap: it is no MCAP file"), ([], "no recordings")):
        with pytest.raises(RecordingError, match=words):
            rec.open(path)
    with pytest.raises(FileNotFoundError):
        rec.open(tmp_path / "gone.mcap")


def test_a_file_that_goes_away_is_damage(tmp_path):
    """The quota deletes the oldest while somebody reads."""
    recording = rec.open(written(tmp_path / "a.mcap", [(0, 10)]))
    (tmp_path / "a.mcap").unlink()
    assert numbers(recording.task()) == []
    assert "cannot be read any more" in recording.damaged[0].why


def test_a_file_that_is_still_written_is_read_up_to_what_it_has(tmp_path):
    writer = Writer(tmp_path / "a.mcap", [LAYOUT], offset_ns=0)
    writer.add_records(LAYOUT, cycles(0, 10))
    writer.flush()
    assert numbers(rec.open(tmp_path).task()) == list(range(10))
    assert rec.open(tmp_path).task().span[0] == FIRST_NS
    writer.close()


def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    """docs/recording.md, on a folder with a recording."""
    layout = TaskLayout("balance", 1_000_000, (SourceFields("plc", (Field("speed"),)),), (Field("force"),))
    (tmp_path / "recordings").mkdir()
    with Writer(tmp_path / "recordings" / "a.mcap", [layout], offset_ns=1_795_909_920_000_000_000 - FIRST_NS) as writer:
        writer.add_records(layout, cycles(0, 3000, layout))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(re.search(r"```python\n(.*?)```", (ROOT / "docs" / "recording.md").read_text(), re.S)[1], names)
    assert [len(names[name]) for name in ("cycles", "force", "table")] == [1000, 3000, 3000]
