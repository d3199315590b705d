"""Where variables of Structured Text are: names, members, elements -> the dictionary or list that holds them. See `evaluator`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tree_sitter

from tests.plc_bindings.st.evaluator_types import (
    ArrayType,
    Elementary,
    StructType,
    StructuredTextError,
    overwrite,
)

Node = tree_sitter.Node
Value = Callable[["Frame"], Any]
Place = tuple[Any, Value, str | Value]
"""Type of a variable, what gives the dictionary or list that holds it, and the name or place in that."""


def text_of(node: Node | None) -> str:
    """The source of a node."""
    assert node is not None
    return node.text.decode()


class Frame:
    """Variables that a body sees: its own, those of its instance, the global ones."""

    __slots__ = ("own", "shared", "turns")

    def __init__(self, own: dict[str, Any], shared: dict[str, Any]) -> None:
        self.own, self.shared, self.turns = own, shared, 0


class Variable:
    """A declared variable. `section`: var_input, var_output, var_in_out, var_temp, var_block or result."""

    def __init__(self, name: str, type_: Any, section: str, constant: bool) -> None:
        self.name, self.type, self.section, self.constant = name, type_, section, constant
        self.initial: Callable[[], Any] = type_.default


class Body:
    """What the code of a function, block, method or program needs of it: `evaluator.Unit`."""

    name: str
    kind: str
    program: Any
    owner: Any
    variables: dict[str, Variable]
    methods: dict[str, Any]


class Places:
    """Variables that code of a unit reads and writes; without a unit those that are global."""

    def __init__(self, unit: Body | None, program: Any = None) -> None:
        self.unit = unit
        self.program = unit.program if unit is not None else program
        assert self.program is not None
        self.written: set[str] = set()

    def fail(self, node: Node, why: str) -> StructuredTextError:
        unit = f"{self.unit.name}, " if self.unit else ""
        return StructuredTextError(f"{unit}line {node.start_point[0] + 1}: {why}: {text_of(node)[:60]!r}")

    def expression(self, node: Node) -> tuple[Any, Value]:
        """(type, closure) of an expression: an index may be any."""
        raise NotImplementedError

    def place(self, node: Node, written: bool = False) -> Place:
        """Where a variable is; `written`: it is to be changed there."""
        kinds = {
            "identifier": self._variable_place,
            "index_expression": self._element,
            "member_access_expression": self._member_place,
        }
        if node.type not in kinds:
            raise self.fail(node, f"{node.type} is no variable")
        return kinds[node.type](node, written)

    def store(self, node: Node) -> tuple[Any, Callable[[Frame, Any], None]]:
        """(type, what stores a value that was checked) of a variable."""
        type_, holder, key = self.place(node, written=True)
        if isinstance(type_, Body):
            raise self.fail(node, "a block cannot be assigned")
        if not isinstance(type_, Elementary):
            return type_, lambda f, v: overwrite(holder(f)[key_of(key, f)], v)
        if isinstance(key, str):
            return type_, lambda f, v: holder(f).__setitem__(key, v)
        return type_, lambda f, v: holder(f).__setitem__(key(f), v)

    def _variable_place(self, node: Node, written: bool) -> Place:
        variable, place, name = self.variable(node)
        if written and variable.constant:
            raise self.fail(node, "it is a constant")
        if written:
            self.written.add(name)
        if variable.section == "var_in_out" and isinstance(variable.type, Elementary):
            return variable.type, lambda f: place(f)[name].holder, lambda f: place(f)[name].key
        return variable.type, place, name

    def _member_place(self, node: Node, written: bool) -> Place:
        inner, name = field(node, "object"), text_of(node.child_by_field_name("member")).lower()
        if f"{text_of(inner).lower()}.{name}" in self.program.globals:
            return self._variable_place(node, written)
        if text_of(inner).upper() == "THIS^" and self.unit is not None:
            owner = self.unit.owner or self.unit
            return owner.variables[name].type, lambda f: f.shared, name
        type_, holder = self.at(self.place(inner, written and not isinstance(self.place(inner)[0], Body)))
        if isinstance(type_, StructType) and name in type_.fields:
            return type_.fields[name], lambda f: holder(f).values, name
        if isinstance(type_, Body) and name in type_.variables:
            seen = ("var_input",) if written else ("var_input", "var_output")
            if type_.variables[name].section not in seen:
                raise self.fail(node, f"{name} is not {' or '.join(seen)} of {type_.name}")
            return type_.variables[name].type, lambda f: holder(f).values, name
        raise self.fail(node, f"{type_.name} has no {name}")

    def _element(self, node: Node, written: bool) -> Place:
        type_, holder = self.at(self.place(field(node, "object"), written))
        indices = [n for n in node.children_by_field_name("index") if n.is_named]
        for level, index in enumerate(indices):
            if not isinstance(type_, ArrayType):
                raise self.fail(node, f"{type_.name} is no array")
            kind, value = self.expression(index)
            if kind.kind not in ("int", "any_int", "bits"):
                raise self.fail(index, f"an index is an integer, not {kind.name}")
            position = _bounded(value, type_, self.fail(node, "outside of"))
            type_ = type_.element
            if level < len(indices) - 1:
                holder = _at(holder, position)
        return type_, holder, position

    @staticmethod
    def at(place: Place) -> tuple[Any, Value]:
        """(type, value) of a variable."""
        type_, holder, key = place
        return type_, (lambda f: holder(f)[key]) if isinstance(key, str) else _at(holder, key)

    def variable(self, node: Node) -> tuple[Variable, Callable[[Frame], dict[str, Any]], str]:
        """(variable, what gives the dictionary that holds it, its name there) of a name."""
        name, unit = text_of(node).lower(), self.unit
        if unit is not None and name in unit.variables:
            return unit.variables[name], lambda f: f.own, name
        if unit is not None and unit.owner is not None and name in unit.owner.variables:
            return unit.owner.variables[name], lambda f: f.shared, name
        if name in self.program.globals:
            return self.program.globals[name], lambda f: self.program.values, name
        raise self.fail(node, "not declared")


def field(node: Node, name: str) -> Node:
    """The part of a node that the grammar says is there."""
    found = node.child_by_field_name(name)
    assert found is not None, (node.type, name)
    return found


def _at(holder: Value, position: Value) -> Value:
    return lambda f: holder(f)[position(f)]


def key_of(key: str | Value, frame: Frame) -> Any:
    """The name or place of a variable in what holds it."""
    return key if isinstance(key, str) else key(frame)


def _bounded(value: Value, type_: ArrayType, error: StructuredTextError) -> Value:
    low, high = type_.low, type_.high

    def position(frame: Frame) -> int:
        index: int = value(frame)
        if not low <= index <= high:
            raise StructuredTextError(f"{error} {low}..{high}: index {index}")
        return index - low

    return position
