"""Sums of weighted taps along one axis: the tensor is seen as [outer, n, inner] and becomes [outer, m, inner].

    taps_<type>     record: `interface.taps`

    out[o, j, i] = weight[0, j] * x[o, index[0, j], i] + weight[1, j] * x[o, index[1, j], i] + ...     in this order

`index` and `weight` are made when the model is loaded; `padded` is m up to whole vectors. Indices are
int32 for float32 and int64 for float64, below n; a negative one reads `outside` in place of an element. Resampling,
sums over windows and the overlapping sums of a transposed convolution are all this.

inner == 1 gathers vectors of outputs; else vectors of neighbouring columns. Nothing outside of the tensors is touched.
"""

from rt_engine.kernels.interface.taps import TAPS
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.gather import make_gather
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline
from rt_native.vector import BYTES, fma, load_i32x, load_i64x


def _make(of: Element) -> None:
    lanes, nbytes, splat, scalar = of.lanes, of.nbytes, of.splat, of.scalar
    load, load_vector, load_first, load_index = of.load, of.load_vector, of.load_first, of.load_index
    store_vector, store_first = of.store_vector, of.store_first
    load_indices = load_i32x if nbytes == 4 else load_i64x
    gather = make_gather(of.vector)

    @inline
    def along_row(source, target, m, taps, step, index, weight, outside):
        for j in range(0, m, lanes):
            at = j * nbytes
            total = gather(source, load_indices(index + at), outside) * load_vector(weight + at)
            for _ in range(1, taps):
                at += step
                total = fma(gather(source, load_indices(index + at), outside), load_vector(weight + at), total)
            if j + lanes <= m:
                store_vector(target + j * nbytes, total)
            else:
                store_first(target + j * nbytes, total, m - j)

    @inline
    def element(source, stride, at, column, width, outside):
        if at < 0:
            return splat(outside)
        place = source + at * stride + column
        if width < lanes:
            return load_first(place, width)
        return load_vector(place)

    @inline
    def column_sum(source, stride, column, width, taps, step, index, weight, outside):
        total = element(source, stride, load_index(index) + 0, column, width, outside) * splat(load(weight))
        for t in range(1, taps):
            at = t * step
            x = element(source, stride, load_index(index + at) + 0, column, width, outside)
            total = fma(x, splat(load(weight + at)), total)
        return total

    @kernel("taps_" + of.suffix, TAPS)
    def taps(record):
        source, target = record.x, record.out
        index, weight = record.index, record.weight
        outer, n, inner, m = record.outer, record.n, record.inner, record.m
        count, step, outside = record.taps, record.padded * nbytes, scalar(record.outside)
        stride, whole = inner * nbytes, inner // lanes * lanes * nbytes
        rest = inner - inner // lanes * lanes
        for _ in range(outer):
            if inner == 1:
                along_row(source, target, m, count, step, index, weight, outside)
                target += m * nbytes
            else:
                for j in range(m):
                    at = j * nbytes
                    for column in range(0, whole, BYTES):
                        total = column_sum(source, stride, column, lanes, count, step, index + at, weight + at, outside)
                        store_vector(target + column, total)
                    if rest:
                        total = column_sum(source, stride, whole, rest, count, step, index + at, weight + at, outside)
                        store_first(target + whole, total, rest)
                    target += stride
            source += n * stride
        return 0


for _of in (F32, F64):
    _make(_of)
