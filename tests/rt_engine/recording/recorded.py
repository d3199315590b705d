"""A task that never ran, and what it recorded."""

import numpy as np

from rt_engine.recording import Field, SourceFields, TaskLayout

LAYOUT = TaskLayout(
    "balance",
    1_000_000,
    (
        SourceFields("plc", (Field("cart.position", 1, "m"), Field("pole", 3, "rad"))),
        SourceFields("drive", (Field("speed"),)),
    ),
    (Field("force", 1, "N"), Field("modes", 2)),
    (("model", 128), ("window", 13)),
)
OFFSET_NS = 1_700_000_000 * 10**9
FIRST_NS = 5 * 10**9


def tick(number):
    return FIRST_NS + number * LAYOUT.period_ns


def cycles(first, stop, layout=LAYOUT):
    """Records with these numbers; random values, the same for each number."""
    records = np.zeros(stop - first, layout.dtype)
    records["number"] = np.arange(first, stop)
    records["tick_ns"] = tick(records["number"])
    values_of = np.sin(np.arange(first, stop)[:, None] * (1 + np.arange(layout.output_count)))
    layout.raw(records)[:] = layout.published(records)[:] = values_of
    for source in range(len(layout.sources)):
        layout.values(records, source)[:] = np.cos(np.arange(first, stop))[:, None]
    return records


def checkpoints(numbers, layout=LAYOUT, phase=0):
    """Checkpoints before the cycles with these numbers."""
    made = np.zeros(len(numbers), layout.checkpoint_dtype)
    made["number"], made["phase"] = numbers, phase
    made["tick_ns"] = tick(made["number"])
    made["model"] = (np.asarray(numbers) % 251)[:, None]
    return made
