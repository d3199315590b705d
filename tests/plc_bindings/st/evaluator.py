"""Executes Structured Text, for tests: tree-sitter's parse tree -> closures.

    program = Program(text, ...)                       several texts are one program
    block = program.new("FB_X")                        a function block's instance, or a PROGRAM's
    block(x=[1.0, 2.0], go=True)                       one call: inputs in, body run; VAR_IN_OUT takes the caller's own object
    block.y, block.st.field                            outputs and all other variables
    block.at("st").read()                              the bytes of a variable: a pointer to it
    block.call("Configure", nTimeout=3)                a method
    program.call("F_ADD", 1.0, b=2.0)                  a function
    Program(text, natives={"TON": run})                what a call of a declared block does: run(instance), in the place of its body
    Program(text, codesys=True, lists={"GVL": text})   TwinCAT's dialect; lists of global variables by their names

REAL is float32, rounded after each operation. What is not understood, and what compilers or PLCs do in different ways, raises:
overflow of an integer, types mixed without a conversion, an index out of bounds, MAX of NaN, a shift by more than the width,
a real that becomes infinite or NaN, a conversion that loses something (but with `exact=False`). All is compiled before anything runs.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import tree_sitter
import tree_sitter_iec61131_3_st

from tests.plc_bindings.st.evaluator_code import Compiler
from tests.plc_bindings.st.evaluator_places import Body, Frame, Node, Variable, text_of
from tests.plc_bindings.st.evaluator_types import (
    CODESYS,
    DINT,
    ELEMENTARY,
    ArrayType,
    Elementary,
    Memory,
    Rules,
    StructType,
    StructuredTextError,
    fits,
    put,
    string_type,
)

_LANGUAGE = tree_sitter.Language(tree_sitter_iec61131_3_st.language())


def syntax_errors(text: str) -> list[str]:
    """Where a text is no Structured Text of the standard's third edition."""
    root = _tree(text)
    bad = [n for n in _all(root) if n.is_error or n.is_missing] if root.has_error else []
    return [f"line {n.start_point[0] + 1}: cannot be parsed: {text_of(n)[:80]!r}" for n in bad]


def parse(text: str) -> Node:
    """The tree of a text.

    Raises:
        StructuredTextError: it has errors; the line of the first is named.
    """
    for error in syntax_errors(text):
        raise StructuredTextError(error)
    return _tree(text)


@lru_cache(64)
def _tree(text: str) -> Node:
    return tree_sitter.Parser(_LANGUAGE).parse(text.encode()).root_node


def _all(node: Node) -> Any:
    yield node
    for child in node.children:
        yield from _all(child)


class Unit(Body):
    """A function, block, method or program: its variables once it is declared, its code once it is compiled."""

    code: Callable[[Frame], Any]

    def __init__(self, program: Program, node: Node, owner: Unit | None = None) -> None:
        self.program, self.node, self.owner = program, node, owner
        self.name = text_of(node.child_by_field_name("name"))
        self.kind = node.type
        self.variables: dict[str, Variable] = {}
        self.methods: dict[str, Unit] = {}
        self.native = program.natives.pop(self.name.lower(), None) if owner is None else None

    def declare(self) -> None:
        if self.node.child_by_field_name("extends") is not None:
            raise StructuredTextError(f"{self.name}: EXTENDS is not evaluated")
        result = self.node.child_by_field_name("return_type")
        if result is not None:
            type_ = self.program.type_of(result)
            self.variables[self.name.lower()] = Variable(self.name, type_, "result", constant=False)
        for child in self.node.children:
            if child.type in ("var_input", "var_output", "var_in_out", "var_temp", "var_block"):
                for variable in self.program.declared(child):
                    if variable.name.lower() in self.variables:
                        raise StructuredTextError(f"{self.name}: {variable.name} is declared twice")
                    self.variables[variable.name.lower()] = variable
            elif child.type == "method_declaration":
                if not self.program.rules.codesys:
                    raise StructuredTextError(
                        f"{self.name}: methods are only evaluated as CODESYS and TwinCAT have them"
                    )
                method = Unit(self.program, child, self)
                self.methods[method.name.lower()] = method
                method.declare()

    def default(self) -> Any:
        return Instance(self)

    def check(self, value: Any) -> Any:
        return value

    def compile(self) -> None:
        """Its code, and that of its methods; all other units are declared."""
        if self.native is not None:
            return
        compiler = Compiler(self)
        self.code = compiler.block(self.node.children_by_field_name("body"))
        if self.name.lower() in self.variables and self.name.lower() not in compiler.written:
            raise StructuredTextError(f"{self.name}: its result is never assigned")
        for method in self.methods.values():
            method.compile()

    def run(self, frame: Frame) -> None:
        if self.code(frame) in ("exit", "continue"):
            raise StructuredTextError(f"{self.name}: EXIT or CONTINUE outside of a loop")

    def fresh(self, given: dict[str, Any]) -> dict[str, Any]:
        """Own variables for one call of a function or method."""
        values = {n: v.initial() for n, v in self.variables.items() if v.section != "var_in_out"}
        self.take(values, given)
        return values

    def take(self, values: dict[str, Any], given: dict[str, Any]) -> None:
        """Put arguments into variables; what is VAR_IN_OUT must be there, by reference."""
        for name, value in given.items():
            variable = self.variables.get(name.lower())
            if variable is None or variable.section not in ("var_input", "var_in_out"):
                raise StructuredTextError(f"{self.name} has no input {name}")
            if variable.section == "var_in_out":
                values[name.lower()] = value
            else:
                put(variable.type, values, name.lower(), value)
        missing = [v.name for n, v in self.variables.items() if v.section == "var_in_out" and n not in values]
        if missing:
            raise StructuredTextError(f"{self.name}: VAR_IN_OUT {', '.join(missing)} is not given")


class Instance(Memory):
    """A function block's memory."""

    def __init__(self, unit: Unit) -> None:
        values = {n: v.initial() for n, v in unit.variables.items() if v.section != "var_in_out"}
        super().__init__({n: v.type for n, v in unit.variables.items()}, values)
        self.__dict__["unit"] = unit

    def __call__(self, **given: Any) -> None:
        unit: Unit = self.unit
        for name, variable in unit.variables.items():
            if variable.section == "var_temp":
                self.values[name] = variable.initial()
            elif variable.section == "var_in_out":
                self.values.pop(name, None)
        unit.take(self.values, given)
        if unit.native is not None:
            unit.native(self)
        else:
            unit.run(Frame(self.values, self.values))

    def call(self, method: str, **given: Any) -> Any:
        unit = self.unit.methods[method.lower()]
        frame = Frame(unit.fresh(given), self.values)
        unit.run(frame)
        return frame.own.get(unit.name.lower())


class Program:
    """All units, types and global variables of some texts."""

    def __init__(
        self,
        *texts: str,
        codesys: bool = False,
        exact: bool = True,
        natives: Mapping[str, Callable[[Any], None]] | None = None,
        lists: Mapping[str, str] | None = None,
    ) -> None:
        self.rules = Rules(codesys, exact)
        self.types: dict[str, Any] = {}
        self.units: dict[str, Unit] = {}
        self.globals: dict[str, Variable] = {}
        self.values: dict[str, Any] = {}
        self.enumerators: dict[str, int] = {}
        self.natives = {name.lower(): run for name, run in (natives or {}).items()}
        nodes = [child for text in texts for child in self._parse(text).children]
        for node in nodes:
            if node.type in ("function_block_declaration", "function_declaration", "program_declaration"):
                unit = Unit(self, node)
                self._put(self.units, unit.name, unit)
        if self.natives:
            raise StructuredTextError(f"{', '.join(self.natives)}: not declared")
        for name, text in (lists or {}).items():
            for node in self._parse(text).children:
                if node.type == "global_var_declaration_block":
                    self._globals(node, f"{name}.")
        for wanted, act in (
            ("type_declaration", self._type_declaration),
            ("global_var_declaration_block", self._globals),
        ):
            for node in nodes:
                if node.type == wanted:
                    act(node)
        known = ("pragma", "comment", "type_declaration", "global_var_declaration_block")
        for node in nodes:
            if node.type not in known and not node.type.endswith(
                ("block_declaration", "function_declaration", "program_declaration")
            ):
                raise StructuredTextError(f"line {node.start_point[0] + 1}: {node.type} is not evaluated")
        for unit in self.units.values():
            unit.declare()
        for unit in self.units.values():
            unit.compile()

    def _parse(self, text: str) -> Node:
        """TwinCAT leaves out the semicolon behind an END."""
        return parse(
            re.sub(r"^( *END_(?:STRUCT|IF|FOR|WHILE|CASE))$", r"\1;", text, flags=re.M) if self.rules.codesys else text
        )

    @staticmethod
    def _put(where: dict[str, Any], name: str, what: Any) -> None:
        if name.lower() in where:
            raise StructuredTextError(f"{name} is there twice")
        where[name.lower()] = what

    def new(self, name: str) -> Any:
        """An instance of a block or program, or a structure."""
        return (self.units.get(name.lower()) or self.types[name.lower()]).default()

    def call(self, name: str, *first: Any, **given: Any) -> Any:
        """The result of a function; arguments in their order, or by name."""
        unit = self.units[name.lower()]
        order = [v.name for v in unit.variables.values() if v.section in ("var_input", "var_in_out")]
        given |= dict(zip(order, first, strict=False))
        frame = Frame(unit.fresh(given), self.values)
        unit.run(frame)
        return frame.own[name.lower()]

    def _type_declaration(self, node: Node) -> None:
        for definition in node.children:
            if definition.type != "type_definition":
                continue
            name = text_of(definition.child_by_field_name("name"))
            inner = definition.child_by_field_name("definition")
            assert inner is not None
            if inner.type == "structure_type_inline":
                struct = StructType(name)
                for entry in inner.children:
                    if entry.type == "structure_field":
                        self._field(struct, entry)
                self._put(self.types, name, struct)
            elif inner.type == "enumerated_type_inline":
                self._enumeration(name, inner)
            else:
                if definition.child_by_field_name("default") is not None:
                    raise StructuredTextError(f"{name}: initial values of a type are not evaluated")
                self._put(self.types, name, self.type_of(inner))

    def _field(self, struct: StructType, entry: Node) -> None:
        name = text_of(entry.child_by_field_name("name")).lower()
        self._put(struct.fields, name, self.type_of(entry.child_by_field_name("type")))
        default = entry.children_by_field_name("default")
        if default:
            struct.initial[name] = self.initial(default, struct.fields[name])

    def _enumeration(self, name: str, node: Node) -> None:
        number = 0
        for entry in node.children:
            if entry.type == "enumerator":
                value = entry.child_by_field_name("value")
                number = self.constant(value) if value is not None else number
                label = text_of(entry.child_by_field_name("name")).lower()
                self.enumerators[f"{name.lower()}.{label}"] = number
                number += 1
        self._put(self.types, name, DINT)

    def _globals(self, node: Node, prefix: str = "") -> None:
        for section in node.children:
            for variable in self.declared(section):
                self._put(self.globals, prefix + variable.name, variable)
                self.values[f"{prefix}{variable.name}".lower()] = variable.initial()

    def declared(self, section: Node) -> list[Variable]:
        """The variables of a section."""
        qualifiers = next((c for c in section.children if c.type == "var_qualifier_list"), None)
        constant = qualifiers is not None and "CONSTANT" in text_of(qualifiers).upper()
        found = []
        for line in section.children:
            if line.type == "variable_declaration":
                type_ = self.type_of(line.child_by_field_name("type"))
                initial = line.children_by_field_name("initial_value")
                for name in line.children_by_field_name("names"):
                    if name.is_named:
                        variable = Variable(text_of(name), type_, section.type, constant)
                        if initial:
                            variable.initial = self.initial(initial, type_)
                        found.append(variable)
        return found

    def type_of(self, node: Node | None) -> Any:
        """The type that a declaration names."""
        assert node is not None
        if node.type == "array_type":
            type_ = self.type_of(node.child_by_field_name("element_type"))
            for bounds in reversed(node.children_by_field_name("range")):
                if bounds.is_named:
                    low, high = (self.constant(bounds.child_by_field_name(end)) for end in ("lower", "upper"))
                    type_ = ArrayType(low, high, type_)
            return type_
        if node.type == "string_type":
            length = node.child_by_field_name("length")
            return string_type(self.constant(length) if length is not None else 80)
        name = text_of(node).lower()
        for found in (ELEMENTARY, self.types, self.units, CODESYS if self.rules.codesys else {}):
            if name in found:
                return found[name]  # type: ignore[index]
        raise StructuredTextError(f"line {node.start_point[0] + 1}: type {text_of(node)} is not known")

    def constant(self, node: Node | None) -> Any:
        """The value of an expression of literals and global constants."""
        assert node is not None
        return Compiler(None, self).expression(node)[1](Frame({}, self.values))

    def initial(self, nodes: list[Node], type_: Any) -> Callable[[], Any]:
        """What makes a variable's initial value; `nodes` are `[`, values, commas and `]` for an array."""
        if isinstance(type_, ArrayType):
            flat = [self.constant(n) for n in nodes if n.is_named]
            value = _nested(flat, type_)
        elif nodes[0].type == "structure_initializer":
            given = {
                text_of(f.child_by_field_name("name")): self.constant(f.child_by_field_name("value"))
                for f in nodes[0].children
                if f.is_named
            }
            value = type_.check(given)
        else:
            source, code = Compiler(None, self).expression(nodes[0])
            if not isinstance(type_, Elementary) or not fits(source, type_, self.rules):
                raise StructuredTextError(f"{text_of(nodes[0])} is not {type_.name}")
            value = type_.check(code(Frame({}, self.values)))
        return lambda: copy.deepcopy(value)


def _nested(flat: list[Any], type_: ArrayType) -> list[Any]:
    count = type_.high - type_.low + 1
    if not isinstance(type_.element, ArrayType):
        return type_.check(flat)
    step = len(flat) // count
    if step * count != len(flat):
        raise StructuredTextError(f"{len(flat)} values for {type_.name}")
    return [_nested(flat[i * step : (i + 1) * step], type_.element) for i in range(count)]
