"""Is a model slow? One rule and one clock, whatever the protocol."""

from __future__ import annotations

from plc_bindings.calls.replay_block import SLOW_NS

SLOW_S = SLOW_NS / 1e9
"""A call that takes longer runs in a thread, so that other clients do not wait for it."""


class Paces:
    """How long the last two calls of each model took, whoever made them.

    The faster of the two counts: one that was interrupted says nothing of the model. (A clock of processor time would leave
    interruptions out, but reading it takes the system a microsecond.)
    """

    def __init__(self) -> None:
        self._runs: dict[int, tuple[int, float, float]] = {}
        """Model's number -> (version, seconds for one set of inputs: of the newest call, of the one before)."""

    def is_slow(self, model: int, version: int, count: int = 1) -> bool:
        """Does a call with so many sets of inputs take long? Yes, as long as nobody knows."""
        known, newest, before = self._runs.get(model, (0, 0.0, 0.0))
        return known != version or min(newest, before) * count > SLOW_S

    def note(self, model: int, version: int, seconds: float) -> None:
        """A call took so long, for each set of inputs. Any thread."""
        known, newest, _ = self._runs.get(model, (version, seconds, 0.0))
        self._runs[model] = (version, seconds, newest if known == version else seconds)
