"""What a commander has on its own disk: where the rollout is, and which orders it is about to send.

A line is written and synced before what it says is sent. Only the last one decides what follows. So the file is cut to that one as
soon as all that the others say is in the audit log, for good; what a commander that died has left there is noted by the next one.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from station.errors import RolloutError
from station.fleet.documents import Document
from station.fleet.rollout import Plan
from station.fleet.sealed import ForgedError
from station.store.files import FOLDER_MODE, replace_file
from station.store.journal import Journal, line, read

MOST_BYTES: Final = 4 << 20
"""It is cut when it has more."""


class Entry(Document):
    """A line: the plan as it became, and the generations of orders that are sent now."""

    plan: Plan
    orders: dict[str, int] = {}  # noqa: RUF012  # pydantic copies it


class Diary:
    """The journal of a folder. `left`: what it had when this was made, oldest first.

    Raises:
        RolloutError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rollouts.journal"
        self._journal: Journal | None = None
        self._newest: Plan | None = None
        try:
            self.left = tuple(Entry.read(json.dumps(record).encode()) for record in read(self.path).records)
        except (OSError, ForgedError) as error:
            raise RolloutError(f"{self.path} cannot be read: {error}") from error

    def open(self) -> None:
        """Add to it from now on; a line that was never whole is taken away. Raises RolloutError."""
        try:
            self.path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            cut = read(self.path).cut
            self._journal = Journal(self.path)
            if cut:
                self._journal.cut(cut)
        except OSError as error:
            raise RolloutError(f"{self.path}: {error.strerror or error}; nothing was ordered") from error

    def write(self, plan: Plan, orders: dict[str, int] | None = None) -> None:
        """Add a line; it is on the disk when this returns. Raises RolloutError: it is not."""
        assert self._journal is not None, "it was opened"
        try:
            self._journal.append(Entry(plan=plan, orders=orders or {}).model_dump(mode="json", exclude_none=True))
        except OSError as error:
            helps = "nothing was ordered; `rt-engine fleet resume` goes on when that is mended"
            raise RolloutError(f"{self.path}: {error.strerror or error}; {helps}") from error
        self._newest = plan

    @property
    def is_long(self) -> bool:
        """Is it to be cut?"""
        with suppress(OSError):
            return self.path.stat().st_size > MOST_BYTES
        return False

    def cut(self) -> None:
        """Keep the last line alone: all else is in the audit log. Where that cannot be written all of it stays.

        Raises:
            RolloutError: it cannot be opened any more.
        """
        if self._journal is None or self._newest is None:
            return
        with suppress(OSError):
            replace_file(self.path, line(Entry(plan=self._newest).model_dump(mode="json", exclude_none=True)))
        self.close()  # whatever became of it: what is added goes to the file that has the name
        self.open()

    def close(self) -> None:
        """Add no more."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
