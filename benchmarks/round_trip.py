"""Round trips of a Modbus link at 1 kHz over loopback, beside a bare socket that sends the same bytes.

    python -m benchmarks.round_trip [SECONDS]

Servers: pymodbus' and a C server on libmodbus (skipped where it cannot be compiled). 8 floats in, 8 floats out.
"""

import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "fieldbus"))

import modbus_peers
from _pytest.outcomes import Skipped

from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.tags import Tag
from rt_native.histogram import Histogram

FLOATS = 8
TAGS = [
    Tag("x", "float32", "in", count=FLOATS, address=ModbusAddress("holding", 100)),
    Tag("u", "float32", "out", count=FLOATS, address=ModbusAddress("holding", 0)),
]


def show(name: str, times: Histogram, cycles_per_s: float) -> None:
    """One line of the table."""
    p50, p99, p999 = (times.percentile(p) / 1e3 for p in (50, 99, 99.9))
    print(f"{name:34} p50 {p50:7.0f} us   p99 {p99:7.0f} us   p99.9 {p999:7.0f} us   {cycles_per_s:6.0f} cycles/s")


def of_link(server: str, port: int, read_write: bool, seconds: float) -> None:
    """The link as a task would use it, outputs written by another thread every millisecond."""
    image = ProcessImage()
    link = ModbusLink("plc", TAGS, Tcp("127.0.0.1", port), 0.001, 0.1, read_write=read_write)
    link.subscribe(image, ["x"], "task")
    outputs = link.drive(image, ["u"], "task")
    with link:
        link.wait_up(5.0)
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            outputs.write([0.5] * FLOATS)
            time.sleep(0.001)
        status = link.status()
        assert status.errors == 0, status.last_error
        show(f"{server}, {'FC 23' if read_write else 'FC 16 + FC 3'}", status.round_trip, status.reads / seconds)


def of_socket(server: str, port: int, seconds: float) -> None:
    """The bytes of FC 23 through a bare blocking socket, every millisecond: the floor for any client in Python."""
    body = struct.pack(">HHHHB", 100, 2 * FLOATS, 0, 2 * FLOATS, 4 * FLOATS) + bytes(4 * FLOATS)
    request = struct.pack(">HHHBB", 1, 0, len(body) + 2, 1, 23) + body
    times = Histogram()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start_ns = time.monotonic_ns()
            sock.sendall(request)
            sock.recv(512)
            times.add(time.monotonic_ns() - start_ns)
            time.sleep(0.0008)
    show(f"{server}, FC 23, bare socket", times, times.count / seconds)


def main() -> None:
    """Measure each server with each way."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    for name, server in (("pymodbus", modbus_peers.pymodbus), ("libmodbus", modbus_peers.libmodbus)):
        try:
            with server() as port:
                of_socket(name, port, seconds)
                of_link(name, port, True, seconds)
                of_link(name, port, False, seconds)
        except Skipped as skipped:
            print(f"{name}: skipped, {skipped}")


if __name__ == "__main__":
    main()
