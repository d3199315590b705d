"""LSTM with bytes for weights: inputs and state are quantised when it runs, the state anew in every step.

x --quantise--> @ w --> x gates [T, B, 4 H] --Scan: gates + quantise(h) @ r, the cell--> y, h, c
lengths [B] --> there [T, B, 1] -----------------Scan: behind its length a row keeps h and c, and y is 0
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
    peepholes = w.known(7, "its peepholes") if w.optional(7) is not None else None
    there = [_there(w, w.input(4), steps, batch)] if w.optional(4) is not None else []
    results: list[list[ir.Value]] = []
    for d in range(directions):
        product = _product(w, (made[0], made[1], made[2]), weights[d], 8, d)
        row = w.constant(bias[d, : 4 * hidden] + bias[d, 4 * hidden :], np.float32)
        gates = w.op("Add", product, row)
        states = [_initial(w, i, d, batch, hidden) for i in (5, 6)]
        peeped = None if peepholes is None else peepholes[d].reshape(3, hidden)
        body = _body(w, recurrent[d], d, batch, peeped, bool(there))
        backwards = int(reverse or d == 1)
        scanned = [gates, *there]
        scan = w.node_of("Scan", [*states, *scanned], {
            "body": body, "num_scan_inputs": len(scanned), "scan_input_directions": [backwards] * len(scanned),
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


def _there(w: Writer, lengths: ir.Value, steps: int, batch: int) -> ir.Value:
    """Which steps of which rows are there; a length that is none of 0 to `steps` is an index out of range, as LSTM has it."""
    wrong, none = w.constant(steps + 1, np.int32), w.constant(0, np.int32)
    index = w.op("Where", w.op("Less", lengths, none), wrong, lengths)
    checked = w.op("Gather", w.constant(np.arange(steps + 1), np.int32), index, axis=0)
    step = w.constant(np.arange(steps).reshape(steps, 1, 1), np.int32)
    return w.op("Less", step, w.reshape(checked, 1, batch, 1))


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


def _body(
    w: Writer, recurrent: NDArray[Any], direction: int, batch: int, peepholes: NDArray[Any] | None, lengths: bool
) -> ir.Graph:
    """One step: (h, c, x gates, which rows are there, if not all) -> (h, c, h); peepholes [3, H] of the gates i, o, f."""
    hidden = len(recurrent)

    def value(name: str, columns: int, of: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
        return ir.Value(name=f"{w.name}/{direction}/{name}", shape=ir.Shape((batch, columns)), type=ir.TensorType(of))

    h, c, gates, there = (
        value("h", hidden),
        value("c", hidden),
        value("gates", 4 * hidden),
        value("there", 1, ir.DataType.BOOL),
    )
    graph = ir.Graph([h, c, gates, there][: 3 + lengths], [], nodes=[], name=f"{w.name}/{direction}")
    inner = Writer(graph, w.node, w.opset)
    inner.name = f"{w.name}/{direction}"
    made = inner.node_of("DynamicQuantizeLinear", [h], {}, outputs=3).outputs
    whole = inner.op("Add", gates, _product(inner, (made[0], made[1], made[2]), recurrent, 10, direction))
    i, o, f, g = (inner.slice(whole, 1, n * hidden, (n + 1) * hidden) for n in range(4))

    def peep(gate: ir.Value, number: int, at: ir.Value) -> ir.Value:
        if peepholes is None:
            return gate
        return inner.op("Add", gate, inner.op("Mul", inner.constant(peepholes[number], np.float32), at))

    i, f = peep(i, 0, c), peep(f, 2, c)
    kept = inner.op("Mul", inner.op("Sigmoid", f), c)
    cell = inner.op("Add", kept, inner.op("Mul", inner.op("Sigmoid", i), inner.op("Tanh", g)))
    out = inner.op("Mul", inner.op("Sigmoid", peep(o, 1, cell)), inner.op("Tanh", cell))
    if lengths:
        again = inner.op("Where", there, out, inner.constant(0, np.float32))
        out, cell = inner.op("Where", there, out, h), inner.op("Where", there, cell, c)
    else:
        again = inner.op("Identity", out)
    for v in (out, cell, again):
        v.shape, v.type = h.shape, h.type
    graph.extend(inner.nodes)
    graph.outputs.extend([out, cell, again])
    return graph


TABLE: dict[str, Rewriting] = {"DynamicQuantizeLSTM": _lstm}
