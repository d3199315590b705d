"""Recordings that were cut, damaged or made to hurt: what is readable is read, the rest is said, and nothing else happens."""

import json
import os
import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rt_engine import recording as rec
from rt_engine.errors import RecordingError
from rt_engine.recording.contents import version_of, versions_from_json
from rt_engine.recording.layout import TaskLayout
from rt_engine.recording.mcap.records import (
    HEAD,
    MAGIC,
    AttachmentHead,
    Channel,
    ChunkHead,
    Metadata,
    Opcode,
    record,
    text,
)
from rt_engine.recording.summary import summarise
from tests.rt_engine.recording import mutants
from tests.rt_engine.recording.recorded import LAYOUT, cycles

WHOLE = mutants.whole("none")
STARTS = mutants.records(WHOLE)


def opened(data):
    return rec.open("x", source=lambda _: mutants.Bytes(bytes(data)))


def test_thousands_of_mutants_end_in_words():
    """By hand, for hours: `python -m tests.rt_engine.recording.mutants COUNT SEED`."""
    ends = mutants.campaign(1500, 5)
    assert min(ends[word] for word in ("refused", "damaged", "whole")) > 10, ends


def test_a_file_cut_anywhere_is_read_up_to_there():
    """All records of the chunks that are whole, and where it ends."""
    chunks = [(at, 8) for at in STARTS if WHOLE[at] == Opcode.CHUNK and _channel(at) == 1]
    ends = [at + HEAD.size + HEAD.unpack_from(WHOLE, at)[1] for at, _ in chunks]
    begun = STARTS[[WHOLE[at] for at in STARTS].index(Opcode.CHUNK)]
    for cut in range(begun, len(WHOLE), 61):
        recording = opened(WHOLE[:cut])
        wanted = sum(8 for end in ends if end <= cut)
        assert recording.task().records().tobytes() == cycles(0, wanted).tobytes(), cut
        assert recording.damaged and recording.damaged[0].at <= cut


def _channel(at):
    head = ChunkHead.decode(WHOLE[at + HEAD.size : at + 200])
    return struct.unpack_from("<H", WHOLE, at + HEAD.size + head.begins + HEAD.size)[0]


def test_a_flipped_bit_loses_a_chunk_and_changes_no_record():
    """Wherever it is: a record is there as it was, or it is not there."""
    random, known = np.random.default_rng(2), {bytes(cycle) for cycle in cycles(0, 24).view(f"V{LAYOUT.nbytes}")}
    for _ in range(400):
        data, at = bytearray(WHOLE), int(random.integers(len(WHOLE)))
        data[at] ^= 1 << random.integers(8)
        try:
            found = opened(data).task().records()
        except RecordingError:
            continue
        assert {bytes(cycle) for cycle in found.view(f"V{found.dtype.itemsize}")} <= known, at


def test_a_damaged_chunk_is_left_out_and_those_behind_it_are_read():
    at = WHOLE.index(cycles(8, 16)["published"].tobytes()[:24])
    recording = opened(WHOLE[:at] + b"\xff" + WHOLE[at + 1 :])
    task = recording.task()
    assert task.records()["number"].tolist() == [*range(8), *range(16, 24)]
    assert len(task) == 24 and task.records(16, 24, "row")["number"].tolist() == list(range(16, 24))
    assert "check sum" in recording.damaged[0].why and recording.damaged[0].path == "x"
    assert [(gap.row, gap.lost) for gap in task.gaps()] == [(16, 8)]


@pytest.mark.parametrize("size", [1 << 40, 1 << 28, 2824])
def test_a_frame_that_unpacks_to_more_than_it_says_takes_no_more_memory(size):
    """A zstd bomb: a thousand times what its chunk says, or a chunk that says more than we read."""
    zstandard = pytest.importorskip("zstandard")
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 26))
    data = bytearray()
    for at, end in pairwise(STARTS):
        if WHOLE[at] == Opcode.CHUNK and _channel(at) == 1:
            head = ChunkHead.decode(WHOLE[at + HEAD.size : end])
            made = ChunkHead(head.start, head.end, size, 0, "zstd", len(bomb), 0).encode()
            data += record(Opcode.CHUNK, made, bomb)
        else:
            data += WHOLE[at:end]
    recording = opened(MAGIC + data)
    assert len(recording.task().records()) == 0
    whys = " ".join(damage.why for damage in recording.damaged)
    assert "are read" in whys or "a chunk that says" in whys


def begun(*more):
    """A file that begins as a recording."""
    about = Metadata("rt-engine", {"format": "1", "offset_ns": "0"}).encode()
    layouts = Metadata("rt-engine/layouts", {"balance": LAYOUT.to_json()}).encode()
    return MAGIC + about + layouts + b"".join(more)


CHANNEL = Channel(1, 1, "/tasks/balance", "cdr", {"task": "balance", "kind": "records"}).encode()


def chunk(data, count, start=0, end=1 << 62, compression=""):
    head = ChunkHead(start, end, len(data), 0, compression, len(data), 0).encode()
    index = struct.pack("<HI", 1, 16 * count) + bytes(16 * count)
    return record(Opcode.CHUNK, head, data) + record(Opcode.MESSAGE_INDEX, index)


def message(body, channel=1):
    return record(Opcode.MESSAGE, struct.pack("<HIQQ", channel, 0, 0, 0), body)


CYCLE, CYCLE_1 = (b"\0\1\0\0" + cycles(number, number + 1).tobytes() for number in (0, 1))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([CHANNEL, chunk(message(CYCLE) + message(CYCLE, 2), 2)], "where its index says 2"),
        ([CHANNEL, chunk(message(CYCLE_1) + message(CYCLE), 2)], "ticks go back"),
        ([CHANNEL, chunk(message(CYCLE), 1, end=5)], "not within its times"),
        ([CHANNEL, chunk(message(CYCLE[:-8]), 1)], "not as its layout says"),
        ([CHANNEL, chunk(message(b"\0\0\0\0" + CYCLE[4:]), 1)], "not as its layout says"),
        ([CHANNEL, chunk(message(CYCLE)[:-1], 1)], "a record of"),
        ([CHANNEL, chunk(b"\x05\x01", 1)], "ends within a record"),
        ([CHANNEL, chunk(message(CYCLE), 1, compression="lz4")], "mcap compress"),
        ([CHANNEL, chunk(message(CYCLE), 1, compression="zstd")], "cannot unpack"),
        (
            [CHANNEL, chunk(message(CYCLE), 1), chunk(message(CYCLE, 7), 0)],
            "channel 7, which the file does not describe",
        ),
        ([message(CYCLE)], "a message that is in no chunk"),
        ([b"\0" * 20], "a record of kind 0"),
        ([HEAD.pack(Opcode.CHUNK, 1 << 60)], "bytes where 0 are left"),
        ([record(Opcode.CHUNK, b"\xff" * 60)], "a part of"),
        ([record(Opcode.ATTACHMENT, b"\xff" * 60)], "a part of"),
        ([record(Opcode.METADATA, text("x") + b"\4\0\0\0\xff\xff\xff\xff")], "a part of"),
        ([record(Opcode.METADATA, b"\1\0\0\0\xff")], "no UTF-8"),
        ([CHANNEL, chunk(message(CYCLE), 1)[:-20]], "cut off"),
    ],
)
def test_what_is_wrong_is_said_in_words(more, words):
    recording = opened(begun(*more))
    for name in recording.tasks:
        recording.task(name).records()
    assert words in " ".join(damage.why for damage in recording.check()), recording.damaged


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"[]",
        b"{}",
        b'{"tick_ns": "x", "kind": "y"}',
        b'{"tick_ns": 1e999, "kind": "y"}',
        b'{"tick_ns": 9999999999999999999, "kind": "y"}',
        b"[" * 99_999,
        b"\xff",
    ],
)
def test_an_event_that_is_none_is_damage(event):
    channel = Channel(1, 1, "/events", "json", {"kind": "events"}).encode()
    good = message(b'{"tick_ns": 5, "kind": "trigger"}')
    recording = opened(begun(channel, chunk(message(event) + good, 2)))
    assert [found["tick_ns"] for found in recording.events] == [5]
    assert "an event" in recording.damaged[-1].why


def test_a_chunk_of_countless_tiny_records_is_not_walked_through():
    """They would be millions of steps."""
    tiny = record(Opcode.HEADER) * (1 << 20)
    recording = opened(begun(CHANNEL, chunk(tiny, 1)))
    assert len(recording.task().records()) == 0 and "not alike" in str(recording.damaged[-1])


def test_a_recording_of_the_future_says_so():
    data = MAGIC + Metadata("rt-engine", {"format": "2"}).encode()
    with pytest.raises(RecordingError, match="format '2', where this version reads 1"):
        opened(data)
    with pytest.raises(RecordingError, match=r"no recording of rt-engine.*ends at byte 8: the file is cut off"):
        opened(MAGIC)


def test_a_pipe_that_is_called_like_a_recording_is_none(tmp_path):
    """Nobody waits for its other end."""
    os.mkfifo(tmp_path / "a.mcap")
    with pytest.raises(OSError, match="a pipe"):
        rec.open(tmp_path)


def test_an_attachment_with_holes_is_not_read(tmp_path):
    """A file may say that it has more bytes than a disk."""
    head = AttachmentHead(0, 0, "models/aa.onnx", "", 1 << 40, 0).encode()
    path = tmp_path / "a.mcap"
    start = begun()
    path.write_bytes(start + HEAD.pack(Opcode.ATTACHMENT, len(head) + (1 << 40) + 4) + head)
    os.truncate(path, path.stat().st_size + (1 << 40) + 4)
    with pytest.raises(RecordingError, match=r"of 1099511627776 bytes; up to 2147483648 are read"):
        rec.open(path).attachments["models/aa.onnx"].read()


@pytest.mark.parametrize("number", [1 << 63, -1])
def test_a_version_that_no_record_can_name_is_none(number):
    """As one that a file begins with, and as an event."""
    plain = {"task": "balance", "number": number, "sha256": "aa", "model": "policy"}
    with pytest.raises(RecordingError, match="63 bits"):
        versions_from_json(json.dumps([plain]))
    assert version_of({"tick_ns": 0, "kind": "version", **plain}) is None


def test_thousands_of_tasks_and_of_damaged_chunks_take_no_hours():
    """Each task is looked at once, not once for each channel and each chunk."""
    count, steps = 3000, 0

    class Counted(dict):
        def get(self, *more):
            nonlocal steps
            steps += 1
            return super().get(*more)

    names = [f"t{number}" for number in range(count)]
    layout = TaskLayout("t", 1_000_000, (), ())
    layouts = {name: replace(layout, task=name).to_json() for name in names}
    channels = [
        Channel(number, 1, "", "cdr", {"task": name, "kind": "records"}).encode() for number, name in enumerate(names)
    ]
    bad = chunk(b"no messages", 1) * count
    about = Metadata("rt-engine", {"format": "1"}).encode()
    recording = opened(b"".join((MAGIC, about, Metadata("rt-engine/layouts", layouts).encode(), *channels, bad)))
    for file in recording.files:
        for number, channel in file.contents.channels.items():
            file.contents.channels[number] = replace(channel, metadata=Counted(channel.metadata))
    assert len(summarise(recording)) == count
    assert steps <= 4 * count
    assert 0 < len(recording.damaged) <= 1001  # and where it ends
