"""If on whether a length that is only known at run time is 0, as exporters write `x.numel() == 0`: the general branch, always.

    If(n == 0, then: int64[0], else: f(x[n]))   ->   f(x[n]), which has no elements either where n is 0
    If(n == 0, then: 7.0, else: max(x[n]))      ->   Where(n == 0, 7.0, max(x[n]))

So the branch has to be one that runs without a status on nothing, and what it gives there has to be what the other one gives.
"""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops import elements_of
from rt_engine.ops.base import RT_DOMAIN, Refusal
from rt_engine.ops.graph import constant
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.control import inlined
from rt_engine.passes.following import Step
from rt_engine.passes.lengths import Branch

AGREE = "Agree"
"""Stands behind an inlined branch until the walk comes by: a result, the condition -> the If's output."""
_HARMLESS = (
    "Append", "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "ReduceMax", "ReduceMin",
    "ReduceSum", "Reshape", "Slice", "Softmax", "Split", "Squeeze", "Suppress", "TopK", "Transpose", "Unsqueeze", "Where",
)  # fmt: skip
"""What gives no status, whatever the values are; of indices it is looked at."""
_GATHERS = ("Gather", "GatherElements", "GatherND")


def general_branch(compilation: Compilation, node: ir.Node) -> list[ir.Node] | None:
    """The nodes of the branch for a length that is not 0, if the other one gives constants; None if it is another If."""
    length = compilation.lengths.empty.get(node.inputs[0]) if node.op_type == "If" and node.inputs[0] else None
    if length is None:
        return None
    if constant(node.inputs[0]) is not None:
        return None
    empty = [_made(v) for v in node.attributes["then_branch"].as_graph().outputs]
    if any(array is None for array in empty) or len(empty) != len(node.outputs):
        return None
    graph, before = compilation.graph, frozenset(compilation.graph)
    nodes, results = inlined(graph, node, node.attributes["else_branch"].as_graph(), list(node.inputs[1:]))
    for old, result, array in zip(node.outputs, results, empty, strict=True):
        name = old.name
        agree = ir.node(AGREE, [result, node.inputs[0]], domain=RT_DOMAIN, name=node.name)
        graph.insert_before(node, agree)
        ir.convenience.replace_all_uses_with(old, agree.outputs[0], replace_graph_outputs=True)
        agree.outputs[0].name = name
        assert array is not None
        compilation.lengths.branches[agree] = Branch(length, array, before)
        nodes.append(agree)
    graph.remove(node, safe=True)
    return nodes


def _made(value: ir.Value) -> NDArray[np.generic] | None:
    maker = value.producer()
    if maker is not None and maker.op_type == "Constant" and "value" in maker.attributes:
        return np.asarray(maker.attributes["value"].value.numpy())
    return constant(value)


def agree(step: Step) -> None:
    """The general branch's result, or the other one's where the length is 0.

    Raises:
        Refusal: it is not proven that they are the same then, or that the branch runs on nothing.
    """
    branch = step.lengths.branches[step.node]
    for node in _behind(step.given(0), branch.before):
        if not _runs(step, node, branch):
            raise Refusal(
                f"its branch for a length that is not 0 has {node.op_type}, which may not run where it is 0",
                "let it run on no elements, or take the condition away",
            )
    along, shape, result = step.along(0), list(step.shape(0)), step.given(0)
    if step.dtype(0) == branch.empty.dtype:
        if along is None and tuple(shape) == branch.empty.shape:
            other = step.constant(branch.empty, "empty")
            step.become(step.emit("Where", [step.given(1), other, result], domain=""))
            return
        if along is not None and _vanishes(step, along.length.count, branch):
            shape[along.axis] = 0
            if tuple(shape) == branch.empty.shape:
                step.become([result])
                return
    raise Refusal(
        f"where a length is 0 one of its branches gives {branch.empty.dtype}{list(branch.empty.shape)}, and the other "
        f"{step.dtype(0)}{shape}",
        "let both give the same",
    )


def _behind(value: ir.Value, before: frozenset[ir.Node]) -> Iterator[ir.Node]:
    """The nodes that a value comes from, but those of before."""
    seen: set[ir.Node] = set()
    waiting = [value.producer()]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or node in before:
            continue
        seen.add(node)
        yield node
        waiting += [v.producer() for v in node.inputs if v is not None]


def _runs(step: Step, node: ir.Node, branch: Branch) -> bool:
    """Does it give no status where the length is 0?"""
    op, value = node.op_type, node.attributes.get_int
    if op == "ClearRest":
        return value("least", 0) == 0
    if op == "Settle":
        return node.inputs[1] is not None and _vanishes(step, node.inputs[1], branch)
    if op == "Length":
        return value("strict", 0) == 0
    if op in ("FoundNonZero", "Compressed"):
        return _vanishes(step, node.outputs[-1], branch)
    if op in _GATHERS:
        maker = node.inputs[1].producer() if node.inputs[1] is not None else None
        return constant(node.inputs[1]) is not None or (maker is not None and maker.op_type == "Settle")
    if op in ("Div", "Mod", "Pow"):
        return node.outputs[0].dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE)
    return op in _HARMLESS or elements_of(node, step.compilation.opsets) is not None


def _vanishes(step: Step, count: ir.Value | None, branch: Branch) -> bool:
    """Is this count plainly 0 where the branch's length is?"""
    if count is None:
        return False
    if count is branch.length.count:
        return True
    node = count.producer()
    if node is None:
        return False
    inputs, value = node.inputs, node.attributes.get_int
    if node.op_type == "Length":
        low, shift = value("low", 0), value("shift", 0)
        at_zero = (shift == 0 and low <= 0) or (shift < 0 and low == 0)
        return at_zero and value("high", 0) >= 0 and any(_vanishes(step, v, branch) for v in inputs)
    if node.op_type == "Suppress":
        return len(inputs) > 5 and _vanishes(step, inputs[5], branch)
    if node.op_type == "Append":
        return all(_vanishes(step, v, branch) for v in inputs[1::2])
    if node.op_type in ("FoundNonZero", "Compressed"):
        cleared = inputs[-1].producer() if inputs[-1] is not None else None
        zero = cleared is not None and cleared.op_type == "ClearRest" and cleared.attributes.get_int("pattern", 0) == 0
        return zero and _vanishes(step, cleared.inputs[1], branch)  # type: ignore[union-attr]
    return False
