"""Records of `kernels.movement`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

COPY_STRIDED = Fields(
    "copy_strided", operands="x out table", sizes="rank x_first out_first outer? each? begin?", writes="out"
)
"""Any copy between strided tensors: `table` is planned by `strides.copy_table`. The firsts count elements.

outer, begin    so many of the table's first dimension are copied, from that one on; 0: all of them
each            bytes of one of them
"""

COPY_BLOCKS = Fields("copy_blocks", operands="x out", sizes="count nbytes x_stride out_stride x_first out_first")
"""Blocks of `nbytes`: block i goes from x + x_first + i * x_stride to the like of it. All count bytes."""

GATHER_BLOCKS = Fields("gather_blocks", operands="data index out", sizes="outer axis count nbytes type?")
"""out[outer, count] = data[outer, index[count]] of `axis` blocks of `nbytes`. `type` is the index's, where it is checked: INT32
or INT64."""

FILL = Fields("fill", operands="out", sizes="nbytes pattern")
"""`pattern` is eight bytes that are repeated (little endian)."""
