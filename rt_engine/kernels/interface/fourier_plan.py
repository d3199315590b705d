"""Planning of Fourier transforms: what `kernels.fourier` reads. Read at load time; imports no Numba."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOAD_REAL, LOAD_PAIRS, LOAD_COMPLEX, LOAD_HALF = 0, 1, 2, 3
"""A row is read as reals; as pairs of reals; as complex numbers; as the first half of the spectrum of reals."""
STORE_COMPLEX, STORE_PAIRS, STORE_REAL = 0, 1, 2
NONE, SCALAR, VECTOR = 0, 1, 2

PLAN = np.dtype(
    [
        ("n", "<i8"),  # complex length
        ("a", "<i8"),  # n = a * b
        ("stages_a", "<i8"),
        ("stages_b", "<i8"),
        ("turn", "<i8"),  # is there a transposition between them?
        ("plane", "<i8"),  # bytes from a real plane to its imaginary one, in scratch and tables alike
        ("load", "<i8"),
        ("count", "<i8"),  # elements that a row has
        ("points", "<i8"),  # of LOAD_HALF: length of the whole spectrum
        ("before", "<i8"),  # byte offset of a complex table that multiplies what is loaded; -1: none
        ("store", "<i8"),
        ("out", "<i8"),  # points written
        ("after", "<i8"),  # likewise, what is stored
        ("pair", "<i8"),  # byte offset of exp(-2 pi i k / 2n), of STORE_PAIRS
        ("mirror", "<i8"),  # length of the spectrum whose second half is filled in; 0: none
    ]
)
STAGE = np.dtype([("radix", "<i8"), ("kind", "<i8"), ("m", "<i8"), ("s", "<i8"), ("twiddle", "<i8")])


def factors(n: int) -> list[int]:
    """`n` as a product of the radices that stages have; empty for 1.

    Raises:
        ValueError: it has other prime factors.
    """
    found, twos = [], 0
    while n % 2 == 0 and n:
        n, twos = n // 2, twos + 1
    while twos:
        step = 2 if twos in (2, 4) else min(twos, 3)
        found.append(1 << step)
        twos -= step
    for prime in (7, 5, 3):
        while n % prime == 0:
            found.append(prime)
            n //= prime
    if n != 1:
        raise ValueError(f"a factor {n} is left")
    return found


def is_smooth(n: int) -> bool:
    """Can stages alone transform this length?"""
    for prime in (2, 3, 5, 7):
        while n % prime == 0:
            n //= prime
    return n == 1


def next_smooth(n: int) -> int:
    """The next length from `n` on that stages alone transform, and that whole vectors divide."""
    best = 1 << (n - 1).bit_length()
    for odd in (3, 5, 7, 9, 15):
        power = 16
        while odd * power < n:
            power *= 2
        best = min(best, odd * power)
    return best


def _cost(a: int, b: int, lanes: int) -> float:
    """Vectors that the stages of n = a * b work on, and what the edges of the transposition cost."""
    total = 0.0
    for length, inner in ((a, b), (b, a)):
        done = 1
        for radix in factors(length):
            total += length // done * -(-inner * done // lanes) * (1 + 0.1 * radix)
            done *= radix
    edges = 0 if a == 1 else a * b - (a - a % 8) * (b - b % 8)
    return total + 0.6 * edges + (0 if a == 1 else 0.25 * a * b / 8)


@cache
def split(n: int, lanes: int) -> int:
    """The a of n = a * b that costs least."""
    divisors = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return min((_cost(a, n // a, lanes), a) for d in divisors for a in {d, n // d} if a < n or n == 1)[1]


def turns(k: NDArray[np.int64], n: int) -> NDArray[np.complex128]:
    """exp(-2 pi i k / n), from angles below an eighth of a turn."""
    k = k % n
    octant, rest = np.divmod(8 * k, n)
    rest = np.where(octant % 2 == 1, n - rest, rest)
    angle = rest * (np.pi / 4 / n)
    c, s = np.cos(angle), np.sin(angle)
    low, high = np.where((octant + 1) // 2 % 2 == 1, s, c), np.where((octant + 1) // 2 % 2 == 1, c, s)
    real = np.where((octant >= 2) & (octant < 6), -low, low)
    imaginary = np.where(octant < 4, high, -high)
    return np.asarray(real - 1j * imaginary)


@dataclass(frozen=True, slots=True)
class Transform:
    """Everything that a record of `dft` needs beside its operands and strides."""

    plan: NDArray[np.uint8]
    tables: NDArray[Any]
    scratch: int
    """Elements."""


def transform(
    n: int,
    dtype: np.dtype[Any],
    load: tuple[int, int, int],
    store: tuple[int, int, int],
    before: NDArray[Any] | None = None,
    after: NDArray[Any] | None = None,
) -> Transform:
    """Plan a transform of `n` complex points.

    Args:
        n: smooth.
        dtype: float32 or float64.
        load: (how, elements that a row has, points of LOAD_HALF).
        store: (how, points written, length of the spectrum to fill in or 0).
        before, after: complex numbers that multiply what is loaded and stored; zero where they end.
    """
    lanes, nbytes = 64 // dtype.itemsize, dtype.itemsize
    plane = -(-(max(n, store[1]) + 1) // lanes) * lanes + 2 * lanes
    tables = _Tables(dtype, plane)
    a = split(n, lanes)
    b = n // a
    plan = np.zeros((), PLAN)
    plan["n"], plan["a"], plan["plane"], plan["turn"] = n, a, plane * nbytes, a > 1
    plan["load"], plan["count"], plan["points"] = load
    plan["store"], plan["out"], plan["mirror"] = store
    stages = _stages(a, b, VECTOR if a > 1 else NONE, tables) + _stages(b, a, NONE, tables)
    plan["stages_a"], plan["stages_b"] = len(factors(a)), len(factors(b))
    plan["before"] = -1 if before is None else tables.planes(before)
    plan["after"] = -1 if after is None else tables.planes(after)
    if store[0] == STORE_PAIRS:
        plan["pair"] = tables.planes(turns(np.arange(n + 1), 2 * n))
    encoded = np.concatenate([plan.reshape(1).view(np.uint8), np.array(stages, STAGE).reshape(-1).view(np.uint8)])
    return Transform(encoded, tables.array(), 4 * plane + 2 * lanes)


class _Tables:
    """Gathers tables of complex numbers in one array."""

    def __init__(self, dtype: np.dtype[Any], plane: int) -> None:
        self.dtype, self.plane = dtype, plane
        self.pieces: list[NDArray[Any]] = [np.zeros(64 // dtype.itemsize, dtype)]
        self.end = self.pieces[0].size

    def add(self, values: NDArray[Any]) -> int:
        """Byte offset of the values."""
        at, lanes = self.end, 64 // self.dtype.itemsize
        piece = np.zeros(-(-values.size // lanes) * lanes, self.dtype)
        piece[: values.size] = values
        self.pieces.append(piece)
        self.end += piece.size
        return at * self.dtype.itemsize

    def planes(self, values: NDArray[Any]) -> int:
        """Byte offset of the real plane; the imaginary one follows a plane later."""
        padded = np.zeros((2, self.plane))
        padded[0, : values.size], padded[1, : values.size] = values.real, values.imag
        return self.add(padded.reshape(-1))

    def array(self) -> NDArray[Any]:
        return np.concatenate(self.pieces)


def _stages(length: int, inner: int, last: int, tables: _Tables) -> list[tuple[int, int, int, int, int]]:
    """Stages of a transform along the first axis of [length, inner]; `last` is the kind of twiddles of the last one."""
    found, left, s = [], length, inner
    radices = factors(length)
    for i, radix in enumerate(radices):
        m = left // radix
        if i < len(radices) - 1:
            p, k = np.arange(m)[:, None], np.arange(1, radix)[None, :]
            w = turns(p * k, left)
            kind, at = SCALAR, tables.add(np.stack([w.real, w.imag], axis=-1).reshape(-1))
        elif last == VECTOR:
            row, column = np.arange(length)[:, None], np.arange(inner)[None, :]
            kind, at = VECTOR, tables.planes(turns(row * column, length * inner).reshape(-1))
        else:
            kind, at = NONE, 0
        found.append((radix, kind, m, s, at))
        left, s = m, s * radix
    return found
