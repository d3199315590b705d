"""What records take, as their sizes say."""

import numpy as np

import rt_engine
from rt_engine.run.cost import about_ns, pace_of_bytes
from rt_native.machine import Target
from tests.rt_engine.run.cutting import large_models

_TRIPLE = "x86_64-unknown-linux-gnu"


def _record(name):
    """(Kernel, record) of the convolution of a model."""
    program = rt_engine.load(dict(large_models())[name]).program
    kernels = [program.kernels[int(kernel)] for kernel in program.records["kernel"]]
    at = next(i for i, kernel in enumerate(kernels) if "conv" in kernel)
    return kernels[at], program.records[at]


def test_bytes_are_as_much_quicker_as_the_machine_sums_them():
    """A convolution of bytes takes so much less where there are instructions for it, one of floats does not."""
    paces = [
        pace_of_bytes(Target(_TRIPLE, "generic", features, lanes))
        for features, lanes in (("+avx512vl,+avx512vnni", 16), ("+avxvnni", 8), ("+avx2,-avxvnni", 8), ("", 4))
    ]
    assert paces == [4.0, 2.0, 1.0, 1.0]
    for name, expected in (("qconv", paces), ("conv 1 40 14 [1, 1]", [1.0] * 4)):
        kernel, record = _record(name)
        assert np.allclose([about_ns(kernel, record) / about_ns(kernel, record, pace) for pace in paces], expected)
