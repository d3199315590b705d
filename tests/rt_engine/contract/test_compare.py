"""A contract against what a task connects: what differs is named with both values and what to write."""

import math

import pytest

from rt_engine.contract import Contract, Element, TensorContract
from rt_engine.contract.compare import Wire, Wiring, differences

MS = 1_000_000
HIP = Element("hip", "rad", low=-3.0, high=3.0)
TORQUE = Element("torque", "Nm", low=-10.0, high=10.0, max_rate=100.0)
DEGREES = {"unit": "deg", "low": -170, "high": 170}
FACTOR = math.pi / 180


def contract(*elements, window=1, stride=1, outputs=(), **more):
    ins = (TensorContract("x", elements, window, stride),) if elements else ()
    return Contract(inputs=ins, outputs=(TensorContract("y", outputs),) if outputs else (), **more)


def wire(index=0, **more):
    return Wire(**{"tag": "a", "tensor": "x", "index": index, "unit": "rad", "low": -3.0, "high": 3.0} | more)


def drive(**more):
    kept = {"tag": "m", "tensor": "y", "index": 0, "unit": "Nm", "low": -10.0, "high": 10.0, "max_rate": 100.0}
    return Wire(**kept | more)


def found(one, *wires, period_ns=MS, outputs=(), **more):
    return differences(one, Wiring(task="t", period_ns=period_ns, inputs=wires, outputs=tuple(outputs), **more))


def only(*arguments, **more):
    (one,) = found(*arguments, **more)
    return one


def test_what_agrees_is_not_named():
    """However the unit is spelt."""
    assert found(contract(HIP, outputs=(TORQUE,)), wire(unit="radians"), outputs=[drive(unit="N·m")]) == ()


def test_degrees_against_radians():
    """An error that names tag, element and both units, and the scale to write; with that scale there is no difference."""
    one = only(contract(HIP), wire(**DEGREES))
    assert (one.what, one.severity, one.side, one.entry, one.tag, one.element) == (
        *("unit", "error", "inputs", 0, "a", "hip"),
    )
    assert str(one) == (
        "task t: tag a is in deg; hip of x in rad: write scale = 0.0174532925199433 in its entry of inputs, "
        "or give the tag the unit rad"
    )
    assert found(contract(HIP), wire(**DEGREES, scale=0.01745)) == ()


def test_an_output_is_turned_the_other_way():
    """The model gives radians, the tag takes degrees: value = element * 57.3."""
    arm = Element("arm", "rad", low=-1.0, high=1.0)
    driven = {"unit": "deg", "low": -57.0, "high": 57.0, "max_rate": math.inf}
    assert "write scale = 57.2957795130823" in only(contract(outputs=(arm,)), outputs=[drive(**driven)]).message
    assert [d.what for d in found(contract(outputs=(arm,)), outputs=[drive(**driven, scale=57.29578)])] == []


def test_temperatures_have_an_offset():
    """Kelvin against Celsius."""
    one = only(contract(Element("t", "K")), wire(unit="°C", low=-math.inf, high=math.inf))
    assert "write scale = 1, offset = 273.15" in one.message


def test_a_unit_that_nothing_converts():
    """Another quantity: rather the wrong tag."""
    one = only(contract(HIP), wire(unit="bar"))
    assert one.severity == "error" and "tag a is in bar; hip of x in rad: no factor makes bar into rad" in one.message


@pytest.mark.parametrize(
    ("unit", "words"), [("", 'tag a has no unit; hip of x in rad: write unit = "rad"'), ("ticks", '"ticks" is no unit')]
)
def test_a_unit_that_is_not_known_is_a_warning(unit, words):
    """The tag's, or the contract's."""
    one = only(contract(HIP), wire(unit=unit))
    assert (one.severity, one.what) == ("warning", "unit") and words in one.message
    assert found(contract(Element("n", "", low=-3.0, high=3.0)), wire(unit=unit)) == ()


def test_scaling_outside_of_the_model_is_the_tasks():
    """element = value * scale + offset, as the contract says; composed with the units' own factor."""
    scaled = Element("hip", "rad", scale=0.5, offset=1.0)
    far = {"low": -math.inf, "high": math.inf}
    one = only(contract(scaled, scaling="outside"), wire(**far))
    assert one.severity == "error" and "hip of x needs scale = 0.5, offset = 1" in one.message
    assert found(contract(scaled, scaling="outside"), wire(**far, scale=0.5, offset=1.0)) == ()
    turned = wire(**far | {"unit": "deg"}, scale=0.5 * FACTOR, offset=1.0)
    assert found(contract(scaled, scaling="outside"), turned) == ()


def test_a_scale_where_the_model_wants_none():
    """The tag is in the contract's unit already, and its entry scales it all the same."""
    one = only(contract(HIP), wire(scale=FACTOR))
    assert one.what == "scaling" and "needs scale = 1" in one.message


def test_ranges_of_inputs():
    """What goes beyond the training is a warning with the limits to write, what never meets it an error; clipping is meant."""
    one = only(contract(HIP), wire(low=-4.0))
    assert (one.what, one.severity) == ("range", "warning")
    assert "tag a has -4 .. 3 rad; hip of x was trained for -3 .. 3 rad: write low = -3, high = 3" in one.message
    assert "tag a has no limits" in only(contract(HIP), wire(low=-math.inf, high=math.inf)).message
    assert only(contract(HIP), wire(low=4.0, high=5.0)).severity == "error"
    clipped = Element("hip", "rad", low=-3.0, high=3.0, clip=True)
    assert found(contract(clipped), wire(low=-4.0)) == ()


def test_limits_of_outputs():
    """What the task lets through beyond the contract, in range and rate."""
    one = only(contract(outputs=(TORQUE,)), outputs=[drive(high=12.0)])
    assert (one.what, one.severity) == ("limit", "warning") and "write low = -10, high = 10" in one.message
    one = only(contract(outputs=(TORQUE,)), outputs=[drive(max_rate=math.inf)])
    assert one.what == "max_rate" and "write max_rate = 100 in its entry" in one.message
    assert found(contract(outputs=(TORQUE,)), outputs=[drive(high=5.0, max_rate=50.0)]) == ()


def test_rate():
    """50 Hz in a task of 1 kHz names both, and the `every` that makes it right; a little off is meant."""
    slow = contract(rate_hz=50.0)
    one = only(slow)
    assert one.severity == "error" and one.side is None
    assert one.message == (
        "the task's 1 ms make 1000 Hz; the model was trained for 50 Hz: write every = 20 (it then runs in every 20th cycle), "
        'or cycle = "20 ms"'
    )
    assert found(slow, every=20) == found(slow, period_ns=20 * MS) == ()
    assert found(contract(rate_hz=60.0), period_ns=16_700_000) == ()
    assert 'write cycle = "20 ms"' in only(slow, period_ns=100 * MS).message
    assert 'write cycle = "20 ms"' in only(slow, period_ns=7 * MS).message
    assert "1000 Hz and every = 10 makes 100 Hz of it" in only(slow, every=10).message


def test_history():
    """As many samples as in training, as far apart in time."""
    pair = contract(HIP, Element("knee", "rad", low=-3.0, high=3.0), window=4, stride=2, rate_hz=50.0)
    right = {"window": 4, "stride": 40, "spacing": 2}
    assert found(pair, wire(0, **right), wire(1, **right, entry=1), every=20) == ()
    one = only(pair, wire(0, **right | {"stride": 1}), every=20)
    assert (one.what, one.severity) == ("history", "error")
    assert one.message == (
        "tag a gives 4 samples, one each 1 ms; hip of x has 4 samples, one each 40 ms: write window = 4, stride = 40, spacing = 2"
    )
    assert only(pair, wire(0), every=20).severity == "warning"  # somebody else may keep the others
    assert "leave out its window" in only(contract(HIP), wire(window=3)).message


def test_values_of_one_entry_that_differ_alike_are_one():
    """From the first to the last."""
    legs = [Element(f"leg[{i}]", "rad") for i in range(12)]
    far = {"unit": "deg", "low": -math.inf, "high": math.inf}
    one = only(contract(*legs), *[wire(i, **far) for i in range(12)])
    assert one.element == "leg[0] to leg[11]" and "leg[0] to leg[11] of x in rad" in one.message


def test_another_order_in_a_new_version():
    """What was wired by name stands at another place in it."""
    new = contract(Element("knee", "rad"), HIP)
    one = only(new, wire(0, element="hip"))
    assert (one.what, one.severity) == ("name", "error")
    assert "tag a is wired to element 0 of x, hip; in this model that is knee" in one.message


def test_a_state_that_nobody_carries():
    """The outputs that are inputs of the next run."""
    recurrent = contract(state={"h1": "h0"})
    assert 'write state = { "h1" = "h0" }' in only(recurrent).message
    assert found(recurrent, state=(("h1", "h0"),)) == ()


def test_what_the_contract_does_not_describe_is_not_compared():
    """Tensors that it leaves out."""
    assert found(contract(HIP), wire(tensor="z", unit="bar")) == ()


def test_what_a_step_makes_of_outputs_is_not_compared():
    """It may make torques of angles."""
    assert found(contract(outputs=(HIP,)), outputs=[drive()], has_step=True) == ()


def test_wired_by_name_the_units_alone_are_to_be_written():
    """The contract's own scale is applied to what the entry says."""
    scaled = Element("hip", "rad", scale=0.5, offset=1.0)
    far = {"unit": "deg", "low": -math.inf, "high": math.inf}
    one = only(contract(scaled, scaling="outside"), wire(**far, scale=0.5, offset=1.0, element="hip", by_name=True))
    assert 'write inputs = { contract = { "hip" = { tag = "a", scale = 0.0174532925199433 } } }, or give' in one.message


@pytest.mark.parametrize(
    ("tag", "write"),
    [
        ("leg", 'write inputs = { contract = { "leg" = { tag = "leg", scale = 0.0174532925199433 } } }, or give'),
        ("hips", "write scale = 0.0174532925199433 in its entry of inputs, or give"),
    ],
    ids=["of-its-name", "given-by-the-file"],
)
def test_all_values_of_an_array_have_one_entry(tag, write):
    """That of the tag's name; where the file gives another tag, the entry is written already."""
    far = {"unit": "deg", "low": -math.inf, "high": math.inf}
    one = only(contract(Element("leg[0]", "rad")), wire(**far, tag=tag, element="leg[0]", by_name=True))
    assert write in one.message
