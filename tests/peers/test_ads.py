"""The ADS server with clients that we did not write: pyads, npm's ads-client (both ways to connect) and node-ads.

Each client runs once, in a process of its own, and prints what came of each feature; a test compares one feature.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from plc_bindings.ads.server import AdsServer
from tests import ROOT
from tests.peers import npm, plant
from tests.peers.plant import CURVE, INPUTS, TASK_VALUES

pytestmark = pytest.mark.peer

NOT_PERMITTED, NO_SYMBOL, NO_GROUP, BAD_OFFSET, OLD_SYMBOL = 0x704, 0x710, 0x702, 0x703, 0x711
RUN = 5
SYMBOLS = sorted([*(f"Tags.{field.name}" for field in plant.TAGS.fields), "Tasks.axis"])
WAKE_UP = {"P50": 27.5, "P99": 40.25, "Count": 123_456}
PREDICTED = "predicted"
"""Status 0, version 1, and what the model gives."""

PYADS: dict[str, Any] = {
    "by name": 2.5,
    "by name, type asked for": -70_000,
    "STRING by name": "Förderband",
    "ARRAY by name": [float(i) for i in range(8)],
    "element by name": 3.0,
    "by handle": 3.5,
    "released handle": {BAD_OFFSET, OLD_SYMBOL},
    "structure": list(TASK_VALUES),
    "symbol object": [99, "UINT"],
    "write_list, read_list": {
        "Tags.SetPoint": 4.25, "Tags.Count": 11, "Tags.Enabled": True, "Tags.Word": 99, "Tags.Curve": [*range(8)],
    },
    "read_list, structure": list(TASK_VALUES),
    "get_all_symbols": None,
    "symbols are readable where they say": 99,
    "read_device_info": [True, True],
    "read_state": RUN,
    "write refused": NOT_PERMITTED,
    "unknown name": NO_SYMBOL,
    "unknown group": NO_GROUP,
    "predict": PREDICTED,
    "notification on change": ["Tags.Count", 302, True],
    "notification cyclic": [302],
    "close": True,
}  # fmt: skip

ADS_CLIENT: dict[str, Any] = {
    "connect": True,
    "readValue REAL": 1.5,
    "readValue STRING": "conveyor",
    "readValue ARRAY": list(CURVE),
    "readValue element": 3,
    "readValue STRUCT": {"CycleTime": TASK_VALUES[0], "CycleCount": TASK_VALUES[1], "WakeUp": WAKE_UP},
    "readValue nested": 40.25,
    "writeValue REAL": 2.5,
    "writeValue BOOL": True,
    "writeValue STRING": "feeder",
    "writeValue ARRAY": [8, 7, 6, 5, 4, 3, 2, 1],
    "writeValue refused": NOT_PERMITTED,
    "readValue unknown": NO_SYMBOL,
    "getSymbol": ["Tags.SetPoint", "REAL", 4],
    "readRaw": 2.5,
    "writeRaw": 3.25,
    "readRawMulti": [3.25, -7],
    "writeRawMulti": [[True, True], -12],
    "createVariableHandle": [4, "REAL", 3.25],
    "createVariableHandleMulti": [[True, True], [True, True]],
    "predict": PREDICTED,
    "predict by name": PREDICTED,
    "getSymbols": SYMBOLS,
    "getDataTypes": None,
    "getDataType": [["CycleTime", 0, 4], ["CycleCount", 4, 8], ["WakeUp", 12, 24]],
    "readPlcUploadInfo": True,
    "readPlcSymbolVersion": 1,
    "cacheSymbols": WAKE_UP,
    "readDeviceInfo": "rt-engine",
    "readPlcRuntimeState": "Run",
    "readTcSystemState": "Run",
    "subscribe on change": [101, 102],
    "subscribe cyclic": True,
    "disconnect": True,
}
NODE_ADS: dict[str, Any] = {
    "readDeviceInfo": "rt-engine",
    "readState": RUN,
    "read REAL": 1.5,
    "read STRING": "conveyor",
    "write REAL": 4.5,
    "write STRING": "press",
    "write refused": None,
    "read unknown": None,
    "multiRead": [4.5, -7, {"err": NO_SYMBOL}],
    "multiWrite": -55,
    "multiWrite of two": ["parameter size not correct", 4.5, -55],
    "getSymbols": SYMBOLS,
    "getDatatyps": ["ST_RtLatency", "ST_RtTask"],
    "predict": PREDICTED,
    "notify on change": [201, 202],
    "end": True,
}


def script(server: AdsServer, name: str, *more: str) -> dict[str, Any]:
    host, port = server.address
    return npm.run(name, host, str(port), f"{host}.1.1", "851", *more)


def pyads(server: AdsServer) -> dict[str, Any]:
    host, _ = server.address
    command = [sys.executable, "-m", "tests.peers.pyads_client", host, f"{host}.1.1", "851"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=90)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


CLIENTS = {
    "pyads": (pyads, PYADS),
    "ads-client": (lambda server: script(server, "ads_client.cjs", "127.0.0.1.9.1"), ADS_CLIENT),
    "ads-client, port from the router": (lambda server: script(server, "ads_client.cjs"), ADS_CLIENT),
    "node-ads": (lambda server: script(server, "node_ads.cjs", "127.0.0.1.9.2"), NODE_ADS),
}


@cache
def found(client: str) -> dict[str, Any]:
    """What came of a client's features, against a server of its own."""
    with plant.ads_server() as server:
        return CLIENTS[client][0](server)


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    found.cache_clear()


@pytest.mark.parametrize(("client", "feature"), [(c, f) for c, (_, wanted) in CLIENTS.items() for f in wanted])
def test_a_client_gets_what_it_expects(client: str, feature: str) -> None:
    """Each feature of each client gives the values of the plant."""
    got, wanted = found(client).get(feature, "missing"), CLIENTS[client][1][feature]
    if wanted is PREDICTED:
        same_as_model(got)
    elif isinstance(wanted, set):
        assert got in wanted
    elif wanted is not None:
        assert got == wanted
    else:
        assert not isinstance(got, dict), got


def same_as_model(got: Any) -> None:
    """Status 0, version 1 and the model's own outputs."""
    status, version, *values = got if isinstance(got, list) else (got["status"], got["version"], *got["outputs"])
    assert (status, version) == (0, 1)
    assert len(values) == 4 and all(map(math.isclose, values, plant.outputs())), INPUTS


def test_the_tables_name_every_symbol_and_type() -> None:
    """pyads' symbols have names, types and comments; ads-client finds the structures among the types."""
    symbols = {name: (type_, comment) for name, type_, comment in found("pyads")["get_all_symbols"]}
    assert sorted(symbols) == SYMBOLS
    assert symbols["Tags.SetPoint"] == ("REAL", "[m/s] where to")
    assert symbols["Tags.Curve"][0] == "ARRAY [0..7] OF REAL"
    assert {"ST_RtTask", "ST_RtLatency", "REAL", "STRING(31)"} <= set(found("ads-client")["getDataTypes"])


def test_refusals_reach_node_ads_as_errors() -> None:
    """Nothing is written or read where the server refuses."""
    assert found("node-ads")["write refused"] not in ("written", "missing")
    assert found("node-ads")["read unknown"] not in ("read", "missing")
