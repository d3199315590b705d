"""A device that takes connections and never says a word."""

import socket
import time

from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.tags import Tag
from tests.fieldbus.modbus.hostile import Hostile
from tests.waiting import PATIENCE_S, wait_for


def test_a_mute_device_is_down_and_never_degraded(monkeypatch):
    """Each attempt goes from connecting to down: a change to degraded and back would fill the events at every attempt."""
    seen = []
    enter = ModbusLink._enter
    monkeypatch.setattr(ModbusLink, "_enter", lambda link, state: (seen.append(state), enter(link, state))[1])
    with socket.create_server(("127.0.0.1", 0)) as server:
        tags = [Tag("x", "float32", "in", address=ModbusAddress("holding", 0))]
        link = ModbusLink("plc", tags, Tcp("127.0.0.1", server.getsockname()[1]), 0.005, 0.1)
        link.subscribe(ProcessImage(), ["x"], "task")
        with link:
            until = time.monotonic() + 20
            while seen.count("down") < 2 and time.monotonic() < until:
                time.sleep(0.01)
    assert seen.count("down") >= 2 and "degraded" not in seen and "up" not in seen


def test_a_link_that_is_good_stays_up() -> None:
    """However often the keeper looks at it: no change of state, and so no line in the log."""
    with Hostile() as device:
        link = ModbusLink(
            "plc",
            [Tag("x", "uint16", "in", address=ModbusAddress("holding", 1))],
            Tcp("127.0.0.1", device.port),
            0.005,
            5.0,
        )
        with link:
            assert link.wait_up(PATIENCE_S)
            since = link.status().since
            reads = link.status().reads
            wait_for(lambda: link.status().reads > reads + 100)
            assert (link.status().state, link.status().since) == ("up", since)
