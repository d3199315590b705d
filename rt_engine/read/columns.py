"""Columns of joined columns: a Gather or ArrayFeatureExtractor of a Concat of string inputs reads the input itself.

Exporters of pipelines join all columns and choose them again, one by one: apart, each keeps a list of names of its own.
"""

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from rt_engine.read.walking import attributes, graphs_in

Column = tuple[str, int]
MOST_COLUMNS = 1 << 16
"""Of all joined values together; beyond it they share a list."""


def choose_columns(graph: GraphProto) -> None:
    """Let nodes that choose among joined columns of strings choose among those of one input, in place."""
    widths: dict[str, int] = {}
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.elem_type == TensorProto.STRING and len(dims) == 2 and dims[1].dim_value > 0:
            widths[value.name] = dims[1].dim_value
    columns = {name: [(name, i) for i in range(width)] for name, width in widths.items() if width <= MOST_COLUMNS}
    constants = {t.name: t for t in graph.initializer if t.data_type == TensorProto.INT64}
    room, joined = MOST_COLUMNS, set[str]()
    added: dict[str, TensorProto] = {}
    for node in graph.node:
        first = node.input[0] if node.input else ""
        if node.op_type == "Concat" and _axis(node) in (1, -1) and all(name in columns for name in node.input):
            found = [column for name in node.input for column in columns[name]]
            room -= len(found)
            if room > 0:
                columns[node.output[0]] = found
                joined.add(node.output[0])
        elif node.op_type == "Identity" and first in joined:
            columns[node.output[0]] = columns[first]
            joined.add(node.output[0])
        elif node.op_type in ("ArrayFeatureExtractor", "Gather") and len(node.input) == 2 and first in joined:
            _choose(node, columns[first], constants.get(node.input[1]), added)
    graph.initializer.extend(added.values())
    if added:
        _drop_unread(graph, joined)


def _axis(node: NodeProto) -> int | None:
    axis = attributes(node).get("axis")
    return None if axis is None else int(axis.i)


def _choose(node: NodeProto, columns: list[Column], index: TensorProto | None, added: dict[str, TensorProto]) -> None:
    if index is None or (node.op_type == "Gather" and _axis(node) not in (1, -1)):
        return
    chosen = numpy_helper.to_array(index)
    if not chosen.size or chosen.min() < -len(columns) or chosen.max() >= len(columns):
        return
    picked = [columns[int(i)] for i in chosen.reshape(-1)]
    source, *others = {name for name, _ in picked}
    if others:
        return
    name = f"{node.output[0]}/column"
    added[name] = numpy_helper.from_array(np.array([i for _, i in picked], np.int64).reshape(chosen.shape), name)
    node.input[0], node.input[1] = source, name


def _drop_unread(graph: GraphProto, joined: set[str]) -> None:
    """Joined columns that nobody reads any more."""
    read = {value.name for value in graph.output}
    for one in graphs_in(graph):
        read.update(name for node in one.node for name in node.input)
        read.update(value.name for value in one.output)
    kept = []
    for node in graph.node:
        if node.output and node.output[0] in joined and node.output[0] not in read:
            continue
        kept.append(NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(kept)
