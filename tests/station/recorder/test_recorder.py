"""A recorder from cycles to files: what is kept, what is in a file, and what a disk may do to it. The test owns time and cycles."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from rt_engine.recording.contents import ABOUT, STATION, VERSIONS, Version
from rt_engine.recording.layout import Field, SourceFields, TaskLayout
from station.recorder import lanes
from station.recorder.recorder import capacity, checkpoints
from station.terms.recorder import RecorderTable
from tests.station.recorder.benches import UTC_NS, Bench
from tests.station.recorder.files import File
from tests.station.recorder.records import LAYOUT, MS

OTHER = TaskLayout("other", 4 * MS, (SourceFields("plant", (Field("x"),)),), (Field("y"),), (("state", 16),))
SHORT = {"before": "2 s", "after": "1 s"}


def at(tick, **fields):
    """A change of the cycle of a tick (in ms)."""

    def change(records):
        here = records["tick_ns"] == tick * MS
        for name, value in fields.items():
            records[name][here] = value

    return change


def test_before_and_after_a_trigger_of_all_tasks(tmp_path):
    """Two seconds, and one more checkpoint's time so that all of it can be replayed; one after; both tasks; why is in the name."""
    bench = Bench(tmp_path, (LAYOUT, OTHER), **SHORT)
    bench.run(10_000, at(6_000, status=3))
    (path,) = bench.files()
    assert path.name == "bench-000001-20260921T141327Z-fault.mcap"
    file = File(path)
    assert file.is_whole
    assert file.ticks() == list(range(3_000, 7_001))
    assert file.ticks("other") == list(range(3_000, 7_001, 4))
    assert (file.checkpoints("other")["tick_ns"] // MS).tolist() == [3_000, 4_000, 5_000, 6_000, 7_000]
    triggers = [(one["tick_ns"], one["task"], one["trigger"]) for one in file.of_kind("trigger")]
    assert triggers == [(6_000 * MS, "axis", "fault"), (6_000 * MS, "other", "fault")]
    assert bench.recorder.view().triggers == 2


def test_without_a_trigger_nothing_is_written_and_the_ring_holds_what_came_before(tmp_path):
    bench = Bench(tmp_path, **SHORT)
    bench.run(10_000)
    assert bench.files() == []
    (ring,) = bench.rings
    assert ring.dropped == 0
    assert 3_000 <= ring.head - ring.tail <= 3_500


def test_continuous_keeps_every_cycle_over_files_without_a_hole(tmp_path):
    bench = Bench(tmp_path, mode="continuous", file="3 s")
    bench.run(10_000, at(6_000, missed=2))
    bench.stop()
    found = [File(path) for path in bench.files()]
    assert len(found) == 4 and all(file.is_whole for file in found)
    assert [tick for file in found for tick in file.ticks()] == list(range(10_000))
    assert [event["trigger"] for file in found for event in file.of_kind("trigger")] == ["overrun"]
    assert bench.recorder.view().triggers == 1


def test_a_file_that_ends_anywhere_can_be_replayed_from_its_first_cycles_on(tmp_path):
    """Where there is a record of a cycle, there is the checkpoint before it."""
    bench = Bench(tmp_path, **SHORT)
    bench.run(10_000, at(6_000, status=3))
    (path,) = bench.files()
    whole, found = path.read_bytes(), 0
    for size in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:size])
        file = File(path) if size > len(whole) // 4 else None
        if file is not None and "axis" in file.layouts and (ticks := file.ticks()):
            assert file.checkpoints()["tick_ns"].min() <= ticks[0] * MS
            found += 1
    assert found > 2


def test_a_file_has_all_that_a_replay_needs(tmp_path):
    """The station file, versions by hash with their models, the step's source; a version that comes later too, as an event."""
    bench = Bench(tmp_path, mode="continuous")
    bench.run(2_000)
    bench.versions.append(Version("axis", 2, "b" * 64, "mean"))
    bench.models["b" * 64] = "b" * 64 + ".onnx", b"model two"
    bench.run(2_000)
    bench.stop()
    file = File(bench.files()[0])
    assert file.metadata[STATION]["text"] == "station text"
    assert "a" * 64 in file.metadata[VERSIONS]["versions"]
    assert file.metadata[ABOUT]["station"] == "bench"
    assert file.metadata[ABOUT]["why"] == "continuous"
    assert int(file.metadata[ABOUT]["offset_ns"]) == UTC_NS
    assert file.attached == {
        "step.py": b"def step(): ...",
        "models/" + "a" * 64 + ".onnx": b"model one",
        "models/" + "b" * 64 + ".onnx": b"model two",
    }
    (event,) = file.of_kind("version")
    assert (event["number"], event["sha256"], event["task"]) == (2, "b" * 64, "axis")


def test_a_trigger_by_command(tmp_path):
    bench = Bench(tmp_path, **SHORT)
    bench.run(5_000)
    assert "the last 2 s and the next 1 s are kept" in bench.recorder.record("it hums")
    bench.run(5_000)
    (path,) = bench.files()
    assert path.name.endswith("-command.mcap")
    file = File(path)
    assert file.ticks() == list(range(2_000, 6_001))
    assert [event["text"] for event in file.of_kind("trigger")] == ["it hums"]


@pytest.mark.parametrize("kind", ["monitor", "disagreement"])
def test_what_a_task_counts_is_a_trigger(tmp_path, kind):
    bench = Bench(tmp_path, **SHORT)
    bench.run(5_000)
    bench.counts["axis", kind] = 1
    bench.run(3_000)
    (path,) = bench.files()
    assert path.name.endswith(f"-{kind}.mcap")


def test_a_condition_is_a_trigger(tmp_path):
    bench = Bench(tmp_path, **SHORT, when=["leg[1] > 2"])

    def change(records):
        records["inputs"]["plant"]["leg"][records["tick_ns"] == 4_000 * MS, 1] = 3

    bench.run(8_000, change)
    (path,) = bench.files()
    assert File(path).of_kind("trigger")[0]["text"] == "leg[1] > 2"


def test_what_is_kept_when_the_station_stops_is_written(tmp_path):
    bench = Bench(tmp_path, **SHORT)
    bench.run(4_300, at(4_000, status=3))
    bench.stop()
    file = File(bench.files()[0])
    assert file.is_whole and file.ticks() == list(range(1_000, 4_300))


# --- quota ------------------------------------------------------------------------------------------------------------


def test_the_quota_is_kept_the_oldest_go_and_what_is_not_ours_stays(tmp_path):
    bench = Bench(tmp_path, mode="continuous", quota="4 MB", file="2 s")
    strange = [
        "bench-000000-20260921T141328Z-fault.mcap.bak",
        "bench-2-000001-20260921T141328Z-fault.mcap",
        "other.mcap",
        "notes.txt",
    ]
    for name in strange:
        (bench.folder / name).write_bytes(b"x" * 1_000_000)
    bench.run(30_000)
    bench.stop()
    ours = [path for path in bench.files() if path.name.startswith("bench-0000")]
    assert 2_000_000 < sum(path.stat().st_size for path in ours) <= 4_000_000
    assert all((bench.folder / name).exists() for name in strange)
    view = bench.recorder.view()
    assert view.removed > 0 and view.files == len(ours)
    assert File(ours[-1]).ticks()[-1] == 29_999


def test_the_file_that_is_written_is_never_removed(tmp_path):
    bench = Bench(tmp_path, mode="continuous", quota="1 kB")
    bench.run(3_000)
    assert len(bench.files()) == 1


def test_a_clock_that_was_set_back_makes_no_file_older(tmp_path):
    """Ticks are what counts; the offset is told as an event, and to people."""
    bench = Bench(tmp_path, mode="continuous", file="3 s")
    bench.run(4_000)
    bench.offset_ns -= 3_600 * 1_000_000_000
    bench.run(4_000)
    bench.stop()
    found = [File(path) for path in bench.files()]
    assert [tick for file in found for tick in file.ticks()] == list(range(8_000))
    (event,) = [event for file in found for event in file.of_kind("offset")]
    assert event["offset_ns"] == UTC_NS - 3_600 * 1_000_000_000
    assert bench.told == [("warn", "the clock was set by -3600.0 s: files keep the time at which they began")]


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch):
    """A disk that refuses to write while `disk.error` is set."""

    class Disk:
        error = None

    state, write = Disk(), os.writev

    def writev(file, parts):
        if state.error is not None:
            raise OSError(state.error, os.strerror(state.error))
        return write(file, parts)

    monkeypatch.setattr("rt_engine.recording.mcap.writer.os.writev", writev)
    return state


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_is_soon_back_loses_no_cycle(tmp_path, disk, error):
    bench = Bench(tmp_path, mode="continuous", stall="4 s")
    bench.run(3_000)
    disk.error = error
    bench.run(3_000)
    assert bench.recorder.view().trouble == os.strerror(error)
    assert not bench.recorder.view().is_recording
    disk.error = None
    bench.run(3_000)
    bench.stop()
    ticks = [tick for path in bench.files() for tick in File(path).ticks()]
    assert sorted(set(ticks)) == list(range(9_000))
    assert len(ticks) == 9_000 or error == errno.EIO
    words = [words for _, words in bench.told]
    assert len(words) == 2 and "control goes on" in words[0] and "is written again; 0 cycles were lost" in words[1]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_is_full_for_long_loses_the_oldest_and_counts_them(tmp_path, disk, error, monkeypatch):
    monkeypatch.setattr(lanes, "JOB_BYTES", 100 * LAYOUT.nbytes)
    bench = Bench(tmp_path, mode="continuous", stall="1 s")
    bench.run(3_000)
    disk.error = error
    bench.run(20_000)
    disk.error = None
    bench.run(3_000)
    bench.stop()
    ticks = sorted({tick for path in bench.files() for tick in File(path).ticks()})
    view = bench.recorder.view()
    assert view.dropped == 0 and view.trouble == ""
    assert len(ticks) + view.lost == 26_000
    assert 10_000 < view.lost < 20_000
    assert ticks[:3_000] == list(range(3_000)) and ticks[-3_000:] == list(range(23_000, 26_000))
    (event,) = [event for path in bench.files() for event in File(path).of_kind("lost")]
    assert str(view.lost) in event["text"]


def test_what_a_disk_does_not_take_at_the_stop_waits_in_the_ring(tmp_path, disk):
    """A salvage finds it there."""
    bench = Bench(tmp_path, mode="continuous", stall="4 s")
    bench.run(3_000)
    disk.error = errno.EIO
    bench.run(1_000)
    bench.drain.stop()
    assert bench.recorder.stop() is False
    (ring,) = bench.rings
    assert ring.head - ring.tail == 1_000
    assert "1,000 cycles that were kept are not written: the next start saves them" in bench.told[-1][1]


def test_a_disk_without_room_is_told_before_anything_is_to_be_written(tmp_path, monkeypatch):
    """And that it has room again."""
    bench = Bench(tmp_path, **SHORT)
    full = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0, f_bfree=0) if full else None)
    bench.run(11_000)
    assert bench.recorder.view().trouble == "No space left on device"
    assert "nothing can be written" in bench.recorder.record("it hums")
    monkeypatch.undo()
    bench.run(1_000)
    assert bench.recorder.view().trouble == ""
    assert [level for level, _ in bench.told] == ["bad", "ok"]


def test_a_folder_that_cannot_be_made_stays_a_trouble(tmp_path):
    bench = Bench(tmp_path, **SHORT)
    bench.folder.rmdir()
    bench.folder.write_text("no folder")
    bench.recorder.start()
    bench.run(3_000)
    assert bench.recorder.view().trouble
    assert len(bench.told) == 1
    bench.stop()


def test_a_folder_that_is_gone_is_made_again(tmp_path):
    bench = Bench(tmp_path, mode="continuous", stall="4 s")
    bench.run(3_000)
    shutil.rmtree(bench.folder)
    bench.run(3_000)
    bench.stop()
    file = File(bench.files()[0])
    assert file.ticks() == list(range(3_000, 6_000))
    assert "the file is gone" in bench.told[0][1]


def test_a_disk_that_is_gone_with_all_above_it_is_not_replaced(tmp_path):
    """What stands where a disk was mounted is not filled in its place."""
    bench = Bench(tmp_path / "mnt", mode="continuous", stall="4 s")
    bench.run(2_000)
    (tmp_path / "mnt").rename(tmp_path / "away")
    bench.run(2_000)
    assert not (tmp_path / "mnt").exists()
    (tmp_path / "away").rename(tmp_path / "mnt")
    bench.run(2_000)
    bench.stop()
    ticks = sorted({tick for path in bench.files() for tick in File(path).ticks()})
    assert ticks == list(range(6_000))


def test_a_writer_that_hangs_holds_neither_drain_nor_tap(tmp_path, monkeypatch):
    """The oldest give way, the ring is never full, triggers and listeners go on."""
    monkeypatch.setattr(lanes, "JOB_BYTES", 100 * LAYOUT.nbytes)
    bench = Bench(tmp_path, mode="continuous", stall="1 s")
    heard = []
    bench.drain.listen(lambda layout, records: heard.append(len(records)))
    bench.run(20_000, writes=False)
    assert sum(heard) == 20_000
    view = bench.recorder.view()
    assert view.dropped == 0
    assert view.lost > 10_000


def test_a_fault_of_ours_is_told_and_the_next_round_goes_on(tmp_path, monkeypatch):
    bench = Bench(tmp_path, mode="continuous")
    rounds = iter([True, False])

    def once():
        bench.recorder._done.set() if not next(rounds) else None
        raise RuntimeError("a fault")

    monkeypatch.setattr(bench.recorder, "_round", once)
    bench.recorder._wake.set()
    monkeypatch.setattr("station.recorder.recorder.ROUND_S", 0.001)
    bench.recorder._run()
    assert bench.recorder.trouble == "RuntimeError: a fault"
    assert len(bench.told) == 1


@pytest.mark.parametrize("mode", ["trigger", "continuous"])
def test_a_ring_has_room_for_what_must_wait(mode):
    """What lies before a trigger, a cycle's way to a decision, the time between two writes, and a disk that stalls."""
    table = RecorderTable.model_validate({"mode": mode, "before": "10 s", "stall": "3 s", "checkpoint": "500 ms"})
    waits_ms = 250 + 2 + 2_000 + 3_000 + (10_500 if mode == "trigger" else 0)
    assert capacity(table, MS) == waits_ms
    assert checkpoints(table, MS) == -(-waits_ms // 500) + 8
    assert (capacity(None, MS), checkpoints(None, MS)) == (1_000, 2)
