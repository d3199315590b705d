"""rt_engine: ONNX model -> immutable program -> allocation-free execution on SIMD kernels.

model = rt_engine.load("model.onnx")
ctx = model.context()
ctx.inputs["x"][...] = x
ctx.run()
y = ctx.outputs["y"]
"""

from rt_engine import errors
from rt_engine.context import Context
from rt_engine.model import Model, Report, load
from rt_engine.program import TensorSpec
from rt_engine.quantizer import Quantized, quantize
from rt_engine.slot import ModelSlot, UpdateResult
from rt_engine.status import Status

__all__ = [
    "Context",
    "Model",
    "ModelSlot",
    "Quantized",
    "Report",
    "Status",
    "TensorSpec",
    "UpdateResult",
    "errors",
    "load",
    "quantize",
]
