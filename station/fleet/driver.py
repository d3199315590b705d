"""The agent of a station, carried out: a broker's session, a disk, files, the station.

Broker --> received, connected --.                     .--> Keep       written in a thread, then `kept`
each second: what the station is --> Agent --> a queue --> Publish     the newest of each topic, one after the other
files, changes that ended -------'                     '--> Fetch, Apply  beside it, then `fetched`, `applied`
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plc_bindings.errors import SigningError
from plc_bindings.mqtt.broker import Broker, BrokerError, BrokerOptions, Message
from plc_bindings.net.apart import stand_back
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Record
from plc_bindings.security.signing import PublicKey, generate
from rt_native import version
from rt_native.files import open_file
from station.errors import RefusedError
from station.fleet.agent import Agent, Self
from station.fleet.artifacts import Shelf
from station.fleet.documents import Topics, Wanted
from station.fleet.events import After, Apply, Fetch, Keep, Memory, Note, Out, Publish
from station.fleet.kept_up import keep_up
from station.fleet.plant import Plant
from station.fleet.sealed import ForgedError, load_signer
from station.fleet.web import ArtifactError, Login, Web
from station.machine.beside import in_thread
from station.store.files import FOLDER_MODE, replace_file, temporary

LOOK_S: Final = 1.0
STOP_S: Final = 1.5
LEAVE_S: Final = 0.5
"""Of it: until the broker has heard that we leave."""
NICE: Final = 5
AGAIN_S: Final = 10.0
MOST_MEMORY: Final = 1 << 20
Beside = Callable[[Callable[[], Any], str], Awaitable[Any]]


class Disk(Protocol):
    """Where an agent's memory is. Raises OSError."""

    def write(self, memory: Memory) -> None:
        """On the disk when this returns."""


class Files(Protocol):
    """Where an agent's files come from. Raises ArtifactError."""

    async def fetch(self, wanted: Wanted) -> None:
        """Have it."""

    def read(self, sha256: str) -> bytes:
        """What was fetched."""


class FolderDisk:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "memory.json"

    def read(self) -> Memory:
        """What is there. Raises ForgedError, with the file's name."""
        try:
            with open_file(self._path) as file:
                return Memory.read(file.read(MOST_MEMORY))
        except FileNotFoundError:
            return Memory()
        except (OSError, ForgedError) as error:
            why = getattr(error, "strerror", None) or error
            helps = "mend it, or move it away: then the newest order comes again, and is begun anew"
            raise ForgedError(f"{self._path}, the agent's memory, cannot be read: {why}; {helps}") from error

    def write(self, memory: Memory) -> None:
        """On the disk when this returns."""
        replace_file(self._path, memory.text())


@dataclass(frozen=True, slots=True)
class Sources:
    """Files from the sources that a station allows, in its folder."""

    shelf: Shelf
    web: Web
    allowed: tuple[str, ...]

    async def fetch(self, wanted: Wanted) -> None:
        """Have it."""
        try:
            await self.shelf.get(self.web, wanted, self.allowed)
        except OSError as error:
            raise ArtifactError(f"{self.shelf.folder}: {error.strerror or error}") from error

    def read(self, sha256: str) -> bytes:
        """What was fetched."""
        return self.shelf.read(sha256)


class Runner:
    """An agent on an event loop.

    Args:
        options: of the broker.
        record, record_change: the audit log: what was refused, what was changed.
        write: has something slow done beside the loop: `station.machine.beside.in_thread`.
    """

    def __init__(
        self,
        agent: Agent,
        options: BrokerOptions,
        topics: Topics,
        plant: Plant,
        disk: Disk,
        files: Files,
        record: Record,
        record_change: Callable[..., None],
        look_s: float = LOOK_S,
        write: Beside = in_thread,
    ) -> None:
        self._agent, self._plant, self._disk, self._files = agent, plant, disk, files
        self._record, self._record_change, self._look_s, self._beside_loop = record, record_change, look_s, write
        own = (topics.desired(agent.name), topics.online(agent.name))
        self.broker = Broker(options, dict.fromkeys(own, 1), self._received, self._connected, self._will)
        self._queue: asyncio.Queue[Out] = asyncio.Queue()
        self._unsaid: dict[str, bytes] = {}
        self._speaks = asyncio.Event()
        self._beside: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; then the broker is told that the station is not there: who leaves has no will."""
        self._put(self._agent.begin())
        lives = [asyncio.create_task(work) for work in (self._work(), self._speak(), self._look(), self._session())]
        try:
            ended, _ = await asyncio.wait(
                lives, return_when=asyncio.FIRST_COMPLETED
            )  # who is cancelled here cancels none of them
            for task in ended:
                task.result()
        finally:
            with suppress(BrokerError, TimeoutError):
                await asyncio.wait_for(self.broker.publish(self._will()), LEAVE_S)
            for task in (*lives, *self._beside):
                task.cancel()
            await asyncio.wait((*lives, *self._beside), timeout=STOP_S)  # a library that hangs is left

    async def _session(self) -> None:
        while not self._agent.has_begun:  # the broker is told which boot this is
            await asyncio.sleep(0.01)
        await keep_up(self.broker, lambda why: self._record("fleet", "broker", f"refused: {why}"))

    # --- events -------------------------------------------------------------------------------------------------------

    async def _received(self, message: Message) -> None:
        self._put(self._agent.received(message.topic, message.payload))

    async def _connected(self) -> None:
        self._put(self._agent.connected())

    def _will(self) -> Message:
        will = self._agent.will
        return Message(will.topic, will.payload, 1, True)

    async def _look(self) -> None:
        while True:
            if not self.broker.up:
                self._put(self._agent.disconnected())
            self._put(self._agent.seen(*self._plant.look()))
            await asyncio.sleep(self._look_s)

    def _put(self, outs: Sequence[Out]) -> None:
        for out in outs:
            self._queue.put_nowait(out)

    # --- what is to be done -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            out = await self._queue.get()
            match out:
                case Keep():
                    await self._keep(out.memory)
                case Publish():
                    self._unsaid.pop(out.topic, None)
                    self._unsaid[out.topic] = out.payload
                    self._speaks.set()
                case Fetch():
                    self._do_beside(self._fetch(out))
                case Apply():
                    self._do_beside(self._apply(out))
                case Note():
                    self._note(out)

    def _do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _keep(self, memory: Memory) -> None:
        def write() -> bool:
            self._disk.write(memory)
            return True

        try:
            await self._beside_loop(write, "fleet disk")
        except (OSError, RefusedError) as error:
            self._put(self._agent.unkept(getattr(error, "strerror", None) or str(error)))
        else:
            self._put(self._agent.kept())

    async def _speak(self) -> None:
        """Publish, one after the other; a broker that does not acknowledge is left, and told all when it is there again."""
        while True:
            await self._speaks.wait()
            self._speaks.clear()
            while self._unsaid:
                topic = next(iter(self._unsaid))
                payload = self._unsaid.pop(topic)
                try:
                    await self.broker.publish(Message(topic, payload, 1, True))
                except BrokerError as error:
                    self._unsaid.clear()
                    self.broker.leave(str(error))

    async def _fetch(self, out: Fetch) -> None:
        why = ""
        try:
            await self._files.fetch(out.wanted)
        except ArtifactError as error:
            why = str(error)
        except Exception as error:  # it would be waited for until the station starts again
            why = _ours(error)
        self._put(self._agent.fetched(out.wanted.sha256, why))

    async def _apply(self, out: Apply) -> None:
        who = f"fleet order {self._agent.generation}"

        def apply() -> tuple[str, After]:
            if out.wanted.back:
                return self._plant.back(out.slot, out.wanted, who)
            return self._plant.apply(out.slot, out.wanted, self._files.read(out.wanted.sha256), who)

        try:
            why, after = await self._beside_loop(apply, "fleet change")
        except (ArtifactError, RefusedError) as error:
            why, after = str(error), After.AGAIN
        except Exception as error:
            why, after = _ours(error), After.AGAIN
        self._put(self._agent.applied(out.slot, out.wanted, why, after))

    def _note(self, out: Note) -> None:
        if out.is_change:
            self._record_change(out.who, out.what, out.outcome, **out.facts)
        else:
            self._record(out.who, out.what, out.outcome)


def _ours(error: Exception) -> str:
    return f"an error in rt-engine: {error!r}"


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """What a station file says. `folder`: memory, the station's own key, files; `sources`: beginnings of those that are allowed."""

    station: str
    broker: BrokerOptions
    folder: Path
    keys: tuple[PublicKey, ...]
    sources: tuple[str, ...]
    labels: dict[str, str] = field(default_factory=dict)
    topic: str = "rt-engine"
    login: Callable[[], Login] = Login
    source_ca_file: str = ""


class FleetAgent:
    """See `plc_bindings.net.serving.Server`: the agent in a thread of its own, away from the tasks' processors.

    A broker that is not there, or a folder that cannot be used, keeps no station from starting: `status` and the audit log say it.
    """

    def __init__(self, options: FleetOptions, plant: Plant, record: Record, record_change: Callable[..., None]) -> None:
        self._options, self._plant = options, plant
        self._record, self._record_change = record, record_change
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._life: asyncio.Task[None] | None = None
        self._agent: Agent | None = None
        self._runner: Runner | None = None
        self.trouble = ""

    def status(self) -> ServerStatus:
        """How it does: connected to the broker, orders that came, orders that were refused. Any thread."""
        broker = self._options.broker
        kind, agent, runner = "mqtts" if broker.encrypted else "mqtt", self._agent, self._runner
        trouble = self.trouble or (
            runner.broker.counts.last_error if runner is not None and not runner.broker.up else ""
        )
        place = f"fleet {kind}://{broker.address}/{self._options.topic}"
        is_up = runner is not None and runner.broker.up
        orders, refused = (agent.orders, agent.refused) if agent else (0, 0)
        return ServerStatus(place, int(is_up), orders, refused, trouble=trouble)

    async def start(self) -> None:
        """Begin; raises `OSError` where the system gives no thread."""
        self._thread = threading.Thread(target=self._main, name="fleet", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            raise OSError(f"the system gave no thread for the fleet's agent: {error}; see 'ulimit -u'") from error

    async def stop(self) -> None:
        """Tell the broker that we leave, and end."""
        thread, self._thread = self._thread, None  # before what is asked: who begins only now sees it
        loop, life = self._loop, self._life
        if thread is None or loop is None or life is None:
            return
        with suppress(RuntimeError):  # it has ended already
            loop.call_soon_threadsafe(life.cancel)
        await asyncio.get_running_loop().run_in_executor(None, thread.join, STOP_S)

    def _main(self) -> None:
        stand_back(self._plant.avoid, NICE)
        with suppress(asyncio.CancelledError):
            asyncio.run(self._live())

    async def _live(self) -> None:
        """Until cancelled. What keeps the agent from its work, a full disk, a file that cannot be read, is told, and tried again."""
        self._loop, self._life = asyncio.get_running_loop(), asyncio.current_task()
        while self._thread is threading.current_thread():  # else it was stopped before it had begun
            try:
                await self._run()
            except (OSError, ForgedError, SigningError, BrokerError, RefusedError) as error:
                self._hindered(str(error))
            except Exception as error:
                self._hindered(_ours(error))
            await asyncio.sleep(AGAIN_S)

    def _hindered(self, why: str) -> None:
        if why != self.trouble:
            self._record("fleet", "agent", f"refused: it takes no orders until this is mended: {why}")
        self.trouble = why

    async def _run(self) -> None:
        options = self._options
        options.folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        topics = Topics(options.topic)
        own = own_key(options.folder / "own.pem")
        me = Self(options.station, options.keys, own, options.labels, version.TEXT, topics)
        disk = FolderDisk(options.folder)
        agent = self._agent = Agent(me, disk.read(), asyncio.get_running_loop().time)
        async with Web(options.source_ca_file, options.login()) as web:
            files = Sources(Shelf(options.folder / "files"), web, options.sources)
            self._runner = Runner(
                *(agent, options.broker, topics, self._plant, disk, files), self._record, self._record_change
            )
            self.trouble = ""
            await self._runner.run()


def own_key(path: Path) -> Ed25519PrivateKey:
    """The station's own key; made where there is none: whole, or not at all. Raises OSError, SigningError."""
    if not path.exists():
        draft = temporary(path.parent)
        try:
            generate(draft)
            replace_file(path, draft.read_bytes())
        finally:
            draft.unlink(missing_ok=True)
    return load_signer(path)
