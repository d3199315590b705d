"""OpenVINO, in float32 and left alone."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.measure.engines import Arrays, Engine, PythonRunner, RefusedError, short

ORDER = 20


class OpenVino(PythonRunner):
    """OpenVINO with the latency hint, and tensors that are bound once.

    Where the processor has bfloat16 instructions, OpenVINO rounds float32 to bfloat16 unless it is told not to: three digits
    instead of seven. The one that is compared computes what the model says; `openvino-bf16` is OpenVINO left alone.
    """

    def __init__(self, path: Path, inputs: Arrays, precision: str | None = "f32") -> None:
        import openvino as ov
        from openvino._pyopenvino import InferRequest

        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
        if precision:
            settings["INFERENCE_PRECISION_HINT"] = precision
        try:
            compiled = ov.Core().compile_model(str(path), "CPU", settings)
        except Exception as error:  # its exceptions have no common base
            raise RefusedError(short(error)) from error
        request = compiled.create_infer_request()
        self._arrays = {name: np.array(value) for name, value in inputs.items()}
        for port in compiled.inputs:
            name = next(n for n in port.get_names() if n in self._arrays)
            request.set_tensor(port, ov.Tensor(self._arrays[name], shared_memory=True))
        self._request, self._ports = request, compiled.outputs
        infer = InferRequest.infer  # what `request.infer` calls after it has looked through its arguments
        self.run = lambda: infer(request, {}, share_outputs=True, decode_strings=False)

    def feed(self, inputs: Arrays) -> None:
        """See `Runner`."""
        for name, value in inputs.items():
            self._arrays[name][...] = value

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        self.run()
        return {name: self._request.get_tensor(p).data.copy() for p in self._ports for name in p.get_names()}


ENGINES = (
    Engine("openvino", ("openvino",), OpenVino, fragile=True),
    Engine(
        "openvino-bf16",
        ("openvino",),
        lambda path, inputs: OpenVino(path, inputs, None),
        by_default=False,
        fragile=True,
    ),
)
