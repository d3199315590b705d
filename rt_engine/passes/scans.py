"""Scan: axes and directions from the front, its body typed once for all slices."""

import onnx_ir as ir

from rt_engine.ops.base import Refusal
from rt_engine.passes.body_types import Specialise, described, same_type, specialised, type_as
from rt_engine.passes.closing import note, number_of
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.length_bodies import open_lengths, refuse_lengths


def scan(compilation: Compilation, node: ir.Node, specialise: Specialise) -> list[ir.Node] | None:
    """Case 8 of `passes.control.resolve`."""
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
        type_as(inner, outer, shape[1:] if batched and i < states + scanned else shape)
    refuse_lengths(compilation, node.inputs[: states + scanned], "scans")
    specialised(compilation, body, specialise)
    refuse_lengths(compilation, body.outputs, "gives")
    (steps,) = trips
    for i, (value, result) in enumerate(zip(node.outputs, body.outputs, strict=True)):
        shape = _shape(result)
        if i < states and not same_type(body.inputs[i], result):
            raise Refusal(f"a state changes from {described(body.inputs[i])} to {described(result)}")
        if i < states:
            type_as(value, result, (1, *shape) if batched else shape)
    out_axes = _axes(
        node, "scan_output_axes", [len(_shape(v)) + 1 + batched for v in list(body.outputs)[states:]], batched
    )
    for value, result, axis in zip(list(node.outputs)[states:], list(body.outputs)[states:], out_axes, strict=True):
        shape = (1, *_shape(result)) if batched else _shape(result)
        type_as(value, result, (*shape[:axis], steps, *shape[axis:]))
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
