"""LSTM with bytes for weights: inputs and state are quantised when it runs, the state anew in every step.

x --quantise--> @ w --> x gates [T, B, 4 H] --Scan: gates + quantise(h) @ r, the cell--> y, h, c
"""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.passes.microsoft.writer import Rewriting, Values, Writer, shape_of

_GATES = ("Sigmoid", "Tanh", "Tanh")


def _lstm(w: Writer) -> Values:
    """X, W [D, I, 4 H], R [D, H, 4 H] as bytes, B, lengths, h, c, P, scale and zero point of W, of R; gates i, o, f, c."""
    _check(w)
    x = w.input(0)
    steps, batch, _ = shape_of(x)
    weights, recurrent = w.known(1, "its weights"), w.known(2, "its recurrent weights")
    directions, hidden = len(recurrent), recurrent.shape[1]
    bias = w.known(3, "its bias") if w.optional(3) is not None else np.zeros((directions, 8 * hidden), np.float32)
    made = w.node_of("DynamicQuantizeLinear", [x], {}, outputs=3).outputs
    reverse = w.node.attributes.get_string("direction", "forward") == "reverse"
    results: list[list[ir.Value]] = []
    for d in range(directions):
        product = _product(w, (made[0], made[1], made[2]), weights[d], 8, d)
        row = w.constant(bias[d, : 4 * hidden] + bias[d, 4 * hidden :], np.float32)
        gates = w.op("Add", product, row)
        states = [_initial(w, i, d, batch, hidden) for i in (5, 6)]
        body = _body(w, recurrent[d], d, batch, hidden)
        backwards = int(reverse or d == 1)
        scan = w.node_of("Scan", [*states, gates], {
            "body": body, "num_scan_inputs": 1, "scan_input_directions": [backwards],
            "scan_output_directions": [backwards],
        }, outputs=3)  # fmt: skip
        h, c, y = scan.outputs
        ends = [w.reshape(v, 1, batch, hidden) for v in (h, c)]
        results.append([w.reshape(y, steps, 1, batch, hidden), *ends])
    return [
        parts[0] if directions == 1 else w.op("Concat", *parts, axis=axis)
        for parts, axis in zip(zip(*results, strict=True), (1, 0, 0), strict=True)
    ]


def _check(w: Writer) -> None:
    names = [str(n) for n in w.node.attributes.get_strings("activations", None) or ()]
    w.require(names in ([], [*_GATES], [*_GATES] * 2), f"its activations are {names}")
    w.require(not w.number("clip") and not w.integer("input_forget"), "clip or input_forget")
    w.require(w.optional(4) is None, "sequence lengths", "export it without sequence_lens, for one length")
    w.require(w.optional(7) is None, "peepholes")


def _initial(w: Writer, index: int, direction: int, batch: int, hidden: int) -> ir.Value:
    given = w.optional(index)
    if given is None:
        return w.constant(np.zeros((batch, hidden), np.float32))
    return w.reshape(w.slice(given, 0, direction, direction + 1), batch, hidden)


def _product(
    w: Writer, quantised: tuple[ir.Value, ir.Value, ir.Value], weights: NDArray[Any], scale: int, direction: int
) -> ir.Value:
    """A quantised tensor times the weights of a direction; `scale` is the input that has theirs, the zero points are behind it."""
    values, own_scale, own_zero = quantised
    theirs, zeros = (w.known(scale + i, "its scales and zero points")[direction] for i in (0, 1))
    zeros = np.broadcast_to(zeros, theirs.shape).astype(weights.dtype)
    product = w.op("MatMulInteger", values, w.constant(weights), own_zero, w.constant(zeros))
    return w.op("Mul", w.op("Cast", product, to=1), w.op("Mul", own_scale, w.constant(theirs, np.float32)))


def _body(w: Writer, recurrent: NDArray[Any], direction: int, batch: int, hidden: int) -> ir.Graph:
    """One step: (h, c, x gates) -> (h, c, h)."""

    def value(name: str, columns: int) -> ir.Value:
        shape, of = ir.Shape((batch, columns)), ir.TensorType(ir.DataType.FLOAT)
        return ir.Value(name=f"{w.name}/{direction}/{name}", shape=shape, type=of)

    h, c, gates = value("h", hidden), value("c", hidden), value("gates", 4 * hidden)
    graph = ir.Graph([h, c, gates], [], nodes=[], name=f"{w.name}/{direction}")
    inner = Writer(graph, w.node, w.opset)
    inner.name = f"{w.name}/{direction}"
    made = inner.node_of("DynamicQuantizeLinear", [h], {}, outputs=3).outputs
    whole = inner.op("Add", gates, _product(inner, (made[0], made[1], made[2]), recurrent, 10, direction))
    i, o, f, g = (inner.slice(whole, 1, n * hidden, (n + 1) * hidden) for n in range(4))
    kept = inner.op("Mul", inner.op("Sigmoid", f), c)
    cell = inner.op("Add", kept, inner.op("Mul", inner.op("Sigmoid", i), inner.op("Tanh", g)))
    out = inner.op("Mul", inner.op("Sigmoid", o), inner.op("Tanh", cell))
    again = inner.op("Identity", out)
    for v in (out, cell, again):
        v.shape, v.type = h.shape, h.type
    graph.extend(inner.nodes)
    graph.outputs.extend([out, cell, again])
    return graph


TABLE: dict[str, Rewriting] = {"DynamicQuantizeLSTM": _lstm}
