"""If, Loop and Scan whose bodies stand alone (`passes.closing`): bodies are specialised, and what is known at load goes."""

import onnx_ir as ir

from rt_engine.ops.base import Misfit, Refusal
from rt_engine.ops.control import bodies
from rt_engine.ops.graph import add_constant, constant, next_number
from rt_engine.passes.body_types import Specialise, described, origin, same_type, specialised, type_as
from rt_engine.passes.closing import note, number_of
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.inlining import inlined, replaced
from rt_engine.passes.length_bodies import close_lengths, open_lengths
from rt_engine.passes.loops import loop
from rt_engine.passes.scans import scan
from rt_engine.passes.sequences import close_branches, open_branches
from rt_engine.status import Status

_BRANCHES = ("then_branch", "else_branch")


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
    found: list[ir.Node] | None = {"If": _if, "Loop": loop, "Scan": scan}[node.op_type](compilation, node, specialise)
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
                _replace_uses(body, {value: add_constant(body, f"{value.name}.{next_number(body)}", array)})
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
        if not same_type(a, b):
            raise Refusal(
                f"output '{value.name}' is {described(a)} or {described(b)}, by a condition that is computed at run time",
                "let both branches give the same shape and type, or make the condition a constant",
            )
        type_as(value, a)
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
            type_as(inner, outer)
        try:
            specialised(compilation, body, specialise)
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
    passing = [body for body in possible if all(origin(v) in set(body.inputs) for v in body.outputs)]
    if ranks[0] == ranks[-1] or len(passing) != 1:
        return possible
    (name,) = [name for name in _BRANCHES if node.attributes[name].as_graph() not in passing]
    _trap(compilation, node, name, "gives tensors of another rank than the other one, which changes nothing")
    return passing
