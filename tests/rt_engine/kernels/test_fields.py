"""Records by name: `Fields`, and that nobody counts places."""

import ast
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import plc_bindings.st
import rt_engine
from rt_engine.kernels.interface.fields import Fields
from rt_engine.kernels.interface.gemm import GEMM
from rt_engine.kernels.interface.record import OPERANDS, PARAMS, SIZES

SOME = Fields("some", operands="x - scale? out", sizes="rows - n type?", params="low high?")


def test_a_record_holds_values_at_their_places():
    """Places that are not used, and what is left out, are absent operands and zeros."""
    record = SOME(out="y", x="x", n=5, rows=2, low=-1)
    assert record.operands == ("x", None, None, "y")
    assert record.sizes == (2, 0, 5, 0) and record.params == (-1.0, 0.0)
    assert (record.x, record.scale, record.n, record.type, record.high) == ("x", None, 5, 0, 0.0)
    assert SOME(x=1, scale=2, out=3, rows=1, n=1, low=0, high=7).operands == (1, None, 2, 3)


def test_a_negative_zero_stays_one():
    """It is another number than zero: LeakyRelu with alpha -0.0 makes 0.0 of -2.0."""
    assert np.signbit(SOME(out="y", x="x", n=5, rows=2, low=-0.0).params[0])
    node = helper.make_node("LeakyRelu", ["x"], ["y"], alpha=-0.0)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]), ir_version=9)
    (y,) = rt_engine.load(model).run({"x": np.array([-2.0], np.float32)})
    assert not np.signbit(y[0])


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"width": 1}, "width"),
        ({"x": None}, "x"),
        ({"rows": None}, "rows"),
        ({"low": None}, "low"),
        ({"name": 1}, "name"),
    ],
)
def test_a_wrong_or_a_missing_name_is_an_error(values, name):
    """What a record has no field for, and what it needs and does not get; never an error that a model could be blamed for."""
    given = {"x": 1, "out": 2, "rows": 1, "n": 1, "low": 0.0} | values
    with pytest.raises(NameError, match=rf"^{name}: not there, or missing, in a record of some"):
        SOME(**given)


def test_a_record_has_no_other_attributes():
    """A reader's typing error is an AttributeError with the family's name."""
    with pytest.raises(AttributeError, match="a record of some has no field 'columns'"):
        SOME(x=1, out=2, rows=1, n=1, low=0).columns  # noqa: B018


def test_what_a_kernel_writes():
    """The last operand, unless the family says otherwise."""
    assert SOME.written == ("out",) and GEMM.written == ("out",)
    assert Fields("jump", operands="condition?", writes="").written == ()
    assert Fields("pair", operands="x first second?", writes="first second").written == ("first", "second")
    with pytest.raises(ValueError, match="no operand"):
        Fields("wrong", operands="x y", writes="z")
    with pytest.raises(ValueError, match="no operand"):
        Fields("wrong", operands="x y", sizes="n", writes="n")


@pytest.mark.parametrize(("column", "most"), [("operands", OPERANDS), ("sizes", SIZES), ("params", PARAMS)])
def test_a_record_has_so_many_places(column, most):
    """No more of a kind than a record has room for."""
    names = [f"a{i}" for i in range(most + 1)]
    Fields("full", **{"operands": "x", column: " ".join(names[:-1])})
    with pytest.raises(ValueError, match="more than"):
        Fields("over", **{"operands": "x", column: " ".join(names)})


@pytest.mark.parametrize("sizes", ["x", "n n", "fields", "sizes"])
def test_a_name_stands_for_one_thing(sizes):
    """A name is not given twice, nor is it one that a record has anyway."""
    with pytest.raises(ValueError, match="taken"):
        Fields("twice", operands="x out", sizes=sizes)


ROOT = Path(rt_engine.__file__).parent
FILES = [path for room in ("kernels", "ops", "lower") for path in sorted((ROOT / room).rglob("*.py"))]
FILES += sorted(Path(plc_bindings.st.__file__).parent.glob("inline*.py"))


def numbered(text: str) -> list[str]:
    """What addresses a field of a record by its place: a number behind its column or in a call with it, a sum with its address."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
            ends = (node.slice.lower, node.slice.upper) if isinstance(node.slice, ast.Slice) else (node.slice,)
            if node.value.attr in ("operands", "sizes", "params") and any(isinstance(e, ast.Constant) for e in ends):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and "record" in map(ast.unparse, node.args):
            found += [ast.unparse(node) for given in node.args if ast.unparse(given).isdigit()]
        elif isinstance(node, ast.BinOp):
            found += [ast.unparse(node) for side in (node.left, node.right) if ast.unparse(side) == "record"]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_nobody_counts_places(path):
    """A kernel, its operator and the Structured Text export say what a field is called."""
    assert numbered(path.read_text()) == []


def test_a_number_is_found():
    """The check sees every way in which places were counted."""
    text = (
        "call.sizes[:2], call.operands[3], size(record, 3), record + 8 * 4, params[0], call.operands[i], f(record, i)"
    )
    assert numbered(text) == ["call.sizes[:2]", "call.operands[3]", "size(record, 3)", "record + 8 * 4"]
