"""Control flow: If, Loop and Scan, as `passes.control` makes them: bodies see nothing but their own inputs.

https://onnx.ai/onnx/operators/onnx__If.html, onnx__Loop.html, onnx__Scan.html. Records stay one flat list; jumps lead about:

    If      jump to E unless condition             Loop      counter = 0; carried = initial values
            ...then...; outputs = results                    jump to E unless condition (where it is computed)
            jump to F                                     B  ...body...; collected[counter] = results
         E  ...else...; outputs = results                    carried = results
         F                                                   loop to B
                                                          E
A Scan is a loop whose body begins with copying the slices that belong to the counter.
"""

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.control import COPY_AT, JUMP, LOOP, TRAP
from rt_engine.ops.base import RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import reshaped
from rt_engine.program.calls import Buffer


@operator("If", domain=RT_DOMAIN, since=1, any_type=True)
def if_(node: Node, build: Builder) -> None:
    """One of two bodies, chosen at run time; both give the same shapes, or one cannot be and is a trap."""
    condition = node.x
    node.require(condition.size == 1, "the condition is not one bool")
    branch = _jump(build, condition)
    _branch(node, build, "then_branch")
    leave = _jump(build, None)
    build.jump_from(branch)
    _branch(node, build, "else_branch")
    build.jump_from(leave)


def _branch(node: Node, build: Builder, name: str) -> None:
    if node.attr("trap", "") == name:
        build.call("trap", TRAP())
        return
    arguments = [_present(node, i) for i in range(1, len(node.inputs))]
    results = build.body(node.attr(name), arguments)
    _own_call(node, build)
    for target, result in zip(node.outputs, results, strict=True):
        if target is not None:
            build.copy(target, result)


@operator("Loop", domain=RT_DOMAIN, since=1, any_type=True)
def loop(node: Node, build: Builder) -> None:
    """A fixed number of iterations at most; fewer where a condition is computed."""
    trips, captured, body = int(node.attr("trips")), int(node.attr("captured", 0)), node.attr("body")
    count = len(body.inputs) - 2 - captured
    condition = node.optional(1)
    repeat = Repeat(node, build, trips, count)
    repeat.carry([_present(node, 2 + i) for i in range(count)])
    if condition is not None and condition.value is not None:
        condition = None if condition.value.all() else build.constant(np.False_)
    begin = build.temporary(np.bool_, ()) if condition is None else condition
    if trips == 0:
        return
    if condition is None:
        begin = build.constant(np.True_)
    else:
        repeat.enter_if(condition)
    outer = [_present(node, i) for i in range(2 + count, len(node.inputs))]
    repeat.begin()
    results = build.body(body, [repeat.number, begin, *repeat.values, *outer])
    for i, result in enumerate(results[1 + count :]):
        repeat.collect(count + i, result, 0, False)
    again = None if node.attr("always", 0) else results[0]
    repeat.end(results[1 : 1 + count], again)


@operator("Scan", domain=RT_DOMAIN, since=1, any_type=True)
def scan(node: Node, build: Builder) -> None:
    """Slices of every scanned input in turn, along any axis, either way."""
    body, captured = node.attr("body"), int(node.attr("captured", 0))
    scanned, trips = int(node.attr("num_scan_inputs")), int(node.attr("trips"))
    count = len(body.inputs) - scanned - captured
    repeat = Repeat(node, build, trips, count)
    states = [_present(node, i) for i in range(count)]
    shapes = [tuple(int(d) for d in v.shape) for v in body.inputs]
    repeat.carry([reshaped(build, s, shape) for s, shape in zip(states, shapes, strict=False)])
    if trips == 0:
        return
    repeat.begin()
    slices = []
    for i in range(scanned):
        source, axis = _present(node, count + i), node.attr("input_axes")[i]
        slices.append(repeat.slice(source, shapes[count + i], axis, bool(node.attr("input_directions")[i])))
    outer = [_present(node, i) for i in range(count + scanned, len(node.inputs))]
    results = build.body(body, [*repeat.values, *slices, *outer])
    for i, result in enumerate(results[count:]):
        repeat.collect(count + i, result, node.attr("output_axes")[i], bool(node.attr("output_directions")[i]))
    repeat.end(results[:count], None)


class Repeat:
    """The records around a body that is repeated."""

    def __init__(self, node: Node, build: Builder, trips: int, count: int) -> None:
        self.node, self.build, self.trips = node, build, trips
        self.number = build.temporary(np.int64, ())
        self.carried = [node.outputs[i] for i in range(count)]
        self.first, self.entry = 0, -1

    def carry(self, initial: list[Buffer]) -> None:
        """What is carried lies in the node's outputs, from the initial values on."""
        for i, value in enumerate(initial):
            target = self.carried[i]
            if target is None:
                self.carried[i] = target = self.build.temporary(value.dtype, value.shape)
            self.build.copy(target, value)
            self.carried[i] = Buffer(target.name, target.dtype, value.shape, target.storage)

    @property
    def values(self) -> list[Buffer]:
        """What the body sees of it."""
        return [value for value in self.carried if value is not None]

    def enter_if(self, condition: Buffer) -> None:
        """Leave the loop out unless the condition holds."""
        self.node.require(condition.size == 1, "the condition is not one bool")
        self.entry = _jump(self.build, condition)

    def begin(self) -> None:
        """The body begins."""
        if self.entry >= 0:  # the counter is set before the jump
            self.build.calls.insert(self.entry, _zero(self.build, self.number))
            self.entry += 1
        else:
            self.build.calls.append(_zero(self.build, self.number))
        self.first = len(self.build.calls)

    def slice(self, source: Buffer, shape: tuple[int, ...], axis: int, backwards: bool) -> Buffer:
        """The slice of an input that belongs to the iteration."""
        target = self.build.temporary(source.dtype, shape)
        self._copy(source, target, source.shape, axis, backwards, True)
        return target

    def collect(self, index: int, result: Buffer, axis: int, backwards: bool) -> None:
        """Put a result into an output, where it belongs."""
        target = self.node.outputs[index]
        if target is not None:
            self._copy(result, target, target.shape, axis, backwards, False)

    def _copy(
        self, source: Buffer, target: Buffer, whole: tuple[int, ...], axis: int, backwards: bool, into: bool
    ) -> None:
        blocks, block = prod(whole[:axis]), prod(whole[axis + 1 :]) * source.dtype.itemsize
        if whole[axis] != self.trips or prod(whole) != (target if into else source).size * self.trips:
            raise ValueError(f"a slice of {list(source.shape)} does not fit {list(target.shape)}")
        if not blocks * block:
            return
        first, step = ((self.trips - 1) * block, -block) if backwards else (0, block)
        sliced, whole_one = ("x", "out") if into else ("out", "x")
        record = COPY_AT(
            x=source, out=target, counter=self.number, blocks=blocks, block=block,
            **{f"{sliced}_stride": self.trips * block, f"{sliced}_first": first, f"{sliced}_step": step},
            **{f"{whole_one}_stride": block, f"{whole_one}_first": 0, f"{whole_one}_step": 0},
        )  # fmt: skip
        self.build.call("copy_at", record, elements=2 * min(source.size, target.size))

    def end(self, results: list[Buffer], again: Buffer | None) -> None:
        """What is carried becomes the results, and so on while `again` holds (always, where it is None)."""
        _own_call(self.node, self.build)
        storages = [c.storage for c in self.carried if c is not None]
        if again is not None and again.storage in storages:
            again = self._kept(again)
        for i, result in enumerate(results):  # results that another one would overwrite
            if result.storage in storages and result.storage is not storages[i]:
                results[i] = self._kept(result)
        for target, result in zip(self.carried, results, strict=True):
            if target is not None and result.storage is not target.storage:
                self.build.copy(target, result)
        end = len(self.build.calls)
        self.build.call("loop", LOOP(counter=self.number, condition=again, trips=self.trips), jump=self.first)
        self.build.loops.append((self.first, end))
        if self.entry >= 0:
            self.build.jump_from(self.entry)

    def _kept(self, value: Buffer) -> Buffer:
        copy = self.build.temporary(value.dtype, value.shape)
        self.build.copy(copy, value)
        return copy


def _present(node: Node, index: int) -> Buffer:
    return node.input(index)


def _own_call(node: Node, build: Builder) -> None:
    """Calls from here on are the operator's again, not the last node's of its body."""
    build.nodes.append((node.ir.name or node.op_type, node.op_type))


def _jump(build: Builder, condition: Buffer | None) -> int:
    """A jump; gives its number. Where it goes is said later."""
    build.call("jump", JUMP(condition=condition))
    return len(build.calls) - 1


def _zero(build: Builder, number: Buffer) -> Any:
    """The call that sets the counter to 0."""
    build.fill(number)
    return build.calls.pop()


def bodies(node: ir.Node) -> list[ir.Graph]:
    """The sub-graphs of a node."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found
