"""ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.measure.engines import Arrays, Engine, PythonRunner, RefusedError, short

ORDER = 10


class OnnxRuntime(PythonRunner):
    """ONNX Runtime with IO binding."""

    def __init__(self, path: Path, inputs: Arrays) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.names = [o.name for o in session.get_outputs()]
            first = session.run(None, dict(inputs))
        except Exception as error:  # its exceptions have no common base
            raise RefusedError(short(error)) from error
        for name, value in zip(self.names, first, strict=True):
            if not isinstance(value, np.ndarray) or value.dtype == object:
                raise RefusedError(f"output {name!r} is no tensor of numbers: it cannot be bound")
        binding = session.io_binding()
        self._inputs = {name: ort.OrtValue.ortvalue_from_numpy(np.array(value)) for name, value in inputs.items()}
        self._outputs = [ort.OrtValue.ortvalue_from_numpy(np.array(y)) for y in first]
        for name, value in self._inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in zip(self.names, self._outputs, strict=True):
            binding.bind_ortvalue_output(name, value)
        self.run = lambda: session.run_with_iobinding(binding)

    def feed(self, inputs: Arrays) -> None:
        """See `Runner`."""
        for name, value in inputs.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(value))

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        self.run()
        return {name: value.numpy().copy() for name, value in zip(self.names, self._outputs, strict=True)}


ENGINES = (Engine("onnxruntime", ("onnxruntime",), OnnxRuntime),)
