"""sin and cos of vectors, exact in the reduction of every argument, however large.

    x --times 1 / (2 pi), modulo 1--> turns --minus the nearest quarter, times 2 pi--> g --> sin g or cos g, |g| <= pi/4

The product is taken with as many bits of 1 / (2 pi) as the largest argument needs (M. Payne and R. Hanek, 1983),
always: the time does not depend on x.

- float32 works in float64, where x times 29 bits is exact. Seven such products, each modulo 1, cover every exponent.
- float64 takes 208 bits of 1 / (2 pi), from where they begin to matter for the exponent of x (a table of 352 bytes),
  and carries the sum in two numbers.
"""

from rt_engine.kernels.parts.approximation import by_type, narrow, polynomial, table, widen_high, widen_low
from rt_native.lang import inline
from rt_native.vector import absolute, bits, floor, fma, fma_once, from_bits, round_even, select

_MAGIC, _MAGIC_BITS = 1.5 * 2.0**52, 0x4338000000000000
_TWO_PI, _TWO_PI_LOW = 6.283185307179586, 2.4492935982947064e-16
_SIGN_BIT = -(1 << 63)

_SIN_SINGLE = polynomial(  # (sin(g) / g - 1) / g**2 in g**2; error 2**-37.5
    (), (-0.16666666640776348, 0.008333329302426909, -0.00019839311488075535, 2.7181141409429174e-06)
)
_COS_SINGLE = polynomial(  # (cos(g) - 1 + g**2 / 2) / g**4 in g**2; error 2**-33.0
    (), (0.041666645670184965, -0.001388731561483976, 2.4433082251429796e-05)
)
_SIN = polynomial(  # likewise; error 2**-63.2
    (),
    (
        -0.16666666666666666,
        0.008333333333333042,
        -0.00019841269840962473,
        2.755731907398492e-06,
        -2.5052070923376028e-08,
        1.6054311614328023e-10,
        -7.389464253065431e-13,
    ),
)
_COS = polynomial(  # likewise; error 2**-63.9
    (),
    (
        0.041666666666666595,
        -0.0013888888888873338,
        2.480158728899748e-05,
        -2.75573142152992e-07,
        2.087570511502645e-09,
        -1.1358732779220816e-11,
    ),
)


@inline
def _fraction(p):
    """p modulo 1, in [-1/2, 1/2]; exact."""
    return p - round_even(p)


@inline
def _choose(quadrant, sine, cosine, negative):
    """What of sine and cosine the quadrant asks for, with its sign; `negative` has the sign bit that flips it."""
    y = select((quadrant & 1) != 0, cosine, sine)
    return from_bits(bits(y) ^ (((quadrant & 2) << 62) ^ negative))


# --- float32 ----------------------------------------------------------------------------------------------------------


@inline
def _single(x, shift, odd):
    """sin(x + shift * pi / 2) of 8 float32 values held in float64; `odd` is the sign bit for sin, an odd function."""
    a = absolute(x)
    # 1 / (2 pi) in pieces of 29 bits
    r0 = _fraction(a * 0.15915494225919247)
    r1 = _fraction(a * 8.327028684640414e-10)
    r2 = _fraction(a * 5.69002511952534e-19)
    r3 = _fraction(a * 6.317065083361892e-27)
    r4 = _fraction(a * 5.595982707708916e-36)
    r5 = _fraction(a * 6.551007945072098e-45)
    r6 = _fraction(a * 9.301187157400502e-54)
    turns = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + r6)
    shifted = fma(turns, 4.0, _MAGIC)
    quarter = shifted - _MAGIC
    f = fma(quarter, -0.25, r0)
    f = f + r1
    f = f + r2
    f = f + r3
    f = f + (r4 + (r5 + r6))
    g = f * _TWO_PI
    z = g * g
    sine = fma(g * z, _SIN_SINGLE(z), g)
    cosine = fma(z * z, _COS_SINGLE(z), fma(z, -0.5, 1.0))
    return _choose(bits(shifted) + shift, sine, cosine, bits(x) & odd)


def _sin_single(x):
    return narrow(_single(widen_low(x), 0, _SIGN_BIT), _single(widen_high(x), 0, _SIGN_BIT))


def _cos_single(x):
    return narrow(_single(widen_low(x), 1, 0), _single(widen_high(x), 1, 0))


# --- float64 ----------------------------------------------------------------------------------------------------------

_STEP = 26
_TURN_DIGITS = (  # of 1 / (2 pi), hexadecimal, after the point
    "28be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aef1586dc91b8e909374b801924bba827464873f"
    "877ac72c4a69cfba208d7d4baed1213a671c09ad17df904e64758e60d4ce7d272117e2ef7e4a0ec7fe25fff7816603fbcb"
    "c462d6829b47db4d9fb3c9f2c26dd3d18fd9a797fa8b5d49eeb1faf97c5ecf41ce7de294a4ba9afed7ec47e357421580c"
)


def _pieces(digits: str) -> list[float]:
    """52 bits of 1 / (2 pi) at every 26th bit, each as a number in [0, 1)."""
    number, length = int(digits, 16), 4 * len(digits)
    count = (length - 52) // _STEP + 1
    return [((number >> (length - 52 - _STEP * i)) & ((1 << 52) - 1)) * 2.0**-52 for i in range(count)]


_PIECE = table(_pieces(_TURN_DIGITS))


@inline
def _two_sum(a, b):
    """(a + b, what its rounding lost); exact."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inline
def _double(x, shift, odd):
    """sin(x + shift * pi / 2); `odd` is the sign bit for sin, an odd function."""
    a = absolute(x)
    # Bits of 1 / (2 pi) before `start` make whole turns: leave them out, and scale x by as much.
    exponent = from_bits((bits(a) >> 52) + _MAGIC_BITS) - _MAGIC
    window = floor((exponent - (1023.0 + 52.0 - 0.5)) * (1.0 / _STEP))
    window = select(window > 0.0, window, 0.0)
    start = bits(window + _MAGIC) & 63
    scaled = from_bits(bits(a) - (bits(window * float(_STEP) + _MAGIC) << 52))
    second, third, fourth = scaled * 2.0**-52, scaled * 2.0**-104, scaled * 2.0**-156
    c0, c1, c2, c3 = _PIECE(start), _PIECE(start + 2), _PIECE(start + 4), _PIECE(start + 6)
    p0, p1, p2 = scaled * c0, second * c1, third * c2
    r0, r1 = _fraction(p0), _fraction(p1)
    l0, l1, l2 = _fraction(fma_once(scaled, c0, -p0)), fma_once(second, c1, -p1), fma(third, c2, -p2)
    shifted = fma((r0 + l0) + (r1 + p2), 4.0, _MAGIC)
    quarter = shifted - _MAGIC
    f, e0 = _two_sum(fma(quarter, -0.25, r0), l0)
    f, e1 = _two_sum(f, r1)
    f, e2 = _two_sum(f, l1)
    f, e3 = _two_sum(f, p2)
    rest = (e0 + e1) + (e2 + e3) + fma(fourth, c3, l2)
    high = f + rest
    low = (f - high) + rest
    g = high * _TWO_PI
    lost = fma(high, _TWO_PI_LOW, fma_once(high, _TWO_PI, -g)) + low * _TWO_PI
    z = g * g
    half = z * 0.5
    sine = g + fma(g * z, _SIN(z), fma(-half, lost, lost))
    near = 1.0 - half
    cosine = near + (((1.0 - near) - half) + fma(z * z, _COS(z), -(g * lost)))
    tiny = a < 2.0**-28  # sin x = x, but for the flushing of denormals
    y = _choose(
        bits(shifted) + shift, select(tiny, fma(a, -(2.0**-60), a), sine), select(tiny, 1.0, cosine), bits(x) & odd
    )
    return select(a < float("inf"), y, x - x)


def _sin_double(x):
    return _double(x, 0, _SIGN_BIT)


def _cos_double(x):
    return _double(x, 1, 0)


sin = by_type(_sin_single, _sin_double)
"""The sine; NaN of inf."""
cos = by_type(_cos_single, _cos_double)
"""The cosine; NaN of inf."""
