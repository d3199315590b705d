"""The first lanes of vectors, stored in parts of 8, 4, 2 and 1: stores with a mask take long on some processors."""

from typing import Any

from llvmlite import ir

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def store_tails(builder: Any, places: list[Any], values: list[Any], left: Any, size: int) -> None:
    """Emit the stores of the first `left` lanes of each vector; all of them, where it has no more, none, where `left` is negative.

    Args:
        places: an address for each vector.
        values: vectors of one type, a power of two of lanes.
        left: int64.
        size: bytes of an element.
    """
    lanes = values[0].type.count
    with builder.if_else(builder.icmp_signed(">=", left, _I64(lanes))) as (whole, some):
        with whole:
            _store(builder, places, values, size)
        with some:
            left = builder.select(builder.icmp_signed("<", left, _I64(0)), _I64(0), left)
            while lanes > 1:
                lanes //= 2
                places, values = _half(builder, places, values, left, size)


def _half(builder: Any, places: list[Any], values: list[Any], left: Any, size: int) -> tuple[list[Any], list[Any]]:
    """The first half of each vector, if `left` has the bit of its lanes; gives the half that remains, and where it belongs."""
    lanes = values[0].type.count // 2
    low, high = ([_lanes(builder, value, at, lanes) for value in values] for at in (0, lanes))
    yes = builder.icmp_signed("!=", builder.and_(left, _I64(lanes)), _I64(0))
    with builder.if_then(yes):
        _store(builder, places, low, size)
    step = builder.select(yes, _I64(lanes * size), _I64(0))
    rest = [builder.select(yes, b, a) for a, b in zip(low, high, strict=True)]
    return [builder.add(place, step) for place in places], rest


def _store(builder: Any, places: list[Any], values: list[Any], size: int) -> None:
    for place, value in zip(places, values, strict=True):
        builder.store(value, builder.inttoptr(place, value.type.as_pointer()), align=size)


def _lanes(builder: Any, value: Any, first: int, lanes: int) -> Any:
    """Some neighbouring lanes of a vector."""
    numbers = ir.Constant(ir.VectorType(_I32, lanes), list(range(first, first + lanes)))
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), numbers)
