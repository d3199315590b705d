"""The reason of a change that went wrong names the recording of it."""

import threading
from types import SimpleNamespace

import pytest

from rt_engine.change import ChangeState as S
from station.change.machine import Event
from station.change.parts import Stand
from station.change.seen_again import Places, named, with_place

FOLDER, FILE = "/r", "/r/bench-000001-disagreement.mcap"
IN_FOLDER, IN_FILE = (f"214 values disagreed; what was seen is recorded in {place}" for place in (FOLDER, FILE))


@pytest.mark.parametrize("event", [Event.DISAGREED, Event.VERDICT])
def test_a_reason_names_the_file_that_is_written_else_its_folder(event):
    assert with_place("214 values disagreed", event, Places(FILE, FOLDER)) == IN_FILE
    assert with_place("214 values disagreed", event, Places("", FOLDER)) == IN_FOLDER
    assert with_place("214 values disagreed", event, Places()) == "214 values disagreed"


def test_what_a_person_says_is_in_no_recording():
    assert with_place("taken back by anna", Event.BACK, Places(FILE, FOLDER)) == "taken back by anna"


def change(why):
    return SimpleNamespace(stand=Stand(S.REJECTED, 0, 0.0, why))


def test_once_there_is_a_file_the_reason_names_it():
    asked, one = [], change(IN_FOLDER)

    def recordings():
        asked.append(None)
        return Places(FILE if len(asked) > 3 else "", FOLDER)

    assert named(one, recordings, threading.Event()) == FILE
    assert one.stand.why == IN_FILE


@pytest.mark.parametrize(
    ("why", "places"),
    [(IN_FILE, Places(FILE, FOLDER)), ("taken back by anna", Places(FILE, FOLDER)), (IN_FOLDER, Places())],
)
def test_a_reason_that_names_no_folder_stays(why, places):
    one = change(why)
    assert named(one, lambda: places, threading.Event()) == ""
    assert one.stand.why == why


def test_a_file_that_does_not_come_is_not_waited_for_for_ever():
    """Nor by a station that stops."""
    stopping = threading.Event()
    stopping.set()
    assert named(change(IN_FOLDER), lambda: Places("", FOLDER), stopping) == ""
    assert named(change(IN_FOLDER), lambda: Places("", FOLDER), threading.Event(), patience_s=0.0) == ""
