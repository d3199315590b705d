"""A plan: what a link asks of its device in each cycle, as data. Pure.

    request   00 07 | 00 00 | 00 0b | 01 | 10 | 00 64 00 02 04 | 41 48 00 00      template, with places for number and outputs
    answer    .. .. | 00 00 | 00 06 | 01 | 10 | 00 64 00 02                       what must come back, to the byte where `fixed`
    refusal   .. .. | 00 00 | 00 03 | 01 | 90 | ..                                or a well-formed "no", its code at `code_at`

A protocol makes it once it is connected; native code carries it out (`fieldbus.exchange.exchange_native`).
"""

from dataclasses import dataclass

from fieldbus.codec import Field

FIXED, FREE = 0xFF, 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A frame that is expected: `frame` has its bytes, `fixed` is 0xFF where they must be so and 0 where they may differ."""

    frame: bytes
    fixed: bytes

    def __post_init__(self) -> None:
        assert len(self.frame) == len(self.fixed), self

    @classmethod
    def of(cls, *parts: tuple[bytes, bool]) -> "Pattern":
        """From (bytes, are they fixed?)."""
        frame = b"".join(part for part, _ in parts)
        return cls(frame, b"".join(bytes([FIXED if is_fixed else FREE]) * len(part) for part, is_fixed in parts))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A well-formed "no": `code_at` is the byte with the code; codes in `passing` are asked again, others last."""

    pattern: Pattern
    code_at: int
    passing: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Kept:
    """Bits of the word at `byte` of a request, most significant byte first: those of `mask` are those of the input `cell`."""

    byte: int
    mask: int
    cell: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One question and its answer.

    Attributes:
        label: for people: `unit 1 FC 3, holding 0..3 (x)`.
        request: as it is sent, with whatever in the places of number, outputs and checksum.
        answer: what must come back; None for a broadcast: nobody answers.
        refusal: the "no" that the protocol has, if it has one.
        outputs: fields in the request, from byte `outputs_at` on; cells are those of the link's outputs.
        inputs: fields in the answer, from byte `inputs_at` on; cells are those of the link's inputs.
        keeps: bits of the request that are nobody's output: as they were read, in this exchange, into an input.
        echoed: (first byte, how many) of the answer that must be those of the request, outputs included.
        concerns_all: no input is better than this transaction: it asks whether what the others read means anything.
        tells_time: its answer says what time it is at the device, and is given to the link's clock.
        virtual: tags without a place on the wire that are made of these inputs, or of which these outputs are made (by native code
            that the link hangs in): as good as the transaction.
        counter: of a datagram in a packet: how often it must have been worked on, as its last two bytes say, low byte first; if it
            `tells_time`, at least so often.
        tells_state: of a datagram: it is the state of all devices, good only where it has the answer's fixed bits, and then the
            keeper is told what it is and how many have said so whenever that changes.
    """

    label: str
    request: bytes
    answer: Pattern | None
    refusal: Refusal | None = None
    outputs: tuple[Field, ...] = ()
    outputs_at: int = 0
    inputs: tuple[Field, ...] = ()
    inputs_at: int = 0
    keeps: tuple[Kept, ...] = ()
    echoed: tuple[int, int] = (0, 0)
    concerns_all: bool = False
    tells_time: bool = False
    virtual: tuple[str, ...] = ()
    counter: int | None = None
    tells_state: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A serial line: frames end with a checksum (CRC-16), their last two bytes, low byte first.

    Attributes:
        byte_ns: how long a character takes; questions and answers are given that time besides `answer_ns`.
        quiet_ns: so long nobody has spoken when a question is sent; `Plan.pause_ns` must be at least as long.
        broadcast_ns: so long the line is left in peace after a question that nobody answers has left.
        echo: what is sent comes back, before its answer.
    """

    byte_ns: int
    quiet_ns: int
    broadcast_ns: int = 0
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Fence:
    """Questions to one unit of a line whose answers cannot be taken for those of others, nor for each other's.

    One of them is asked after a question of the transactions `of` was not answered, before any of these is asked again.
    """

    of: frozenset[int]
    variants: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Packet:
    """Datagrams that travel together in one frame: `head`, then so many transactions' requests, then zeros up to `least` bytes.

    A packet is known by its datagrams' first 8 bytes, where their patterns fix them, and by its number, which is in the second byte
    of each: the lowest 7 bits, behind a bit that is set, in the first, 8 more in each that follows.
    """

    head: bytes
    count: int
    least: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """How frames are cut from a stream: a field of `length_bytes` at `length_at` of a header gives the length, less `length_add`.

    A question and its answer have the same number, of `number_bytes` at `number_at`; 0 bytes: the protocol has none.
    `any_number`: the device answers with whatever number, so nothing may be under way but one question.
    `ours`: how every frame begins that is meant for us; others are dropped, and counted as late ones are.
    With a `line`, and no header, the expected answer says how long a frame is.
    """

    header_bytes: int = 0
    length_at: int = 0
    length_bytes: int = 0
    length_is_big: bool = True
    length_add: int = 0
    least: int = 1
    most: int = 1 << 16
    number_at: int = 0
    number_bytes: int = 0
    number_is_big: bool = True
    any_number: bool = False
    ours: Pattern | None = None
    line: Line | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What a device sends by itself under the number `handle`: `nbytes` with these fields, counted from its first byte."""

    handle: int
    nbytes: int
    inputs: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Frames that nobody asked for and that carry inputs, all that begin with `header`. Numbers have the low byte first.

    header | bytes behind this number u32 | moments u32 | moment: time 8 bytes, values u32 | handle u32, size u32, value | ...

    A handle that is not among `values` is nobody's any more.
    """

    header: Pattern
    values: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All transactions of a cycle, in this order: the first `writes` are what it takes to write the outputs, the others read.

    Times in nanoseconds: an answer is given up after `answer_ns`; between two questions the line is left in peace for `pause_ns`.

    With `packets`, which are all transactions in their order, one `recv` gives one frame, and all packets of a phase are under way at
    once: those whose first transaction belongs to it.
    """

    frames: Frames
    transactions: tuple[Transaction, ...]
    writes: int
    answer_ns: int
    pause_ns: int = 0
    samples: Samples | None = None
    fences: tuple[Fence, ...] = ()
    packets: tuple[Packet, ...] = ()

    @property
    def questions(self) -> tuple[Transaction, ...]:
        """Everything that may be asked, as native code numbers it."""
        return (*self.transactions, *(variant for fence in self.fences for variant in fence.variants))
