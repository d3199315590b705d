"""A station's agent as its server is shown."""

import asyncio
import threading
from types import SimpleNamespace

from plc_bindings.mqtt.broker import BrokerCounts, BrokerOptions
from station.fleet.driver import FleetAgent, FleetOptions
from tests.waiting import PATIENCE_S


def test_why_the_broker_is_away_is_told_beside_the_address_not_in_it(tmp_path):
    options = FleetOptions("press", BrokerOptions("10.0.0.1", tls=True), tmp_path, (), ())
    agent = FleetAgent(options, None, None, None)
    counts = BrokerCounts(last_error="10.0.0.1:1883: Connection refused")
    agent._runner = SimpleNamespace(broker=SimpleNamespace(up=False, counts=counts))
    status = agent.status()
    assert (status.address, status.clients) == ("fleet mqtts://10.0.0.1:1883/rt-engine", 0)
    assert status.trouble == counts.last_error


def test_an_agent_that_is_stopped_before_it_has_begun_does_not_begin(tmp_path):
    """Its thread would go on behind a station that has ended, and tell the broker that it is there."""
    options = FleetOptions("press", BrokerOptions("127.0.0.1", 1), tmp_path / "fleet", (), ())
    begins = threading.Event()

    class Plant:
        @property
        def avoid(self):
            begins.wait(PATIENCE_S)
            return frozenset()

    agent = FleetAgent(options, Plant(), lambda *_: None, lambda *_, **__: None)

    async def main():
        await agent.start()
        thread = agent._thread
        await agent.stop()
        begins.set()
        thread.join(PATIENCE_S)
        return thread.is_alive()

    assert not asyncio.run(main()) and not (tmp_path / "fleet").exists()
