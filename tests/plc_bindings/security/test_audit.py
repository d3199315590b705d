"""The audit log: what is written, folded, counted; and what a flood, a full disk and a link in its place can do to it."""

import errno
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from plc_bindings.security import audit, changes
from plc_bindings.security.audit import AuditLog
from plc_bindings.security.verifying import verify
from tests.waiting import wait_for


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(tmp_path, clock):
    return AuditLog(tmp_path / "audit.jsonl", now=clock)


def test_a_line_says_who_what_and_the_outcome_and_only_its_owner_reads_it(log):
    log.record("10.0.0.9", "connect", "refused: address not allowed")
    log.stop()
    (entry,) = entries(log.path)
    assert (entry["who"], entry["what"], entry["outcome"]) == ("10.0.0.9", "connect", "refused: address not allowed")
    assert entry["time"].endswith("+00:00")
    assert "times" not in entry
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_the_thread_writes_without_being_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "FLUSH_S", 0.01)
    log = AuditLog(tmp_path / "audit.jsonl")
    log.start()
    try:
        log.record("a", "b", "c")
        wait_for(lambda: log.path.exists() and log.path.stat().st_size)
        assert entries(log.path)[0]["who"] == "a"
    finally:
        log.stop()


def test_what_repeats_is_one_line_at_once_and_one_with_a_count_a_minute_later(log, clock):
    for _ in range(10):
        log.record("10.0.0.9", "connect", "refused")
        log._flush()
    assert len(entries(log.path)) == 1
    clock.now += audit.FOLD_S
    log._flush()
    assert [entry.get("times", 1) for entry in entries(log.path)] == [1, 9]


def test_changes_are_never_folded_with_earlier_ones(log):
    """A, B, A within a second are three lines, in this order."""
    for model in "ABA":
        log.record_change("10.0.0.5", "model policy", f"replaced by {model}")
        log._flush()
    assert [entry["outcome"][-1] for entry in entries(log.path)] == ["A", "B", "A"]


def test_a_flood_is_counted_and_does_not_wash_out_changes(log, clock):
    """A million different refusals leave a thousand lines and a count; the change in the middle is there."""
    for i in range(5000):
        log.record("10.0.0.9", f"write to symbol {i}", "refused")
        if i == 3000:
            log.record_change("10.0.0.5", "model policy", "replaced")
        if i % 100 == 0:
            log._flush()
    log.stop()
    found = entries(log.path)
    assert len(found) <= audit.BURST + 5
    assert sum(entry["outcome"] == "replaced" for entry in found) == 1
    lost = sum(entry.get("times", 1) for entry in found if entry["outcome"] == "lost lines")
    assert lost + len([entry for entry in found if "symbol" in entry["what"]]) == 5000


def test_refusals_without_end_wash_no_change_out(tmp_path, clock):
    """One a second, as fast as they are written, until both files are full of them: the change is in a file of its own."""
    log = AuditLog(tmp_path / "audit.jsonl", most_bytes=2000, now=clock)
    log.record_change("10.0.0.5", "model policy", "replaced")
    for i in range(100):
        clock.now += 1.0
        log.record("10.0.0.9", f"connect {i}", "refused")
        log._flush()
    assert "replaced" not in log.path.read_text() + log.path.with_name("audit.jsonl.1").read_text()
    (change,) = entries(tmp_path / "audit.changes.jsonl")
    assert (change["who"], change["what"], change["outcome"]) == ("10.0.0.5", "model policy", "replaced")
    assert stat.S_IMODE((tmp_path / "audit.changes.jsonl").stat().st_mode) == audit.MODE


def test_a_line_that_a_power_cut_has_cut_swallows_no_other(log):
    log.path.write_text('{"time": "2026-01-31T10:15:00", "who": "10.0.')
    log.record("a", "b", "refused")
    log._flush()
    log.record("c", "d", "refused")
    log._flush()
    cut, *whole = log.path.read_text().splitlines()
    assert cut.endswith('"10.0.')
    assert [json.loads(line)["who"] for line in whole] == ["a", "c"]


def test_the_file_is_bounded_and_the_one_before_is_kept(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl", most_bytes=2000)
    for i in range(100):
        log.record(f"client {i}", "connect", "refused")
        log._flush()
    assert {path.name for path in tmp_path.iterdir()} == {"audit.jsonl", "audit.jsonl.1"}
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert entries(log.path)[-1]["who"] == "client 99"


def test_a_full_disk_loses_lines_and_nothing_else(tmp_path, clock):
    """/dev/full is a disk without space. Afterwards the log goes on, and says how many lines it lost."""
    log = AuditLog(Path("/dev/full"), now=clock)
    for _ in range(3):
        log.record("a", "b", "refused")
    log._flush()
    assert "No space left" in log.failure
    log.path = tmp_path / "audit.jsonl"
    clock.now += 2 * audit.FOLD_S
    log.record("c", "d", "refused")
    log._flush()
    assert log.failure == ""
    assert [(entry["outcome"], entry.get("times")) for entry in entries(log.path)] == [
        ("refused", None),
        ("lost lines", 3),
    ]


def test_changes_outlive_a_full_disk_all_of_them_in_their_order(log, monkeypatch):
    """Whatever part of a line the disk still takes; the chain is whole afterwards, and nothing that was there was dropped for room."""
    real, room = os.write, [1500]

    def write(file, data):
        if b'"previous"' not in data:  # not the chain's
            return real(file, data)
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(len(data), room[0])
        room[0] -= taken
        return real(file, data[:taken])

    monkeypatch.setattr(changes.os, "write", write)
    for i in range(20):
        log.record_change("10.0.0.5", "model policy", f"version {i}")
        log._flush()
    path = audit.changes_of(log.path)
    there = len(entries(path))
    assert 0 < there < 20
    assert f"No space left on device; {20 - there} changes wait to be written" in log.failure
    assert "none is dropped to make room" in log.failure
    room[0] = 1 << 20
    log.record_change("10.0.0.5", "model policy", "version 20")
    log._flush()
    assert log.failure == ""
    found = verify(path)
    assert found.is_whole and found.records == 21 and found.head == log.head
    assert [entry["outcome"] for entry in entries(path)] == [f"version {i}" for i in range(21)]


def test_a_short_write_leaves_no_half_line(log, monkeypatch):
    """The disk takes half of a line: it is taken back."""
    log.record("a", "b", "refused")
    log._flush()
    whole = log.path.read_bytes()
    real = audit.os.write
    monkeypatch.setattr(audit.os, "write", lambda file, data: real(file, data[:10]))
    log.record("c", "d", "refused")
    log._flush()
    assert log.path.read_bytes() == whole
    assert "No space left" in log.failure


def test_a_link_in_the_place_of_the_file_is_not_followed(log, tmp_path):
    other = tmp_path / "precious"
    other.write_text("mine")
    log.path.symlink_to(other)
    log.record("a", "b", "refused")
    log._flush()
    assert other.read_text() == "mine"
    assert log.failure


def test_names_that_clients_chose_cannot_end_a_line_or_grow_it(log):
    log.record("x" * 10_000, 'name"\n{"who": "lead"}', "refused\x1b[2J")
    log.stop()
    (line,) = log.path.read_text().splitlines()
    assert len(line) < 2 * audit.MOST_CHARS
    assert "\x1b" not in line


def test_a_place_that_cannot_be_written_is_known_before_anything_happens(tmp_path):
    for folder, failure in ((tmp_path, ""), (tmp_path / "nowhere", "No such file or directory")):
        log = AuditLog(folder / "audit.jsonl")
        log.start()
        log.stop()
        assert log.failure.endswith(failure) and bool(log.failure) == bool(failure)


def test_a_pipe_in_the_place_of_the_file_is_refused_whether_somebody_reads_it_or_not(log):
    os.mkfifo(log.path)
    log.record("a", "b", "refused")
    log._flush()
    assert log.failure == f"{log.path}: {audit.PIPE}"
    reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
    log._flush(is_last=True)
    assert "a pipe is there, not a file" in log.failure
    os.close(reader)


def test_a_place_that_hangs_holds_neither_start_nor_stop(log, monkeypatch):
    """Whatever the file system does, who starts and stops the log waits no longer than its patience."""
    held = threading.Event()
    monkeypatch.setattr(log, "_obstacle", lambda: held.wait() and "")
    monkeypatch.setattr(audit, "PATIENCE_S", 0.05)
    log.start()
    log.record("a", "b", "refused")
    log.stop()
    assert log.failure.endswith("the place hangs")
    held.set()
