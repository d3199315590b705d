"""Every way to meddle with a chain, at every line of it, and what is said of it."""

import json

import pytest

from plc_bindings.security import chain
from plc_bindings.security.chain import START, Head, link, sha256
from plc_bindings.security.verifying import verify

COUNT = 6


def record(who, head):
    return link({"time": f"2026-01-0{head.number + 1}", "who": who, "what": "model", "outcome": "live"}, head)


def relinked(line, **changed):
    """A record that somebody changed, and gave the right hash again."""
    body = {key: value for key, value in (json.loads(line) | changed).items() if key != "hash"}
    head = Head(body.pop("number") - 1, body.pop("previous"))
    return link(body, head)[0]


@pytest.fixture
def log(tmp_path):
    path, head, written = tmp_path / "log", START, []
    for i in range(COUNT):
        line, head = record(f"client {i}", head)
        written.append(line)
    path.write_bytes(b"".join(written))
    return path


def meddled(log, meddle):
    """What is said of the log after `meddle` had its list of lines."""
    lines = log.read_bytes().splitlines(keepends=True)
    meddle(lines)
    log.write_bytes(b"".join(lines))
    return verify(log)


def said(verified):
    """(kind, line, record) of the first break."""
    found = verified.broken
    return None if found is None else (found.kind, found.line, found.number)


def test_a_log_that_nobody_touched_is_whole(log):
    found = verify(log)
    assert found.is_whole and not found.notes
    assert (found.records, found.older, found.head.number) == (COUNT, 0, COUNT)


def test_a_log_that_is_not_there_or_empty_is_whole(tmp_path):
    assert verify(tmp_path / "log").is_whole
    (tmp_path / "log").touch()
    assert verify(tmp_path / "log").head == START


@pytest.mark.parametrize("at", range(COUNT))
def test_a_line_that_was_changed_is_named_with_number_and_time(log, at):
    def meddle(lines):
        lines[at] = lines[at].replace(b"live", b"none")

    found = meddled(log, meddle)
    assert said(found) == ("changed", at + 1, at + 1)
    assert f"line {at + 1} (record {at + 1} of 2026-01-0{at + 1}): changed" in str(found.broken)


@pytest.mark.parametrize("at", range(COUNT - 1))
def test_a_line_that_was_changed_with_its_hash_is_named(log, at):
    def meddle(lines):
        lines[at] = relinked(lines[at], who="somebody else")

    assert said(meddled(log, meddle)) == ("changed", at + 1, at + 1)


@pytest.mark.parametrize("at", range(COUNT - 1))
def test_a_line_that_was_made_unreadable_is_named(log, at):
    def meddle(lines):
        lines[at] = b"x" + lines[at]

    assert said(meddled(log, meddle)) == (("changed", at + 1, at + 1) if at else ("removed", 2, 2))


@pytest.mark.parametrize("at", range(COUNT - 1))
def test_a_line_that_was_removed_leaves_its_number_missing(log, at):
    found = meddled(log, lambda lines: lines.pop(at))
    assert said(found) == ("removed", at + 1, at + 2)
    assert "record" in found.broken.why and str(at + 1) in found.broken.why


@pytest.mark.parametrize("at", range(1, COUNT))
def test_a_line_that_was_copied_is_named(log, at):
    assert said(meddled(log, lambda lines: lines.insert(at, lines[at - 1]))) == ("inserted", at + 1, at)


@pytest.mark.parametrize("at", range(1, COUNT))
def test_a_line_that_was_made_up_and_linked_is_named(log, at):
    """Before a true record: that, not the made-up one, is followed."""

    def meddle(lines):
        lines.insert(at, relinked(lines[at], who="nobody"))

    found = said(meddled(log, meddle))
    if at < COUNT - 1:
        assert found == ("inserted", at + 1, at + 1)
    else:  # nothing follows either of the last two: they contradict each other, and that is told
        assert found[0] == "inserted"


@pytest.mark.parametrize("at", range(1, COUNT))
@pytest.mark.parametrize("text", [b"nothing\n", b'{"who": "nobody"}\n', b"\n"])
def test_text_between_records_is_named(log, at, text):
    assert said(meddled(log, lambda lines: lines.insert(at, text))) == ("inserted", at + 1, 0)


@pytest.mark.parametrize("at", range(COUNT - 2))
def test_lines_that_were_exchanged_are_named(log, at):
    def meddle(lines):
        lines[at], lines[at + 1] = lines[at + 1], lines[at]

    assert said(meddled(log, meddle)) == (("moved", at + 1, at + 2) if at else ("removed", 1, 2))


def test_what_was_cut_off_is_told_by_a_hash_that_somebody_kept(log):
    """And by nothing else: a shorter chain is a chain."""
    head = verify(log).head.hash
    assert verify(log, head.upper()).is_whole
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify(log).is_whole
    found = verify(log, head)
    assert not found.is_whole and "cut off" in found.known


def test_a_known_hash_stays_known_while_the_log_goes_on(log):
    head = verify(log).head
    with log.open("ab") as file:
        file.write(record("later", head)[0])
    assert verify(log, head.hash).is_whole


def test_a_log_that_was_written_anew_is_told_by_a_hash_that_somebody_kept(log):
    head, new = verify(log).head.hash, START
    lines = []
    for i in range(COUNT + 3):
        line, new = record(f"other {i}", new)
        lines.append(line)
    log.write_bytes(b"".join(lines))
    assert verify(log).is_whole and not verify(log, head).is_whole


def test_a_cut_line_is_a_cut_when_the_next_record_tells_of_it_and_only_then(log):
    lines = log.read_bytes()
    cut = b'{"time": "2026-01-0\n'
    line, _ = link({"who": "after", "cut": sha256(cut)}, verify(log).head)
    log.write_bytes(lines + cut + line)
    found = verify(log)
    assert found.is_whole and found.notes == (
        f"log, line {COUNT + 1}: cut by a power failure, as record {COUNT + 1} tells",
    )
    log.write_bytes(lines + cut.replace(b"6", b"7") + line)
    assert said(verify(log)) == ("inserted", COUNT + 1, 0)
    log.write_bytes(lines + line)
    assert said(verify(log)) == ("removed", COUNT + 1, COUNT + 1)


def test_a_cut_line_at_the_end_is_told_and_breaks_nothing(log):
    log.write_bytes(log.read_bytes()[:-10])
    found = verify(log)
    assert found.is_whole and found.records == COUNT - 1
    assert "the last line is cut" in found.notes[0]


def test_files_that_are_missing_at_the_beginning_must_have_been_dropped(log):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[3:]))
    assert said(verify(log)) == ("removed", 1, 4)
    third = chain.parse(lines[2])
    told = {"dropped": "log.1", "through": 3, "head": third["hash"], "outcome": "log.1 dropped"}
    line, _ = link(told, Head(COUNT, chain.parse(lines[-1])["hash"]))
    log.write_bytes(b"".join([*lines[3:], line]))
    found = verify(log, third["hash"])
    assert found.is_whole and "log.1 dropped" in found.notes[0]


def test_lines_from_before_the_chain_are_linked_to_its_first_record(log):
    old = b'{"time": "2025-01-01", "who": "a"}\n' * 3
    first, head = link({"who": "b", "old": len(old)}, Head(0, sha256(old)))
    second, _ = record("c", head)
    log.write_bytes(old + first + second)
    found = verify(log)
    assert found.is_whole and (found.older, found.records) == (3, 2)
    log.write_bytes(old.replace(b"2025", b"2024") + first + second)
    assert said(verify(log)) == ("changed", 1, 0)
    log.write_bytes(old)
    found = verify(log)
    assert found.is_whole and "no line has a hash yet" in found.notes[0]
