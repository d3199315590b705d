"""A small fleet on a broker that we did not write: stations that are killed, a commander that dies, a broker that forgets and lies."""

import asyncio

import pytest

from plc_bindings.mqtt.broker import Broker, BrokerOptions, Message
from station.errors import RolloutError
from station.fleet.commander import Commander, begun, check_selected, command, gone_on
from station.fleet.documents import Online, Stage, Topics
from station.fleet.rollout import Plan, RolloutState
from station.fleet.session import CommandOptions, Session
from station.fleet.words import forget, say
from tests.peers.mosquitto import Mosquitto
from tests.station.fleet.simulated import SimStation, alive
from tests.station.fleet.world import COMMANDER, OTHER, Log, order, sha_of, wanted

pytestmark = pytest.mark.peer("mosquitto")
TOPICS = Topics()


def options(mosquitto, folder, who="anna", key=COMMANDER):
    return CommandOptions(BrokerOptions("127.0.0.1", mosquitto.port, retry_s=0.2, retry_most_s=1), folder, key, who)


def plan(name="r1", version="new", **changes):
    wish = {"id": name, "term": 0, "slots": {"policy": wanted(version, 5)}, "soak_s": 0.3, "patience_s": 60}
    return Plan(**{**wish, **changes})


def stations(mosquitto, count, **more):
    return [SimStation(f"s{number}", mosquitto.port, drift=1 + number % 5 / 10, **more) for number in range(count)]


def run(main, seconds=100):
    asyncio.run(asyncio.wait_for(main, seconds))


@pytest.fixture
def mosquitto(tmp_path):
    with Mosquitto(tmp_path) as broker:
        yield broker


async def until(condition, seconds=60):
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


async def all_reported(mosquitto, folder, fleet):
    """All of them have: a commander that begins before knows fewer."""
    async with Session(options(mosquitto, folder / "eyes", "eyes"), Log()) as looking:
        known = looking.fleet.members
        await until(lambda: all(one.name in known and known[one.name].reported is not None for one in fleet))


def ended(all_of_them, version="new"):
    """Each runs it, and took it once."""
    return all(one.plant.committed["policy"] == sha_of(version) for one in all_of_them) and all(
        one.plant.commits == [("policy", sha_of(version))] for one in all_of_them
    )


def test_twenty_stations_that_are_killed_end_where_they_should(mosquitto, tmp_path):
    """Kills at writes, files that are not had at once, clocks that go wrong; every step is audited."""

    async def main():
        fleet, log = stations(mosquitto, 20, kills=0.08, fails=0.3), Log()
        async with alive(fleet):
            await all_reported(mosquitto, tmp_path, fleet)
            done = await command(options(mosquitto, tmp_path), log, begun(plan(waves=("1", "25%", "all"))))
            await until(lambda: ended(fleet))
        assert done.state == RolloutState.DONE
        assert sum(one.kills for one in fleet) > 0
        assert sum(what.startswith("station ") for _, what, _ in log.changes) == 20

    run(main())


def test_a_commander_that_dies_is_followed_by_one_that_goes_on(mosquitto, tmp_path):
    """Elsewhere, without the journal; a broker that is restarted meanwhile and has forgotten all."""

    async def main():
        fleet, log = stations(mosquitto, 6), Log()
        async with alive(fleet):
            await all_reported(mosquitto, tmp_path, fleet)
            first = asyncio.create_task(command(options(mosquitto, tmp_path / "a"), log, begun(plan(soak_s=2.0))))
            await until(lambda: sum(len(one.plant.commits) for one in fleet) >= 1)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            with pytest.raises(RolloutError, match="rollout r1 is running: `rt-engine fleet resume`"):
                await command(options(mosquitto, tmp_path / "b"), log, begun(plan("r2", "other")))
            mosquitto.stop()
            mosquitto.start()
            await all_reported(mosquitto, tmp_path, fleet)
            done = await command(options(mosquitto, tmp_path / "a"), log, gone_on)
            assert (done.state, done.term) == (RolloutState.DONE, 2)
            await until(lambda: ended(fleet))

    run(main())


def test_only_one_commands_and_words_reach_it(mosquitto, tmp_path):
    async def main():
        fleet, log = stations(mosquitto, 4), Log()
        async with alive(fleet):
            await all_reported(mosquitto, tmp_path, fleet)
            first = asyncio.create_task(command(options(mosquitto, tmp_path / "a"), log, begun(plan(soak_s=60))))
            await until(lambda: sum(len(one.plant.commits) for one in fleet) == 1)
            with pytest.raises(RolloutError, match="a commander is at work: anna, term 1"):
                await command(options(mosquitto, tmp_path / "b", "bert"), log, begun(plan("r2", "other")))
            async with Session(options(mosquitto, tmp_path / "b", "bert"), log) as looking:
                check_selected(plan(), looking.fleet)
                with pytest.raises(RolloutError, match="a model other; 4 are known: `rt-engine fleet status`"):
                    check_selected(plan(slots={"other": wanted("new", 5)}), looking.fleet)
            paused, obeyed = await say(options(mosquitto, tmp_path / "b", "bert"), log, "pause")
            assert (paused.state, paused.why, obeyed) == (RolloutState.PAUSED, "by bert", True)
            await say(options(mosquitto, tmp_path / "b", "bert"), log, "resume")
            aborted, _ = await say(options(mosquitto, tmp_path / "b", "bert"), log, "abort")
            assert (await first).state == aborted.state == RolloutState.ABORTED
            with pytest.raises(RolloutError, match="no rollout is open"):
                await say(options(mosquitto, tmp_path / "b"), log, "resume")
        assert sum(len(one.plant.commits) for one in fleet) == 1

    run(main())


def test_two_who_begin_at_once_end_with_one(mosquitto, tmp_path):
    """The broker knows commanders by one name: the later takes the session; the earlier sees him, and gives up."""

    async def main():
        fleet, log = stations(mosquitto, 3), Log()
        async with alive(fleet):
            await all_reported(mosquitto, tmp_path, fleet)
            async with Session(options(mosquitto, tmp_path / "a"), log, commands=True) as session:
                slow = Commander(session)
                held = await slow.take_term(begun(plan(soak_s=100))(slow, session.fleet))
                running = asyncio.create_task(slow.run(held))
                async with Session(options(mosquitto, tmp_path / "b", "bert"), log, commands=True) as other:
                    other.fleet.present = other.fleet.present.model_copy(update={"online": False})
                    later = Commander(other)
                    await later.take_term(plan("r2", "other"))
                    with pytest.raises(RolloutError, match="gives up"):
                        await running

    run(main())


def test_a_bad_version_stops_at_the_first_station(mosquitto, tmp_path):
    async def main():
        fleet, log = stations(mosquitto, 5, bad=frozenset({sha_of("new")})), Log()
        async with alive(fleet):
            await all_reported(mosquitto, tmp_path, fleet)
            done = await command(options(mosquitto, tmp_path), log, begun(plan()))
            assert done.state == RolloutState.STOPPED
            assert "rolled back" in done.why
        assert sum(bool(one.plant.barred) for one in fleet) == 1
        assert any("stopped" in outcome for _, _, outcome in log.changes)

    run(main())


def test_a_broker_that_lies_changes_nothing(mosquitto, tmp_path):
    """Old orders, orders of others, forged ones and reports, all retained."""

    async def main():
        fleet, log = stations(mosquitto, 2), Log()
        old = order("s0", 1_000_000, {"policy": wanted("old one")})
        async with alive(fleet):
            await all_reported(mosquitto, tmp_path, fleet)
            await command(options(mosquitto, tmp_path), log, begun(plan()))
            liar = Broker(BrokerOptions("127.0.0.1", mosquitto.port), {})
            lying = asyncio.create_task(liar.run())
            await until(lambda: liar.up)
            for station, payload in (
                ("s0", old),
                ("s1", old),
                ("s0", order("s0", 9_000_000, {"policy": wanted("evil")}, key=OTHER)),
                ("s1", b"\x00" * 1000),
            ):
                await liar.publish(Message(TOPICS.desired(station), payload, 1, True))
            await liar.publish(Message(TOPICS.reported("s0"), b"nobody\n{}", 1, True))
            await until(lambda: all(one.notes >= 2 for one in fleet))
            assert ended(fleet)
            lying.cancel()
            await asyncio.gather(lying, return_exceptions=True)
            async with Session(options(mosquitto, tmp_path), log) as session:
                await until(lambda: (said := session.fleet.members["s1"].reported) is not None and said.refused > 0)
                assert session.fleet.members["s1"].reported.slots["policy"].stage == Stage.COMMITTED
        assert any("refused" in outcome for *_, outcome in log.refused)

    run(main())


def test_a_broker_that_forgets_is_told_all_orders_again(mosquitto, tmp_path):
    async def main():
        fleet, log, at_broker = stations(mosquitto, 3), Log(), {}
        async with alive(fleet):
            await all_reported(mosquitto, tmp_path, fleet)
            wish = begun(plan(soak_s=60, waves=("all",)))
            running = asyncio.create_task(command(options(mosquitto, tmp_path), log, wish))
            await until(lambda: ended(fleet))
            mosquitto.stop()
            mosquitto.start()

            async def seen(message):
                at_broker[message.topic] = message.payload

            reader = Broker(BrokerOptions("127.0.0.1", mosquitto.port, retry_s=0.2), {TOPICS.desired("+"): 1}, seen)
            reading = asyncio.create_task(reader.run())
            await until(lambda: len(at_broker) == 3)
            for task in (running, reading):
                task.cancel()
            await asyncio.gather(running, reading, return_exceptions=True)

    run(main())


def test_a_station_that_is_gone_is_forgotten_and_one_that_is_there_is_not(mosquitto, tmp_path):
    async def main():
        there, gone = stations(mosquitto, 2)
        log = Log()
        async with alive([there]):
            async with alive([gone]):
                await all_reported(mosquitto, tmp_path, (there, gone))
                await command(options(mosquitto, tmp_path), log, begun(plan(waves=("all",))))
            with pytest.raises(RolloutError, match="s0 is there, and would report again"):
                await forget(options(mosquitto, tmp_path), log, "s0")
            async with Session(options(mosquitto, tmp_path), log) as session:  # a broker that died with it says so
                await session.publish(session.topics.online("s1"), Online(online=True).text())
            assert await forget(options(mosquitto, tmp_path), log, "s1")
            assert not await forget(options(mosquitto, tmp_path), log, "s1")
            async with Session(options(mosquitto, tmp_path), log) as session:
                assert session.fleet.members.keys() == {"s0"} == session.fleet.pins.keys()
        assert [what for _, what, words in log.changes if words.startswith("forgotten")] == ["station s1"] * 2

    run(main())
