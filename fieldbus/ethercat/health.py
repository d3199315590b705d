"""What the registers of an ESC say of its state and its cables, and what would help. Pure.

    0x0110  DL status: 4+n physical link of port n; 8+2n its loop is closed; 9+2n frames go through it
    0x0300  2 for each port: frames that were invalid, symbols that were; 0x0308 the same, marked so by an ESC before
    0x030C  frames that are no EtherCAT; 0x030D the ESC's own processor; 0x0310 lost links of each port
    0x0440  watchdog of the outputs: 1 lives; 0x0442 how often it expired

Sources: ETG.1000.4, clause 6.2 and 6.3; Beckhoff's ESC data sheet, section II. Counters stop at 255; a master that starts clears
them.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from fieldbus.ethercat.protocol import AL_ERROR, AlState, al_in_words, state_in_words

BLOCKS: Final[dict[int, int]] = {
    0x0000: 20,
    0x0110: 2,
    0x0130: 6,
    0x0300: 20,
    0x0400: 2,
    0x0420: 2,
    0x0440: 4,
    0x0928: 8,
    0x0981: 1,
    0x09A0: 4,
}
"""Register -> how many bytes from it on are read."""
NEEDED: Final = frozenset({0x0000, 0x0110, 0x0130})
"""Without these nothing can be said; what else an ESC does not have is zero."""
PORTS: Final = range(4)
FULL: Final = 255
_HAS_CLOCK: Final = 1 << 2
_CLOCK_OFF_NS: Final = 1000
_SIGN: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Port:
    """A port: 0 leads to the controller. Counters stop at 255."""

    has_link: bool
    is_used: bool
    invalid_frames: int = 0
    symbol_errors: int = 0
    forwarded: int = 0
    lost_links: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """The distributed clock: how far it is from the reference, how far that is, and its pulse."""

    difference_ns: int
    delay_ns: int
    is_pulsing: bool
    cycle_ns: int


@dataclass(frozen=True, slots=True)
class Health:
    """A slave, as its registers show it now. `state`: with 0x10 where there is an error."""

    position: int
    address: int
    alias: int
    state: int
    code: int
    ports: tuple[Port, ...]
    foreign_frames: int = 0
    processor_errors: int = 0
    watchdog_ms: float = 0.0
    watchdog_lives: bool = True
    watchdog_expired: int = 0
    clock: Clock | None = None

    @property
    def state_words(self) -> str:
        """`SAFE-OP with an error`."""
        return state_in_words(self.state)

    @property
    def code_words(self) -> str:
        """What the AL status code means; empty: there is no error."""
        return al_in_words(self.code) if self.state & AL_ERROR else ""

    @property
    def errors(self) -> int:
        """All that was counted at its ports."""
        return sum(p.invalid_frames + p.symbol_errors + p.lost_links for p in self.ports)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        return {**asdict(self), "state_words": self.state_words, "code_words": self.code_words}


def health_of(position: int, blocks: Mapping[int, bytes]) -> Health:
    """What `BLOCKS` say, as far as they could be read: those of `NEEDED` must be there."""
    data = {register: blocks.get(register, b"").ljust(size, b"\0") for register, size in BLOCKS.items()}
    features, address, alias = struct.unpack_from("<H6xHH", data[0x0000], 8)
    status = int.from_bytes(data[0x0110], "little")
    state, code = struct.unpack("<H2xH", data[0x0130])
    errors = data[0x0300]
    ports = tuple(
        Port(
            has_link=bool(status >> (4 + n) & 1),
            is_used=bool(status >> (9 + 2 * n) & 1),
            invalid_frames=errors[2 * n],
            symbol_errors=errors[2 * n + 1],
            forwarded=errors[8 + n],
            lost_links=errors[16 + n],
        )
        for n in PORTS
    )
    tick_ns = 40 * (int.from_bytes(data[0x0400], "little") + 2)
    return Health(
        position,
        address,
        alias,
        state & 0x1F,
        code,
        ports,
        foreign_frames=errors[12],
        processor_errors=errors[13],
        watchdog_ms=int.from_bytes(data[0x0420], "little") * tick_ns / 1e6,
        watchdog_lives=bool(data[0x0440][0] & 1),
        watchdog_expired=data[0x0440][2],
        clock=_clock(data) if features & _HAS_CLOCK else None,
    )


def _clock(data: Mapping[int, bytes]) -> Clock:
    delay, difference = struct.unpack("<II", data[0x0928])
    size = difference & (_SIGN - 1)  # the sign, in section II of the data sheet from version 3 on: this clock is ahead
    return Clock(
        difference_ns=size if difference & _SIGN else -size,
        delay_ns=delay,
        is_pulsing=data[0x0981][0] & 3 == 3,
        cycle_ns=int.from_bytes(data[0x09A0], "little"),
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and what would help. `position`: of the slave; None: of the whole bus."""

    position: int | None
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{'bus' if self.position is None else f'slave {self.position}'}: {self.what}: {self.hint}"


_CODE_HINTS: Final[dict[int, str]] = {
    0x0016: "is a second master on the bus, or does its firmware need another mailbox? switch it off and on",
    0x0017: "its process data are not laid out as it wants: rt-engine ethercat scan shows what it exchanges",
    0x001A: "its clock and the cycle do not go together: rt-engine doctor shows what makes the cycle late",
    0x001B: "no master wrote its outputs in time: was one stopped, or is its cycle longer than the watchdog?",
    0x001D: "its PDOs are others than those that were mapped: rt-engine ethercat scan shows them",
    0x001E: "its PDOs are others than those that were mapped: rt-engine ethercat scan shows them",
    0x002C: "SYNC0 stopped or the cycle was late too often: rt-engine doctor shows what makes the cycle late",
    0x002D: "nobody has switched its SYNC0 on: does its manual ask for distributed clocks?",
    0x0051: "its EEPROM is empty or damaged: its maker's tool writes it again",
}
_OTHER_CODE: Final = "its manual has this code; a start-up SDO or another PDO assignment is the usual reason"


def findings(slaves: Sequence[Health]) -> list[Finding]:
    """What is wrong on a bus, from the controller on, the gravest of a slave first."""
    found = [finding for slave in slaves for finding in _of_slave(slave, slaves)]
    return [*_of_bus(slaves), *found]


def _of_bus(slaves: Sequence[Health]) -> Iterator[Finding]:
    states = {slave.state & 0x0F for slave in slaves}
    if len(states) > 1 and AlState.OP in states:
        behind = [str(slave.position) for slave in slaves if slave.state & 0x0F != AlState.OP]
        yield Finding(
            None, f"not in OP like the others: {', '.join(behind)}", "their lines below say why, if they know"
        )
    aliases = [slave.alias for slave in slaves if slave.alias]
    for alias in sorted({alias for alias in aliases if aliases.count(alias) > 1}):
        at = [str(slave.position) for slave in slaves if slave.alias == alias]
        yield Finding(
            None, f"slaves {', '.join(at)} have one alias, {alias}", "give each its own, or name them by position"
        )


def _of_slave(slave: Health, slaves: Sequence[Health]) -> Iterator[Finding]:
    def found(what: str, hint: str) -> Finding:
        return Finding(slave.position, what, hint)

    if slave.state & AL_ERROR:
        yield found(f"{slave.state_words}: {slave.code_words}", _CODE_HINTS.get(slave.code, _OTHER_CODE))
    for n, port in enumerate(slave.ports):
        if count := port.invalid_frames + port.symbol_errors:
            hint = f"look at cable and plugs {_way(slave, n)}, at shields and earth; which are moved while it runs?"
            yield found(f"{_counted(count)} damaged frames or symbols came into port {n}", hint)
        if port.lost_links:
            yield found(
                f"port {n} lost its link {_counted(port.lost_links)} times",
                f"look at the plugs {_way(slave, n)}, and at their power",
            )
        if port.has_link and not port.is_used:
            yield found(
                f"port {n} has a link, and no EtherCAT comes through",
                f"what is plugged in {_way(slave, n)} is no slave, or starts",
            )
    if slave.foreign_frames:
        hint = "something else is plugged into this network, a switch or an office: take it out"
        yield found(f"{_counted(slave.foreign_frames)} frames that are no EtherCAT came", hint)
    if slave.processor_errors:
        yield found(
            f"{_counted(slave.processor_errors)} errors between its ESC and its processor",
            "a fault inside it: its maker knows",
        )
    if slave.watchdog_expired:
        hint = f"outputs came later than its watchdog of {slave.watchdog_ms:g} ms: a master that stopped, or a cycle that is too long"
        yield found(f"its watchdog expired {_counted(slave.watchdog_expired)} times", hint)
    if slave.clock and slave.clock.is_pulsing and abs(slave.clock.difference_ns) > _CLOCK_OFF_NS:
        yield found(
            f"its clock is {slave.clock.difference_ns:+,} ns from the reference",
            "it settles in seconds after a start; if not, is a slave before it without a clock?",
        )


def _counted(count: int) -> str:
    return f"{count:,} or more" if count >= FULL else f"{count:,}"


def _way(slave: Health, port: int) -> str:
    """Where a port leads."""
    if port:
        return f"behind it, from its port {port} on"
    return (
        "between it and the controller"
        if slave.position == 0
        else f"between it and slave {slave.position - 1}, or the junction before it"
    )
