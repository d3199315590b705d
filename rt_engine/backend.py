"""ONNX's Backend API over `rt_engine`: what ONNX's own test suite, and other tools, drive a runtime with.

    import rt_engine.backend as backend
    outputs = backend.prepare(onnx.load("model.onnx")).run([x])

Every shape of a program is static, and ONNX models may leave shapes open or compute them from inputs. So a model is compiled
for the inputs that it is run with, once for each set of their shapes, and inputs that decide a shape are constants of that
program: `CONSTANT_INPUTS` says which inputs of which operators those are, and why. Outputs whose length is only known at run time
are cut at their count.

https://onnx.ai/onnx/api/backend.html
"""

from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.backend.base import Backend, BackendRep, namedtupledict

from rt_engine.errors import EngineError, InputError, ShapeBindingError
from rt_engine.model import Model, load
from rt_engine.program.counts import cut
from rt_engine.read.walking import nodes_in

_AXES = "which axes: decides the shape"
_SHAPE = "is a shape"
_PLACE = "which tensor of a sequence: decides the shape"
_COUNT = "a count: decides the shape"
_LIMITS = "limits of a range: decide the shape"

CONSTANT_INPUTS: dict[str, dict[int, str]] = {
    "AffineGrid": {1: _SHAPE},
    "BlackmanWindow": {0: _COUNT},
    "CenterCropPad": {1: _SHAPE},
    "Col2Im": {1: _SHAPE, 2: _SHAPE},
    "ConstantOfShape": {0: _SHAPE},
    "CumProd": {1: "which axis is walked: decides the order of memory"},
    "CumSum": {1: "which axis is walked: decides the order of memory"},
    "DFT": {1: _COUNT, 2: "which axis is transformed: decides the shape"},
    "Dropout": {2: "training or not decides what is computed"},
    "Expand": {1: _SHAPE},
    "HammingWindow": {0: _COUNT},
    "HannWindow": {0: _COUNT},
    "Loop": dict.fromkeys((0, 1), "how often it runs decides the shape of what is collected"),
    "MaxUnpool": {2: _SHAPE},
    "MelWeightMatrix": {
        0: _COUNT,
        1: _COUNT,
        **dict.fromkeys((2, 3, 4), "decides the matrix, which is made at load"),
    },
    "OneHot": {1: _COUNT},
    "Pad": {1: "how much is padded: decides the shape", 3: _AXES},
    "Range": {0: _LIMITS, 1: _LIMITS, 2: _LIMITS},
    **{
        f"Reduce{kind}": {1: _AXES}
        for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")
    },
    "Reshape": {1: _SHAPE},
    "Resize": {1: "the region decides what is sampled", 2: "decides the shape", 3: _SHAPE},
    "STFT": {1: _COUNT, 3: _COUNT},
    "SequenceAt": {1: _PLACE},
    "SequenceErase": {1: _PLACE},
    "SequenceInsert": {2: _PLACE},
    "Slice": {1: _LIMITS, 2: _LIMITS, 3: _AXES, 4: _LIMITS},
    "Split": {1: "the sizes of the parts: decide the shapes"},
    "SplitToSequence": {1: "the sizes of the parts: decide the shapes"},
    "Squeeze": {1: _AXES},
    "Tile": {1: "repeats: decide the shape"},
    "TopK": {1: _COUNT},
    "Trilu": {1: "which diagonal: decides what is copied"},
    "Unsqueeze": {1: _AXES},
    "Upsample": {1: "decides the shape"},
}
"""Operator -> {input: why it is a constant of the program}."""

_SHAPE_READERS = ("Shape", "Size")


def constant_inputs(model: onnx.ModelProto) -> set[str]:
    """Names of the graph inputs that are bound as constants: those that decide a shape, directly or through other nodes."""
    nodes = list(nodes_in(model.graph.node))
    makers = {name: node for node in nodes for name in node.output if name}
    waiting = [
        node.input[index]
        for node in nodes
        for index in CONSTANT_INPUTS.get(node.op_type, ())
        if index < len(node.input)
    ]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        maker = makers.get(name)
        if maker is not None and maker.op_type not in _SHAPE_READERS:
            waiting.extend(maker.input[:1] if maker.op_type == "CastLike" else maker.input)
            waiting.extend(v.name for a in maker.attribute if a.type == onnx.AttributeProto.GRAPH for v in a.g.output)
    return seen & {value.name for value in model.graph.input}


def bind(model: onnx.ModelProto, constants: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """A copy of the model in which some inputs are constants."""
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    del bound.graph.input[:]
    bound.graph.input.extend(value for value in model.graph.input if value.name not in constants)
    bound.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    return bound


class Prepared(BackendRep):
    """A model that is compiled for the inputs it is run with, once for each set of their shapes and constants."""

    def __init__(self, model: onnx.ModelProto) -> None:
        initializers = {tensor.name for tensor in model.graph.initializer}
        self._proto = model
        self._names = [value.name for value in model.graph.input if value.name not in initializers]
        self._constant = constant_inputs(model)
        self._compiled: dict[Any, Model] = {}

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """Run once.

        Args:
            inputs: arrays, in the order of the graph's inputs, or by name; a list of arrays for a sequence.

        Returns:
            The outputs, in order; also by name.
        """
        feeds = self._by_name(inputs)
        constants = {name: feeds.pop(name) for name in self._names if name in self._constant and name in feeds}
        key = (
            tuple((name, value.shape) for name, value in feeds.items()),
            tuple((value.dtype.str, value.shape, value.tobytes()) for value in constants.values()),
        )
        if key not in self._compiled:
            shapes = {name: value.shape for name, value in feeds.items()}
            self._compiled[key] = load(bind(self._proto, constants) if constants else self._proto, shapes)
        model = self._compiled[key]
        outputs = self._gathered(cut(model.counts, [spec.name for spec in model.outputs], model.run(feeds)))
        return namedtupledict("Outputs", list(outputs))(*outputs.values())

    def _gathered(self, made: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """The outputs as the file has them: those that are sequences as lists again."""
        found: dict[str, Any] = {}
        for value in self._proto.graph.output:
            if value.name in made:
                found[value.name] = made[value.name]
                continue
            numbers = takewhile(lambda i, name=value.name: f"{name}_{i}" in made, count())  # type: ignore[misc]
            found[value.name] = [made[f"{value.name}_{i}"] for i in numbers]
        return found

    def _by_name(self, inputs: Any) -> dict[str, NDArray[Any]]:
        if not isinstance(inputs, Mapping):
            given = list(inputs) if isinstance(inputs, Sequence) else [inputs]
            if len(given) != len(self._names):
                raise InputError(
                    f"the model has {len(self._names)} inputs ({', '.join(self._names)}), got {len(given)}"
                )
            inputs = dict(zip(self._names, given, strict=True))
        missing = [name for name in self._names if name not in inputs]
        if missing:
            raise InputError(f"the inputs {', '.join(missing)} are missing")
        feeds = {}
        for name in self._names:
            parts = inputs[name] if isinstance(inputs[name], list) else None
            if parts is None:
                feeds[name] = np.asarray(inputs[name])
            else:
                feeds |= {f"{name}_{i}": np.asarray(part) for i, part in enumerate(parts)}
        return feeds


class RtEngineBackend(Backend):
    """The Backend API; its methods are functions of this module too."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> bool:
        """True if the model runs here; also if it cannot be said before its open shapes are known."""
        if not cls.supports_device(device):
            return False
        try:
            if not constant_inputs(model):
                load(model)
        except ShapeBindingError:
            return True
        except EngineError:
            return False
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Prepared:
        """A model to run; it is compiled at the first run, for the shapes of its inputs."""
        if not cls.supports_device(device):
            raise ValueError(f"device {device!r} is not supported; CPU is")
        return Prepared(model)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Prepare and run once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node, on the newest opset or on that of `opset_version`; `outputs_info` is not needed."""
        names = [name for name in node.input if name]
        arrays = [np.asarray(value) for value in (inputs.values() if isinstance(inputs, Mapping) else inputs)]
        graph = onnx.helper.make_graph(
            [node],
            node.op_type,
            [
                onnx.helper.make_tensor_value_info(
                    name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape)
                )
                for name, array in zip(names, arrays, strict=True)
            ],
            [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        version = int(kwargs.get("opset_version", onnx.defs.onnx_opset_version()))
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)])
        model = onnx.shape_inference.infer_shapes(model)
        return cls.run_model(model, arrays, device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """The CPU only."""
        return device.split(":")[0] == "CPU"


is_compatible = RtEngineBackend.is_compatible
prepare = RtEngineBackend.prepare
run_model = RtEngineBackend.run_model
run_node = RtEngineBackend.run_node
supports_device = RtEngineBackend.supports_device
