"""Records of `kernels.indexing`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

INDEX_OFFSETS = Fields("index_offsets", operands="index base? table out", sizes="count components type")
"""out[i] = base[i] + sum over j of wrapped index[i, j] * stride[j]; `table` is int64 [components, 2]: (size of the axis,
stride). `type` is the index's."""

SCATTER_BLOCKS = Fields("scatter_blocks", operands="offsets updates out", sizes="count block reduction type")
"""out[offsets[i]] = or combined with updates[i], blocks of `block` elements; `reduction` is a `modes.Scatter`."""
