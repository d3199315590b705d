"""Tags laid over tensors."""

import numpy as np

from rt_engine import TensorSpec
from station.terms.tasks import InputTable, OutputTable
from station.wiring.mapping import map_inputs, map_outputs

COUNTS = {"a": 1, "b": 1, "v": 3}


def spec(name, *shape):
    return TensorSpec(name, shape, np.dtype(np.float32))


def inputs(*entries):
    return [InputTable.model_validate({"tag": e} if isinstance(e, str) else e) for e in entries]


def outputs(*entries):
    return [OutputTable.model_validate({"tag": e} if isinstance(e, str) else e) for e in entries]


def places(layout):
    assert layout.findings == ()
    return [(p.tensor, p.index, p.spacing) for p in layout.places]


def faults(layout):
    return [finding.message for finding in layout.findings]


def test_in_order():
    """Tags take elements in the order of the file, as many as they have values."""
    assert places(map_inputs("t", inputs("a", "v", "b"), COUNTS, [spec("x", 1, 5)])) == [
        ("x", 0, 1),
        ("x", 1, 3),
        ("x", 4, 1),
    ]


def test_flow_into_the_next_tensor():
    """When a tensor is full, the next tag begins the next tensor."""
    found = places(map_inputs("t", inputs("v", "a", "b"), COUNTS, [spec("x", 3), spec("y", 1, 2)]))
    assert [(tensor, index) for tensor, index, _ in found] == [("x", 0), ("y", 0), ("y", 1)]


def test_windows_in_a_row_and_interleaved():
    """A window takes its samples in a row, or with other tags between them."""
    row = inputs({"tag": "a", "window": 3}, {"tag": "b", "window": 3})
    assert places(map_inputs("t", row, COUNTS, [spec("x", 6)])) == [("x", 0, 1), ("x", 3, 1)]
    woven = inputs({"tag": "a", "window": 3, "spacing": 2}, {"tag": "b", "window": 3, "spacing": 2, "index": 1})
    assert places(map_inputs("t", woven, COUNTS, [spec("x", 3, 2)])) == [("x", 0, 2), ("x", 1, 2)]


def test_gap():
    """An element that no tag fills is named."""
    found = map_inputs("t", inputs("a", "b"), COUNTS, [spec("x", 1, 3)])
    assert faults(found) == ["x: float32[1, 3] has 3 elements, 2 are filled; nothing fills element 2"]
    assert found.findings[0].path == ("tasks", "t", "inputs")


def test_too_many():
    """A tag beyond the last element is named, with the model's signature."""
    found = map_inputs("t", inputs("a", "b"), COUNTS, [spec("x", 1, 1)])
    assert faults(found) == ["no element is left for tag b; the model's inputs: x: float32[1, 1]"]
    assert found.findings[0].path == ("tasks", "t", "inputs", 1)


def test_does_not_fit():
    """A tag with more values than the tensor has room for is named."""
    assert faults(map_inputs("t", inputs("a", "v"), COUNTS, [spec("x", 3)])) == [
        "tag v needs elements 1 to 3 of x: float32[3], which has 3"
    ]


def test_filled_twice():
    """Two tags on one input element are refused; on one output element they are meant."""
    entries = ("a", {"tag": "b", "index": 0})
    assert faults(map_inputs("t", inputs(*entries), COUNTS, [spec("x", 1)])) == [
        "element 0 of x: float32[1] is already filled by tag a"
    ]
    assert places(map_outputs("t", outputs(*entries), COUNTS, [spec("y", 1)])) == [("y", 0, 1), ("y", 0, 1)]


def test_unknown_tensor():
    """A tensor that the model does not have gives the nearest that it has."""
    (message,) = faults(map_outputs("t", outputs({"tag": "a", "tensor": "actoin"}), COUNTS, [spec("action", 1)]))
    assert 'unknown output tensor "actoin"; did you mean "action"?' in message


def test_outputs_may_leave_elements_unused():
    """A classifier's probabilities need not all go somewhere."""
    found = places(
        map_outputs("t", outputs({"tag": "a", "tensor": "p", "index": 2}), COUNTS, [spec("l", 1), spec("p", 3)])
    )
    assert found == [("p", 2, 1)]


def test_unknown_tags_are_left_to_the_other_checks():
    """A tag that does not exist is reported once, not as a gap too."""
    assert faults(map_inputs("t", inputs("a", "nobody"), COUNTS, [spec("x", 2)])) == []


def test_one_value_of_a_tag():
    """With `cell` an entry has one, whatever the tag has."""
    found = map_inputs("t", inputs({"tag": "v", "cell": 2}, "a"), COUNTS, [spec("x", 2)])
    assert places(found) == [("x", 0, 1), ("x", 1, 1)]
