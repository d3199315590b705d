"""tract: its runnable, with tensors that are made once."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.measure.engines import Arrays, Engine, PythonRunner, RefusedError, outputs_of, short

ORDER = 40


class Tract(PythonRunner):
    """tract's optimised model in a state of its own; it uses one thread unless it is told otherwise."""

    def __init__(self, path: Path, inputs: Arrays) -> None:
        import tract

        try:
            model = tract.onnx().load(str(path)).into_model()
            self._order = [model.input_name(i) for i in range(model.input_count())]
            self._state = state = model.into_runnable().spawn_state()
            self.feed(inputs)
            state.run(self._inputs)
        except (tract.TractError, KeyError) as error:
            raise RefusedError(f"cannot read: {short(error)}") from error
        self.names = list(outputs_of(path))
        self.run = lambda: state.run(self._inputs)

    def feed(self, inputs: Arrays) -> None:
        """See `Runner`."""
        import tract

        self._inputs = [tract.Tensor.from_numpy(np.ascontiguousarray(inputs[name])) for name in self._order]

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        found = self._state.run(self._inputs)
        return {name: value.to_numpy().copy() for name, value in zip(self.names, found, strict=True)}


ENGINES = (Engine("tract", ("tract",), Tract, fragile=True),)
