"""Pad of a tensor with a length that is only known at run time: along other axes, or until it is as long as ever.

Pad(x [n <= 300], 300 - n)   ->   ClearRest(x)
"""

import numpy as np

from rt_engine.ops.base import Refusal
from rt_engine.ops.graph import constant
from rt_engine.passes.following import Step
from rt_engine.passes.length_rules import Found, no_rule
from rt_engine.passes.lengths import Along, Length, Size


def pad(step: Step) -> Found:
    """Along other axes; or behind, by what is missing to a number."""
    along, rank = step.along(0), len(step.shape(0))
    sizes = step.sizes(1) if step.value(1) is not None else [int(n) for n in step.attr("pads", ())]
    if along is None or step.value(3) is not None or sizes is None or len(sizes) != 2 * rank:
        raise Refusal("how much is padded is computed at run time, and so is a length", "make it a constant")
    if sizes[along.axis] != 0:
        no_rule(step)
    behind = sizes[along.axis + rank]
    if behind == 0 and all(isinstance(n, int) for n in sizes):
        return {0: along}
    if any(n != 0 for i, n in enumerate(sizes) if i != along.axis + rank):
        no_rule(step)
    return _filled(step, along, behind)


def _filled(step: Step, along: Along, behind: Size) -> Found:
    """x with its rest at the value that is padded, at its whole length."""
    total, bound = _total(along.length, behind), step.shape(0)[along.axis]
    mode, value = step.attr("mode", "constant"), step.value(2)
    filler = np.zeros(1) if value is None else constant(value)
    if total is None or total < bound or mode not in ("constant", b"constant") or filler is None:
        no_rule(step)
    assert total is not None
    assert filler is not None
    x = step.cleared(step.given(0), along, filler.reshape(-1)[0])
    if total > bound:
        shape = [total - bound if i == along.axis else n for i, n in enumerate(step.shape(0))]
        more = step.constant(np.full(shape, filler.reshape(-1)[0], step.dtype(0)), "more")
        (x,) = step.emit("Concat", [x, more], domain="", axis=along.axis)
    else:
        (x,) = step.emit("Identity", [x], domain="")
    step.lengths.along.pop(x, None)
    step.become([x])
    return None


def _total(length: Length, behind: Size) -> int | None:
    """length + behind, if that is the same in every run: behind = (total - part of it) * factor."""
    maker = behind.count.producer() if isinstance(behind, Length) else None
    if not isinstance(behind, Length) or maker is None or maker.op_type != "Length" or len(maker.inputs) != 1:
        return None
    whole, part = maker.attributes.get_int("shift", 0), -maker.attributes.get_int("factor", 1)
    same = maker.inputs[0] is length.count and part > 0 and part * behind.factor == length.factor
    root = length.bound // length.factor
    return whole * behind.factor if same and root * part <= whole else None
