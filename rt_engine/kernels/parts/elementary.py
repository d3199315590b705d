"""Elementary functions of vectors, float32 and float64: exp, expm1, log, tanh, sigmoid, softplus, erf.

Every function is a fixed sequence of additions, multiplications, fused multiply-adds, divisions and selects: no
table, no branch, no library call. So its time does not depend on its input, and its bits do not depend on the vector
width. The error bounds, measured over the whole range, are in docs/numerics.md.

A denormal input counts as zero and a result that would be denormal is zero, as everywhere in the executor. NaN gives
NaN.

Coefficients are minimax fits by the Remez algorithm in 240-bit arithmetic, then rounded one after the other, the rest
fitted again; the comment beside each tells the interval and the error of the rounded polynomial. The reductions are
those of Cephes (S. Moshier, 1989) and of fdlibm (Sun Microsystems, 1993).
"""

from math import inf, nan

from rt_engine.kernels.parts.approximation import by_type, constant, integer, polynomial
from rt_native.lang import inline
from rt_native.vector import absolute, bits, copysign, fma, from_bits, select

# --- of the formats ---------------------------------------------------------------------------------------------------

MAGIC = constant(1.5 * 2**23, 1.5 * 2**52)
"""x + MAGIC has the nearest integer of x (ties to even) in its lowest bits, x + MAGIC - MAGIC is that integer."""
SMALLEST = constant(2.0**-126, 2.0**-1022)
"""The smallest number that is not denormal."""
FRACTION_BITS = integer(23, 52)
FRACTION_MASK = integer((1 << 23) - 1, (1 << 52) - 1)
ONE_BITS = integer(0x3F800000, 0x3FF0000000000000)
INFINITY = constant(inf, inf)
NOT_A_NUMBER = constant(nan, nan)
ZERO = constant(0.0, 0.0)
ONE = constant(1.0, 1.0)
HALF = constant(0.5, 0.5)

# --- exp --------------------------------------------------------------------------------------------------------------

LOG2_E = constant(1.4426950408889634, 1.4426950408889634)
LN2_HIGH = constant(0.693145751953125, 0.6931471803691238)
"""The leading bits of ln 2, so few that n * LN2_HIGH is exact."""
LN2_LOW = constant(1.428606765330187e-06, 1.9082149292705877e-10)
EXP_LOWEST = constant(-87.33654022216797, -708.3964185322641)
"""The smallest number whose exp is not denormal: exp is zero below."""
EXP_HIGHEST = constant(88.72283172607422, 709.782712893384)
"""The largest number whose exp is finite: exp is inf above."""

_EXPM1_LOWEST = constant(-20.0, -40.0)
"""expm1 is -1 below."""

EXP_POLYNOMIAL = polynomial(  # (exp(r) - 1 - r) / r**2 for |r| <= ln(2) / 2; error of exp 2**-28.2, 2**-57.7
    (0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.008369200862944126, 0.001383906346745789),
    (
        0.5000000000000011,
        0.16666666666666435,
        0.04166666666652579,
        0.00833333333347782,
        0.0013888888944891048,
        0.00019841269562694523,
        2.4801491617100922e-05,
        2.7557514074873234e-06,
        2.7630850290064064e-07,
        2.503028070884197e-08,
    ),
)


@inline
def at_most(x, limit):
    """The smaller of two, NaN where x is; one instruction where `minimum` takes several."""
    return select(limit < x, limit, x)


@inline
def at_least(x, limit):
    """The larger of two, NaN where x is."""
    return select(limit > x, limit, x)


@inline
def exp_parts(x):
    """(n, u) with exp(x) = 2**n * (1 + u), |u| < 0.42; n stands in the exponent's place of an integer vector."""
    shifted = fma(x, LOG2_E(x), MAGIC(x))
    n = shifted - MAGIC(x)
    r = fma(n, -LN2_HIGH(x), x)
    r = fma(n, -LN2_LOW(x), r)
    u = fma(r * r, EXP_POLYNOMIAL(r), r)
    return bits(shifted) << FRACTION_BITS(x), u


@inline
def exp(x):
    """exp(x)."""
    n, u = exp_parts(x)
    y = from_bits(bits(u + ONE(x)) + n)
    y = select(x < EXP_LOWEST(x), ZERO(x), y)
    return select(x <= EXP_HIGHEST(x), y, x * INFINITY(x))


@inline
def expm1(x):
    """exp(x) - 1 for x <= 88 (709 in float64), without cancellation near zero."""
    n, u = exp_parts(at_least(x, _EXPM1_LOWEST(x)))
    power = from_bits(ONE_BITS(x) + n)
    return fma(power, u, power - ONE(x))


# --- log --------------------------------------------------------------------------------------------------------------

_HALF_SQRT_BITS = integer(0x3F3504F3, 0x3FE6A09E667F3BCD)
"""sqrt(1/2): the mantissa is taken between it and twice it."""
_MAGIC_BITS = integer(0x4B400000, 0x4338000000000000)

# (log(1 + f) - f + f**2 / 2) / f**3 for f of sqrt(1/2) - 1 to sqrt(2) - 1; error of log 2**-29.1, 2**-56.5
_LOG = polynomial(
    (
        0.3333331346511841,
        -0.2500016689300537,
        0.20002223551273346,
        -0.16659381985664368,
        0.1420956552028656,
        -0.12549005448818207,
        0.12108232080936432,
        -0.10921034961938858,
        0.0534503310918808,
    ),
    (
        0.3333333333333314,
        -0.24999999999987968,
        0.20000000000066998,
        -0.16666666669827865,
        0.1428571428004442,
        -0.12499999691243806,
        0.11111111150313376,
        -0.10000015216959325,
        0.09090923842887282,
        -0.083329132318723,
        0.07691531455927582,
        -0.0714944477534028,
        0.06684570758385806,
        -0.061966199608005625,
        0.056684891423628994,
        -0.056781978554393465,
        0.06503325268442417,
        -0.05980330176804237,
        0.02614039527926968,
    ),
)


@inline
def log_mantissa(f, n):
    """log(1 + f) + n * ln 2, for f of sqrt(1/2) - 1 to sqrt(2) - 1 and an integer n."""
    square = f * f
    tail = fma(square * f, _LOG(f), n * LN2_LOW(f))
    tail = fma(square, -HALF(f), tail)
    whole = n * LN2_HIGH(f)
    head = whole + f
    lost = (whole - head) + f
    return head + (tail + lost)


@inline
def split_exponent(x):
    """(m, n) with x = m * 2**n and m of sqrt(1/2) to sqrt(2), for positive normal x."""
    shifted = bits(x) - _HALF_SQRT_BITS(x)
    n = from_bits((shifted >> FRACTION_BITS(x)) + _MAGIC_BITS(x)) - MAGIC(x)
    m = from_bits((shifted & FRACTION_MASK(x)) + _HALF_SQRT_BITS(x))
    return m, n


@inline
def log(x):
    """The natural logarithm: -inf at zero, NaN below."""
    m, n = split_exponent(x)
    y = log_mantissa(m - ONE(x), n)
    y = select(x < INFINITY(x), y, x)
    outside = select(x > -SMALLEST(x), -INFINITY(x), NOT_A_NUMBER(x))
    return select(x < SMALLEST(x), outside, y)


# --- tanh, sigmoid, softplus ------------------------------------------------------------------------------------------

_TANH = polynomial(  # (tanh(a) - a) / a**3 in a**2 for a < 0.75; error of tanh 2**-29.1
    (
        -0.33333316445350647,
        0.1333272010087967,
        -0.0538945347070694,
        0.021457793191075325,
        -0.007665812503546476,
        0.001741756685078144,
    ),
    (),
)


def _tanh_single(x):
    """1 - 2 / (exp(2a) + 1) from 0.75 on, an odd polynomial below (Cephes tanhf)."""
    a = absolute(x)
    n, u = exp_parts(at_most(a + a, 20.0))
    large = 1.0 - 2.0 / (from_bits(bits(u + 1.0) + n) + 1.0)
    square = a * a
    small = fma(a * square, _TANH(square), a)
    return copysign(select(a >= 0.75, large, small), x)


def _tanh_double(x):
    """-t / (2 + t) with t = expm1(-2a)."""
    a = absolute(x)
    t = expm1(-(a + a))
    return copysign(-t / (t + 2.0), x)


tanh = by_type(_tanh_single, _tanh_double)
"""The hyperbolic tangent."""


@inline
def sigmoid(x):
    """1 / (1 + exp(-x)), with the rounding errors of the exponential and of the sum carried along."""
    one = ONE(x)
    n, u = exp_parts(at_least(at_most(-x, -EXP_LOWEST(x)), EXP_LOWEST(x) * HALF(x)))
    power = from_bits(ONE_BITS(x) + n)
    head = one + u
    lost = (one - head) + u
    e = power * head
    large, small = select(e > one, e, one), select(e > one, one, e)
    d = large + small
    rest = fma(power, lost, (large - d) + small)
    y = one / d
    correction = fma(-rest, y, fma(-d, y, one))
    return select(x < EXP_LOWEST(x), ZERO(x), fma(correction, y, y))


_SQRT2_LESS_ONE = constant(0.41421354, 0.4142135623730950)


@inline
def softplus(x):
    """log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|))."""
    e = exp(-absolute(x))
    upper = e > _SQRT2_LESS_ONE(x)
    f = select(upper, fma(e, HALF(x), -HALF(x)), e)
    return at_least(x, ZERO(x)) + log_mantissa(f, select(upper, ONE(x), ZERO(x)))


# --- erf --------------------------------------------------------------------------------------------------------------

_ERF_SMALL = polynomial(  # erf(a) / a - 1 in a**2 for a < 0.9375 (1); error of erf 2**-30.0, 2**-56.0
    (
        0.12837916612625122,
        -0.3761262893676758,
        0.11283625662326813,
        -0.02685573697090149,
        0.005192438140511513,
        -0.000805038376711309,
        8.000271918717772e-05,
    ),
    (
        0.12837916709551256,
        -0.37612638903183343,
        0.1128379167093695,
        -0.026866170641959137,
        0.005223977596735802,
        -0.0008548325484989982,
        0.00012055280496081143,
        -1.4924465624189106e-05,
        1.6444150281776816e-06,
        -1.6183988062327907e-07,
        1.3616681355703748e-08,
        -7.607769735575989e-10,
    ),
)
_ERF_LARGE = polynomial(  # log(erfc(a)) for 0.9 < a < 4 (0.98 to 5.95); error of erf 2**-33.8, 2**-62.1
    (
        0.00016920350026339293,
        -1.1294883489608765,
        -0.633401095867157,
        -0.1082199364900589,
        0.025080187246203423,
        -0.004156029783189297,
        0.0004313326789997518,
        -2.082199716824107e-05,
    ),
    (
        -1.8543466213448192e-08,
        -1.1283790101359932,
        -0.6366202839256987,
        -0.10277215025205594,
        0.019130800314253824,
        0.00019809378905209137,
        -0.0016700269569791433,
        0.0005478129981698859,
        2.5345166267945164e-05,
        -0.00011275173443993548,
        6.569766015043272e-05,
        -2.4639833960871225e-05,
        6.895073031414671e-06,
        -1.4969593939296117e-06,
        2.533945842307599e-07,
        -3.297203354506028e-08,
        3.1932160722997337e-09,
        -2.1700267706186426e-10,
        9.235135967490867e-12,
        -1.8515743583195728e-13,
    ),
)
_ERF_SWITCH, _ERF_END = constant(0.92, 1.0), constant(4.0, 5.95)


@inline
def erf(x):
    """The error function: an odd polynomial near zero, 1 - exp(polynomial) beyond (after N. Juffa)."""
    a = absolute(x)
    square = a * a
    small = fma(a, _ERF_SMALL(square), a)
    n, u = exp_parts(_ERF_LARGE(at_most(a, _ERF_END(x))))
    large = ONE(x) - from_bits(bits(u + ONE(x)) + n)
    return copysign(select(a >= _ERF_SWITCH(x), large, small), x)
