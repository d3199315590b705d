"""Text streams that hold nobody."""

import io
import os
import sys
import time

from station.show.unheld import MOST_BYTES, Unheld, unheld_output
from tests.waiting import PATIENCE_S, wait_for


def pipe():
    reads, writes = os.pipe()
    return reads, os.fdopen(writes, "w", encoding="ascii", closefd=False), writes


def test_text_arrives_in_order_with_escapes_for_what_the_stream_has_no_character_for():
    reads, stream, _ = pipe()
    unheld = Unheld(stream)
    print("one", file=unheld)
    print("zwei \u00fc", file=unheld)
    assert unheld.drain()
    assert os.read(reads, 100) == b"one\nzwei \\xfc\n"


def test_a_writer_waits_for_nobody_and_what_was_left_out_is_counted():
    """Nobody reads: memory stays bounded. Somebody reads again: the newest text arrives, and how many pieces are missing."""
    reads, stream, _ = pipe()
    unheld = Unheld(stream)
    line = "x" * 1000 + "\n"
    begin = time.monotonic()
    for _ in range(1000):
        unheld.write(line)
    assert time.monotonic() - begin < 20.0, "a full pipe that is waited for holds it up for ever"
    assert unheld.failure == "nobody takes it, text is left out"
    assert sum(map(len, unheld._waiting)) <= MOST_BYTES
    assert not unheld.drain(0.01)
    taken = b""
    while b"left out" not in taken:
        taken += os.read(reads, 1 << 16)
    missing = int(taken.rpartition(b"(")[2].split()[0].replace(b",", b""))
    while (taken.count(b"x" * 1000)) < 1000 - missing:
        taken += os.read(reads, 1 << 16)
    print("and on", file=unheld)
    wait_for(lambda: unheld.failure == "")


def test_a_reader_that_is_gone_is_a_failure_and_no_error():
    reads, stream, _ = pipe()
    unheld = Unheld(stream)
    os.close(reads)
    print("to nobody", file=unheld)
    wait_for(lambda: unheld.failure == "Broken pipe")


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing():
    reads, stream, writes = pipe()
    os.set_blocking(writes, False)
    unheld = Unheld(stream)
    unheld.write("y" * 200_000)  # more than a pipe holds
    taken = 0
    while taken < 200_000:
        taken += len(os.read(reads, 1 << 16))
    assert unheld.drain()


def test_a_command_gets_its_streams_back_but_for_one_that_took_nothing(monkeypatch):
    """Python flushes its streams at the end of the process: one that is stuck must not be there."""
    _, stuck, writes = pipe()
    good = io.StringIO()
    os.set_blocking(writes, False)
    try:
        while True:
            os.write(writes, b" " * 4096)
    except BlockingIOError:
        os.set_blocking(writes, True)
    monkeypatch.setattr(sys, "stdout", good)
    monkeypatch.setattr(sys, "stderr", stuck)
    monkeypatch.setattr("station.show.unheld.PATIENCE_S", 0.05)
    with unheld_output():
        print("hello")
        assert sys.stdout.drain(PATIENCE_S)
        print("nobody", file=sys.stderr)
    assert sys.stdout is good
    assert good.getvalue() == "hello\n"
    assert isinstance(sys.stderr, Unheld)
    print("still nobody", file=sys.stderr, flush=True)
