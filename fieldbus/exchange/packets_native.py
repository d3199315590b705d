"""A bus: datagrams that travel together in frames, all frames of a phase at once, and come back in whatever order.

    frame     head | datagram | datagram | ... | zeros, so that it is long enough
    datagram  command | number | address | address | length | 2 bytes | data | working counter
              1 byte    1        2         2         2                          2 bytes

One `recv` gives one frame. It belongs to the packet whose datagrams have the same commands, addresses and lengths, and it is its
answer when it has the number that this was sent with last; else it is late, or came twice. Each datagram is judged by itself, by its
working counter: a wrong one leaves the values of its inputs as they are, STALE and in the end BAD; the others live.

Nothing that comes ends the exchange. An interface that is down does.
"""

from fieldbus.exchange.answers_native import accept
from fieldbus.exchange.block import EXCHANGE, PACKET, TRANSACTION, Cut, Event, Flag
from fieldbus.exchange.frames_native import matches, transaction_at
from fieldbus.exchange.moves_native import encode
from fieldbus.exchange.notes_native import fail, tell
from fieldbus.exchange.ports_native import count_reactions
from rt_native.counting import add_to
from rt_native.lang import atomic_load, inline, load_i64, load_u8, store_i64, store_u8
from rt_native.memory import offsets
from rt_native.sockets import DONTWAIT, EAGAIN, EINTR, SEND, errno, recv, send

_X, _T, _P = offsets(EXCHANGE), offsets(TRANSACTION), offsets(PACKET)
_FD, _BUFFER, _BUFFER_BYTES, _CUT, _ANSWER_NS, _WRITES = (
    _X.fd, _X.buffer, _X.buffer_bytes, _X.cut, _X.answer_ns, _X.writes
)  # fmt: skip
_POSITION, _END, _NUMBER, _SENT, _GIVE_UP, _HEARD, _IS_LATE, _FAULT = (
    _X.position, _X.end, _X.number, _X.sent_ns, _X.give_up_ns, _X.heard_ns, _X.is_late, _X.fault
)  # fmt: skip
_PACKETS, _PACKET_COUNT, _FLYING, _IS_ASKED, _BUS_STATE, _BUS_COUNT = (
    _X.packets, _X.packet_count, _X.flying, _X.is_asked, _X.bus_state, _X.bus_count
)  # fmt: skip
_WANTED, _IS_CUT = _X.wanted, _X.is_cut
_LOST, _LATE, _WRONG, _FOREIGN, _STATE_CHANGES, _ERRORS, _DRIVEN = (
    _X.frames_lost, _X.late, _X.wrong_counters, _X.foreign, _X.state_changes, _X.errors, _X.driven
)  # fmt: skip
_FRAME, _FRAME_BYTES, _LEAST, _FIRST, _COUNT, _OWN_NUMBER, _IS_FLYING = (
    _P.frame, _P.frame_bytes, _P.least, _P.first, _P.count, _P.number, _P.is_flying
)  # fmt: skip
_FLAGS, _REQUEST, _REQUEST_BYTES, _ANSWER, _MASK, _OUTS, _OUT_COUNT, _QUALITY, _MISSES = (
    _T.flags, _T.request, _T.request_bytes, _T.answer, _T.mask, _T.outs, _T.out_count, _T.quality, _T.misses
)  # fmt: skip
_COUNTER, _CAME, _T_WRONG = _T.counter, _T.counter_came, _T.counters_wrong
_PACKET, _TRANSACTION, _BY_PACKET = PACKET.itemsize, TRANSACTION.itemsize, int(Cut.PACKET)
_WRITES_FLAG, _STATE_FLAG, _CLOCK_FLAG = int(Flag.WRITES), int(Flag.STATE), int(Flag.CLOCK)
_MISSED, _FAILED, _COUNTER_EVENT, _STATE_EVENT = (int(Event[name]) for name in ("MISSED", "FAILED", "COUNTER", "STATE"))
_STALE = 1
_TYPE_AT, _DATA, _COUNTER_BYTES = 12, 10, 2
"""Bytes before the type of an Ethernet frame, and of a datagram around its data."""
_OURS = 0x80
"""The numbers of the first datagrams of our frames begin here."""
_ENOMEM, _ENOBUFS = 12, 105
_MOST_AT_ONCE = 64
"""So many frames are looked at before time is."""


@inline
def is_bus(exchange):  # type: ignore[no-untyped-def]
    """Do its transactions travel in packets?"""
    return load_i64(exchange + _CUT) == _BY_PACKET


@inline
def eight_bytes(at):  # type: ignore[no-untyped-def]
    """Wherever they lie."""
    bits = 0
    for j in range(8):
        bits |= load_u8(at + j) << (8 * j)
    return bits


@inline
def two_bytes(at):  # type: ignore[no-untyped-def]
    """A number without sign, low byte first."""
    return load_u8(at) | (load_u8(at + 1) << 8)


# --- asking -----------------------------------------------------------------------------------------------------------


@inline
def begin_packets(exchange):  # type: ignore[no-untyped-def]
    """None of this phase has been sent."""
    store_i64(exchange + _IS_ASKED, 0)
    store_i64(exchange + _FLYING, 0)


@inline
def send_packets(exchange, now):  # type: ignore[no-untyped-def]
    """All frames of the phase leave."""
    first, end, packet = load_i64(exchange + _POSITION), load_i64(exchange + _END), load_i64(exchange + _PACKETS)
    store_i64(exchange + _IS_ASKED, 1)
    store_i64(exchange + _IS_LATE, 0)
    store_i64(exchange + _SENT, now)
    store_i64(exchange + _GIVE_UP, now + load_i64(exchange + _ANSWER_NS))
    for _ in range(load_i64(exchange + _PACKET_COUNT)):
        begins = load_i64(packet + _FIRST)
        if first <= begins < end and load_i64(exchange + _FAULT) == 0:
            send_packet(exchange, packet, now)
        packet += _PACKET
    if first < load_i64(exchange + _WRITES):
        count_reactions(exchange, now)
    end_packets(exchange)


@inline
def send_packet(exchange, packet, now):  # type: ignore[no-untyped-def]
    """Put outputs and its number into a frame, and send it."""
    number, transaction, drives = (
        load_i64(exchange + _NUMBER) + 1,
        transaction_at(exchange, load_i64(packet + _FIRST)),
        0,
    )
    store_i64(exchange + _NUMBER, number)
    store_i64(packet + _OWN_NUMBER, number)
    left, mark = number, _OURS
    for _ in range(load_i64(packet + _COUNT)):
        request = load_i64(transaction + _REQUEST)
        if load_i64(transaction + _FLAGS) & _WRITES_FLAG != 0:
            drives = 1
            encode(exchange, load_i64(transaction + _OUTS), load_i64(transaction + _OUT_COUNT), request)
        store_u8(request + 1, (left & (0xFF ^ mark)) | mark)
        left = left >> (7 if mark != 0 else 8)
        mark = 0
        transaction += _TRANSACTION
    nbytes = load_i64(packet + _FRAME_BYTES)
    sent = send(load_i64(exchange + _FD), load_i64(packet + _FRAME), nbytes, SEND)
    why = errno() if sent < 0 else 0
    if sent == nbytes:
        store_i64(packet + _IS_FLYING, 1)
        add_to(exchange + _FLYING, 1)
        add_to(exchange + _DRIVEN, drives)
    elif passes(why):
        lose(exchange, packet)  # no room for it just now
    else:
        fail(exchange, _FAILED, why, load_i64(packet + _FRAME), 0)


@inline
def passes(error):  # type: ignore[no-untyped-def]
    """Is the error of a call one that passes: nothing there, or no room?"""
    return error in (EAGAIN, EINTR, _ENOBUFS, _ENOMEM)


@inline
def end_packets(exchange):  # type: ignore[no-untyped-def]
    """The phase is over when no frame is under way."""
    if load_i64(exchange + _FLYING) == 0:
        store_i64(exchange + _POSITION, load_i64(exchange + _END))


@inline
def lose(exchange, packet):  # type: ignore[no-untyped-def]
    """A frame did not come back: what its datagrams read is stale."""
    store_i64(packet + _IS_FLYING, 0)
    add_to(exchange + _LOST, 1)
    add_to(exchange + _ERRORS, 1)
    first = load_i64(packet + _FIRST)
    for number in range(first, first + load_i64(packet + _COUNT)):
        transaction = transaction_at(exchange, number)
        add_to(transaction + _MISSES, 1)
        store_i64(transaction + _QUALITY, max(load_i64(transaction + _QUALITY), _STALE))
    tell(exchange, _MISSED, first, load_i64(exchange + _BUFFER), 0, 0)


@inline
def lose_packets(exchange):  # type: ignore[no-untyped-def]
    """Nobody waits any longer for what is under way."""
    packet = load_i64(exchange + _PACKETS)
    for _ in range(load_i64(exchange + _PACKET_COUNT)):
        if load_i64(packet + _IS_FLYING) != 0:
            lose(exchange, packet)
        packet += _PACKET
    store_i64(exchange + _FLYING, 0)


@inline
def step_packets(exchange, now):  # type: ignore[no-untyped-def]
    """Send, or give up; gives when it has to be looked at again."""
    if load_i64(exchange + _IS_ASKED) == 0:
        if atomic_load(exchange + _WANTED) != 0:
            store_i64(exchange + _IS_CUT, 1)
            return now
        send_packets(exchange, now)
    elif now >= load_i64(exchange + _GIVE_UP):
        lose_packets(exchange)
        end_packets(exchange)
    return load_i64(exchange + _GIVE_UP)


# --- what comes -------------------------------------------------------------------------------------------------------


@inline
def receive_packets(exchange, now):  # type: ignore[no-untyped-def]
    """Take what has come, until nothing is awaited or nothing is there."""
    buffer, space, fd, left = (
        load_i64(exchange + _BUFFER),
        load_i64(exchange + _BUFFER_BYTES),
        load_i64(exchange + _FD),
        _MOST_AT_ONCE,
    )
    while left > 0 and load_i64(exchange + _FLYING) > 0:
        left -= 1
        got = recv(fd, buffer, space, DONTWAIT)
        why = errno() if got < 0 else 0
        if got >= 0:
            judge_packet(exchange, buffer, got, now)
        else:
            left = 0
            if not passes(why):
                fail(exchange, _FAILED, why, buffer, 0)
    end_packets(exchange)


@inline
def judge_packet(exchange, frame, nbytes, now):  # type: ignore[no-untyped-def]
    """A whole frame has come: which packet is it, and is it the answer that is awaited?"""
    packet, found = load_i64(exchange + _PACKETS), 0
    for _ in range(load_i64(exchange + _PACKET_COUNT)):
        if found == 0 and is_of(exchange, packet, frame, nbytes):
            found = packet
        packet += _PACKET
    if found == 0:
        add_to(exchange + _FOREIGN, 1)
    elif load_i64(found + _IS_FLYING) == 0 or not is_numbered(exchange, found, frame):
        add_to(exchange + _LATE, 1)
    else:
        take_packet(exchange, found, frame, now)


@inline
def is_of(exchange, packet, frame, nbytes):  # type: ignore[no-untyped-def]
    """Has the frame the packet's type and length, and its datagrams?"""
    ours, transaction = load_i64(packet + _FRAME), transaction_at(exchange, load_i64(packet + _FIRST))
    first = load_i64(transaction + _REQUEST) - ours
    if nbytes < load_i64(packet + _LEAST) or load_u8(frame + first + 1) < _OURS:
        return False
    wrong = 0
    for i in range(_TYPE_AT, first):
        wrong |= load_u8(frame + i) ^ load_u8(ours + i)
    for _ in range(load_i64(packet + _COUNT)):
        at = load_i64(transaction + _REQUEST) - ours
        bits = eight_bytes(frame + at) ^ load_i64(load_i64(transaction + _ANSWER))
        wrong |= bits & load_i64(load_i64(transaction + _MASK))
        transaction += _TRANSACTION
    return wrong == 0


@inline
def is_numbered(exchange, packet, frame):  # type: ignore[no-untyped-def]
    """Has the frame the number that the packet was sent with last?"""
    ours, transaction, wrong = (
        load_i64(packet + _FRAME),
        transaction_at(exchange, load_i64(packet + _FIRST)),
        0,
    )
    for _ in range(load_i64(packet + _COUNT)):
        request = load_i64(transaction + _REQUEST)
        wrong |= load_u8(frame + (request - ours) + 1) ^ load_u8(request + 1)
        transaction += _TRANSACTION
    return wrong == 0


@inline
def take_packet(exchange, packet, frame, now):  # type: ignore[no-untyped-def]
    """The awaited answer: datagram by datagram."""
    store_i64(packet + _IS_FLYING, 0)
    add_to(exchange + _FLYING, -1)
    store_i64(exchange + _HEARD, now)
    ours, first = load_i64(packet + _FRAME), load_i64(packet + _FIRST)
    for number in range(first, first + load_i64(packet + _COUNT)):
        transaction = transaction_at(exchange, number)
        datagram = frame + (load_i64(transaction + _REQUEST) - ours)
        take_datagram(exchange, transaction, number, datagram, now)


@inline
def take_datagram(exchange, transaction, number, datagram, now):  # type: ignore[no-untyped-def]
    """Its inputs become the newest, if all did with it what they should."""
    nbytes = load_i64(transaction + _REQUEST_BYTES)
    counter = two_bytes(datagram + nbytes - _COUNTER_BYTES)
    store_i64(transaction + _CAME, counter)
    is_state = load_i64(transaction + _FLAGS) & _STATE_FLAG != 0
    if is_state:
        hear_state(exchange, number, datagram, nbytes, counter)
    must = load_i64(transaction + _COUNTER)
    if counter < must or (counter > must and load_i64(transaction + _FLAGS) & _CLOCK_FLAG == 0):
        add_to(exchange + _WRONG, 1)
        add_to(exchange + _ERRORS, 1)
        add_to(transaction + _T_WRONG, 1)
        store_i64(transaction + _QUALITY, max(load_i64(transaction + _QUALITY), _STALE))
        tell(exchange, _COUNTER_EVENT, number, datagram, nbytes, counter)
    elif is_state and not matches(
        datagram + _DATA,
        load_i64(transaction + _ANSWER) + _DATA,
        load_i64(transaction + _MASK) + _DATA,
        nbytes - _DATA - _COUNTER_BYTES,
    ):
        store_i64(transaction + _QUALITY, max(load_i64(transaction + _QUALITY), _STALE))
    else:
        accept(exchange, transaction, datagram, nbytes, now)


@inline
def hear_state(exchange, number, datagram, nbytes, counter):  # type: ignore[no-untyped-def]
    """What all devices together say of their state, and how many they are: the keeper hears of a change."""
    state = two_bytes(datagram + _DATA)
    if state != load_i64(exchange + _BUS_STATE) or counter != load_i64(exchange + _BUS_COUNT):
        store_i64(exchange + _BUS_STATE, state)
        store_i64(exchange + _BUS_COUNT, counter)
        add_to(exchange + _STATE_CHANGES, 1)
        tell(exchange, _STATE_EVENT, number, datagram, nbytes, state)
