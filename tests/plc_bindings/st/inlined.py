"""A model beside its inline block: the block is executed by the evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from plc_bindings.st.inline import InlineBlock, inline_block
from plc_bindings.st.names import usable
from tests.plc_bindings.st.evaluator import Program


class Inlined:
    """`run` takes and gives what `rt_engine.Model.run` does."""

    def __init__(self, source: Any, flavour: str = "portable") -> None:
        self.model = rt_engine.load(source)
        self.block: InlineBlock = inline_block(source, flavour, "FB_Test")
        self.instance = Program(self.block.text, codesys=flavour == "twincat", exact=False).new("FB_Test")

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        given = {
            usable(n, ""): a.reshape(-1).tolist() if a.size > 1 else a.reshape(-1)[0].item() for n, a in feeds.items()
        }
        self.instance(**given)
        found = [self.instance.values[usable(spec.name, "").lower()] for spec in self.model.outputs]
        return [np.array(v, s.dtype).reshape(s.shape) for v, s in zip(found, self.model.outputs, strict=True)]

    def random(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        return {s.name: np.asarray(rng.normal(0, 2, s.shape)).astype(s.dtype) for s in self.model.inputs}


def graph(
    nodes: list[onnx.NodeProto], inputs: Mapping[str, Any], outputs: Mapping[str, Any], **constants: Any
) -> onnx.ModelProto:
    """A model of opset 20; ends are name -> shape, or (shape, type)."""

    def end(name: str, what: Any) -> onnx.ValueInfoProto:
        shape, kind = what if isinstance(what, tuple) else (what, TensorProto.FLOAT)
        return helper.make_tensor_value_info(name, kind, shape)

    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    made = helper.make_graph(
        nodes, "model", [end(*e) for e in inputs.items()], [end(*e) for e in outputs.items()], tensors
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9)


def mlp(weights: list[NDArray[Any]], biases: list[NDArray[Any]], activation: str | None) -> onnx.ModelProto:
    """Gemm, activation, Gemm, ...; weights are [k, n]."""
    nodes, constants, x = [], {}, "x"
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        constants |= {f"w{i}": w, f"b{i}": b}
        last = i == len(weights) - 1
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], ["y" if last else f"h{i}"]))
        x = f"h{i}"
        if activation and not last:
            nodes.append(helper.make_node(activation, [x], [f"a{i}"]))
            x = f"a{i}"
    return graph(nodes, {"x": [1, weights[0].shape[0]]}, {"y": [1, weights[-1].shape[1]]}, **constants)


def same(got: NDArray[Any], want: NDArray[Any]) -> bool:
    """Equal, bit for bit but for the sign of zero and the payload of NaN."""
    return bool(np.array_equal(got, want, equal_nan=want.dtype.kind == "f"))
