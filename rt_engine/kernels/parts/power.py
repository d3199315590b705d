"""pow of vectors: x**y as IEEE 754 and ONNX say, for negative, zero, infinite and NaN operands too.

    |x| --log2 (log)--> times y --exp2 (exp)--> |x|**y --sign, special cases--> x**y

A product y * log(x) of 700 turns an error of its last bit into one of 700 in the result. So float32 works in float64,
and float64 carries the logarithm and the product in two numbers each (after N. Shibata, SLEEF).
"""

from rt_engine.kernels.parts.approximation import by_type, narrow, polynomial, widen_high, widen_low
from rt_engine.kernels.parts.elementary import (
    EXP_POLYNOMIAL,
    INFINITY,
    NOT_A_NUMBER,
    ONE,
    SMALLEST,
    ZERO,
    at_least,
    at_most,
    split_exponent,
)
from rt_native.lang import inline
from rt_native.vector import absolute, bits, copysign, fma, fma_once, from_bits, round_even, select

_MAGIC = 1.5 * 2.0**52

_LOG2 = polynomial(  # log2(1 + f) / f for f of sqrt(1/2) - 1 to sqrt(2) - 1; error 2**-38.4
    (),
    (
        1.4426950408865744,
        -0.7213475203273756,
        0.48089834880252375,
        -0.36067379317938847,
        0.2885387958344057,
        -0.24044643137758706,
        0.20610711714197932,
        -0.18043679766874787,
        0.16021681558135187,
        -0.14249801419424202,
        0.13027336324346875,
        -0.13463212823369178,
        0.13252689175389798,
        -0.06975053656621245,
    ),
)
_EXP2 = polynomial(  # (2**r - 1) / r for |r| <= 1/2; error 2**-32.0
    (),
    (
        0.6931471838220521,
        0.2402265092112672,
        0.05550400365210783,
        0.009618056858879256,
        0.0013341955574420602,
        0.00015461390889164647,
        1.3359546627079259e-05,
    ),
)
_ATANH = polynomial(  # (2 atanh(s) - 2 s - 2/3 s**3) / s**5 in s**2 for |s| < 0.172; error of log 2**-73.3
    (),
    (
        0.39999999999999974,
        0.2857142857144705,
        0.22222222217067564,
        0.18181818927561103,
        0.15384552985430494,
        0.1333646613334894,
        0.1167181549664158,
        0.12013891143941956,
    ),
)


@inline
def _special_logarithm(a, log):
    """The logarithm of a >= 0, with -inf at 0 (and where a is denormal), inf at inf, NaN at NaN."""
    log = select(a < INFINITY(a), log, a)
    return select(a < SMALLEST(a), -INFINITY(a), log)


@inline
def _special_power(x, y, power):
    """`power` is |x|**y; gives x**y."""
    whole = round_even(y)
    half = y * 0.5
    odd = (whole == y) & (round_even(half) != half)
    power = select(odd, copysign(power, x), power)
    power = select((x <= -SMALLEST(x)) & (x > -INFINITY(x)) & (whole != y), NOT_A_NUMBER(x), power)
    one = (y == 0.0) | (x == 1.0) | ((x == -1.0) & (absolute(y) == INFINITY(y)))
    return select(one, ONE(x), power)


# --- float32 ----------------------------------------------------------------------------------------------------------


@inline
def _power_of_8(a, y):
    """a**y for 8 float32 values held in float64, a >= 0."""
    m, n = split_exponent(a)
    f = m - 1.0
    log2 = _special_logarithm(a, fma(f, _LOG2(f), n))
    t = at_most(at_least(y * log2, -200.0), 200.0)
    shifted = t + _MAGIC
    r = t - (shifted - _MAGIC)
    power = fma(r, _EXP2(r), 1.0)
    scaled = from_bits(bits(power) + (bits(shifted) << 52))
    return select(t < -126.0, 0.0, select(t == t, scaled, t))


def _pow_single(x, y):
    a = absolute(x)
    low = _power_of_8(widen_low(a), widen_low(y))
    high = _power_of_8(widen_high(a), widen_high(y))
    return _special_power(x, y, narrow(low, high))


# --- float64 ----------------------------------------------------------------------------------------------------------

_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
_TWO_THIRDS, _TWO_THIRDS_LOW = 0.6666666666666666, 3.700743415417188e-17
_LOG2_E = 1.4426950408889634
_HIGHEST, _LOWEST = 709.782712893384, -708.3964185322641


@inline
def _logarithm(a):
    """log(a) of positive normal a, as the sum of two numbers, to about 2**-64."""
    m, n = split_exponent(a)
    f = m - 1.0
    # s = f / (2 + f) = s + s_low; log(m) = 2 s + 2/3 s**3 + ...
    d = m + 1.0
    d_low = m - (d - 1.0)
    inverse = 1.0 / d
    s = f * inverse
    s_low = fma(-s, d_low, fma_once(-s, d, f)) * inverse
    square = s * s
    square_low = fma_once(s, s, -square) + 2.0 * s * s_low
    cube = s * square
    cube_low = fma_once(s, square, -cube) + fma(s, square_low, s_low * square)
    third = cube * _TWO_THIRDS
    third_low = fma_once(cube, _TWO_THIRDS, -third) + fma(cube, _TWO_THIRDS_LOW, cube_low * _TWO_THIRDS)
    whole = n * _LN2_HIGH
    head = whole + 2.0 * s
    lost = (whole - head) + 2.0 * s
    sum_ = head + third
    lost = lost + ((head - sum_) + third)
    low = lost + fma(n, _LN2_LOW, fma(cube * square, _ATANH(square), fma(2.0, s_low, third_low)))
    high = sum_ + low
    return high, (sum_ - high) + low


def _pow_double(x, y):
    a = absolute(x)
    high, low = _logarithm(a)
    high = _special_logarithm(a, high)
    product = y * high
    t = at_most(at_least(product, -800.0), 800.0)
    product_low = fma_once(y, high, -product) + y * low
    product_low = select(absolute(product) < 800.0, product_low, 0.0)
    shifted = fma(t, _LOG2_E, _MAGIC)
    n = shifted - _MAGIC
    exact = fma(n, -_LN2_HIGH, t)
    rest = fma(n, -_LN2_LOW, product_low)
    r = exact + rest
    r_low = (exact - r) + rest
    power = 1.0 + (r + fma(r * r, EXP_POLYNOMIAL(r), r_low))
    # 2**n in two steps where n may be 1024
    twice = select(t > 0.0, ONE(t), ZERO(t))
    scaled = from_bits(bits(power) + (bits(shifted - twice) << 52)) * (twice + 1.0)
    scaled = select(t < _LOWEST, 0.0, select(t > _HIGHEST, INFINITY(t), scaled))
    return _special_power(x, y, select(t == t, scaled, t))


pow = by_type(_pow_single, _pow_double)
"""x**y."""
