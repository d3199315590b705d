"""Modbus servers that are not ours, started for a test; without one the test is skipped, saying how to get it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import need
from tests.waiting import free_port, is_open, wait_for

HERE = Path(__file__).parent


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A server process, from its "ready" on."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n", f"{command[0]} did not start"
            yield server
        finally:
            server.kill()


@contextmanager
def pymodbus(kind: str = "tcp", where: str = "", *files: str) -> Iterator[int]:
    """pymodbus' server; gives its port."""
    port = free_port()
    with process(sys.executable, str(HERE / "pymodbus_server.py"), kind, where or str(port), *files):
        yield port


@contextmanager
def libmodbus() -> Iterator[int]:
    """The C server on libmodbus; gives its port."""
    port = free_port()
    with process(libmodbus_program(), "tcp", str(port)):
        yield port


@contextmanager
def modbus_tk() -> Iterator[int]:
    """modbus-tk's server, in a thread of this process; gives its port."""
    defines, TcpServer = need.package("modbus_tk.defines"), need.package("modbus_tk.modbus_tcp").TcpServer

    port = free_port()
    server = TcpServer(port=port, address="127.0.0.1")
    slave = server.add_slave(1)
    for name, kind in (
        ("c", defines.COILS),
        ("d", defines.DISCRETE_INPUTS),
        ("h", defines.HOLDING_REGISTERS),
        ("i", defines.ANALOG_INPUTS),
    ):
        slave.add_block(name, kind, 0, 2000)
    slave.set_values("d", 0, [int(n % 3 == 0) for n in range(2000)])
    slave.set_values("i", 0, list(range(2000)))
    server.start()
    wait_for(lambda: is_open(port))
    try:
        yield port
    finally:
        server.stop()


def libmodbus_program() -> str:
    """The compiled C server."""
    return need.on_libmodbus(HERE / "libmodbus_server.c")


def certificates(folder: Path, name: str = "localhost") -> tuple[str, str]:
    """(certificate, key) for `name`, signed by itself."""
    openssl = need.program("openssl")
    certificate, key = str(folder / "server.pem"), str(folder / "server.key")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@contextmanager
def frozen(server: subprocess.Popen[str]) -> Iterator[None]:
    """Meanwhile a process stands still: its sockets stay open and answer nothing."""
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)
