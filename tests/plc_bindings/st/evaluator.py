"""Executes Structured Text, for tests: tree-sitter's parse tree -> closures.

    program = Program(text, ...)                       several texts are one program
    block = program.new("FB_X")                        a function block's instance, or a PROGRAM's
    block(x=[1.0, 2.0], go=True)                       one call: inputs in, body run; VAR_IN_OUT takes the caller's own object
    block.y, block.st.field                            outputs and all other variables
    block.call("Configure", nTimeout=3)                a method
    program.call("F_ADD", a=1.0, b=2.0)                a function
    Program(text, blocks={"TON": factory})             a library's block: factory() can be called, and has its variables

REAL is float32, rounded after each operation. What is not understood, and what compilers or PLCs do in different ways, raises:
overflow of an integer, types mixed without a conversion, an index out of bounds, MAX of NaN, a shift by more than the width.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import tree_sitter
import tree_sitter_iec61131_3_st

from tests.plc_bindings.st.evaluator_functions import divided, power, standard
from tests.plc_bindings.st.evaluator_types import (
    ANY_INT,
    ANY_REAL,
    BOOL,
    DINT,
    ELEMENTARY,
    TIME,
    ArrayType,
    Elementary,
    Record,
    StructType,
    StructuredTextError,
    common,
    fits,
    string_type,
)

Node = tree_sitter.Node
Value = Callable[["Frame"], Any]
MOST_TURNS = 10_000_000
_LANGUAGE = tree_sitter.Language(tree_sitter_iec61131_3_st.language())
_TIMES = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def parse(text: str) -> Node:
    """The tree of a text.

    Raises:
        StructuredTextError: it has errors; the line of the first is named.
    """
    root = tree_sitter.Parser(_LANGUAGE).parse(text.encode()).root_node
    if root.has_error:
        bad = next(n for n in _all(root) if n.is_error or n.is_missing)
        raise StructuredTextError(f"line {bad.start_point[0] + 1}: cannot be parsed: {_text(bad)[:80]!r}")
    return root


def _all(node: Node) -> Any:
    yield node
    for child in node.children:
        yield from _all(child)


def _text(node: Node | None) -> str:
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


class Unit:
    """A function, block, method or program: its variables now, its code when it is first run."""

    def __init__(self, program: Program, node: Node, owner: Unit | None = None) -> None:
        self.program, self.node, self.owner = program, node, owner
        self.name = _text(node.child_by_field_name("name"))
        self.kind = node.type
        self.variables: dict[str, Variable] = {}
        self.methods: dict[str, Unit] = {}
        self._code: Callable[[Frame], Any] | None = None

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
                method = Unit(self.program, child, self)
                self.methods[method.name.lower()] = method
                method.declare()

    def default(self) -> Any:
        return Instance(self)

    def check(self, value: Any) -> Any:
        return value

    @property
    def code(self) -> Callable[[Frame], Any]:
        if self._code is None:
            self._code = Compiler(self).block(self.node.children_by_field_name("body"))
        return self._code

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
            by_reference = variable.section == "var_in_out"
            values[name.lower()] = value if by_reference else variable.type.check(copy.deepcopy(value))
        missing = [v.name for n, v in self.variables.items() if v.section == "var_in_out" and n not in values]
        if missing:
            raise StructuredTextError(f"{self.name}: VAR_IN_OUT {', '.join(missing)} is not given")


class Instance:
    """A function block's memory. Variables are attributes, in any case."""

    def __init__(self, unit: Unit) -> None:
        values = {n: v.initial() for n, v in unit.variables.items() if v.section != "var_in_out"}
        self.__dict__.update(unit=unit, values=values)

    def __call__(self, **given: Any) -> None:
        unit: Unit = self.unit
        for name, variable in unit.variables.items():
            if variable.section == "var_temp":
                self.values[name] = variable.initial()
            elif variable.section == "var_in_out":
                self.values.pop(name, None)
        unit.take(self.values, given)
        unit.run(Frame(self.values, self.values))

    def call(self, method: str, **given: Any) -> Any:
        unit = self.unit.methods[method.lower()]
        frame = Frame(unit.fresh(given), self.values)
        unit.run(frame)
        self.__dict__["last"] = frame.own
        return frame.own.get(unit.name.lower())

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name.lower()]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.values[name.lower()] = self.unit.variables[name.lower()].type.check(value)


class Program:
    """All units, types and global variables of some texts."""

    def __init__(self, *texts: str, blocks: dict[str, Callable[[], Any]] | None = None) -> None:
        self.types: dict[str, Any] = {}
        self.units: dict[str, Unit] = {}
        self.globals: dict[str, Variable] = {}
        self.values: dict[str, Any] = {}
        self.enumerators: dict[str, int] = {}
        self.foreign = {name.lower(): factory for name, factory in (blocks or {}).items()}
        nodes = [child for text in texts for child in parse(text).children]
        for node in nodes:
            if node.type in ("function_block_declaration", "function_declaration", "program_declaration"):
                unit = Unit(self, node)
                self._put(self.units, unit.name, unit)
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

    @staticmethod
    def _put(where: dict[str, Any], name: str, what: Any) -> None:
        if name.lower() in where:
            raise StructuredTextError(f"{name} is there twice")
        where[name.lower()] = what

    def new(self, name: str) -> Instance:
        """An instance of a block or program."""
        return Instance(self.units[name.lower()])

    def call(self, name: str, **given: Any) -> Any:
        """The result of a function."""
        unit = self.units[name.lower()]
        frame = Frame(unit.fresh(given), self.values)
        unit.run(frame)
        return frame.own[name.lower()]

    def _type_declaration(self, node: Node) -> None:
        for definition in node.children:
            if definition.type != "type_definition":
                continue
            name = _text(definition.child_by_field_name("name"))
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
        name = _text(entry.child_by_field_name("name")).lower()
        struct.fields[name] = self.type_of(entry.child_by_field_name("type"))
        default = entry.children_by_field_name("default")
        if default:
            struct.initial[name] = self.initial(default, struct.fields[name])

    def _enumeration(self, name: str, node: Node) -> None:
        number = 0
        for entry in node.children:
            if entry.type == "enumerator":
                value = entry.child_by_field_name("value")
                number = self.constant(value) if value is not None else number
                label = _text(entry.child_by_field_name("name")).lower()
                self.enumerators[f"{name.lower()}.{label}"] = self.enumerators[label] = number
                number += 1
        self._put(self.types, name, DINT)

    def _globals(self, node: Node) -> None:
        for section in node.children:
            for variable in self.declared(section):
                self._put(self.globals, variable.name, variable)
                self.values[variable.name.lower()] = variable.initial()

    def declared(self, section: Node) -> list[Variable]:
        """The variables of a section."""
        qualifiers = next((c for c in section.children if c.type == "var_qualifier_list"), None)
        constant = qualifiers is not None and "CONSTANT" in _text(qualifiers).upper()
        found = []
        for line in section.children:
            if line.type == "variable_declaration":
                type_ = self.type_of(line.child_by_field_name("type"))
                initial = line.children_by_field_name("initial_value")
                for name in line.children_by_field_name("names"):
                    if name.is_named:
                        variable = Variable(_text(name), type_, section.type, constant)
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
        name = _text(node).lower()
        if name in self.foreign:
            return _Foreign(name, self.foreign[name])
        for found in (ELEMENTARY, self.types, self.units):
            if name in found:
                return found[name]  # type: ignore[index]
        raise StructuredTextError(f"line {node.start_point[0] + 1}: type {_text(node)} is not known")

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
                _text(f.child_by_field_name("name")): self.constant(f.child_by_field_name("value"))
                for f in nodes[0].children
                if f.is_named
            }
            value = type_.check(given)
        else:
            source, code = Compiler(None, self).expression(nodes[0])
            if not fits(source, type_) and not (type_ is TIME and source.kind == "time"):
                raise StructuredTextError(f"{_text(nodes[0])} is not {type_.name}")
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


class _Foreign:
    """The type of a block that is not written in Structured Text."""

    def __init__(self, name: str, factory: Callable[[], Any]) -> None:
        self.name, self.default = name, factory

    def check(self, value: Any) -> Any:
        return value


def typed(value: Any) -> Any:
    """The type of a value of a foreign block."""
    names = {bool: BOOL, int: ANY_INT, float: ANY_REAL, str: string_type(255)}
    return names.get(type(value))


class Compiler:
    """Statements and expressions of one unit -> closures over a Frame."""

    def __init__(self, unit: Unit | None, program: Program | None = None) -> None:
        self.unit = unit
        self.program = unit.program if unit is not None else program
        assert self.program is not None

    def fail(self, node: Node, why: str) -> StructuredTextError:
        unit = f"{self.unit.name}, " if self.unit else ""
        return StructuredTextError(f"{unit}line {node.start_point[0] + 1}: {why}: {_text(node)[:60]!r}")

    # statements: a closure gives None, or "exit", "continue", "return"

    def block(self, nodes: list[Node]) -> Callable[[Frame], Any]:
        steps = [
            self.statement(n) for n in nodes if n.is_named and n.type not in ("comment", "empty_statement", "pragma")
        ]

        def run(frame: Frame) -> Any:
            for step in steps:
                signal = step(frame)
                if signal is not None:
                    return signal
            return None

        return run

    def statement(self, node: Node) -> Callable[[Frame], Any]:
        simple = {"exit_statement": "exit", "continue_statement": "continue", "return_statement": "return"}
        if node.type in simple:
            return lambda frame: simple[node.type]
        method = getattr(self, f"_{node.type}", None)
        if method is None:
            raise self.fail(node, f"{node.type} is not evaluated")
        found: Callable[[Frame], Any] = method(node)
        return found

    def _assignment_statement(self, node: Node) -> Callable[[Frame], Any]:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        assert left is not None and right is not None
        type_, store = self.target(left)
        source, value = self.expression(right)
        if type_ is not None and source is not None and not fits(source, type_):
            raise self.fail(node, f"{source.name} to {type_.name}; write the conversion")
        if isinstance(type_, Elementary):
            check = type_.check if source is not type_ else None
            return (lambda f: store(f, check(value(f)))) if check else (lambda f: store(f, value(f)))
        return lambda f: store(f, copy.deepcopy(value(f)))

    def _invocation_statement(self, node: Node) -> Callable[[Frame], Any]:
        call = next(c for c in node.children if c.is_named)
        _, run = self._call_expression(call)

        def act(frame: Frame) -> None:
            run(frame)

        return act

    def condition(self, node: Node | None) -> Value:
        assert node is not None
        type_, value = self.expression(node)
        if type_ is not BOOL and type_ is not None:
            raise self.fail(node, f"a condition is BOOL, not {type_.name}")
        return value

    def _if_statement(self, node: Node) -> Callable[[Frame], Any]:
        cases = [
            (
                self.condition(node.child_by_field_name("condition")),
                self.block(node.children_by_field_name("consequence")),
            )
        ]
        other: Callable[[Frame], Any] = lambda f: None  # noqa: E731
        for child in node.children:
            if child.type == "elsif_clause":
                body = self.block(child.children_by_field_name("body"))
                cases.append((self.condition(child.child_by_field_name("condition")), body))
            elif child.type == "else_clause":
                other = self.block(child.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            for condition, body in cases:
                if condition(frame):
                    return body(frame)
            return other(frame)

        return run

    def _case_statement(self, node: Node) -> Callable[[Frame], Any]:
        subject = node.child_by_field_name("subject")
        assert subject is not None
        _, value = self.expression(subject)
        cases: dict[int, Callable[[Frame], Any]] = {}
        ranges: list[tuple[int, int, Callable[[Frame], Any]]] = []
        other: Callable[[Frame], Any] = lambda f: None  # noqa: E731
        for child in node.children:
            body = self.block(child.children_by_field_name("body"))
            if child.type == "else_clause":
                other = body
            elif child.type == "case_clause":
                for entry in (c.children[0] for c in child.children if c.type == "case_value"):
                    if entry.type == "subrange":
                        low, high = (self.program.constant(entry.child_by_field_name(e)) for e in ("lower", "upper"))
                        ranges.append((low, high, body))
                    else:
                        cases[self.program.constant(entry)] = body

        def run(frame: Frame) -> Any:
            chosen = value(frame)
            if chosen in cases:
                return cases[chosen](frame)
            return next((body for low, high, body in ranges if low <= chosen <= high), other)(frame)

        return run

    def _for_statement(self, node: Node) -> Callable[[Frame], Any]:
        control, start, end = (node.child_by_field_name(n) for n in ("control", "start", "end"))
        assert control is not None and start is not None and end is not None
        type_, store = self.target(control)
        read = self.expression(control)[1]
        for bound in (start, end):
            if not fits(self.expression(bound)[0], type_):
                raise self.fail(bound, f"bounds of FOR are of the control variable's type, {type_.name}")
        first, last = self.expression(start)[1], self.expression(end)[1]
        step_node = node.child_by_field_name("step")
        step = self.expression(step_node)[1] if step_node is not None else lambda f: 1
        body = self.block(node.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            stop, by = last(frame), step(frame)
            store(frame, type_.check(first(frame)))
            while read(frame) <= stop if by > 0 else read(frame) >= stop:
                signal = body(frame)
                if signal == "exit":
                    break
                if signal == "return":
                    return signal
                _turn(frame)
                store(frame, type_.check(read(frame) + by))
            return None

        return run

    def _while_statement(self, node: Node) -> Callable[[Frame], Any]:
        condition = self.condition(node.child_by_field_name("condition"))
        body = self.block(node.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            while condition(frame):
                signal = body(frame)
                if signal == "exit":
                    break
                if signal == "return":
                    return signal
                _turn(frame)
            return None

        return run

    def _repeat_statement(self, node: Node) -> Callable[[Frame], Any]:
        condition = self.condition(node.child_by_field_name("condition"))
        body = self.block(node.children_by_field_name("body"))

        def run(frame: Frame) -> Any:
            while True:
                signal = body(frame)
                if signal == "return":
                    return signal
                if signal == "exit" or condition(frame):
                    return None
                _turn(frame)

        return run

    # places

    def target(self, node: Node) -> tuple[Any, Callable[[Frame, Any], None]]:
        """(type, what stores a value) of a place."""
        if node.type == "identifier":
            return self._variable_target(node)
        if node.type == "index_expression":
            return self._element_target(node)
        if node.type == "member_access_expression":
            type_, _ = self.expression(node)
            _, holder = self.expression(_field(node, "object"))
            name = _text(node.child_by_field_name("member")).lower()

            def store(frame: Frame, value: Any) -> None:
                found = holder(frame)
                if isinstance(found, Record | Instance):
                    found.values[name] = value
                else:
                    setattr(found, name, value)

            return type_, store
        raise self.fail(node, f"{node.type} cannot be assigned to")

    def _variable_target(self, node: Node) -> tuple[Any, Callable[[Frame, Any], None]]:
        name = _text(node).lower()
        variable, place = self.variable(node)
        if variable.constant:
            raise self.fail(node, "it is a constant")
        by_reference = variable.section == "var_in_out"
        if by_reference and isinstance(variable.type, Elementary):
            raise self.fail(node, "VAR_IN_OUT of an elementary type is not evaluated")

        def store(frame: Frame, value: Any) -> None:
            values = place(frame)
            if by_reference and isinstance(value, list):
                values[name][:] = value
            elif by_reference:
                values[name].values.update(value.values)
            else:
                values[name] = value

        return variable.type, store

    def _element_target(self, node: Node) -> tuple[Any, Callable[[Frame, Any], None]]:
        root = node
        while root.type in ("index_expression", "member_access_expression"):
            root = _field(root, "object")
        if root.type == "identifier" and self.variable(root)[0].constant:
            raise self.fail(node, "it is a constant")
        type_, holder, position = self._element(node)

        def store(frame: Frame, value: Any) -> None:
            holder(frame)[position(frame)] = value

        return type_, store

    def _element(self, node: Node) -> tuple[Any, Value, Value]:
        """(type of the element, what gives the list, what gives the place in it) of an index expression."""
        type_, holder = self.expression(_field(node, "object"))
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

    def variable(self, node: Node) -> tuple[Variable, Callable[[Frame], dict[str, Any]]]:
        """(variable, what gives the dictionary that holds it) of a name."""
        name, unit = _text(node).lower(), self.unit
        if unit is not None and name in unit.variables:
            return unit.variables[name], lambda f: f.own
        if unit is not None and unit.owner is not None and name in unit.owner.variables:
            return unit.owner.variables[name], lambda f: f.shared
        if name in self.program.globals:
            return self.program.globals[name], lambda f: self.program.values
        raise self.fail(node, "not declared")

    # expressions: (type, closure)

    def expression(self, node: Node) -> tuple[Any, Value]:
        method = getattr(self, f"_{node.type}", None)
        if method is None or node.type.endswith("statement"):
            raise self.fail(node, f"{node.type} is not evaluated")
        found: tuple[Any, Value] = method(node)
        return found

    def _identifier(self, node: Node) -> tuple[Any, Value]:
        name = _text(node).lower()
        if name in self.program.enumerators and not (self.unit and name in self.unit.variables):
            number = self.program.enumerators[name]
            return DINT, lambda f: number
        variable, place = self.variable(node)
        return variable.type, lambda f: place(f)[name]

    def _integer_literal(self, node: Node) -> tuple[Any, Value]:
        text = _text(node).replace("_", "")
        base, _, digits = text.rpartition("#")
        number = int(digits, int(base)) if base else int(text)
        return ANY_INT, lambda f: number

    def _real_literal(self, node: Node) -> tuple[Any, Value]:
        number = float(_text(node).replace("_", ""))
        return ANY_REAL, lambda f: number

    def _boolean_literal(self, node: Node) -> tuple[Any, Value]:
        truth = _text(node).upper() == "TRUE"
        return BOOL, lambda f: truth

    def _string_literal(self, node: Node) -> tuple[Any, Value]:
        text = _text(node)[1:-1]
        if "$" in text:
            raise self.fail(node, "escapes in strings are not evaluated")
        return string_type(255), lambda f: text

    def _time_literal(self, node: Node) -> tuple[Any, Value]:
        text, total = _text(node).lower().split("#")[1].replace("_", ""), 0.0
        while text:
            number = text[: len(text) - len(text.lstrip("0123456789."))]
            unit = next((u for u in ("ms", "d", "h", "m", "s") if text[len(number) :].startswith(u)), None)
            if unit is None or not number:
                raise self.fail(node, "not a time")
            total, text = total + float(number) * _TIMES[unit], text[len(number) + len(unit) :]
        return TIME, lambda f: round(total)

    def _typed_literal(self, node: Node) -> tuple[Any, Value]:
        type_ = self.program.type_of(node.child_by_field_name("type"))
        source, value = self.expression(_field(node, "value"))
        if not fits(source, type_) and type_ is not BOOL:
            raise self.fail(node, "not of that type")
        number = type_.check(value(Frame({}, {})))
        return type_, lambda f: number

    def _parenthesized_expression(self, node: Node) -> tuple[Any, Value]:
        return self.expression(next(c for c in node.children if c.is_named and c.type != "comment"))

    def _index_expression(self, node: Node) -> tuple[Any, Value]:
        type_, holder, position = self._element(node)
        return type_, _at(holder, position)

    def _this_expression(self, node: Node) -> tuple[Any, Value]:
        raise self.fail(node, "THIS is only evaluated as THIS^.name")

    def _member_access_expression(self, node: Node) -> tuple[Any, Value]:
        holder_node, name = _field(node, "object"), _text(node.child_by_field_name("member")).lower()
        whole = f"{_text(holder_node).lower()}.{name}"
        if whole in self.program.enumerators:
            number = self.program.enumerators[whole]
            return DINT, lambda f: number
        if _text(holder_node).upper() == "THIS^" and self.unit is not None:
            owner = self.unit.owner or self.unit
            return owner.variables[name].type, lambda f: f.shared[name]
        holder_type, holder = self.expression(holder_node)
        if isinstance(holder_type, StructType) and name in holder_type.fields:
            return holder_type.fields[name], lambda f: holder(f).values[name]
        if isinstance(holder_type, Unit) and name in holder_type.variables:
            return holder_type.variables[name].type, lambda f: holder(f).values[name]
        if isinstance(holder_type, _Foreign):
            member = _text(node.child_by_field_name("member"))
            return typed(getattr(holder_type.default(), member)), lambda f: getattr(holder(f), member)
        raise self.fail(node, f"{holder_type.name} has no {name}")

    def _unary_expression(self, node: Node) -> tuple[Any, Value]:
        operator = _text(node.child_by_field_name("operator")).upper()
        type_, value = self.expression(_field(node, "operand"))
        if operator == "NOT" and type_ is BOOL:
            return BOOL, lambda f: not value(f)
        if operator == "NOT" and type_.kind == "bits":
            return type_, lambda f: type_.high - value(f)
        if operator == "-" and type_.kind in ("int", "real", "any_int", "any_real"):
            return type_, lambda f: type_.check(-value(f)) if type_.kind == "int" else -value(f)
        raise self.fail(node, f"{operator} of {type_.name}")

    def _binary_expression(self, node: Node) -> tuple[Any, Value]:
        operator = _text(node.child_by_field_name("operator")).upper().replace("&", "AND")
        (left, a), (right, b) = (self.expression(_field(node, side)) for side in ("left", "right"))
        type_ = common(left, right, str(self.fail(node, operator)))
        if operator in _COMPARISONS:
            if not isinstance(type_, Elementary) or (type_.kind in ("bits", "bool") and operator not in ("=", "<>")):
                raise self.fail(node, f"{operator} of {type_.name}")
            a, b = _as(type_, left, a), _as(type_, right, b)
            return BOOL, _COMPARISONS[operator](a, b)
        if operator in ("AND", "OR", "XOR"):
            if type_.kind not in ("bool", "bits"):
                raise self.fail(node, f"{operator} of {type_.name}")
            return type_, _LOGIC[operator](a, b)
        kinds = ("real", "any_real") if operator == "**" else ("int", "any_int", "real", "any_real", "time")
        if type_.kind not in kinds or operator not in _ARITHMETIC or (operator == "MOD" and "real" in type_.kind):
            raise self.fail(node, f"{operator} of {type_.name}")
        real = "real" in type_.kind
        a, b = _as(type_, left, a), _as(type_, right, b)
        function = divided if operator == "/" and real else _ARITHMETIC[operator]
        check = type_.check if type_.kind != "any_real" else float
        return type_, lambda f: check(function(a(f), b(f)))

    def _call_expression(self, node: Node) -> tuple[Any, Value]:
        callee = _field(node, "function")
        arguments = node.child_by_field_name("arguments")
        given = [c for c in (arguments.children if arguments else []) if c.is_named and c.type != "comment"]
        name = _text(callee).lower()
        if callee.type == "identifier" and not self._is_variable(name):
            own = self.unit.owner or self.unit if self.unit else None
            if own is not None and name in own.methods:
                return self._unit_call(own.methods[name], given, node, lambda f: f.shared)
            if name in self.program.units and self.program.units[name].kind == "function_declaration":
                return self._unit_call(self.program.units[name], given, node, lambda f: self.program.values)
            return self._standard_call(name, given, node)
        if callee.type == "member_access_expression" and self._is_method(callee):
            return self._method_call(callee, given, node)
        return self._instance_call(callee, given, node)

    def _is_variable(self, name: str) -> bool:
        unit = self.unit
        known = [
            unit.variables if unit else {},
            unit.owner.variables if unit and unit.owner else {},
            self.program.globals,
        ]
        return any(name in v and v[name].section != "result" for v in known)

    def _is_method(self, callee: Node) -> bool:
        holder_type, _ = self.expression(_field(callee, "object"))
        return (
            isinstance(holder_type, Unit) and _text(callee.child_by_field_name("member")).lower() in holder_type.methods
        )

    def _standard_call(self, name: str, given: list[Node], node: Node) -> tuple[Any, Value]:
        if any(c.type == "named_argument" for c in given):
            raise self.fail(node, "named arguments of a standard function are not evaluated")
        parts = [self.expression(c) for c in given]
        found = standard(name, [t for t, _ in parts], str(self.fail(node, name)))
        if found is None:
            raise self.fail(node, "no such function")
        type_, function = found
        values = [_as(type_, t, v) if name in ("max", "min", "limit", "sel") and t is not BOOL else v for t, v in parts]
        if len(values) == 1:
            (only,) = values
            return type_, lambda f: function(only(f))
        return type_, lambda f: function(*(v(f) for v in values))

    def _arguments(self, unit: Unit, given: list[Node], node: Node) -> tuple[list[Any], list[Any]]:
        """(inputs: (name, value), outputs: (name, what stores)) of a call."""
        order = [v for v in unit.variables.values() if v.section in ("var_input", "var_in_out")]
        inputs, outputs = [], []
        for i, argument in enumerate(given):
            if argument.type != "named_argument":
                variable, value_node = order[i], argument
            else:
                name, value_node = _text(argument.child_by_field_name("name")).lower(), _field(argument, "value")
                if name not in unit.variables:
                    raise self.fail(argument, f"{unit.name} has no {name}")
                variable = unit.variables[name]
                if any(c.type == "=>" for c in argument.children):
                    outputs.append((name, self.target(value_node)[1]))
                    continue
            type_, value = self.expression(value_node)
            if not fits(type_, variable.type) or (
                variable.section == "var_in_out" and type_ is not variable.type and type_ != variable.type
            ):
                raise self.fail(argument, f"{type_.name} for {variable.type.name}")
            inputs.append((variable.name, value))
        return inputs, outputs

    def _unit_call(
        self, unit: Unit, given: list[Node], node: Node, shared: Callable[[Frame], Any]
    ) -> tuple[Any, Value]:
        inputs, outputs = self._arguments(unit, given, node)
        result = unit.name.lower()

        def run(frame: Frame) -> Any:
            inner = Frame(unit.fresh({n: v(frame) for n, v in inputs}), shared(frame))
            unit.run(inner)
            for name, store in outputs:
                store(frame, copy.deepcopy(inner.own[name]))
            return inner.own.get(result)

        return (unit.variables[result].type if result in unit.variables else None), run

    def _method_call(self, callee: Node, given: list[Node], node: Node) -> tuple[Any, Value]:
        holder_type, holder = self.expression(_field(callee, "object"))
        name = _text(callee.child_by_field_name("member")).lower()
        return self._unit_call(holder_type.methods[name], given, node, lambda f: holder(f).values)

    def _instance_call(self, callee: Node, given: list[Node], node: Node) -> tuple[Any, Value]:
        type_, holder = self.expression(callee)
        if isinstance(type_, _Foreign):
            return self._foreign_call(holder, given)
        if not isinstance(type_, Unit):
            raise self.fail(node, f"{type_.name} cannot be called")
        inputs, outputs = self._arguments(type_, given, node)

        def run(frame: Frame) -> None:
            instance = holder(frame)
            instance(**{n: v(frame) for n, v in inputs})
            for name, store in outputs:
                store(frame, copy.deepcopy(instance.values[name]))

        return None, run

    def _foreign_call(self, holder: Value, given: list[Node]) -> tuple[Any, Value]:
        inputs, outputs = [], []
        for argument in given:
            name, value = _text(argument.child_by_field_name("name")), _field(argument, "value")
            if any(c.type == "=>" for c in argument.children):
                outputs.append((name, *self.target(value)))
            else:
                inputs.append((name, self.expression(value)[1]))

        def run(frame: Frame) -> None:
            instance = holder(frame)
            instance(**{n: v(frame) for n, v in inputs})
            for name, type_, store in outputs:
                store(frame, type_.check(getattr(instance, name)))

        return None, run


def _field(node: Node, name: str) -> Node:
    found = node.child_by_field_name(name)
    assert found is not None, (node.type, name)
    return found


def _at(holder: Value, position: Value) -> Value:
    return lambda f: holder(f)[position(f)]


def _bounded(value: Value, type_: ArrayType, error: StructuredTextError) -> Value:
    low, high = type_.low, type_.high

    def position(frame: Frame) -> int:
        index: int = value(frame)
        if not low <= index <= high:
            raise StructuredTextError(f"{error} {low}..{high}: index {index}")
        return index - low

    return position


def _as(type_: Any, source: Any, value: Value) -> Value:
    """A literal as the type of what is beside it; known now, so it is converted once."""
    if source is type_ or source.kind not in ("any_int", "any_real"):
        return value
    check = float if type_.kind == "any_real" else type_.check
    try:
        number = check(value(Frame({}, {})))
    except KeyError:
        return lambda f: check(value(f))
    return lambda f: number


def _turn(frame: Frame) -> None:
    frame.turns += 1
    if frame.turns > MOST_TURNS:
        raise StructuredTextError(f"more than {MOST_TURNS} turns of loops in one call")


def _quotient(a: int, b: int) -> int:
    if b == 0:
        raise StructuredTextError("an integer divided by zero")
    return math.trunc(a / b) if abs(a) < 1 << 52 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_COMPARISONS: dict[str, Callable[[Value, Value], Value]] = {
    "=": lambda a, b: lambda f: a(f) == b(f),
    "<>": lambda a, b: lambda f: a(f) != b(f),
    "<": lambda a, b: lambda f: a(f) < b(f),
    "<=": lambda a, b: lambda f: a(f) <= b(f),
    ">": lambda a, b: lambda f: a(f) > b(f),
    ">=": lambda a, b: lambda f: a(f) >= b(f),
}
_LOGIC: dict[str, Callable[[Value, Value], Value]] = {  # both sides are always evaluated, as the standard allows
    "AND": lambda a, b: lambda f: a(f) & b(f),
    "OR": lambda a, b: lambda f: a(f) | b(f),
    "XOR": lambda a, b: lambda f: a(f) ^ b(f),
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "MOD": lambda a, b: a - b * _quotient(a, b),
    "**": power,
}
