"""Pieces of the exchange on a bus, each by itself and at whatever time it is. A native module: the compiler imports it."""

from fieldbus.exchange.block import EXCHANGE, TRANSACTION
from fieldbus.exchange.exchange_native import begin, finish
from fieldbus.exchange.packets_native import receive_packets, step_packets
from rt_native.lang import call5, export, load_i64, stack, store_u8
from rt_native.memory import offsets
from rt_native.sockets import SEND, recv, send

_X, _T = offsets(EXCHANGE), offsets(TRANSACTION)
_CARRY_OUT, _NUMBER, _TRANSACTIONS, _QUALITY = _X.carry_out, _X.number, _X.transactions, _T.quality
_ALL, _NEVER = 0, (1 << 63) - 1


@export
def bus_begin(exchange, phase, now):  # type: ignore[no-untyped-def]
    """Begin a phase; gives 0 if the exchange is not to be had."""
    return begin(exchange, phase, now)


@export
def bus_step(exchange, now):  # type: ignore[no-untyped-def]
    """Do what time brings."""
    return step_packets(exchange, now)


@export
def bus_receive(exchange, now):  # type: ignore[no-untyped-def]
    """Take from the descriptor what has come."""
    receive_packets(exchange, now)
    return 0


@export
def bus_finish(exchange, phase, now):  # type: ignore[no-untyped-def]
    """End a phase."""
    finish(exchange, phase, now)
    return 0


@export
def bus_hammer(table, peer, answer, nbytes, places, rounds, area):  # type: ignore[no-untyped-def]
    """Whole phases of a plan of one frame, with the answer sent beforehand: its number is known. Gives how many were GOOD.

    `places`: how many datagrams there are, and the byte of each that has a part of the number.
    """
    exchange, good = load_i64(table), 0
    request = stack(2048)
    for _ in range(rounds):
        left, mark = load_i64(exchange + _NUMBER) + 1, 0x80
        for i in range(load_i64(places)):
            store_u8(answer + load_i64(places + 8 + 8 * i), (left & (0xFF ^ mark)) | mark)
            left = left >> (7 if mark != 0 else 8)
            mark = 0
        send(peer, answer, nbytes, SEND)
        call5(load_i64(exchange + _CARRY_OUT), table, 1, _ALL, _NEVER, area)
        recv(peer, request, 2048, 0)
        if load_i64(load_i64(exchange + _TRANSACTIONS) + _QUALITY) == 0:
            good += 1
    return good
