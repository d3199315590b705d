"""The file of changes: it goes on after a start, a rotation, a cut, a failure at every call; what is old enough goes."""

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from plc_bindings.security import changes
from plc_bindings.security.changes import ChangeLog, entry_of
from plc_bindings.security.verifying import verify

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def entry(i, days=0):
    return entry_of(BEGIN + timedelta(days=days, seconds=i), f"client {i}", "model policy", "live")


def who(path):
    """Of all records, in their order."""
    return [line.entry["who"] for line in changes_of(path)]


def changes_of(path):
    from plc_bindings.security import chain

    return [line for line in chain.lines(path) if line.entry is not None]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.changes.jsonl"


def test_readers_of_the_lines_find_what_they_know(path):
    ChangeLog(path).append(entry(0))
    (found,) = map(json.loads, path.read_text().splitlines())
    assert {key: found[key] for key in entry(0)} == entry(0)
    assert found.keys() - entry(0).keys() == {"number", "previous", "hash"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_chain_survives_starts_and_rotations(path):
    for i in range(30):
        log = ChangeLog(path, most_bytes=1000)
        log.append(entry(2 * i))
        head = log.append(entry(2 * i + 1))
        assert log.head == head and ChangeLog(path).open() == head
    found = verify(path)
    assert found.is_whole and (found.records, found.head.number) == (60, 60)
    assert who(path) == [f"client {i}" for i in range(60)]
    names = sorted(file.name for file in path.parent.iterdir())
    assert len(names) > 10 and path.name + ".1" in names
    for name in names[1:4]:  # not the newest: that nothing follows it proves nothing
        (path.parent / name).rename(path.parent / "away")
        assert not verify(path).is_whole
        (path.parent / "away").rename(path.parent / name)


def test_a_cut_at_every_byte_of_the_last_record_is_told_by_the_next(path):
    """No byte before it is lost, and nobody takes it for tampering."""
    log = ChangeLog(path)
    for i in range(3):
        log.append(entry(i))
    content = path.read_bytes()
    begin = len(b"".join(content.splitlines(keepends=True)[:2]))
    for size in range(begin, len(content) + 1):
        path.write_bytes(content[:size])
        ChangeLog(path).append(entry(9))
        found = verify(path)
        assert found.is_whole, (size, found)
        is_whole = size >= len(content) - 1  # all but the end of the line
        assert who(path) == ["client 0", "client 1", *(["client 2"] if is_whole else []), "client 9"]
        assert bool(found.notes) == (not is_whole and size > begin)


def test_a_page_of_zeros_where_a_record_was_written_is_a_cut_too(path):
    """What some file systems leave: the length is there, its first part is not."""
    log = ChangeLog(path)
    log.append(entry(0))
    begin = path.stat().st_size
    log.append(entry(1))
    content = bytearray(path.read_bytes())
    content[begin : begin + 100] = bytes(100)
    path.write_bytes(content)
    for i in (2, 3):
        ChangeLog(path).append(entry(i))
    found = verify(path)
    assert found.is_whole and "cut by a power failure" in found.notes[0]


def test_a_cut_of_a_cut_is_told_once(path):
    """Wherever the second is: also right behind the end of the line that the first has cut."""
    log = ChangeLog(path)
    log.append(entry(0))
    log.append(entry(1))
    first = path.read_bytes()[:-20]
    path.write_bytes(first)
    ChangeLog(path).append(entry(2))
    second = path.read_bytes()
    for size in range(len(first), len(second) - 1):
        path.write_bytes(second[:size])
        ChangeLog(path).append(entry(3))
        assert verify(path).is_whole, size
        assert who(path) == ["client 0", "client 3"]


def test_a_line_at_the_end_that_is_whole_and_no_record_is_no_cut(path):
    """Two lines that somebody made one of: a power failure leaves no end of a line. The station does not explain it away."""
    log = ChangeLog(path)
    for i in range(3):
        log.append(entry(i))
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:50] + third)
    assert (verify(path).broken.kind, verify(path).broken.line) == ("changed", 2)
    ChangeLog(path).append(entry(4))
    assert verify(path).broken.line == 2


def test_a_line_that_was_changed_at_the_end_is_no_cut(path):
    """The station goes on behind it, and it is named."""
    log = ChangeLog(path)
    log.append(entry(0))
    log.append(entry(1))
    path.write_bytes(path.read_bytes().replace(b"client 1", b"client 7"))
    ChangeLog(path).append(entry(2))
    found = verify(path)
    assert (found.broken.kind, found.broken.line) == ("changed", 2)


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_log_without_hashes_goes_on_with_them(path, end):
    """Also where its last line was cut, or a file of it was full already."""
    old = [json.dumps(entry(i)) for i in range(6)]
    path.with_name(path.name + ".1").write_text("\n".join(old[:3]) + "\n")
    path.write_text("\n".join(old[3:]) + end)
    ChangeLog(path).append(entry(7))
    ChangeLog(path).append(entry(8))
    found = verify(path)
    assert found.is_whole and (found.older, found.records) == (6, 2)
    first = path.with_name(path.name + ".1")
    first.write_text(first.read_text().replace("client 1", "client 2"))
    assert verify(path).broken.kind == "changed"


APPENDING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from plc_bindings.security.changes import ChangeLog, entry_of

log = ChangeLog(Path(sys.argv[1]), most_bytes=2000)
log.open()
print("there", flush=True)
sys.stdin.readline()
for number in range(40):
    log.append(entry_of(datetime.now(UTC), sys.argv[2], "rollout", str(number)))
"""


def test_several_processes_write_one_chain(path):
    """As a rollout and a `fleet pause` do: each knows where the log ended before the other began."""
    begin = [sys.executable, "-c", APPENDING, str(path)]
    both = [subprocess.Popen([*begin, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "ab"]
    for one in both:
        one.stdout.readline()
    for one in both:
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        one.communicate(timeout=60)
    found = verify(path)
    assert found.is_whole and found.records == 80, found
    told = [(line.entry["who"], int(line.entry["outcome"])) for line in changes_of(path)]
    assert (
        [number for name, number in told if name == "a"]
        == [number for name, number in told if name == "b"]
        == [*range(40)]
    )


def test_files_that_are_too_old_are_dropped_and_none_that_is_younger(path):
    """By the time of the full file's first line: a clock that jumps ahead drops nothing before another file is full."""
    log = ChangeLog(path, most_bytes=1000, keep=timedelta(days=365))
    for i in range(60):
        log.append(entry(i, days=30 * i))
    found = verify(path)
    assert found.is_whole
    assert any("older than it is kept" in note for note in found.notes)
    kept = [line for line in changes_of(path) if line.entry["who"] != "audit log"]
    ages = [59 * 30 - (datetime.fromisoformat(line.time) - BEGIN).days for line in kept]
    assert 365 <= max(ages) < 365 + 30 * 12
    numbers = [line.head.number for line in changes_of(path)]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)) and numbers[0] > 1


def test_a_clock_that_jumped_ahead_drops_nothing(path):
    log = ChangeLog(path, most_bytes=1000, keep=timedelta(days=365))
    for i in range(12):
        log.append(entry(i))
    count = len(list(path.parent.iterdir()))
    log.append(entry(12, days=40_000))
    while len(list(path.parent.iterdir())) == count:
        log.append(entry(13, days=40_000))
    assert who(path)[0] == "client 0"


class Disk:
    """`os`, but its n-th call that touches a disk fails, or nothing of it comes through before the process ends."""

    CALLS = ("open", "write", "fsync", "ftruncate", "rename", "unlink")

    def __init__(self, fails_at, error):
        self.count, self.fails_at, self.error, self.calls = 0, fails_at, error, []

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in self.CALLS:
            return real

        def call(*args, **keywords):
            self.calls.append(name)
            self.count += 1
            if self.count == self.fails_at:
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                raise self.error
            return real(*args, **keywords)

        return call


class PowerCut(BaseException):
    """The process ends here."""


def scripted(path, disk, monkeypatch, told):
    """Appends until the disk fails; `told` gets what was confirmed."""
    monkeypatch.setattr(changes, "os", disk)
    monkeypatch.setattr(changes.Path, "rename", lambda a, b: disk.rename(a, b))
    monkeypatch.setattr(changes.Path, "unlink", lambda a: disk.unlink(a))
    log = ChangeLog(path, most_bytes=600, keep=timedelta(days=100))
    for i in range(16):
        log.append(entry(i, days=60 * i))
        told.append(f"client {i}")


@pytest.mark.parametrize("error", [PowerCut(), OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken")], ids=str)
def test_whatever_call_fails_no_confirmed_change_is_lost_and_the_chain_is_whole(tmp_path, error):
    """The power goes, or the disk is full or broken, at every call that touches it: found by counting them."""
    counted = Disk(0, error)
    with pytest.MonkeyPatch.context() as patch:
        scripted(tmp_path / "counted.jsonl", counted, patch, [])
    assert set(counted.calls) >= {"open", "write", "fsync", "rename", "unlink"} and counted.count > 30
    assert verify(tmp_path / "counted.jsonl").is_whole
    for fails_at in range(1, counted.count + 1):
        folder = tmp_path / str(fails_at)
        folder.mkdir()
        path, told = folder / "audit.changes.jsonl", []
        with pytest.MonkeyPatch.context() as patch, suppress(OSError, PowerCut):
            scripted(path, Disk(fails_at, error), patch, told)
        ChangeLog(path).append(entry(99, days=2000))
        found = verify(path)
        assert found.is_whole, (fails_at, counted.calls[fails_at - 1], found)
        kept = [name for name in who(path) if name != "audit log"]
        first = int(kept[0].split()[1])
        assert kept[-1] == "client 99"
        assert kept[: len(told) - first] == told[first:], (fails_at, kept)
