"""Records of a task as a tap writes them, made by hand."""

import numpy as np

from rt_engine.recording.layout import Field, SourceFields, TaskLayout

LAYOUT = TaskLayout(
    "axis",
    1_000_000,
    (SourceFields("plant", (Field("speed"), Field("leg", 3))),),
    (Field("force"), Field("lamp")),
)
MS = 1_000_000


def records(count, first=0, layout=LAYOUT, begin_ns=0):
    """So many cycles of a task that is well; tick n is at n periods after `begin_ns`, and number n + 1."""
    made = np.zeros(count, layout.dtype)
    made["tick_ns"] = begin_ns + (first + np.arange(count)) * layout.period_ns
    made["number"] = first + 1 + np.arange(count)
    made["version"] = 1
    return made
