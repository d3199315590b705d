"""States, and delays between attempts."""

from typing import get_args

from fieldbus.link.state import NEXT, Backoff, State


def test_every_state_can_be_left_and_stopped() -> None:
    """The table covers all states; each can be stopped, and reached from `stopped`."""
    assert set(NEXT) == set(get_args(State))
    assert all("stopped" in NEXT[state] for state in NEXT if state != "stopped")
    reached, frontier = {"stopped"}, ["stopped"]
    while frontier:
        new = set(NEXT[frontier.pop()]) - reached  # type: ignore[index]
        reached |= new
        frontier += new
    assert reached == set(NEXT)


def test_delays_double_up_to_a_limit_and_start_again_after_success() -> None:
    """0.1, 0.2, 0.4, ... at most 1; after `reset` 0.1 again."""
    backoff = Backoff(0.1, 1.0)
    assert [backoff.next_s() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.reset()
    assert backoff.next_s() == 0.1
