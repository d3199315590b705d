"""One connection of a Modbus client over TCP or TLS, without sockets: frames in, frames out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from fieldbus.modbus.protocol import Code
from plc_bindings.modbus import mbap
from plc_bindings.modbus.pdu import exception
from plc_bindings.modbus.session import Job, ModbusSession
from plc_bindings.net.conversation import Conversation
from plc_bindings.security.access import Client

TURN: Final = 16
TURN_S: Final = 0.0005
"""Requests of one connection that are answered before others have their turn, and how long that takes at most, about."""
_ANY_UNIT: Final = (0, 255)


class ModbusStream(Conversation):
    """One client.

    Args:
        session: answers its requests.
        client: how much it may ask.
        unit: beside 0 and 255, what it may ask for.
        broken: is told why what came is no frame.
    """

    def __init__(self, session: ModbusSession, client: Client, unit: int, broken: Callable[[str], None]) -> None:
        self.session = session
        self._client, self._units, self._broken = client, frozenset((unit, *_ANY_UNIT)), broken
        self._rest = b""
        self._asked: tuple[int, int, Callable[[], bytes]] | None = None
        """(transaction, unit, what gives the answer) of the job."""

    def feed(self, data: bytes) -> bytes:
        """Take what came; gives what is to be sent."""
        if self._rest:
            data = self._rest + data
        answers: list[bytes] = []
        at, self.has_more = 0, False
        until = time.monotonic() + TURN_S
        try:
            for _ in range(TURN):
                frame = mbap.next_frame(data, at)
                if frame is None:
                    break
                at, transaction, unit, pdu, is_modbus = frame
                if not is_modbus:
                    continue
                answer = self._answer(unit, pdu)
                if isinstance(answer, Job):
                    self.job, self._asked = answer.run, (transaction, unit, answer.finish)
                    break
                answers.append(mbap.frame(transaction, unit, answer))
                if time.monotonic() > until:
                    self.has_more = True
                    break
            else:
                self.has_more = True
        except mbap.FrameError as error:
            self._broken(str(error))
            self.is_closed, at = True, len(data)
        self._rest = data[at:]
        self.has_more = self.has_more and bool(self._rest)
        self.requests += len(answers)
        return answers[0] if len(answers) == 1 else b"".join(answers)

    def resume(self, result: Any) -> bytes:
        """The job is done: answers it, and what came meanwhile."""
        assert self._asked is not None
        transaction, unit, finish = self._asked
        self.job = self._asked = None
        self.requests += 1
        return mbap.frame(transaction, unit, finish()) + self.feed(b"")

    @property
    def is_whole(self) -> bool:
        """Was all that came a number of whole requests, and is all of it answered?"""
        return not self._rest and self.job is None

    def close(self) -> None:
        """The client is gone."""
        self._rest = b""
        self.session.close()

    def _answer(self, unit: int, pdu: bytes) -> bytes | Job:
        if not self._client.may_ask():
            return exception(pdu[0], Code.BUSY)
        if unit not in self._units:
            return exception(pdu[0], Code.NO_TARGET)
        return self.session.answer(pdu)
