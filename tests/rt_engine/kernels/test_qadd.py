"""The sum of two quantised tensors against NumPy's float32, for any two bytes, on every lane width."""

import numpy as np
import pytest

from rt_engine.ops.qfused import reciprocal
from tests.rt_engine.kernels.calling import call, libraries

LIBRARIES = libraries("test-qadd", "rt_engine.kernels.qadd")
A, B = (part.ravel().astype(np.uint8) for part in np.meshgrid(np.arange(256), np.arange(256)))
ZEROS = (3, 250)
CASES = [
    (np.uint8, 0, 0.05),
    (np.uint8, 117, 0.0317),
    (np.int8, -9, 0.0213),
    (np.uint8, 200, 3.7),
    (np.uint8, 128, 1e-9),
]


def twin(scales, low, high):
    total = sum((x.astype(np.float32) - z) * np.float32(s) for x, z, s in zip((A, B), ZEROS, scales, strict=False))
    return np.rint(np.clip(total / np.float32(scales[2]), low, high))


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: f"{lib.target.lanes} lanes")
@pytest.mark.parametrize(("dtype", "zero", "out_scale"), CASES)
def test_any_two_bytes(library, dtype, zero, out_scale):
    """The bits of the float32 computation, with a quotient, and with the product where that is enough; odd lengths too."""
    info, scales = np.iinfo(dtype), (0.01307, 0.02113, out_scale)
    low, high = info.min - zero, info.max - zero
    inverse, plain = reciprocal((*ZEROS, zero), scales, low, high)
    for n in (A.size, 64, 1000, 17):
        for plainly in range(1 + plain):
            operands = (A[:n], B[:n], np.zeros(n, dtype))
            got = call(library, "qadd", operands, (n, *ZEROS, zero, plainly), (*scales, low, high, inverse))[2]
            assert (got == (twin(scales, low, high) + zero)[:n]).all()


def test_a_product_is_taken_where_it_rounds_like_the_quotient():
    """For nearly all scales one does, the reciprocal or its neighbour; not for round ones, whose sums are ties."""
    scales = np.random.default_rng(0).uniform(0.005, 0.1, (100, 3)).astype(np.float32)
    assert sum(reciprocal((*ZEROS, 0), one, 0, 255)[1] for one in scales) > 90
    for one in scales[:20]:
        inverse, plain = reciprocal((*ZEROS, 0), one, 0, 255)
        total = sum((x.astype(np.float32) - z) * s for x, z, s in zip((A, B), ZEROS, one, strict=False))
        assert plain == (np.rint(np.clip(total * inverse, 0, 255)) == twin(one, 0, 255)).all()
    assert not reciprocal((*ZEROS, 0), (0.013, 0.021, 0.05), 0, 255)[1]
