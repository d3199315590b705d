"""PLCopen XML: well formed, elements in the order that TC6 has them, nothing of the units left out."""

import xml.etree.ElementTree as ET

import pytest

from plc_bindings.st import portable, twincat
from plc_bindings.st.plcopen import BEREMIZ, NAMESPACE, XHTML, plcopen_xml
from tests import need
from tests.peers.tc6 import schema
from tests.plc_bindings.st.exported import ADS, demo, modbus

P, X = f"{{{NAMESPACE}}}", f"{{{XHTML}}}"
VARIABLES = "localVars tempVars inputVars outputVars inOutVars externalVars globalVars accessVars"
ORDER = {
    "project": "fileHeader contentHeader types instances addData documentation",
    "fileHeader": "",
    "contentHeader": "Comment coordinateInfo addDataInfo addData",
    "coordinateInfo": "pageSize fbd ld sfc",
    "fbd": "scaling",
    "ld": "scaling",
    "sfc": "scaling",
    "types": "dataTypes pous",
    "dataTypes": "dataType",
    "dataType": "baseType initialValue addData documentation",
    "pous": "pou",
    "pou": "interface actions transitions body addData documentation",
    "interface": f"returnType {VARIABLES} addData documentation",
    "variable": "type initialValue addData documentation",
    "initialValue": "simpleValue",
    "array": "dimension baseType",
    "enum": "values baseType",
    "values": "value",
    "struct": "variable addData documentation",
    "body": "ST",
    "ST": "xhtml",
    "documentation": "xhtml",
    "instances": "configurations",
    "configurations": "",
    "addData": "data",
    "data": "",
    **dict.fromkeys(VARIABLES.split(), "variable addData documentation"),
}
"""Element -> its children, in their order: from the schema of TC6 2.0."""
LOOSE = {"interface"}
"""Lists of variables may come in any order."""


def departures(root):
    """Children that the schema does not have there, or not in this order."""
    found = []
    for element in root.iter():
        name = element.tag.removeprefix(P)
        if name not in ORDER or name == "data":
            continue
        known = ORDER[name].split()
        tags = [child.tag.removeprefix(P).removeprefix(X) for child in element]
        found += [f"{name}/{tag}" for tag in tags if tag not in known]
        places = [known.index(tag) for tag in tags if tag in known]
        if name in LOOSE:
            places = [1 if known[p].endswith("Vars") else p for p in places]
        if places != sorted(places):
            found.append(f"{name}: {tags}")
    return found


@pytest.fixture(scope="module", params=["twincat", "portable"])
def units(request):
    of = demo()
    return twincat.units(of, ADS) if request.param == "twincat" else portable.units(of, modbus(of))


@pytest.fixture(scope="module")
def root(units):
    return ET.fromstring(plcopen_xml(units, "line4"))


def test_elements_are_where_the_schema_has_them(root):
    assert departures(root) == []
    root = ET.fromstring(ET.tostring(root))
    interface = root.find(f".//{P}pou/{P}interface")
    interface.append(ET.Element(f"{P}returnType"))
    assert departures(root)


@pytest.mark.peer
def test_the_schema_takes_both(units):
    """TC6 2.01; what CODESYS and TwinCAT read is 2.0, and has nothing that 2.01 has in another way: judged with its namespace."""
    judge = schema()
    for namespace in (BEREMIZ, NAMESPACE):
        text = plcopen_xml(units, "line4", namespace)
        root = ET.fromstring(text.replace(NAMESPACE, BEREMIZ))
        assert judge.validate(tree(root)), judge.error_log
        root.find(f".//{{{BEREMIZ}}}pou").append(ET.Element(f"{{{BEREMIZ}}}interface"))
        assert not judge.validate(tree(root))


def tree(root):
    """As lxml has it."""
    return need.package("lxml.etree").fromstring(ET.tostring(root))


def test_beremiz_opens_its_own(units, root):
    """Namespace 2.01, every text a paragraph, one task with the program; else the same elements."""
    text = plcopen_xml(units, "line4", BEREMIZ)
    ours = ET.fromstring(text)
    q = f"{{{BEREMIZ}}}"
    assert f'xmlns:xhtml="{XHTML}"' in text and "<xhtml " not in text
    plain = [e.tag.removeprefix(q).replace(f"{X}p", f"{X}xhtml") for e in ours.iter()]
    added = ["configuration", "resource", "task", "pouInstance"]
    assert [tag for tag in plain if tag not in added] == [e.tag.removeprefix(P) for e in root.iter()]
    assert ours.find(f".//{q}pouInstance").attrib == {"name": "PRG_RtExample_1", "typeName": "PRG_RtExample"}
    block = next(u for u in units if u.name == "FB_policy")
    assert ours.find(f".//{q}pou[@name='FB_policy']/{q}body/{q}ST/{X}p").text == block.body


def test_texts_without_a_length_are_strings():
    """STRING alone, as matiec has it."""
    sockets = portable.transport(demo(), modbus(demo()), "matiec")
    root = ET.fromstring(plcopen_xml([sockets], "line4"))
    assert root.find(f".//{P}variable[@name='sAddress']/{P}type/{P}string").attrib == {}


def test_every_unit_is_there(units, root):
    """Structures, enumerations and arrays as data types; blocks, functions and programs as POUs; lists of globals."""
    types = {e.get("name") for e in root.iter(f"{P}dataType")}
    pous = {e.get("name"): e.get("pouType") for e in root.iter(f"{P}pou")}
    lists = {e.get("name") for e in root.iter(f"{P}globalVars")}
    assert types | set(pous) | lists == {u.name for u in units}
    assert pous["PRG_RtExample"] == "program" and pous["FB_policy"] == "functionBlock"


def test_bodies_and_methods_are_those_of_the_units(units, root):
    for unit in units:
        if unit.kind in ("FUNCTION_BLOCK", "FUNCTION", "PROGRAM"):
            element = root.find(f".//{P}pou[@name='{unit.name}']")
            assert element.find(f"{P}body/{P}ST/{X}xhtml").text == unit.body
            methods = element.findall(f"{P}addData/{P}data/{P}Method")
            assert [m.get("name") for m in methods] == [m.name for m in unit.methods]
            assert [m.find(f"{P}body/{P}ST/{X}xhtml").text for m in methods] == [m.body for m in unit.methods]


def test_every_variable_has_its_type_and_first_value(units, root):
    """Names in their order; simple types as elements, others as derived."""
    block = next(u for u in units if u.name == "FB_policy")
    element = root.find(f".//{P}pou[@name='FB_policy']/{P}interface")
    names = [v.get("name") for section in element for v in section.iter(f"{P}variable")]
    assert names == [v.name for section in block.sections for v in section.variables]
    by_name = {v.get("name"): v for v in element.iter(f"{P}variable")}
    assert by_name["bExecute"].find(f"{P}type/{P}BOOL") is not None
    assert by_name["stIn"].find(f"{P}type/{P}derived").get("name") == "ST_policy_In"
    assert by_name["nTimeout"].find(f"{P}initialValue/{P}simpleValue").get("value") == "100"


def test_inputs_are_an_array_of_seven(root):
    element = root.find(f".//{P}dataType[@name='ST_policy_In']//{P}variable[@name='observation']/{P}type")
    array = element.find(f"{P}array")
    if array is None:
        name = element.find(f"{P}derived").get("name")
        array = root.find(f".//{P}dataType[@name='{name}']/{P}baseType/{P}array")
    assert array.find(f"{P}dimension").attrib == {"lower": "0", "upper": "6"}
    assert array.find(f"{P}baseType/{P}REAL") is not None


def test_attributes_travel_as_additional_data():
    """pack_mode of TwinCAT's structures."""
    root = ET.fromstring(plcopen_xml(twincat.units(demo(), ADS), "line4"))
    found = root.find(f".//{P}dataType[@name='ST_policy_In']/{P}addData/{P}data/{P}Attributes/{P}Attribute")
    assert found.attrib == {"Name": "pack_mode", "Value": "1"}
