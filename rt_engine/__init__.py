"""rt_engine: ONNX model -> immutable program -> allocation-free execution on SIMD kernels.

model = rt_engine.load("model.onnx")
(y,) = model.run({"x": x})           # once: copies in, copies out
(ys,) = model.map({"x": xs})         # many samples, on all cores

context = model.context()            # memory of its own: from here on nothing is allocated
context.inputs["x"][...] = x
context.run()
y = context.outputs["y"]             # a view of the last result
"""

from typing import TYPE_CHECKING

from rt_engine import errors
from rt_native.lazily import lazily
from rt_native.version import TEXT as __version__

if TYPE_CHECKING:
    from rt_engine.model import Model, Report, load
    from rt_engine.program.program import TensorSpec
    from rt_engine.quantization.quantizer import Quantized, quantize
    from rt_engine.run.context import Context
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
    "__version__",
    "errors",
    "load",
    "quantize",
]

if not TYPE_CHECKING:  # or a name that is none would pass as any
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "model": "Model Report load",
            "program.program": "TensorSpec",
            "quantization.quantizer": "Quantized quantize",
            "run.context": "Context",
            "slot": "ModelSlot UpdateResult",
            "status": "Status",
        },
    )
