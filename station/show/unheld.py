"""Text streams that never hold who writes: a thread hands the text on, and what nobody takes is left out.

    print, rich, logging, tracebacks --> Unheld.write: a queue of `MOST_BYTES` --> a thread --> the terminal, pipe or file

A terminal that is stopped (Ctrl-S), a pipe that nobody reads or a disk that hangs costs text, and nothing else.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

MOST_BYTES: Final = 256 << 10
PATIENCE_S: Final = 1.0
"""How long a command waits at its end for what was printed to be taken."""


class Unheld(io.TextIOBase):
    """Stands in for `stream`. Any thread may write; `failure` says why the newest text was not taken, empty: it was."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._file = _descriptor(stream)
        self._waiting: deque[bytes] = deque()
        self._bytes = self._left_out = 0
        self._is_writing = self._is_ended = False
        self._changed = threading.Condition()
        self.failure = ""
        threading.Thread(target=self._run, name="output", daemon=True).start()

    # --- what a text stream has ---------------------------------------------------------------------------------------

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the stream's."""
        return self._stream.encoding or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """A character that the stream does not have is shown as an escape."""
        return "backslashreplace"

    def isatty(self) -> bool:
        """As the stream."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """As the stream's."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take `text`, to be written soon, whole or not at all; returns at once."""
        data = text.encode(self.encoding, self.errors)
        with self._changed:
            if self._bytes + len(data) > MOST_BYTES:
                self._left_out += 1
                self.failure = "nobody takes it, text is left out"
            else:
                self._waiting.append(data)
                self._bytes += len(data)
                self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Nothing: who prints does not wait."""

    def drain(self, patience_s: float = PATIENCE_S) -> bool:
        """Wait until all is written, not longer than that; gives whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._is_writing, patience_s)

    def end(self) -> None:
        """Let the thread end once all is written."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._is_ended)
                if not self._waiting:
                    return
                self._is_writing = True
                data = self._waiting.popleft()
                self._bytes -= len(data)
                if self._left_out and self._bytes < MOST_BYTES // 2:
                    data += f"({self._left_out:,} pieces of text were left out: nobody took them)\n".encode()
                    self._left_out = 0
            failure = ""
            try:
                self._pass_on(data)
            except (OSError, ValueError) as error:  # a reader that is gone, a full disk, a closed file
                failure = getattr(error, "strerror", None) or str(error)
            with self._changed:
                if failure or not self._left_out:
                    self.failure = failure

    def _pass_on(self, data: bytes) -> None:
        """Write past Python's own buffer: its lock would be held, and hold the end of the process."""
        if self._file is None:
            self._stream.write(data.decode(self.encoding, "replace"))
            self._stream.flush()
            return
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except BlockingIOError:  # somebody made the pipe non-blocking for all who have it
                select.select([], [self._file], [], PATIENCE_S)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


@contextmanager
def unheld_output() -> Iterator[None]:
    """`sys.stdout` and `sys.stderr` hold nobody; at the end, what was printed has `PATIENCE_S` to be taken.

    A stream that did not take it stays replaced: nothing that is said later may hold the end of the process either.
    """
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    mine = {name: Unheld(stream) for name, stream in before.items() if stream is not None}  # None: it is closed
    for name, stream in mine.items():
        before[name].flush()
        setattr(sys, name, stream)
    try:
        yield
    finally:
        until = time.monotonic() + PATIENCE_S
        for name, stream in mine.items():
            if stream.drain(max(0.0, until - time.monotonic())):
                setattr(sys, name, before[name])
                stream.end()
