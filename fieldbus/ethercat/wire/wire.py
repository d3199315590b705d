"""Registers of slaves, one exchange after the other, on a raw socket of its own: for what is not cyclic.

Waiting is the kernel's: the interpreter is free meanwhile, which it is not in pysoem's own register access. Whose answer a frame is
tells the index of its first datagram: ours are `INDEXES`, SOEM's 0 to 15, those of the cyclic exchange 0x80 and above.
"""

import os
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.errors import ConnectionLostError, GarbageError, NoAnswerError
from fieldbus.ethercat.protocol import Command, Register
from fieldbus.ethercat.wire import frames
from fieldbus.ethercat.wire.socket import raw_socket

INDEXES: Final = range(0x40, 0x80)
SOEM_INDEXES: Final = range(0, 0x10)
_READ_S: Final = 0.02
"""So long an answer is awaited; a bus of 60 slaves takes 0.1 ms."""
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Node:
    """A slave as datagrams address it."""

    reads: Command
    writes: Command
    address: int

    @classmethod
    def at(cls, position: int) -> "Node":
        """By its position on the bus, counted from 0."""
        return cls(Command.APRD, Command.APWR, -position & 0xFFFF)

    @classmethod
    def called(cls, station_address: int) -> "Node":
        """By the address that it was given."""
        return cls(Command.FPRD, Command.FPWR, station_address)


EVERYBODY: Final = Node(Command.BRD, Command.BWR, 0)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A question: to read, `data` are zeros."""

    command: Command
    address: int
    register: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `counter`: the working counter."""

    data: bytes
    counter: int


def frames_of(datagrams: Sequence[Datagram], most_bytes: int = frames.MOST_DATAGRAMS) -> Iterator[list[Datagram]]:
    """In order, as many in each frame as fit."""
    room, some = 0, list[Datagram]()
    for datagram in datagrams:
        size = frames.AROUND_BYTES + len(datagram.data)
        if some and room + size > most_bytes:
            yield some
            room, some = 0, []
        some.append(datagram)
        room += size
    if some:
        yield some


def packed(datagrams: Sequence[Datagram], index: int) -> bytes:
    """The frame that carries these datagrams."""
    return frames.frame_of(
        [frames.Datagram(d.command, frames.at(d.address, d.register), d.data, index) for d in datagrams]
    )


def unpacked(frame: bytes, datagrams: Sequence[Datagram], index: int) -> list[Answer] | None:
    """What came back, if this frame is the answer to those; else None. Nothing in it is trusted."""
    try:
        came = frames.datagrams_of(frame)
    except GarbageError:
        return None
    asked = [(d.command, index, d.register, len(d.data), _station(d.command, d.address)) for d in datagrams]
    if [(c.command, c.index, c.address >> 16, len(c.data), _station(c.command, c.address)) for c in came] != asked:
        return None
    return [Answer(c.data, c.counter) for c in came]


def _station(command: Command, address: int) -> int:
    """The station that is meant, which comes back as it went; a position does not: each slave adds 1 to it."""
    return address & 0xFFFF if command in (Command.FPRD, Command.FPWR, Command.FPRW) else 0


class Wire:
    """Questions to slaves on a network interface; each waits for its answer. For one thread.

    `most_bytes`: so long its frames may be. While others have to be in time, short ones hold the line for less long.

    Raises, in all methods: `ConnectionLostError`, the interface is gone or down; `NoAnswerError`, nothing came back, or a working
    counter says that nobody, or not everybody, took it.
    """

    def __init__(self, interface: str, *, timeout_s: float = _READ_S) -> None:
        self.interface, self.timeout_s, self.most_bytes = interface, timeout_s, frames.MOST_DATAGRAMS
        self._next = 0
        try:
            self._socket = raw_socket(interface, INDEXES)
        except OSError as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _lost(self, error: OSError) -> ConnectionLostError:
        return ConnectionLostError(f"network interface {self.interface}: {os.strerror(error.errno or 0)}")

    # --- any datagrams ------------------------------------------------------------------------------------------------

    def ask(self, datagrams: Sequence[Datagram], tries: int = TRIES) -> list[Answer | None]:
        """Each one's answer; None: its frame did not come back, however often it was sent."""
        answers: list[Answer | None] = []
        for some in frames_of(datagrams, self.most_bytes):
            answers += self._ask(some, tries) or [None] * len(some)
        return answers

    def _ask(self, some: Sequence[Datagram], tries: int) -> list[Answer] | None:
        for _ in range(tries):
            index = INDEXES[self._next % len(INDEXES)]
            self._next += 1
            try:
                self._socket.send(packed(some, index))
                answers = self._answer(some, index)
            except OSError as error:
                raise self._lost(error) from error
            if answers is not None:
                return answers
        return None

    def _answer(self, some: Sequence[Datagram], index: int) -> list[Answer] | None:
        until_s = time.monotonic() + self.timeout_s
        while (left_s := until_s - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left_s)[0]:
                return None
            try:
                answers = unpacked(self._socket.recv(2048), some, index)
            except BlockingIOError:
                continue
            if answers is not None:
                return answers
        return None

    # --- one slave, or all --------------------------------------------------------------------------------------------

    def read(self, node: Node, register: int, nbytes: int) -> bytes:
        """A register of one slave."""
        data = self.try_read(node, register, nbytes)
        if data is None:
            raise NoAnswerError(f"nobody answers when register 0x{register:04X} is read")
        return data

    def try_read(self, node: Node, register: int, nbytes: int, tries: int = TRIES) -> bytes | None:
        """The same; None: nobody answers."""
        (answer,) = self.ask([Datagram(node.reads, node.address, register, bytes(nbytes))], tries)
        return answer.data if answer is not None and answer.counter else None

    def write(self, node: Node, register: int, data: bytes) -> None:
        """A register of one slave."""
        (answer,) = self.ask([Datagram(node.writes, node.address, register, data)])
        if answer is None or not answer.counter:
            raise NoAnswerError(f"nobody takes what is written to register 0x{register:04X}")

    def read_each(self, nodes: Sequence[Node], register: int, nbytes: int, tries: int = TRIES) -> list[bytes | None]:
        """A register of several slaves; None for one that does not answer."""
        answers = self.ask([Datagram(n.reads, n.address, register, bytes(nbytes)) for n in nodes], tries)
        return [a.data if a is not None and a.counter else None for a in answers]

    def write_each(self, nodes: Sequence[Node], register: int, data: bytes) -> list[bool]:
        """The same to several slaves; gives who took it."""
        answers = self.ask([Datagram(n.writes, n.address, register, data) for n in nodes])
        return [a is not None and a.counter > 0 for a in answers]

    def count(self, tries: int = TRIES) -> int:
        """How many slaves answer; 0 also if no frame comes back."""
        (answer,) = self.ask([Datagram(Command.BRD, 0, Register.TYPE, b"\0\0")], tries)
        return answer.counter if answer is not None else 0
