"""Multiply-add without the instruction: its bits in software, its own where the arithmetic is `fast`."""

import numpy as np
import pytest

from rt_native.target import Target, host
from tests.rt_native.fused import FORMATS, V2, differences, library, operands, right, run
from tests.rt_native.symbols import undefined

EXACT, FAST = (library(Target(*V2, arithmetic)) for arithmetic in ("exact", "fast"))
FUSED = library(host())
x86 = pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="code for x86-64 does not run here")


def of(native, name="fma"):
    return lambda kind, *abc: run(native, f"{name}_{kind}", *abc)


@x86
@pytest.mark.parametrize("native", [EXACT, FUSED], ids=["software", "this machine"])
def test_rounded_once_as_rational_numbers_say(native):
    """Ties, cancellation, addends that are a last bit, under- and overflow; denormals are zero."""

    def rational(kind, a, b, c):
        finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
        out = run(native, f"fma_{kind}", a, b, c)
        out[finite] = right(kind, a[finite], b[finite], c[finite])
        return out

    assert not differences(of(native), rational, 1600, 1)


@x86
@pytest.mark.skipif(host().arithmetic != "fused", reason="this processor has no FMA to compare with")
def test_software_has_the_bits_of_the_instruction():
    """Also with infinities and NaN; `fma_once` has them where `fma` does not."""
    assert not differences(of(EXACT), of(FUSED), 1 << 16, 2)
    assert not differences(of(FAST, "once"), of(FUSED), 1 << 16, 3)


@x86
def test_fast_is_a_product_and_a_sum():
    """NumPy's two operations; on every sort of operands that differs from a fused one, so that the tests above can fail."""

    def twice(kind, a, b, c):
        with np.errstate(all="ignore"):
            return a * b + c

    kept = {
        kind: {sort: abc for sort, abc in operands(np.random.default_rng(4), kind, 1600).items() if sort == "near one"}
        for kind in FORMATS
    }
    for kind, sorts in kept.items():
        for abc in sorts.values():
            assert np.array_equal(of(FAST)(kind, *abc), twice(kind, *abc))
    assert len(differences(of(FAST), of(EXACT), 1600, 4)) == 2 * len(operands(np.random.default_rng(4), "f32", 16))


@x86
def test_software_calls_nothing():
    """No libm, no compiler's library: what LLVM makes of an operation that the target lacks."""
    assert not undefined(EXACT.build()) | undefined(FAST.build())
