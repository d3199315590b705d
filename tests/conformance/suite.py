"""The cases of ONNX's backend suite, and how one is run and judged; the same for every runtime."""

import warnings
from collections.abc import Callable, Sequence
from ctypes import string_at
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
EXCLUDED = Path(__file__).with_name("excluded.txt")

Data = tuple[list[Any], list[Any]]
Prepare = Callable[[onnx.ModelProto], Callable[[list[Any]], Sequence[Any]]]
"""Model -> a function from inputs to outputs."""


@dataclass(frozen=True)
class Case:
    """One model with inputs and the outputs that ONNX expects."""

    kind: str
    name: str
    source: Any
    """What ONNX's loader gave."""

    @cached_property
    def model(self) -> onnx.ModelProto:
        if self.source.model is not None:
            return self.source.model
        return onnx.load(Path(self.source.model_dir) / "model.onnx")

    @cached_property
    def data(self) -> list[Data]:
        if self.source.data_sets is not None:
            return [(_arrays(inputs), _arrays(outputs)) for inputs, outputs in self.source.data_sets]
        folders = sorted(Path(self.source.model_dir).glob("test_data_set_*"))
        graph = self.model.graph
        return [(_read(f, "input", graph.input), _read(f, "output", graph.output)) for f in folders]

    @property
    def operators(self) -> list[str]:
        return list(dict.fromkeys(node.op_type for node in self.model.graph.node))

    @property
    def numeric(self) -> bool:
        """Every input and output is a tensor of numbers."""
        return all(
            isinstance(value, np.ndarray) and value.dtype.kind not in "OUS"
            for inputs, outputs in self.data
            for value in (*inputs, *outputs)
        )

    def check(self, prepare: Prepare) -> None:
        """Run, and compare to the tolerance of ONNX's own runner.

        Raises:
            AssertionError: other outputs than ONNX's; or whatever the runtime raises.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = prepare(self.model)
            for inputs, expected in self.data:
                outputs = run(inputs)
                assert len(outputs) == len(expected)
                for ours, theirs in zip(outputs, expected, strict=True):
                    _compare(ours, theirs, self.source.rtol, self.source.atol)


def _arrays(values: Sequence[Any]) -> list[Any]:
    """Tensors and NumPy scalars as arrays; anything else (sequences, None) as it is."""
    values = [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in values]
    return [np.asarray(v) if isinstance(v, np.generic) else v for v in values]


def _read(folder: Path, stem: str, values: Sequence[onnx.ValueInfoProto]) -> list[Any]:
    """The values of a folder; only tensors are read, anything else is None."""
    found = []
    for i in range(len(list(folder.glob(f"{stem}_*.pb")))):
        if not values[i].type.HasField("tensor_type"):
            found.append(None)
            continue
        found.append(numpy_helper.to_array(onnx.load_tensor(folder / f"{stem}_{i}.pb")))
    return found


def _compare(ours: Any, expected: Any, rtol: float, atol: float) -> None:
    """As ONNX's runner: same type, same shape, same values to a tolerance; types that NumPy lacks as float32."""
    if isinstance(expected, list):
        assert isinstance(ours, list) and len(ours) == len(expected), f"{ours}, expected {expected}"
        for one, other in zip(ours, expected, strict=True):
            _compare(one, other, rtol, atol)
        return
    expected = np.asarray(expected)
    assert ours.dtype == expected.dtype, f"type {ours.dtype}, expected {expected.dtype}"
    assert ours.shape == expected.shape, f"shape {ours.shape}, expected {expected.shape}"
    if expected.dtype.isbuiltin != 1:
        rtol = max(rtol, 2**-6) if expected.dtype.name == "bfloat16" else rtol
        ours, expected = ours.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=atol)


@cache
def cases() -> dict[str, Case]:
    """Name -> case, of the whole suite, in a fixed order."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ONNX divides by zero to make its cases
        for kind in KINDS:
            for source in sorted(loader.load_model_tests(kind=kind), key=lambda c: c.name):
                assert source.name not in found, source.name
                found[source.name] = Case(kind, source.name, source)
    return found


@cache
def exclusions() -> dict[str, str]:
    """Pattern -> why such cases are not run here."""
    found = {}
    for line in EXCLUDED.read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, _, reason = line.partition(":")
            assert reason.strip(), f"{EXCLUDED.name}: no reason in the line {line!r}"
            assert pattern not in found, f"{EXCLUDED.name}: {pattern} is listed twice"
            found[pattern] = reason.strip()
    return found


def excluded(name: str) -> str | None:
    """Why a case is not run here, if it is not."""
    return next((reason for pattern, reason in exclusions().items() if fnmatchcase(name, pattern)), None)


def ours(model: onnx.ModelProto) -> Callable[[list[Any]], Sequence[Any]]:
    """rt_engine, through its Backend API."""
    from rt_engine import backend

    prepared = backend.prepare(model)
    return lambda inputs: prepared.run(inputs)


def onnx_runtime(model: onnx.ModelProto) -> Callable[[list[Any]], Sequence[Any]]:
    """ONNX Runtime, on one thread. Inputs of types that NumPy lacks cannot be fed from Python: they are constants."""

    def run(inputs: list[Any]) -> Sequence[Any]:
        from rt_engine.backend import bind

        initializers = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in initializers]
        feeds = dict(zip(names, inputs, strict=True))
        exotic = {name: feeds.pop(name) for name in names if feeds[name].dtype.isbuiltin != 1}
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        session = onnxruntime.InferenceSession(
            bind(model, exotic).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in feeds.items()}
        outputs = session.run_with_ort_values([o.name for o in session.get_outputs()], values)
        return [_from_onnx_runtime(value) for value in outputs]

    import onnxruntime

    return run


def _from_onnx_runtime(value: Any) -> Any:
    """The array of an `OrtValue`, from its memory: ONNX Runtime cannot give types that NumPy lacks."""
    tensor = onnx.TensorProto(data_type=value.element_type(), dims=value.shape())
    tensor.raw_data = string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return numpy_helper.to_array(tensor)


def failure(case: Case, prepare: Prepare) -> str | None:
    """Why a case fails in a runtime, in one line; None if it passes."""
    try:
        case.check(prepare)
    except Exception as error:
        words = " ".join(str(error).split())
        return f"{type(error).__name__}: {words[:200]}"
    return None
