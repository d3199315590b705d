"""Answers requests that differ from the last one in their inputs only, without Python: see `plc_bindings.calls.replay`."""

from plc_bindings.calls.replay_block import (
    BOOLS,
    MOST_BYTES,
    MOST_EVENTS,
    NOTHING,
    REPLAY,
    SERVED_MORE,
    SLOW_NS,
    TENSOR,
    WAIT,
)
from rt_engine.run.state_native import reset_states, states_finite
from rt_native.lang import (
    call1,
    copy_bytes,
    export,
    inline,
    load_f32,
    load_f64,
    load_i32,
    load_i64,
    load_u8,
    load_u32,
    now_ns,
    stack,
    store_i32,
    store_i64,
    store_u8,
)
from rt_native.memory import offsets
from rt_native.sockets import DONTWAIT, EPOLLIN, PEEK_DONTWAIT, SEND, epoll_wait, recv, send

_R, _T, _W = offsets(REPLAY), offsets(TENSOR), offsets(WAIT)
_ON, _BUDGET, _ANSWERED, _STATUS = _R.is_on, _R.budget, _R.answered, _R.status
_VERSION, _WANTED, _EXECUTE, _BLOCK = _R.version, _R.wanted_version, _R.execute, _R.block
_REQUEST_BYTES, _INPUTS_AT, _INPUTS_END = _R.request_bytes, _R.inputs_at, _R.inputs_end
_ID_AT, _ID_END, _ANSWER_BYTES, _OUTPUTS_AT = _R.id_at, _R.id_end, _R.answer_bytes, _R.outputs_at
_STATUS_AT, _GOOD, _NOT_FINITE = _R.status_at, _R.good, _R.not_finite
_INPUTS, _OUTPUTS, _INPUT, _OUTPUT, _REQUEST, _ANSWER = (
    _R.inputs,
    _R.outputs,
    _R.input,
    _R.output,
    _R.request,
    _R.answer,
)
_ADDRESS, _NBYTES, _UNIT, _KIND = _T.address, _T.nbytes, _T.unit, _T.kind
_EPOLL, _EVENTS, _EVENT_BYTES, _TABLE, _MOST_FD = _W.epoll, _W.events, _W.event_bytes, _W.table, _W.most_fd
_TENSOR = TENSOR.itemsize
_BUFFER = MOST_BYTES + 64
_MS = 1_000_000
_SERVED, _NOT_SERVED = 1, 0
_MOST_EVENTS, _MORE = MOST_EVENTS, SERVED_MORE
_BOOLS, _SLOW_NS, _NOTHING = BOOLS, SLOW_NS, NOTHING


@inline
def same(a, b, first, end):
    """Are bytes first..end of both the same?"""
    differing = 0
    for i in range(first, end):
        differing |= load_u8(a + i) ^ load_u8(b + i)
    return differing == 0


@inline
def move(to, source, nbytes, unit):
    """Copy, reversing every `unit` bytes."""
    if unit <= 1:
        copy_bytes(to, source, nbytes)
    else:
        for first in range(0, nbytes, unit):
            for i in range(unit):
                store_u8(to + first + i, load_u8(source + first + unit - 1 - i))


@inline
def make_bools(address, nbytes):
    """To a PLC all that is not 0 is TRUE, models know 0 and 1."""
    for i in range(nbytes):
        if load_u8(address + i) > 1:
            store_u8(address + i, 1)


@inline
def is_finite(address, nbytes, kind):
    """Is no element NaN or infinite?"""
    good = True
    if kind == 4:
        for i in range(0, nbytes, 4):
            value = load_f32(address + i)
            good = good and value - value == 0.0
    elif kind == 8:
        for i in range(0, nbytes, 8):
            wide = load_f64(address + i)
            good = good and wide - wide == 0.0
    return good


@inline
def is_known(replay, buffer, count):
    """Is it the request that is kept, but for inputs and id?"""
    request = replay + _REQUEST
    return (
        count == load_i64(replay + _REQUEST_BYTES)
        and same(buffer, request, 0, load_i64(replay + _ID_AT))
        and same(buffer, request, load_i64(replay + _ID_END), load_i64(replay + _INPUTS_AT))
        and same(buffer, request, load_i64(replay + _INPUTS_END), count)
    )


@inline
def compute(replay, buffer):
    """Inputs -> model -> answer; gives the model's status."""
    at = buffer + load_i64(replay + _INPUTS_AT)
    for i in range(load_i64(replay + _INPUTS)):
        tensor = replay + _INPUT + i * _TENSOR
        address, nbytes = load_i64(tensor + _ADDRESS), load_i64(tensor + _NBYTES)
        move(address, at, nbytes, load_i64(tensor + _UNIT))
        if load_i64(tensor + _KIND) == _BOOLS:
            make_bools(address, nbytes)
        at += nbytes
    status = call1(load_i64(replay + _EXECUTE), load_i64(replay + _BLOCK))
    if status != 0:
        return status
    to = replay + _ANSWER + load_i64(replay + _OUTPUTS_AT)
    good = True
    for i in range(load_i64(replay + _OUTPUTS)):
        tensor = replay + _OUTPUT + i * _TENSOR
        address, nbytes = load_i64(tensor + _ADDRESS), load_i64(tensor + _NBYTES)
        move(to, address, nbytes, load_i64(tensor + _UNIT))
        good = good and is_finite(address, nbytes, load_i64(tensor + _KIND))
        to += nbytes
    if not states_finite(load_i64(replay + _BLOCK)):
        reset_states(load_i64(replay + _BLOCK))
        good = False
    word = load_i32(replay + _GOOD) if good else load_i32(replay + _NOT_FINITE)
    store_i32(replay + _ANSWER + load_i64(replay + _STATUS_AT), word)
    return 0


@inline
def respond(replay, fd, buffer, timespec):
    """Answer what came, if it can be answered here; nothing has been taken from the socket otherwise."""
    if load_i64(replay + _ON) == 0 or load_i64(replay + _BUDGET) <= 0:
        return _NOT_SERVED
    if load_i64(load_i64(replay + _VERSION)) != load_i64(replay + _WANTED):
        return _NOT_SERVED
    size = load_i64(replay + _REQUEST_BYTES)
    if size == _NOTHING:
        return _NOT_SERVED
    if not is_known(replay, buffer, recv(fd, buffer, size + 1, PEEK_DONTWAIT)):
        return _NOT_SERVED
    recv(fd, buffer, size, DONTWAIT)
    store_i64(replay + _BUDGET, load_i64(replay + _BUDGET) - 1)
    answer, first = replay + _ANSWER, load_i64(replay + _ID_AT)
    copy_bytes(answer + first, buffer + first, load_i64(replay + _ID_END) - first)
    begin = now_ns(timespec)
    status = compute(replay, buffer)
    if now_ns(timespec) - begin > _SLOW_NS:
        store_i64(replay + _REQUEST_BYTES, _NOTHING)
    if status == 0:
        store_i64(replay + _ANSWERED, load_i64(replay + _ANSWERED) + 1)
        nbytes = load_i64(replay + _ANSWER_BYTES)
        sent = send(fd, answer, nbytes, SEND)
        if sent == nbytes:
            return _SERVED
        status = -1 - (sent if sent > 0 else 0)  # how much of the answer has gone
    store_i64(replay + _STATUS, status)
    store_i64(replay + _ON, 0)
    return _NOT_SERVED


@inline
def serve(events, count, event_bytes, table, most_fd, buffer, timespec):
    """Answer what can be answered; what is left is moved to the front. Gives how many are left."""
    left = 0
    for i in range(count):
        event = events + i * event_bytes
        fd = load_i32(event + event_bytes - 8)
        served = _NOT_SERVED
        if load_u32(event) == EPOLLIN and 0 <= fd < most_fd:
            replay = load_i64(table + 8 * fd)
            if replay != 0:
                served = respond(replay, fd, buffer, timespec)
        if served == _NOT_SERVED:
            to = events + left * event_bytes
            if to != event:
                copy_bytes(to, event, event_bytes)
            left += 1
    return left


@export
def replay_wait(wait, timeout_ms):
    """Wait as epoll_wait(2) does, answering meanwhile; gives the number of events for Python. `wait` is a `WAIT`."""
    timespec, buffer = stack(16), stack(_BUFFER)
    epoll, events, event_bytes = load_i64(wait + _EPOLL), load_i64(wait + _EVENTS), load_i64(wait + _EVENT_BYTES)
    table, most_fd = load_i64(wait + _TABLE), load_i64(wait + _MOST_FD)
    until = now_ns(timespec) + timeout_ms * _MS
    wait_ms = timeout_ms
    for _ in range(_MORE):
        count = epoll_wait(epoll, events, _MOST_EVENTS, wait_ms)
        if count <= 0:
            return 0
        left = serve(events, count, event_bytes, table, most_fd, buffer, timespec)
        if left > 0:
            return left
        if timeout_ms >= 0:
            wait_ms = (until - now_ns(timespec) + _MS - 1) // _MS
            if wait_ms <= 0:
                return 0
    return 0
