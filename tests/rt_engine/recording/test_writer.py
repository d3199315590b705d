import errno
import os

import numpy as np
import pytest

from rt_engine.errors import RecordingError
from rt_engine.recording import Writer
from rt_engine.recording.mcap import bulk, reader
from tests.rt_engine.recording.recorded import LAYOUT, OFFSET_NS, checkpoints, cycles


def begun(path, **more):
    return Writer(path, [LAYOUT], offset_ns=OFFSET_NS, **{"compression": "none", **more})


def found(path):
    source = reader.FileSource(path)
    return source, reader.scan(source)


def written(path, channel=1):
    """All records of a channel."""
    source, contents = found(path)
    dtype = LAYOUT.dtype if channel == 1 else LAYOUT.checkpoint_dtype
    chunks = [chunk for chunk in contents.chunks if channel in chunk.counts]
    return np.concatenate([bulk.bodies(reader.messages(source, chunk), channel, dtype) for chunk in chunks])


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_what_was_added_is_in_the_file_bit_for_bit(tmp_path, compression):
    records, remembered = cycles(0, 5000), checkpoints([0, 2000])
    with begun(tmp_path / "a.mcap", compression=compression, chunk_bytes=100_000) as writer:
        writer.add_checkpoints(LAYOUT, remembered)
        for at in range(0, 5000, 50):
            writer.add_records(LAYOUT, records[at : at + 50])
    assert written(tmp_path / "a.mcap").tobytes() == records.tobytes()
    assert written(tmp_path / "a.mcap", 2).tobytes() == remembered.tobytes()
    assert writer.nbytes == (tmp_path / "a.mcap").stat().st_size
    assert (writer.counts, writer.waiting) == ({"records": 5000, "checkpoints": 2, "events": 0}, 0)
    assert found(tmp_path / "a.mcap")[1].ending.why == ""


def test_what_waits_is_in_the_file_after_a_flush(tmp_path):
    """And counted until then; a file that is not closed is read up to there."""
    writer = begun(tmp_path / "a.mcap")
    writer.add_records(LAYOUT, cycles(0, 10))
    assert writer.waiting == 10 * LAYOUT.nbytes and found(tmp_path / "a.mcap")[1].chunks == []
    writer.sync()
    assert writer.waiting == 0 and len(written(tmp_path / "a.mcap")) == 10
    assert "ends without its summary" in found(tmp_path / "a.mcap")[1].ending.why


def test_a_full_disk_leaves_a_whole_file_and_loses_nothing(tmp_path, monkeypatch):
    """The part of a chunk that the disk took is taken back; the next call writes it."""
    writer = begun(tmp_path / "a.mcap", chunk_bytes=1)
    writer.add_records(LAYOUT, cycles(0, 10))
    whole, writev = writer.nbytes, os.writev

    def full(file, parts):
        os.write(file, bytes(parts[0])[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    for at in (10, 20):
        with pytest.raises(OSError, match="No space"):
            writer.add_records(LAYOUT, cycles(at, at + 10))
    assert (tmp_path / "a.mcap").stat().st_size == whole == writer.nbytes
    assert writer.waiting == 20 * LAYOUT.nbytes
    monkeypatch.setattr(os, "writev", writev)
    writer.close()
    assert written(tmp_path / "a.mcap").tobytes() == cycles(0, 30).tobytes()


def test_what_waits_can_be_given_up(tmp_path):
    writer = begun(tmp_path / "a.mcap")
    writer.add_records(LAYOUT, cycles(0, 10))
    writer.add_event({"tick_ns": 1, "kind": "trigger"})
    assert (writer.discard(), writer.waiting) == (11, 0)
    writer.close()
    assert found(tmp_path / "a.mcap")[1].chunks == []


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "a.mcap").write_text("mine")
    with pytest.raises(FileExistsError):
        begun(tmp_path / "a.mcap")
    assert (tmp_path / "a.mcap").read_text() == "mine"


def test_a_file_that_cannot_be_begun_is_not_there(tmp_path):
    with pytest.raises(RecordingError, match="'rar' is not known"):
        begun(tmp_path / "a.mcap", compression="rar")
    with pytest.raises(TypeError):
        begun(tmp_path / "a.mcap", attachments={"models/x.onnx": None})
    with pytest.raises(RecordingError, match="two layouts"):
        Writer(tmp_path / "a.mcap", [LAYOUT, LAYOUT], offset_ns=0)
    assert list(tmp_path.iterdir()) == []


def test_only_what_the_layout_says_is_taken(tmp_path):
    with begun(tmp_path / "a.mcap") as writer:
        for wrong in (checkpoints([0]), cycles(0, 4).reshape(2, 2)):
            with pytest.raises(RecordingError, match="another layout"):
                writer.add_records(LAYOUT, wrong)
        with pytest.raises(RecordingError, match="is not in this file"):
            writer.add_records("other", cycles(0, 4))
        writer.add_records(LAYOUT, cycles(0, 10)[::2])
    assert written(tmp_path / "a.mcap")["number"].tolist() == [0, 2, 4, 6, 8]


def test_a_chunk_has_the_size_that_was_asked_for(tmp_path):
    """Whatever is added at once: readers jump from chunk to chunk, and hold one."""
    with begun(tmp_path / "a.mcap", chunk_bytes=10_000) as writer:
        writer.add_records(LAYOUT, cycles(0, 990))
        for number in range(990, 1000):
            writer.add_records(LAYOUT, cycles(number, number + 1))
    sizes = [chunk.head.uncompressed for chunk in found(tmp_path / "a.mcap")[1].chunks]
    assert 30 < len(sizes) < 40 and max(sizes) <= 12_000
    assert written(tmp_path / "a.mcap").tobytes() == cycles(0, 1000).tobytes()
