"""Statements and expressions of Structured Text -> closures over a `Frame`. See `evaluator`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tree_sitter

from tests.plc_bindings.st.evaluator_functions import divided, finite, power, standard
from tests.plc_bindings.st.evaluator_types import (
    ANY_INT,
    ANY_REAL,
    BOOL,
    DINT,
    ELEMENTARY,
    PVOID,
    TIME,
    ArrayType,
    Cell,
    Elementary,
    Pointer,
    StructType,
    StructuredTextError,
    cells,
    common,
    fits,
    overwrite,
    string_type,
)

Node = tree_sitter.Node
Value = Callable[["Frame"], Any]
Place = tuple[Any, Value, str | Value]
"""Type of a variable, what gives the dictionary or list that holds it, and the name or place in that."""
MOST_TURNS = 10_000_000
_TIMES = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


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


class Compiler:
    """Statements and expressions of one unit -> closures over a Frame."""

    def __init__(self, unit: Body | None, program: Any = None) -> None:
        self.unit = unit
        self.program = unit.program if unit is not None else program
        assert self.program is not None
        self.written: set[str] = set()

    def fail(self, node: Node, why: str) -> StructuredTextError:
        unit = f"{self.unit.name}, " if self.unit else ""
        return StructuredTextError(f"{unit}line {node.start_point[0] + 1}: {why}: {text_of(node)[:60]!r}")

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
        type_, store = self.store(left)
        source, value = self.expression(right)
        if not fits(source, type_, self.program.rules):
            raise self.fail(node, f"{source.name} to {type_.name}; write the conversion")
        if source is type_ or not isinstance(type_, Elementary):
            return lambda f: store(f, value(f))
        return lambda f: store(f, type_.check(value(f)))

    def _invocation_statement(self, node: Node) -> Callable[[Frame], Any]:
        call = next(c for c in node.children if c.is_named)
        type_, run = self._call_expression(call)
        if type_ is not None and not self.program.rules.codesys:
            raise self.fail(node, "a function is no statement")

        def act(frame: Frame) -> None:
            run(frame)

        return act

    def condition(self, node: Node | None) -> Value:
        assert node is not None
        type_, value = self.expression(node)
        if type_ is not BOOL:
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
        type_, value = self.expression(subject)
        if type_.kind != "int":
            raise self.fail(subject, f"CASE of {type_.name}")
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
        type_, store = self.store(control)
        read = self.expression(control)[1]
        for bound in (start, end):
            if not fits(self.expression(bound)[0], type_, self.program.rules):
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
            return type_, lambda f, v: overwrite(holder(f)[_key(key, f)], v)
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
        inner, name = _field(node, "object"), text_of(node.child_by_field_name("member")).lower()
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
        type_, holder = self.at(self.place(_field(node, "object"), written))
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

    # expressions: (type, closure)

    def expression(self, node: Node) -> tuple[Any, Value]:
        method = getattr(self, f"_{node.type}", None)
        if method is None or node.type.endswith("statement"):
            raise self.fail(node, f"{node.type} is not evaluated")
        found: tuple[Any, Value] = method(node)
        return found

    def _identifier(self, node: Node) -> tuple[Any, Value]:
        return self.at(self.place(node))

    def _index_expression(self, node: Node) -> tuple[Any, Value]:
        return self.at(self.place(node))

    def _member_access_expression(self, node: Node) -> tuple[Any, Value]:
        number = self.program.enumerators.get(text_of(node).lower())
        return self.at(self.place(node)) if number is None else (DINT, lambda f: number)

    def _address_of_expression(self, node: Node) -> tuple[Any, Value]:
        """ADR; of an element: of all from there to the end of the array."""
        if not self.program.rules.codesys:
            raise self.fail(node, "ADR is not evaluated but in CODESYS and TwinCAT")
        operand = _field(node, "operand")
        type_, holder, key = self.place(operand)

        def address(frame: Frame) -> Pointer:
            whole, first = holder(frame), _key(key, frame)
            keys = range(first, len(whole)) if operand.type == "index_expression" else [first]
            return Pointer(cell for k in keys for cell in cells(type_, whole, k))

        return PVOID, address

    def _integer_literal(self, node: Node) -> tuple[Any, Value]:
        text = text_of(node).replace("_", "")
        base, _, digits = text.rpartition("#")
        number = int(digits, int(base)) if base else int(text)
        return ANY_INT, lambda f: number

    def _real_literal(self, node: Node) -> tuple[Any, Value]:
        number = float(text_of(node).replace("_", ""))
        return ANY_REAL, lambda f: number

    def _boolean_literal(self, node: Node) -> tuple[Any, Value]:
        truth = text_of(node).upper() == "TRUE"
        return BOOL, lambda f: truth

    def _string_literal(self, node: Node) -> tuple[Any, Value]:
        text = text_of(node)[1:-1]
        if "$" in text:
            raise self.fail(node, "escapes in strings are not evaluated")
        return string_type(255), lambda f: text

    def _time_literal(self, node: Node) -> tuple[Any, Value]:
        text, total = text_of(node).lower().split("#")[1].replace("_", ""), 0.0
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
        number = value(Frame({}, {}))
        if type_ is BOOL and number in (0, 1):
            number = bool(number)
        elif not fits(source, type_, self.program.rules):
            raise self.fail(node, "not of that type")
        number = type_.check(number)
        return type_, lambda f: number

    def _parenthesized_expression(self, node: Node) -> tuple[Any, Value]:
        return self.expression(next(c for c in node.children if c.is_named and c.type != "comment"))

    def _unary_expression(self, node: Node) -> tuple[Any, Value]:
        operator = text_of(node.child_by_field_name("operator")).upper()
        type_, value = self.expression(_field(node, "operand"))
        if operator == "NOT" and type_ is BOOL:
            return BOOL, lambda f: not value(f)
        if operator == "NOT" and type_.kind == "bits":
            return type_, lambda f: type_.high - value(f)
        if operator == "-" and type_.kind in ("int", "real", "any_int", "any_real"):
            return type_, lambda f: type_.check(-value(f)) if type_.kind == "int" else -value(f)
        raise self.fail(node, f"{operator} of {type_.name}")

    def _binary_expression(self, node: Node) -> tuple[Any, Value]:
        operator = text_of(node.child_by_field_name("operator")).upper().replace("&", "AND")
        (left, a), (right, b) = (self.expression(_field(node, side)) for side in ("left", "right"))
        where = str(self.fail(node, operator))
        type_ = common(left, right, where, self.program.rules)
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
        if real and self.program.rules.exact:
            return type_, lambda f: finite(check(function(a(f), b(f))), where, self.program.rules)
        return type_, lambda f: check(function(a(f), b(f)))

    def _call_expression(self, node: Node) -> tuple[Any, Value]:
        callee = _field(node, "function")
        arguments = node.child_by_field_name("arguments")
        given = [c for c in (arguments.children if arguments else []) if c.is_named and c.type != "comment"]
        name = text_of(callee).lower()
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
            isinstance(holder_type, Body)
            and text_of(callee.child_by_field_name("member")).lower() in holder_type.methods
        )

    def _standard_call(self, name: str, given: list[Node], node: Node) -> tuple[Any, Value]:
        if any(c.type == "named_argument" for c in given):
            raise self.fail(node, "named arguments of a standard function are not evaluated")
        if name == "sizeof" and self.program.rules.codesys:
            (type_, _), udint = self.at(self.place(given[0])), ELEMENTARY["udint"]
            size = len(Pointer(cells(type_, [type_.default()], 0)).read())
            return udint, lambda f: size
        parts = [self.expression(c) for c in given]
        found = standard(name, [t for t, _ in parts], str(self.fail(node, name)), self.program.rules)
        if found is None:
            raise self.fail(node, "no such function")
        type_, function = found
        values = [_as(type_, t, v) if name in ("max", "min", "limit", "sel") and t is not BOOL else v for t, v in parts]
        if len(values) == 1:
            (only,) = values
            return type_, lambda f: function(only(f))
        return type_, lambda f: function(*(v(f) for v in values))

    def _arguments(self, unit: Body, given: list[Node], node: Node) -> tuple[list[Any], list[Any]]:
        """(inputs: (name, value), outputs: (name, what stores)) of a call."""
        order = [v for v in unit.variables.values() if v.section in ("var_input", "var_in_out")]
        inputs, outputs = [], []
        for i, argument in enumerate(given):
            if argument.type != "named_argument":
                if i >= len(order):
                    raise self.fail(argument, f"{unit.name} has {len(order)} inputs")
                variable, value_node = order[i], argument
            else:
                name, value_node = text_of(argument.child_by_field_name("name")).lower(), _field(argument, "value")
                if name not in unit.variables:
                    raise self.fail(argument, f"{unit.name} has no {name}")
                variable = unit.variables[name]
                if any(c.type == "=>" for c in argument.children):
                    type_, store = self.store(value_node)
                    if variable.section != "var_output" or not fits(variable.type, type_, self.program.rules):
                        raise self.fail(argument, f"{variable.section} of {variable.type.name} to {type_.name}")
                    outputs.append((name, store))
                    continue
            by_reference = variable.section == "var_in_out"
            type_, value = self._reference(value_node) if by_reference else self.expression(value_node)
            if type_ != variable.type and (by_reference or not fits(type_, variable.type, self.program.rules)):
                raise self.fail(argument, f"{type_.name} for {variable.type.name}")
            inputs.append((variable.name, value))
        names = [name for name, _ in inputs]
        missing = [v.name for v in order if v.section == "var_in_out" and v.name not in names]
        if missing or len(names) > len(set(names)):
            raise self.fail(node, f"{', '.join(missing) or 'an input'} is not given once")
        return inputs, outputs

    def _reference(self, node: Node) -> tuple[Any, Value]:
        """What is given for a VAR_IN_OUT."""
        type_, holder, key = place = self.place(node, written=True)
        return (
            (type_, lambda f: Cell(type_, holder(f), _key(key, f))) if isinstance(type_, Elementary) else self.at(place)
        )

    def _unit_call(
        self, unit: Body, given: list[Node], node: Node, shared: Callable[[Frame], Any]
    ) -> tuple[Any, Value]:
        inputs, outputs = self._arguments(unit, given, node)
        result = unit.name.lower()

        def run(frame: Frame) -> Any:
            inner = Frame(unit.fresh({n: v(frame) for n, v in inputs}), shared(frame))
            unit.run(inner)
            for name, store in outputs:
                store(frame, inner.own[name])
            return inner.own.get(result)

        return (unit.variables[result].type if result in unit.variables else None), run

    def _method_call(self, callee: Node, given: list[Node], node: Node) -> tuple[Any, Value]:
        holder_type, holder = self.expression(_field(callee, "object"))
        name = text_of(callee.child_by_field_name("member")).lower()
        return self._unit_call(holder_type.methods[name], given, node, lambda f: holder(f).values)

    def _instance_call(self, callee: Node, given: list[Node], node: Node) -> tuple[Any, Value]:
        type_, holder = self.expression(callee)
        if not isinstance(type_, Body):
            raise self.fail(node, f"{type_.name} cannot be called")
        inputs, outputs = self._arguments(type_, given, node)

        def run(frame: Frame) -> None:
            instance = holder(frame)
            instance(**{n: v(frame) for n, v in inputs})
            for name, store in outputs:
                store(frame, instance.values[name])

        return None, run


def _field(node: Node, name: str) -> Node:
    found = node.child_by_field_name(name)
    assert found is not None, (node.type, name)
    return found


def _at(holder: Value, position: Value) -> Value:
    return lambda f: holder(f)[position(f)]


def _key(key: str | Value, frame: Frame) -> Any:
    return key if isinstance(key, str) else key(frame)


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
