"""Signals that stop a station in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from station.running.station import Station

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S: Final = 5.0
"""How long after the first signal Ctrl-C ends what delays the stop."""


@contextmanager
def stopped_by_signals(station: Station, is_last: bool = False) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP stop the station in order; SIGHUP not where nohup has it ignored. Main thread only.

    `is_last`: the process ends afterwards, and they are ignored from then on: between two handlers there is no moment in which
    one would end it with another exit code.

    More of them change nothing: outputs go safe, the report is written, the exit code is that of the run. Only SIGINT
    (Ctrl-C), when it comes `PATIENCE_S` or more after the first, ends whatever delays that, by `KeyboardInterrupt`; and
    not while outputs are being made safe.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]
    asked_s = float("inf")

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked_s
        now_s = time.monotonic()
        is_impatient = number == signal.SIGINT and now_s - asked_s >= PATIENCE_S
        asked_s = min(asked_s, now_s)
        station.request_stop()
        if is_impatient and not station.is_making_safe:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if is_last else handler)
