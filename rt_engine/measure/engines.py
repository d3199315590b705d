"""What an engine is that is compared, and ours. One thread each; inputs and outputs are bound beforehand. The others: `peers`.

Ours is timed in native code, as a cyclic task runs it; the others around the call from Python, which is how they are called.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import rt_engine
from rt_engine.errors import EngineError
from rt_engine.measure.native import MEASURING
from rt_engine.measure.peaks import Sweeper

Arrays = Mapping[str, NDArray[Any]]
Times = NDArray[np.int64]


class MissingPeerError(EngineError):
    """A peer is asked for that is not installed, or that nobody knows."""


class RefusedError(EngineError):
    """An engine cannot run a model; the message is its own first line."""


class Runner(Protocol):
    """A model, loaded in an engine, with its inputs in place."""

    run: Callable[[], object]
    """One run, called from Python."""

    def result(self) -> dict[str, NDArray[Any]]:
        """Run once; outputs by name."""

    def feed(self, inputs: Arrays) -> None:
        """Other inputs, of the same shapes and types, for the runs to come."""

    def measure(self, count: int) -> Times:
        """Nanoseconds of each of `count` runs in a row."""

    def measure_cold(self, count: int, sweeper: Sweeper) -> Times:
        """Nanoseconds of each of `count` runs, each with empty caches."""


class OurRunner:
    """This engine. `state`: output -> input that it is in the next run; the peers, which have no state, are given it anew."""

    def __init__(self, path: Path, inputs: Arrays, state: Mapping[str, str] | None = None) -> None:
        try:
            self.model = rt_engine.load(path, state=state)
        except EngineError as error:
            raise RefusedError(short(error).replace(f"{path} cannot run: - ", "")) from error
        self.context = self.model.context()
        self.feed(inputs)
        self.context.run()
        self.run: Callable[[], object] = self.context.run

    def feed(self, inputs: Arrays) -> None:
        """See `Runner`. State is an input here."""
        self._inputs = inputs
        for name, value in inputs.items():
            (self.context.state if name in self.context.state else self.context.inputs)[name] = value

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        self.feed(self._inputs)
        self.context.run()
        return {name: view.copy() for name, view in self.context.outputs.items()}

    def measure(self, count: int) -> Times:
        """See `Runner`."""
        return self.context.measure(count)

    def measure_cold(self, count: int, sweeper: Sweeper) -> Times:
        """See `Runner`."""
        times = np.zeros(count, np.int64)
        execute = self.context._executable.execute_address
        run = MEASURING.function("measure_cold")
        run(execute, self.context.block_address, count, times.ctypes.data, sweeper.address, sweeper.nbytes)
        return times


class PythonRunner:
    """A peer that is called from Python: `run()` is all that is timed."""

    run: Callable[[], object]

    def measure(self, count: int) -> Times:
        """See `Runner`."""
        run, clock = self.run, time.perf_counter_ns
        times = np.zeros(count, np.int64)
        for i in range(count):
            start = clock()
            run()
            times[i] = clock() - start
        return times

    def measure_cold(self, count: int, sweeper: Sweeper) -> Times:
        """See `Runner`. The clock is read once before, so that it is not cold itself."""
        run, clock = self.run, time.perf_counter_ns
        times = np.zeros(count, np.int64)
        for i in range(count):
            sweeper()
            clock()
            start = clock()
            run()
            times[i] = clock() - start
        return times


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine by name: how to make its runner, and which packages it needs."""

    name: str
    packages: tuple[str, ...]
    make: Callable[[Path, Arrays], Runner]
    by_default: bool = True
    """It is compared without being asked for."""
    fragile: bool = False
    """It may end the process, or never return: each model is tried in another process first. `make` is then a class of a module."""


OURS = Engine("rt_engine", ("rt_engine",), OurRunner)


def outputs_of(path: Path) -> dict[str, Any]:
    """Name -> NumPy type of each output that the file declares, in its order."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    types = {o.name: o.type.tensor_type.elem_type for o in graph.output}
    return {
        name: np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code)) if code else None for name, code in types.items()
    }


@contextmanager
def silent() -> Iterator[None]:
    """Whatever native code prints meanwhile is not seen."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        yield
    finally:
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
            os.close(old)
        os.close(nowhere)


def short(error: Exception) -> str:
    """The first lines of what an engine says, in one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:3]) or type(error).__name__
    return text if len(text) < 300 else text[:297] + "..."
