"""Loop: typed once for all iterations, or unrolled, peeled, bounded (`passes.control` says when)."""

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import Refusal
from rt_engine.ops.graph import add_constant, constant
from rt_engine.passes.body_types import Specialise, described, origin, same_type, specialised, type_as
from rt_engine.passes.bounded import bounded, is_bounded, is_counted, note_count
from rt_engine.passes.closing import note, number_of, scopes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.growing import collected
from rt_engine.passes.inlining import ENDLESS, MOST_PEELED, peeled, unrolled
from rt_engine.passes.length_bodies import open_lengths, refuse_lengths
from rt_engine.passes.sequences import elements
from rt_engine.passes.trips import static_trips

MOST_TRIPS = 1_000_000
"""A loop with more iterations has no bound that a cycle could keep."""
MOST_UNROLLED = 20_000
"""Nodes that unrolling may make."""
MOST_TOGETHER = 25_000
"""Nodes that all loops of a model may become, those within loops too."""
_PER_LOOP = 20


def loop(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
    """Cases 4 to 7 of `passes.control.resolve`."""
    _check_spent(compilation)
    open_lengths(compilation, node)
    body, captured = node.attributes["body"].as_graph(), number_of(node, "captured")
    start = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    count = _count(compilation, node, body, captured)
    endless = (
        node.inputs[0] is None
        and start is not None
        and start.all()
        and (
            number_of(node, "iterations")
            or count is not None
            or _always(body, node)
            or not is_bounded(compilation, node, MOST_TRIPS)
        )
    )
    few = count is None or count * (len(list(body)) + 1) <= MOST_PEELED
    if endless and few and len(body.outputs) == len(body.inputs) - 1 - captured:
        _spend(compilation, 1, body)
        return peeled(compilation.graph, node, body)
    if count is not None:
        _fix(compilation.graph, node, body, count)
    carried = len(body.inputs) - 2 - captured
    if carried < 0 or len(body.outputs) != len(node.outputs) + 1 or len(node.outputs) < carried:
        raise Refusal("its body has another number of inputs or results than it needs")
    if not (_never(node) or (_always(body, node) and constant(node.inputs[0]) is not None)):
        without = collected(compilation.graph, node, carried)
        if without is not None:
            return without
    if not is_counted(node) and _is_open(node, body, len(node.outputs) > carried):
        return bounded(compilation, node, carried, MOST_TRIPS)
    trips = _trips(node)
    pristine = body.clone()
    try:
        _loop_types(compilation, node, body, trips, carried, specialise)
    except Refusal as refusal:
        nodes = trips * (len(list(pristine)) + 1)
        if (trips and not _always(pristine, node)) or nodes > MOST_UNROLLED:
            raise
        _spend(compilation, trips, pristine)
        try:
            return unrolled(compilation.graph, node, pristine, trips, carried, compilation.opsets.get("", 1))
        except (ValueError, TypeError, AttributeError) as error:
            raise refusal from error
    return None


def _spend(compilation: Compilation, trips: int, body: ir.Graph) -> None:
    """Loops within loops multiply, and each is tried as a loop first."""
    compilation.unrolled["nodes"] += trips * sum(len(list(graph)) + 1 for graph in scopes(body)) + _PER_LOOP
    _check_spent(compilation)


def _check_spent(compilation: Compilation) -> None:
    if compilation.unrolled["nodes"] > MOST_TOGETHER:
        raise Refusal(f"loops that become more than {MOST_TOGETHER:,} nodes", "carry values whose shapes stay the same")


def _count(compilation: Compilation, node: ir.Node, body: ir.Graph, captured: int) -> int | None:
    """How often a loop runs whose condition is computed, but from no data; None where nothing asks for it."""
    start = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else np.array(True)
    carried = len(body.inputs) - 2 - captured
    collects = len(body.outputs) > 1 + carried or any(
        elements(value) is not None for value in node.inputs[2 : 2 + max(carried, 0)]
    )
    given = constant(node.inputs[0])
    bound = MOST_TRIPS if given is None or given.size != 1 else int(given.reshape(-1)[0])
    if (
        start is None
        or not start.all()
        or carried < 0
        or bound <= 0
        or not (collects or given is None or bound > MOST_TRIPS)
    ):
        return None
    if (node.inputs[0] is not None and given is None) or _always(body, node):
        return None
    count = static_trips(compilation, node, captured, min(bound, MOST_TRIPS))
    if count == MOST_TRIPS and (given is None or bound > MOST_TRIPS):
        raise Refusal(*ENDLESS)
    return None if count == MOST_TRIPS else count


def _fix(graph: ir.Graph, node: ir.Node, body: ir.Graph, count: int) -> None:
    """The loop runs this often, whatever its condition says."""
    node.replace_input_with(0, add_constant(graph, f"{node.name}.trips", np.array(count, np.int64)))
    body.outputs[0] = body.inputs[1]


def _is_open(node: ir.Node, body: ir.Graph, collects: bool) -> bool:
    """Do data decide how often it runs, and is there no bound, or is what it collects as long?"""
    most = constant(node.inputs[0])
    if _never(node) or (most is not None and most.size != 1):
        return False
    if most is None:
        return True
    return not _always(body, node) and (collects or int(most.reshape(-1)[0]) > MOST_TRIPS)


def _never(node: ir.Node) -> bool:
    """Is it known that it does not run once?"""
    start = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    most = constant(node.inputs[0])
    return (start is not None and not start.all()) or (most is not None and most.size == 1 and bool((most <= 0).all()))


def _trips(node: ir.Node) -> int:
    """How many iterations at most."""
    if _never(node):
        return 0
    most = constant(node.inputs[0])
    if most is None or most.size != 1:
        raise Refusal("its number of iterations is not one number", "correct it")
    trips = int(most.reshape(-1)[0])
    if trips > MOST_TRIPS:
        raise Refusal(
            f"{trips:,} iterations; the most is {MOST_TRIPS:,}", "export with the largest count that a run may need"
        )
    return trips


def _loop_types(
    compilation: Compilation, node: ir.Node, body: ir.Graph, trips: int, carried: int, specialise: Specialise
) -> None:
    number, again = body.inputs[0], body.inputs[1]
    number.type, number.shape = ir.TensorType(ir.DataType.INT64), ir.Shape(())
    again.type, again.shape = ir.TensorType(ir.DataType.BOOL), ir.Shape(())
    for inner, outer in zip(list(body.inputs)[2:], node.inputs[2:], strict=True):
        type_as(inner, outer)
    refuse_lengths(compilation, node.inputs[2 : 2 + carried], "carries")
    specialised(compilation, body, specialise)
    refuse_lengths(compilation, body.outputs, "gives")
    for inner, result, value in zip(list(body.inputs)[2:], body.outputs[1 : 1 + carried], node.outputs, strict=False):
        if not same_type(inner, result):
            raise Refusal(f"what it carries as '{inner.name}' changes from {described(inner)} to {described(result)}")
        type_as(value, result)
    at_end = constant(body.outputs[0])
    always = (at_end is not None and bool(at_end.all())) or _always(body, node)
    collected = list(body.outputs)[1 + carried :]
    for value, result in zip(list(node.outputs)[carried:], collected, strict=True):
        assert result.shape is not None
        type_as(value, result, (trips, *(int(d) for d in result.shape)))  # type: ignore[arg-type]
    note(node, trips=trips, always=always)
    note_count(compilation, node, carried, trips)


def _always(body: ir.Graph, node: ir.Node) -> bool:
    """Is the condition plainly true in every iteration?"""
    if len(node.inputs) > 1 and node.inputs[1] is not None and constant(node.inputs[1]) is None:
        return False
    value = origin(body.outputs[0])
    if value is body.inputs[1]:
        return True
    maker = value.producer() if value is not None else None
    if maker is not None and maker.op_type == "Constant" and "value" in maker.attributes:
        return bool(np.asarray(maker.attributes["value"].value.numpy()).all())
    array = constant(value)
    return array is not None and bool(array.all())
