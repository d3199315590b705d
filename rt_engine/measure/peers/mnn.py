"""MNN: a session of the converted file, with tensors that are filled once.

Its converter is called as its native function: `MNN.tools.mnnconvert` installs a package and sends statistics when it is imported.
"""

import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.measure.engines import Arrays, Engine, PythonRunner, RefusedError, outputs_of, silent

ORDER = 30


class Mnn(PythonRunner):
    """MNN with full precision. It has 32-bit whole numbers and floats only: others are converted, and compared as they come out."""

    def __init__(self, path: Path, inputs: Arrays) -> None:
        with tempfile.TemporaryDirectory() as folder, silent():
            import MNN

            interpreter = MNN.Interpreter(_converted(path, Path(folder)))
            self._session = session = interpreter.createSession({"numThread": 1, "backend": "CPU", "precision": "high"})
        self._mnn, self._interpreter, self._types = MNN, interpreter, outputs_of(path)
        self._inputs = {}
        found = interpreter.getSessionInputAll(session)
        with silent():
            for name, value in inputs.items():
                if name in found:
                    if tuple(found[name].getShape()) != value.shape:
                        interpreter.resizeTensor(found[name], value.shape)
                        interpreter.resizeSession(session)
                    self._inputs[name] = found[name], self._tensor(value)
        self._outputs = interpreter.getSessionOutputAll(session)
        missing = [name for name in self._types if name not in self._outputs]
        if missing:
            raise RefusedError(f"its converter lost the output {missing[0]!r}")
        self._fill()
        run = interpreter.runSession
        with silent():
            status = run(session)
        if status:
            raise RefusedError(f"cannot run: its session ends with status {status}")
        self.run = lambda: run(session)

    def _tensor(self, value: NDArray[Any]) -> Any:
        whole = value.dtype.kind in "biu"
        data = np.ascontiguousarray(value, np.int32 if whole else np.float32)
        kind = self._mnn.Halide_Type_Int if whole else self._mnn.Halide_Type_Float
        return self._mnn.Tensor(data.shape or (1,), kind, data, self._mnn.Tensor_DimensionType_Caffe)

    def feed(self, inputs: Arrays) -> None:
        """See `Runner`."""
        self._inputs = {name: (theirs, self._tensor(inputs[name])) for name, (theirs, _) in self._inputs.items()}
        self._fill()

    def _fill(self) -> None:
        for theirs, ours in self._inputs.values():
            theirs.copyFrom(ours)

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        self._fill()
        self.run()
        results = {}
        for name, dtype in self._types.items():
            theirs = self._outputs[name]
            copy = self._tensor(
                np.zeros(tuple(theirs.getShape()), np.int32 if dtype and dtype.kind in "biu" else np.float32)
            )
            theirs.copyToHostTensor(copy)
            results[name] = np.array(copy.getNumpyData())
        return results


def _converted(path: Path, folder: Path) -> str:
    """The file in MNN's own format; large weights lie beside it."""
    import _tools

    to = folder / "model.mnn"
    words = [
        "MNNConvert",
        "-f",
        "ONNX",
        "--modelFile",
        str(path.resolve()),
        "--MNNModel",
        str(to),
        "--bizCode",
        "rt-engine",
    ]
    with chdir(folder):  # it leaves a file where it stands
        done = _tools.mnnconvert(words)
    if not done or not to.exists():
        raise RefusedError("cannot read: its converter refuses the file")
    return str(to)


ENGINES = (Engine("mnn", ("MNN",), Mnn, fragile=True),)
