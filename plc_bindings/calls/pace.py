"""Is a model slow? One rule and one clock, whatever the protocol."""

from __future__ import annotations

from plc_bindings.calls.replay_block import SLOW_NS

SLOW_S = SLOW_NS / 1e9
"""A call that takes longer runs in a thread, so that other clients do not wait for it."""


class Paces:
    """How long the newest call of each model took, whoever made it.

    One that was interrupted makes a model slow for one call, which then runs in a thread. (A clock of processor time would
    leave interruptions out, but reading it takes the system a microsecond.)
    """

    def __init__(self) -> None:
        self._runs: dict[int, tuple[int, float]] = {}
        """Model's number -> (version, seconds for one set of inputs)."""

    def is_slow(self, model: int, version: int, count: int = 1) -> bool:
        """Does a call with so many sets of inputs take long? Yes, as long as nobody knows."""
        known, seconds = self._runs.get(model, (0, 0.0))
        return known != version or seconds * count > SLOW_S

    def note(self, model: int, version: int, seconds: float) -> None:
        """A call took so long, for each set of inputs, whatever it ended with. Any thread."""
        self._runs[model] = (version, seconds)
