"""The engines that are compared: ours, ONNX Runtime, OpenVINO. One thread each; inputs and outputs are bound beforehand.

Ours is timed in native code, as a cyclic task runs it; the others around the call from Python, which is how they are called.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping
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
            raise RefusedError(_short(error).replace(f"{path} cannot run: - ", "")) from error
        self.context = self.model.context()
        self._inputs = inputs
        self._fill()
        self.context.run()
        self.run: Callable[[], object] = self.context.run

    def _fill(self) -> None:
        for name, value in self._inputs.items():
            (self.context.state if name in self.context.state else self.context.inputs)[name] = value

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        self._fill()
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


class _PythonRunner:
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


class OnnxRuntime(_PythonRunner):
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
            raise RefusedError(_short(error)) from error
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

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        self.run()
        return {name: value.numpy().copy() for name, value in zip(self.names, self._outputs, strict=True)}


class OpenVino(_PythonRunner):
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
            raise RefusedError(_short(error)) from error
        request = compiled.create_infer_request()
        self._arrays = {name: np.array(value) for name, value in inputs.items()}
        for port in compiled.inputs:
            name = next(n for n in port.get_names() if n in self._arrays)
            request.set_tensor(port, ov.Tensor(self._arrays[name], shared_memory=True))
        self._request, self._ports = request, compiled.outputs
        infer = InferRequest.infer  # what `request.infer` calls after it has looked through its arguments
        self.run = lambda: infer(request, {}, share_outputs=True, decode_strings=False)

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`."""
        self.run()
        return {name: self._request.get_tensor(p).data.copy() for p in self._ports for name in p.get_names()}


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine by name: how to make its runner, and which package it needs."""

    name: str
    package: str
    make: Callable[[Path, Arrays], Runner]


OURS = Engine("rt_engine", "rt_engine", OurRunner)
PEERS = {
    e.name: e
    for e in (
        Engine("onnxruntime", "onnxruntime", OnnxRuntime),
        Engine("openvino", "openvino", OpenVino),
        Engine("openvino-bf16", "openvino", lambda path, inputs: OpenVino(path, inputs, None)),
    )
}
DEFAULT_PEERS = ("onnxruntime", "openvino")


def is_installed(name: str) -> bool:
    """Is the package of a peer there?"""
    return importlib.util.find_spec(PEERS[name].package) is not None


def peers(names: str | None) -> tuple[Engine, ...]:
    """Peers from a comma-separated list; without one, the default ones that are installed.

    Raises:
        MissingPeerError: a name is unknown, or its package is not installed.
    """
    if names is None:
        return tuple(PEERS[name] for name in DEFAULT_PEERS if is_installed(name))
    chosen = tuple(n.strip() for n in names.split(",") if n.strip())
    for name in chosen:
        if name not in PEERS:
            raise MissingPeerError(f"there is no peer '{name}'; there is {', '.join(PEERS)}")
        if not is_installed(name):
            raise MissingPeerError(f"{name} is not installed: pip install {PEERS[name].package}")
    return tuple(PEERS[name] for name in chosen)


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:3]) or type(error).__name__
    return text if len(text) < 300 else text[:297] + "..."
