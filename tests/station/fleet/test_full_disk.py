"""A disk without room, at every call that writes: what was there stays whole, the folder is told, and all goes on with room."""

import asyncio
import errno
import os
from types import SimpleNamespace

import pytest

from plc_bindings.errors import SigningError
from plc_bindings.mqtt.broker import BrokerOptions
from station.errors import RolloutError
from station.fleet import driver
from station.fleet.artifacts import Shelf
from station.fleet.commander import Commander
from station.fleet.diary import Diary
from station.fleet.documents import Health, Wanted
from station.fleet.driver import FleetAgent, FleetOptions, FolderDisk, Sources, own_key
from station.fleet.events import Memory
from station.fleet.rollout import Plan, ordered
from station.fleet.web import ArtifactError, Web
from tests.station.fleet.test_artifacts import MODEL_BYTES, SHA
from tests.station.fleet.test_commander import report, session
from tests.station.fleet.world import wanted

CALLS = ("write", "fsync", "open", "mkdir", "rename", "replace")


class Full(pytest.MonkeyPatch):
    """Of all calls that write, that of a number fails (from 0), or all from there on; `calls`: how many there were."""

    def __init__(self, fails_at=None, goes_on=False):
        super().__init__()
        self.calls, self.fails_at, self.goes_on = 0, fails_at, goes_on

    def __enter__(self):
        for name in CALLS:
            self.setattr(os, name, self._failing(name, getattr(os, name)))
        return self

    def __exit__(self, *exc_info):
        self.undo()

    def _failing(self, name, real):
        def call(*args, **more):
            if name == "open" and not (len(args) > 1 and args[1] & os.O_CREAT):
                return real(*args, **more)
            number, self.calls = self.calls, self.calls + 1
            if self.fails_at is not None and (number == self.fails_at or (self.goes_on and number > self.fails_at)):
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])  # a part still fits
                place = args[0] if isinstance(args[0], str | os.PathLike) else None
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
            return real(*args, **more)

        return call


def at_every_call(tmp_path, work, check):
    """`work(folder)` with each of its calls failing, every second one with all behind it; then `check(folder)`. How many there are."""
    (tmp_path / "whole").mkdir()
    with Full() as counted:
        work(tmp_path / "whole")
    check(tmp_path / "whole")
    for number in range(counted.calls):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Full(number, goes_on=number % 2 > 0) as full:
            work(folder)
        assert full.calls > number
        check(folder)
    return counted.calls


def test_an_agents_key_and_memory_are_whole_or_not_there(tmp_path):
    refused = []

    def work(folder):
        try:
            own_key(folder / "own.pem")
            for boot in (1, 2):
                FolderDisk(folder).write(Memory(boot=boot))
        except (OSError, SigningError) as error:
            refused.append(str(error))

    def check(folder):
        before = FolderDisk(folder).read().boot
        assert before in (0, 1, 2)
        assert not [one for one in folder.iterdir() if one.name.startswith(".new-")]
        key = own_key(folder / "own.pem")
        FolderDisk(folder).write(Memory(boot=before + 1))
        assert FolderDisk(folder).read().boot == before + 1
        assert own_key(folder / "own.pem").private_bytes_raw() == key.private_bytes_raw()

    calls = at_every_call(tmp_path, work, check)
    assert calls > 10 and len(refused) == calls
    assert all("No space left on device" in words for words in refused)


class Served(Web):
    """A server that gives the file in pieces, or what is left of it."""

    async def _asked(self, url, headers):
        begin = int(headers["Range"][6:-1]) if "Range" in headers else 0

        async def chunks(size):
            for first in range(begin, len(MODEL_BYTES), 100_000):
                yield MODEL_BYTES[first : first + 100_000]

        said = {"Content-Range": f"bytes {begin}-"} if begin else {}
        content = SimpleNamespace(iter_chunked=chunks)
        return SimpleNamespace(status=206 if begin else 200, headers=said, content=content, close=lambda: None)


def test_a_file_is_whole_or_gone_on_with_and_the_folder_is_blamed(tmp_path):
    refused = []
    source = "https://models.example/policy.onnx"
    want = Wanted(sha256=SHA, size=len(MODEL_BYTES), signature="00" * 72, sources=(source,))

    def files(folder):
        return Sources(Shelf(folder / "files"), Served(), ("https://models.example",))

    def work(folder):
        try:
            asyncio.run(files(folder).fetch(want))
        except ArtifactError as error:
            refused.append(str(error))

    def check(folder):
        asyncio.run(files(folder).fetch(want))
        assert files(folder).read(SHA) == MODEL_BYTES
        assert [one.name for one in (folder / "files").iterdir()] == [SHA]

    calls = at_every_call(tmp_path, work, check)
    assert calls > 6 and len(refused) == calls
    assert all(words.startswith(str(tmp_path)) and "No space left on device" in words for words in refused)


def test_a_commander_orders_nothing_that_is_not_in_its_journal_and_goes_on_later(tmp_path):
    refused = []

    async def commanded(folder, plan):
        one = session(folder)
        try:
            for name in ("s0", "s1"):
                await one._received(report(name))
            commander = Commander(one)
            plan = await commander.take_term(commander.open_plan() or plan)
            for number, name in enumerate(("s0", "s1"), 1):
                order = ordered(plan, one.fleet.members[name], plan.term * 1_000_000 + number)
                await commander._order(plan, [order])
            await commander.leave()
        except RolloutError as error:
            refused.append(str(error))
            await commander.leave()
        finally:
            one.keep_pins()
        said = {topic.split("/")[2] for topic in one.broker.retained if topic.endswith("desired")}
        return plan, said, {what.removeprefix("station ") for _, what, _ in one.log.changes}

    def work(folder):
        _, said, audited = asyncio.run(commanded(folder, Plan(id="r", term=0, slots={"policy": wanted("new")})))
        journaled = {name for entry in Diary(folder).left for name in entry.orders}
        assert said <= journaled | audited

    def check(folder):
        plan, said, _ = asyncio.run(commanded(folder, Plan(id="r", term=0, slots={"policy": wanted("new")})))
        assert (len(said), plan.id) == (2, "r")
        assert [entry.plan.term for entry in Diary(folder).left] == [plan.term]
        assert session(folder).fleet.pins.keys() == {"s0", "s1"}
        assert not [one for one in folder.iterdir() if one.name.startswith(".new-")]

    assert at_every_call(tmp_path, work, check) > 20 and len(refused) > 10
    assert all("rollouts.journal: No space left on device" in words for words in refused)


@pytest.mark.parametrize("trouble", ["full", "damaged"])
def test_an_agent_that_cannot_begin_says_why_and_begins_when_it_can(tmp_path, monkeypatch, trouble):
    monkeypatch.setattr(driver, "AGAIN_S", 0.05)
    memory, said = tmp_path / "memory.json", []
    if trouble == "damaged":
        memory.write_text("{")
    else:
        monkeypatch.setattr(driver, "replace_file", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No room")))
    options = FleetOptions("press", BrokerOptions("127.0.0.1", 1, retry_s=0.1), tmp_path, (), ())
    plant = SimpleNamespace(avoid=frozenset(), look=lambda: ({}, Health()))
    agent = FleetAgent(options, plant, lambda *words: said.append(words), lambda *_, **__: None)

    async def until(condition):
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(agent.status())

    async def run():
        await agent.start()
        await until(lambda: agent.trouble)
        words = agent.status().trouble
        assert ("No room" in words) if trouble == "full" else (f"{memory}, the agent's memory, cannot be read" in words)
        if trouble == "full":
            monkeypatch.undo()
            monkeypatch.setattr(driver, "AGAIN_S", 0.05)
        else:
            memory.unlink()
        await until(lambda: memory.exists() and not agent.trouble)
        await agent.stop()

    asyncio.run(run())
    assert sum("until this is mended" in outcome for *_, outcome in said) == 1
