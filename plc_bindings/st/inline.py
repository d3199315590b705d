"""A model as one function block of Structured Text, with no runtime: for PLCs that can call nothing.

    model.onnx --frontend, passes, lowering of the engine--> kernel calls --inline_kernels, inline_trees--> lines
        Gemm + Relu        gemm_f32 (x, weights, bias, y)          WHILE rt_i < 64 DO ...

The text comes from the same kernel calls that the engine runs, so both compute the same. docs/st-inline.md says what is exact.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final, Literal

import onnx

import plc_bindings.st.inline_trees  # noqa: F401  (registers its kernels)
from plc_bindings.errors import ExportError
from plc_bindings.st.inline_kernels import emit
from plc_bindings.st.inline_writer import PREFIX, WIDTH, Writer, type_of
from plc_bindings.st.names import LONGEST, check_distinct, usable
from plc_bindings.st.project import comment
from plc_bindings.st.twincat_files import twincat_file
from plc_bindings.st.units import Unit
from rt_engine.binding import UNBOUND, Binding
from rt_engine.compiler import lower_model
from rt_engine.errors import Reason
from rt_engine.ops.base import Refusal
from rt_engine.program.calls import Buffer, Lowered, Storage
from rt_engine.program.naming import Naming
from rt_engine.read.class_names import MOST_NAMES

Flavour = Literal["twincat", "portable"]
MOST_NUMBERS: Final = 100_000
"""Numbers that a block keeps: weights, tables of trees, values between layers. Compilers of PLCs take minutes beyond."""
MOST_MULTIPLY_ADDS: Final = 1_000_000
"""And steps of trees: what a call may cost."""
_COSTS: Final = {
    "multiply_adds": "multiply-adds",
    "tree_steps": "steps of trees",
    "functions": "elementary functions (EXP, LN, SQRT, SIN, COS)",
    "operations": "other operations on one number",
}


@dataclass(frozen=True, slots=True)
class InlineBlock:
    """The block as text: its types, its declaration, its body."""

    name: str
    flavour: Flavour
    types: str
    declaration: str
    body: str
    cost: dict[str, int]
    numbers: int
    notes: tuple[str, ...] = ()
    """What was assumed of its inputs, in sentences."""

    @property
    def text(self) -> str:
        """All of it, as one .st file."""
        return f"{self.types}{self.declaration}{self.body}END_FUNCTION_BLOCK\n"

    @property
    def summary(self) -> str:
        """What it keeps and what a call costs, in one line."""
        return f"{self.numbers:,} numbers; one call: " + ", ".join(
            f"{n:,} {what}" for what, n in self.cost.items() if n
        )

    @property
    def file(self) -> tuple[str, str]:
        """(name, text) of the file: .TcPOU for TwinCAT, .st for others."""
        if self.flavour == "portable":
            return f"{self.name}.st", self.text
        unit = Unit(
            kind="FUNCTION_BLOCK",
            name=self.name,
            text=self.text,
            comment="",
            attributes=(),
            returns="",
            private=False,
            sections=(),
            methods=(),
            declaration=self.declaration,
            body=self.body,
        )
        return twincat_file(unit, "inline")


def inline_block(
    source: str | Path | bytes | onnx.ModelProto,
    flavour: Flavour = "portable",
    name: str | None = None,
    binding: Binding = UNBOUND,
) -> InlineBlock:
    """The model as a function block.

    Args:
        source: path of an .onnx file, its bytes, or a `ModelProto`.
        flavour: `portable` names a type for every array of the interface; `twincat` writes arrays in place.
        name: of the block; by default FB_ and the file's name.
        binding: what the file leaves open; no states.

    Raises:
        EngineError: the engine cannot load the model.
        ExportError: it has operators without a form in Structured Text, or is too large.
        UnpackableError: names cannot be used.
    """
    title = Path(source).name if isinstance(source, str | Path) else "the model"
    block = usable(name or f"FB_{Path(source).stem if isinstance(source, str | Path) else 'Model'}", "the block")
    lowered, naming, assumed = lower_model(source, binding)
    _check_size(lowered, title)
    writer, ends, extra = _ends(lowered, block, title)
    _write(lowered, writer, title)
    for own, shared in extra:
        with writer.loop("i", own.size) as i:
            writer.line(f"{writer.element(own, i)} := {writer.element(shared, i)};")
    if writer.elements > MOST_NUMBERS or writer.cost["multiply_adds"] + writer.cost["tree_steps"] > MOST_MULTIPLY_ADDS:
        raise _too_large(title, f"keeps {writer.elements:,} numbers and does {_costs(writer)}")
    types, sections = _interface(ends, block, flavour)
    header = _header(lowered, naming, writer, block, title)
    try:
        first = writer.first()
        constants = writer.declarations()
    except Refusal as refusal:
        raise ExportError(f"{title} cannot be inlined: {refusal.why}; {refusal.help}") from refusal
    return InlineBlock(
        name=block,
        flavour=flavour,
        types=types,
        declaration=f"{header}FUNCTION_BLOCK {block}\n{sections}{constants}",
        body="\n".join([*first, *writer.lines]) + "\n",
        cost={text: writer.cost[key] for key, text in _COSTS.items()},
        numbers=writer.elements,
        notes=assumed,
    )


def _too_large(title: str, what: str) -> ExportError:
    return ExportError(
        f"{title} is too large to be inlined: it {what}; at most {MOST_NUMBERS:,} numbers and {MOST_MULTIPLY_ADDS:,} "
        "multiply-adds and steps of trees are: make it smaller, or call it through a server (rt-engine export st STATION)"
    )


def _check_size(lowered: Lowered, title: str) -> None:
    """Before anything is written."""
    constants = {
        b.storage: b.storage.value.size for c in lowered.calls for b in c.operands if b and b.storage.value is not None
    }
    if sum(constants.values()) > 4 * MOST_NUMBERS:  # some are padded
        raise _too_large(title, f"has {sum(constants.values()):,} constants")


@dataclass(frozen=True, slots=True)
class _End:
    """A variable of the block's interface."""

    section: str
    name: str
    buffer: Buffer


def _ends(lowered: Lowered, block: str, title: str) -> tuple[Writer, list[_End], list[tuple[Buffer, Buffer]]]:
    """The writer, the interface, and outputs that are copies of others."""
    ends, names, extra = [], {}, []
    what = f"model '{title}'"
    for section, buffers in (("VAR_INPUT", lowered.inputs), ("VAR_OUTPUT", lowered.outputs)):
        for buffer in buffers:
            if not buffer.size:
                raise ExportError(f"{title} cannot be inlined: its tensor '{buffer.name}' has no elements")
            name = usable(buffer.name, f"{what}, tensor '{buffer.name}'")
            ends.append(_End(section, name, buffer))
            if buffer.storage in names:
                own = Buffer(buffer.name, buffer.dtype, buffer.shape, Storage(buffer.storage.kind, buffer.nbytes))
                extra.append((own, buffer))
                names[own.storage] = name
            else:
                names[buffer.storage] = name
    shown = [(end.name, f"tensor '{end.buffer.name}'") for end in ends]
    check_distinct([*shown, (block, "the block")], what)
    for name in (block, *(end.name for end in ends)):
        if name.lower().startswith(PREFIX):
            raise ExportError(
                f"{title} cannot be inlined: names that begin with {PREFIX} are the block's own; rename it"
            )
    storages = {end.buffer.storage: end.buffer for end in ends} | {own.storage: own for own, _ in extra}
    types = {s: _type(b, title) for s, b in storages.items()}
    return Writer(names, {s for s, b in storages.items() if b.size == 1}, types=types), ends, extra


def _type(end: Buffer, title: str) -> str:
    try:
        return type_of(end.dtype)
    except Refusal as refusal:
        raise ExportError(f"{title} cannot be inlined: '{end.name}': {refusal.why}; {refusal.help}") from refusal


def _write(lowered: Lowered, writer: Writer, title: str) -> None:
    """All calls.

    Raises:
        ExportError: calls that have no form in Structured Text, with all reasons.
    """
    reasons: list[Reason] = []
    last = -1
    for call in lowered.calls:
        node, operator = lowered.nodes[call.node]
        try:
            if lowered.loops or call.jump >= 0:
                raise Refusal("control flow is not inlined", "call the model through a server")
            if call.node != last:
                last = call.node
                output = next((b for i in call.writes if (b := call.operands[i]) is not None), None)
                shape = list(output.shape) if output is not None else ""
                writer.line(f"(* {comment(node)}: {comment(operator)} {shape} *)")
            emit(call, writer)
        except Refusal as refusal:
            reason = Reason(node, operator, refusal.why, refusal.help)
            reasons += [reason] if reason not in reasons else []
    if reasons:
        listed = "\n".join(f"  - {r.node} ({r.operator}): {r.why}" + (f"; {r.help}" if r.help else "") for r in reasons)
        raise ExportError(f"{title} cannot be inlined:\n{listed}")


def _interface(ends: list[_End], block: str, flavour: Flavour) -> tuple[str, str]:
    """(types, VAR_INPUT and VAR_OUTPUT)."""
    types, sections = "", ""
    taken, middle = {end.name.lower() for end in ends}, block.strip("_")
    for section in ("VAR_INPUT", "VAR_OUTPUT"):
        sections += f"{section}\n"
        for end in ends:
            if end.section != section:
                continue
            type_ = type_of(end.buffer.dtype)
            if end.buffer.size > 1:
                type_ = f"ARRAY [0..{end.buffer.size - 1}] OF {type_}"
                if flavour == "portable":
                    alias = f"T_{middle}_{end.name.strip('_')}"
                    if len(alias) > LONGEST or alias.lower() in taken:
                        alias = f"T_{middle[: LONGEST - 6].rstrip('_')}_{ends.index(end)}"
                    taken.add(alias.lower())
                    types += f"TYPE\n    {alias} : {type_};\nEND_TYPE\n\n"
                    type_ = alias
            described = comment(f"{end.buffer.name}: {list(end.buffer.shape)}")
            sections += f"    {end.name} : {type_}; (* {described} *)\n"
        sections += "END_VAR\n"
    return types, sections


def _costs(writer: Writer) -> str:
    return ", ".join(f"{writer.cost[key]:,} {text}" for key, text in _COSTS.items() if writer.cost[key])


def _header(lowered: Lowered, naming: Naming, writer: Writer, block: str, title: str) -> str:
    lines = [
        f"{block}: {comment(title)}, computed in this block. Made by rt-engine export st --inline.",
        f"One call does {_costs(writer)}.",
        f"It keeps {writer.elements:,} numbers. It needs no other block, and no state: call it in any cycle.",
    ]
    lines += [comment(note) for note in naming.notes]
    for name, names in naming.classes.items():
        if len(names) > MOST_NAMES:  # the note has cut them
            lines.append(comment(f"all of {name}, from 0: {', '.join(map(str, names))}"))
    integers = [b.name for b in lowered.outputs if b.dtype.kind == "i" and prod(b.shape) == 1]
    if integers and not naming.notes:
        lines.append(f"{comment(', '.join(integers))}: the number of the class, as the model was trained with.")
    kept = [part for line in lines for part in textwrap.wrap(line, WIDTH)]
    return "(* " + "\n   ".join(kept) + " *)\n"
