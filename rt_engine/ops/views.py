"""Operators that only give a tensor another shape: the output is the input's memory.

https://onnx.ai/onnx/operators/ : Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout
"""

import numpy as np

from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import reshaped


@operator("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", since=1, any_type=True)
def view(node: Node, build: Builder) -> None:
    """The same elements in the same order; ONNX's inference has worked out the shape."""
    build.alias(node.y, reshaped(build, node.x, node.y.shape))


@operator("Dropout", since=7)
def dropout(node: Node, build: Builder) -> None:
    """At inference nothing is dropped; the mask is all true."""
    training = node.optional(2)
    if training is not None:
        node.require(
            not node.constant(2, "training_mode").any(), "training mode is not supported", "export for inference"
        )
    build.alias(node.y, node.x)
    if len(node.outputs) > 1 and node.outputs[1] is not None:
        mask = node.output(1)
        build.copy(mask, build.constant(np.ones(mask.shape, mask.dtype)))
