"""Small models with contracts, for the gate to look at."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.contract import Contract, Element, TensorContract, attach
from rt_engine.gate.job import GateJob

OPSET = [helper.make_opsetid("", 17)]
DRAWS = 500


def proto(nodes, inputs, outputs, weights=(), opsets=OPSET):
    """A model of these nodes; tensors are (name, shape)."""
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side]
        for side in (inputs, outputs)
    ]
    constants = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], "m", *ends, constants)
    return helper.make_model(graph, opset_imports=list(opsets), ir_version=9)


def root():
    """y = sqrt(x + 1) of three elements: no number below -1."""
    return proto(
        [("Add", ["x", "one"], ["s"]), ("Sqrt", ["s"], ["y"])], [("x", [1, 3])], [("y", [1, 3])], [("one", 1.0)]
    )


def root_contract(low=-1.0, high=1.0, **more):
    """For `root`: an angle in rad, and two more."""
    names = ("angle", "speed", "force")
    inputs = TensorContract("x", tuple(Element(name, "rad", low=low, high=high) for name in names))
    outputs = TensorContract("y", tuple(Element(name, "N", low=0.0, high=1.5) for name in ("u", "v", "w")))
    return Contract(**{"inputs": (inputs,), "outputs": (outputs,), "rate_hz": 100.0} | more)


def loaded(model, contract=None, state=None):
    """Compiled, with a contract."""
    if contract is not None:
        attach(model, contract)
    return rt_engine.load(model, state=state)


def job(model, **more):
    """What is asked of a model whose slot runs it already."""
    return GateJob(**{"slot": "a", "inputs": model.inputs, "outputs": model.outputs, "draws": DRAWS} | more)


def of(report, name):
    """A check of a report, by its name."""
    return next(check for check in report.checks if check.name == name)
