"""Pieces of the exchange on a bus, each by itself and at whatever time it is. A native module: the compiler imports it."""

from fieldbus.exchange.exchange_native import begin, finish
from fieldbus.exchange.packets_native import receive_packets, step_packets
from rt_native.lang import export


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
