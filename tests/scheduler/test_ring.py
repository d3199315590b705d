import mmap
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from rt_engine.recording.layout import Field, SourceFields, TaskLayout
from scheduler.errors import RingError
from scheduler.ring import Ring
from scheduler.ring_block import CONSTANTS, RING

LAYOUT = TaskLayout(
    "axis",
    1_000_000,
    (SourceFields("plc", (Field("speed", 1, "m/s"), Field("force", 3))),),
    (Field("valve"),),
    (("states", 24), ("window", 5)),
)


def records(first, count):
    """Records whose every word tells which one it is."""
    words = np.arange(first, first + count, dtype=np.int64)[:, None] * np.ones(LAYOUT.nbytes // 8, np.int64)
    return words.astype("<i8").view(LAYOUT.dtype)[:, 0]


def checkpoints(first, count):
    made = np.zeros(count, LAYOUT.checkpoint_dtype)
    made["number"], made["states"], made["window"] = np.arange(first, first + count), 7, 9
    return made


@pytest.fixture
def ring(tmp_path):
    made = Ring.create(tmp_path / "ring", LAYOUT, 8, 4)
    yield made
    made.close()


def test_records_come_out_as_they_went_in_and_stay_until_released(ring):
    assert ring.append(records(0, 3)) == 3
    assert ring.records().tobytes() == records(0, 3).tobytes()
    assert ring.records(2)["number"].tolist() == [0, 1]
    assert ring.records(start=1)["number"].tolist() == [1, 2]
    ring.release(2)
    assert ring.records()["number"].tolist() == [2]
    assert (ring.head, ring.tail, ring.dropped) == (3, 2, 0)


def test_a_ring_goes_round(ring):
    """What lies across its end comes out in order."""
    for first in range(0, 50, 5):
        ring.append(records(first, 5))
        assert ring.records().tobytes() == records(first, 5).tobytes()
        ring.release(5)


def test_a_full_ring_drops_whole_records_and_counts_them(ring):
    assert ring.append(records(0, 11)) == 8
    assert ring.dropped == 3
    assert ring.records()["number"].tolist() == list(range(8))
    ring.release(1)
    ring.append(records(20, 1))
    assert ring.records().tobytes() == np.concatenate([records(1, 7), records(20, 1)]).tobytes()


def test_checkpoints_have_a_ring_of_their_own(ring):
    ring.append_checkpoints(checkpoints(0, 6))
    assert ring.checkpoints().tobytes() == checkpoints(0, 4).tobytes()
    assert ring.refused == 2
    ring.release_checkpoints(3)
    assert ring.checkpoints()["number"].tolist() == [3]
    assert (ring.head, ring.checkpoint_head, ring.checkpoint_tail) == (0, 4, 3)


def test_what_is_not_there_is_not_given(ring):
    ring.append(records(0, 3))
    for ask in (lambda: ring.records(start=4), lambda: ring.release(4), lambda: ring.release(-1)):
        with pytest.raises(ValueError, match=r"there are 3|holds 0 to 3"):
            ask()


def test_a_ring_is_read_after_its_process_and_released(ring):
    """Layout, records, counters and what was released are in the file."""
    ring.append(records(0, 10))
    ring.append_checkpoints(checkpoints(0, 2))
    ring.release(2)
    ring.close()
    left = Ring.open(ring.path)
    assert (left.layout, left.pid, left.dropped) == (LAYOUT, os.getpid(), 2)
    assert left.records().tobytes() == records(2, 6).tobytes()
    assert left.checkpoints().tobytes() == checkpoints(0, 2).tobytes()
    left.release(6)
    left.close()
    again = Ring.open(ring.path)
    assert len(again.records()) == 0
    again.remove()
    assert not ring.path.exists()


def test_a_ring_survives_kill_9(tmp_path):
    """A process that is killed leaves all that it had published."""
    code = """
import os, sys
from tests.scheduler.test_ring import LAYOUT, records
from scheduler.ring import Ring
ring = Ring.create(sys.argv[1], LAYOUT, 100)
ring.append(records(0, 60))
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "ring")], check=False)
    left = Ring.open(tmp_path / "ring")
    assert left.records().tobytes() == records(0, 60).tobytes()
    left.close()


def test_a_ring_that_is_written_is_not_opened(ring):
    with pytest.raises(RingError, match=f"process {os.getpid()} that writes this ring still runs"):
        Ring.open(ring.path)


def test_a_ring_that_is_there_is_not_made_anew(ring):
    with pytest.raises(RingError, match="already"):
        Ring.create(ring.path, LAYOUT, 8)


@pytest.mark.parametrize(
    ("capacity", "checkpoints", "words"),
    [(0, 1, "1 to"), (1, 0, "checkpoints"), (1 << 40, 1, "1 to"), (1 << 26, 1 << 16, "bytes")],
)
def test_a_ring_of_no_use_is_refused(tmp_path, capacity, checkpoints, words):
    wide = TaskLayout("wide", 1_000_000, (SourceFields("plc", (Field("x", 1 << 19),)),), ())
    with pytest.raises(RingError, match=words):
        Ring.create(tmp_path / "ring", wide, capacity, checkpoints)
    assert not (tmp_path / "ring").exists()


def test_no_folder_and_no_room_are_said(tmp_path, monkeypatch):
    """And no half of a file stays behind."""
    with pytest.raises(RingError, match="No such file"):
        Ring.create(tmp_path / "none" / "ring", LAYOUT, 8)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RingError, match=r"no room for a ring of [\d,]+ bytes .*: No space left"):
        Ring.create(tmp_path / "ring", LAYOUT, 8)
    assert not (tmp_path / "ring").exists()


def made(tmp_path):
    """The bytes of a ring that holds some records."""
    ring = Ring.create(tmp_path / "made", LAYOUT, 8, 4)
    ring.append(records(0, 5))
    ring.close()
    data = bytearray(ring.path.read_bytes())
    ring.path.unlink()
    return data


def planted(tmp_path, data):
    path = tmp_path / "planted"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("magic", 1, "no ring"),
        ("magic", 0, "while it was being made"),
        ("version", 9, "version 9"),
        ("capacity", 9, "damaged"),
        ("layout_bytes", 1 << 40, "cannot be so long"),
        ("layout_bytes", -1, "cannot be so long"),
        ("head", -1, "do not fit"),
        ("head", 14, "do not fit"),
        ("tail", 6, "do not fit"),
        ("checkpoint_head", 5, "do not fit"),
    ],
)
def test_a_damaged_ring_is_refused_with_words(tmp_path, field, value, words):
    data = made(tmp_path)
    np.frombuffer(data, RING, 1)[field] = value
    with pytest.raises(RingError, match=words):
        Ring.open(planted(tmp_path, data))


def test_a_ring_of_an_earlier_start_of_the_machine_is_refused(tmp_path, monkeypatch):
    data = made(tmp_path)
    monkeypatch.setattr("scheduler.ring.boot_id", lambda: b"another boot id!")
    with pytest.raises(RingError, match="earlier start"):
        Ring.open(planted(tmp_path, data))


def test_a_file_of_another_user_is_refused(tmp_path, monkeypatch):
    data = made(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(RingError, match="not trusted"):
        Ring.open(planted(tmp_path, data))


def test_what_is_no_file_is_refused(tmp_path):
    """A folder, a link, a pipe that nobody writes, nothing at all: words, and no waiting."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(planted(tmp_path, made(tmp_path)))
    for name in ("", "none", "pipe", "link"):
        with pytest.raises(RingError, match="ring"):
            Ring.open(tmp_path / name)


def test_no_mutant_of_a_ring_is_more_than_an_error(tmp_path):
    """Bytes of header and layout changed, the file cut: read or refused, never anything else."""
    data, chance = made(tmp_path), random.Random(13)
    seen = set()
    for _ in range(300):
        mutant = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            mutant[chance.randrange(chance.choice([CONSTANTS, 256, 600, len(data)]))] = chance.randrange(256)
        if chance.random() < 0.3:
            mutant = mutant[: chance.randrange(len(mutant))]
        try:
            left = Ring.open(planted(tmp_path, mutant))
            left.records()
            left.checkpoints()
            left.close()
            seen.add("read")
        except RingError:
            seen.add("refused")
    assert seen == {"read", "refused"}


def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path):
    """Not a bus error."""
    left = Ring.open(planted(tmp_path, made(tmp_path)))
    os.truncate(left.path, mmap.PAGESIZE)
    with pytest.raises(RingError, match="cut meanwhile"):
        left.records()
    left.close()
