"""A commander: one rollout at a time, carried out over a broker that is not trusted, by a process that may die anywhere.

    look (as anybody)       all that is retained; is a commander present? is a rollout open?
    take the term           the highest ever seen, plus one: written to the journal, then said at the broker
    each second             a word obeyed -> advance -> the plan and the orders to the journal, synced -> to the broker

One who sees that another has this term or a later one gives up. What he has sent has lower generations: stations refuse it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from plc_bindings.mqtt.broker import BrokerError, Message
from station.errors import RefusedError, RolloutError
from station.fleet.diary import Diary
from station.fleet.documents import TERM, Desired, Word
from station.fleet.events import Note
from station.fleet.known import COMMANDERS, Fleet
from station.fleet.rollout import (
    OPEN,
    Plan,
    RolloutState,
    Standing,
    Timers,
    advance,
    fits,
    is_reached,
    ordered,
    standing,
    taken_back,
)
from station.fleet.sealed import MOST_BYTES
from station.fleet.session import LOOK_S, CommandOptions, Log, Session
from station.machine.beside import in_thread

AT_ONCE: Final = 50
"""Messages that wait for their acknowledgement."""
MOST_NOTES: Final = 1000
"""Orders that are noted before the audit log is waited for."""
AUDIT_S: Final = 20.0
"""So long: a disk may take nothing, or hang."""
Shown = Callable[[Fleet, Plan], None]


def _unseen(fleet: Fleet, plan: Plan) -> None:
    """Nobody looks."""


class Commander:
    """The one who commands, from `take_term` on.

    Args:
        session: that of a commander.
    """

    def __init__(self, session: Session, now: Callable[[], float] = time.monotonic) -> None:
        self._s, self._now = session, now
        self._timers = Timers()
        self.diary = Diary(session.options.folder)
        self._next = 1
        self._auditing: asyncio.Task[bool] | None = None

    def open_plan(self, to_take_back: bool = False) -> Plan | None:
        """The rollout that is open: the newer of what the broker and the journal have; None: there is none.

        `to_take_back`: one that was aborted counts, too.
        """
        plans = [entry.plan for entry in self.diary.left[-1:]]
        plans += [self._s.fleet.plan] if self._s.fleet.plan is not None else []
        found = max(plans, key=lambda plan: plan.order, default=None)
        states = OPEN | {RolloutState.ABORTED} if to_take_back else OPEN
        return found if found is not None and found.state in states else None

    async def take_term(self, plan: Plan) -> Plan:
        """Become the commander, of this plan. Raises RolloutError: there is another one."""
        fleet = self._s.fleet
        if fleet.present.online and fleet.present.commander != self._s.id:
            raise RolloutError(_two_at_work(fleet))
        before = max((entry.plan.term for entry in self.diary.left), default=0)
        self._s.term = fleet.newest_term(before) + 1
        self.diary.open()
        plan = plan.model_copy(update={"term": self._s.term, "revision": 0})
        self.diary.write(plan)
        for entry in self.diary.left:
            for station, generation in entry.orders.items():
                self._note_order(station, "ordered, as the journal says", entry.plan.id, generation)
        await self._tidy()
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
            if self.diary.is_long:
                await self._tidy()
            if plan.state not in (RolloutState.RUNNING, RolloutState.PAUSED):
                return plan
            await asyncio.sleep(LOOK_S)

    async def leave(self) -> None:
        """Say that there is no commander any more."""
        with suppress(BrokerError):
            await self._s.broker.publish(Message(self._s.topics.commander("online"), self._s.present(False), 1, True))
        with suppress(RolloutError):
            await self._tidy()
        self.diary.close()

    async def _tidy(self) -> None:
        """Cut the journal to its last line, if the audit log has all that it says of orders."""
        if await self._is_audited():
            self.diary.cut()

    async def _is_audited(self) -> bool:
        """Has the audit log all? A place that hangs is waited for once, by one thread."""
        if self._auditing is not None and not self._auditing.done():
            return False
        self._auditing = asyncio.create_task(in_thread(self._s.log.settled, "fleet audit"))
        await asyncio.wait((self._auditing,), timeout=AUDIT_S)
        with suppress(asyncio.InvalidStateError, RefusedError):
            return self._auditing.result()
        return False

    # --- words --------------------------------------------------------------------------------------------------------

    async def obeyed(self, plan: Plan) -> Plan:
        """Do what somebody has said since."""
        word = self._s.fleet.word
        if word is None or word.rollout != plan.id or word.number <= plan.word:
            return plan
        return await self.obey(plan, word)

    async def obey(self, plan: Plan, word: Word) -> Plan:
        """Do what somebody says."""
        said = f"by {word.who}" if word.who else ""
        if word.back:  # first: who dies now does it again
            said = "; ".join(filter(None, (said, await self._take_back(plan))))
        changed = _WORDS[word.word](self, plan, said).model_copy(update={"word": word.number})
        return await self._taken(plan, changed)

    async def _take_back(self, plan: Plan) -> str:
        """Have stations go back; how many do, and how many nothing is known of."""
        backs = [taken_back(plan, member) for member in self._s.fleet.members.values()]
        orders = [back.numbered(self._generation()) for back in backs if back is not None]
        await self._order(plan, orders)
        missing = plan.ordered - sum(is_reached(plan, member) for member in self._s.fleet.members.values())
        words = f"{len(orders):,} go back"
        if missing > 0:
            words += f", and {missing:,} that were ordered are not known any more: say it again when they have reported"
        return words

    def _paused(self, plan: Plan, said: str) -> Plan:
        return plan.with_(state=RolloutState.PAUSED, why=said)

    def _resumed(self, plan: Plan, said: str) -> Plan:
        members = [member for member in self._s.fleet.members.values() if fits(plan, member)]
        bad = [one.name for one in members if standing(plan, one)[0] == Standing.BAD]
        slow = [
            one.name for one in members if plan.state == RolloutState.STOPPED and plan.why.startswith(f"{one.name}: ")
        ]
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
            self.diary.write(plan)
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
        self.diary.write(plan, {one.station: one.generation for one in orders})
        places = asyncio.Semaphore(AT_ONCE)

        async def send(desired: Desired) -> None:
            async with places:
                self._s.fleet.members[desired.station].desired = desired  # from now on what is older is refused
                await self._s.publish(self._s.topics.desired(desired.station), payloads[desired.station])

        for first in range(0, len(orders), MOST_NOTES):
            some = orders[first : first + MOST_NOTES]
            await asyncio.gather(*(send(one) for one in some))
            for one in some:
                what = ", ".join(
                    f"{slot} {wanted.sha256[:12]}" for slot, wanted in one.slots.items() if slot in plan.slots
                )
                self._note_order(one.station, f"ordered: {what}", one.rollout, one.generation)
            await self._is_audited()

    def _note_order(self, station: str, outcome: str, rollout: str, generation: int) -> None:
        facts: dict[str, str | int] = {"rollout": rollout, "generation": generation}
        self._s.note(Note(self._s.options.who, f"station {station}", outcome, True, facts))

    async def _say(self, plan: Plan) -> None:
        self._s.fleet.plan = plan
        await self._s.publish(self._s.topics.commander("rollout"), plan.sealed(self._s.options.key, COMMANDERS))

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


def present_words(fleet: Fleet) -> str:
    """Who commands, for people."""
    return f"a commander is at work: {fleet.present.who or 'somebody'}, term {fleet.present.term}"


def _two_at_work(fleet: Fleet) -> str:
    return f"{present_words(fleet)}; `rt-engine fleet status` shows its rollout, `rt-engine fleet abort` ends it"


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
            raise RolloutError(_two_at_work(looking.fleet))
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
        check_selected(plan, fleet)
        return plan

    return begin


def check_selected(plan: Plan, fleet: Fleet) -> None:
    """Raises RolloutError where a plan is for nobody."""
    if not any(fits(plan, member) for member in fleet.members.values()):
        raise RolloutError(
            f"no station is selected that has reported a model {', '.join(plan.slots)}; {len(fleet.members)} are known: "
            "`rt-engine fleet status` lists them with their models"
        )


def none_open(commander: Commander) -> str:
    """Where one was looked for, for people."""
    return f"no rollout is open: neither the broker nor {commander.diary.path} has one; a version comes back by a rollout of it"


def gone_on(commander: Commander, fleet: Fleet) -> Plan:
    """For `command`: the rollout that is open, or that somebody wants taken back. Raises RolloutError where none is."""
    plan = commander.open_plan(to_take_back=fleet.word is not None and fleet.word.back)
    if plan is None:
        raise RolloutError(none_open(commander))
    return plan
