"""Who looks at a page."""

import pytest

from station.page import people
from station.page.people import People, hashed, is_hash, new_token


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_token_is_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 43
    assert all(is_hash(hashed(token)) for token in tokens)


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "a" * 64, "rt_secret"])
def test_what_is_no_hash_is_seen(text):
    assert not is_hash(text)


def test_a_token_has_the_name_of_the_station_file():
    found = People({"anna": hashed("one"), "bert": hashed("two")}, {})
    assert [found.of_token(token) for token in ("one", "two", "three", "")] == ["anna", "bert", "", ""]


def test_a_session_lasts_as_long_as_it_is_used():
    clock = Clock()
    found = People({"anna": hashed("one")}, {}, clock)
    secret = found.log_in("anna")
    for _ in range(3):
        clock.now += people.SESSION_S - 1
        assert found.of_session(secret) == "anna"
    clock.now += people.SESSION_S
    assert found.of_session(secret) == ""


def test_a_session_that_was_ended_is_nobodys():
    found = People({"anna": hashed("one")}, {})
    secret = found.log_in("anna")
    found.log_out(secret)
    assert found.of_session(secret) == found.of_session("") == ""


def test_the_oldest_session_makes_room():
    clock = Clock()
    found = People({"anna": hashed("one")}, {}, clock)
    secrets = []
    for clock.now in range(people.MOST_SESSIONS + 1):
        secrets.append(found.log_in("anna"))
    assert found.of_session(secrets[0]) == ""
    assert all(found.of_session(secret) for secret in secrets[1:])


def test_after_some_wrong_tokens_none_from_there_is_looked_at_for_a_while():
    """From elsewhere they are: who guesses locks nobody out."""
    clock = Clock()
    found = People({"anna": hashed("one")}, {}, clock)
    for _ in range(people.TRIES):
        assert not found.is_tired_of("10.0.0.1")
        found.of_token("guess", "10.0.0.1")
    assert found.is_tired_of("10.0.0.1") and not found.is_tired_of("10.0.0.2")
    clock.now += people.TRIES_S
    assert not found.is_tired_of("10.0.0.1")


def test_guesses_from_countless_addresses_are_not_all_remembered(monkeypatch):
    monkeypatch.setattr(people, "MOST_WRONG", 30)
    clock = Clock()
    found = People({"anna": hashed("one")}, {}, clock)
    for number in range(40):
        found.of_token("guess", f"10.0.0.{number}")
    assert found.is_tired_of("10.0.1.1") and len(found._wrong) == 30
    clock.now += people.TRIES_S
    assert not found.is_tired_of("10.0.1.1")


def test_commands_go_by_the_name_of_a_token_or_by_a_certificate():
    """A certificate counts where there are no tokens; who has neither may do nothing."""
    commands = {"Anna": ("record",), "f" * 64: ("commit",)}
    by_token = People({"anna": hashed("one")}, commands)
    assert by_token.viewer("anna", None).commands == ("record",)
    assert by_token.viewer("bert", ("f" * 64, "anna")).commands == ()
    by_certificate = People({}, commands)
    assert by_certificate.viewer("", ("0" * 64, "anna")).commands == ("record",)
    assert by_certificate.viewer("", ("f" * 64, "bert")).commands == ("commit",)
    assert by_certificate.viewer("", ("0" * 64, "carl")).commands == ()
    assert by_certificate.viewer("", None).commands == ()
