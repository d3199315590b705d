from dataclasses import replace

from rich.console import Console

from rt_engine.contract import Contract, Element, TensorContract
from rt_engine.contract.description import MOST_ROWS, lines, summary, table
from tests.rt_engine.contract.contracts import full


def printed(contract):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table(contract))
    return capture.get()


def test_every_element_is_shown_with_its_meaning():
    """The formula of its side, its limits, its largest rate."""
    said = " ".join(printed(full()).split())
    assert "in x[0] angle rad -3.2 .. 3.2" in said
    assert "in x[1] speed rad/s value * 0.1 + 1" in said
    assert "out y[0] torque Nm -20 .. 20, clipped element * 20 100 Nm/s" in said


def test_all_that_is_said_of_the_model_is_told():
    told = "\n".join(lines(replace(full(), gaps=("the rate of y",), state={"a": "b"}, origin="mjlab")))
    for words in (
        *(
            "rate: 50 Hz",
            "scaling: outside the model",
            "x[0..3] has 2 samples of 2 elements, oldest first, one every 5 steps",
        ),
        *("a is b in the next run", "1,000 samples of x", "quantiles 0.01, 0.99; covariance", "test vectors: 1"),
        *("name pendulum, version 3, data runs 12 to 40", "keys of: mjlab", "not said: the rate of y"),
    ):
        assert words in told


def test_an_empty_one_says_what_is_missing():
    told = "\n".join(lines(Contract()))
    assert "rate: not said" in told and "test vectors: none" in told


def test_long_tensors_are_cut():
    """And it says how many are not shown."""
    long = Contract((TensorContract("x", tuple(Element(f"e{i}") for i in range(MOST_ROWS + 5))),))
    assert "and 5 more: --json has them" in printed(long) and f"e{MOST_ROWS} " not in printed(long)


def test_one_line_sums_it_up():
    assert summary(full()) == "4 elements named, 50 Hz, training data, 1 test vectors, in keys of rt_engine.contract"
