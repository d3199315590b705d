"""Lists that a loop grows while data say that it goes on: what it appends is collected, as a sequence of all iterations is one tensor.

Loop(m, go, SequenceEmpty)                       Loop(m, go)
  list2 = SequenceInsert(list, h)      -->         collect h
-> list                                          -> all [bound, ...]: a length, `passes.bounded`
ConcatFromSequence(list)                         SplitToSequence(all), which `passes.sequences` reads as one tensor
"""

import onnx_ir as ir

from rt_engine.ops.base import Refusal
from rt_engine.passes.closing import remade
from rt_engine.passes.sequences import elements


def collected(graph: ir.Graph, node: ir.Node, carried: int) -> list[ir.Node] | None:
    """The loop without the lists that it only appends to, and what makes sequences of what it collects instead; None: it has none.

    Raises:
        Refusal: such a list is a result of the graph.
    """
    body = node.attributes["body"].as_graph()
    grown = [i for i in range(carried) if elements(node.inputs[2 + i]) == () and _append(body, i) is not None]
    if not grown:
        return None
    outputs = [value for i, value in enumerate(node.outputs) if i not in grown]
    kept = {value: ir.Value(name=value.name, type=value.type, shape=value.shape) for value in outputs}
    splits: dict[ir.Value, ir.Node] = {}
    for i in grown:
        old = node.outputs[i]
        if old.is_graph_output():
            raise Refusal(
                f"output '{old.name}' is a sequence, and data decide of how many tensors",
                "stack them before the end: torch.stack, torch.cat",
            )
        split = ir.node("SplitToSequence", [ir.Value(name=f"{old.name}.all")], {"axis": 0, "keepdims": 0})
        split.name, split.outputs[0].name = f"{old.name}.split", old.name
        splits[old] = split
    _take_out(body, grown)
    stacked = [split.inputs[0] for split in splits.values()]
    made = [*kept.values(), *(value for value in stacked if value is not None)]
    again = [splits[value].outputs[0] if value in splits else kept[value] for value in node.outputs]
    inputs = [value for i, value in enumerate(node.inputs) if i - 2 not in grown]
    loop = remade(graph, node, inputs, made, again)
    graph.insert_after(loop, list(splits.values()))
    return [loop, *splits.values()]


def _append(body: ir.Graph, index: int) -> ir.Node | None:
    """The node that appends to a list that it carries, if nothing else reads the list."""
    value = body.inputs[2 + index]
    readers = [usage.node for usage in value.uses()]
    if len(readers) != 1 or value.is_graph_output():
        return None
    (reader,) = readers
    appends = reader.op_type == "SequenceInsert" and not reader.domain and reader.inputs[0] is value
    at_end = len(reader.inputs) < 3 or reader.inputs[2] is None
    given_on = not reader.outputs[0].uses() and body.outputs[1 + index] is reader.outputs[0]
    return reader if appends and at_end and given_on else None


def _take_out(body: ir.Graph, grown: list[int]) -> None:
    appends = [_append(body, i) for i in grown]
    results = [append.inputs[1] for append in appends if append is not None]
    body.outputs[:] = [v for i, v in enumerate(body.outputs) if i - 1 not in grown] + [
        v for v in results if v is not None
    ]
    body.remove([append for append in appends if append is not None])
    body.inputs[:] = [v for i, v in enumerate(body.inputs) if i - 2 not in grown]
