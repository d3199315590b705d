"""The OPC UA server with a client that we did not write: npm's node-opcua, in every policy and mode.

It runs once, in a process of its own, and prints what came of each feature; a test compares one feature.
asyncua's client: tests/plc_bindings/opcua.
"""

import json
import math
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fieldbus.opcua.certificates import Certificates
from fieldbus.opcua.own import make
from tests import need
from tests.peers import npm
from tests.peers.plant import INPUTS, outputs

pytestmark = pytest.mark.peer

PREDICTED = "predicted"
"""Good, status 0, version 1, and what the model gives."""
NODE_OPCUA: dict[str, Any] = {
    "connect": True,
    "wrong password": "BadUserAccessDenied",
    "read Float": 1.5,
    "read Int32": -7,
    "read Boolean": False,
    "read String": "conveyor",
    "read array": [*range(8)],
    "read UInt64": "28,3197704724",
    "read many": [42, 27.5],
    "read unknown": "BadNodeIdUnknown",
    "source time": True,
    "data type": "ns=0;i=10",
    "EngineeringUnits": "m/s",
    "EURange": [-10, 10],
    "enumeration": [1, "idle", "running", "stopped"],
    "browse": ["Tags", "Tasks", "Models", "Machines"],
    "browse, one at a time": ["Speed", "Count", "Word", "Enabled", "Name", "Curve"],
    "translate path": "ns=2;s=Tasks.axis.WakeUp.P50",
    "write Float": ["Good", 2.5],
    "write String": ["Good", "Förderband"],
    "write array": ["Good", [8, 7, 6, 5, 4, 3, 2, 1]],
    "write a part": ["Good", [7, 60, 50, 4]],
    "write refused": "BadNotWritable",
    "write of another type": "BadTypeMismatch",
    "Predict": PREDICTED,
    "argument definition": [["x"], ["Status", "Version", "y"]],
    "call Reset": "Good",
    "call refused": "BadMethodInvalid",
    "subscribe": [3.5],
    "close": True,
    "user certificate": "Good",
    **{
        f"{policy}, {mode}": 42
        for policy in ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
        for mode in ("Sign", "SignAndEncrypt")
    },
}
CLIENTS = {"node-opcua": NODE_OPCUA}


@cache
def found() -> dict[str, Any]:
    """What node-opcua met."""
    need.package("asyncua")
    from tests.plc_bindings.opcua.plant import TOKENS, Plant, options, serving, trusting

    with tempfile.TemporaryDirectory() as folder:
        server, client = trusting(Path(folder))
        make(client / "user", "urn:test:user", "otto", ("127.0.0.1",))
        Certificates(server / "users").trust(str(client / "user" / "own.der"))
        with serving(Plant(), options(server)) as served:
            endpoint = "opc.tcp://{}:{}".format(*served.address)
            given = json.dumps([float(x) for x in INPUTS])
            return npm.run("node_opcua.cjs", endpoint, str(client), "otto", TOKENS["otto"], given)


@pytest.mark.parametrize("feature", NODE_OPCUA)
def test_node_opcua(feature):
    """Each feature, value for value."""
    came, wanted = found()[feature], NODE_OPCUA[feature]
    if wanted == PREDICTED:
        assert came[:3] == ["Good", 0, 1]
        assert all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(came[3], outputs(), strict=True))
    else:
        assert came == wanted


def test_it_meets_all_that_is_expected():
    assert list(found()) == list(NODE_OPCUA)
