"""A thousand stations on this machine: `python -m tests.station.fleet.simulate [STATIONS] [PROCESSES]`.

Real agents and their drivers, a real mosquitto; no engine, and no disk but memory that a kill cuts off. Between them a proxy that cuts
connections and holds bytes back. Two versions one after the other, and meanwhile:

    a commander is killed in wave 2, another one goes on    the broker is killed: once with its memory, once without
    stations are killed, at writes and by chance            their clocks run at 0.5 to 2 of the rate, and begin anywhere

At the end each station must run the second version, and have committed each version once.
"""

import asyncio
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from plc_bindings.mqtt.broker import BrokerOptions
from station.fleet.commander import begun, command, gone_on
from station.fleet.rollout import Plan
from station.fleet.session import CommandOptions
from tests.peers.mosquitto import Mosquitto
from tests.station.fleet.simulated import SimStation, alive
from tests.station.fleet.world import COMMANDER, Log, sha_of, wanted

KILLS_AT_WRITE, FILE_FAILS, LIFE_S = 0.03, 0.2, 120.0
"""Chance that a write is a station's last; that a file is not had at once; mean life of a connection and of a station."""
MEMORY = (
    "allow_anonymous true",
    "persistence true",
    "autosave_interval 1",
    "autosave_on_changes true",
    "max_queued_messages 0",
)


class Proxy:
    """Between stations and broker: a connection lives `LIFE_S` on average, and some bytes come late."""

    def __init__(self, port):
        self._port, self._dice, self.up, self.down, self.cut = port, random.Random(1), 0, 0, 0

    async def start(self):
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=2048)
        return server.sockets[0].getsockname()[1]

    async def _client(self, reader, writer):
        try:
            out = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(self._way(reader, out[1], True)),
            asyncio.create_task(self._way(out[0], writer, False)),
        ]
        life_s = self._dice.expovariate(1 / LIFE_S)
        ended, _ = await asyncio.wait(ways, timeout=life_s, return_when=asyncio.FIRST_COMPLETED)
        self.cut += not ended
        for way in ways:
            way.cancel()
        for one in (writer, out[1]):
            one.transport.abort()

    async def _way(self, reader, writer, is_up):
        while data := await reader.read(65536):
            if self._dice.random() < 0.02:
                await asyncio.sleep(self._dice.uniform(0.1, 2.0))
            writer.write(data)
            self.up, self.down = self.up + len(data) * is_up, self.down + len(data) * (not is_up)


def proxy_process(port, pipe):
    async def main():
        proxy = Proxy(port)
        pipe.send(await proxy.start())
        while not pipe.poll():
            await asyncio.sleep(0.1)
        pipe.send((proxy.up, proxy.down, proxy.cut))

    asyncio.run(main())


def stations_process(first, count, port, pipe):
    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda *_: None
        )  # killed while they connect: libraries complain
        dice = random.Random(first)
        all_of_them = [
            SimStation(
                f"s{number:05}",
                port,
                kills=KILLS_AT_WRITE,
                fails=FILE_FAILS,
                drift=dice.uniform(0.5, 2.0),
                step_s=1.0,
                look_s=1.0,
            )
            for number in range(first, first + count)
        ]
        async with alive(all_of_them):
            while True:
                if pipe.poll():
                    if pipe.recv() == "end":
                        return
                    pipe.send([facts(one) for one in all_of_them])
                for one in all_of_them:
                    if dice.random() < 0.1 / LIFE_S:
                        one.kill()
                await asyncio.sleep(0.1)

    asyncio.run(main())


def facts(one):
    return {
        "name": one.name,
        "commits": [sha for _, sha in one.plant.commits],
        "runs": one.plant.committed["policy"],
        "kills": one.kills,
        **one.counts(),
        "writes": one.disk.writes,
        "is_up": bool(one.runner and one.runner.broker.up),
        "error": one.runner.broker.counts.last_error if one.runner else "",
    }


def commander_process(port, folder, version, serial):
    """A commander; `serial` 0: goes on with what is open."""
    options = CommandOptions(
        BrokerOptions("127.0.0.1", port, retry_s=0.3, retry_most_s=2), Path(folder), COMMANDER, "simulation"
    )
    wish = {"id": version, "term": 0, "soak_s": 2, "patience_s": 600}
    begin = begun(Plan(slots={"policy": wanted(version, serial)}, **wish)) if serial else gone_on
    plan = asyncio.run(command(options, Log(), begin))
    print(f"    commander, term {plan.term}: {plan.state.value}, {plan.why}", flush=True)


class Run:
    """The simulation. `end`: how it came out."""

    def __init__(self, count, processes, folder):
        self.count, self.folder = count, Path(folder)
        self._context = multiprocessing.get_context("spawn")
        self.broker = Mosquitto(self.folder, *MEMORY, f"persistence_location {folder}/")
        self.begun = time.monotonic()
        self.broker.start()
        here, there = self._context.Pipe()
        self._proxy = here
        self._start(proxy_process, self.broker.port, there)
        port = here.recv()
        share, self._pipes = -(-count // processes), []
        for first in range(0, count, share):
            here, there = self._context.Pipe()
            self._pipes.append(here)
            self._start(stations_process, first, min(share, count - first), port, there)

    def _start(self, work, *args):
        process = self._context.Process(target=work, args=args, daemon=True)
        process.start()
        return process

    def say(self, words):
        print(f"{time.monotonic() - self.begun:7.1f} s  {words}", flush=True)

    def facts(self):
        for pipe in self._pipes:
            pipe.send("facts")
        return [one for pipe in self._pipes for one in pipe.recv()]

    def commander(self, folder, version, serial):
        return self._start(commander_process, self.broker.port, str(self.folder / folder), version, serial)

    def until(self, condition, seconds):
        """Wait until it is so of so many stations; look now and then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.facts()
            if condition(now):
                return now
            time.sleep(1)
        late = [one for one in now if not one["is_up"] or one["runs"] != now[0]["runs"]][:10]
        raise SystemExit(f"it was not so within {seconds} s: {totals(now)}, {late}")

    def restart_broker(self, forgets):
        self.broker.stop()
        if forgets:
            (self.folder / "mosquitto.db").unlink(missing_ok=True)
        time.sleep(2)
        self.broker.start()


def having(version):
    return lambda now: sum(one["runs"] == sha_of(version) for one in now)


def totals(now):
    keys = ("is_up", "kills", "connects", "sent", "sent_bytes", "received", "writes")
    return {key: sum(one[key] for one in now) for key in keys}


def times(one, version):
    """How often a station has committed a version."""
    return one["commits"].count(sha_of(version))


def report(now, seconds, up, down, cut):
    """What came out, a line each."""
    found = totals(now)
    lines = {"stations": f"{len(now):,}", "seconds": f"{seconds:.0f}", "load": f"{os.getloadavg()[0]:.1f}"}
    for version in ("one", "two"):
        often = [times(one, version) for one in now]
        counts = f"{often.count(1):,} / {sum(n > 1 for n in often):,} / {often.count(0):,}"
        lines[f"version {version} committed once / more often / never"] = counts
    lines["stations killed"] = f"{found['kills']:,}"
    lines["connections, of them cut by the proxy"] = f"{found['connects']:,}, {cut:,}"
    lines["messages of stations, their payload"] = f"{found['sent']:,}, {found['sent_bytes']:,} bytes"
    lines["messages to stations"] = f"{found['received']:,}"
    lines["writes to disks"] = f"{found['writes']:,}"
    lines["bytes over the wire up, down"] = f"{up:,}, {down:,}"
    return lines


def main(count=1000, processes=2):
    with tempfile.TemporaryDirectory() as folder:
        run = Run(count, processes, folder)
        run.until(lambda now: sum(one["sent"] >= 2 for one in now) >= count * 0.98, 300)
        run.say(f"{count} stations are there: {totals(run.facts())}")
        first, ones = run.commander("a", "one", 5), having("one")
        run.until(lambda now: ones(now) >= max(2, count // 20), 300)
        first.kill()
        run.say(f"the commander is killed in wave 2, {ones(run.facts())} have version one")
        time.sleep(3)
        second = run.commander("b", "one", 0)
        run.until(lambda now: ones(now) >= count // 3, 600)
        run.restart_broker(forgets=False)
        run.say(f"the broker was restarted with its memory, {ones(run.facts())} have version one")
        run.until(lambda now: ones(now) == count, 900)
        run.say(f"all {count} have version one")
        second.join(300)
        third, twos = run.commander("b", "two", 6), having("two")
        run.until(lambda now: twos(now) >= count // 3, 900)
        run.restart_broker(forgets=True)
        run.say(f"the broker was restarted without memory, {twos(run.facts())} have version two")
        now = run.until(lambda now: twos(now) == count, 900)
        third.join(300)
        run.say(f"all {count} have version two")
        run._proxy.send("end")
        up, down, cut = run._proxy.recv()
        now = run.facts()
        for words, figure in report(now, time.monotonic() - run.begun, up, down, cut).items():
            print(f"| {words} | {figure} |")
        once = sum(times(one, version) == 1 for one in now for version in ("one", "two"))
        for pipe in run._pipes:
            pipe.send("end")
        run.broker.stop()
        if once != 2 * count:
            raise SystemExit("not each of them")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
