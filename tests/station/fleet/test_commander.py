"""A commander, without a broker: what it says again, which terms it takes, what it keeps of stations' keys."""

import asyncio
import threading

import pytest

from plc_bindings.mqtt.broker import BrokerError, BrokerOptions, Message
from station.errors import RolloutError
from station.fleet.commander import Commander
from station.fleet.diary import Diary
from station.fleet.documents import Desired, Online, Present, Reported, Topics, Word
from station.fleet.known import MOST_SAID_TERM
from station.fleet.pins import Pins
from station.fleet.rollout import Plan, RolloutState, ordered
from station.fleet.session import CommandOptions, Session
from station.machine.beside import in_thread
from tests.station.fleet.world import COMMANDER, OLD, Log, order, own_key, sha_of, wanted
from tests.waiting import PATIENCE_S

TOPICS = Topics()


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


def report(name, **facts):
    text = Reported(**{"station": name, "boot": 1, "count": 1, "slots": {"policy": {"sha256": "0" * 64}}, **facts})
    return Message(TOPICS.reported(name), text.sealed(own_key(name), name))


def test_who_lies_about_terms_uses_none_up(tmp_path):
    """A station that says it has the last generation of all, a broker that says somebody had the last term."""

    async def main():
        one, most = session(tmp_path), 2**63 - 1
        await one._received(report("s0", generation=most))
        await one._received(Message(TOPICS.commander("online"), Present(online=False, term=most).text()))
        commander = Commander(one)
        plan = await commander.take_term(Plan(id="r", term=0, slots={"policy": wanted("new")}))
        await commander.leave()
        assert plan.term == 1
        assert Commander(session(tmp_path)).open_plan() is not None
        await one._received(report("s1", generation=3_000_017))  # an honest one still counts where the broker forgot
        assert one.fleet.newest_term() == 3 < MOST_SAID_TERM

    asyncio.run(main())


def test_made_up_stations_have_no_room_without_end(tmp_path, monkeypatch):
    async def main():
        one = session(tmp_path)
        for name in ("a b", "\x1b[2J", "x" * 101, "é"):
            await one._received(Message(TOPICS.online(name), Online(online=True).text()))
        assert not one.fleet.members
        monkeypatch.setattr("station.fleet.known.MOST_REPORT_BYTES", 1500)
        for number in range(9):
            await one._received(report(f"s{number}"))
        assert 0 < sum(member.reported is not None for member in one.fleet.members.values()) < 9
        assert one.fleet.report_bytes <= 1500

    asyncio.run(main())


def test_a_key_that_was_taken_away_stays_away_when_a_commander_ends(tmp_path):
    async def main():
        first = session(tmp_path)
        await first._received(report("s0"))
        first.keep_pins()
        commands = session(tmp_path)
        await commands._received(report("s1"))
        assert Pins(tmp_path).drop("s0")
        commands.keep_pins()
        assert session(tmp_path).fleet.pins.keys() == {"s1"}

    asyncio.run(main())


def test_an_order_that_no_station_would_take_is_not_given(tmp_path):
    """Earlier slots stay in it, with signatures of up to 12 KB each."""
    long = wanted("new").model_copy(update={"signature": "00" * 12_000})

    async def main():
        one = session(tmp_path)
        commander = Commander(one)
        plan = await commander.take_term(Plan(id="r", term=0, slots={"policy": wanted("new")}))
        slots = {f"slot{number}": long for number in range(3)}
        said = dict(one.broker.retained)
        with pytest.raises(RolloutError, match=r"for s0, with what it was ordered before, has 7[0-9],[0-9]{3} bytes"):
            await commander._order(plan, [Desired(station="s0", generation=1_000_001, slots=slots)])
        await commander.leave()
        assert said.keys() >= {topic for topic in one.broker.retained if "/stations/" in topic}

    asyncio.run(main())


def journal_of(folder):
    return [entry.plan.revision for entry in Diary(folder).left]


def test_the_journal_is_cut_and_no_order_is_in_it_alone(tmp_path, monkeypatch):
    """Where the audit log takes nothing it grows; who comes next notes what is in it, and cuts it."""

    async def main():
        one = session(tmp_path)
        await one._received(report("s0"))
        one.log.is_full, commander = True, Commander(one)
        plan = await commander.take_term(Plan(id="r", term=0, slots={"policy": wanted("new")}))
        await commander._order(plan, [ordered(plan, one.fleet.members["s0"], 1_000_001)])
        for _ in range(5):
            plan = await commander._taken(plan, plan.with_(good=plan.good + 1))
        assert journal_of(tmp_path) == [0, 0, 1, 2, 3, 4, 5]
        await commander.leave()
        assert len(journal_of(tmp_path)) == 7
        after = session(tmp_path)
        again = Commander(after)
        await again.take_term(again.open_plan())
        assert [what for _, what, words in after.log.changes if words == "ordered, as the journal says"] == [
            "station s0"
        ]
        assert journal_of(tmp_path) == [0]
        monkeypatch.setattr("station.fleet.diary.MOST_BYTES", 1500)
        plan = again.open_plan().with_(state=RolloutState.PAUSED, term=2)
        for _ in range(20):
            plan = await again._taken(plan, plan.with_(good=plan.good + 1))
            if again.diary.is_long:
                await again._tidy()
        assert journal_of(tmp_path)[-1] == 21 and len(journal_of(tmp_path)) < 6
        await again.leave()
        assert journal_of(tmp_path) == [21]

    asyncio.run(main())


def test_an_audit_log_whose_place_hangs_is_waited_for_once(tmp_path, monkeypatch):
    """Not at every look, with a thread each, while the journal is long."""
    asked, hangs = [], threading.Event()

    async def beside(work, name):
        asked.append(name)
        return await in_thread(work, name)

    async def main():
        one = session(tmp_path)
        commander = Commander(one)
        await commander.take_term(Plan(id="r", term=0, slots={"policy": wanted("new")}))
        one.log.settled = lambda: hangs.wait(PATIENCE_S)
        monkeypatch.setattr("station.fleet.commander.in_thread", beside)
        monkeypatch.setattr("station.fleet.commander.AUDIT_S", 0.05)
        for _ in range(5):
            await commander._tidy()
        assert len(asked) == 1
        hangs.set()
        await asyncio.wait((commander._auditing,))
        monkeypatch.setattr("station.fleet.commander.AUDIT_S", PATIENCE_S)
        assert await commander._is_audited() and len(asked) == 2
        await commander.leave()

    asyncio.run(main())


def test_a_line_that_a_power_cut_has_cut_spoils_none_behind_it(tmp_path):
    async def main():
        first = Commander(session(tmp_path))
        await first.take_term(Plan(id="r", term=0, slots={"policy": wanted("new")}))
        await first.leave()
        with (tmp_path / "rollouts.journal").open("ab") as file:
            file.write(b'00112233 152 {"pl')
        one = session(tmp_path)
        one.log.is_full = True
        await Commander(one).take_term(Commander(one).open_plan())
        assert [entry.plan.term for entry in Diary(tmp_path).left] == [1, 2]

    asyncio.run(main())


def test_stations_go_back_though_broker_and_commander_have_lost_the_orders(tmp_path):
    """By what they report; how many are not known any more is told, and can be said again."""

    async def main():
        one = session(tmp_path)
        slot = {"sha256": sha_of("new"), "wanted": sha_of("new"), "serial": 1, "before": OLD, "stage": "committed"}
        await one._received(report("s0", generation=1_000_001, rollout="r", slots={"policy": slot}))
        commander = Commander(one)
        plan = await commander.take_term(Plan(id="r", term=1, ordered=3, slots={"policy": wanted("new")}))
        aborted = await commander.obey(plan, Word(rollout="r", number=1, word="abort", back=True, who="anna"))
        assert aborted.why.startswith("by anna; 1 go back, and 2 that were ordered are not known any more")
        order = one.fleet.members["s0"].desired.slots["policy"]
        assert (order.sha256, order.before, order.back) == (OLD, sha_of("new"), True)
        assert commander.open_plan() is None
        await one._received(report("s1", generation=1_000_002, rollout="r", slots={"policy": slot}))
        again = commander.open_plan(to_take_back=True)
        aborted = await commander.obey(again, Word(rollout="r", number=2, word="abort", back=True, who="anna"))
        assert aborted.why.startswith("by anna; 1 go back, and 1 that were")
        await commander.leave()

    asyncio.run(main())
