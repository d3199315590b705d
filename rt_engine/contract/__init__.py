"""What a model says about itself, in its own file: names, units, ranges, rate, history, training data, test vectors, provenance.

    from rt_engine import contract as c

    c.attach("model.onnx", c.Contract(inputs=(c.TensorContract("x", (c.Element("angle", "rad", low=-3.2, high=3.2),)),), rate_hz=100))
    c.read("model.onnx").inputs[0].elements[0].unit          # "rad"; also Model.contract, and of a compiled program

Nothing of it changes what the model computes. `rt-engine contract` shows it and adds it to a finished file; docs/contract.md.
"""

from rt_engine.contract.file import attach, read
from rt_engine.contract.statistics import Gathering, statistics_of, vectors_of
from rt_engine.contract.terms import Contract, Element, Provenance, Statistics, TensorContract, TestVector
from rt_engine.errors import ContractError

__all__ = [
    "Contract",
    "ContractError",
    "Element",
    "Gathering",
    "Provenance",
    "Statistics",
    "TensorContract",
    "TestVector",
    "attach",
    "read",
    "statistics_of",
    "vectors_of",
]
