"""A station's agent as its server is shown."""

from types import SimpleNamespace

from plc_bindings.mqtt.broker import BrokerCounts, BrokerOptions
from station.fleet.driver import FleetAgent, FleetOptions


def test_why_the_broker_is_away_is_told_beside_the_address_not_in_it(tmp_path):
    options = FleetOptions("press", BrokerOptions("10.0.0.1", tls=True), tmp_path, (), ())
    agent = FleetAgent(options, None, None, None)
    counts = BrokerCounts(last_error="10.0.0.1:1883: Connection refused")
    agent._runner = SimpleNamespace(broker=SimpleNamespace(up=False, counts=counts))
    status = agent.status()
    assert (status.address, status.clients) == ("fleet mqtts://10.0.0.1:1883/rt-engine", 0)
    assert status.trouble == counts.last_error
