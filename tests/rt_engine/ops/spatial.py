"""One-node models, run here and by ONNX Runtime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import rt_engine

Arrays = dict[str, NDArray[Any] | None]


def one_node(
    op_type: str, inputs: Arrays, constants: Arrays, rank: int, opset: int = 22, outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """A model of one node: `inputs` are fed, `constants` are initializers; None is an absent input.

    Args:
        op_type: of the node.
        inputs, constants: name -> value, in the order of the node's inputs, those of `inputs` first.
        rank: dimensions of the first output.
        opset: of the default domain.
        outputs: how many the node has.
        attributes: of the node.
    """
    fed = [name for name, value in inputs.items() if value is not None]
    element = helper.np_dtype_to_tensor_dtype(next(v for v in inputs.values() if v is not None).dtype)
    names = ["" if value is None else name for name, value in {**inputs, **constants}.items()]
    node = helper.make_node(op_type, names, [f"y{i}" for i in range(outputs)], **attributes)
    graph = helper.make_graph(
        [node],
        op_type,
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(inputs[n].dtype), inputs[n].shape)
            for n in fed
        ],
        [helper.make_tensor_value_info("y0", element, [None] * rank)],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if value is not None],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def ours(model: onnx.ModelProto, inputs: Arrays) -> NDArray[Any]:
    """The first output, here."""
    return rt_engine.load(model).run({n: v for n, v in inputs.items() if v is not None})[0]


def theirs(model: onnx.ModelProto, inputs: Arrays) -> NDArray[Any]:
    """The first output, of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {n: v for n, v in inputs.items() if v is not None})[0])


def agree(model: onnx.ModelProto, inputs: Arrays, tolerance: float = 1e-5) -> None:
    """Both give the same shape and, to a tolerance of the largest element, the same numbers."""
    a, b = ours(model, inputs), theirs(model, inputs)
    assert a.shape == b.shape and a.dtype == b.dtype
    if a.size:
        scale = max(float(np.nanmax(np.abs(b.astype(np.float64)))), 1.0)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)
