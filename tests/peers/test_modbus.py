"""The Modbus server with clients that we did not write: libmodbus (TCP and RTU), mbpoll, modbus-serial, jsmodbus, pymodbus.

Each client runs once, in a process of its own, and prints what came of each feature; a test compares one feature.
"""

import functools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from plc_bindings.modbus.options import Rtu
from plc_bindings.modbus.server import ModbusServer
from tests import ROOT, need
from tests.peers import npm, plant
from tests.terminals import joined_terminals

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
ILLEGAL_ADDRESS = 2
MASKED = 111
"""(4711 AND 0x00F0) OR (0x000F AND NOT 0x00F0)."""
PREDICTED = "predicted"
"""Status 0, version 1, and what the model gives."""

LIBMODBUS: dict[str, Any] = {
    "FC 1": "1", "FC 2": "1", "FC 3": "777", "FC 4": "777", "FC 5": "1", "FC 6": "777", "FC 15": "0", "FC 16": "2",
    "FC 22": "0", "float": "1.75", "FC 23 predict": PREDICTED,
    "FC 6 refused": str(ILLEGAL_ADDRESS), "FC 3 beyond the end": str(ILLEGAL_ADDRESS),
}  # fmt: skip
MODBUS_SERIAL: dict[str, Any] = {
    "FC 1": True, "FC 2": True, "FC 3": [4711], "FC 4": [4711], "FC 5": True, "FC 6": 4711, "FC 15": False,
    "FC 16": 6.25, "FC 22": MASKED, "FC 43": 3, "FC 23 predict": PREDICTED,
    "FC 6 refused": ILLEGAL_ADDRESS, "FC 3 beyond the end": ILLEGAL_ADDRESS,
}  # fmt: skip
JSMODBUS: dict[str, Any] = {
    "FC 1": 1, "FC 2": 1, "FC 3": 1234, "FC 4": 1234, "FC 5": True, "FC 6": 1234, "FC 15": 0, "FC 16": 6.25, "FC 43": 3,
    "FC 6 refused": ILLEGAL_ADDRESS, "8 in flight": 400,
}  # fmt: skip
PYMODBUS: dict[str, Any] = {
    "FC 1": True, "FC 2": True, "FC 3": [4711], "FC 4": [4711], "FC 5": True, "FC 6": [4711], "FC 15": False,
    "FC 16": -8.5, "FC 22": MASKED, "FC 43": 3, "FC 23 predict": PREDICTED,
    "FC 6 refused": ILLEGAL_ADDRESS, "FC 3 beyond the end": ILLEGAL_ADDRESS,
}  # fmt: skip
MBPOLL: dict[str, Any] = {
    "coil": ["1"], "discrete input": ["1"], "holding register": ["4321"], "input register": ["4321"],
    "float": ["2.5"], "refused": "Illegal data address",
}  # fmt: skip


def node(script: str, server: ModbusServer) -> dict[str, Any]:
    host, port = server.address
    return npm.run(script, str(host), str(port), json.dumps(plant.places(server)))


def pymodbus(server: ModbusServer) -> dict[str, Any]:
    host, port = server.address
    command = [sys.executable, "-m", "tests.peers.pymodbus_client", str(host), str(port)]
    done = subprocess.run(
        [*command, json.dumps(plant.places(server))], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def libmodbus(server: ModbusServer, *where: str) -> dict[str, Any]:
    if not where:
        where = tuple(map(str, server.address))
    command = [need.on_libmodbus(HERE / "modbus_client.c"), *where, *map(str, plant.places(server).values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = dict(line.split("\t") for line in done.stdout.splitlines())
    status, version, *outputs = found["FC 23 predict"].split()
    found["FC 23 predict"] = [int(status), int(version), *map(float, outputs)]
    return found


def mbpoll(server: ModbusServer) -> dict[str, Any]:
    """mbpoll writes a value and reads it back, once with each data type; `-B`: the high word first."""
    program = need.program("mbpoll")
    (host, port), at = server.address, plant.places(server)

    def poll(kind: str, address: int, *values: str) -> Any:
        command = [program, "-m", "tcp", "-p", str(port), "-o", "10", "-0", "-1", "-B", "-t", kind, "-r", str(address)]
        command.append(str(host))
        done = subprocess.run([*command, *values], capture_output=True, text=True, timeout=90)
        if done.returncode:
            return done.stderr.strip().rpartition(": ")[2]
        return [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("[")]

    poll("0", at["coil"], "1")
    poll("4", at["word"], "4321")
    poll("4:float", at["float"], "2.5")
    return {
        "coil": poll("0", at["coil"]),
        "discrete input": poll("1", at["coil"]),
        "holding register": poll("4", at["word"]),
        "input register": poll("3", at["word"]),
        "float": poll("4:float", at["float"]),
        "refused": poll("4", at["refused"], "1"),
    }


Run = Callable[[ModbusServer], dict[str, Any]]
CLIENTS: dict[str, tuple[Run, dict[str, Any]]] = {
    "libmodbus": (libmodbus, {**LIBMODBUS, "FC 43": "1"}),
    "modbus-serial": (functools.partial(node, "modbus_serial.cjs"), MODBUS_SERIAL),
    "jsmodbus": (functools.partial(node, "jsmodbus.cjs"), JSMODBUS),
    "pymodbus": (pymodbus, PYMODBUS),
    "mbpoll": (mbpoll, MBPOLL),
}


@cache
def found(client: str) -> dict[str, Any]:
    """What came of a client's features, against a server of its own."""
    if client == "libmodbus, RTU":
        with (
            joined_terminals() as (device, peer),
            plant.modbus_server(Rtu(device, parity="N", silence_s=10.0)) as server,
        ):
            return libmodbus(server, "rtu", peer)
    with plant.modbus_server() as server:
        return CLIENTS[client][0](server)


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    found.cache_clear()


EXPECTED = {**{client: wanted for client, (_, wanted) in CLIENTS.items()}, "libmodbus, RTU": LIBMODBUS}


@pytest.mark.parametrize(("client", "feature"), [(c, f) for c, wanted in EXPECTED.items() for f in wanted])
def test_a_client_gets_what_it_expects(client: str, feature: str) -> None:
    """Each feature of each client gives the values of the plant."""
    got, wanted = found(client).get(feature, "missing"), EXPECTED[client][feature]
    if wanted is not PREDICTED:
        assert got == wanted
        return
    status, version, *values = got if isinstance(got, list) else (got["status"], got["version"], *got["outputs"])
    assert (status, version) == (0, 1)
    assert len(values) == 4
    assert all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(values, plant.outputs(), strict=True))
