"""What is exported: the models of a station, and how a PLC reaches them. All names are checked here.

station --project--> Project --twincat | portable--> units of Structured Text --write--> files
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from plc_bindings.data.enumerations import Entry, enumerations
from plc_bindings.data.signature import Signature, signature
from plc_bindings.data.types import Struct
from plc_bindings.errors import UnpackableError
from plc_bindings.st.names import check_distinct, usable
from rt_engine import Model

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A model: its name in the station, its name in Structured Text, its ends with fields renamed where they must be."""

    name: str
    identifier: str
    signature: Signature
    names: tuple[tuple[str, str, tuple[Entry, ...]], ...] = ()
    """(field, tensor, names) of each tensor whose numbers stand for names."""

    @property
    def title(self) -> str:
        """One line for comments."""
        return comment(f"Calls the model '{self.name}'.")


@dataclass(frozen=True, slots=True)
class Ads:
    """Where a station's ADS server is: its AMS NetId (empty: this computer) and AMS port."""

    net_id: str
    port: int


@dataclass(frozen=True, slots=True)
class Registers:
    """Where a model is among a Modbus server's registers."""

    hash: int
    inputs: int
    result: int
    """Status, version, outputs."""


@dataclass(frozen=True, slots=True)
class Modbus:
    """How a station's Modbus server is asked.

    `registers`: model name -> where it is. `running`: first register of Server.RunningSeconds, which moves while the station does.
    """

    host: str
    port: int
    unit: int
    order: Order
    registers: Mapping[str, Registers]
    running: int


@dataclass(frozen=True, slots=True)
class Project:
    """All that is exported."""

    name: str
    models: tuple[Exported, ...]
    prefix: str = ""
    """In all names that are the station's own; then what stations share is not among its units, but in the library."""

    def own(self, name: str) -> str:
        """The name of a unit that each station has: FB_RtTransport, FB_cell_RtTransport."""
        kind, _, rest = name.partition("_")
        return f"{kind}_{self.prefix}_{rest}" if self.prefix else name


def largest(of: Project) -> str:
    """The tensor with the most bytes, in words: what makes a station too large."""
    ends = ((m, end) for m in of.models for end in (m.signature.inputs, m.signature.outputs))
    size, model, tensor = max((field.type.size, m.name, field.name) for m, end in ends for field in end.fields)
    return f"station '{of.name}', model '{model}', tensor '{tensor}' ({size} bytes)"


def project(name: str, models: Mapping[str, Model], prefix: str = "") -> Project:
    """The models of a station called `name`.

    Args:
        name: of the station.
        models: name -> model.
        prefix: what names begin with that two stations of one PLC program would both have; empty: nothing.

    Raises:
        UnpackableError: no PLC has the type of a tensor, a model has nothing to give or to take, names clash.
    """
    start = f"{usable(prefix, 'the prefix').strip('_')}_" if prefix else ""
    exported = tuple(_exported(given, model, start) for given, model in models.items())
    if not exported:
        raise UnpackableError(f"station '{name}' has no models to call; add [models.NAME] to its file")
    check_distinct(((m.identifier, f"model '{m.name}'") for m in exported), f"station '{name}'")
    return Project(name, exported, start.rstrip("_"))


def _exported(name: str, model: Model, start: str) -> Exported:
    what = f"model '{name}'"
    found = signature(name, model)
    plain = start + usable(name, what).lstrip("_")  # it gets a prefix, and two underscores in a row are no identifier
    ends = {
        end: _renamed(struct, f"ST_{plain}_{end}", [spec.name for spec in specs], what)
        for end, struct, specs in (("In", found.inputs, model.inputs), ("Out", found.outputs, model.outputs))
    }
    entries = enumerations(model.program.naming, model.inputs, model.outputs)
    fields = {
        spec.name: field.name
        for end, specs in (("Out", model.outputs), ("In", model.inputs))
        for spec, field in zip(specs, ends[end].fields, strict=True)
    }
    names = tuple(
        (
            fields[tensor],
            comment(tensor),
            tuple((entry, number, comment(text[:_SHOWN])) for entry, number, text in listed),
        )
        for tensor, listed in entries.items()
    )
    return Exported(name, plain, Signature(ends["In"], ends["Out"], found.hash), names)


_SHOWN = 80
"""Characters of a name in a comment."""


def _renamed(struct: Struct, name: str, tensors: Sequence[str], what: str) -> Struct:
    if empty := [tensor for tensor, field in zip(tensors, struct.fields, strict=True) if not field.type.size]:
        raise UnpackableError(f"{what}, tensor '{empty[0]}' has no elements: no PLC has such an array; leave it out")
    if not struct.fields:
        raise UnpackableError(
            f"{what} has no {'inputs' if name.endswith('_In') else 'outputs'}; there is nothing for a PLC to call"
        )
    fields = tuple(
        replace(field, name=usable(tensor, f"{what}, tensor '{tensor}'"), comment=comment(field.comment))
        for field, tensor in zip(struct.fields, tensors, strict=True)
    )
    check_distinct(((f.name, f"tensor '{t}'") for f, t in zip(fields, tensors, strict=True)), what)
    return Struct(name, fields)


def comment(text: str) -> str:
    """A text that may stand in a comment of any compiler, and in XML: ASCII, without what begins or ends a comment or CDATA."""
    plain = "".join(c if c.isprintable() else "?" for c in text.encode("ascii", "replace").decode())
    for ending, instead in (("*", "x"), ("{", "("), ("}", ")"), ("]]>", "]])")):
        plain = plain.replace(ending, instead)
    return plain


def string(text: str, most: int, what: str) -> str:
    """A text as a literal.

    Raises:
        UnpackableError: it is longer than `most` bytes, or has characters that a literal of every compiler cannot hold.
    """
    if len(text) > most or not text.isascii() or not text.isprintable() or "'" in text or "$" in text:
        raise UnpackableError(
            f"{what}: '{text}' cannot be a text of Structured Text (ASCII, at most {most}); rename it"
        )
    return text
