"""If, Loop and Scan whose bodies stand alone (`passes.closing`): bodies are specialised, and what is known at load goes."""

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import onnx_ir as ir

from rt_engine.errors import InvalidModelError, UnsupportedModelError
from rt_engine.ops.base import Misfit, Refusal
from rt_engine.ops.control import bodies
from rt_engine.ops.graph import add_constant, constant
from rt_engine.passes.closing import note, scopes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.sequences import close_branches, open_branches
from rt_engine.passes.trips import static_trips
from rt_engine.status import Status

MOST_TRIPS = 1_000_000
"""A loop with more iterations has no bound that a cycle could keep."""
MOST_UNROLLED = 20_000
"""Nodes that unrolling may make."""
MOST_PEELED = 2_000
"""Nodes that a loop without a number of iterations may become."""
MOST_TOGETHER = 25_000
"""Nodes that all loops of a model may become, those within loops too."""
_PER_LOOP = 20
_numbers = count()


Specialise = Callable[[Compilation], bool]
"""How a body gets its shapes: `passes.specialise`, which calls `resolve` for every control-flow node that it meets."""


def resolve(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
    """Give a control-flow node's outputs their types, its bodies' values too; or nodes that stand in its place.

    1. What is captured and constant becomes a constant of the body.
    2. If with a constant condition -> the nodes of its branch.
    3. If -> both branches are specialised, and must give the same shapes. One that does not fit the model's shapes becomes a trap.
    4. Loop whose body keeps its shapes -> the body is specialised, once for all iterations.
    5. Loop whose body does not, with a constant number of iterations -> all iterations, one after the other.
    6. Loop without a number of iterations, whose condition depends on constants alone -> one iteration, and the rest of it.
    7. Loop whose condition is computed from constants and the iteration's number -> how often it runs is found out now.
    8. Scan -> as 4.

    Raises:
        Refusal: no static shape, or no bound.
    """
    _take_constants(node)
    found: list[ir.Node] | None = {"If": _if, "Loop": _loop, "Scan": _scan}[node.op_type](compilation, node, specialise)
    return found


def _number(node: ir.Node, name: str, default: int = 0) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.value)


def _take_constants(node: ir.Node) -> None:
    captured = _number(node, "captured")
    first = len(node.inputs) - captured
    kept = [i for i in range(captured) if constant(node.inputs[first + i]) is None]
    if len(kept) == captured:
        return
    for body in bodies(node):
        inner = list(body.inputs)[len(body.inputs) - captured :]
        for _ in inner:
            body.inputs.pop()
        for i, value in enumerate(inner):
            array = constant(node.inputs[first + i])
            if array is None:
                body.inputs.append(value)
            else:
                _replace_uses(body, {value: add_constant(body, f"{value.name}.{next(_numbers)}", array)})
    outside = [node.inputs[first + i] for i in kept]
    node.resize_inputs(first + len(kept))
    for i, outer in enumerate(outside):
        node.replace_input_with(first + i, outer)
    note(node, captured=len(kept))


def _replace_uses(body: ir.Graph, new: dict[ir.Value, ir.Value]) -> None:
    for node in body:
        for i, read in enumerate(node.inputs):
            if read in new:
                node.replace_input_with(i, new[read])
    for i, value in enumerate(body.outputs):
        if value in new:
            body.outputs[i] = new[value]


def _specialised(compilation: Compilation, body: ir.Graph, specialise: Specialise) -> None:
    try:
        specialise(compilation.within(body))
    except UnsupportedModelError as error:
        raise Refusal("in its body, " + "; ".join(str(reason) for reason in error.reasons)) from error
    except InvalidModelError as error:
        raise Misfit(f"in its body, {error}") from error


def _type_as(value: ir.Value, other: ir.Value | None, shape: tuple[int, ...] | None = None) -> None:
    if other is None or other.dtype is None or other.shape is None:
        raise Refusal("an input that its body reads is missing or has no shape")
    value.type = ir.TensorType(other.dtype)
    value.shape = ir.Shape(other.shape if shape is None else shape)


def _same_type(a: ir.Value, b: ir.Value) -> bool:
    return a.dtype == b.dtype and a.shape is not None and b.shape is not None and tuple(a.shape) == tuple(b.shape)


def _text(value: ir.Value) -> str:
    return f"{value.dtype}{list(value.shape) if value.shape is not None else '?'}"


def _if(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
    condition = constant(node.inputs[0])
    names = ("then_branch", "else_branch")
    if condition is not None:
        if condition.size != 1:
            raise Refusal("the condition is not one bool")
        body = node.attributes[names[0] if condition.reshape(-1)[0] else names[1]].as_graph()
        nodes, results = inlined(compilation.graph, node, body, list(node.inputs[1:]))
        return _replaced(compilation.graph, node, nodes, results)
    open_branches(compilation.graph, node, [node.attributes[name].as_graph() for name in names])
    possible = _type_branches(compilation, node, specialise)
    node, *sequences = close_branches(compilation.graph, node, [possible[0], possible[-1]])
    then, other = possible[0].outputs, possible[-1].outputs
    if not len(then) == len(other) == len(node.outputs):
        raise Refusal("its branches give another number of results than it has")
    for value, a, b in zip(node.outputs, then, other, strict=True):
        if not _same_type(a, b):
            raise Refusal(
                f"output '{value.name}' is {_text(a)} or {_text(b)}, by a condition that is computed at run time",
                "let both branches give the same shape and type, or make the condition a constant",
            )
        _type_as(value, a)
    return sequences or None


def _type_branches(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Graph]:
    """Give the branches' values their types; the branches that are possible. One that does not fit becomes a trap.

    The branch itself goes: nothing in it has a type.
    """
    possible: list[ir.Graph] = []
    failed: dict[str, Misfit] = {}
    for name in ("then_branch", "else_branch"):
        if node.attributes.get_string("trap", "") == name:
            continue
        body = node.attributes[name].as_graph()
        for inner, outer in zip(body.inputs, node.inputs[1:], strict=True):
            _type_as(inner, outer)
        try:
            _specialised(compilation, body, specialise)
            possible.append(body)
        except Misfit as error:
            failed[name] = error
    if not possible:
        raise next(iter(failed.values()))
    for name in failed:
        body = node.attributes[name].as_graph()
        node.attributes[name] = ir.AttrGraph(name, ir.Graph(_like(body.inputs), [], nodes=[], name=body.name))
        node.attributes["trap"] = ir.AttrString("trap", name)
        compilation.assumed.append(
            f"the {name} of If '{node.name or node.outputs[0].name}' does not fit the shapes of the inputs: a run that takes it "
            f"ends with status {int(Status.IMPOSSIBLE_BRANCH)}; where an input decides that never changes, fix it with values"
        )
    return possible


def _like(values: Sequence[ir.Value]) -> list[ir.Value]:
    return [ir.Value(name=v.name, type=v.type, shape=v.shape) for v in values]


def _loop(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
    _check_spent(compilation)
    body, captured = node.attributes["body"].as_graph(), _number(node, "captured")
    start = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    count = _count(compilation, node, body, captured)
    endless = node.inputs[0] is None and start is not None and start.all()
    few = count is None or count * (len(list(body)) + 1) <= MOST_PEELED
    if endless and few and len(body.outputs) == len(body.inputs) - 1 - captured:
        _spend(compilation, 1, body)
        return _peeled(compilation.graph, node, body)
    if count is not None:
        _fix(compilation.graph, node, body, count)
    trips = _trips(node)
    carried = len(body.inputs) - 2 - captured
    if carried < 0 or len(body.outputs) != len(node.outputs) + 1 or len(node.outputs) < carried:
        raise Refusal("its body has another number of inputs or results than it needs")
    pristine = body.clone()
    try:
        _loop_types(compilation, node, body, trips, carried, specialise)
    except Refusal as refusal:
        unrolled = trips * (len(list(pristine)) + 1)
        if (trips and not _always(pristine, node)) or unrolled > MOST_UNROLLED:
            raise
        _spend(compilation, trips, pristine)
        try:
            return _unrolled(compilation.graph, node, pristine, trips, carried, compilation.opsets.get("", 1))
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
    collects = len(body.outputs) > 1 + carried
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
    return None if count == MOST_TRIPS else count


def _fix(graph: ir.Graph, node: ir.Node, body: ir.Graph, count: int) -> None:
    """The loop runs this often, whatever its condition says."""
    node.replace_input_with(0, add_constant(graph, f"{node.name}.trips", np.array(count, np.int64)))
    body.outputs[0] = body.inputs[1]


def _trips(node: ir.Node) -> int:
    """How many iterations at most."""
    start = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if start is not None and not start.all():
        return 0
    most = constant(node.inputs[0])
    if most is None or most.size != 1:
        what = "is computed at run time" if node.inputs[0] is not None else "is not given"
        raise Refusal(
            f"its number of iterations {what}; a cycle needs a bound",
            "export with a constant trip count; a condition may still end the loop earlier",
        )
    trips = int(most.reshape(-1)[0])
    if trips > MOST_TRIPS:
        raise Refusal(
            f"{trips:,} iterations; the most is {MOST_TRIPS:,}", "export with the largest count that a run may need"
        )
    return max(trips, 0)


def _loop_types(
    compilation: Compilation, node: ir.Node, body: ir.Graph, trips: int, carried: int, specialise: Specialise
) -> None:
    number, again = body.inputs[0], body.inputs[1]
    number.type, number.shape = ir.TensorType(ir.DataType.INT64), ir.Shape(())
    again.type, again.shape = ir.TensorType(ir.DataType.BOOL), ir.Shape(())
    for inner, outer in zip(list(body.inputs)[2:], node.inputs[2:], strict=True):
        _type_as(inner, outer)
    _specialised(compilation, body, specialise)
    for inner, result, value in zip(list(body.inputs)[2:], body.outputs[1 : 1 + carried], node.outputs, strict=False):
        if not _same_type(inner, result):
            raise Refusal(f"what it carries as '{inner.name}' changes from {_text(inner)} to {_text(result)}")
        _type_as(value, result)
    at_start, at_end = node.inputs[1] if len(node.inputs) > 1 else None, constant(body.outputs[0])
    known = at_start is None or constant(at_start) is not None
    always = (at_end is not None and bool(at_end.all())) or _always(body, node)
    collected = list(body.outputs)[1 + carried :]
    if collected and trips and not (always and known):
        raise Refusal(
            "how often it runs depends on data, and so does the shape of what it collects",
            "carry the values in a tensor of fixed size, or make the condition a constant",
        )
    for value, result in zip(list(node.outputs)[carried:], collected, strict=True):
        assert result.shape is not None
        _type_as(value, result, (trips, *(int(d) for d in result.shape)))  # type: ignore[arg-type]
    note(node, trips=trips, always=always)


def _always(body: ir.Graph, node: ir.Node) -> bool:
    """Is the condition plainly true in every iteration?"""
    if len(node.inputs) > 1 and node.inputs[1] is not None and constant(node.inputs[1]) is None:
        return False
    value: ir.Value | None = body.outputs[0]
    while value is not None and value.producer() is not None and value.producer().op_type == "Identity":  # type: ignore[union-attr]
        value = value.producer().inputs[0]  # type: ignore[union-attr]
    if value is body.inputs[1]:
        return True
    maker = value.producer() if value is not None else None
    if maker is not None and maker.op_type == "Constant" and "value" in maker.attributes:
        return bool(np.asarray(maker.attributes["value"].value.numpy()).all())
    array = constant(value)
    return array is not None and bool(array.all())


def _scan(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
    body, captured = node.attributes["body"].as_graph(), _number(node, "captured")
    scanned = _number(node, "num_scan_inputs")
    if _number(node, "opset") < 9 and "trips" not in node.attributes:
        _modernise(node)
    states = len(body.inputs) - scanned - captured
    collected = len(node.outputs) - states
    if states < 0 or scanned < 1 or collected < 0 or len(body.outputs) != len(node.outputs):
        raise Refusal("its body has another number of inputs or results than it needs")
    batched = _number(node, "batched")
    shapes = [_shape(value) for value in node.inputs]
    in_axes = _axes(node, "scan_input_axes", [len(s) for s in shapes[states : states + scanned]], batched)
    trips = {shape[axis] for shape, axis in zip(shapes[states:], in_axes, strict=False)}
    if len(trips) != 1:
        raise Refusal(f"its scanned inputs have {sorted(trips)} slices; they must have the same number")
    for i, (inner, outer) in enumerate(zip(body.inputs, node.inputs, strict=True)):
        shape = shapes[i]
        if states <= i < states + scanned:
            axis = in_axes[i - states]
            shape = shape[:axis] + shape[axis + 1 :]
        _type_as(inner, outer, shape[1:] if batched and i < states + scanned else shape)
    _specialised(compilation, body, specialise)
    (steps,) = trips
    for i, (value, result) in enumerate(zip(node.outputs, body.outputs, strict=True)):
        shape = _shape(result)
        if i < states and not _same_type(body.inputs[i], result):
            raise Refusal(f"a state changes from {_text(body.inputs[i])} to {_text(result)}")
        if i < states:
            _type_as(value, result, (1, *shape) if batched else shape)
    out_axes = _axes(
        node, "scan_output_axes", [len(_shape(v)) + 1 + batched for v in list(body.outputs)[states:]], batched
    )
    for value, result, axis in zip(list(node.outputs)[states:], list(body.outputs)[states:], out_axes, strict=True):
        shape = (1, *_shape(result)) if batched else _shape(result)
        _type_as(value, result, (*shape[:axis], steps, *shape[axis:]))
    note(node, trips=steps)
    for name, values in (
        ("input_axes", in_axes),
        ("output_axes", out_axes),
        ("input_directions", _ints(node, "scan_input_directions", scanned)),
        ("output_directions", _ints(node, "scan_output_directions", collected)),
    ):
        node.attributes[name] = ir.AttrInt64s(name, values)
    return None


def _modernise(node: ir.Node) -> None:
    """Scan 8: an optional input of lengths comes first, axis 0 is the batch, `directions` is the inputs'."""
    if node.inputs[0] is not None:
        raise Refusal("sequence lengths of Scan 8 are not supported", "export with opset 9 or later")
    rest = list(node.inputs[1:])
    node.resize_inputs(len(rest))
    for i, value in enumerate(rest):
        node.replace_input_with(i, value)
        captured = i >= len(rest) - _number(node, "captured")
        if value is not None and not captured and (not _shape(value) or _shape(value)[0] != 1):
            raise Refusal("a batch of more than one in Scan 8 is not supported", "export with opset 9 or later")
    if "directions" in node.attributes:
        node.attributes["scan_input_directions"] = ir.AttrInt64s(
            "scan_input_directions", list(node.attributes["directions"].value)
        )
    note(node, batched=1)


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    if value is None or value.shape is None:
        raise Refusal("an input is missing or has no shape")
    return tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static by now


def _ints(node: ir.Node, name: str, length: int) -> list[int]:
    attribute = node.attributes.get(name)
    values = [0] * length if attribute is None else [int(v) for v in attribute.value]
    if len(values) != length:
        raise Refusal(f"{name} has {len(values)} numbers, {length} are needed")
    return values


def _axes(node: ir.Node, name: str, ranks: list[int], batched: int) -> list[int]:
    """Axes, counted from the front."""
    axes = [batched] * len(ranks) if batched else _ints(node, name, len(ranks))
    for axis, rank in zip(axes, ranks, strict=True):
        if not -rank <= axis < rank:
            raise Refusal(f"axis {axis} of {name} is not one of {rank}")
    return [axis % rank for axis, rank in zip(axes, ranks, strict=True)]


# --- bodies in place of their node ---------------------------------------------------------------------------------------


def inlined(
    graph: ir.Graph, node: ir.Node, body: ir.Graph, arguments: list[ir.Value | None]
) -> tuple[list[ir.Node], list[ir.Value]]:
    """Move a body's nodes before `node`; gives them and the results. The body is used up."""
    mapping: dict[ir.Value, ir.Value] = {}
    for inner, outer in zip(body.inputs, arguments, strict=True):
        if outer is not None:
            mapping[inner] = outer
    prefix = f"{node.name or node.op_type}.{next(_numbers)}"
    for value in list(body.initializers.values()):
        array = constant(value)
        assert array is not None
        mapping[value] = add_constant(graph, f"{prefix}/{value.name}", array)
    results = [mapping.get(v, v) for v in body.outputs]
    nodes = list(body)
    for inner_node in nodes:
        for i, read in enumerate(inner_node.inputs):
            if read in mapping:
                inner_node.replace_input_with(i, mapping[read])
    body.outputs.clear()
    body.remove(nodes)
    for inner_node in nodes:
        inner_node.name = f"{prefix}/{inner_node.name or inner_node.op_type}"
        for value in inner_node.outputs:
            if value.name:
                value.name = f"{prefix}/{value.name}"
    graph.insert_before(node, nodes)
    return nodes, results


def _replaced(graph: ir.Graph, node: ir.Node, nodes: list[ir.Node], results: list[ir.Value]) -> list[ir.Node]:
    for value, result in zip(node.outputs, results, strict=True):
        ir.convenience.replace_all_uses_with(value, result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return nodes


def _unrolled(graph: ir.Graph, node: ir.Node, body: ir.Graph, trips: int, carried: int, opset: int) -> list[ir.Node]:
    """All iterations, one after the other."""
    made: list[ir.Node] = []
    values: list[ir.Value | None] = list(node.inputs[2 : 2 + carried])
    outer = list(node.inputs[2 + carried :])
    collected: list[list[ir.Value]] = [[] for _ in range(len(node.outputs) - carried)]
    if not trips and collected:
        raise Refusal("it runs not once, so that the shape of what it collects is unknown", "leave it out")
    true = add_constant(graph, f"{node.name}.true", np.array(True))
    for i in range(trips):
        number = add_constant(graph, f"{node.name}.{i}", np.array(i, np.int64))
        nodes, results = inlined(graph, node, body.clone(), [number, true, *values, *outer])
        made += nodes
        values = list(results[1 : 1 + carried])
        for found, result in zip(collected, results[1 + carried :], strict=True):
            found.append(result)
    for found in collected:
        made += (nodes := _stacked(graph, node, found, opset))
        values.append(nodes[-1].outputs[0])
    return _replaced(graph, node, made, [v for v in values if v is not None])


def _peeled(graph: ir.Graph, node: ir.Node, body: ir.Graph) -> list[ir.Node]:
    """One iteration, then the loop again, with the condition that the iteration gave: it may have become a constant."""
    done = _number(node, "peeled") + len(list(body)) + 1
    if done > MOST_PEELED:
        raise Refusal(
            "it has no number of iterations, and its condition holds for very many",
            "export with a constant trip count; a condition may still end the loop earlier",
        )
    carried = len(body.outputs) - 1
    values, outer = list(node.inputs[2 : 2 + carried]), list(node.inputs[2 + carried :])
    number = add_constant(graph, f"{node.name}.number", np.array(_number(node, "iterations"), np.int64))
    nodes, results = inlined(graph, node, body.clone(), [number, node.inputs[1], *values, *outer])
    for i, result in enumerate(results):
        node.replace_input_with(1 + i, result)
    note(node, peeled=done, iterations=_number(node, "iterations") + 1)
    return [*nodes, node]


def _stacked(graph: ir.Graph, node: ir.Node, values: list[ir.Value], opset: int) -> list[ir.Node]:
    """Values one after the other along a new first axis."""
    axes = add_constant(graph, f"{node.name}.axes", np.array([0], np.int64)) if opset >= 13 else None
    nodes = []
    for value in values:
        if axes is None:
            nodes.append(ir.node("Unsqueeze", [value], {"axes": [0]}))
        else:
            nodes.append(ir.node("Unsqueeze", [value, axes]))
    nodes.append(ir.node("Concat", [n.outputs[0] for n in nodes], {"axis": 0}))
    for made in nodes:
        made.name = made.outputs[0].name = f"{node.name or node.op_type}.{next(_numbers)}"
    graph.insert_before(node, nodes)
    return nodes
