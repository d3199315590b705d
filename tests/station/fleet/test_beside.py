"""What an agent has done beside its loop: an error in it is told, and tried again."""

import asyncio

import pytest

from plc_bindings.mqtt.broker import BrokerOptions
from station.fleet.documents import Topics
from station.fleet.driver import Runner
from station.fleet.events import After, Apply, Fetch
from tests.station.fleet.world import wanted


class Breaks:
    """Files and a plant that have an error in them; and the agent that hears of it."""

    name, generation = "press", 7

    def __init__(self):
        self.said = []

    async def fetch(self, wanted):
        raise ZeroDivisionError("here")

    def read(self, sha256):
        return b""

    def apply(self, slot, wanted, data, who):
        raise ZeroDivisionError("here")

    def fetched(self, sha256, why):
        self.said.append(why)
        return []

    def applied(self, slot, wanted, why, after):
        self.said.append(why)
        assert after == After.AGAIN
        return []


@pytest.mark.parametrize("what", ["_fetch", "_apply"])
def test_an_error_in_what_is_done_beside_is_no_wait_without_end(what):
    one = Breaks()
    runner = Runner(one, BrokerOptions("127.0.0.1"), Topics(), one, None, one, None, None)
    out = Fetch(wanted("new")) if what == "_fetch" else Apply("policy", wanted("new"))
    asyncio.run(getattr(runner, what)(out))
    assert one.said == ["an error in rt-engine: ZeroDivisionError('here')"]
