"""Groups of channels scaled by their own statistics: instance and group normalisation.

    group_norm_<type>   the record is `interface.group_norm.GROUP_NORM`

    out = (x - mean) * (1 / sqrt(mean of (x - mean)**2 + epsilon)) * scale[channel] + bias[channel]

The input is contiguous; the output may be the input. Sums are folded in the order of
`rt_engine.kernels.parts.fold`. Nothing outside of the tensors is touched.
"""

from rt_engine.kernels.interface.group_norm import GROUP_NORM
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.fold import SUM, make_row
from rt_engine.kernels.parts.lanes import F32, F64, Element, first_lane
from rt_engine.kernels.parts.rows import make_variance
from rt_native.lang import inline
from rt_native.vector import BYTES, fma, sqrt


def _make(of: Element) -> None:
    lanes, nbytes, splat, scalar = of.lanes, of.nbytes, of.splat, of.scalar
    load, load_vector, load_first = of.load, of.load_vector, of.load_first
    store_vector, store_first = of.store_vector, of.store_first
    sum_row, variance, zero, one = make_row(of, SUM), make_variance(of), of.scalar(0.0), of.scalar(1.0)

    @inline
    def scaled(source, target, n, mean, factor, shift):
        at, whole = 0, n // lanes * lanes * nbytes
        while at < whole:
            store_vector(target + at, fma(load_vector(source + at) - mean, factor, shift))
            at += BYTES
        rest = n - whole // nbytes
        if rest:
            store_first(target + at, fma(load_first(source + at, rest) - mean, factor, shift), rest)

    @kernel("group_norm_" + of.suffix, GROUP_NORM)
    def group_norm(record):
        groups, channels, n = record.groups, record.channels, record.elements
        epsilon = scalar(record.epsilon)
        source, target, scale, bias = record.x, record.out, record.scale, record.bias
        count = channels * n
        for group in range(record.n):
            mean = sum_row(source, count, splat(zero)) / scalar(count)
            inverse = first_lane(splat(one) / sqrt(splat(variance(source, count, mean) + epsilon)))
            first = group % groups * channels
            for channel in range(channels):
                at = (first + channel) * nbytes
                factor, shift = splat(inverse * load(scale + at)), splat(load(bias + at))
                scaled(source, target, n, splat(mean), factor, shift)
                source += n * nbytes
                target += n * nbytes
        return 0


for _of in (F32, F64):
    _make(_of)
