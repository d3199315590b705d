"""Round trips of a predict call beside plain C servers: python -m benchmarks.plc_calls [--seconds 10]

The model is a perceptron 16-64-64-4, a task of a station runs it every millisecond in the server's process. One client in C
asks all servers in turn, so that all meet the same moments of the machine.

    ADS     ReadWrite predict            beside    a C program that echoes frames of the same sizes
    Modbus  FC 23 predict                beside    a C server built on libmodbus
    20      clients at 100 Hz each       how many answers took more than 10 ms
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import rt_engine
from benchmarks.c_programs import MissingError, compiled
from benchmarks.models import mlp
from benchmarks.plc_calls.server import WIDTHS
from rt_native.isolated import bound_program

HERE = Path(__file__).parent
LIBMODBUS = HERE.parent.parent / "tests" / "fieldbus" / "modbus" / "libmodbus_server.c"
INPUTS = ((np.arange(WIDTHS[0]) - 8) / 8).astype(np.float32)
WARM = 300
CLIENTS, PERIOD_US, LATE_NS = 20, 10_000, 10_000_000


@dataclass(frozen=True)
class Peer:
    """A server that is measured: where, what it is asked, how long its answer is."""

    name: str
    port: int
    request: bytes
    reply_bytes: int
    outputs_at: int | None = None
    """Where in the answer the model's outputs begin; None: it computes nothing."""
    order: str = "<"
    targets: Mapping[tuple[str, float], float] | None = None
    """(yardstick, percentile) -> the greatest ratio that we want."""


def ads_request() -> bytes:
    """ReadWrite of the predict group."""
    inputs = INPUTS.tobytes()
    body = struct.pack("<4I", 0x5254_0001, 1, 8 + 4 * WIDTHS[-1], len(inputs)) + inputs
    target, source = bytes((127, 0, 0, 1, 1, 1)), bytes((127, 0, 0, 1, 2, 1))
    head = target + struct.pack("<H", 851) + source + struct.pack("<HHHIII", 32_800, 9, 4, len(body), 0, 1)
    return struct.pack("<HI", 0, len(head) + len(body)) + head + body


def modbus_request(inputs_at: int, outputs_at: int) -> bytes:
    """FC 23: write the inputs, read status, version and outputs."""
    inputs = INPUTS.astype(">f4").tobytes()
    pdu = struct.pack(">BHHHHB", 23, outputs_at, 4 + 2 * WIDTHS[-1], inputs_at, len(inputs) // 2, len(inputs)) + inputs
    return struct.pack(">HHHB", 1, 0, len(pdu) + 1, 1) + pdu


ADS_REPLY = 6 + 32 + 8 + 8 + 4 * WIDTHS[-1]
MODBUS_REPLY = 9 + 8 + 4 * WIDTHS[-1]


@contextmanager
def started(*command: str) -> Iterator[str]:
    """A server process; gives its first line."""
    with subprocess.Popen(bound_program(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            try:
                process.wait(3 if command[0] == sys.executable else 0)
            except subprocess.TimeoutExpired:
                process.kill()
            print(process.stdout.read(), end="", file=sys.stderr)


def of_ours(*arguments: str) -> list[str]:
    """How a server in Python is started."""
    return [sys.executable, "-m", "benchmarks.plc_calls.server", *arguments]


@contextmanager
def peers(folder: Path, only: str, busy: str) -> Iterator[list[list[Peer]]]:
    """All servers, in groups that are compared."""
    with ExitStack() as stack:

        def run(*command: str) -> dict[str, Any]:
            line = stack.enter_context(started(*command))
            return json.loads(line) if line.startswith("{") else {"port": int(line)}

        groups, ads = [], ads_request()
        if only != "modbus":
            sizes = (str(len(ads)), str(ADS_REPLY))
            echo, floor = run(compiled(folder, HERE / "echo.c"), *sizes), run(*of_ours("asyncio", *sizes, busy))
            goals = {("C echo, ADS frames", 50.0): 1.5, ("C echo, ADS frames", 99.9): 3.0}
            groups.append(
                [
                    Peer("C echo, ADS frames", echo["port"], ads, ADS_REPLY),
                    Peer("asyncio echo", floor["port"], ads, ADS_REPLY),
                    Peer("ADS predict", run(*of_ours("ads", busy))["port"], ads, ADS_REPLY, 54, "<", goals),
                ]
            )
        if only != "ads":
            port = free_port()
            stack.enter_context(started(compiled(folder, LIBMODBUS, "-lmodbus"), "tcp", str(port)))
            ours = run(*of_ours("modbus", busy))
            request = modbus_request(ours["inputs"], ours["outputs"])
            goals = {("libmodbus, FC 23", 50.0): 1.3}
            groups.append(
                [
                    Peer("libmodbus, FC 23", port, modbus_request(100, 200), MODBUS_REPLY),
                    Peer("Modbus FC 23 predict", ours["port"], request, MODBUS_REPLY, 17, ">", goals),
                ]
            )
        yield groups


def free_port() -> int:
    """A TCP port that nobody uses."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def client(program: str, interval_us: int, count: int, servers: list[Peer]) -> subprocess.Popen[bytes]:
    """The client, asking all `servers` in turn."""
    command = [program, str(interval_us), str(WARM), str(count)]
    for peer in servers:
        command += ["127.0.0.1", str(peer.port), peer.request.hex(), str(peer.reply_bytes)]
    return subprocess.Popen(bound_program(command), stdout=subprocess.PIPE)


def results(process: subprocess.Popen[bytes], count: int, servers: list[Peer]) -> dict[str, NDArray[np.int64]]:
    """Nanoseconds of each round trip; the last answer of each server must be right."""
    data, _ = process.communicate()
    assert process.returncode == 0, "a server is gone, or does not answer"
    times, at = {}, 0
    for peer in servers:
        check(peer, data[at : at + peer.reply_bytes])
        at += peer.reply_bytes
        times[peer.name] = np.frombuffer(data, np.int64, count, at)
        at += 8 * count
    return times


def check(peer: Peer, reply: bytes) -> None:
    """The outputs are those of the model."""
    if peer.outputs_at is None:
        return
    got = np.frombuffer(reply, np.dtype(np.float32).newbyteorder(peer.order), WIDTHS[-1], peer.outputs_at)
    (expected,) = rt_engine.load(mlp(WIDTHS, "Relu")).run({"x": INPUTS.reshape(1, -1)})
    assert np.array_equal(got, expected.reshape(-1)), f"{peer.name} answers {reply.hex()}"


def table(title: str, servers: list[Peer], times: Mapping[str, NDArray[np.int64]]) -> Table:
    """Percentiles in microseconds, and ratios to the yardstick."""
    shown = Table(title=title)
    for column in ("server", "p50", "p99", "p99.9", "max", "ratios to the yardstick (target)"):
        shown.add_column(column, justify="left" if column in ("server",) else "right")
    for peer in servers:
        ns = times[peer.name]
        row = [f"{value / 1e3:.1f}" for value in (*np.percentile(ns, (50, 99, 99.9)), ns.max())]
        ratios = [
            f"p{percentile:g} {np.percentile(ns, percentile) / np.percentile(times[other], percentile):.2f} (<= {goal:g})"
            for (other, percentile), goal in (peer.targets or {}).items()
        ]
        shown.add_row(peer.name, *row, ", ".join(ratios))
    return shown


def crowd(program: str, peer: Peer, seconds: float) -> str:
    """Many clients at once."""
    count = int(seconds * 1e6 / PERIOD_US)
    processes = [client(program, PERIOD_US, count, [peer]) for _ in range(CLIENTS)]
    ns = np.concatenate([results(process, count, [peer])[peer.name] for process in processes])
    p50, p99, p999 = np.percentile(ns, (50, 99, 99.9)) / 1e3
    return (
        f"{peer.name}: {CLIENTS} clients at {1e6 / PERIOD_US:.0f} Hz, {len(ns)} calls: {np.sum(ns > LATE_NS)} later than "
        f"10 ms; p50 {p50:.0f} us, p99 {p99:.0f} us, p99.9 {p999:.0f} us, max {ns.max() / 1e3:.0f} us"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plc_calls", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part, about")
    parser.add_argument("--only", choices=("", "ads", "modbus"), default="")
    parser.add_argument("--busy", action="store_true", help="beside a Python thread that computes without a pause")
    arguments = parser.parse_args()
    console, busy = Console(width=140), "busy" if arguments.busy else ""
    with tempfile.TemporaryDirectory() as name, peers(Path(name), arguments.only, busy) as groups:
        program = compiled(Path(name), HERE / "client.c")
        for servers in groups:
            for interval_us, title in ((0, "one call after another"), (1000, "a call every millisecond")):
                count = int(arguments.seconds * 1e6 / ((interval_us + 100) * len(servers)))
                times = results(client(program, interval_us, count, servers), count, servers)
                console.print(table(f"{title}: round trip in us, {count} calls of each", servers, times))
            console.print(crowd(program, servers[-1], arguments.seconds), soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except MissingError as error:
        sys.exit(str(error))
