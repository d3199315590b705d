"""A unit of Structured Text (a block, a structure, ...), taken apart: what project files of PLCs store piece by piece.

    (* what it is for *)         comment    ; {attribute 'pack_mode' := '1'}   attributes
    FUNCTION_BLOCK FB_X          kind, name ; of a function or method also what it returns
    VAR_INPUT ... END_VAR        sections   ; VAR_INPUT: (name, type, initial value, comment), ...
    METHOD M : BOOL ...          methods    ; each a unit
    x := 1;                      body
    END_FUNCTION_BLOCK

It reads the Structured Text that this package writes, one declaration a line; not any that somebody else wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(
    r"(?P<kind>FUNCTION_BLOCK|FUNCTION|PROGRAM|METHOD|TYPE|VAR_GLOBAL)\b(?P<access> PRIVATE)?(?: CONSTANT)?"
    r"(?: (?P<name>\w+))?(?: :)?(?: (?P<rest>\S.*))?$"
)
_ATTRIBUTE = re.compile(r"\{attribute '(\w+)'(?: := '([^']*)')?\}")
_VARIABLE = re.compile(
    r"    (?P<name>\w+) :(?P<type> [^=]+?)??(?:(?<=:)|(?<=\S) :)?(?:= (?P<initial>[^(]+?))?[;,]?(?: +\(\* (?P<comment>.*) \*\))?$"
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One declaration; `type` and `initial` as Structured Text writes them. An enumerator has no type."""

    name: str
    type: str
    initial: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The variables between `VAR_INPUT`, `VAR_GLOBAL CONSTANT`, `STRUCT`, `(` ... and its end."""

    kind: str
    variables: tuple[Variable, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. `kind` is its first keyword; of a TYPE it is STRUCT, ENUM or ALIAS."""

    kind: str
    name: str
    text: str
    comment: str
    attributes: tuple[tuple[str, str], ...]
    returns: str
    private: bool
    sections: tuple[Section, ...]
    methods: tuple[Unit, ...]
    declaration: str
    """All but methods, body and `END_...`."""
    body: str


def unit(text: str, name: str = "") -> Unit:
    """Take a unit apart; `name` is that of a list of global variables, which has none in the text."""
    lines = text.strip("\n").split("\n")
    at = next(i for i, line in enumerate(lines) if _HEAD.match(line))
    preamble, head = "\n".join(lines[:at]), _HEAD.match(lines[at])
    assert head is not None
    kind, returns = head["kind"], head["rest"] or ""
    sections: tuple[Section, ...] = ()
    methods: list[Unit] = []
    declaration, body = lines, ""
    if kind == "TYPE":
        kind, returns, sections = _type(lines[at:])
    elif kind == "VAR_GLOBAL":
        sections = (_section(lines[at:]),)
    else:
        at += 1
        while at < len(lines) and lines[at].startswith("VAR"):
            end = lines.index("END_VAR", at)
            sections = (*sections, _section(lines[at : end + 1]))
            at = end + 1
        declaration = lines[:at]
        while kind == "FUNCTION_BLOCK" and "END_METHOD" in lines[at:]:
            end = lines.index("END_METHOD", at)
            methods.append(unit("\n".join(lines[at : end + 1])))
            at = end + 1
        body = "\n".join(lines[at:-1]).strip("\n") + "\n"
    return Unit(
        kind=kind,
        name=head["name"] or name,
        text="\n".join(lines) + "\n",
        comment=" ".join(re.sub(r"\(\*|\*\)", "", _ATTRIBUTE.sub("", preamble)).split()),
        attributes=tuple(_ATTRIBUTE.findall(preamble)),
        returns=returns,
        private=head["access"] is not None,
        sections=sections,
        methods=tuple(methods),
        declaration="\n".join(declaration) + "\n",
        body=body,
    )


def _section(lines: list[str]) -> Section:
    return Section(lines[0].strip(), tuple(_variable(line) for line in lines[1:-1]))


def _variable(line: str) -> Variable:
    found = _VARIABLE.match(line)
    assert found is not None, line
    name, type_, initial, comment = (found[part] or "" for part in ("name", "type", "initial", "comment"))
    return Variable(name, type_.strip(), initial.strip(), comment)


def _type(lines: list[str]) -> tuple[str, str, tuple[Section, ...]]:
    """(kind, target of an alias, sections) of a TYPE."""
    whole = "\n".join(lines)
    inner = [line for line in lines if line.startswith("    ")]
    variables = tuple(_variable(line) for line in inner)
    if "STRUCT" in whole:
        return "STRUCT", "", (Section("STRUCT", variables),)
    if inner:
        return "ENUM", "", (Section("ENUM", variables),)
    target = re.search(r" : (.+?);", whole)
    assert target is not None, whole
    return "ALIAS", target[1], ()
