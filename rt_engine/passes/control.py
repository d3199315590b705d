"""If, Loop and Scan whose bodies stand alone (`passes.closing`): bodies are specialised, and what is known at load goes."""

from collections.abc import Callable
from itertools import count

import numpy as np
import onnx_ir as ir

from rt_engine.errors import InvalidModelError, UnsupportedModelError
from rt_engine.ops.base import Misfit, Refusal
from rt_engine.ops.control import bodies
from rt_engine.ops.graph import add_constant, constant
from rt_engine.passes.bounded import bounded, is_bounded, is_counted, note_count
from rt_engine.passes.closing import note, number_of, scopes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.growing import collected
from rt_engine.passes.inlining import ENDLESS, MOST_PEELED, inlined, peeled, replaced, unrolled
from rt_engine.passes.length_bodies import close_lengths, open_lengths, refuse_lengths
from rt_engine.passes.sequences import close_branches, elements, open_branches
from rt_engine.passes.trips import static_trips
from rt_engine.status import Status

MOST_TRIPS = 1_000_000
"""A loop with more iterations has no bound that a cycle could keep."""
MOST_UNROLLED = 20_000
"""Nodes that unrolling may make."""
MOST_TOGETHER = 25_000
"""Nodes that all loops of a model may become, those within loops too."""
_PER_LOOP = 20
_BRANCHES = ("then_branch", "else_branch")
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


def _take_constants(node: ir.Node) -> None:
    captured = number_of(node, "captured")
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
    if elements(other) is not None:
        raise Refusal(
            "it carries a sequence of tensors, and data decide how often it runs",
            "only append to the list, carry a tensor, or give it a constant number of iterations",
        )
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
    if condition is not None:
        if condition.size != 1:
            raise Refusal("the condition is not one bool")
        body = node.attributes[_BRANCHES[0 if condition.reshape(-1)[0] else 1]].as_graph()
        nodes, results = inlined(compilation.graph, node, body, list(node.inputs[1:]))
        return replaced(compilation.graph, node, nodes, results)
    open_branches(compilation.graph, node, [node.attributes[name].as_graph() for name in _BRANCHES])
    open_lengths(compilation, node)
    possible = _type_branches(compilation, node, specialise)
    node, *sequences = close_branches(compilation.graph, node, [possible[0], possible[-1]])
    possible = _of_one_rank(compilation, node, possible)
    then, other = possible[0].outputs, possible[-1].outputs
    if not len(then) == len(other) == len(node.outputs):
        raise Refusal("its branches give another number of results than it has")
    close_lengths(compilation, node, possible)
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
    for name in _BRANCHES:
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
        _trap(compilation, node, name, "does not fit the shapes of the inputs")
    return possible


def _trap(compilation: Compilation, node: ir.Node, name: str, why: str) -> None:
    """A branch goes; a run that takes it has a status."""
    old = node.attributes[name].as_graph()
    inputs = [ir.Value(name=v.name, type=v.type, shape=v.shape) for v in old.inputs]
    node.attributes[name] = ir.AttrGraph(name, ir.Graph(inputs, [], nodes=[], name=old.name))
    node.attributes["trap"] = ir.AttrString("trap", name)
    compilation.assumed.append(
        f"the {name} of If '{node.name or node.outputs[0].name}' {why}: a run that takes it "
        f"ends with status {int(Status.IMPOSSIBLE_BRANCH)}; where an input decides that never changes, fix it with values, --value"
    )


def _of_one_rank(compilation: Compilation, node: ir.Node, possible: list[ir.Graph]) -> list[ir.Graph]:
    """Of two branches whose results have other ranks, the one that changes nothing stays: `if special: x = mended(x)`."""
    ranks = [[None if v.shape is None else len(v.shape) for v in body.outputs] for body in possible]
    passing = [body for body in possible if all(_origin(v) in set(body.inputs) for v in body.outputs)]
    if ranks[0] == ranks[-1] or len(passing) != 1:
        return possible
    (name,) = [name for name in _BRANCHES if node.attributes[name].as_graph() not in passing]
    _trap(compilation, node, name, "gives tensors of another rank than the other one, which changes nothing")
    return passing


def _loop(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
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
    if not (_always(body, node) and constant(node.inputs[0]) is not None):
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
    if count == MOST_TRIPS and (given is None or bound > MOST_TRIPS):
        raise Refusal(*ENDLESS)
    return None if count == MOST_TRIPS else count


def _fix(graph: ir.Graph, node: ir.Node, body: ir.Graph, count: int) -> None:
    """The loop runs this often, whatever its condition says."""
    node.replace_input_with(0, add_constant(graph, f"{node.name}.trips", np.array(count, np.int64)))
    body.outputs[0] = body.inputs[1]


def _is_open(node: ir.Node, body: ir.Graph, collects: bool) -> bool:
    """Do data decide how often it runs, and is there no bound, or is what it collects as long?"""
    start = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if start is not None and not start.all():
        return False
    most = constant(node.inputs[0])
    if most is None or most.size != 1:
        return most is None
    trips = int(most.reshape(-1)[0])
    return not _always(body, node) and (trips > MOST_TRIPS or (collects and trips > 0))


def _trips(node: ir.Node) -> int:
    """How many iterations at most."""
    start = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if start is not None and not start.all():
        return 0
    most = constant(node.inputs[0])
    if most is None or most.size != 1:
        raise Refusal("its number of iterations is not one number", "correct it")
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
    refuse_lengths(compilation, node.inputs[2 : 2 + carried], "carries")
    _specialised(compilation, body, specialise)
    refuse_lengths(compilation, body.outputs, "gives")
    for inner, result, value in zip(list(body.inputs)[2:], body.outputs[1 : 1 + carried], node.outputs, strict=False):
        if not _same_type(inner, result):
            raise Refusal(f"what it carries as '{inner.name}' changes from {_text(inner)} to {_text(result)}")
        _type_as(value, result)
    at_end = constant(body.outputs[0])
    always = (at_end is not None and bool(at_end.all())) or _always(body, node)
    collected = list(body.outputs)[1 + carried :]
    for value, result in zip(list(node.outputs)[carried:], collected, strict=True):
        assert result.shape is not None
        _type_as(value, result, (trips, *(int(d) for d in result.shape)))  # type: ignore[arg-type]
    note(node, trips=trips, always=always)
    note_count(compilation, node, carried, trips)


def _always(body: ir.Graph, node: ir.Node) -> bool:
    """Is the condition plainly true in every iteration?"""
    if len(node.inputs) > 1 and node.inputs[1] is not None and constant(node.inputs[1]) is None:
        return False
    value = _origin(body.outputs[0])
    if value is body.inputs[1]:
        return True
    maker = value.producer() if value is not None else None
    if maker is not None and maker.op_type == "Constant" and "value" in maker.attributes:
        return bool(np.asarray(maker.attributes["value"].value.numpy()).all())
    array = constant(value)
    return array is not None and bool(array.all())


def _origin(value: ir.Value | None) -> ir.Value | None:
    """What a value is, behind Identity."""
    while value is not None and (maker := value.producer()) is not None and maker.op_type == "Identity":
        value = maker.inputs[0]
    return value


def _scan(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
    open_lengths(compilation, node)
    body, captured = node.attributes["body"].as_graph(), number_of(node, "captured")
    scanned = number_of(node, "num_scan_inputs")
    if number_of(node, "opset") < 9 and "trips" not in node.attributes:
        _modernise(node)
    states = len(body.inputs) - scanned - captured
    collected = len(node.outputs) - states
    if states < 0 or scanned < 1 or collected < 0 or len(body.outputs) != len(node.outputs):
        raise Refusal("its body has another number of inputs or results than it needs")
    batched = number_of(node, "batched")
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
    refuse_lengths(compilation, node.inputs[: states + scanned], "scans")
    _specialised(compilation, body, specialise)
    refuse_lengths(compilation, body.outputs, "gives")
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
        captured = i >= len(rest) - number_of(node, "captured")
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
