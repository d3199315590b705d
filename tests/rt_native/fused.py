"""Operands for a multiply-add that are hard to round, and what is right: in rational numbers, with denormals as zero.

python -m tests.rt_native.fused [SECONDS]     the software against this processor's instruction, on random hard operands
"""

import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_native.library import Library
from rt_native.target import Target, host
from tests import ROOT

Floats = NDArray[Any]
FORMATS = {"f32": (np.float32, np.int32, 23, 127), "f64": (np.float64, np.int64, 52, 1023)}
"""Suffix -> number, integer of its size, bits of the fraction, bias of the exponent."""
V2 = ("x86_64-unknown-linux-gnu", "x86-64-v2", "", 4)


def library(target: Target) -> Library:
    """The functions of `multiply_add_native` for a target."""
    return Library("multiply-add", ("tests.rt_native.multiply_add_native",), target, (str(ROOT),))


def run(native: Library, name: str, a: Floats, b: Floats, c: Floats) -> Floats:
    """One of the functions over arrays, whose length is a multiple of 16."""
    out = np.empty_like(a)
    addresses = [np.ascontiguousarray(x).ctypes.data for x in (a, b, c)]
    native.function(name)(*addresses, out.ctypes.data, a.nbytes // 64)
    return out


def same(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Bit for bit; every NaN is like every other."""
    return (a.view(f"i{a.itemsize}") == b.view(f"i{a.itemsize}")) | (np.isnan(a) & np.isnan(b))


def right(kind: str, a: Floats, b: Floats, c: Floats) -> Floats:
    """What a multiply-add gives, one by one, of finite operands."""
    number, _, fraction, bias = FORMATS[kind]
    return np.array([_right(*map(float, abc), fraction, bias) for abc in zip(a, b, c, strict=True)], number)


def _right(a: float, b: float, c: float, fraction: int, bias: int) -> float:
    least = Fraction(2) ** (1 - bias)
    x, y, z = (Fraction(v) if abs(Fraction(v)) >= least else Fraction(0) for v in (a, b, c))
    exact = x * y + z
    if exact == 0:
        negative_product = np.signbit(a) != np.signbit(b)
        both = bool(negative_product) and bool(np.signbit(c)) and z == 0 and x * y == 0
        return -0.0 if both else 0.0
    sign, exact = (-1.0 if exact < 0 else 1.0), abs(exact)
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > exact
    unit = Fraction(2) ** (exponent - fraction)
    rounded = round(exact / unit) * unit  # to nearest, ties to even
    if rounded >= Fraction(2) ** (bias + 1):
        return sign * float("inf")
    return sign * (float(rounded) if rounded >= least else 0.0)


# --- hard operands -----------------------------------------------------------------------------------------------------


def _any(rng: np.random.Generator, kind: str, n: int) -> tuple[Floats, Floats, Floats]:
    """Any bits: zeros, infinities, NaN and denormals among them."""
    number, integer, _, bias = FORMATS[kind]
    bits = rng.integers(np.iinfo(integer).min, np.iinfo(integer).max, (3, n), integer, endpoint=True)
    values = bits.view(number).copy()
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 2.0 ** (1 - bias), np.finfo(number).max, 1.0], number)
    values = np.where(rng.random((3, n)) < 0.1, rng.choice(special, (3, n)), values)
    return values[0], values[1], values[2]


def _sized(rng: np.random.Generator, kind: str, n: int, lowest: int, highest: int) -> Floats:
    """Numbers with exponents between two limits and few or many bits."""
    number, integer, fraction, bias = FORMATS[kind]
    bits = rng.integers(0, 1 << fraction, n, np.int64)
    bits &= ~((1 << rng.integers(0, fraction + 1, n)) - 1)
    exponent = rng.integers(lowest, highest + 1, n) + bias
    sign = rng.integers(0, 2, n) << (np.iinfo(integer).bits - 1)
    return ((exponent << fraction) | bits | sign).astype(np.int64).astype(integer).view(number)


def _near(rng: np.random.Generator, kind: str, n: int, lowest: int, highest: int) -> tuple[Floats, Floats, Floats]:
    """Products and addends of sizes at which each decides how the other is rounded, or they cancel."""
    number, integer, fraction, bias = FORMATS[kind]
    a, b = (_sized(rng, kind, n, lowest // 2, highest // 2) for _ in range(2))
    with np.errstate(all="ignore"):
        product = (a * b).astype(number)
        shift = rng.integers(-2 * fraction - 4, 2 * fraction + 4, n)
        whole = np.ldexp(_sized(rng, kind, n, 0, 0), np.clip(np.frexp(product)[1] + shift, 2 - bias, bias - 1))
        step = rng.integers(-2, 3, n).astype(integer)
        close = (-product).view(integer) + np.where(np.isfinite(product) & (product != 0), step, 0).astype(integer)
    return a, b, np.where(rng.random(n) < 0.5, whole.astype(number), close.astype(integer).view(number))


def _just_off_a_tie(rng: np.random.Generator, kind: str, n: int) -> tuple[Floats, Floats, Floats]:
    """(1 + 2^-j) * (1 - 2^-j) is 1 less a bit that no second rounding sees; the addend makes it half of a last place."""
    number, _, fraction, bias = FORMATS[kind]
    tiny = 2.0 ** -rng.integers(fraction // 2, fraction + 1, n)
    scale, sign = 2.0 ** rng.integers(-bias // 3, bias // 3, n), rng.choice([-1.0, 1.0], (2, n))
    c = _sized(rng, kind, n, fraction + 1, fraction + 1)
    return (
        (scale * (1 + tiny)).astype(number),
        (sign[0] * (1 - tiny)).astype(number),
        (sign[1] * scale * c).astype(number),
    )


def operands(rng: np.random.Generator, kind: str, n: int) -> dict[str, tuple[Floats, Floats, Floats]]:
    """What they are -> a, b and c."""
    bias = FORMATS[kind][3]
    return {
        "any bits": _any(rng, kind, n),
        "just off a tie": _just_off_a_tie(rng, kind, n),
        "near one": _near(rng, kind, n, -6, 6),
        "all sizes": _near(rng, kind, n, 3 - bias, bias - 1),
        "near underflow": _near(rng, kind, n, 2 - bias, 8 - bias + 2 * FORMATS[kind][2]),
        "near overflow": _near(rng, kind, n, bias - 6, bias + 3),
    }


def differences(ours: Callable[..., Floats], theirs: Callable[..., Floats], n: int, seed: int) -> list[str]:
    """The first operands of each sort at which two functions (kind, a, b, c) give other bits."""
    found = []
    for kind in FORMATS:
        for sort, abc in operands(np.random.default_rng(seed), kind, n).items():
            one, other = ours(kind, *abc), theirs(kind, *abc)
            if len(wrong := np.flatnonzero(~same(one, other))):
                a, b, c = (float(v[wrong[0]]).hex() for v in abc)
                what = f"{a} * {b} + {c}: {float(one[wrong[0]]).hex()}, not {float(other[wrong[0]]).hex()}"
                found.append(f"{kind}, {sort}, {len(wrong)} of {n}: {what}")
    return found


def main(seconds: float) -> None:
    """Compare for so long, and say how much was."""
    exact, instruction = library(Target(*V2, "exact")), library(host())
    n, done, seed, end = 1 << 20, 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        found = differences(
            lambda kind, *abc: run(exact, f"fma_{kind}", *abc),
            lambda kind, *abc: run(instruction, f"fma_{kind}", *abc),
            n,
            seed,
        )
        if found:
            raise SystemExit("\n".join(found))
        done, seed = done + 2 * len(operands(np.random.default_rng(0), "f32", 16)) * n, seed + 1
    print(f"{done:,} multiply-adds, every bit as the instruction's")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
