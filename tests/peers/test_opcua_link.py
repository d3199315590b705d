"""The OPC UA link with a server that we did not write: npm's node-opcua, without security and in two policies."""

import json
import os
import subprocess
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from fieldbus.image.image import ProcessImage
from fieldbus.opcua.address import parse
from fieldbus.opcua.certificates import Certificates
from fieldbus.opcua.link import OpcUaLink
from fieldbus.opcua.own import make
from fieldbus.opcua.session import Where
from fieldbus.tags import Quality, Tag
from tests.peers import npm
from tests.waiting import PATIENCE_S, free_port, wait_for

pytestmark = pytest.mark.peer("node", "npm")


class NodeServer:
    """The script, which is told what its variables are."""

    def __init__(self, folder, port):
        environment = {**os.environ, "NODE_PATH": str(npm.modules())}
        command = ["node", str(npm.HERE / "node_opcua_server.cjs"), str(port), str(folder)]
        self.url = f"opc.tcp://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.uri = self._answer()

    def _answer(self):
        """The library has words of its own for the same stream."""
        while not (line := self.process.stdout.readline()).startswith("= "):
            assert line, "it has ended"
        return line[2:].strip()

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        return json.loads(self._answer())

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def serving(folder, port=0):
    server = NodeServer(folder, port or free_port())
    try:
        yield server
    finally:
        server.end()


def tags(uri):
    def tag(name, kind, direction="in", address="", **options):
        place = parse(address or f"nsu={uri};s=Line.{name}")
        return Tag(name, kind, direction, address=place, **options)

    return [
        tag("speed", "float32"), tag("count", "int32"), tag("on", "bool"), tag("big", "int64"),
        tag("temps", "float64", address=f"nsu={uri};index=1;s=Line.temps", count=2),
        tag("way", "float32", address=f"nsu={uri};path=Line/speed"),
        tag("set", "float32", "out", safe=-1.0), tag("part", "float64", "out", f"nsu={uri};index=1;s=Line.sets", safe=5.0),
    ]  # fmt: skip


def test_values_outputs_status_security_and_a_restart(tmp_path):
    """One server, since it takes seconds to start; parts of an array are written, as this server knows ranges."""
    ours = Certificates(make(tmp_path / "ours").path.parent)
    port = free_port()
    with serving(tmp_path / "pki", port) as server:
        link = OpcUaLink("line", tags(server.uri), Where(server.url, "none"), 0.05, 2.0)
        driven = link.drive(ProcessImage(), ["set"], "task")
        channel = link.subscribe(ProcessImage(), ["speed"], "task")
        link.start()
        assert link.wait_up(PATIENCE_S), link.status().last_error
        wait_for(lambda: all(one.quality == Quality.GOOD for one in link.values()))
        found = {one.tag.name: one.values for one in link.values()}
        assert found["big"] == (float((1 << 32) + 5),)
        assert (found["speed"], found["count"], found["on"]) == ((1.5,), (7.0,), (1.0,))
        assert (found["temps"], found["way"]) == ((2.0, 3.0), (1.5,))
        server.tell("set", "speed", 4.5)
        wait_for(lambda: channel.latest()[0][0] == 4.5)
        for status, quality in (("UncertainSensorNotAccurate", Quality.STALE), ("BadSensorFailure", Quality.BAD)):
            server.tell("status", "speed", status)
            wait_for(lambda wanted=quality: channel.latest()[3] == wanted)
            wait_for(lambda wanted=status: wanted in link.status().note)
        driven.write([2.5], Quality.GOOD, time.monotonic_ns())
        wait_for(lambda: server.tell("get", "set") == 2.5)
        wait_for(lambda: server.tell("get", "sets") == [10, 5, 30])
        for policy in ("Basic256Sha256", "Aes256Sha256RsaPss"):
            secure = OpcUaLink(
                "secure", tags(server.uri)[:1], Where(server.url, policy, certificates=ours.folder), 0.05, 2.0
            )
            with secure:
                if policy == "Basic256Sha256":
                    wait_for(lambda one=secure: "is not trusted" in one.status().last_error)
                    ours.trust(ours.listed()[1][0].thumbprint)
                assert secure.wait_up(PATIENCE_S), secure.status().last_error
    wait_for(lambda: channel.latest()[3] == Quality.BAD and link.status().state != "up")
    with serving(tmp_path / "pki", port) as server:
        wait_for(lambda: channel.latest()[3] == Quality.GOOD and channel.latest()[0][0] == 1.5)
        assert link.stop()
        assert server.tell("get", "set") == -1
