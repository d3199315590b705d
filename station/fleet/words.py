"""What a person says: a word to the rollout that is open, and of stations, whom to believe and whom to forget."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from plc_bindings.mqtt.broker import BrokerError, Message
from station.errors import RolloutError
from station.fleet.commander import Commander, none_open, present_words
from station.fleet.documents import Online, Word
from station.fleet.events import Note
from station.fleet.known import COMMANDERS
from station.fleet.pins import Pins
from station.fleet.rollout import Member, Plan
from station.fleet.session import CommandOptions, Log, Session

ANSWER_S: Final = 15.0
"""How long a commander takes at most to obey a word."""
THERE_S: Final = 5.0
"""How long a station takes at most to say that it is there all the same."""


async def say(options: CommandOptions, log: Log, word: str, back: bool = False) -> tuple[Plan, bool]:
    """Pause, resume or abort the rollout that is open. Gives its plan, and whether a commander that is at work has obeyed.

    Without one, the word waits at the broker: `command(..., gone_on)` obeys it.

    Raises:
        RolloutError: no rollout is open, or the commander did not obey.
    """
    async with Session(options, log) as session:
        commander = Commander(session)
        plan = commander.open_plan(to_take_back=back)
        if plan is None:
            raise RolloutError(none_open(commander))
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


async def trust(options: CommandOptions, log: Log, station: str) -> bool:
    """Believe the next key of a station's; was another one known? Raises RolloutError, OSError."""
    was_known = Pins(options.folder).drop(station)
    log.record_change(options.who, f"station {station}", "the next key of it is believed")
    return was_known


async def forget(options: CommandOptions, log: Log, station: str) -> bool:
    """Take all of a station off the broker, and its key from our folder; was anything known of it?

    Raises:
        RolloutError: it is there, or somebody commands; or the broker is not reached.
        OSError: its key cannot be taken away.
    """
    async with Session(options, log) as session:
        if session.fleet.present.online:
            raise RolloutError(f"{present_words(session.fleet)}; forget {station} when it has done")
        member = session.fleet.members.get(station)
        if member is not None and member.online and await _is_there(session, member):
            raise RolloutError(f"{station} is there, and would report again: end its agent, or rename it, first")
        topics = session.topics
        for topic in (topics.desired(station), topics.reported(station), topics.online(station)):
            try:
                await session.broker.publish(Message(topic, b"", 1, True))
            except BrokerError as error:
                raise RolloutError(f"the broker has not forgotten {station}: {error}; say it again") from error
        session.fleet.pins.pop(station, None)
        was_known = session.pins.drop(station) or member is not None
        note = Note(options.who, f"station {station}", "forgotten: its order, its report and its key", True)
        session.note(note)
    return was_known


async def _is_there(session: Session, member: Member) -> bool:
    """A broker that died with a station says for ever that it is there; one that is there objects when it reads that it is not."""
    member.online = False
    await session.publish(session.topics.online(member.name), Online(online=False).text())
    until = time.monotonic() + THERE_S
    while not member.online and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return member.online
