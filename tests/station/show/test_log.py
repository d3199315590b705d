"""The log of a running station: lines with level and time; fields for the journal of systemd."""

import logging
import os
import socket
import sys
from types import SimpleNamespace

import pytest

from station.show.events import Event
from station.show.log import Log, in_journal, logged

EVENT = Event(9.6, "task", "axis", "outputs held: \x1b[2Jbottom is NaN\nX=1", "warn")


@pytest.fixture
def journal(socket_folder, monkeypatch):
    """systemd's journal on a socket of the test; stderr is it."""
    monkeypatch.setattr("station.show.log.in_journal", lambda: True)
    place = str(socket_folder / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(place)
        listener.settimeout(5)
        yield listener, place


def test_a_line_has_time_level_kind_and_subject_and_steers_no_terminal(capsys):
    Log("cell").tell(EVENT)
    line = capsys.readouterr().err
    assert line.startswith(EVENT.when.isoformat(sep=" ", timespec="milliseconds"))
    assert " warn task axis: outputs held: \\x1b[2Jbottom is NaN\\x0aX=1\n" in line


def test_the_journal_gets_fields(journal, capsys):
    """Each field is a line; what is in a text cannot make another field."""
    listener, place = journal
    Log("cell", place).tell(EVENT)
    fields = dict(line.split("=", 1) for line in listener.recv(10_000).decode().splitlines())
    assert fields["PRIORITY"] == "4"
    assert fields["RT_STATION"] == "cell"
    assert (fields["RT_KIND"], fields["RT_SUBJECT"], fields["RT_SECONDS"]) == ("task", "axis", "9.600000")
    assert "X" not in fields
    assert capsys.readouterr().err == ""


def test_a_journal_that_takes_nothing_holds_nothing(journal, capsys):
    """Its socket is full: at once the line goes to stderr."""
    _, place = journal
    log = Log("cell", place)
    for _ in range(100_000):
        log.tell(EVENT)
        if capsys.readouterr().err:
            break
    else:
        pytest.fail("the socket never was full")


def test_stderr_is_the_journal_when_systemd_says_its_very_file(monkeypatch):
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert in_journal()
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
    assert not in_journal()
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not in_journal()


def test_what_libraries_log_is_a_line_and_what_is_an_event_already_is_not(capsys):
    with logged(Log("cell")):
        logging.getLogger("fieldbus").warning("link plant: down", extra={"link": "plant"})
        logging.getLogger("asyncio").error("a task was lost")
    assert [line.partition(" bad ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "station asyncio: a task was lost"
    ]
    assert not [h for h in logging.getLogger().handlers if type(h).__module__ == "station.show.log"]
    assert sys.stderr


def test_a_line_is_written_in_one_piece(monkeypatch):
    """Standard output goes to the same terminal by a thread of its own: what is written between the pieces splits the line."""
    pieces: list[str] = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=pieces.append, flush=lambda: None))
    Log("cell").tell(EVENT)
    assert len(pieces) == 1 and pieces[0].endswith("\n")
