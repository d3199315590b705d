"""What ONNX's own code raises of a file that it cannot take: its three kinds of errors have no common base but `Exception`."""

import onnx
import onnx.checker
import onnx.shape_inference
import onnx.version_converter

RAISED_BY_ONNX = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    onnx.version_converter.ConvertError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
)
"""Of its checker, inference, inliner and converter, and of its Python."""
