"""Expressions and calls of Structured Text -> (type, closure over a `Frame`). See `evaluator`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.plc_bindings.st.evaluator_functions import divided, finite, power, standard
from tests.plc_bindings.st.evaluator_places import Body, Frame, Node, Places, Value, field, key_of, text_of
from tests.plc_bindings.st.evaluator_types import (
    ANY_INT,
    ANY_REAL,
    BOOL,
    DINT,
    ELEMENTARY,
    PVOID,
    TIME,
    Cell,
    Elementary,
    Pointer,
    StructuredTextError,
    cells,
    common,
    fits,
    string_type,
)

_TIMES = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


class Expressions(Places):
    """Expressions of one unit."""

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
        operand = field(node, "operand")
        type_, holder, key = self.place(operand)

        def address(frame: Frame) -> Pointer:
            whole, first = holder(frame), key_of(key, frame)
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
        source, value = self.expression(field(node, "value"))
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
        type_, value = self.expression(field(node, "operand"))
        if operator == "NOT" and type_ is BOOL:
            return BOOL, lambda f: not value(f)
        if operator == "NOT" and type_.kind == "bits":
            return type_, lambda f: type_.high - value(f)
        if operator == "-" and type_.kind in ("int", "real", "any_int", "any_real"):
            return type_, lambda f: type_.check(-value(f)) if type_.kind == "int" else -value(f)
        raise self.fail(node, f"{operator} of {type_.name}")

    def _binary_expression(self, node: Node) -> tuple[Any, Value]:
        operator = text_of(node.child_by_field_name("operator")).upper().replace("&", "AND")
        (left, a), (right, b) = (self.expression(field(node, side)) for side in ("left", "right"))
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
        callee = field(node, "function")
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
        holder_type, _ = self.expression(field(callee, "object"))
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
                name, value_node = text_of(argument.child_by_field_name("name")).lower(), field(argument, "value")
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
            (type_, lambda f: Cell(type_, holder(f), key_of(key, f)))
            if isinstance(type_, Elementary)
            else self.at(place)
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
        holder_type, holder = self.expression(field(callee, "object"))
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
