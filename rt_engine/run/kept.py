"""What whoever runs a context's execution block finds in it beyond what the program needs (`rt_engine.run.blocks.BLOCK`).

It belongs to one version of a model, and so lies beside its context and goes with it.
"""

import numpy as np

from rt_engine.run.context import Context
from rt_native.memory import Block


def keep(context: Context, name: str, memory: Block) -> None:
    """Let native code find `memory` in the field `name` of the block, for as long as the context lives."""
    context._kept[name] = memory
    context._fields[name] = memory.address


def keep_states(context: Context) -> None:
    """Make room for a copy of the states, as they are now: native code saves and restores them (`rt_engine.run.state_native`)."""
    if context.state:
        values = np.concatenate([np.ascontiguousarray(v).reshape(-1).view(np.uint8) for v in context.state.values()])
        room = Block(max(values.nbytes, 1))
        room.view(np.uint8, 0, values.nbytes)[:] = values
        keep(context, "good", room)


def set_needs(context: Context, longest_ns: int) -> None:
    """Say what a run takes at most; 0: nobody knows."""
    context._fields["needs_ns"] = longest_ns


def needs_ns(context: Context) -> int:
    """What a run takes at most, as far as somebody has said so; 0: nobody has."""
    return int(context._fields["needs_ns"][0])
