"""A serial line: frames have no number and no length, and whatever was sent last may be answered late, or heard as an echo.

What has come is searched for the expected answer, or the refusal, at any place: a checksum (CRC-16) and the fixed bytes tell it from
noise, from the late answer to another question, and from another unit's. Bytes that come while nothing is asked are thrown away.

A question that was not answered leaves its unit *in doubt*: the answer may still come, and could pass for that of the next. Before
that unit is asked anything else it is asked a *fence*: to read so many registers as nothing else asks for, and another number of
them each time. A unit answers in order: once the fence is answered nothing older can come.

    asked -> missed -> in doubt -> fence asked -> answered: asked again
                          ^             +-> missed: the next fence in the next cycle; after several, now and then only
                          +-------------+
"""

from fieldbus.exchange.block import EXCHANGE, TRANSACTION
from fieldbus.exchange.frames_native import is_expected, is_whole, matches, transaction_at
from rt_native.counting import add_to
from rt_native.lang import inline, load_i64, load_u8, load_u16, store_i64, store_u16
from rt_native.memory import offsets

_X, _T = offsets(EXCHANGE), offsets(TRANSACTION)
_BUFFER, _RECEIVED, _SENT, _SEND_AT, _BEGAN, _LATE_COUNT, _COUNT = (
    _X.buffer, _X.received, _X.sent_ns, _X.send_at_ns, _X.began_ns, _X.late, _X.count
)  # fmt: skip
_ANSWER_NS, _TIMEOUT, _FORCE_SAFE, _HEARD, _GIVE_UP = (
    _X.answer_ns, _X.timeout_ns, _X.force_safe, _X.heard_ns, _X.give_up_ns
)  # fmt: skip
_ECHO, _GAP, _FENCES, _FENCE_ROWS, _QUIET_BY, _LONGEST, _NEWEST_ASKED = (
    _X.echo, _X.quiet_ns, _X.fences, _X.fence_rows, _X.quiet_by_ns, _X.longest_ns, _X.newest_asked
)  # fmt: skip
_REQUEST, _REQUEST_BYTES, _ANSWER, _MASK, _ANSWER_BYTES = (
    _T.request, _T.request_bytes, _T.answer, _T.mask, _T.answer_bytes
)  # fmt: skip
_REFUSAL, _REFUSAL_MASK, _REFUSAL_BYTES = _T.refusal, _T.refusal_mask, _T.refusal_bytes
_MISSES, _SKIP_UNTIL, _FENCE, _VARIANTS, _VARIANT, _DOUBT, _OWED, _MISSED_IN, _PROVEN, _DEAF = (
    _T.misses, _T.skip_until_ns, _T.fence, _T.variants, _T.variant, _T.in_doubt, _T.owed, _T.missed_in, _T.is_proven,
    _T.is_deaf,
)  # fmt: skip
_LEAST_FRAME, _MOST_FRAME = 5, 256
_FEW, _EVERY, _MOST_DOUBLINGS = 3, 3, 20
NOWHERE, SKIP = -1, -1


@inline
def rest(exchange, until):  # type: ignore[no-untyped-def]
    """Nothing is sent until then; somebody who talks on the line for longer than an answer takes is told."""
    store_i64(exchange + _SEND_AT, until)
    store_i64(exchange + _QUIET_BY, until + load_i64(exchange + _ANSWER_NS))


# --- what has come ------------------------------------------------------------------------------------------------------


@inline
def find(exchange, transaction, first, is_refusal):  # type: ignore[no-untyped-def]
    """Where in the buffer, from byte `first` on, the expected answer begins, or the refusal; NOWHERE."""
    buffer, received = load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED)
    nbytes = load_i64(transaction + (_REFUSAL_BYTES if is_refusal else _ANSWER_BYTES))
    if nbytes >= _LEAST_FRAME:
        for at in range(first, received - nbytes + 1):
            frame = buffer + at
            if is_refusal:
                fits = matches(frame, load_i64(transaction + _REFUSAL), load_i64(transaction + _REFUSAL_MASK), nbytes)
            else:
                fits = is_expected(transaction, frame, nbytes)
            if fits and is_whole(frame, nbytes):
                return at
    return NOWHERE


@inline
def find_echo(exchange, transaction):  # type: ignore[no-untyped-def]
    """Where in the buffer the request itself begins; NOWHERE."""
    buffer, received = load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED)
    request, nbytes = load_i64(transaction + _REQUEST), load_i64(transaction + _REQUEST_BYTES)
    for at in range(received - nbytes + 1):
        differs = 0
        for i in range(nbytes):
            differs |= load_u8(buffer + at + i) ^ load_u8(request + i)
        if differs == 0:
            return at
    return NOWHERE


@inline
def hears_itself(exchange, transaction, answer_at):  # type: ignore[no-untyped-def]
    """Is what came our own request, where no answer can look like it? An answer was found at `answer_at`, or NOWHERE."""
    echo_at = find_echo(exchange, transaction)
    if echo_at == NOWHERE:
        return False
    nbytes = min(load_i64(transaction + _REQUEST_BYTES), load_i64(transaction + _ANSWER_BYTES)) - 2
    request = load_i64(transaction + _REQUEST)
    is_alike = matches(request, load_i64(transaction + _ANSWER), load_i64(transaction + _MASK), nbytes)
    return not is_alike or answer_at > echo_at


@inline
def drop(exchange, nbytes):  # type: ignore[no-untyped-def]
    """Take the first bytes out of the buffer."""
    buffer, left = load_i64(exchange + _BUFFER), load_i64(exchange + _RECEIVED) - nbytes
    for i in range(0, left, 2):  # rarely more than nothing; the areas may overlap
        store_u16(buffer + i, load_u16(buffer + nbytes + i))
    store_i64(exchange + _RECEIVED, left)


@inline
def stray(exchange, now):  # type: ignore[no-untyped-def]
    """Bytes while nothing is asked: the line is not quiet. A whole frame among them leaves all units in doubt."""
    store_i64(exchange + _SEND_AT, max(load_i64(exchange + _SEND_AT), now + load_i64(exchange + _GAP)))
    buffer, received, newest = (
        load_i64(exchange + _BUFFER),
        load_i64(exchange + _RECEIVED),
        load_i64(exchange + _NEWEST_ASKED),
    )
    is_frame = False
    for at in range(received - _LEAST_FRAME + 1):
        is_frame = is_frame or is_whole(buffer + at, received - at)
    if is_frame:
        if load_i64(exchange + _ECHO) == 0 or newest == 0 or find_echo(exchange, newest) == NOWHERE:
            add_to(exchange + _LATE_COUNT, 1)
            note_time(exchange, now)
            for number in range(load_i64(exchange + _FENCE_ROWS)):
                store_i64(transaction_at(exchange, load_i64(exchange + _COUNT) + number) + _DOUBT, 1)
        store_i64(exchange + _RECEIVED, 0)
    elif received > _MOST_FRAME:
        store_i64(exchange + _RECEIVED, 0)


@inline
def note_time(exchange, now):  # type: ignore[no-untyped-def]
    """The longest that anything has taken on this line."""
    store_i64(exchange + _LONGEST, max(load_i64(exchange + _LONGEST), now - load_i64(exchange + _SENT)))


# --- fences -------------------------------------------------------------------------------------------------------------


@inline
def question_of(exchange, number, now):  # type: ignore[no-untyped-def]
    """What to ask where `number` is next: it, or first a fence; SKIP: its unit is not asked now."""
    first = load_i64(transaction_at(exchange, number) + _FENCE)
    if first < 0:
        return number
    fence = transaction_at(exchange, first)
    if load_i64(fence + _DOUBT) == 0:
        return number
    must = load_i64(exchange + _FORCE_SAFE) != 0  # safe values are sent all the same, though nothing confirms them
    if load_i64(fence + _MISSED_IN) == load_i64(exchange + _BEGAN):
        return number if must else SKIP
    if now < load_i64(fence + _SKIP_UNTIL) and not must:
        return SKIP
    if load_i64(fence + _DEAF) != 0 or is_tried_without(fence):
        store_i64(fence + _DOUBT, 0)
        return number
    variant = load_i64(fence + _VARIANT)
    store_i64(fence + _VARIANT, (variant + 1) % load_i64(fence + _VARIANTS))
    add_to(fence + _OWED, 1)
    return first + variant


@inline
def wait_on(exchange, pending, now):  # type: ignore[no-untyped-def]
    """An earlier fence is answered while this one is pending: the unit lives, and answers this one next. That is waited for."""
    first = load_i64(transaction_at(exchange, pending) + _FENCE)
    for number in range(first, first + load_i64(transaction_at(exchange, first) + _VARIANTS)):
        fence = transaction_at(exchange, number)
        at = find(exchange, fence, 0, False)
        if at != NOWHERE:
            drop(exchange, at + load_i64(fence + _ANSWER_BYTES))
            add_to(exchange + _LATE_COUNT, 1)
            store_i64(exchange + _HEARD, now)
            store_i64(exchange + _GIVE_UP, now + load_i64(exchange + _ANSWER_NS))
            return


@inline
def is_tried_without(fence):  # type: ignore[no-untyped-def]
    """Has no fence ever been answered, and is it time to see whether another question is?"""
    misses = load_i64(fence + _MISSES)
    return load_i64(fence + _PROVEN) == 0 and misses > 0 and misses & _EVERY == 0


@inline
def doubt(exchange, number, now):  # type: ignore[no-untyped-def]
    """`number` was not answered. A unit that is silent for long is asked more and more seldom, where others share the line."""
    first = load_i64(transaction_at(exchange, number) + _FENCE)
    if first < 0:
        return
    fence, answer = transaction_at(exchange, first), load_i64(exchange + _ANSWER_NS)
    misses = load_i64(fence + _MISSES) + 1
    store_i64(fence + _MISSES, misses)
    store_i64(fence + _DOUBT, 1)
    if number >= load_i64(exchange + _COUNT):
        store_i64(fence + _MISSED_IN, load_i64(exchange + _BEGAN))
    if load_i64(exchange + _FENCES) > 1 and misses >= _FEW:
        later = min(answer << min(misses - _FEW, _MOST_DOUBLINGS), load_i64(exchange + _TIMEOUT))
        store_i64(fence + _SKIP_UNTIL, now + later)
    if load_i64(fence + _DEAF) != 0 or is_tried_without(fence):
        rest(exchange, now + max(answer, 2 * load_i64(exchange + _LONGEST)))  # all that is left is to wait long enough


@inline
def is_doubtful(exchange, number):  # type: ignore[no-untyped-def]
    """May what answers `number` be older than it?"""
    first = load_i64(transaction_at(exchange, number) + _FENCE)
    return (
        first >= 0 and number < load_i64(exchange + _COUNT) and load_i64(transaction_at(exchange, first) + _DOUBT) != 0
    )


@inline
def believe(exchange, number, is_refusal, now):  # type: ignore[no-untyped-def]
    """`number` was answered; a fence proves that nothing older can come.

    Refusals of fences are all alike: of several that were asked the oldest may be meant, and a refusal of an older question,
    too. So the line has to be quiet after one, and after several the next fence has to tell.
    """
    first = load_i64(transaction_at(exchange, number) + _FENCE)
    if first < 0:
        return
    fence = transaction_at(exchange, first)
    if number < load_i64(exchange + _COUNT):
        store_i64(fence + _DEAF, max(load_i64(fence + _DEAF), 1 if is_tried_without(fence) else 0))
        store_i64(fence + _MISSES, 0)
        return
    if not is_refusal or load_i64(fence + _OWED) <= 1:
        store_i64(fence + _DOUBT, 0)
    store_i64(fence + _OWED, 0)
    store_i64(fence + _MISSES, 0)
    store_i64(fence + _SKIP_UNTIL, 0)
    store_i64(fence + _PROVEN, 1)
    if is_refusal:
        rest(exchange, now + load_i64(exchange + _ANSWER_NS))
