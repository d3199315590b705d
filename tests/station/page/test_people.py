"""Sessions of who looks at a page."""

from plc_bindings.security.tokens import hashed
from station.page import people
from station.page.people import People


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


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
