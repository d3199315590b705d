"""What PLC clients say to the change of a model: the servers' thread hands it on, and waits for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from plc_bindings.data.changes import Changes, ChangeView

Refused = Callable[[str, str, str], None]
"""(who, what, why) of what could not be done."""


def _nobody(who: str, what: str, why: str) -> None:
    pass


class Commands:
    """Commit and rollback of models by clients. Servers' thread only.

    Args:
        changes: what there is to see, and what carries them out; None: models of this station do not change.
        refused: hears of what could not be done, and why; from another thread.
    """

    def __init__(self, changes: Changes | None = None, refused: Refused = _nobody) -> None:
        self._changes, self._refused = changes, refused

    def view(self, slot: str) -> ChangeView | None:
        """The newest change of a slot; None: nothing is known of it."""
        views = self._changes.views() if self._changes is not None else ()
        return next((view for view in views if view.slot == slot), None)

    def commit(self, slot: str, who: str) -> None:
        """Let the change of a slot go on to its next state. Returns at once."""
        if self._changes is not None:
            self._hand_on(self._changes.commit, slot, who, "commit")

    def roll_back(self, slot: str, who: str) -> None:
        """Take a change back. Returns at once."""
        if self._changes is not None:
            self._hand_on(self._changes.roll_back, slot, who, "rollback")

    def _hand_on(self, work: Callable[[str, str], str], slot: str, who: str, word: str) -> None:
        def run() -> None:
            try:
                work(slot, who)
            except Exception as error:  # whatever it is: the client sees it in the change's state, people in the log
                why = error.args[0] if isinstance(error, KeyError) and error.args else error
                self._refused(who, f"{word} of model {slot}", f"refused: {why}")

        try:
            threading.Thread(target=run, name=word, daemon=True).start()
        except RuntimeError as error:
            self._refused(who, f"{word} of model {slot}", f"refused: the system gave no thread for it: {error}")


NO_COMMANDS: Final = Commands()
