"""Many recordings on many workers: what one replay of the whole says, wherever its parts were run."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rt_engine.recording
from rt_engine.errors import RecordingError
from rt_native.errors import UnsupportedCpu
from rt_native.target import LANE_WIDTHS, host
from station.replay import worker
from station.replay.many import replay_many, stations
from station.replay.pool import Processes, pool_of
from station.replay.repeat import How, repeat
from station.replay.worker import Ask, software, work
from tests.station.replay.clusters import cluster
from tests.station.replay.recordings import STATION, model_bytes, record, write

NETWORKS = {"policy": model_bytes()}


@pytest.fixture(scope="module")
def axis():
    """400 cycles, a checkpoint each 20."""
    return record(NETWORKS, 400)


@pytest.fixture(scope="module")
def fleet(axis, tmp_path_factory):
    """A folder with two stations, one of which has a cycle that was changed."""
    folder = tmp_path_factory.mktemp("fleet")
    for name in ("left", "right"):
        (folder / name).mkdir()
        text = STATION.replace('"bench"', f'"{name}"')
        changed = axis.records.copy()
        if name == "right":
            axis.layout.raw(changed)[[210, 333], 1] += 0.5
        made = type(axis)(axis.layout, changed, axis.checkpoints)
        write(folder / name / "a.mcap", made, NETWORKS, text=text)
    return folder


def serial(path):
    (one,) = repeat(rt_engine.recording.open(path), How())
    return one.found


def agrees(part, path):
    """A part says what one replay of that file says."""
    found, alone = part.found, serial(path)
    assert (found.recorded, found.cycles, found.equal) == (alone.recorded, alone.cycles, alone.equal)
    assert (found.first, found.left_out) == (alone.first, alone.left_out)


@pytest.mark.parametrize("cycles", [10, 50, 400, 100_000])
def test_parts_are_merged_to_what_a_replay_of_the_whole_says(fleet, cycles):
    """However they are cut: counts, and the first difference."""
    with ThreadPoolExecutor(3) as executor:
        found = replay_many([fleet], executor, cycles=cycles)
    assert [part.station for part in found.parts] == ["left", "right"]
    for part in found.parts:
        agrees(part, fleet / part.station / "a.mcap")
    left, right = found.parts
    assert left.is_equal and not right.is_equal and not found.is_equal
    assert (right.found.cycles - right.found.equal, right.found.first.number) == (2, 210)
    assert left.segments == {10: 20, 50: 7, 400: 1, 100_000: 1}[cycles]
    assert sum(found.lanes.values()) == sum(found.workers.values()) == left.segments + right.segments
    assert found.recorded_s == pytest.approx(0.8)


@pytest.mark.parametrize("word", ["last", "holds"])
@pytest.mark.parametrize("cycles", [10, 50])
def test_what_the_task_remembers_is_compared_where_segments_meet(axis, tmp_path, cycles, word):
    """A difference there may be in none of the outputs; and the files may be two."""
    checkpoints = axis.checkpoints.copy()
    checkpoints[word][:, 0] ^= 1
    half = int(axis.checkpoints["number"][10])
    for name, rows, kept in (("a", slice(0, half), slice(0, 10)), ("b", slice(half, None), slice(10, None))):
        write(tmp_path / f"{name}.mcap", type(axis)(axis.layout, axis.records[rows], checkpoints[kept]), NETWORKS)
    with ThreadPoolExecutor(3) as executor:
        (part,) = replay_many([tmp_path], executor, cycles=cycles).parts
    agrees(part, tmp_path)
    assert part.found.cycles - part.found.equal >= len(checkpoints) - 1


def test_a_segment_whose_next_one_cannot_be_repeated_ends_with_its_own(axis, tmp_path):
    """Its last record is the next one's, and that is none of a cycle."""
    records = axis.records.copy()
    records["reads"][axis.checkpoints["number"]] = 0
    write(tmp_path / "a.mcap", type(axis)(axis.layout, records, axis.checkpoints), NETWORKS)
    with ThreadPoolExecutor(3) as executor:
        (part,) = replay_many([tmp_path], executor, cycles=50).parts
    agrees(part, tmp_path)


def test_processes_say_the_same(fleet):
    """Which import everything anew; the whole as JSON."""
    pool = Processes(2)
    try:
        found = replay_many([fleet / "right"], pool, cycles=100)
    finally:
        pool.close()
    agrees(found.parts[0], fleet / "right" / "a.mcap")
    plain = found.to_json()
    assert plain["parts"][0]["first_difference"]["cycle"] == 210
    assert plain["parts"][0]["repeated"] == 400


def test_the_same_bits_whatever_the_lane_width_of_a_worker(fleet, monkeypatch):
    """Every width that this machine has, each a worker of a Dask cluster; and the records are those of the widest."""
    pytest.importorskip("distributed", reason="the extra fleet is not installed")
    widths = [lanes for lanes in LANE_WIDTHS if _has(lanes)]
    assert len(widths) > 1
    with cluster([{worker.LANES: str(lanes)} for lanes in widths]) as made:
        pool = pool_of(1, made.address)
        try:
            found = replay_many([fleet / "left"], pool, cycles=20)
        finally:
            pool.close()
    assert sorted(found.lanes) == widths and all(found.lanes.values())
    assert found.is_equal
    agrees(found.parts[0], fleet / "left" / "a.mcap")


def _has(lanes: int) -> bool:
    try:
        return host(lanes).lanes == lanes
    except UnsupportedCpu:
        return False


def test_files_of_a_station_are_one_recording(axis, tmp_path):
    """Cut in two, in whatever order, and of a machine each where stations of two machines have one name."""
    for name, part in (("b", slice(0, 200)), ("a", slice(200, 400))):
        made = type(axis)(
            axis.layout, axis.records[part], axis.checkpoints[axis.checkpoints["number"] // 200 == (part.start > 0)]
        )
        write(tmp_path / f"{name}.mcap", made, NETWORKS)
    known, unread = stations([str(tmp_path / "a.mcap"), str(tmp_path / "b.mcap")])
    assert list(known) == ["bench"] and not unread
    with ThreadPoolExecutor(1) as executor:
        (part,) = replay_many([tmp_path], executor, cycles=150).parts
    assert (part.found.recorded, part.found.equal, part.is_equal) == (400, 400, True)


def test_what_is_no_recording_is_told_and_the_others_are_run(fleet, tmp_path):
    """An empty file, a text."""
    shutil.copy(fleet / "left" / "a.mcap", tmp_path / "good.mcap")
    (tmp_path / "empty.mcap").touch()
    (tmp_path / "text.mcap").write_text("hello")
    with ThreadPoolExecutor(1) as executor:
        found = replay_many([tmp_path], executor)
    assert len(found.parts) == 1 and found.parts[0].is_equal
    assert len(found.unread) == 2 and not found.is_equal
    (tmp_path / "nothing").mkdir()
    with pytest.raises(RecordingError, match="no recordings"):
        replay_many([tmp_path / "nothing"], executor)


def job(path, **more):
    recording = rt_engine.recording.open(path)
    (segment,) = recording.task("axis").segments(1)
    return Ask().job((str(path),), "axis", segment.boot, segment.first_ns, segment.last_ns) | more


def test_a_worker_with_other_software_refuses(fleet):
    """With both, so that who reads it knows where to install what."""
    reply = work(job(fleet / "left" / "a.mcap", software="rt-engine 0.1 (abc)"))
    assert reply["refused"] == "software" and software() in reply["text"] and "0.1 (abc)" in reply["text"]


def test_a_worker_that_does_not_see_a_file_says_so(fleet):
    """With what would help."""
    reply = work(job(fleet / "left" / "a.mcap", paths=["/nowhere/a.mcap"]))
    assert reply["refused"] == "file" and "as workers see them" in reply["text"]


def test_a_worker_without_the_model_says_which_is_wanted(axis, tmp_path, monkeypatch):
    """Another one may have it; asked a second time it is said of the part."""
    path = write(tmp_path / "a.mcap", axis, NETWORKS, attach=False)
    reply = work(job(path))
    assert reply["refused"] == "model" and "SHA-256" in reply["text"]
    with ThreadPoolExecutor(1) as executor:
        (part,) = replay_many([path], executor).parts
    assert not part.is_equal and "SHA-256" in part.failed[0]


def test_a_recording_at_an_address_is_read_in_parts(fleet):
    """Of any file system that fsspec knows."""
    fsspec = pytest.importorskip("fsspec", reason="the extra fleet is not installed")
    system = fsspec.filesystem("memory")
    for name in ("left", "right"):
        system.pipe(f"/plant/{name}/a.mcap", (fleet / name / "a.mcap").read_bytes())
    with ThreadPoolExecutor(2) as executor:
        found = replay_many(["memory://plant"], executor, cycles=100)
    assert [part.station for part in found.parts] == ["left", "right"]
    assert [part.found.equal for part in found.parts] == [400, 398]


def test_progress_ends_at_all_cycles(fleet):
    told = []
    with ThreadPoolExecutor(2) as executor:
        replay_many([fleet], executor, cycles=100, step=lambda done, total: told.append((done, total)))
    assert told[-1] == (800, 800) and np.all(np.diff([done for done, _ in told]) > 0)
