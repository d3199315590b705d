"""Activation functions that exporters write as several nodes become the one operator that they are."""

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import constant, only_user, replace
from rt_engine.passes.compilation import Compilation


def fuse_patterns(compilation: Compilation) -> bool:
    """Recognise activation patterns.

    1. x * Sigmoid(x)                                  -> rt_engine:Silu   (PyTorch's SiLU)
    2. x * 0.5 * (1 + Erf(x / sqrt 2)), any order      -> rt_engine:GeluErf (PyTorch's GELU before opset 20)
    3. x * Tanh(Softplus(x))                           -> rt_engine:Mish   (PyTorch's Mish before opset 18)

    Requires: static shapes. Ensures: nothing that later passes need.
    """
    changed = False
    for node in list(compilation.graph):
        if node.graph is not compilation.graph or node.op_type != "Mul" or node.domain:
            continue
        changed = (
            _silu(compilation.graph, node)
            or _mish(compilation.graph, node)
            or _gelu(compilation.graph, node)
            or changed
        )
    return changed


def _fuse(graph: ir.Graph, name: str, x: ir.Value, nodes: list[ir.Node]) -> bool:
    """Replace `nodes` (the last one makes the result) if nobody else reads what lies between."""
    inside = [n.outputs[0] for n in nodes[:-1]]
    if any({u.node for u in v.uses()} - set(nodes) or v.is_graph_output() for v in inside):
        return False
    replace(graph, nodes, ir.node(name, [x], domain=RT_DOMAIN, name=nodes[-1].name))
    return True


def _producer(value: ir.Value | None, op_type: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == op_type and node.domain == "" else None


def _silu(graph: ir.Graph, mul: ir.Node) -> bool:
    for x, other in _both_ways(mul):
        sigmoid = _producer(other, "Sigmoid")
        if sigmoid is not None and sigmoid.inputs[0] is x:
            return _fuse(graph, "Silu", x, [sigmoid, mul])
    return False


def _mish(graph: ir.Graph, mul: ir.Node) -> bool:
    for x, other in _both_ways(mul):
        tanh = _producer(other, "Tanh")
        softplus = _producer(tanh.inputs[0], "Softplus") if tanh else None
        if tanh is not None and softplus is not None and softplus.inputs[0] is x:
            return _fuse(graph, "Mish", x, [softplus, tanh, mul])
    return False


def _gelu(graph: ir.Graph, last: ir.Node) -> bool:
    """x * (1 + erf(x / sqrt 2)) * 0.5, multiplied in any order."""
    factors, products = _factors(graph, last)
    halves = [f for f in factors if _is_scalar(f, 0.5)]
    sums = [s for f in factors if (s := _producer(f, "Add")) is not None and _erf_of(s) is not None]
    if len(factors) != 3 or len(halves) != 1 or len(sums) != 1:
        return False
    x = next(f for f in factors if f is not halves[0] and f is not sums[0].outputs[0])
    inner = _erf_of(sums[0])
    if inner is None:
        return False
    scale, erf = inner
    if scale.inputs[0] is not x and scale.inputs[1] is not x:
        return False
    return _fuse(graph, "GeluErf", x, [scale, erf, sums[0], *products])


def _factors(graph: ir.Graph, mul: ir.Node) -> tuple[list[ir.Value], list[ir.Node]]:
    """(factors of a product of two Muls, the Muls with the last at the end)."""
    for a, b in _both_ways(mul):
        inner = _producer(b, "Mul")
        if inner is not None and only_user(b, graph) is mul:
            return [a, *(v for v in inner.inputs if v is not None)], [inner, mul]
    return [], []


def _erf_of(add: ir.Node) -> tuple[ir.Node, ir.Node] | None:
    """(the node that scales, Erf) of 1 + Erf(x / sqrt 2), or None."""
    for one, other in _both_ways(add):
        erf = _producer(other, "Erf")
        if erf is None or not _is_scalar(one, 1.0):
            continue
        scaled = erf.inputs[0].producer() if erf.inputs[0] is not None else None
        if scaled is None:
            continue
        if (scaled.op_type == "Div" and _is_scalar(scaled.inputs[1], np.sqrt(2.0))) or (
            scaled.op_type == "Mul" and any(_is_scalar(v, np.sqrt(0.5)) for v in scaled.inputs)
        ):
            return scaled, erf
    return None


def _both_ways(node: ir.Node) -> list[tuple[ir.Value, ir.Value]]:
    a, b = node.inputs[0], node.inputs[1]
    return [] if a is None or b is None else [(a, b), (b, a)]


def _is_scalar(value: ir.Value | None, expected: float) -> bool:
    array = constant(value)
    return array is not None and array.size == 1 and bool(np.isclose(array.item(), expected, rtol=1e-6, atol=0.0))
