"""When a monitor speaks: pure arithmetic, the same functions in native code and in tests. Times are nanoseconds of one clock.

    value                 o o
    limit          ----o-------o--------------     over from here ...
                      o         o  o
    limit - hyst.  -------------------o-------     ... until it is down here, once the monitor speaks
                  o o                   o o o
    over_since    . . . t t t t t t t t . . .
    speaks        0 0 0 0 0 1 1 1 1 1 1 0 0 0      with a delay of two periods

It speaks in the cycle in which the value has been over for `delay`; with delay 0, in the first cycle that is over. A value that is
NaN is over: what cannot be told is not trusted.
"""

NOT_OVER = -1


def is_over(value: float, limit: float, hysteresis: float, speaks: int) -> bool:
    """Is a value over the limit? Of a monitor that speaks: is it still above `limit - hysteresis`?"""
    return not value <= (limit - hysteresis if speaks else limit)


def over_since(since_ns: int, over: bool, tick_ns: int) -> int:
    """The tick of the first of the cycles in a row that are over; `NOT_OVER` where this one is not."""
    if not over:
        return NOT_OVER
    return tick_ns if since_ns == NOT_OVER else since_ns


def speaks(since_ns: int, tick_ns: int, delay_ns: int) -> int:
    """1 where the value has been over for as long as the delay."""
    return 1 if since_ns != NOT_OVER and tick_ns - since_ns >= delay_ns else 0
