"""Limits of a contract's outputs are limits of the tags that they drive."""

import math

import numpy as np
import pytest

from rt_engine.contract import Contract
from rt_engine.contract.terms import Element, TensorContract
from scheduler.task import Output
from station.change.terms import limits_of


def contract(*elements):
    return Contract(inputs=(), outputs=(TensorContract("y", elements),), scaling="outside")


def output(index=0, count=1, scale=1.0, offset=0.0, tensor="y"):
    return Output(tensor=tensor, channel=None, index=index, count=count, scale=scale, offset=offset)


@pytest.mark.parametrize(
    ("element", "scale", "offset", "limits"),
    [
        ({"low": -1.0, "high": 2.0}, 1.0, 0.0, (-1.0, 2.0)),
        ({"low": -1.0, "high": 2.0, "scale": 0.5, "offset": 1.0}, 0.5, 1.0, (-1.0, 2.0)),
        ({"low": -1.0, "high": 2.0}, -10.0, 5.0, (-15.0, 15.0)),
        ({"low": 0.0}, -1.0, 0.0, (None, 0.0)),
        ({}, 1.0, 0.0, (None, None)),
        ({"low": -1.0, "high": 1.0, "clip": True}, 1.0, 0.0, (None, None)),
    ],
)
def test_one_element(element, scale, offset, limits):
    """In the unit of the tag, whatever both scales are; what is clipped anyhow has none."""
    low, high = limits_of(contract(Element("a", **element)), [("t", output(scale=scale, offset=offset))])
    wanted = {end: value for end, value in zip(("low", "high"), limits, strict=True) if value is not None}
    found = {end: given["t"] for end, given in (("low", low), ("high", high)) if "t" in given}
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_version_that_is_clipped_at_its_limit_keeps_to_it():
    """3.2 as float32 is more than 3.2; the gate lets it pass, so no shadow counts it and no trial ends by it."""
    low, high = limits_of(contract(Element("a", low=-3.2, high=3.2)), [("t", output(scale=2.0))])
    clipped = 2.0 * float(np.float32(3.2))
    assert low["t"] <= -clipped < -6.4 < 6.4 < clipped <= high["t"]
    assert high["t"] < 6.4001


def test_several_elements_of_a_tag_and_what_no_contract_names():
    made = contract(Element("a", low=-1.0, high=1.0), Element("b", low=-3.0, high=0.0), Element("c", high=math.inf))
    outputs = [("ab", output(count=2)), ("c", output(2)), ("step", output(tensor=None)), ("other", output(tensor="z"))]
    assert limits_of(made, outputs) == (pytest.approx({"ab": -3.0}, rel=1e-5), pytest.approx({"ab": 1.0}, rel=1e-5))
    assert limits_of(None, outputs) == ({}, {})
