"""What a file says, and its exporter may not have meant: notes of the model, which runs as ONNX defines it."""

from collections.abc import Callable

import onnx_ir as ir

from rt_engine.ops.graph import constant


def doubt(node: ir.Node) -> str | None:
    """A sentence on a node whose inputs and outputs have shapes; None for what is plain."""
    find = _DOUBTS.get(node.op_type) if not node.domain else None
    return None if find is None else find(node)


def _resize(node: ir.Node) -> str | None:
    """Corners of a length that is no whole number: others take the whole number below it."""
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    x, y = node.inputs[0], node.outputs[0]
    if node.attributes.get_string("coordinate_transformation_mode", "") != "align_corners":
        return None
    if scales is None or x is None or x.shape is None or y.shape is None:
        return None
    axes = node.attributes.get_ints("axes", None) or range(len(scales))
    for axis, scale in zip(axes, scales.reshape(-1), strict=False):
        size, made = int(x.shape[axis]), int(y.shape[axis])  # type: ignore[arg-type]  # static by now
        if abs(size * float(scale) - made) > 1e-3:
            return (
                f"Resize '{node.name or y.name}' makes {made} of {size} elements, by {float(scale):.4g}, with align_corners; "
                f"ONNX puts the last corner at {size * float(scale):.4g}, PyTorch and ONNX Runtime at {made}. To have their "
                "values, export it with a size"
            )
    return None


_DOUBTS: dict[str, Callable[[ir.Node], str | None]] = {"Resize": _resize}
