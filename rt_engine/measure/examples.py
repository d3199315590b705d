"""Example inputs for a model file, a copy of it with static shapes, and its int8 version: what a comparison begins with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import rt_engine
from rt_engine.errors import InputError
from rt_engine.measure.engines import Arrays, MissingPeerError
from rt_engine.program.program import TensorSpec
from rt_engine.program.rtp_layout import SUFFIX
from rt_engine.program.values import converted
from rt_engine.quantization.calibration import read_arrays
from rt_engine.quantization.quantizer import quantize
from rt_engine.read.frontend import whole
from rt_engine.read.source import BYTES, Source, opened
from rt_engine.read.strings.categories import with_indices
from rt_engine.read.strings.kinds import has_strings


def saved(source: Source, folder: Path) -> Path:
    """What was read, as a file in `folder`: engines that open files are given the same model.

    Raises:
        ModelFileError, InvalidModelError: its external data cannot be read.
    """
    file = folder / Path(source.name).name
    if source.is_program:
        file = file.with_suffix(SUFFIX)
    model = source if source.is_program else whole(source)
    if isinstance(model.data, BYTES):
        file.write_bytes(model.data)
    else:
        # onnx itself names the file of the weights: a given name it looks for in the working folder, and refuses
        onnx.save(model.data, file, save_as_external_data=True, size_threshold=0)
    return file


def static_copy(
    path: Path, folder: Path, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Any] | None = None
) -> Path:
    """The model itself, or a copy in `folder`: inputs have these shapes, or are these values, strings are indices.

    So all engines run the same.
    """
    if path.suffix == SUFFIX:
        return path
    proto = onnx.load(path, load_external_data=False)
    kinds = {v.name: v.type.tensor_type for v in _inputs(proto)}
    names = with_indices(proto).inputs if has_strings(proto) else None
    if (
        not values
        and names is None
        and all([d.dim_value for d in kinds[name].shape.dim] == list(shape) for name, shape in shapes.items())
    ):
        return path
    for name, shape in shapes.items():
        del kinds[name].shape.dim[:]
        for size in shape:
            kinds[name].shape.dim.add().dim_value = size
    for name, value in (values or {}).items():
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kinds[name].elem_type)
        sizes = [d.dim_value for d in kinds[name].shape.dim]
        array = converted(value, TensorSpec(name, (), dtype, (names or {}).get(name, ())), "input").astype(dtype)
        array = array if array.ndim else np.broadcast_to(array, sizes)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        proto.graph.input.remove(next(v for v in proto.graph.input if v.name == name))
    onnx.load_external_data_for_model(proto, str(path.parent))
    copy = folder / path.name
    onnx.save(proto, copy)
    return copy


def tensor_copy(path: Path, folder: Path) -> Path:
    """The model itself, or a copy in `folder` whose ZipMaps pass their tensor on, as ours do: peers can only bind tensors."""
    if path.suffix == SUFFIX:
        return path
    proto = onnx.load(path, load_external_data=False)
    classes: dict[str, int] = {}
    for node in proto.graph.node:
        if node.op_type == "ZipMap":
            classes[node.output[0]] = sum(len(a.ints) + len(a.strings) for a in node.attribute)
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
    if not classes:
        return path
    for value in proto.graph.output:
        if value.name in classes:
            shape: list[str | int | None] = ["rows", classes[value.name]]
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, shape))
    if all(entry.domain for entry in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid("", 13))
    onnx.load_external_data_for_model(proto, str(path.parent))
    copy = folder / f"tensors-{path.name}"
    onnx.save(proto, copy)
    return copy


MOST_SAMPLES, MOST_SAMPLE_BYTES = 1000, 32 << 20


def example_inputs(path: Path, data: Path | None = None, seed: int = 0) -> Arrays:
    """Inputs of a model with static shapes: from an .npz file, else normal floats, small integers, random bits.

    Raises:
        InputError: the file lacks an input of the model, or has it in another shape or type.
    """
    values = _specs(path)
    if data is not None:
        stored = read_arrays(data)
        missing = [v.name for v in values if v.name not in stored]
        if missing:
            raise InputError(f"{data} has no array {', '.join(map(repr, missing))}; it has {', '.join(stored)}")
        return {v.name: _fitting(stored[v.name], v, data) for v in values}
    return drawn(values, seed)


def drawn(values: Sequence[TensorSpec], seed: int = 0) -> Arrays:
    """Normal floats, small integers, random bits."""
    rng = np.random.default_rng(seed)
    made = {}
    for value in values:
        shape, dtype = value.shape, value.dtype
        if dtype.kind == "b":
            made[value.name] = np.asarray(rng.random(shape) < 0.5)
        elif dtype.kind in "iu":
            made[value.name] = rng.integers(0, 2, shape).astype(dtype)
        else:
            made[value.name] = rng.standard_normal(shape).astype(dtype)
    return made


def samples_like(inputs: Arrays) -> list[Arrays]:
    """Other inputs of the same shapes and types: 1,000, or as many as 32 MiB hold."""
    values = [TensorSpec(name, array.shape, array.dtype) for name, array in inputs.items()]
    most = MOST_SAMPLE_BYTES // max(sum(array.nbytes for array in inputs.values()), 1)
    return [drawn(values, 1 + i) for i in range(min(max(most, 2), MOST_SAMPLES))]


def _fitting(array: NDArray[Any], value: TensorSpec, data: Path) -> NDArray[Any]:
    shape, dtype = list(value.shape), value.dtype
    if list(array.shape) != shape or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise InputError(
            f"input '{value.name}' takes {dtype}{shape}, {data} has {array.dtype}{list(array.shape)}; "
            "give one example of that shape and type"
        )
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def _specs(path: Path) -> Sequence[TensorSpec]:
    """Inputs of a model with static shapes, or of a compiled program."""
    if path.suffix == SUFFIX:
        return rt_engine.load(path).inputs
    found = []
    for value in _inputs(onnx.load(path, load_external_data=False)):
        kind = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        found.append(TensorSpec(value.name, tuple(d.dim_value for d in kind.shape.dim), dtype))
    return found


def _inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {i.name for i in proto.graph.initializer}
    return [v for v in proto.graph.input if v.name not in constants]


class _Calibration:
    """Feeds for calibration, one after the other."""

    def __init__(self, feeds: Sequence[Arrays]) -> None:
        self._feeds: Iterator[Arrays] = iter(feeds)

    def get_next(self) -> Arrays | None:
        """The next input, or None at the end."""
        return next(self._feeds, None)


def quantised(path: Path, example: Arrays, folder: Path, samples: int = 16) -> Path:
    """An int8 version of a model in QDQ form: per channel, activations calibrated on random inputs and the example.

    Raises:
        MissingPeerError: onnxruntime, whose quantiser makes it, is not installed.
    """
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingPeerError(
            "the int8 version is made by onnxruntime's quantiser: pip install onnxruntime"
        ) from error
    rng = np.random.default_rng(1)
    feeds = [
        {k: rng.standard_normal(v.shape).astype(v.dtype) if v.dtype.kind == "f" else v for k, v in example.items()}
        for _ in range(samples)
    ]
    ready, result = folder / "ready.onnx", folder / f"{path.stem}-int8.onnx"
    quant_pre_process(path, ready)
    quantize_static(
        ready,
        result,
        _Calibration([*feeds, example]),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return result


def quantised_here(path: Path, example: Arrays, folder: Path, name: str = "", samples: int = 16) -> Path:
    """As `quantised`, by this engine's own quantiser. `name` is what messages call the model; by default its path."""
    rng = np.random.default_rng(1)
    data = {
        k: np.stack(
            [v, *(rng.standard_normal(v.shape).astype(v.dtype) if v.dtype.kind == "f" else v for _ in range(samples))]
        )
        for k, v in example.items()
    }
    result = folder / f"{path.stem}-int8.onnx"
    source = opened(path)
    quantize(replace(source, name=name or source.name), data).save(result)
    return result


def unoptimised_outputs(path: Path, inputs: Arrays) -> Arrays | None:
    """What ONNX Runtime computes with each operator as it stands in the file.

    None where it is not installed, refuses, or gives what is no tensor of numbers.
    """
    try:
        import onnxruntime as ort
    except ImportError:
        return None
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        found = dict(zip(names, session.run(names, dict(inputs)), strict=True))
    except Exception:  # its exceptions have no common base
        return None
    return found if all(isinstance(y, np.ndarray) and y.dtype != object for y in found.values()) else None
