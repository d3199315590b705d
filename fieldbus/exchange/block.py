"""What the native exchange and Python agree on, as NumPy dtypes. One EXCHANGE for each connection, laid out by `memory`:

    EXCHANGE --> transactions  TRANSACTION[n]  writes first, then reads: what is asked, what must come back
         |                       request, answer, mask, refusal   bytes
         |                       outs, ins        MOVE[]   cells of `values_out` -> request, answer -> cells of `values_in`
         |                       newest           the bytes of the newest good answer
         |   values_in, suspect     float64[], bytes: of each input cell its value, and whether it cannot be trusted
         |   values_out, low, high, safe   float64[]: of each output cell
         |   subscribers  count, PORT[]   channels that want inputs      each with RUN[]: cells there -> cells here
         |   drivers      count, PORT[]   channels that bring outputs
         |   observers    count, PORT[]   channels that show outputs as they were sent
         +-> buffer, note, round_trip

Who works on it is the word `state`:

    KEEPER   Python's keeper: it connects, and lays out what follows
    READY    nobody's: whoever runs the exchange may take it
    BUSY     the runner's, within one phase: the link's own thread, or a task's cycle

    keeper --arm--> READY --phase begins--> BUSY --phase ends--> READY
                      |                       +--something that only Python understands--> KEEPER, `wake_fd` is written
                      +--keeper takes it (a task that hangs)--> KEEPER
"""

from enum import IntEnum, IntFlag

import numpy as np

from rt_native.structs import words


class State(IntEnum):
    """Whose the exchange is."""

    KEEPER = 0
    READY = 1
    BUSY = 2


class Phase(IntEnum):
    """What part of the plan is carried out."""

    ALL = 0
    READS = 1
    WRITES = 2


class Flag(IntFlag):
    """What a transaction does."""

    READS = 1
    WRITES = 2
    UNANSWERED = 4
    """A broadcast: nobody answers, nothing is confirmed."""
    CLOCK = 8
    """Its answer says what time it is at the device: `clock_note` hears of it."""
    STATE = 16
    """Its answer is the state of all devices."""


class Event(IntEnum):
    """Why the keeper was woken. Up to `MISSED` the exchange goes on meanwhile (a note); the others end the connection."""

    NONE = 0
    REFUSED = 1
    """A well-formed "no" of a kind that lasts."""
    BUSY = 2
    """A well-formed "not now": it is asked again."""
    MISSED = 3
    """No answer within `answer_ns`."""
    UNEXPECTED = 4
    """A whole frame that is not what was asked for."""
    UNASKED = 5
    """A frame that nothing was asked for."""
    GARBAGE = 6
    """Bytes that cannot be a frame."""
    CLOSED = 7
    """The device closed the connection."""
    FAILED = 8
    """The system's word is in `error`."""
    SILENT = 9
    """Nothing for the whole timeout."""
    NOT_SENT = 10
    """The connection takes no more bytes: the device does not read."""
    NOISE = 11
    """Somebody else talks on the serial line, so that nothing can be asked: a note, as `MISSED` is."""
    COUNTER = 12
    """A datagram came back with a working counter, which is the code, that is not the one that it must have: a note."""
    STATE = 13
    """The state of all devices, which is the code, or how many have said so, is another than before: a note."""


class Kind(IntEnum):
    """How the bytes of an element are a number."""

    SIGNED = 0
    UNSIGNED = 1
    FLOAT32 = 2
    FLOAT64 = 3
    TRUTH = 4
    """0 or not."""
    BIT = 5
    """One bit of a byte; successive elements are successive bits."""
    BITS = 6
    """So many bits as `nbytes` says, from `bit` on, lowest first; successive elements are neighbours."""
    SIGNED_BITS = 7


class Cut(IntEnum):
    """How frames are cut from what comes."""

    LENGTH = 0
    """A field says how long the frame is."""
    SHAPE = 1
    """A serial line: it is as long as the expected answer, or as the refusal; a checksum (CRC-16) ends it. See `line_native`."""
    PACKET = 2
    """One `recv` is one whole frame, of several datagrams. See `packets_native`."""


MOST_NUMBERS_LATE = 1024
"""An answer to one of so many questions before the newest is late; another number was never asked."""
NOTE_BYTES = 4096
MOST_TOGETHER = 64
"""So many exchanges a task can carry out in its cycle."""
TIMESPEC_BYTES = 16
POLL_BYTES = 8
"""struct pollfd: fd (4), events (2), revents (2)."""
AREA_BYTES = TIMESPEC_BYTES + (POLL_BYTES + 8) * MOST_TOGETHER
"""What a runner works in: the time, what it polls, and which exchanges it has taken."""


EXCHANGE = np.dtype(
    [
        # line 0: handed to and fro, atomically
        *words("state", "stop", "lost", "noted", "force_safe", "me", "wanted"),
        *words("publishing"),
        # constants of a connection
        *words("fd", "is_socket", "wake_fd", "cycle_ns", "timeout_ns", "answer_ns", "pause_ns", "silent_ns"),
        *words("cut", "header_bytes", "length_at", "length_bytes", "length_is_big", "length_add", "least", "most"),
        *words("number_at", "number_bytes", "number_is_big", "any_number"),
        *words("echo", "quiet_ns", "byte_ns", "broadcast_ns", "fences", "fence_rows"),
        *words(
            "ours", "ours_mask", "ours_bytes", "sampled", "sampled_mask", "sampled_bytes", "samples", "sample_count"
        ),
        *words("buffer", "buffer_bytes", "note", "transactions", "count", "writes"),
        *words("values_in", "suspect", "values_out", "low", "high", "safe", "cells_in", "cells_out"),
        *words("subscribers", "drivers", "observers", "round_trip", "carry_out"),
        # the runner's own, from phase to phase
        *words("received", "position", "end", "pending", "number", "frame_bytes", "sent_ns", "send_at_ns"),
        *words(
            "give_up_ns",
            "heard_ns",
            "began_ns",
            "until_ns",
            "is_safe",
            "is_mine",
            "is_late",
            "is_cut",
            "missed_in",
            "driven",
            "fault",
            "health",
            "late_number",
            "has_read",
            "unsent",
            "quiet_by_ns",
            "longest_ns",
            "newest_asked",
        ),
        # the life sign: an input that must change, or no input is to be trusted
        *words("life_cell", "life_transaction", "life_timeout_ns", "life_is_seen", "life_last", "life_changed_ns"),
        *words("is_lifeless"),
        # what the keeper is told
        *words("event", "event_at", "error", "event_bytes", "event_code", "event_number"),
        # counters
        *words("cycles", "reads", "writes_done", "errors", "safe_writes", "limited", "late", "implausible", "notified"),
        ("scratch", "<i8", 2),
        # what a kind of link adds, by address
        *words("clock", "clock_note", "clock_shift", "drives", "drive_count", "drives_step"),
        # packets, and what of them is counted
        *words("packets", "packet_count", "flying", "is_asked", "bus_state", "bus_count"),
        *words("frames_lost", "wrong_counters", "foreign", "state_changes"),
    ]
)
"""`me` is the address of this struct, a table of one; `carry_out` that of `exchange_phase`. While it is `wanted` by the keeper,
a phase asks nothing more (`is_cut`), and the link's own thread begins none: with many units that are gone one takes longer than
the keeper waits.

`missed_in` is when the newest phase began in which a question was missed again.

`driven`: how often a request with outputs has been sent, confirmed or not.

`publishing`: somebody writes to subscribers, and no other may.

`received` bytes lie in `buffer`. `pending` is the transaction whose answer is awaited, -1: none; where `is_late`, since a phase
before. `late_number` is 1 more than the number of a late answer that came instead of its answer, 0: none did. `health` is 0
when all transactions are good, 1 when one is stale, 2 when one is bad, -1 before the first whole
cycle, which reads (`has_read`) first. `life_cell` is -1 without a
life sign; `life_last` are the bits that it had when it was seen last, `life_changed_ns` is 0 until it has changed. Of a serial
line: `unsent` bytes of the request of `newest_asked` (an address) have not left yet; at `quiet_by_ns` somebody else has talked
for too long.

Of packets: so many are `flying`; `is_asked` since those of this phase have left. `bus_state` is what all devices together say of their
state, -1: not known yet, and `bus_count` how many have said so.

What a kind of link adds are exported functions, by address, 0: none (`Exchange.extend`); `clock`, `drives`, `drive_count` are theirs:

    clock_note(exchange, datagram, sent_ns, now, transaction)   the answer of a transaction with `Flag.CLOCK` was accepted
    clock_shift(exchange, due_ns)                               once a cycle: nanoseconds that the runner adds to its next wake-up,
                                                                which is due at `due_ns`
    drives_step(exchange, now)                                  outputs were gathered and limited, and are not encoded yet: it works
                                                                on the cells of `values_in` and `values_out`
"""

TRANSACTION = np.dtype(
    [
        *words("flags", "request", "request_bytes", "answer", "mask", "answer_bytes"),
        *words("refusal", "refusal_mask", "refusal_bytes", "code_at", "passing"),
        *words("outs", "out_count", "ins", "in_count", "keeps", "keep_count", "echoed_at", "echoed_bytes", "newest"),
        *words("quality", "is_fresh", "asked_ns", "arrived_ns", "misses", "skip_until_ns", "confirmed"),
        *words("fence", "variants", "variant", "in_doubt", "owed", "missed_in", "is_proven", "is_deaf"),
        *words("counter", "counter_came", "counters_wrong"),
    ]
)
"""`passing` has a bit for each code of a refusal that passes. `confirmed` counts good answers.

`fence` is the number of the first fence of the transaction's unit on a serial line, -1: there is none. What follows belongs to
that first one (`fieldbus.exchange.line_native`); fences lie behind the transactions.

Of a datagram: its working `counter` as it must be, as it came last, and how often it was wrong.
"""

PACKET = np.dtype(words("frame", "frame_bytes", "least", "first", "count", "number", "is_flying"))
"""A frame with its datagrams, which are the requests of transactions; `least`: so many of its bytes an answer has."""

MOVE = np.dtype(
    [
        *words("cell", "at", "count", "step", "kind", "nbytes", "places", "bit"),
        ("scale", "<f8"),
        ("offset", "<f8"),
        ("low", "<f8"),
        ("high", "<f8"),
        *words("is_checked", "absent", "absent_count"),
    ]
)
"""`count` elements from byte `at` on, `step` bytes apart, <-> cells from `cell` on: `value = raw * scale + offset`.

`places`: byte j of it is where the j-th lowest byte of an element lies, from its first byte. Outputs: `low` and `high` are of
the raw number, what the type holds. Inputs: of the value, what is plausible; `absent` raw numbers mean that there is none.
"""

SAMPLE = np.dtype(words("handle", "nbytes", "ins", "in_count", "newest"))
"""A value that the device sends by itself, by its handle, lowest first; `newest`: its bytes as they came last."""

KEEP = np.dtype(words("at", "mask", "cell"))
"""Bits of a request that are written back as they were read: see `fieldbus.exchange.plan.Kept`."""

PORT = np.dtype(
    [*words("channel", "runs", "run_count", "transactions", "transaction_count", "reaction", "seen", "taken")]
)
"""A channel. Of an input: the transactions that its cells come from (int64 each). Of a driver: `reaction`, a histogram;
`seen`, the number of the newest write that was sent."""

RUN = np.dtype(words("here", "there", "count"))
"""`count` cells from `here` on in the exchange are those from `there` on in the channel."""
