"""Structured Text for any IEC 61131-3 compiler: blocks that call a station over Modbus TCP.

ST_RtStatus      why a call failed, as constants
ST_RtChangeState where the newest change of a model is; ST_RtVerdict why a task found a version bad
ST_<model>_In    a model's inputs; ST_<model>_Out its outputs
ST_<model>_<tensor>_Names  what the numbers of a tensor stand for, where the model has names for them
ST_RtConnection  what blocks and transport share
RT_...           functions: numbers to bits and back
FB_RtPredict     calls any model, by registers
FB_<model>       calls one model: structures in and out, checked against the running model's interface
FB_RtTransport   bytes from and to a socket: the user's, for their PLC
PRG_RtExample    a program that uses them

It keeps to what matiec and STruC++ compile: every array has a named type; no pointers, methods, enumerations with numbers
or pragmas; every END has its semicolon; every number with an exponent has a point.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from importlib.resources import files
from string import Template
from typing import Final

from plc_bindings.data.types import Array, Struct, Type
from plc_bindings.errors import UnpackableError
from plc_bindings.st import registers
from plc_bindings.st.names import check_distinct
from plc_bindings.st.project import Exported, Modbus, Project, largest, string
from plc_bindings.st.statuses import CHANGE_HEADS, CHANGE_NUMBERS, STATUSES
from plc_bindings.st.units import Unit, unit

_EVERYWHERE: Final = " The same numbers everywhere in rt-engine."
HEADER_REGISTERS: Final = 4
"""Status and version, in front of the outputs."""
_FUNCTIONS: Final = (
    "RT_SwapBytes",
    *(
        f"RT_{name}"
        for type_ in ("Int", "Dint", "Lint", "Real", "Lreal")
        for name in (f"{type_}ToBits", f"BitsTo{type_}")
    ),
)
_USED: Final = re.compile(r"\bRT_\w+(?=\()")
LIBRARY_REGISTERS: Final = 2048
"""Of one model, where several stations share the blocks."""
CALLS: Final = 8
"""Of one message each, that may be under way on one connection; beside them one of several messages."""
_MESSAGE: Final = 260
"""Bytes of the longest message of Modbus TCP."""
BYTES: Final = (CALLS + 1) * _MESSAGE
"""Room of a connection for what is to be sent, and for what came: each call has one message at most."""


def units(project: Project, modbus: Modbus) -> tuple[Unit, ...]:
    """All units, those first that others need; with a prefix without what is in the `library`.

    Raises:
        UnpackableError: a name cannot be used, or a model is too large to share blocks.
    """
    structures = [struct for model in project.models for struct in (model.signature.inputs, model.signature.outputs)]
    blocks = [_block(model, modbus) for model in project.models]
    used = {name for block in blocks for name in _USED.findall(block.body)}
    most = _most_registers(project)
    if project.prefix and most > LIBRARY_REGISTERS:
        raise UnpackableError(
            f"{largest(project)}: a model of {most} registers, and blocks that stations share take {LIBRARY_REGISTERS}: "
            "export it without a prefix"
        )
    found = [
        *(() if project.prefix else library(used, most)),
        *_arrays(structures, project.prefix),
        *(_structure(struct, project.prefix) for struct in structures),
        *(
            _numbers(
                f"ST_{model.identifier}_{field}_Names",
                "LINT",
                f"What '{tensor}' of {model.identifier} counts.",
                entries,
                "",
            )
            for model in project.models
            for field, tensor, entries in model.names
        ),
        *blocks,
        *examples(project, modbus),
    ]
    check_distinct(((u.name, f"{u.kind} {u.name} ({i})") for i, u in enumerate(found)), f"station '{project.name}'")
    return tuple(found)


def library(used: Container[str] = _FUNCTIONS, most: int = LIBRARY_REGISTERS) -> tuple[Unit, ...]:
    """What all stations share: statuses, the connection, functions that are `used`, FB_RtPredict for models of so many registers."""
    return (
        _numbers("ST_RtStatus", "UDINT", "Why a call failed.", STATUSES),
        *(_numbers(f"ST_{name}", "UINT", CHANGE_HEADS[name], numbers) for name, numbers in CHANGE_NUMBERS.items()),
        unit(_library("RT_FRAME", last=BYTES - 1)),
        unit(_library("RT_TURNS", calls=CALLS)),
        unit(_library("RT_REGISTERS", last=most - 1)),
        unit(_library("ST_RtConnection")),
        *(unit(_library(name)) for name in _FUNCTIONS if name in used),
        unit(
            _library(
                "FB_RtPredict", calls=CALLS, most=BYTES - _MESSAGE, **{name: number for name, number, _ in STATUSES}
            )
        ),
    )


def examples(project: Project, modbus: Modbus) -> tuple[Unit, Unit]:
    """The transport to fill in, and the program that calls both."""
    own = {"transport": project.own("FB_RtTransport"), "program": project.own("PRG_RtExample")}
    transport = _library("FB_RtTransport", name=own["transport"], port=modbus.port, bytes=BYTES)
    return unit(transport), unit(_library("PRG_RtExample", name=project.models[0].identifier, **own))


def transport(project: Project, modbus: Modbus, where: str) -> Unit:
    """FB_RtTransport with the sockets of `codesys` or `matiec`: not portable, so it is none of `units`."""
    host, name = string(modbus.host, 80, "host"), project.own("FB_RtTransport")
    return unit(_library(f"FB_RtTransport_{where}", name=name, host=host, port=modbus.port, bytes=BYTES))


def _library(file: str, **values: object) -> str:
    text = (files(__package__) / "library" / "portable" / f"{file}.st").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _numbers(
    name: str, type_: str, about: str, numbers: Iterable[tuple[str, int, str]], where: str = _EVERYWHERE
) -> Unit:
    lines = "".join(f"    {name} : {type_} := {number}; (* {text} *)\n" for name, number, text in numbers)
    head = f"(* {about}{where} Declare one, and compare with its elements. *)\n"
    return unit(f"{head}TYPE {name} :\nSTRUCT\n{lines}END_STRUCT;\nEND_TYPE\n")


def _type_name(type_: Type, prefix: str) -> str:
    middle = f"{prefix}_" if prefix else ""
    return f"RT_{middle}{type_.element.name}_{type_.count}" if isinstance(type_, Array) else type_.name


def _arrays(structures: list[Struct], prefix: str) -> Iterator[Unit]:
    types = {_type_name(f.type, prefix): f.type.name for s in structures for f in s.fields if isinstance(f.type, Array)}
    for name, type_ in sorted(types.items()):
        yield unit(f"TYPE {name} : {type_};\nEND_TYPE\n")


def _structure(struct: Struct, prefix: str) -> Unit:
    lines = "".join(f"    {f.name} : {_type_name(f.type, prefix)}; (* {f.comment} *)\n" for f in struct.fields)
    return unit(f"TYPE {struct.name} :\nSTRUCT\n{lines}END_STRUCT;\nEND_TYPE\n")


def _most_registers(project: Project) -> int:
    return max(
        max(registers.count(m.signature.inputs), HEADER_REGISTERS + registers.count(m.signature.outputs))
        for m in project.models
    )


def _block(model: Exported, modbus: Modbus) -> Unit:
    signature, order, at = model.signature, modbus.order, modbus.registers[model.name]
    inputs, outputs = registers.count(signature.inputs), registers.count(signature.outputs)
    hash0, hash1 = registers.of_number(signature.hash, 2, order)
    pack = registers.pack(signature.inputs, order)
    unpack = registers.unpack(signature.outputs, order, HEADER_REGISTERS)
    text = _library(
        "FB_Model",
        comment=model.title,
        name=model.identifier,
        variables=variables("\n".join(pack + unpack)),
        unit=modbus.unit,
        hash_at=at.hash,
        hash0=hash0,
        hash1=hash1,
        inputs_at=at.inputs,
        inputs=inputs,
        result_at=at.result,
        result=HEADER_REGISTERS + outputs,
        status=registers.joined(["aRegisters[0]", "aRegisters[1]"], order),
        version=registers.joined(["aRegisters[2]", "aRegisters[3]"], order),
        pack="".join(f"        {line}\n" for line in pack),
        unpack="".join(f"        {line}\n" for line in unpack),
    )
    return unit(text)


def variables(text: str) -> str:
    """The variables that lines of `registers` use."""
    found = [(name, kind) for kind, name in registers.VARIABLES.items() if re.search(rf"\b{name}\b", text)]
    if "WHILE i " in text:
        found.append(("i", "UDINT"))
    return "".join(f"    {name} : {kind};\n" for name, kind in found)
