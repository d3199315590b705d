"""Records of `kernels.control`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

JUMP = Fields("jump", operands="condition?", sizes="target?", writes="")
"""Go to record `target` unless the condition (bool) holds; always, where there is none."""

LOOP = Fields("loop", operands="counter condition?", sizes="target? trips", writes="counter")
"""Count; go to record `target` if fewer than `trips` are done and the condition (where there is one) holds."""

TRAP = Fields("trap", operands="", writes="")
"""End the run with the status of a branch that cannot be."""

COPY_AT = Fields(
    "copy_at",
    operands="x out counter",
    sizes="blocks block x_stride out_stride x_first x_step out_first out_step",
    writes="out",
)
"""Block i goes from x + x_first + counter * x_step + i * x_stride to the like of it in `out`; all of them count bytes."""
