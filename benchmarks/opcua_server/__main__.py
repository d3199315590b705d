"""What the OPC UA server takes, and what it costs others: python -m benchmarks.opcua_server

    a process    a station: a task of 1 kHz, 10,000 tags of which 1,000 change in a second, ADS and OPC UA
    4 processes  20 sessions with 10,000 monitored items in all: from a value's source time to its notification
    a process    one session that reads one value, reads 100, reads 1,000, writes one, in turns
    a process    an ADS client that predicts, once a millisecond
    with --handshakes N: a process that makes N connections with keys of 4096 bits, one after the other or --at-once

Every channel signs and encrypts. First without OPC UA's clients, then with them.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.opcua_server.clients import Crowd, Found, ask, predict, shake, watch
from benchmarks.plc_calls.__main__ import of_ours, started
from fieldbus.opcua import own
from fieldbus.opcua.certificates import Certificates


def told(title: str, found: Found) -> None:
    """Percentiles."""
    print(title)
    for what, times in sorted(found.items()):
        if what.startswith("wake-up"):
            print(f"  {what:40} {times[0]:8.3f} {times[1]:8.3f}")
        else:
            p50, p99, most = np.percentile(times, [50, 99, 100])
            print(f"  {what:24} n {len(times):7}  p50 {p50:8.2f}  p99 {p99:8.2f}  longest {most:8.2f} ms")


def certificates(folder: Path, long: bool) -> None:
    """Of the server and its clients, each trusted by the other."""
    if long:
        own.BITS = 4096  # type: ignore[misc]
    for name in ("server", "client", *(["long"] if long else [])):
        own.make(folder / name, f"urn:bench:{name}", name, ("127.0.0.1",))
        if name != "server":
            Certificates(folder / "server").trust(str(folder / name / "own.der"))


def measure(place: Any, ads: int, given: argparse.Namespace) -> None:
    """Both parts."""
    crowd = Crowd()
    if given.seconds:
        crowd.start(predict, ads, given.seconds / 2)
        told("without OPC UA's clients", crowd.results())
    each = given.sessions // given.processes
    items = given.items // given.sessions if given.sessions else 0
    for number in range(given.processes if given.sessions else 0):
        crowd.start(watch, place, number * each, each, items, crowd.ready, crowd.begin, given.seconds + 1)
    crowd.start(ask, place, crowd.ready, crowd.begin, given.seconds)
    crowd.wait_ready()
    crowd.start(predict, ads, given.seconds)
    if given.handshakes:
        crowd.start(shake, place, given.handshakes, given.at_once)
    told("with them", crowd.results())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=1000, help="of values, a second")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--items", type=int, default=10_000, help="monitored, of all sessions")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--handshakes", type=int, default=0)
    parser.add_argument("--at-once", action="store_true")
    parser.add_argument("--profile", action="store_true", help="of the server's thread")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        certificates(folder, bool(given.handshakes))
        more = ["profile"] if given.profile else []
        command = of_ours(str(folder / "server"), str(given.tags), str(given.changes), *more)
        command[command.index("benchmarks.plc_calls.server")] = "benchmarks.opcua_server.server"
        with started(*command) as line:
            ports = json.loads(line)
            measure(("127.0.0.1", ports["opcua"], folder), ports["ads"], given)


if __name__ == "__main__":
    main()
