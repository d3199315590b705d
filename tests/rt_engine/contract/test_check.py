import numpy as np
import pytest

from rt_engine.contract import Contract, ContractError, Element, Statistics, TensorContract, TestVector
from rt_engine.contract.check import Ends, Tensor, check

ENDS = Ends(
    [Tensor("x", (None, 4)), Tensor("h", (1, 2))], [Tensor("y", (1, 2)), Tensor("n", (1, 2)), Tensor("s", None)]
)
FOUR = tuple(Element(name) for name in "abcd")
X, H, Y = np.zeros((1, 4)), np.zeros((1, 2)), np.zeros((1, 2))


def tensor(name, count, **other):
    return TensorContract(name, tuple(Element(f"e{i}") for i in range(count)), **other)


def statistics(name, count):
    return Statistics(name, 5, *((0.0,) * count,) * 4)


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (Contract((tensor("z", 4),)), "describes the input 'z', the model has 'x', 'h'"),
        (Contract(outputs=(tensor("x", 4),)), "describes the output 'x', the model has 'y', 'n', 's'"),
        (Contract((tensor("x", 3),)), r"input 'x' has 3 elements, its shape \[\?, 4\] has 4"),
        (Contract((tensor("x", 2, window=3),)), r"'x' has 2 x 3 samples = 6 elements"),
        (
            Contract((tensor("x", 1), TensorContract("x", (Element("b"),), 2, start=1))),
            r"has 1 \+ 1 x 2 samples = 3 elements",
        ),
        (Contract(state={"y": "z"}), "state 'y' -> 'z' is no output and input"),
        (Contract(state={"y": "x"}), r"state 'y' -> 'x' has \[1, 2\] on one side and \[\?, 4\] on the other"),
        (Contract(statistics=(statistics("z", 4),)), "statistics of 'z', the model has"),
        (Contract(statistics=(statistics("x", 3),)), "statistics of 'x' have 3 elements, one sample of it has 4"),
        (
            Contract((tensor("x", 2, window=2),), statistics=(statistics("x", 4),)),
            "have 4 elements, one sample of it has 2",
        ),
        (
            Contract(vectors=(TestVector({"x": X}, {"y": Y}),)),
            "test vector 0 has the inputs 'x', the model takes 'x', 'h'",
        ),
        (Contract(vectors=(TestVector({"x": X, "h": H}, {"z": Y}),)), "test vector 0 has the outputs 'z'"),
        (Contract(vectors=(TestVector({"x": X[0], "h": H}, {"y": Y}),)), r"has \[4\] for 'x', its shape is \[\?, 4\]"),
        (Contract(vectors=(TestVector({"x": X, "h": H}, {"y": Y.T}),)), r"has \[2, 1\] for 'y', its shape is \[1, 2\]"),
        (
            Contract(state={"n": "h"}, vectors=(TestVector({"x": X, "h": H}, {"y": Y}),)),
            "has the inputs 'x', 'h', the model takes 'x'",
        ),
    ],
)
def test_a_contradiction_is_named(contract, words):
    with pytest.raises(ContractError, match=words):
        check(contract, ENDS, "m.onnx")


def test_what_fits_passes():
    """A size that the file leaves open is 1 at first; what has no shape is not compared; vectors of a state leave it out."""
    vectors = (TestVector({"x": X}, {"y": Y, "s": np.zeros(9)}),)
    made = Contract((tensor("x", 4),), (tensor("y", 2), tensor("s", 7)), state={"n": "h"}, vectors=vectors)
    check(made, ENDS, "m.onnx")
    carried = Ends(ENDS.inputs[:1], ENDS.outputs, ENDS.inputs[1:])
    check(made, carried, "m.onnx")


def test_all_contradictions_are_said_at_once():
    """The first eight in words, then how many more."""
    made = Contract(tuple(tensor(f"z{i}", 1) for i in range(11)))
    with pytest.raises(ContractError) as raised:
        check(made, ENDS, "m.onnx")
    text = str(raised.value)
    assert text.count("\n  - ") == 8 and "and 3 more" in text and "--template" in text
