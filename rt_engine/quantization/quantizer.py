"""A float32 model to an int8 one: QuantizeLinear and DequantizeLinear around what integer kernels can do.

    x --Conv--> c --Relu--> r          becomes          x --Q--DQ--> Conv --> c --Relu--> r --Q--DQ--> ...
                                                        w int8 --DQ--^        b int32 --DQ--^

The result is standard ONNX, which other runtimes read too. Weights are symmetric, per channel or per tensor; activations
have a zero point. What a model gives to the outside stays float32.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rt_engine.binding import binding
from rt_engine.errors import InputError, ModelFileError, Reason, UnsupportedModelError
from rt_engine.model import load
from rt_engine.quantization.calibration import Method, Watched, observe, read_samples
from rt_engine.read.frontend import parsed, read, whole
from rt_engine.read.source import BYTES, AnySource, Source, opened

WEIGHTED = {"Conv": 0, "Gemm": 1, "MatMul": 1}
"""Operator -> axis of its weights' output channels (Gemm with transB: 0)."""
_AVERAGES = ("GlobalAveragePool", "AveragePool", "ReduceMean")
_MOVERS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool")
_LIMITS = ("Relu", "Clip")
_RECURRENT = "a recurrent layer has no int8 form here: its state would be rounded again in every step"
_CONTROL = "bodies of control flow are not looked into"
_TREES = "trees compare numbers and multiply none"
_FLOAT = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("If", "Loop", "Scan"), _CONTROL),
    **dict.fromkeys(("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"), _TREES),
    **dict.fromkeys(
        ("SVMClassifier", "SVMRegressor", "LinearClassifier", "LinearRegressor"), "ONNX has no int8 form of it"
    ),
    **dict.fromkeys(("ConvTranspose", "Einsum", "Attention", "MultiHeadAttention"), "there is no int8 kernel for it"),
}
"""Operator that multiplies, or is a whole model -> why it stays float."""
OLDEST_OPSET = 13
_LEAST_SCALE = 1e-35
"""A channel of zeros has a scale too; its products with others must not vanish into denormals."""

Progress = Callable[[int, int], None]
"""Called with (runs done, runs in all)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One quantised operator: how far its result is from the float model's, all errors before it included."""

    name: str
    operator: str
    output: str
    sqnr_db: float
    """Signal to quantisation noise: 10 log10(sum x^2 / sum (x - q)^2); infinite where nothing differs."""


@dataclass(frozen=True, slots=True)
class OutputError:
    """How far an output is from the float model's, over all samples."""

    name: str
    largest: float
    mean: float
    span: float
    """Largest magnitude of the float output, to compare with."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An operator that multiplies, and stays as it is."""

    name: str
    operator: str
    weight_bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Quantized:
    """A QDQ model and what quantising it costs on the calibration data."""

    model: onnx.ModelProto
    layers: tuple[Layer, ...]
    outputs: tuple[OutputError, ...]
    samples: int
    kept: tuple[Kept, ...] = ()
    """What stays float."""
    float_bytes: int = 0
    """Size of the model before, with the weights that lie beside its file."""
    notes: tuple[str, ...] = ()
    """What was assumed of its inputs, in sentences."""

    def save(self, path: str | Path) -> None:
        """Write the model.

        Raises:
            ModelFileError: the file cannot be written.
        """
        try:
            onnx.save(self.model, str(path))
        except OSError as error:
            raise ModelFileError(f"{path} cannot be written: {error.strerror or error}") from error


def quantize(
    source: AnySource,
    data: str | Path | Mapping[str, Any],
    *,
    per_channel: bool = True,
    type: Literal["int8", "uint8"] = "int8",
    method: Method = "minmax",
    percentile: float = 99.99,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, Any] | None = None,
    bounds: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """Quantise a float32 model to 8 bits, with ranges from calibration data.

    Args:
        source: as for `load`: path of an .onnx file, its bytes, or a `ModelProto`.
        data: an .npz file, or a mapping: input name -> [samples, ...].
        per_channel: a scale for each output channel of the weights, else one for all.
        type: of the activations; weights are int8.
        method: how ranges are chosen: the extremes, or without the share of elements that a percentile leaves out.
        percentile: for the method of that name, in percent.
        shapes: as for `load`.
        values: as for `load`, while the model is calibrated and compared: the data has no such input, the int8 model still does.
        bounds: as for `load`.
        progress: called after each run of the model.

    Raises:
        InputError: the data does not fit the model.
        UnsupportedModelError: there is nothing to quantise, or the model has no float32 form that we can run.
        ModelFileError, InvalidModelError, ShapeBindingError: as `load`.
    """
    if type not in ("int8", "uint8") or method not in ("minmax", "percentile") or not 50 < percentile <= 100:
        given = f"type {type!r}, method {method!r}, percentile {percentile}"
        raise InputError(
            f"{given}: the type is int8 or uint8, the method minmax or percentile, the percentile 50 to 100"
        )
    said = binding(shapes, values=values, bounds=bounds)
    source = whole(opened(source))
    proto = _prepared(source)
    plain = load(proto, **said.options)
    samples = read_samples(data, plain.inputs)
    draft = _Draft(proto, per_channel, np.dtype(type))
    if not draft.layers:
        why = "none of its operators multiplies by constant weights"
        reasons = [Reason(k.name, k.operator, k.why, "use it as it is") for k in draft.kept]
        reasons = reasons or [Reason("all of them", "operators", why, "use it as it is")]
        raise UnsupportedModelError(source.title, reasons, "has nothing to quantise")
    total, done = len(samples) * (4 if method == "minmax" else 5), 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    found = observe(Watched(proto, draft.tensors, said), samples, method, step)
    result = draft.finished({name: o.range(method, percentile) for name, o in found.items()})
    watched = draft.results
    layers = _layers(draft, Watched(proto, watched, said), Watched(result, watched, said), samples, step)
    names = [o.name for o in proto.graph.output]
    outputs = _outputs(names, Watched(proto, names, said), Watched(result, names, said), samples, step)
    before = len(source.data) if isinstance(source.data, BYTES) else source.data.ByteSize()
    return Quantized(result, layers, outputs, len(samples), draft.kept, before, plain.program.assumed)


def _layers(draft: "_Draft", plain: Watched, ours: Watched, samples: Any, step: Any) -> tuple[Layer, ...]:
    signal, noise = dict.fromkeys(plain.names, 0.0), dict.fromkeys(plain.names, 0.0)
    for exact, near in zip(plain.runs(samples, step), ours.runs(samples, step), strict=True):
        for name in plain.names:
            x, q = exact[name].astype(np.float64), near[name].astype(np.float64)
            signal[name] += float((x * x).sum())
            noise[name] += float(((x - q) ** 2).sum())
    ratios = {out: signal[out] / noise[out] if noise[out] else np.inf for out in signal}
    with np.errstate(divide="ignore"):
        return tuple(
            Layer(node.name, node.op_type, out, float(10 * np.log10(ratios[out]))) for node, out in draft.layers
        )


def _outputs(names: Sequence[str], plain: Watched, ours: Watched, samples: Any, step: Any) -> tuple[OutputError, ...]:
    errors: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    for exact, near in zip(plain.runs(samples, step), ours.runs(samples, lambda: None), strict=True):
        for name in names:
            x, q = exact[name].astype(np.float64), near[name].astype(np.float64)
            away, mean = np.abs(x - q), float(np.abs(x - q).mean()) if x.size else 0.0
            errors[name].append((float(away.max(initial=0)), mean, float(np.abs(x).max(initial=0))))
    return tuple(
        OutputError(n, max(e[0] for e in found), float(np.mean([e[1] for e in found])), max(e[2] for e in found))
        for n, found in errors.items()
    )


# --- the model ---------------------------------------------------------------------------------------------------------


def _prepared(source: Source) -> onnx.ModelProto:
    """A copy of the model in opset 13 or newer, with constants as initializers and batch norms in the weights."""
    read(source)  # says what is wrong with the file
    proto = onnx.ModelProto()
    proto.CopyFrom(parsed(source))
    version = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), OLDEST_OPSET)
    if version < OLDEST_OPSET:
        try:
            proto = onnx.version_converter.convert_version(proto, OLDEST_OPSET)
        except Exception as error:  # the converter raises anything
            why = f"opset {version} cannot be converted to {OLDEST_OPSET}, which per-channel scales need: {error}"
            reasons = [Reason("the whole model", "opset", why, "export it again")]
            raise UnsupportedModelError("the model", reasons) from error
    _constants_to_initializers(proto.graph)
    _fold_batch_norms(proto.graph)
    _number_nodes(proto.graph)
    return proto


def _number_nodes(graph: onnx.GraphProto) -> None:
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{index}"


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    for node in list(graph.node):
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _fold_batch_norms(graph: onnx.GraphProto) -> None:
    """Conv -> BatchNormalization, Gemm -> BatchNormalization: into weights and bias, in float64, rounded once."""
    values = {t.name: t for t in graph.initializer}
    makers = {o: n for n in graph.node for o in n.output}
    uses = [i for n in graph.node for i in n.input] + [o.name for o in graph.output]
    for norm in list(graph.node):
        layer = makers.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if layer is None or layer.op_type not in ("Conv", "Gemm") or uses.count(norm.input[0]) != 1:
            continue
        needed = [*layer.input[1:], *norm.input[1:5]]
        if not all(n in values for n in needed) or any(uses.count(n) != 1 for n in layer.input[1:]):
            continue
        scale, shift, mean, variance = (numpy_helper.to_array(values[n]).astype(np.float64) for n in norm.input[1:5])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + epsilon)
        w = numpy_helper.to_array(values[layer.input[1]])
        axis = _channel_axis(layer)
        wide = w * factor.reshape([-1 if a == axis else 1 for a in range(w.ndim)])
        old = numpy_helper.to_array(values[layer.input[2]]).astype(np.float64) if len(layer.input) > 2 else 0.0
        values[layer.input[1]].CopyFrom(numpy_helper.from_array(wide.astype(w.dtype), layer.input[1]))
        bias = numpy_helper.from_array(((old - mean) * factor + shift).astype(w.dtype), f"{norm.output[0]}.bias")
        graph.initializer.append(bias)
        del layer.input[2:]
        layer.input.append(bias.name)
        layer.output[0] = norm.output[0]
        graph.node.remove(norm)


def _channel_axis(node: onnx.NodeProto) -> int:
    flipped = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if flipped else WEIGHTED[node.op_type]


class _Draft:
    """Which tensors of a model are to be quantised; then the model with Q and DQ."""

    def __init__(self, proto: onnx.ModelProto, per_channel: bool, dtype: np.dtype[Any]) -> None:
        self.proto, self.per_channel, self.dtype = proto, per_channel, dtype
        graph = proto.graph
        self.weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.makers = {o: n for n in graph.node for o in n.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.ends = {o.name for o in graph.output}
        self.layers: list[tuple[onnx.NodeProto, str]] = []
        self.tensors: list[str] = []
        for node in graph.node:
            self._look_at(node)
        self.results = [out for _, out in self.layers]
        taken = {node.name for node, _ in self.layers}
        self.kept = tuple(
            Kept(node.name, node.op_type, self._weight_bytes(node), why)
            for node in graph.node
            if node.name not in taken and (why := self._why_float(node))
        )

    def _look_at(self, node: onnx.NodeProto) -> None:
        """Note the tensors around a node that integer kernels can do."""
        if node.domain not in ("", "ai.onnx"):
            return
        if node.op_type in WEIGHTED and self._is_weighted(node):
            self._take(node, [node.input[0]])
        elif node.op_type == "Add" and len(node.output) == 1 and not any(n in self.weights for n in node.input):
            if all(n in self.tensors or self._behind(n) for n in node.input):
                self._take(node, list(node.input))
        elif node.op_type in _AVERAGES and self._root(node.input[0]) in self.tensors:
            self._take(node, [node.input[0]])

    def _weight_bytes(self, node: onnx.NodeProto) -> int:
        return sum(self.weights[name].nbytes for name in node.input if name in self.weights)

    def _why_float(self, node: onnx.NodeProto) -> str:
        """Why a node that multiplies is not quantised; empty where it does not multiply."""
        if node.op_type not in WEIGHTED or node.domain not in ("", "ai.onnx"):
            return _FLOAT.get(node.op_type, "")
        w = self.weights.get(node.input[1])
        if w is None:
            return "both its operands are computed: it has no constant weights"
        if w.dtype != np.float32:
            return f"its weights are {w.dtype}; only float32 ones are quantised"
        if node.input[0] in self.weights:
            return "its first operand is constant, not its second"
        if node.op_type == "MatMul" and w.ndim != 2:
            return f"its weights have {w.ndim} dimensions; int8 products take 2"
        return "alpha, beta or transA: no int8 product has them"

    def _behind(self, name: str) -> bool:
        """Is it made by a quantised operator (and its Relu or Clip)?"""
        return any(out == name for _, out in self.layers)

    def _is_weighted(self, node: onnx.NodeProto) -> bool:
        w = self.weights.get(node.input[1])
        if w is None or w.dtype != np.float32 or node.input[0] in self.weights:
            return False
        if node.op_type == "MatMul" and w.ndim != 2:
            return False
        plain = all(a.f == 1.0 for a in node.attribute if a.name in ("alpha", "beta"))
        return plain and not any(a.name == "transA" and a.i for a in node.attribute)

    def _take(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        for name in inputs:
            root = self._root(name)
            for tensor in dict.fromkeys((root, name)):
                if tensor not in self.tensors:
                    self.tensors.append(tensor)
        out = self._end(node)
        self.layers.append((node, out))
        if out not in self.ends and out not in self.tensors:
            self.tensors.append(out)

    def _root(self, name: str) -> str:
        """The tensor that moves become `name`: they share a scale."""
        maker = self.makers.get(name)
        while maker is not None and maker.op_type in _MOVERS and len(maker.output) == 1:
            name = maker.input[0]
            maker = self.makers.get(name)
        return name

    def _end(self, node: onnx.NodeProto) -> str:
        """The tensor behind an operator, its bias added by an Add of its own, and its Relu or Clip."""
        name: str = node.output[0]
        for kinds in (("Add",), _LIMITS):
            readers = self.readers.get(name, [])
            if len(readers) != 1 or name in self.ends or readers[0].op_type not in kinds:
                continue
            if kinds == ("Add",) and (node.op_type != "MatMul" or not any(n in self.weights for n in readers[0].input)):
                continue
            name = readers[0].output[0]
        return name

    def finished(self, ranges: Mapping[str, tuple[float, float]]) -> onnx.ModelProto:
        """The model with Q and DQ, for these ranges."""
        result = onnx.ModelProto()
        result.CopyFrom(self.proto)
        graph = result.graph
        nodes = list(graph.node)
        done: dict[str, NDArray[Any]] = {}
        steps = {t: self._scale(*ranges[self._root(t)]) for t in self.tensors}
        pairs: dict[str, list[onnx.NodeProto]] = {}
        for tensor, (scale, zero) in steps.items():
            graph.initializer.append(numpy_helper.from_array(np.array(scale), f"{tensor}.scale"))
            graph.initializer.append(numpy_helper.from_array(np.array(zero, self.dtype), f"{tensor}.zero_point"))
            names = (f"{tensor}.scale", f"{tensor}.zero_point")
            pairs[tensor] = [
                helper.make_node("QuantizeLinear", [tensor, *names], [f"{tensor}.q"], name=f"{tensor}.Q"),
                helper.make_node("DequantizeLinear", [f"{tensor}.q", *names], [f"{tensor}.dq"], name=f"{tensor}.DQ"),
            ]
        del graph.node[:]
        graph.node.extend(n for v in graph.input for n in pairs.get(v.name, ()))
        chosen = {node.name for node, _ in self.layers}
        for node in nodes:
            if node.name in chosen and node.op_type in WEIGHTED:
                graph.node.extend(self._weights(graph, node, float(steps[node.input[0]][0]), done))
            for index, name in enumerate(node.input):
                if name in pairs and name not in self.weights:
                    node.input[index] = f"{name}.dq"
            graph.node.append(node)
            graph.node.extend(n for out in node.output for n in pairs.get(out, ()))
        used = {name for n in graph.node for name in n.input}
        for tensor in list(graph.initializer):
            if tensor.name not in used:
                graph.initializer.remove(tensor)
        onnx.checker.check_model(result)
        return result

    def _scale(self, low: float, high: float) -> tuple[np.float32, int]:
        info = np.iinfo(self.dtype)
        scale = np.float32(max((high - low) / 255.0, _LEAST_SCALE))
        return scale, int(np.clip(np.rint(-low / float(scale)), 0, 255)) + int(info.min)

    def _weights(
        self, graph: onnx.GraphProto, node: onnx.NodeProto, step: float, done: dict[str, NDArray[Any]]
    ) -> list[onnx.NodeProto]:
        """int8 weights and an int32 bias with their DequantizeLinear; the node reads those."""
        name, axis, made = node.input[1], _channel_axis(node), []
        w = self.weights[name]
        if name not in done:
            others = tuple(a for a in range(w.ndim) if a != axis)
            top = np.abs(w).max(others if self.per_channel else None, initial=0.0, keepdims=True)
            scale = np.maximum(top / 127.0, _LEAST_SCALE).astype(np.float32)
            stored = np.clip(np.rint(w / scale), -127, 127).astype(np.int8)
            done[name] = scale.reshape(-1)
            made.append(self._stored(graph, name, stored, done[name], axis))
        scale = done[name]
        node.input[1] = f"{name}.dq"
        if len(node.input) > 2 and node.input[2] in self.weights:
            bias = self.weights[node.input[2]].reshape(-1)
            units = np.broadcast_to(scale * np.float32(step), bias.shape if scale.size == 1 else scale.shape)
            bias = np.broadcast_to(bias, units.shape)
            limit = 2.0**31 - 1
            whole = np.clip(np.rint(bias.astype(np.float64) / units), -limit, limit).astype(np.int32)
            label = f"{node.name}.bias"
            made.append(self._stored(graph, label, whole, np.ascontiguousarray(units, np.float32), 0))
            node.input[2] = f"{label}.dq"
        return made

    def _stored(
        self, graph: onnx.GraphProto, name: str, values: NDArray[Any], scale: NDArray[Any], axis: int
    ) -> onnx.NodeProto:
        scale = scale.reshape(()) if scale.size == 1 and values.ndim > 1 else scale
        for part, array in (("q", values), ("scale", scale), ("zero_point", np.zeros(scale.shape, values.dtype))):
            graph.initializer.append(numpy_helper.from_array(np.asarray(array), f"{name}.{part}"))
        inputs = [f"{name}.q", f"{name}.scale", f"{name}.zero_point"]
        node = helper.make_node("DequantizeLinear", inputs, [f"{name}.dq"], name=f"{name}.DQ")
        if scale.ndim:
            node.attribute.append(helper.make_attribute("axis", axis))
        return node
