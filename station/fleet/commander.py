"""A commander: one rollout at a time, carried out over a broker that is not trusted, by a process that may die anywhere.

    look (as anybody)       all that is retained; is a commander present? is a rollout open?
    take the term           the highest ever seen, plus one: written to the journal, then said at the broker
    each second             a word obeyed -> advance -> the plan and the orders to the journal, synced -> to the broker

One who sees that another has this term or a later one gives up. What he has sent has lower generations: stations refuse it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plc_bindings.mqtt.broker import Broker, BrokerError, BrokerOptions, Message
from plc_bindings.security.signing import PublicKey
from station.errors import RolloutError
from station.fleet.documents import TERM, Desired, Present, Topics, Word
from station.fleet.events import Note
from station.fleet.kept_up import keep_up
from station.fleet.known import COMMANDERS, Fleet, Journaled
from station.fleet.rollout import (
    OPEN,
    Plan,
    RolloutState,
    Standing,
    Timers,
    advance,
    fits,
    ordered,
    standing,
    taken_back,
)
from station.fleet.sealed import MOST_BYTES, ForgedError, public_of
from station.store.files import FOLDER_MODE, replace_file
from station.store.journal import Journal, read

LOOK_S: Final = 0.5
STOP_S: Final = 3.0
QUIET_S: Final = 0.7
SURE_S: Final = 3.0
"""Behind our own mark: so long nothing new must have come until all that is retained is here; it is after so long in any case."""
PATIENCE_S: Final = 30.0
MOST_LOOK_S: Final = 600.0
"""A broker that sends nothing for so long is not reached; one that sends without an end is left."""
AT_ONCE: Final = 50
"""Messages that wait for their acknowledgement."""
ANSWER_S: Final = 15.0
"""How long a commander takes at most to obey a word."""


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Where the broker is, and who commands. `folder`: journal, audit log, keys of stations; `keys`: of other commanders."""

    broker: BrokerOptions
    folder: Path
    key: Ed25519PrivateKey
    who: str
    keys: tuple[PublicKey, ...] = ()
    topic: str = "rt-engine"


class Log(Protocol):
    """An audit log (`plc_bindings.security.audit.AuditLog`)."""

    def record(self, who: str, what: str, outcome: str) -> None:
        """What was refused."""

    def record_change(self, who: str, what: str, outcome: str, **more: str | int) -> None:
        """What was changed."""


Shown = Callable[[Fleet, Plan], None]


def _unseen(fleet: Fleet, plan: Plan) -> None:
    """Nobody looks."""


class Session:
    """A fleet, looked at: an async context manager; inside, `fleet` is as all that is retained says, and follows.

    Args:
        commands: is this the commander? Then the broker knows it by a name that only one can have.
        present: what is said of it, and, by the broker, when it has gone.
    """

    def __init__(self, options: CommandOptions, log: Log, commands: bool = False) -> None:
        self.options, self.log = options, log
        self.topics = Topics(options.topic)
        keys = dict.fromkeys((public_of(options.key), *options.keys))
        self._known = self._pins()
        self.fleet = Fleet(self.topics, tuple(keys), dict(self._known))
        self.id, self.term = secrets.token_hex(8), 0
        self._mark = f"{options.topic}/mark/{self.id}"
        self._commands = commands
        name = f"{options.topic.replace('/', '-')}-{'commander' if commands else f'looks-{self.id}'}"
        broker = replace(
            options.broker, client_id=name, most_waiting=2_000_000, most_waiting_bytes=512 << 20, most_per_s=1_000_000
        )
        topics = {
            self._mark: 0,
            self.topics.commander("+"): 1,
            self.topics.stations: 0,
        }  # no answer waits behind all reports
        self.broker = Broker(broker, topics, self._received, self._connected, self._will)
        self._newest_s, self._marked_s, self._is_first = time.monotonic(), 0.0, True
        self._echoed: set[str] = set()
        """Topics where the broker has, over this connection, what was said there last."""
        self._running: asyncio.Task[None] | None = None
        self._again: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Session:
        self._running = asyncio.create_task(
            keep_up(self.broker, lambda why: self.log.record("commander", "broker", why))
        )
        try:
            await self._settled()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._keep_pins()
        tasks = [task for task in (self._again, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Retained and acknowledged; as often as it takes while the broker is away, or until something newer is said there."""
        self.fleet.payloads[topic] = payload
        while self.fleet.payloads[topic] == payload:
            try:
                await self.broker.publish(Message(topic, payload, 1, True))
                return
            except BrokerError:
                await asyncio.sleep(LOOK_S)

    def note(self, note: Note) -> None:
        """To the audit log."""
        if note.is_change:
            self.log.record_change(note.who, note.what, note.outcome, **note.facts)
        else:
            self.log.record(note.who, note.what, note.outcome)

    # --- the broker ---------------------------------------------------------------------------------------------------

    async def _received(self, message: Message) -> None:
        self._newest_s = time.monotonic()
        if message.topic == self._mark:
            self._marked_s = time.monotonic()
            return
        for note in self.fleet.take(message.topic, message.payload):
            self.note(note)
        if self.fleet.payloads.get(message.topic) == message.payload:
            self._echoed.add(message.topic)
        else:
            self._echoed.discard(message.topic)

    async def _connected(self) -> None:
        self._marked_s = 0.0
        self._echoed.clear()
        for member in self.fleet.members.values():
            member.online = False  # until the broker says so again
        await self.broker.publish(Message(self._mark, b"-"))
        if not self._is_first and self._commands:
            self._again = asyncio.create_task(self._remind())
        self._is_first = False

    def _will(self) -> Message | None:
        if not self._commands:
            return None
        return Message(self.topics.commander("online"), self.present(False), 1, True)

    def present(self, online: bool) -> bytes:
        """What is said of this commander."""
        return Present(online=online, commander=self.id, term=self.term, who=self.options.who[:100]).text()

    async def _settled(self) -> None:
        """All that is retained has come."""
        begun = self._newest_s = time.monotonic()
        while not self._is_settled(now := time.monotonic()):
            if now - self._newest_s > PATIENCE_S or now - begun > MOST_LOOK_S:
                why = self.broker.counts.last_error or "its messages do not end"
                raise RolloutError(f"the broker {self.options.broker.address} is not reached: {why}")
            await asyncio.sleep(0.05)

    def _is_settled(self, now: float) -> bool:
        return bool(self._marked_s) and (now - self._newest_s >= QUIET_S or now - self._marked_s >= SURE_S)

    async def _remind(self) -> None:
        """The broker was away, and may have forgotten, or remember something older: what a commander said last is said again."""
        with suppress(RolloutError):
            await self._settled()
        await self.publish(self.topics.commander("online"), self.present(True))
        for topic in tuple(self.fleet.payloads):  # orders are given meanwhile: the newest is said
            if topic not in self._echoed:
                await self.publish(topic, self.fleet.payloads[topic])

    # --- keys of stations ---------------------------------------------------------------------------------------------

    @property
    def _pins_path(self) -> Path:
        return self.options.folder / "stations.json"

    def _pins(self) -> dict[str, PublicKey]:
        try:
            found = json.loads(self._pins_path.read_bytes())
            return {str(name): PublicKey.parse(text) for name, text in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise RolloutError(f"{self._pins_path}, the keys of the stations, cannot be read: {error}") from error

    def _keep_pins(self) -> None:
        """Those that were seen for the first time, beside what others have kept, or have taken away by `trust`, since we began."""
        new = {name: key for name, key in self.fleet.pins.items() if name not in self._known}
        with suppress(OSError, RolloutError):
            self._write_pins({**new, **self._pins()})

    def _write_pins(self, pins: dict[str, PublicKey]) -> None:
        text = json.dumps({name: key.text for name, key in sorted(pins.items())}, indent=1).encode()
        if not self._pins_path.exists() or self._pins_path.read_bytes() != text:
            self.options.folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            replace_file(self._pins_path, text)

    def forget(self, station: str) -> bool:
        """The next key of this name is believed; was another one known? Raises OSError: it cannot be written."""
        found = self.fleet.pins.pop(station, None) is not None
        self._write_pins(self.fleet.pins)
        return found


class Commander:
    """The one who commands, from `take_term` on.

    Args:
        session: that of a commander.
    """

    def __init__(self, session: Session, now: Callable[[], float] = time.monotonic) -> None:
        self._s, self._now = session, now
        self._timers = Timers()
        self._journal: Journal | None = None
        self._next = 1
        self._journaled = journaled(session.options.folder)

    def open_plan(self) -> Plan | None:
        """The rollout that is open: the newer of what the broker and the journal have; None: there is none."""
        found = newest_plan(self._s.fleet, self._journaled)
        return found if found is not None and found.state in OPEN else None

    async def take_term(self, plan: Plan) -> Plan:
        """Become the commander, of this plan. Raises RolloutError: there is another one."""
        fleet = self._s.fleet
        if fleet.present.online and fleet.present.commander != self._s.id:
            raise RolloutError(present_words(fleet))
        before = max((line.plan.term for line in self._journaled), default=0)
        self._s.term = fleet.newest_term(before) + 1
        try:
            self._s.options.folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            self._journal = Journal(journal_path(self._s.options.folder))
        except OSError as error:
            raise RolloutError(f"{journal_path(self._s.options.folder)}: {error.strerror or error}") from error
        plan = plan.model_copy(update={"term": self._s.term, "revision": 0})
        self._write(plan)
        await self._s.publish(self._s.topics.commander("online"), self._s.present(True))
        await self._say(plan)
        return plan

    async def run(self, plan: Plan, shown: Shown = _unseen) -> Plan:
        """Until it is done, stopped or aborted; gives the plan as it is then. Raises RolloutError: another one commands."""
        while True:
            self._yield_to_others()
            plan = await self.obeyed(plan)
            step = advance(plan, self._s.fleet.members, self._timers, self._now())
            plan = await self._taken(plan, step.plan, step.orders)
            shown(self._s.fleet, plan)
            if plan.state not in (RolloutState.RUNNING, RolloutState.PAUSED):
                return plan
            await asyncio.sleep(LOOK_S)

    async def leave(self) -> None:
        """Say that there is no commander any more."""
        with suppress(BrokerError):
            await self._s.broker.publish(Message(self._s.topics.commander("online"), self._s.present(False), 1, True))
        if self._journal is not None:
            self._journal.close()

    # --- words --------------------------------------------------------------------------------------------------------

    async def obeyed(self, plan: Plan) -> Plan:
        """Do what somebody has said since."""
        word = self._s.fleet.word
        if word is None or word.rollout != plan.id or word.number <= plan.word:
            return plan
        return await self.obey(plan, word)

    async def obey(self, plan: Plan, word: Word) -> Plan:
        """Do what somebody says."""
        if word.back:  # first: who dies now does it again
            await self._order(plan, list(self._backs(plan)))
        said = f"by {word.who}" if word.who else ""
        changed = _WORDS[word.word](self, plan, said).model_copy(update={"word": word.number})
        return await self._taken(plan, changed)

    def _backs(self, plan: Plan) -> Iterator[Desired]:
        for member in self._s.fleet.members.values():
            if (desired := taken_back(plan, member, self._generation())) is not None:
                yield desired

    def _paused(self, plan: Plan, said: str) -> Plan:
        return plan.with_(state=RolloutState.PAUSED, why=said)

    def _resumed(self, plan: Plan, said: str) -> Plan:
        members = [member for member in self._s.fleet.members.values() if fits(plan, member)]
        bad = [one.name for one in members if standing(plan, one)[0] == Standing.BAD]
        slow = [name for name in members_in(plan.why, [m.name for m in members]) if plan.state == RolloutState.STOPPED]
        excused = tuple(dict.fromkeys((*plan.excused, *bad, *slow)))[:1000]
        return plan.with_(state=RolloutState.RUNNING, why=said, excused=excused)

    def _aborted(self, plan: Plan, said: str) -> Plan:
        return plan.with_(state=RolloutState.ABORTED, why=said)

    # --- journal, then broker -----------------------------------------------------------------------------------------

    async def _taken(self, before: Plan, plan: Plan, names: Sequence[str] = ()) -> Plan:
        if names:
            members = self._s.fleet.members
            await self._order(plan, [ordered(plan, members[name], self._generation()) for name in names])
        elif plan != before:
            self._write(plan)
        if plan != before:
            await self._say(plan)
            if (plan.state, plan.wave, plan.why) != (before.state, before.wave, before.why):
                self._audit(plan, f"{plan.state.value}, wave {plan.wave + 1} of {len(plan.waves)}: {plan.why}")
        return plan

    async def _order(self, plan: Plan, orders: Sequence[Desired]) -> None:
        """Write them down, send them; what is sent twice is the same. Raises RolloutError: a station would refuse one."""
        payloads = {one.station: one.sealed(self._s.options.key, one.station) for one in orders}
        for station, payload in payloads.items():
            if len(payload) > MOST_BYTES:
                raise RolloutError(
                    f"the order for {station}, with what it was ordered before, has {len(payload):,} bytes, and a station takes "
                    f"{MOST_BYTES:,}: sign with Ed25519, whose signatures are short; nothing was ordered"
                )
        self._write(plan, {one.station: one.generation for one in orders})
        places = asyncio.Semaphore(AT_ONCE)

        async def send(desired: Desired) -> None:
            async with places:
                self._s.fleet.members[desired.station].desired = desired  # from now on what is older is refused
                await self._s.publish(self._s.topics.desired(desired.station), payloads[desired.station])

        await asyncio.gather(*(send(one) for one in orders))
        for one in orders:
            what = ", ".join(f"{slot} {wanted.sha256[:12]}" for slot, wanted in one.slots.items() if slot in plan.slots)
            facts: dict[str, str | int] = {"rollout": one.rollout, "generation": one.generation}
            self._s.note(Note(self._s.options.who, f"station {one.station}", f"ordered: {what}", True, facts))

    async def _say(self, plan: Plan) -> None:
        self._s.fleet.plan = plan
        await self._s.publish(self._s.topics.commander("rollout"), plan.sealed(self._s.options.key, COMMANDERS))

    def _write(self, plan: Plan, orders: dict[str, int] | None = None) -> None:
        assert self._journal is not None, "the term was taken"
        line = Journaled(plan=plan, orders=orders or {})
        try:
            self._journal.append(line.model_dump(mode="json", exclude_none=True))
        except OSError as error:
            raise RolloutError(
                f"{journal_path(self._s.options.folder)}: {error.strerror or error}; nothing was ordered"
            ) from error

    def _generation(self) -> int:
        number, self._next = self._s.term * TERM + self._next, self._next + 1
        return number

    def _audit(self, plan: Plan, outcome: str) -> None:
        facts: dict[str, str | int] = {"rollout": plan.id, "term": plan.term, "revision": plan.revision}
        self._s.note(Note(self._s.options.who, f"rollout {plan.id}", outcome, True, facts))

    def _yield_to_others(self) -> None:
        """Raises RolloutError where another commander has this term or a later one."""
        fleet, own = self._s.fleet, self._s.term
        present = fleet.present
        if present.commander not in ("", self._s.id) and present.term >= own:
            raise RolloutError(f"{present_words(fleet)}; this one gives up: what it ordered is refused from now on")
        if fleet.plan is not None and fleet.plan.term > own:
            raise RolloutError(f"rollout {fleet.plan.id} has term {fleet.plan.term}, this commander {own}: it gives up")


_WORDS: Final = {"pause": Commander._paused, "resume": Commander._resumed, "abort": Commander._aborted}


def journal_path(folder: Path) -> Path:
    """Where a commander's journal is."""
    return folder / "rollouts.journal"


def journaled(folder: Path) -> list[Journaled]:
    """What a journal has, oldest first. Raises RolloutError."""
    try:
        return [Journaled.read(json.dumps(record).encode()) for record in read(journal_path(folder)).records]
    except (OSError, ForgedError) as error:
        raise RolloutError(f"{journal_path(folder)} cannot be read: {error}") from error


def newest_plan(fleet: Fleet, lines: Sequence[Journaled]) -> Plan | None:
    """The newer of what the broker and the journal have."""
    plans = [line.plan for line in lines[-1:]] + ([fleet.plan] if fleet.plan is not None else [])
    return max(plans, key=lambda plan: plan.order, default=None)


def members_in(words: str, names: Sequence[str]) -> list[str]:
    """The station that a doubt names."""
    return [name for name in names if words.startswith(f"{name}: ")]


def present_words(fleet: Fleet) -> str:
    """Who commands, for people."""
    return f"a commander is at work: {fleet.present.who or 'somebody'}, term {fleet.present.term}"


async def command(
    options: CommandOptions,
    log: Log,
    begin: Callable[[Commander, Fleet], Plan],
    shown: Shown = _unseen,
    only_words: bool = False,
) -> Plan:
    """Look, become the commander of the plan that `begin` gives, carry it out, leave.

    Args:
        only_words: what somebody has said is obeyed, and no more.

    Raises:
        RolloutError: another commander is at work, another rollout is open, the broker is not reached.
    """
    async with Session(options, log) as looking:
        if looking.fleet.present.online:
            raise RolloutError(present_words(looking.fleet))
    async with Session(options, log, commands=True) as session:
        commander = Commander(session)
        plan = await commander.take_term(begin(commander, session.fleet))
        try:
            return await (commander.obeyed(plan) if only_words else commander.run(plan, shown))
        finally:
            await commander.leave()


def begun(plan: Plan) -> Callable[[Commander, Fleet], Plan]:
    """For `command`: a new rollout. Raises RolloutError where one is open."""

    def begin(commander: Commander, fleet: Fleet) -> Plan:
        other = commander.open_plan()
        if other is not None:
            raise RolloutError(
                f"rollout {other.id} is {other.state.value}{f' ({other.why})' if other.why else ''}: `rt-engine fleet resume`, "
                "or `rt-engine fleet abort` first"
            )
        if not any(fits(plan, member) for member in fleet.members.values()):
            slots, known = ", ".join(plan.slots), len(fleet.members)
            raise RolloutError(f"no station is selected that has reported a model {slots}; {known} are known")
        return plan

    return begin


def gone_on(commander: Commander, fleet: Fleet) -> Plan:
    """For `command`: the rollout that is open. Raises RolloutError where none is."""
    plan = commander.open_plan()
    if plan is None:
        raise RolloutError("no rollout is open")
    return plan


async def say(options: CommandOptions, log: Log, word: str, back: bool = False) -> tuple[Plan, bool]:
    """Pause, resume or abort the rollout that is open. Gives its plan, and whether a commander that is at work has obeyed.

    Without one, the word waits at the broker: `command(..., gone_on)` obeys it.

    Raises:
        RolloutError: no rollout is open, or the commander did not obey.
    """
    async with Session(options, log) as session:
        plan = Commander(session).open_plan()
        if plan is None:
            raise RolloutError("no rollout is open")
        given: Any = word
        newest = session.fleet.word
        number = max(plan.word, newest.number if newest is not None else 0) + 1
        message = Word(rollout=plan.id, number=number, word=given, back=back, who=options.who[:100])
        session.note(
            Note(options.who, f"rollout {plan.id}", word + (", back" if back else ""), True, {"rollout": plan.id})
        )
        await session.publish(session.topics.commander("word"), message.sealed(options.key, COMMANDERS))
        if not session.fleet.present.online:
            return plan, False
        until = time.monotonic() + ANSWER_S
        while time.monotonic() < until:
            said = session.fleet.plan
            if said is not None and said.id == plan.id and said.word >= number:
                return said, True
            await asyncio.sleep(0.1)
    raise RolloutError(f"the commander did not obey within {ANSWER_S:g} s; it will when it reads its messages")
