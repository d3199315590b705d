"""How far every value that a program computes is from the same model in float64.

The reference is ONNX's own evaluator on the model as it is in the file, before any pass, with all floats as float64. In it
QuantizeLinear saturates (exporters let it do the work of a Relu) but does not round, so that the error of a quantised model is
what its int8 steps cost.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from rt_engine.measure.reference import FLOAT_TYPES, OPERATORS
from rt_engine.model import Model
from rt_engine.passes.layout import TWIN
from rt_engine.run.stepping import run_record

Arrays = Mapping[str, NDArray[Any]]


def record_errors(model: Model, path: Path, inputs: Arrays) -> list[float | None]:
    """For each record, the greatest difference of what it writes, as a share of the reference's greatest value.

    None where the value has no counterpart in the file (a step within an operator), or the reference cannot be computed. A
    program with control flow is not taken apart: its records do not follow each other.
    """
    if not {"jump", "loop"}.isdisjoint(model.program.kernels):
        return [None] * len(model.program.records)
    try:
        reference, shift = reference_values(path, inputs)
    except Exception:  # the evaluator lacks operators and has no common base for what it raises
        return [None] * len(model.program.records)
    context = model.context()
    for key, value in inputs.items():
        context.inputs[key] = value
    errors: list[float | None] = []
    last = {p.spec.name: i for i, p in enumerate(model.program.results) if p is not None}
    for i, place in enumerate(model.program.results):
        run_record(context, i)
        name = "" if place is None else place.spec.name.removesuffix(TWIN)
        wanted = reference.get(name)
        if place is None or wanted is None or last[place.spec.name] != i or wanted.dtype.kind not in "fiub":
            errors.append(None)
            continue
        got = np.asarray(context._view(place), np.float64)
        zero = shift.get(name, 0.0) if got.dtype.kind == "f" else 0.0
        errors.append(_share(got - zero, np.asarray(wanted, np.float64) - zero))
    return errors


def _share(got: NDArray[Any], wanted: NDArray[Any]) -> float | None:
    """Greatest difference over greatest value; channels may be last in `got`. None where the shapes do not fit."""
    candidates = [wanted.reshape(got.shape)] if got.size == wanted.size and got.size else []
    if wanted.ndim >= 3:
        last = np.moveaxis(wanted, 1, -1)
        candidates += [last.reshape(got.shape)] if last.size == got.size else []
    scale = max(float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)), 1e-30)
    found = []
    for candidate in candidates:
        same = (got == candidate) | (np.isnan(got) & np.isnan(candidate))
        found.append(
            float(np.nan_to_num(np.where(same, 0.0, np.abs(got - candidate)), nan=np.inf).max(initial=0.0)) / scale
        )
    return min(found, default=None)


def reference_values(path: Path, inputs: Arrays) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Every value of the model in float64, by name; and the zero points of those that are quantised."""
    proto = onnx.load(path)
    for value in proto.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, np.shape(inputs.get(value.name, ())), strict=False):
            dim.dim_value = size
    shift = {}
    constants = {i.name: i for i in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear" and len(node.input) > 2 and node.input[2] in constants:
            zero = numpy_helper.to_array(constants[node.input[2]])
            shift[node.output[0]] = float(zero.ravel()[0]) if zero.size == 1 else 0.0
    _widen(proto)
    evaluator = ReferenceEvaluator(proto, new_ops=OPERATORS)
    feeds = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in inputs.items()}
    with np.errstate(all="ignore"):
        found: Any = evaluator.run(None, feeds, intermediate=True)
    return {k: np.asarray(v) for k, v in found.items() if isinstance(v, np.ndarray | np.generic)}, shift


def _widen(proto: onnx.ModelProto) -> None:
    """All constants of a float type become float64."""
    for tensor in proto.graph.initializer:
        _widen_tensor(tensor)
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen_tensor(attribute.t)


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in FLOAT_TYPES:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
