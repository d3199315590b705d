"""Structured Text for TwinCAT: blocks that call a station over ADS (`ADSRDWRTEX` of Tc2_System).

GVL_RtEngine     index groups, sizes of the buffers, where the station is
E_RtStatus       why a call failed
E_RtChangeState  where the newest change of a model is; E_RtVerdict why a task found a version bad
ST_<model>_In    a model's inputs; ST_<model>_Out its outputs; packed as they travel
E_<model>_<tensor>  what the numbers of a tensor stand for, where the model has names for them
FB_RtPredict     calls any model
FB_<model>       calls one model: structures in and out, checked against the running model's interface
PRG_RtExample    a program that uses them
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from plc_bindings.ads import groups
from plc_bindings.calls.predict import RESULT_HEADER
from plc_bindings.data.types import Struct
from plc_bindings.errors import UnpackableError
from plc_bindings.st.names import check_distinct
from plc_bindings.st.project import Ads, Exported, Project, comment, largest, string
from plc_bindings.st.statuses import CHANGE_HEADS, CHANGE_NUMBERS, STATUSES
from plc_bindings.st.units import Unit, unit

NAME_LONGEST = groups.NAME_BYTES - 1
_EVERYWHERE = " The same numbers everywhere in rt-engine."
TEXT_BYTES = 256
"""Of an attribute."""
LIBRARY_BYTES = 8192
"""Of a request and of a response, where several stations share the blocks."""


def units(project: Project, ads: Ads) -> tuple[Unit, ...]:
    """All units, those first that others need; with a prefix without what is in the `library`.

    Raises:
        UnpackableError: a name cannot be used, or a model is too large to share blocks.
    """
    globals_ = project.own("GVL_RtEngine")
    found = [
        *(_own_globals(project, ads, globals_) if project.prefix else _shared(project.name, ads, *_sizes(project)))
    ]
    for model in project.models:
        found += [_structure(model.signature.inputs), _structure(model.signature.outputs)]
        found += [
            _numbers(f"E_{model.identifier}_{field}", f"What '{tensor}' of {model.identifier} counts.", entries, "")
            for field, tensor, entries in model.names
        ]
    found += [_block(model, globals_) for model in project.models]
    found.append(_example(project))
    check_distinct(((u.name, f"{u.kind} {u.name} ({i})") for i, u in enumerate(found)), f"station '{project.name}'")
    return tuple(found)


def _library(file: str, **values: object) -> str:
    text = (files(__package__) / "library" / "twincat" / f"{file}.st").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def library() -> tuple[Unit, ...]:
    """What all stations share."""
    return _shared("library", Ads("", 851), LIBRARY_BYTES, LIBRARY_BYTES)


def _shared(station: str, ads: Ads, request: int, response: int) -> tuple[Unit, ...]:
    return (
        _globals(station, ads, request, response),
        _numbers("E_RtStatus", "Why a call failed.", STATUSES),
        *(_numbers(f"E_{name}", CHANGE_HEADS[name], numbers) for name, numbers in CHANGE_NUMBERS.items()),
        unit(_library("ST_RtPredictionParameters")),
        unit(_library("FB_RtPredict")),
    )


def _sizes(project: Project) -> tuple[int, int]:
    """Bytes of the largest request and response."""
    ends = [(m.signature.inputs.size, m.signature.outputs.size) for m in project.models]
    request = max(groups.NAME_BYTES + max(taken for taken, _ in ends), TEXT_BYTES)
    return request, max(RESULT_HEADER + max(given for _, given in ends), 4 + TEXT_BYTES)


def _own_globals(project: Project, ads: Ads, name: str) -> tuple[Unit]:
    """Where the station is, beside the library's GVL_RtEngine."""
    if max(_sizes(project)) > LIBRARY_BYTES:
        raise UnpackableError(
            f"{largest(project)}: a model of {max(_sizes(project))} bytes, and blocks that stations share take {LIBRARY_BYTES}: "
            "export it without a prefix"
        )
    text = _library("GVL_Station", station=comment(project.name), net_id=_net_id(ads), port=ads.port)
    return (unit(text, name),)


def _globals(station: str, ads: Ads, request: int, response: int) -> Unit:
    text = _library(
        "GVL_RtEngine",
        station=comment(station),
        predict=_hex(groups.PREDICT),
        predict_ref=_hex(groups.PREDICT_REF),
        lookup=_hex(groups.LOOKUP),
        attribute=_hex(groups.ATTRIBUTE),
        name_bytes=groups.NAME_BYTES,
        request=request - 1,
        response=response - 1,
        net_id=_net_id(ads),
        port=ads.port,
    )
    return unit(text, "GVL_RtEngine")


def _net_id(ads: Ads) -> str:
    return string(ads.net_id, 23, "AMS NetId")


def _hex(number: int) -> str:
    return f"16#{number:08X}"


def _numbers(name: str, about: str, numbers: Sequence[tuple[str, int, str]], where: str = _EVERYWHERE) -> Unit:
    last = len(numbers) - 1
    lines = [
        f"    {name} := {number}{',' if i < last else ''} (* {text} *)"
        for i, (name, number, text) in enumerate(numbers)
    ]
    head = f"(* {about}{where} *)\n{{attribute 'qualified_only'}}\n"
    return unit(f"{head}TYPE {name} :\n(\n" + "\n".join(lines) + "\n);\nEND_TYPE\n")


def _structure(struct: Struct) -> Unit:
    lines = [f"    {f.name} : {f.type.name}; (* {f.comment} *)" for f in struct.fields]
    text = "\n".join(lines)
    return unit(f"{{attribute 'pack_mode' := '1'}}\nTYPE {struct.name} :\nSTRUCT\n{text}\nEND_STRUCT\nEND_TYPE\n")


def _block(model: Exported, globals_: str) -> Unit:
    name = string(model.name, NAME_LONGEST, "model")
    text = _library(
        "FB_Model",
        comment=model.title,
        name=model.identifier,
        model=name,
        globals=globals_,
        signature=_hex(model.signature.hash),
    )
    return unit(text)


def _example(project: Project) -> Unit:
    model = project.models[0]
    first = model.signature.outputs.fields[0].name
    program = project.own("PRG_RtExample")
    return unit(_library("PRG_RtExample", program=program, name=model.identifier, output=first))
