"""Recordings that were damaged on purpose. `python -m tests.rt_engine.recording.mutants [COUNT] [SEED]` reads so many.

Half of them are flipped bits, cuts and copies anywhere; the others are hits on what a reader believes: lengths, counts, times, texts
of layouts, with check sums taken away, so that what is behind them is reached.
"""

import re
import resource
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from rt_engine import recording as rec
from rt_engine.errors import RecordingError
from rt_engine.recording import Version, Writer
from rt_engine.recording.mcap.records import HEAD, MAGIC, Opcode
from tests.rt_engine.recording.recorded import LAYOUT, OFFSET_NS, checkpoints, cycles

SECONDS = 10
MOST_BYTES = 3 << 30
"""Of address space beyond what is there at the start: a limit of the campaign's process."""
EDGES = (0, 1, 8, 22, 255, 1 << 15, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 62) + 1, (1 << 63) - 1, (1 << 64) - 1)


class Bytes:
    """A file in memory."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def read(self, at, count):
        return self.data[at : at + count]


def whole(compression, count=24):
    """A small file with all that there is, in chunks of 8 cycles."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mcap"
        with Writer(
            path, [LAYOUT], offset_ns=OFFSET_NS, about={"boot_id": "b"}, station="[x]", compression=compression,
            versions=[Version("balance", 1, "ab", "m")], attachments={"models/ab.onnx": b"model" * 9},
        ) as writer:  # fmt: skip
            for first in range(0, count, 8):
                writer.add_checkpoints(LAYOUT, checkpoints([first]))
                writer.add_records(LAYOUT, cycles(first, first + 8))
                writer.add_event(
                    {"tick_ns": first, "kind": "version", "task": "balance", "number": first, "sha256": "c"}
                )
                writer.flush()
        return path.read_bytes()


def records(data):
    """Where each record of a file begins."""
    at, found = len(MAGIC), []
    while at + HEAD.size <= len(data):
        found.append(at)
        at += HEAD.size + HEAD.unpack_from(data, at)[1]
    return found


def without_check_sums(data):
    """The same, its chunks' CRC-32 not given."""
    made = bytearray(data)
    for at in records(data):
        if data[at] == Opcode.CHUNK:
            struct.pack_into("<I", made, at + HEAD.size + 24, 0)
    return bytes(made)


def mutant(random, base, starts):
    """Another damaged file."""
    made = bytearray(base)
    for _ in range(1 + random.integers(3)):
        at = int(random.integers(len(made)))
        start = starts[random.integers(len(starts))]
        match random.integers(9):
            case 0:
                made[at] ^= 1 << random.integers(8)
            case 1:
                del made[at:]
            case 2:
                made[at : at + random.integers(1, 40)] = random.bytes(random.integers(40))
            case 3:
                made[at:at] = made[start : start + random.integers(1, 3000)]
            case 4:
                del made[at : at + random.integers(1, 200)]
            case 5 | 6:
                near = min(start + int(random.integers(64)), len(made) - 8)
                if near >= 0:
                    form = ("<B", "<H", "<I", "<Q")[random.integers(4)]
                    edge = EDGES[random.integers(len(EDGES))] + int(random.integers(-1, 2))
                    struct.pack_into(form, made, near, edge % (1 << 8 * struct.calcsize(form)))
            case 7:
                digits = [match.start() for match in re.finditer(rb"[0-9]", made[:4000])]
                if digits:
                    made[digits[random.integers(len(digits))]] = b'0123456789-e.[]{}"'[random.integers(18)]
            case 8 if start + 9 < len(made) and made[start] == Opcode.CHUNK:
                _swell(random, made, start)
        if not made:
            break
    return bytes(made)


def _swell(random, made, start):
    """A chunk that says another size of what is in it."""
    size = EDGES[random.integers(len(EDGES))] + int(random.integers(-9, 9))
    struct.pack_into("<Q", made, min(start + HEAD.size + 16, len(made) - 8), size % (1 << 64))


def read(data, random):
    """Some of all that can be asked of a recording; says how it came out: "refused", "damaged", or "whole"."""
    try:
        recording = rec.open("x", source=lambda _: Bytes(data))
    except RecordingError:
        return "refused"
    for name in recording.tasks:
        _ask(recording.task(name), random)
    for asked in (lambda: recording.events, lambda: recording.versions, lambda: recording.model("ab")):
        _try(asked)
    return "damaged" if recording.check() else "whole"


def _ask(task, random):
    known = (
        task.records, task.gaps, task.utc_ns, lambda: task.column("pole"), lambda: task.records(5, 10**10),
        lambda: task.records(3, 9, "number"), lambda: task.records(OFFSET_NS, None, "utc"), lambda: task.segments(5),
        lambda: [list(task.checkpoints.of(part)) for part in task.segments(2)],
        lambda: [checkpoint.region(0) for checkpoint in task.checkpoints], lambda: task.checkpoints.before(10**10),
    )  # fmt: skip
    for which in random.permutation(len(known))[:2]:
        _try(known[which])


def _try(asked):
    with suppress(RecordingError):
        asked()


def bases():
    """(file, where its records begin) of what is damaged."""
    found = []
    for compression in ("none", "zstd"):
        made = whole(compression, 16)
        found += [(made, records(made)), (without_check_sums(made), records(made))]
    return found


def campaign(count, seed, said=lambda text: None):
    """Reads so many mutants; how often each came out how."""
    random, known, ends, slowest = np.random.default_rng(seed), bases(), Counter(), 0.0
    for number in range(count):
        base, starts = known[random.integers(len(known))]
        state = random.bit_generator.state
        data = mutant(random, base, starts)
        began = time.monotonic()
        signal.alarm(SECONDS)
        try:
            ends[read(data, random)] += 1
        except BaseException:
            Path(tempfile.gettempdir(), "mutant.mcap").write_bytes(data)
            said(f"mutant {number} of seed {seed} (state {state}) is in {tempfile.gettempdir()}/mutant.mcap")
            raise
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.monotonic() - began)
        if number % 50_000 == 0:
            said(f"{number} {dict(ends)} slowest {slowest:.2f} s")
    return ends


if __name__ == "__main__":
    held = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (held + MOST_BYTES, held + MOST_BYTES))
    arguments = [int(text) for text in sys.argv[1:]] or [1_000_000]
    print(campaign(arguments[0], arguments[1] if len(arguments) > 1 else 0, lambda text: print(text, flush=True)))
    print("most memory:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")
