"""Units as one PLCopen XML file (TC6), as TwinCAT and CODESYS import it (2.0), or Beremiz and OpenPLC's editor (2.01).

<project> <types> <dataTypes> structures, enumerations   <pous> blocks, programs   ... <addData> global variables

What the standard has no element for is in `addData`, under the names that both of them read: methods of blocks,
attributes such as pack_mode, lists of global variables. A reader that does not know them leaves them out.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Final

from plc_bindings.data.types import SCALARS
from plc_bindings.st.units import Section, Unit, Variable

NAMESPACE: Final = "http://www.plcopen.org/xml/tc6_0200"
BEREMIZ: Final = "http://www.plcopen.org/xml/tc6_0201"
"""It opens no other, and its texts are paragraphs: <xhtml:p>, not <xhtml>."""
XHTML: Final = "http://www.w3.org/1999/xhtml"
WRITTEN: Final = "2000-01-01T00:00:00"
"""The standard wants a time; the same station shall give the same bytes."""
_VENDOR: Final = "http://www.3s-software.com/plcopenxml/"
_SECTIONS: Final = {
    "VAR_INPUT": "inputVars",
    "VAR_OUTPUT": "outputVars",
    "VAR_IN_OUT": "inOutVars",
    "VAR": "localVars",
    "VAR CONSTANT": "localVars",
}
_POUS: Final = {"FUNCTION_BLOCK": "functionBlock", "FUNCTION": "function", "PROGRAM": "program"}
_ELEMENTARY: Final = frozenset(
    {*(scalar.name for scalar in SCALARS.values()), "BYTE", "WORD", "DWORD", "LWORD", "TIME"}
)
_ARRAY: Final = re.compile(r"ARRAY \[(.+?)\.\.(.+?)\] OF (.+)")


def plcopen_xml(units: Sequence[Unit], name: str, namespace: str = NAMESPACE) -> str:
    """The file's text.

    Args:
        units: those first that others need.
        name: of the project.
        namespace: which of the two.
    """
    root = ET.Element("project", {"xmlns": namespace, "xmlns:xhtml": XHTML})
    ET.SubElement(
        root, "fileHeader", companyName="", productName="rt-engine", productVersion="1", creationDateTime=WRITTEN
    )
    header = ET.SubElement(root, "contentHeader", name=name, modificationDateTime=WRITTEN)
    info = ET.SubElement(header, "coordinateInfo")
    for diagram in ("fbd", "ld", "sfc"):
        ET.SubElement(ET.SubElement(info, diagram), "scaling", x="1", y="1")
    types = ET.SubElement(root, "types")
    data_types, pous = ET.SubElement(types, "dataTypes"), ET.SubElement(types, "pous")
    globals_ = [unit for unit in units if unit.kind == "VAR_GLOBAL"]
    for unit in units:
        if unit.kind in _POUS:
            _pou(pous, unit)
        elif unit.kind != "VAR_GLOBAL":
            _data_type(data_types, unit)
    configurations = ET.SubElement(ET.SubElement(root, "instances"), "configurations")
    if namespace == BEREMIZ:
        _configuration(configurations, [unit.name for unit in units if unit.kind == "PROGRAM"])
    if globals_:
        extra = ET.SubElement(root, "addData")
        for unit in globals_:
            _globals(_data(extra, "globalvars"), unit)
    if namespace == BEREMIZ:
        for text in root.iter("xhtml"):
            text.tag = "xhtml:p"
            del text.attrib["xmlns"]
    else:
        del root.attrib["xmlns:xhtml"]
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _configuration(parent: ET.Element, programs: Sequence[str]) -> None:
    """One task that runs all programs."""
    resource = ET.SubElement(
        ET.SubElement(parent, "configuration", name="RtConfiguration"), "resource", name="RtResource"
    )
    task = ET.SubElement(resource, "task", name="RtTask", priority="0", interval="T#10ms")
    for program in programs:
        ET.SubElement(task, "pouInstance", name=f"{program}_1", typeName=program)


def _data(add_data: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(add_data, "data", name=_VENDOR + name, handleUnknown="implementation")


def _data_type(parent: ET.Element, unit: Unit) -> None:
    element = ET.SubElement(parent, "dataType", name=unit.name)
    base = ET.SubElement(element, "baseType")
    if unit.kind == "ALIAS":
        _type(base, unit.returns)
    elif unit.kind == "ENUM":
        values = ET.SubElement(ET.SubElement(base, "enum"), "values")
        for entry in unit.sections[0].variables:
            ET.SubElement(values, "value", name=entry.name, value=entry.initial)
    else:
        struct = ET.SubElement(base, "struct")
        for entry in unit.sections[0].variables:
            _variable(struct, entry)
    if unit.attributes:
        _attributes(ET.SubElement(element, "addData"), unit)
    _documentation(element, unit.comment)


def _attributes(add_data: ET.Element, unit: Unit) -> None:
    attributes = ET.SubElement(_data(add_data, "attributes"), "Attributes")
    for name, value in unit.attributes:
        ET.SubElement(attributes, "Attribute", Name=name, Value=value)


def _pou(parent: ET.Element, unit: Unit) -> None:
    element = ET.SubElement(parent, "pou", name=unit.name, pouType=_POUS[unit.kind])
    interface = _interface(element, unit)
    _documentation(interface, unit.comment)
    _body(element, unit.body)
    if unit.methods:
        extra = ET.SubElement(element, "addData")
        for method in unit.methods:
            inner = ET.SubElement(_data(extra, "method"), "Method", name=method.name)
            found = _interface(inner, method)
            if method.private:
                modifiers = _data(ET.SubElement(found, "addData"), "accessmodifiers")
                ET.SubElement(modifiers, "AccessModifiers", Private="true")
            _documentation(found, method.comment)
            _body(inner, method.body)


def _interface(parent: ET.Element, unit: Unit) -> ET.Element:
    interface = ET.SubElement(parent, "interface")
    if unit.returns:
        _type(ET.SubElement(interface, "returnType"), unit.returns)
    for section in unit.sections:
        _variables(interface, _SECTIONS[section.kind], section)
    return interface


def _globals(parent: ET.Element, unit: Unit) -> None:
    element = _variables(parent, "globalVars", unit.sections[0], unit.name)
    if unit.attributes:
        _attributes(ET.SubElement(element, "addData"), unit)
    _documentation(element, unit.comment)


def _variables(parent: ET.Element, tag: str, section: Section, name: str = "") -> ET.Element:
    options = {"name": name} if name else {}
    if section.kind.endswith("CONSTANT"):
        options["constant"] = "true"
    element = ET.SubElement(parent, tag, options)
    for variable in section.variables:
        _variable(element, variable)
    return element


def _variable(parent: ET.Element, variable: Variable) -> None:
    element = ET.SubElement(parent, "variable", name=variable.name)
    _type(ET.SubElement(element, "type"), variable.type)
    if variable.initial:
        ET.SubElement(ET.SubElement(element, "initialValue"), "simpleValue", value=variable.initial)
    _documentation(element, variable.comment)


def _type(parent: ET.Element, text: str) -> None:
    array, string = _ARRAY.match(text), re.match(r"STRING(?:\((\d+)\))?$", text)
    if array is not None:
        element = ET.SubElement(parent, "array")
        ET.SubElement(element, "dimension", lower=array[1], upper=array[2])
        _type(ET.SubElement(element, "baseType"), array[3])
    elif string is not None:
        ET.SubElement(parent, "string", {"length": string[1]} if string[1] else {})
    elif text in _ELEMENTARY:
        ET.SubElement(parent, text)
    else:
        ET.SubElement(parent, "derived", name=text)


def _body(parent: ET.Element, text: str) -> None:
    ET.SubElement(ET.SubElement(ET.SubElement(parent, "body"), "ST"), "xhtml", xmlns=XHTML).text = text


def _documentation(parent: ET.Element, text: str) -> None:
    if text:
        ET.SubElement(ET.SubElement(parent, "documentation"), "xhtml", xmlns=XHTML).text = text
