"""A commander, without a broker: what it says again, which terms it takes, what it keeps of stations' keys."""

import asyncio

from plc_bindings.mqtt.broker import BrokerError, BrokerOptions, Message
from station.fleet.commander import CommandOptions, Session
from station.fleet.documents import Desired, Topics
from tests.station.fleet.world import COMMANDER, order, wanted

TOPICS = Topics()


class Log:
    """An audit log that nobody reads."""

    def record(self, who, what, outcome):
        pass

    def record_change(self, who, what, outcome, **more):
        pass


class Carrier:
    """A broker that has what was said last; `away` so many times."""

    def __init__(self, session, away=0):
        self.session, self.away, self.retained = session, away, {}

    async def publish(self, message):
        if self.away:
            self.away -= 1
            raise BrokerError("not connected")
        self.retained[message.topic] = message.payload
        await asyncio.sleep(0)
        await self.session._received(message)


def session(tmp_path, **more):
    found = Session(CommandOptions(BrokerOptions("127.0.0.1"), tmp_path, COMMANDER, "anna"), Log(), commands=True)
    found.broker = Carrier(found, **more)
    found._settled = lambda: asyncio.sleep(0)
    return found


def generation_of(payload, name="s0"):
    return Desired.read(payload.partition(b"\n")[2]).generation if payload else 0


def test_who_orders_while_it_says_all_again_says_nothing_older_behind_it(tmp_path):
    """The broker forgot; s0's order for version two is given between the look at what is lost and its turn."""

    async def main():
        one, topic = session(tmp_path), TOPICS.desired("s0")
        for name in ("a", "s0"):
            await one._received(Message(TOPICS.desired(name), order(name, 1_000_001, {"policy": wanted("one")})))
        one._echoed.clear()
        again = asyncio.create_task(one._remind())
        while TOPICS.desired("a") not in one.broker.retained:
            await asyncio.sleep(0)
        await one.publish(topic, order("s0", 2_000_001, {"policy": wanted("two", 2)}))
        await again
        assert generation_of(one.broker.retained[topic]) == 2_000_001

    asyncio.run(main())


def test_what_waited_for_the_broker_is_not_said_behind_what_is_newer(tmp_path):
    async def main():
        one, topic = session(tmp_path, away=1), TOPICS.desired("s0")
        old, new = (order("s0", number, {"policy": wanted("one")}) for number in (1, 2))
        waits = asyncio.create_task(one.publish(topic, old))
        await asyncio.sleep(0)
        await one.publish(topic, new)
        await waits
        assert one.broker.retained[topic] == new

    asyncio.run(main())


def test_a_broker_that_remembers_something_older_is_told_the_newest(tmp_path):
    async def main():
        one, topic = session(tmp_path), TOPICS.desired("s0")
        old, new = (order("s0", number, {"policy": wanted("one")}) for number in (1, 2))
        await one._received(Message(topic, new))
        one._echoed.clear()
        await one._received(Message(topic, old))  # as it was saved half an hour before
        await one._remind()
        assert one.broker.retained[topic] == new

    asyncio.run(main())
