"""Rules of operators that sum, or choose, along a length which is only known at run time: what is behind changes nothing."""

from math import prod

import numpy as np
import onnx_ir as ir

from rt_engine.passes.following import Step
from rt_engine.passes.length_masks import worst
from rt_engine.passes.length_rules import Found, no_rule
from rt_engine.passes.lengths import Along, Length

_IDENTITY = {"ReduceSum": 0, "ReduceL1": 0, "ReduceL2": 0, "ReduceSumSquare": 0, "ReduceLogSum": 0, "ReduceProd": 1}


def reduce(step: Step) -> Found:
    """Along another axis, or along this one with its rest at what changes nothing."""
    data, rank, op = step.along(0), len(step.shape(0)), step.node.op_type
    if data is None:
        no_rule(step)
    assert data is not None
    since = 13 if op == "ReduceSum" else 18
    new = step.compilation.opsets.get("", 1) >= since
    axes = (step.ints(1, "which axes") if step.value(1) is not None else None) if new else step.attr("axes")
    if not axes and new and step.attr("noop_with_empty_axes", 0):
        no_rule(step)
    gone = {int(a) % rank for a in axes} if axes else set(range(rank))
    if data.axis not in gone:
        before = 0 if step.attr("keepdims", 1) else sum(a < data.axis for a in gone)
        return {0: Along(data.axis - before, data.length)}
    if op in ("ReduceMax", "ReduceMin"):
        step.clear(0, worst(step.dtype(0), op == "ReduceMax"))
    elif op == "ReduceLogSumExp":
        step.clear(0, -np.inf)
    elif op in _IDENTITY:
        step.clear(0, _IDENTITY[op])
    elif op == "ReduceMean" and step.dtype(0).kind == "f":
        return _mean(step, data, sorted(gone))
    else:
        no_rule(step)
    return {}


def _mean(step: Step, data: Along, axes: list[int]) -> Found:
    """A sum, by how many there are; of nothing 0, as ONNX Runtime gives."""
    step.clear(0)
    keep, others = int(step.attr("keepdims", 1)), prod(step.shape(0)[a] for a in axes if a != data.axis)
    x = step.given(0)
    if step.compilation.opsets.get("", 1) >= 13:
        (total,) = step.emit(
            "ReduceSum", [x, step.constant(np.array(axes, np.int64), "axes")], domain="", keepdims=keep
        )
    else:
        (total,) = step.emit("ReduceSum", [x], domain="", axes=axes, keepdims=keep)
    length = Length(data.length.count, data.length.bound * others, data.length.factor * others)
    (number,) = step.emit(
        "Cast", [step.scalar(length, low=1)], domain="", to=int(ir.DataType.from_numpy(step.dtype(0)))
    )
    step.become(step.emit("Div", [total, number], domain=""))
    return None


def arg(step: Step) -> Found:
    """Along another axis, or among what is there."""
    data, axis = step.along(0), step.axis(0, len(step.shape(0)))
    assert data is not None
    if data.axis != axis:
        before = 0 if step.attr("keepdims", 1) or axis > data.axis else 1
        return {0: Along(data.axis - before, data.length)}
    if step.attr("select_last_index", 0):
        no_rule(step)
    step.clear(0, worst(step.dtype(0), step.node.op_type == "ArgMax"), least=1)
    return {}


def cumulate(step: Step) -> Found:
    """What is behind adds nothing."""
    if step.along(0) is None:
        no_rule(step)
    step.clear(0, 1 if step.node.op_type == "CumProd" else 0)
    return {0: step.along(0)}  # type: ignore[dict-item]


def matmul(step: Step) -> Found:
    """Rows of the first, columns of the second, or what is summed over, with zeros behind."""
    a, b = step.along(0), step.along(1)
    ranks = [len(step.shape(i)) for i in (0, 1)]
    if min(ranks) < 2:
        no_rule(step)
    rank = max(ranks)
    if a is not None and b is not None:
        if (a.axis, b.axis) != (ranks[0] - 1, ranks[1] - 2) or not a.length.same(b.length):
            no_rule(step)
        step.clear(0)
        step.clear(1)
        return {}
    if a is not None and a.axis == ranks[0] - 2:
        return {0: Along(rank - 2, a.length)}
    if b is not None and b.axis == ranks[1] - 1:
        return {0: Along(rank - 1, b.length)}
    return no_rule(step)


def gemm(step: Step) -> Found:
    """Rows of the first."""
    a = step.along(0)
    c = () if step.value(2) is None else step.shape(2)
    plain = a is not None and a.axis == 0 and not step.attr("transA", 0)
    if not plain or any(step.along(i) for i in (1, 2)) or (len(c) == 2 and c[0] != 1):
        no_rule(step)
    assert a is not None
    return {0: Along(0, a.length)}
