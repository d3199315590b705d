"""Names behind tokens and certificates."""

import pytest

from plc_bindings.security import tokens
from plc_bindings.security.tokens import Tokens, hashed, is_hash, new_token


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_token_is_long_and_never_the_same():
    made = {new_token() for _ in range(100)}
    assert len(made) == 100 and min(map(len, made)) >= 43
    assert all(is_hash(hashed(token)) for token in made)


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "a" * 64, "rt_secret"])
def test_what_is_no_hash_is_seen(text):
    assert not is_hash(text)


def test_a_token_has_the_name_of_the_station_file():
    found = Tokens({"anna": hashed("one"), "bert": hashed("two")}, {})
    assert [found.of_token(token) for token in ("one", "two", "three", "")] == ["anna", "bert", "", ""]


def test_after_some_wrong_tokens_none_from_there_is_looked_at_for_a_while():
    """From elsewhere they are: who guesses locks nobody out."""
    clock = Clock()
    found = Tokens({"anna": hashed("one")}, {}, clock)
    for _ in range(tokens.TRIES):
        assert not found.is_tired_of("10.0.0.1")
        found.of_token("guess", "10.0.0.1")
    assert found.is_tired_of("10.0.0.1") and not found.is_tired_of("10.0.0.2")
    clock.now += tokens.TRIES_S
    assert not found.is_tired_of("10.0.0.1")


def test_guesses_from_countless_addresses_are_not_all_remembered(monkeypatch):
    monkeypatch.setattr(tokens, "MOST_WRONG", 30)
    clock = Clock()
    found = Tokens({"anna": hashed("one")}, {}, clock)
    for number in range(40):
        found.of_token("guess", f"10.0.0.{number}")
    assert found.is_tired_of("10.0.1.1") and len(found._wrong) == 30
    clock.now += tokens.TRIES_S
    assert not found.is_tired_of("10.0.1.1")


def test_commands_go_by_the_name_of_a_token_or_by_a_certificate():
    """A certificate counts where there are no tokens; who has neither may do nothing."""
    commands = {"Anna": ("record",), "f" * 64: ("commit",)}
    by_token = Tokens({"anna": hashed("one")}, commands)
    assert by_token.viewer("anna", None).commands == ("record",)
    assert by_token.viewer("bert", ("f" * 64, "anna")).commands == ()
    by_certificate = Tokens({}, commands)
    assert by_certificate.viewer("", ("0" * 64, "anna")).commands == ("record",)
    assert by_certificate.viewer("", ("f" * 64, "bert")).commands == ("commit",)
    assert by_certificate.viewer("", ("0" * 64, "carl")).commands == ()
    assert by_certificate.viewer("", None).commands == ()
