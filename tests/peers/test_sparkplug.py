"""Sparkplug's own JavaScript library decodes what a station publishes and commands it, and is decoded by us."""

import json
import os
import struct
import subprocess

import pytest

from plc_bindings.mqtt.schema import Payload
from tests.peers import npm
from tests.peers.mosquitto import Mosquitto
from tests.plc_bindings.mqtt.listening import listening
from tests.plc_bindings.mqtt.plant import Plant, serving, wait

pytestmark = [pytest.mark.peer("mosquitto"), pytest.mark.peer("node")]


def test_sparkplug_client(tmp_path):
    modules = npm.modules()
    plant = Plant()
    plant.task.data = struct.pack(
        "<bhiqBHIQfd?9s?", -1, -2, -3, -(2**40), 200, 60_000, 4_000_000_000, 2**63, 0.5, 0.1, True, b"axis", False
    )
    with Mosquitto(tmp_path) as mosquitto, listening(mosquitto.port, "spBv1.0/others/#") as (_, others):
        command = ["node", str(npm.HERE / "sparkplug.cjs"), str(mosquitto.port)]
        environment = {**os.environ, "NODE_PATH": str(modules)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as host:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
            with serving(plant, mosquitto.port) as server:
                wait(lambda: server.status().requests == 2)
                plant.set(99.5)
                said, _ = host.communicate(timeout=90)
                wait(lambda: others.payloads("NBIRTH"))
    found = json.loads(said)
    births = found["births"]
    assert (births["bdSeq"]["value"], births["Node Control/Rebirth"]["value"]) == ("0", False)
    names = ("SINT", "INT", "DINT", "LINT", "USINT", "UINT", "UDINT", "ULINT", "REAL", "LREAL", "BOOL")
    shown = [(births[f"Tasks/axis/n_{name}"]["type"], births[f"Tasks/axis/n_{name}"]["value"]) for name in names]
    assert shown == [
        ("Int8", -1), ("Int16", -2), ("Int32", -3), ("Int64", shown[3][1]), ("UInt8", 200), ("UInt16", 60_000),
        ("UInt32", shown[6][1]), ("UInt64", str(2**63)), ("Float", 0.5), ("Double", 0.1), ("Boolean", True)
    ]  # fmt: skip
    assert int(shown[3][1]) % 2**64 == 2**64 - 2**40  # it reads an Int64 as unsigned, and a UInt32 as signed
    assert int(shown[6][1]) % 2**32 == 4_000_000_000
    assert births["Tasks/axis/Name"] == {
        "type": "String",
        "value": "axis",
        "properties": {"Quality": 192, "readOnly": True},
    }
    assert births["Tags/setpoint"]["properties"] == {
        "Quality": 192, "readOnly": False, "engUnit": "bar", "engLow": 0, "engHigh": 10
    }  # fmt: skip
    assert found["rebirths"] == 1
    assert found["sequence"][:3] == [0, 1, 2]
    assert found["deaths"] == []
    assert struct.unpack("<fi?", plant.orders.data) == (2.5, -7, True)
    assert [line[1:] for line in plant.audit if "refused" in line[2]] == [
        (
            "command at spBv1.0/plant/DCMD/press/press",
            "refused: Tags.temperature is not writable: `writable` of this server names what is",
        )
    ]
    theirs = {m.name: m for m in Payload.FromString(others.payloads("NBIRTH")[0]).metrics}
    assert {name: getattr(m, m.WhichOneof("value")) for name, m in theirs.items() if name != "bdSeq"} == {
        "small": 2**32 - 5, "large": 5_000_000_000, "half": 0.5, "text": "ö", "on": True
    }  # fmt: skip
