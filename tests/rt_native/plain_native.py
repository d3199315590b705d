"""What plain functions are made of, a piece in each: Python itself, run on the same numbers, says what is right."""

from rt_native.lang import inline, load_f64, load_i64, load_u8, stack, store_f64, store_i8, store_i64

_TWO, _NAMES, _NONE, _IS_ON, _IS_OFF, _AREA = 2, (3, 5, 8), (), True, False, 64


@inline
def _both(a, b):
    return a + b, a - b


@inline
def _sign(a):
    if a < 0:
        return False
    return a + 1  # a bool or a number: a number


@inline
def _nothing(a):
    if a > 0:
        return
    a += 1


def arithmetic(a, b):
    """Rounded down, as Python does; by zero only where it is not asked."""
    whole, rest = (a // b, a % b) if b != 0 else (0, 0)
    return whole * 7 + rest - (a & b) + (a | 3) * 2 - (a ^ b) + (a << 3) - (a >> _TWO) - -b + ~a


def choices(a, b):
    """The value that decided, chains, membership, tests that are known."""
    chosen = (a and b) + (a or b) * 10 + (100 if -3 <= a < b <= 9 else 0)
    chosen += 1000 if a in _NAMES else 2000 if b not in (a, 4) else 0
    if not _IS_ON:
        chosen = no_such_name  # noqa: F821
    return chosen + (0 if a == b else 1 if a > b else -1) + _sign(a) + (not b)


def loops(a, b):
    """Steps forward and back, out of the middle, within each other."""
    total = last = 0
    for i in range(a, b, 2):
        if i == 3:
            continue
        for k in range(b, a, -3):
            total += i * k
            if total > 900:
                break
        last = i
    while total > 0 and last < 50:
        total, last = total - 7, last + 1
        if total % 5 == 0:
            break
    for _ in range(a):
        last += 1
    return total * 100 + last


def several(a, b):
    """Two values at once, swapped; a function that gives nothing; a choice between none."""
    a, b = _both(a, b)
    a, b = b, a
    _nothing(a)
    value = a > 3
    whether = value
    return a * 1000 + b + whether + (a in _NONE) + min(a, b, 4) * 3 + max(a, -b) + abs(a) + int(a > b)


def fractions(a, b):
    """NaN loses every comparison, so that the first of two stays."""
    x, y = a / 3, float(b) * 0.5
    nan = x / 0.0 * 0.0 if _IS_ON else 0.0
    kept = min(nan, y) != min(nan, y) and max(y, nan) == y and not nan > x
    return round(min(x, y) * 100.0) + int(max(x, y, 1.5) * 8.0) + (7 if kept else 0) + round(2.5)


def memory(a, b):
    """Bytes without a sign, words, numbers of eight bytes."""
    area = stack(_AREA)
    store_i64(area, a)
    store_i8(area + 8, b)
    store_f64(area + 16, a * 1.5)
    return load_i64(area) + load_u8(area + 8) * 3 + int(load_f64(area + 16))


@inline
def _in_steps(first, stop, step):
    total = 0
    for i in range(first, stop, step):
        total = (total * 3 + i) % 1009
    return total


def steps(a, b):
    """A step that is known when it runs, either way; ranges that are empty."""
    by = b if b != 0 else 1
    return _in_steps(a, 20, by) + _in_steps(-20, a, by) * 5 + _in_steps(20, a, -by) * 7


_twice, _square = inline(lambda x: x * 2), inline(lambda x: x * x)


def parts(a, b):
    """Functions of one line, places of a tuple."""
    pair = (_twice(a), _square(b), a < b)
    return pair[0] * 3 + pair[-2] - pair[2]


def constants(a, b, /):
    """What is known is never the value of `and` and `or`."""
    return (_IS_ON and a) * 3 + (_IS_OFF or b) + (_IS_OFF or a) - (_IS_OFF and a)


PIECES = (arithmetic, choices, loops, several, fractions, steps, parts, constants)
