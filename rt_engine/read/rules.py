"""What ONNX demands of a node, and neither its checker nor its shape inference looks at."""

from collections.abc import Callable

import onnx_ir as ir

from rt_engine.ops.base import Refusal

_AUTO_PAD = ("", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3}


def check_rules(node: ir.Node, version: int) -> None:
    """Refuse a node that breaks one.

    1. `auto_pad` is one of its four words.
    2. The `kernel_shape` of a convolution is that of its weights.
    3. `axis` is one of the first input's, or at its end.
    4. `batch_dims` of GatherND is neither negative nor more than the axes.
    5. `num_outputs` of Split is the number of its outputs.
    6. BatchNormalization before opset 7 is for training unless `is_test` says otherwise; that is not supported.

    Where 3 to 5 are broken, ONNX's shape inference reads outside of its memory.

    Raises:
        Refusal: says which.
    """
    for rule in _RULES:
        rule(node)
    if node.op_type == "BatchNormalization" and version < 7 and not node.attributes.get_int("is_test", 0):
        raise Refusal("is_test is 0: training mode is not supported", "export the model in evaluation mode")


def _auto_pad_is_a_word(node: ir.Node) -> None:
    attribute = node.attributes.get("auto_pad")
    if attribute is not None and attribute.value not in _AUTO_PAD:
        raise Refusal(f"auto_pad is '{attribute.value}'", f"one of {', '.join(_AUTO_PAD[1:])}")


def _kernel_is_that_of_the_weights(node: ir.Node) -> None:
    attribute, index = node.attributes.get("kernel_shape"), _WEIGHTS.get(node.op_type)
    if attribute is None or index is None or index >= len(node.inputs):
        return
    weights = node.inputs[index]
    if weights is not None and weights.shape is not None and list(attribute.value) != list(weights.shape)[2:]:
        raise Refusal(f"kernel_shape is {list(attribute.value)}, the weights are {weights.shape}", "export it again")


def _rank(node: ir.Node) -> int:
    value = node.inputs[0] if node.inputs else None
    return _MOST_AXES if value is None or value.shape is None else len(value.shape)


_MOST_AXES = 64


def _axis_is_there(node: ir.Node) -> None:
    attribute = node.attributes.get("axis")
    if attribute is None or attribute.type != ir.AttributeType.INT:
        return
    axis, rank = attribute.as_int(), _rank(node)
    if not -rank - 1 <= axis <= rank + 1:
        raise Refusal(f"axis is {axis}, its input has {rank}", "correct it")


def _batches_are_there(node: ir.Node) -> None:
    attribute = node.attributes.get("batch_dims")
    if attribute is not None and not (
        attribute.type == ir.AttributeType.INT and 0 <= attribute.as_int() <= _rank(node)
    ):
        raise Refusal(f"batch_dims is {attribute.value}, its input has {_rank(node)} axes", "correct it")


def _parts_are_counted(node: ir.Node) -> None:
    attribute = node.attributes.get("num_outputs")
    if node.op_type == "Split" and attribute is not None and attribute.value != len(node.outputs):
        raise Refusal(f"num_outputs is {attribute.value}, it has {len(node.outputs)}", "export it again")


_RULES: tuple[Callable[[ir.Node], None], ...] = (
    _auto_pad_is_a_word,
    _kernel_is_that_of_the_weights,
    _axis_is_there,
    _batches_are_there,
    _parts_are_counted,
)
