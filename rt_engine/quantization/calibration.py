"""Calibration: which range of numbers every tensor of a model takes, on data that a user gives.

data.npz -> samples -> run on our own engine, tensors observed -> Observed (min, max, histogram) -> (low, high)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from rt_engine.binding import Binding
from rt_engine.errors import InputError
from rt_engine.model import Model, load
from rt_engine.program.program import TensorSpec
from rt_native.files import open_file

Method = Literal["minmax", "percentile"]
Step = Callable[[], None]
"""Called after every sample that was run."""
BINS = 2048


def read_samples(data: str | Path | Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[dict[str, NDArray[Any]]]:
    """One dictionary of inputs per sample.

    An array has either the input's own shape (one sample), a first axis more than it (samples), or, where the input is a
    batch of one, samples along its first axis.

    Raises:
        InputError: the file cannot be read, a name is unknown or missing, a shape or type does not fit, or the inputs have
            different numbers of samples.
    """
    arrays = read_arrays(data) if isinstance(data, str | Path) else data
    if not isinstance(arrays, Mapping):
        raise InputError(
            f"calibration data: an .npz file, or a dictionary of input name -> samples; got a {type(arrays).__name__}"
        )
    names = [spec.name for spec in inputs]
    unknown, missing = sorted(set(arrays) - set(names)), sorted(set(names) - set(arrays))
    if unknown or missing:
        wrong = ", ".join([f"unknown input '{n}'" for n in unknown] + [f"missing input '{n}'" for n in missing])
        takes = ", ".join(map(str, inputs))
        raise InputError(f"calibration data: {wrong}; the model takes {takes}; name the arrays like the inputs")
    columns = {spec.name: _samples(np.asarray(arrays[spec.name]), spec) for spec in inputs}
    for spec in inputs:
        _check_finite(columns[spec.name], spec)
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) != 1 or not min(counts.values()):
        listed = ", ".join(f"'{name}' has {count}" for name, count in counts.items())
        raise InputError(f"calibration data: as many samples are needed of every input, at least one; {listed}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file, by name.

    Raises:
        InputError: it cannot be read, is cut short, or has other things in it than arrays of numbers.
    """
    help = "write it with numpy.savez(file, <input name>=<array>)"
    try:
        with open_file(path) as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                raise ValueError("it is one array without a name")
            with stored:
                return {name: stored[name] for name in stored.files}
    except Exception as error:  # zipfile, NumPy and zlib each have their own
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        if "allow_pickle" in why:
            why = "it has Python objects in it, or is no .npz file"
        raise InputError(f"{path} cannot be read as .npz: {why}; {help}") from error


def _samples(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    shape = spec.shape
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise InputError(f"calibration data: input '{spec.name}' takes {spec.dtype}, got {array.dtype}")
    if array.shape == shape:
        return array[None]
    if array.shape[1:] == shape:
        return array
    if shape and shape[0] == 1 and array.ndim == len(shape) and array.shape[1:] == shape[1:]:
        return array[:, None]
    raise InputError(
        f"calibration data: input '{spec.name}' takes {list(shape)}, or [samples, ...] of that; got {list(array.shape)}"
    )


def _check_finite(array: NDArray[Any], spec: TensorSpec) -> None:
    """Ranges and errors mean nothing where a sample is NaN, infinite, or too large for the input's type."""
    with np.errstate(over="ignore"):
        wrong = np.count_nonzero(~np.isfinite(array.astype(spec.dtype, copy=False)))
    if wrong:
        raise InputError(
            f"calibration data: {wrong:,} of {array.size:,} elements of input '{spec.name}' are NaN or infinite as "
            f"{spec.dtype}; leave these samples out"
        )


@dataclass(slots=True)
class Observed:
    """What a tensor's elements were on all samples."""

    low: float = np.inf
    high: float = -np.inf
    counts: NDArray[np.int64] | None = None
    """Histogram between `low` and `high`."""

    def widen(self, x: NDArray[Any]) -> None:
        """Take a sample into the limits."""
        finite = x[np.isfinite(x)]
        if finite.size:
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))

    def count(self, x: NDArray[Any]) -> None:
        """Take a sample into the histogram; the limits are known."""
        edges = (self.low, self.high if self.high > self.low else self.low + 1.0)
        found = np.histogram(x[np.isfinite(x)], BINS, edges)[0]
        self.counts = found if self.counts is None else self.counts + found

    def range(self, method: Method, percentile: float) -> tuple[float, float]:
        """The range to quantise; zero is in it, because padding and Relu need an exact zero."""
        low, high = self.low, self.high
        if not low <= high:
            low = high = 0.0
        if method != "minmax" and self.counts is not None and high > low:
            low, high = _percentile(self.counts, np.linspace(low, high, BINS + 1), percentile)
        low, high = min(low, 0.0), max(high, 0.0)
        return (low, high) if high > low else (0.0, 1.0)


def _percentile(counts: NDArray[np.int64], edges: NDArray[Any], percentile: float) -> tuple[float, float]:
    """Leave out the same share of elements at both ends."""
    share = np.cumsum(counts) / counts.sum()
    out = (1 - percentile / 100) / 2
    return float(edges[np.searchsorted(share, out)]), float(edges[np.searchsorted(share, 1 - out) + 1])


class Watched:
    """A model that also gives some of its inner tensors."""

    def __init__(self, proto: onnx.ModelProto, names: Sequence[str], said: Binding) -> None:
        self.names = tuple(dict.fromkeys(names))
        watching = onnx.ModelProto()
        watching.CopyFrom(proto)
        given = {v.name for v in (*proto.graph.input, *proto.graph.output)}
        watching.graph.output.extend(  # ONNX's checker wants a shape; ours is inferred, whatever stands there
            onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, []) for n in self.names if n not in given
        )
        self.model: Model = load(watching, **said.options)

    def runs(self, samples: Sequence[dict[str, NDArray[Any]]], step: Step) -> Iterator[dict[str, NDArray[Any]]]:
        """The watched tensors, for one sample after the other; views that the next sample overwrites."""
        context = self.model.context()
        for sample in samples:
            for name, array in sample.items():
                context.inputs[name][...] = array
            context.run()
            step()
            yield {n: context.outputs[n] if n in context.outputs else context.inputs[n] for n in self.names}


def observe(
    watched: Watched, samples: Sequence[dict[str, NDArray[Any]]], method: Method, step: Step
) -> dict[str, Observed]:
    """The limits of every watched tensor; with histograms, where the method wants them."""
    found = {name: Observed() for name in watched.names}
    for values in watched.runs(samples, step):
        for name, observed in found.items():
            observed.widen(values[name])
    if method != "minmax":
        for values in watched.runs(samples, step):
            for name, observed in found.items():
                observed.count(values[name])
    return found
