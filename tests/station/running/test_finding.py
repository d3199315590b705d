"""Which of the stations of a computer a command means, whoever runs them."""

import os

import pytest

from station.errors import NotRunningError
from station.machine.claims import Holder, address
from station.running import finding
from station.running.finding import only_place, place_of_name

ROOT, ME, OTHER = 0, 1000, 65534


@pytest.fixture
def runs(monkeypatch):
    """Stations by name and number, each with its user; and who we are."""

    def set_up(us, *stations):
        users = {known: user for _, known, user in stations}
        monkeypatch.setattr(os, "getuid", lambda: us)
        monkeypatch.setattr(finding, "claimed_texts", lambda _: [f"{name}/{known}" for name, known, _ in stations])
        monkeypatch.setattr(finding, "holder", lambda _, known: Holder(77, users[known]) if users[known] else None)

    return set_up


def test_the_only_one_of_ours_is_meant(runs):
    """Also beside one of another user, for us and for root; one that has ended meanwhile is none."""
    for us in (ME, ROOT):
        runs(us, ("cell", "a1", ME), ("gone", "b2", None))
        assert str(only_place()) == str(place_of_name("cell")) == address("station", "a1")
    runs(ME, ("cell", "a1", ME), ("cell", "c3", OTHER))
    assert str(only_place()) == str(place_of_name("cell")) == address("station", "a1")


def test_several_are_named(runs):
    """Those that we can ask; a name that two have is told apart by their files."""
    runs(ME, ("cell", "a1", ME), ("press", "b2", ME), ("other", "c3", OTHER))
    with pytest.raises(NotRunningError, match=r"^several stations run: cell, press; say which with --station$"):
        only_place()
    runs(ME, ("cell", "a1", ME), ("cell", "b2", ME))
    with pytest.raises(NotRunningError, match="several stations named cell run; say which by its file"):
        place_of_name("cell")


def test_anothers_is_said_to_be_anothers(runs):
    """Not that none runs: whose it is, and how that user asks it."""
    runs(ME, ("cell", "a1", OTHER), ("press", "b2", OTHER))
    for ask in (only_place, lambda: place_of_name("cell")):
        with pytest.raises(
            NotRunningError, match=r"'cell' is another user's \(process 77 of user .*\): only that user and"
        ):
            ask()


def test_none_runs(runs):
    """By no name, and at all."""
    runs(ME)
    assert place_of_name("cell") is None
    with pytest.raises(NotRunningError, match="no station runs"):
        only_place()
