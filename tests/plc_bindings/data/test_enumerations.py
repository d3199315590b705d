"""What the numbers of a tensor stand for, as PLCs and C programs see it."""

import pytest
from onnx import TensorProto, helper

import rt_engine
from plc_bindings.c.export import export
from plc_bindings.data.enumerations import MOST_NAMES, enumerations
from plc_bindings.data.signature import signature
from plc_bindings.st import portable, twincat
from plc_bindings.st.project import project
from tests.plc_bindings.st.evaluator import syntax_errors
from tests.plc_bindings.st.exported import ADS, modbus

NAMES = ["red", "light blue", "if", "Red", "*) ä", ""]


def model(names=NAMES):
    """Names in, names out."""
    nodes = [
        helper.make_node("OneHotEncoder", ["colour"], ["y"], domain="ai.onnx.ml", cats_strings=names, zeros=1),
        helper.make_node(
            "LabelEncoder", ["colour"], ["class"], domain="ai.onnx.ml", keys_strings=names[:2],
            values_strings=["good", "bad"], default_string="bad",
        ),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("colour", TensorProto.STRING, [1])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, len(names)]),
            helper.make_tensor_value_info("class", TensorProto.STRING, [1]),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return rt_engine.load(helper.make_model(graph, opset_imports=opsets, ir_version=9))


def entries_of(loaded):
    return enumerations(loaded.program.naming, loaded.inputs, loaded.outputs)


def test_every_name_has_an_identifier_of_its_own_and_its_number():
    entries = entries_of(model())
    assert entries["class"] == (("Unknown", -1, "any other name"), ("Is_good", 0, "good"), ("Is_bad", 1, "bad"))
    found = [name for name, _, _ in entries["colour"]]
    assert found == ["Unknown", "Is_red", "Is_light_blue", "Is_if", "Is_Red_1", "Is_4", "Is_5"]
    assert [number for _, number, _ in entries["colour"]] == list(range(-1, 6))


def test_lists_of_very_many_names_are_no_enumeration():
    assert "colour" not in entries_of(model([str(i) for i in range(MOST_NAMES + 1)]))


def test_other_names_are_another_signature():
    """A PLC that was made for other names, or another order, is told so before it writes a number."""
    hashes = {signature("m", model(names)).hash for names in (NAMES, NAMES[::-1], NAMES[:-1], NAMES)}
    assert len(hashes) == 3
    field = signature("m", model()).inputs.fields[0]
    assert field.comment == "colour: int64[1]; 0 red, 1 light blue, 2 if, 3 Red, 4 *) ä, 5 , -1 any other name"


@pytest.mark.parametrize("kind", ["twincat", "portable"])
def test_structured_text_has_the_names(kind):
    exported = project("cell", {"sorter": model()})
    units = twincat.units(exported, ADS) if kind == "twincat" else portable.units(exported, modbus(exported))
    name = "E_sorter_colour" if kind == "twincat" else "ST_sorter_colour_Names"
    (unit,) = [unit for unit in units if unit.name == name]
    assert [(v.name, v.initial) for v in unit.sections[0].variables][:3] == [
        ("Unknown", "-1"),
        ("Is_red", "0"),
        ("Is_light_blue", "1"),
    ]
    assert not syntax_errors(unit.text)


def test_c_has_the_names(tmp_path):
    files = export(tmp_path, [], {"sorter": model().program, "plain": model([str(i) for i in range(2000)]).program})
    text = (tmp_path / "include" / "sorter_names.h").read_text()
    assert tmp_path / "include" / "sorter_names.h" in files
    assert "    sorter_colour_Is_light_blue = 1, /* light blue */\n" in text and text.count("/*") == text.count("*/")
