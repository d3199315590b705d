"""How fast are recordings written and read, and how fast is the package mcap, in one process?

    python -m benchmarks.recordings                       1,000,000 cycles of 8 inputs and 4 outputs
    python -m benchmarks.recordings --cycles 10000000     some GB in the folder of temporary files, or in --folder

Ours: `Writer.add_records` of 50 ms each, then all records as arrays, a column, and gaps. mcap: `add_message` of each cycle's bytes,
`iter_messages` without decoding, and with mcap-ros2-support; of them fewer cycles, for they are slow. Prints one line of JSON: cycles
for each second of one processor, so that other work on the machine, and its disk, count little.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rt_engine import recording as rec
from rt_engine.recording import Field, SourceFields, TaskLayout, Writer
from rt_engine.recording.layout import Records

LAYOUT = TaskLayout(
    "control",
    1_000_000,
    (SourceFields("plc", tuple(Field(f"sensor{n}") for n in range(8))),),
    tuple(Field(f"valve{n}") for n in range(4)),
)
OFFSET_NS = 1_700_000_000 * 10**9
PART = 200_000
PEERS_PART = 100_000
DECODED = 20_000


def cycles(first: int, count: int) -> Records:
    """As a machine might give them: sensors with noise in their last digits, times that jitter."""
    random, records = np.random.default_rng(first), np.zeros(count, LAYOUT.dtype)
    number = np.arange(first, first + count)
    records["number"], records["tick_ns"], records["due_ns"] = number, 10**12 + number * 10**6, 10**12 + number * 10**6
    records["wakeup_ns"], records["execution_ns"] = (
        random.integers(2000, 9000, count),
        random.integers(20_000, 30_000, count),
    )
    records["reads"] = 5
    records["clock"][:, :5] = records["tick_ns"][:, None] + random.integers(0, 9000, (count, 5)).cumsum(1)
    waves = np.sin(number[:, None] / 1000 * np.arange(1, 9)) + random.normal(0, 1e-3, (count, 8))
    LAYOUT.values(records, 0)[:] = waves.round(4)
    LAYOUT.raw(records)[:] = LAYOUT.published(records)[:] = np.tanh(waves[:, :4] @ random.normal(size=(4, 4)))
    return records


def rate(count: int, work: Callable[[], Any]) -> int:
    """How many for each second of one processor."""
    began = time.process_time()
    work()
    return round(count / (time.process_time() - began))


def ours(path: Path, count: int, compression: str) -> dict[str, int]:
    """Cycles a second, and bytes of each in the file."""
    seconds = 0.0
    with Writer(path, [LAYOUT], offset_ns=OFFSET_NS, compression=compression) as writer:
        for first in range(0, count, PART):
            records = cycles(first, min(PART, count - first))
            began = time.process_time()
            for at in range(0, len(records), 50):
                writer.add_records(LAYOUT, records[at : at + 50])
            seconds += time.process_time() - began
        began = time.process_time()
    seconds += time.process_time() - began

    def read() -> None:
        assert sum(len(block) for block in rec.open(path).task().blocks()) == count

    return {
        "bytes_a_cycle": round(path.stat().st_size / count),
        "write": round(count / seconds),
        "read": rate(count, read),
        "column": rate(count, lambda: rec.open(path).task().column("valve0")),
        "gaps": rate(count, lambda: rec.open(path).task().gaps()),
    }


def peers(path: Path, count: int, compression: str) -> dict[str, int]:
    """The same of Python's mcap."""
    from mcap.reader import make_reader
    from mcap.writer import CompressionType
    from mcap.writer import Writer as McapWriter
    from mcap_ros2.decoder import DecoderFactory

    records = cycles(0, count)
    bodies, kind = records.tobytes(), CompressionType.ZSTD if compression == "zstd" else CompressionType.NONE
    ticks, size = records["tick_ns"].tolist(), LAYOUT.nbytes

    def write() -> None:
        with path.open("wb") as file:
            writer = McapWriter(file, compression=kind)
            writer.start()
            schema = writer.register_schema("rt_engine_msgs/msg/Control", "ros2msg", LAYOUT.schema.encode())
            channel = writer.register_channel("/tasks/control", "cdr", schema)
            for number, tick in enumerate(ticks):
                body = b"\0\1\0\0" + bodies[number * size : (number + 1) * size]
                writer.add_message(channel, tick + OFFSET_NS, body, tick, number)
            writer.finish()

    def read() -> None:
        with path.open("rb") as file:
            assert sum(1 for _ in make_reader(file).iter_messages(log_time_order=False)) == count

    def decode() -> None:
        with path.open("rb") as file:
            messages = make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages()
            for _, _ in zip(range(DECODED), messages, strict=False):
                pass

    return {"write": rate(count, write), "read": rate(count, read), "decode": rate(min(count, DECODED), decode)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {
        "cycles": options.cycles,
        "bytes_of_a_record": LAYOUT.nbytes,
        "python": sys.version.split()[0],
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for compression in ("none", "zstd"):
            path = Path(folder) / "a.mcap"
            found[compression] = {"ours": ours(path, options.cycles, compression)}
            path.unlink()
            found[compression]["mcap"] = peers(path, min(options.cycles, PEERS_PART), compression)
            path.unlink()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
