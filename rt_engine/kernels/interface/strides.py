"""Planning of strided copies: the table that `copy_strided_<bytes>` reads. Read at load time; imports no Numba.

Transpose, Expand, Slice, Split, Concat are the same: for every index, out[index . out strides] = in[index . in
strides]. A plan says it with as few dimensions as possible, so that the kernel's inner loops are long:

1. dimensions of size 1 go
2. dimensions are ordered as the output lies in memory (largest stride first)
3. neighbours that are one dimension in both tensors become one
4. where the innermost is no run of the input but another dimension is, that one comes second to last: a 2-D transpose
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_RANK = 8


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of a tensor of this shape that lies without gaps, last axis fastest."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def copy_table(shape: Sequence[int], in_strides: Sequence[int], out_strides: Sequence[int]) -> NDArray[np.int64]:
    """The int64 table [rank, 3] of (size, input stride, output stride) for a copy of `shape`; strides are in elements.

    Input strides may be 0 (expand) or negative (a slice backwards). The rank of the result is at least 2.

    Raises:
        ValueError: more than `MAX_RANK` dimensions are left.
    """
    dims = [d for d in zip(shape, in_strides, out_strides, strict=True) if d[0] != 1]
    dims.sort(key=lambda d: -d[2])
    merged: list[tuple[int, int, int]] = []
    for size, inner, outer in dims:
        if merged and merged[-1][1:] == (size * inner, size * outer):
            size *= merged.pop()[0]
        merged.append((size, inner, outer))
    if merged and merged[-1][1] != 1:
        runs = [d for d in merged[:-1] if d[1] == 1]
        if runs:
            longest = max(runs)
            merged.remove(longest)
            merged.insert(-1, longest)
    if len(merged) > MAX_RANK:
        raise ValueError(f"a copy of shape {tuple(shape)} needs {len(merged)} dimensions; kernels have {MAX_RANK}")
    merged = [(1, 0, 0)] * (2 - len(merged)) + merged
    return np.array(merged, np.int64)
