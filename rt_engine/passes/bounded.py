"""Loops whose number of iterations is only known at run time: a bound, and a count of those that ran.

Loop(m, start, h)                       Loop(bound, start and m > 0, h, done = 0, m)
    i, again, h                             i, again, h, _, m
    again2, h2 = ...             -->        again2, h2 = ...;  next = i + 1;  more = again2 and next < m
    collect h2                              ended by LONGER_THAN_BOUND if `more`, and next is the bound
                                            collect h2;  done = next
-> h, all [?]                           -> h, done, all [bound]: `done` of it are there
"""

import numpy as np
import onnx_ir as ir

from rt_engine.ops.base import Refusal
from rt_engine.ops.graph import constant
from rt_engine.passes.closing import note, number_of, remade
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.following import Step
from rt_engine.passes.lengths import Along, Length
from rt_engine.passes.microsoft.writer import Writer
from rt_engine.passes.trips import most_trips

_COUNTED = "counted"
"""A loop with this attribute carries how many iterations ran, as the last of what it carries."""
_INT64 = int(ir.DataType.INT64)


def bounded(compilation: Compilation, node: ir.Node, carried: int, most: int) -> list[ir.Node]:
    """A loop of a constant number of iterations at most, which counts them, and what it needs before.

    Raises:
        Refusal: neither the file nor the user says how often it may run, or it is more than `most` times.
    """
    graph, body = compilation.graph, node.attributes["body"].as_graph()
    given, fixed = node.inputs[0], constant(node.inputs[0])
    if fixed is not None and int(fixed.reshape(-1)[0]) > most:  # for ever, as TorchScript writes `while`
        given = fixed = None
    trips = _bound(compilation, node, most) if fixed is None else int(fixed.reshape(-1)[0])
    if number_of(node, "iterations"):
        raise Refusal(
            "its condition is known for some iterations, and no more",
            "bound it: bounds={name of the node: N}, --bound NAME=N",
        )
    if trips > most:
        raise Refusal(f"{trips:,} iterations; the most is {most:,}", "give a smaller bound")
    write, inside = (Writer(g, node, compilation.opsets.get("", 1)) for g in (graph, body))
    inputs = [given, *node.inputs[1:], None][: max(len(node.inputs), 2)]
    inner: ir.Value | None = None
    if given is not None and fixed is None:
        wanted = write.own("Length", given)[0]
        some = write.op("Greater", wanted, write.constant(0, np.int64))
        inputs[1] = some if inputs[1] is None else write.op("And", inputs[1], some)
        inputs.append(wanted)
        inner = ir.Value(name=f"{inside.name}/most", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(()))
        body.inputs.append(inner)
        note(node, captured=number_of(node, "captured") + 1)
    inputs[0] = write.constant(trips, np.int64)
    inputs.insert(2 + carried, write.constant(0, np.int64))
    _count(inside, body, carried, inner, trips if fixed is None else None)
    note(node, **{_COUNTED: 1})
    names = [v.name for v in node.outputs]
    outputs = [ir.Value(name=name) for name in (*names[:carried], f"{write.name}/done", *names[carried:])]
    graph.insert_before(node, write.nodes)
    return [*write.nodes, remade(graph, node, inputs, outputs, [v for i, v in enumerate(outputs) if i != carried])]


def _bound(compilation: Compilation, node: ir.Node, most: int) -> int:
    """What the lengths behind its number of iterations, a counter in its condition, or the user, say."""
    known = compilation.lengths.known.get(node.inputs[0]) if node.inputs[0] is not None else None
    natural = known[0].bound if known and isinstance(known[0], Length) else None
    if natural is None:
        natural = most_trips(compilation, node, number_of(node, "captured"), most)
    return Step(compilation, node, lambda node: None).bound(natural, "its number of iterations")


def _count(write: Writer, body: ir.Graph, carried: int, most: ir.Value | None, bound: int | None) -> None:
    """The body counts, and goes on while it may; a bound that is too small is a status."""
    number, more = body.inputs[0], body.outputs[0]
    after = write.op("Add", number, write.constant(1, np.int64))
    if most is not None:
        more = write.op("And", more, write.op("Less", after, most))
    if bound is not None:
        whole = write.op("Add", after, write.op("Cast", more, to=_INT64))
        (checked,) = write.own("Length", whole, high=bound, strict=1)
        more = write.op("Greater", checked, after)
    body.extend(write.nodes)
    body.outputs[0] = more
    body.inputs.insert(2 + carried, ir.Value(name=f"{write.name}/done"))
    body.outputs.insert(1 + carried, after)


def is_bounded(compilation: Compilation, node: ir.Node, most: int) -> bool:
    """Does the user say how often it may run, or a counter in its condition?"""
    if most_trips(compilation, node, number_of(node, "captured"), most) is not None:
        return True
    return not compilation.binding.bounds.keys().isdisjoint(Step(compilation, node, lambda node: None).names())


def is_counted(node: ir.Node) -> bool:
    """Has `bounded` made it?"""
    return number_of(node, _COUNTED) == 1


def note_count(compilation: Compilation, node: ir.Node, carried: int, trips: int) -> None:
    """What a counted loop collects is as long as it ran."""
    if is_counted(node) and not compilation.lengths.finished:
        for value in list(node.outputs)[carried:]:
            compilation.lengths.along[value] = Along(0, Length(node.outputs[carried - 1], trips))
