"""A plan, cells and channels -> the memory that native code works on (drawn in `fieldbus.exchange.block`)."""

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldbus.codec import Limiter
from fieldbus.exchange.block import (
    AREA_BYTES,
    EXCHANGE,
    MOVE,
    NOTE_BYTES,
    PACKET,
    PORT,
    RUN,
    SAMPLE,
    TRANSACTION,
    Cut,
    Event,
    Phase,
    State,
)
from fieldbus.exchange.plan import Packet, Plan, Samples
from fieldbus.exchange.rows import lay_pattern, lay_transaction, moves_of, part, records, runs_of
from fieldbus.image.image import Channel
from fieldbus.link.ports import Cells
from fieldbus.tags import Quality, Tag
from rt_native.histogram import NBYTES, Histogram
from rt_native.library import Library
from rt_native.memory import Block, offsets

NATIVE = Library("fieldbus.exchange", modules=("fieldbus.exchange.exchange_native",))

_NOTHING = -1
_TAKE_S, _TAKE_MORE_NS = 0.0002, 1_000_000_000
_X = offsets(EXCHANGE)
_STREAM_BYTES = 1 << 16
_OLD_TABLES = 8
_COUNTERS = (
    *("reads", "writes_done", "errors", "safe_writes", "limited", "late", "implausible", "notified"),
    *("frames_lost", "wrong_counters", "foreign", "state_changes"),
)
_EXTENSIONS = ("clock", "clock_note", "clock_shift", "drives", "drive_count", "drives_step")


@dataclass(frozen=True, slots=True)
class Note:
    """What the runner tells the keeper: `transaction` is a number of the plan, -1: none; `frame` the bytes that came."""

    event: Event
    transaction: int
    frame: bytes
    code: int
    number: int
    error: int


class Exchange:
    """The native memory of one connection, and what Python may do with it.

    `values_in` and `values_out` are views of the newest values; `address` is what native code takes. Methods are for the keeper;
    `lay`, `connect` and `arm` only while the exchange is its own (`is_mine`).
    """

    wake_fd = -1
    """An eventfd: something happened that only Python understands."""

    def __init__(self, inputs: Cells, outputs: Cells, timeout_ns: int, cycle_ns: int, silent_ns: int) -> None:
        self._block = Block(EXCHANGE.itemsize)
        self.address = self._block.address
        self._x = self._block.view(EXCHANGE)
        self._armed_ns = 0
        self._words = memoryview(self._block.view(np.int64, 0, EXCHANGE.itemsize // 8))  # type: ignore[arg-type]
        self._phase, self._native_run = NATIVE.function("exchange_phase"), NATIVE.function("exchange_run")
        self._inputs, self._outputs = inputs, outputs
        self._longest_ns = timeout_ns + _TAKE_MORE_NS
        self.plan: Plan | None = None
        self.transactions = self._questions = np.zeros(0, TRANSACTION)
        self._plan_parts: list[Block] = []
        self._sampled: dict[int, tuple[Block, int]] = {}
        self._tables = {
            name: deque[list[Block]](maxlen=_OLD_TABLES) for name in ("subscribers", "drivers", "observers")
        }
        self._parts: list[Block] = []
        self.round_trip = Histogram(self._part(NBYTES))
        self.values_in, values_in = self._array(inputs.count)
        self.values_out, values_out = self._array(outputs.count)
        self._safe, safe = self._array(outputs.count)
        self._note = self._part(NOTE_BYTES)
        suspect = self._part(inputs.count)
        self.suspect = suspect.view(np.uint8, 0, inputs.count)
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        limits = Limiter(list(outputs.tags.values()))
        self.values_out[:] = self._safe[:] = limits.safe
        self._set(
            me=self.address, carry_out=NATIVE.address("exchange_phase"),
            wake_fd=self.wake_fd, timeout_ns=timeout_ns, cycle_ns=cycle_ns, silent_ns=silent_ns,
            values_in=values_in, suspect=suspect.address, values_out=values_out,
            low=self._filled(limits.low), high=self._filled(limits.high), safe=safe,
            cells_in=inputs.count, cells_out=outputs.count, round_trip=self.round_trip.address, note=self._note.address,
            pending=_NOTHING, health=_NOTHING, lost=1, life_cell=_NOTHING,
        )  # fmt: skip
        for name in self._tables:
            self._table(name, [])

    def close(self) -> None:
        """Give the descriptor back; nothing runs any more. Who has ended with the memory has ended with it, too."""
        if self.wake_fd >= 0:
            os.close(self.wake_fd)
            self.wake_fd = -1

    __del__ = close

    # --- laying out ---------------------------------------------------------------------------------------------------

    def lay(self, plan: Plan) -> None:
        """Make `plan` what is carried out."""
        self.plan = plan
        parts = self._plan_parts = []
        questions = plan.questions
        block = part(parts, TRANSACTION.itemsize * len(questions))
        rows = block.view(TRANSACTION, 0, len(questions))
        for row, transaction in zip(rows, questions, strict=True):
            lay_transaction(parts, row, transaction)
        self.transactions = rows[: len(plan.transactions)]
        self._lay_line(plan, rows)
        frames, room = plan.frames, _STREAM_BYTES + plan.frames.most
        self._lay_samples(plan.samples)
        self._lay_packets(plan.packets, rows)
        ours = lay_pattern(parts, frames.ours) if frames.ours else (0, 0, 0)
        self._set(
            transactions=block.address, count=len(plan.transactions), writes=plan.writes,
            buffer=part(parts, room + 8).address, buffer_bytes=room, received=0, answer_ns=plan.answer_ns,
            pause_ns=plan.pause_ns, cut=_cut(plan),
            header_bytes=frames.header_bytes, length_at=frames.length_at, length_bytes=frames.length_bytes,
            length_is_big=frames.length_is_big, length_add=frames.length_add, least=frames.least, most=frames.most,
            number_at=frames.number_at, number_bytes=frames.number_bytes, number_is_big=frames.number_is_big,
            any_number=frames.any_number, ours=ours[0], ours_mask=ours[1], ours_bytes=ours[2],
        )  # fmt: skip
        self._place_life()

    def _lay_line(self, plan: Plan, rows: NDArray[Any]) -> None:
        rows["fence"], line = _NOTHING, plan.frames.line
        first = len(plan.transactions)
        self._questions, self._fences = rows, rows[first:]
        for fence in plan.fences:
            end = first + len(fence.variants)
            rows["fence"][[*fence.of, *range(first, end)]] = first
            rows["variants"][first] = len(fence.variants)
            first = end
        self._set(fences=len(plan.fences), fence_rows=len(self._fences), newest_asked=0, longest_ns=0)
        if line is not None:
            times = {"byte_ns": line.byte_ns, "quiet_ns": line.quiet_ns, "broadcast_ns": line.broadcast_ns}
            self._set(**times, echo=line.echo)

    def _lay_packets(self, packets: Sequence[Packet], rows: NDArray[Any]) -> None:
        """Requests move into the frames that they travel in."""
        parts, first = self._plan_parts, 0
        block = part(parts, PACKET.itemsize * len(packets))
        for row, packet in zip(block.view(PACKET, 0, len(packets)), packets, strict=True):
            some = rows[first : first + packet.count]
            used = len(packet.head) + int(some["request_bytes"].sum())
            frame, at = part(parts, max(used, packet.least)), len(packet.head)
            frame.view(np.uint8, 0, at)[:] = np.frombuffer(packet.head, np.uint8)
            for one in some:
                request, nbytes = self._plan_part(int(one["request"])), int(one["request_bytes"])
                frame.view(np.uint8, at, nbytes)[:] = request.view(np.uint8, 0, nbytes)
                one["request"] = frame.address + at
                at += nbytes
            row["frame"], row["frame_bytes"], row["least"] = frame.address, max(used, packet.least), used
            row["first"], row["count"] = first, packet.count
            first += packet.count
        assert not packets or first == len(rows), packets
        self._set(packets=block.address, packet_count=len(packets), flying=0, bus_state=_NOTHING, bus_count=_NOTHING)

    @property
    def bus_state(self) -> tuple[int, int] | None:
        """(what all devices of a bus together say of their state, how many have said so); None: it is not known."""
        state = int(self._words[_X.bus_state // 8])
        return None if state == _NOTHING else (state, int(self._words[_X.bus_count // 8]))

    def watch(self, cell: int, timeout_ns: int) -> None:
        """This input must change within `timeout_ns`, or no input is to be trusted."""
        self._set(life_cell=cell, life_timeout_ns=timeout_ns)
        self._place_life()

    def extend(self, **words: int) -> None:
        """Addresses of what a kind of link adds (`fieldbus.exchange.block`), 0: nothing; what they mean must live on."""
        assert words.keys() <= set(_EXTENSIONS), words
        self._set(**words)

    def cell(self, tag_name: str) -> int:
        """The first cell of a tag, in `values_in` or `values_out`; raises `KeyError`."""
        return self._inputs.first[tag_name] if tag_name in self._inputs.first else self._outputs.first[tag_name]

    def without_safe_value(self, tag_name: str) -> None:
        """This output is NaN where others are safe: what a kind of link adds knows what that means."""
        first = self.cell(tag_name)
        self._safe[first : first + self._outputs.tags[tag_name].count] = np.nan

    def _place_life(self) -> None:
        cell = self._words[_X.life_cell // 8]
        asked = list(enumerate(self.plan.transactions if self.plan is not None else ()))
        of = [i for i, t in asked if any(field.cell <= cell < field.cell + field.count for field in t.inputs)]
        for i in (of or [i for i, t in asked if t.concerns_all])[:1]:  # what comes unasked is as good as these
            self._set(life_transaction=i)

    @property
    def lifeless(self) -> tuple[bool, bool]:
        """(does the life sign stand still, has it changed since this connection began)."""
        return bool(self._words[_X.is_lifeless // 8]), bool(self._words[_X.life_changed_ns // 8])

    def _lay_samples(self, samples: Samples | None) -> None:
        parts, self._sampled = self._plan_parts, {}
        if samples is None:
            self._set(sampled_bytes=0, sample_count=0)
            return
        header, mask, nbytes = lay_pattern(parts, samples.header)
        rows = []
        for sample in sorted(samples.values, key=lambda s: s.handle):
            ins, newest = moves_of(parts, sample.inputs, 0, False), part(parts, sample.nbytes)
            self._sampled[sample.handle] = (newest, sample.nbytes)
            rows.append((sample.handle, sample.nbytes, records(parts, MOVE, ins), len(ins), newest.address))
        table = records(parts, SAMPLE, rows)
        self._set(sampled=header, sampled_mask=mask, sampled_bytes=nbytes, samples=table, sample_count=len(rows))

    def subscribers(self, channels: Iterable[Channel]) -> None:
        """These channels want inputs; each hears of the transactions that its cells come from."""
        self._table("subscribers", [(channel, self._inputs, None) for channel in channels])

    def drivers(self, channels: Iterable[Channel]) -> None:
        """These channels bring outputs; how long after its inputs each was sent is counted in its `reaction`."""
        self._table("drivers", [(channel, self._outputs, channel.reaction) for channel in channels])

    def observers(self, channels: Iterable[Channel]) -> None:
        """These channels show all outputs as they were sent."""
        self._table("observers", [(channel, self._outputs, None) for channel in channels])

    # --- to and fro ---------------------------------------------------------------------------------------------------

    @property
    def is_mine(self) -> bool:
        """Is the exchange the keeper's?"""
        return bool(self._words[_X.state // 8] == State.KEEPER)

    def arm(self, fd: int, is_socket: bool, send_at_ns: int = 0, already: bytes = b"") -> None:
        """Let the runner exchange on `fd`, which must not block, from `send_at_ns` on; `already` came before."""
        assert self.is_mine
        assert len(already) <= int(self._x[0]["buffer_bytes"])
        if already:
            buffer = self._plan_part(int(self._x[0]["buffer"]))
            buffer.view(np.uint8, 0, len(already))[:] = np.frombuffer(already, np.uint8)
        self._set(fd=fd, is_socket=is_socket, received=len(already), pending=_NOTHING, send_at_ns=send_at_ns)
        self.transactions["skip_until_ns"] = 0
        self._fences["in_doubt"], self._fences["misses"], self._fences["skip_until_ns"] = 1, 0, 0
        self._armed_ns = time.monotonic_ns()
        self._set(unsent=0, heard_ns=self._armed_ns, fault=0, noted=0, health=_NOTHING, has_read=0, lost=0)
        self._set(life_is_seen=0, life_changed_ns=0, is_lifeless=int(self._words[_X.life_cell // 8] != _NOTHING))
        self._x["state"] = State.READY

    @property
    def is_mute(self) -> bool:
        """Is there a connection, on which nothing has come since the exchange was armed?"""
        return bool(self._x[0]["is_socket"]) and int(self._x[0]["heard_ns"]) == self._armed_ns

    def take(self) -> bool:
        """Make the exchange the keeper's; False if the runner does not give it back, which a phase of bounded length always does."""
        take, until_ns = NATIVE.function("exchange_take"), time.monotonic_ns() + self._longest_ns
        self._words[_X.wanted // 8] = 1
        try:
            while True:
                is_last = time.monotonic_ns() > until_ns  # before the look: the machine may stand still
                if take(self.address) != 0:
                    return True
                if is_last:
                    return False
                time.sleep(_TAKE_S)
        finally:
            self._words[_X.wanted // 8] = 0

    def lose(self) -> None:
        """From now on whoever runs it publishes BAD."""
        self._x["lost"] = 1

    def ask_all_again(self) -> None:
        """Who was silent is asked like the others."""
        self.transactions["misses"], self.transactions["skip_until_ns"] = 0, 0

    def publish_age(self) -> None:
        """Tell subscribers how old their inputs are, and that they are BAD if the device is lost; the exchange is the keeper's."""
        publish, until_ns = NATIVE.function("exchange_age"), time.monotonic_ns() + _TAKE_MORE_NS
        while publish(self.address, time.monotonic_ns()) == 0 and time.monotonic_ns() < until_ns:
            time.sleep(_TAKE_S)

    def run(self) -> None:
        """Exchange every cycle in this thread until `stop`."""
        self._native_run(self.address)

    def stop(self, is_stopped: bool = True) -> None:
        """End `run` soon; False: it may begin."""
        self._x["stop"] = is_stopped

    def phase(self, phase: Phase, limit_ns: int) -> None:
        """Carry out one phase here and now, if nobody else is at it; the exchange must be armed. Any thread."""
        area = Block(AREA_BYTES)
        self._phase(self.address + _X.me, 1, phase, limit_ns, area.address)

    def force_safe(self, on: bool = True) -> None:
        """Send safe values whatever drivers say."""
        self._x["force_safe"] = on

    def note(self) -> Note | None:
        """What the runner has to say, once."""
        if not self._words[_X.noted // 8] and not (self.is_mine and self.fault):
            return None
        x = self._x[0]
        size = min(int(x["event_bytes"]), NOTE_BYTES)
        frame = self._note.view(np.uint8, 0, max(size, 1))[:size].tobytes()
        note = Note(
            Event(int(x["event"])),
            int(x["event_at"]),
            frame,
            int(x["event_code"]),
            int(x["event_number"]),
            int(x["error"]),
        )
        self._set(noted=0)
        return note

    @property
    def fault(self) -> Event:
        """Why the runner gave the exchange back."""
        return Event(self._words[_X.fault // 8])

    @property
    def health(self) -> Quality | None:
        """The worst quality of the newest cycle; None before the first."""
        health = self._words[_X.health // 8]
        return None if health == _NOTHING else Quality(health)

    @property
    def asked_ns(self) -> int:
        """When the oldest of the inputs was asked for."""
        return min((int(t["asked_ns"]) for t in self.transactions if t["in_count"]), default=0)

    @property
    def pending(self) -> int:
        """The transaction whose answer is awaited, -1: none."""
        return int(self._words[_X.pending // 8])

    def counter(self, name: str) -> int:
        """A counter of `EXCHANGE`."""
        return int(self._words[getattr(_X, name) // 8])

    def reset_counters(self) -> None:
        """From 0 again."""
        for name in _COUNTERS:
            self._x[name] = 0
        self.round_trip.reset()

    def rest(self) -> bytes:
        """What has come and was not taken, first the frame that ended the exchange; only while that is the keeper's."""
        nbytes = int(self._x[0]["received"])
        return self._plan_part(int(self._x[0]["buffer"])).view(np.uint8, 0, nbytes).tobytes() if nbytes else b""

    def _plan_part(self, address: int) -> Block:
        return next(part for part in self._plan_parts if part.address == address)

    def newest_sample(self, handle: int) -> bytes:
        """The bytes that the device sent last by itself under this handle; zeros before the first; of another handle, nothing."""
        found = self._sampled.get(handle)
        return found[0].view(np.uint8, 0, found[1]).tobytes() if found else b""

    def newest(self, transaction: int) -> bytes:
        """The newest good answer to a transaction, zeros before the first."""
        return self._bytes_of(self.transactions[transaction], "newest", "answer_bytes")

    def asked(self, question: int) -> bytes:
        """A request as it was sent last, by its number in `Plan.questions`."""
        return self._bytes_of(self._questions[question], "request", "request_bytes")

    def _bytes_of(self, row: Any, name: str, size: str) -> bytes:
        address = int(row[name])
        holds = (part for part in self._plan_parts if part.address <= address < part.address + part.nbytes)
        part = next(holds, None)  # another plan may be laid meanwhile
        return part.view(np.uint8, address - part.address, int(row[size])).tobytes() if part else b""

    # --- parts --------------------------------------------------------------------------------------------------------

    def _set(self, **fields: int) -> None:
        for name, value in fields.items():
            self._x[name] = value

    def _part(self, nbytes: int) -> Block:
        return part(self._parts, nbytes)

    def _array(self, count: int) -> tuple[NDArray[np.float64], int]:
        block = self._part(8 * count)
        return block.view(np.float64, 0, count), block.address

    def _filled(self, values: NDArray[np.float64]) -> int:
        view, address = self._array(len(values))
        view[:] = values
        return address

    def _table(self, name: str, ports: Sequence[tuple[Channel, Cells, Histogram | None]]) -> None:
        """A new table of ports takes the place of the old one, which the runner may still be reading: that stays for a while."""
        parts: list[Block] = []
        block = part(parts, 8 + PORT.itemsize * len(ports))
        block.view(np.int64)[0] = len(ports)
        rows = block.view(PORT, 8, len(ports))
        for row, (channel, cells, reaction) in zip(rows, ports, strict=True):
            row["channel"] = channel.address
            runs = runs_of(cells, channel.tags)
            row["runs"], row["run_count"] = records(parts, RUN, runs), len(runs)
            row["reaction"] = reaction.address if reaction else 0
            of = self._transactions_of(cells, channel.tags) if name == "subscribers" else []
            row["transactions"], row["transaction_count"] = records(parts, np.dtype("<i8"), of), len(of)
        self._tables[name].append(parts)
        self._x[name] = block.address

    def _transactions_of(self, cells: Cells, tags: Iterable[Tag]) -> list[int]:
        if self.plan is None:
            return []
        wanted = {tag.name for tag in tags}
        asked = enumerate(self.plan.transactions)
        return [i for i, t in asked if t.concerns_all or wanted & {*(f.tag.name for f in t.inputs), *t.virtual}]


def _cut(plan: Plan) -> Cut:
    if plan.packets:
        return Cut.PACKET
    return Cut.SHAPE if plan.frames.line else Cut.LENGTH
