"""Shapes that a file leaves open: bound by the user, by an equal name, or assumed with a note."""

import pickle

import pytest
from onnx import helper

import rt_engine
from rt_engine.binding import Binding
from rt_engine.compiler import bound_inputs
from rt_engine.errors import ShapeBindingError


def passing(**shapes):
    """A model that passes its inputs on."""
    ends = [[helper.make_tensor_value_info(n + end, 1, shape) for n, shape in shapes.items()] for end in ("", "_out")]
    nodes = [helper.make_node("Identity", [name], [name + "_out"]) for name in shapes]
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(helper.make_graph(nodes, "g", *ends), opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("declared", "given", "bound"),
    [
        ({"x": ["n", "t", 4], "m": ["n", "t"]}, {"m": (2, 7)}, [(2, 7, 4), (2, 7)]),
        ({"x": ["t", 4], "m": [1, "t"]}, {"x": (7, 4)}, [(7, 4), (1, 7)]),
        ({"x": ["n", "t"], "m": ["n", 3]}, {"x": (2, 7)}, [(2, 7), (2, 3)]),
        ({"x": ["n", 4], "m": ["k", 4]}, {"m": (2, 4)}, [(1, 4), (2, 4)]),
    ],
)
def test_a_name_that_is_bound_once_is_bound_everywhere(declared, given, bound):
    """Whichever input is given, at whichever place the name stands."""
    assert [spec.shape for spec in rt_engine.load(passing(**declared), shapes=given).inputs] == bound


def test_one_name_has_one_size():
    """Two inputs that disagree are told with both sizes."""
    model = passing(x=["n", "t"], m=["n", "t"])
    with pytest.raises(ShapeBindingError, match=r"'t' is one size.*input 'x' has 5 for it, input 'm' has 6"):
        rt_engine.load(model, shapes={"x": (1, 5), "m": (1, 6)})


@pytest.mark.parametrize("word", ["?", "None"])
def test_what_exporters_write_for_an_unknown_size_is_no_name(word):
    """PaddlePaddle writes `?` for every size that it leaves open: two of them may differ, and a first one is the batch."""
    model = passing(x=[word, 3, word, word], m=[word, 2])
    loaded = rt_engine.load(model, shapes={"x": (2, 3, 4, 6)})
    assert [spec.shape for spec in loaded.inputs] == [(2, 3, 4, 6), (1, 2)]
    assert loaded.notes == ("the file leaves the first size of m open: taken as 1",)
    with pytest.raises(ShapeBindingError, match=r"dimension 2 \('\?'\) and dimension 3 \('\?'\) of input 'x'"):
        rt_engine.load(model)


@pytest.mark.parametrize(
    ("declared", "notes"),
    [
        ({"x": ["seq", 4]}, ("the file leaves the first size ('seq') of x open: taken as 1",)),
        ({"x": [None, 4]}, ("the file leaves the first size of x open: taken as 1",)),
        ({"x": ["n", 4], "m": ["n", 2]}, ("the file leaves the first size ('n') of x, m open: taken as 1",)),
        ({"x": [1, 4]}, ()),
    ],
)
def test_every_assumption_is_a_note(declared, notes):
    """One for each name; none where the file or the user says it."""
    model = passing(**declared)
    assert rt_engine.load(model).notes == notes
    given = {name: tuple(d if isinstance(d, int) else 3 for d in shape) for name, shape in declared.items()}
    assert rt_engine.load(model, shapes=given).notes == ()


def test_a_first_dimension_whose_name_stands_elsewhere_is_no_batch():
    """It is asked for, not taken as 1."""
    with pytest.raises(ShapeBindingError) as caught:
        rt_engine.load(passing(x=["t", 4], m=[1, "t"]))
    assert caught.value.gaps == {"x": ("t", 4), "m": (1, "t")}
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.gaps) == (str(caught.value), caught.value.gaps)


def test_what_is_missing_is_shown_with_all_its_names():
    """A first dimension beside a missing one is not written as 1: who binds the rest says what it is too."""
    with pytest.raises(
        ShapeBindingError, match=r"dimension 1 \('batch'\) of input 'x' \[<seq>, <batch>, 4\]"
    ) as caught:
        rt_engine.load(passing(x=["seq", "batch", 4]))
    assert caught.value.gaps == {"x": ("seq", "batch", 4)}
    assert str(caught.value).endswith("; bind them with numbers: shapes={'x': (seq, batch, 4)}")
    assert caught.value.in_toml.endswith("; bind them with numbers: shapes = { x = [seq, batch, 4] }")


def test_a_model_that_cannot_run_here_has_shapes_all_the_same():
    """What peers are timed on."""
    node = helper.make_node("NonZero", ["x"], ["y"])
    ends = helper.make_tensor_value_info("x", 1, ["n", "t"]), helper.make_tensor_value_info("y", 7, [2, None])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert bound_inputs(model, Binding({"x": (2, 3)})) == ({"x": (2, 3)}, ())
