"""Was a recording made with another arithmetic than this machine's? Then last bits may differ, and nothing is wrong.

Processors without FMA compute `fast` unless told otherwise (docs/numerics.md); `fused` and `exact` have the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping

from rt_engine.recording.contents import ARITHMETIC as RECORDED
from rt_native.target import ARITHMETIC, LEVEL, Target, host
from scheduler.errors import ReplayError


class OtherArithmeticError(ReplayError):
    """What was recorded can be compared bit for bit only by a machine of another arithmetic, or one told to compute it."""


def other_arithmetic(about: Mapping[str, str], here: Target | None = None) -> str:
    """Why bits may differ here from those recorded, and how they are had; empty: they may not.

    Args:
        about: what the recording says of itself.
        here: the machine; by default the one we are on.
    """
    here = here or host()
    then = about.get(RECORDED) or "fused"
    if (then == "fast") == (here.arithmetic == "fast"):
        return ""
    if then != "fast":
        same = f"{ARITHMETIC}=exact computes it"
    elif here.arithmetic == "exact":
        same = f"{ARITHMETIC}=fast computes it"
    elif here.triple.startswith("x86_64"):
        same = f"{LEVEL}=x86-64-v2 computes it here"
    else:
        same = f"an x86-64 machine computes it, with {LEVEL}=x86-64-v2"
    return (
        f"it was recorded with {then} arithmetic, and this machine's is {here.arithmetic}: last bits may differ; "
        f"to compare every bit: {same}"
    )
