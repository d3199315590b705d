"""Units as files of a TwinCAT project: .TcPOU, .TcDUT, .TcGVL. Ids come from names, so the same station gives the same bytes.

<TcPlcObject> <POU Name Id> <Declaration> <Implementation><ST> <Method Name Id> ...
"""

from __future__ import annotations

import uuid
from typing import Final
from xml.sax.saxutils import quoteattr

from plc_bindings.st.units import Unit

_NAMESPACE: Final = uuid.UUID("7f3b5a52-52d4-5e07-9c1c-7a1f6f0c5254")
_SUFFIXES: Final = {"STRUCT": "TcDUT", "ENUM": "TcDUT", "ALIAS": "TcDUT", "VAR_GLOBAL": "TcGVL"}


def twincat_file(unit: Unit, project: str) -> tuple[str, str]:
    """(file name, text) of a unit."""
    suffix = _SUFFIXES.get(unit.kind, "TcPOU")
    element = {"TcDUT": "DUT", "TcGVL": "GVL", "TcPOU": "POU"}[suffix]
    parts = [_cdata("Declaration", unit.declaration, 4)]
    if suffix == "TcPOU":
        parts += [_implementation(unit.body, 4), *(_method(unit, method, project) for method in unit.methods)]
    extra = ' SpecialFunc="None"' if suffix == "TcPOU" else ""
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<TcPlcObject Version="1.1.0.1">\n'
        f"  <{element} Name={quoteattr(unit.name)} Id={_id(project, unit.name)}{extra}>\n"
        + "".join(parts)
        + f"  </{element}>\n</TcPlcObject>\n"
    )
    return f"{unit.name}.{suffix}", text


def _method(unit: Unit, method: Unit, project: str) -> str:
    return (
        f"    <Method Name={quoteattr(method.name)} Id={_id(project, unit.name, method.name)}>\n"
        + _cdata("Declaration", method.declaration, 6)
        + _implementation(method.body, 6)
        + "    </Method>\n"
    )


def _implementation(body: str, indent: int) -> str:
    space = " " * indent
    return f"{space}<Implementation>\n{_cdata('ST', body, indent + 2)}{space}</Implementation>\n"


def _cdata(name: str, text: str, indent: int) -> str:
    assert "]]>" not in text
    return f"{' ' * indent}<{name}><![CDATA[{text}]]></{name}>\n"


def _id(*names: str) -> str:
    return f'"{{{uuid.uuid5(_NAMESPACE, "/".join(names))}}}"'
