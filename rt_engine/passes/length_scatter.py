"""Scatter with as many indices as a run has, or into a tensor with such a length.

What is behind the count of the indices goes into an element more of the data, which is cut off again:

    Scatter(data [4], index [n <= 3], updates [n])   ->   Slice(Scatter(Concat(data, 0) [5], index with its rest at 4, updates), 0, 4)
"""

import numpy as np
import onnx_ir as ir

from rt_engine.passes.following import Step
from rt_engine.passes.length_masks import settled
from rt_engine.passes.length_rules import Found, no_rule
from rt_engine.passes.lengths import Along


def scatter_elements(step: Step) -> Found:
    """Indices and updates with a length along the axis that is scattered over; the data may have one there, too."""
    data, index, updates = (step.along(i) for i in range(3))
    axis = step.axis(0, len(step.shape(0)))
    if any(a is not None and a.axis != axis for a in (data, index, updates)):
        no_rule(step)
    return _scattered(step, axis, (step.shape(0)[axis],), (data, index, updates))


def scatter_nd(step: Step) -> Found:
    """Tuples of indices, and updates, with a length along their first axis; the data may have one along its first."""
    data, index, updates = (step.along(i) for i in range(3))
    width = step.shape(1)[-1]
    if any(a is not None and a.axis != 0 for a in (data, index, updates)) or len(step.shape(1)) < 2 or width < 1:
        no_rule(step)
    return _scattered(step, 0, step.shape(0)[:width], (data, index, updates))


def _scattered(
    step: Step, axis: int, dims: tuple[int, ...], along: tuple[Along | None, Along | None, Along | None]
) -> Found:
    data, index, updates = along
    if (index is None) != (updates is None) or (index and updates and not index.length.same(updates.length)):
        no_rule(step)
    settled(step, 1, dims, 0 if data is not None else -1, data)
    found = {} if data is None else {0: data}
    if index is None:
        return found
    shape, places = step.shape(0), step.given(1)
    behind = np.zeros(step.shape(1), np.int64)
    behind[(..., 0) if step.node.op_type == "ScatterND" else ...] = shape[axis]
    whole = step.constant(behind, "behind")
    (rest,) = step.emit("Sub", [whole, step.cleared(whole, index)], domain="")
    (places,) = step.emit("Add", [places, rest], domain="")
    more = np.zeros([1 if i == axis else n for i, n in enumerate(shape)], step.dtype(0))
    (longer,) = step.emit("Concat", [step.given(0), step.constant(more, "more")], domain="", axis=axis)
    attributes = {name: step.attr(name) for name in step.node.attributes}
    inputs: list[ir.Value | None] = [longer, places, step.given(2)]
    (out,) = step.emit(step.node.op_type, inputs, domain="", **attributes)
    ends = [step.constant(np.array([n]), "ends") for n in (0, shape[axis], axis)]
    (out,) = step.emit("Slice", [out, *ends], domain="")
    if data is not None:
        step.lengths.along[out] = data
    step.become([out])
    return None
