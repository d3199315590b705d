"""A machine that executes exported blocks, for tests: units -> instances with memory -> calls, cycle by cycle.

Declarations come from the units, statements from tree-sitter's tree. It is stricter than a PLC: a number that does not fit
its type, at any step of an expression, and an index outside of its array are errors. REAL is float32.

    machine = Machine(units)
    block = machine.instance("FB_policy")
    block["stIn"]["x"][0] = 1.0
    machine.call(block, bExecute=True)
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tree_sitter
import tree_sitter_iec61131_3_st

from plc_bindings.st.units import Unit

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_iec61131_3_st.language()))
CODES = {
    "BOOL": "?", "BYTE": "B", "SINT": "b", "USINT": "B", "INT": "h", "UINT": "H", "DINT": "i", "UDINT": "I",
    "LINT": "q", "ULINT": "Q", "REAL": "f", "LREAL": "d", "TIME": "I",
}  # fmt: skip
ALIASES = {"HRESULT": "DINT", "T_MAXSTRING": "STRING(255)", "T_AMSNETID": "STRING(23)", "T_AMSPORT": "UINT"}


class StError(Exception):
    """What a PLC would stop at, or do wrong."""


def syntax_errors(text: str) -> list[str]:
    """Where a text is no Structured Text of the standard's third edition."""
    source, found = text.encode(), []
    todo = [PARSER.parse(source).root_node]
    while todo:
        node = todo.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(f"{node.start_point.row + 1}: {source[node.start_byte : node.end_byte][:60]!r} {node.type}")
        else:
            todo += node.children
    return found


def fit(type_: str, value: Any) -> Any:
    """A value as its type holds it; `StError` if it cannot."""
    code = CODES.get(type_)
    if type_ == "REAL":
        return np.float32(value)
    if type_ == "LREAL":
        return float(value)
    if type_ == "BOOL":
        if value not in (True, False):
            raise StError(f"{value!r} is no BOOL")
        return bool(value)
    if code is not None:
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise StError(f"{value!r} is no {type_}")
        try:
            struct.pack("<" + code, value)
        except struct.error as error:
            raise StError(f"{value} does not fit {type_}") from error
        return int(value)
    if type_.startswith("STRING"):
        size = int(type_[7:-1])
        return str(value)[:size]
    return value


class Cell:
    """A number, a text or a pointer."""

    def __init__(self, type_: str, value: Any = None) -> None:
        self.type = type_
        empty: Any = "" if type_.startswith("STRING") else None if type_ == "PVOID" else 0
        self.value = fit(type_, (empty if type_ != "BOOL" else False) if value is None else value)

    def set(self, value: Any) -> None:
        self.value = fit(self.type, value)

    def bytes(self) -> bytes:
        if self.type.startswith("STRING"):
            return self.value.encode().ljust(int(self.type[7:-1]) + 1, b"\0")
        return struct.pack("<" + CODES[self.type], self.value)

    def load(self, data: bytes) -> None:
        if self.type.startswith("STRING"):
            self.value = data.split(b"\0", 1)[0].decode()
        else:
            (self.value,) = struct.unpack("<" + CODES[self.type], data)


class Fields(dict[str, Any]):
    """Variables by their names in lower case, of a structure or an instance."""

    def __init__(self, unit: Unit, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.unit = unit


class Record:
    """A structure, or an instance of a block."""

    def __init__(self, unit: Unit, fields: dict[str, Any]) -> None:
        self.unit, self.fields = unit, Fields(unit, fields)

    def __getitem__(self, name: str) -> Any:
        found = self.fields[name.lower()]
        return found.value if isinstance(found, Cell) else found

    def __setitem__(self, name: str, value: Any) -> None:
        self.fields[name.lower()].set(value)


class Array:
    """Elements from `low` on."""

    def __init__(self, low: int, items: list[Any]) -> None:
        self.low, self.items = low, items

    def at(self, index: int) -> Any:
        if not 0 <= index - self.low < len(self.items):
            raise StError(f"index {index} outside of {self.low}..{self.low + len(self.items) - 1}")
        return self.items[index - self.low]

    def __getitem__(self, index: int) -> Any:
        found = self.at(index)
        return found.value if isinstance(found, Cell) else found

    def __setitem__(self, index: int, value: Any) -> None:
        self.at(index).set(value)

    def __len__(self) -> int:
        return len(self.items)


def cells(node: Any) -> list[Cell]:
    """All numbers and texts of a variable, in the order of their bytes."""
    if isinstance(node, Cell):
        return [node]
    parts = node.items if isinstance(node, Array) else list(node.fields.values())
    return [cell for part in parts for cell in cells(part)]


def raw(found: Iterable[Cell]) -> bytes:
    return b"".join(cell.bytes() for cell in found)


def store(found: Iterable[Cell], data: bytes) -> None:
    """Put bytes over the first of them; the rest stays."""
    at = 0
    for cell in found:
        if at >= len(data):
            return
        old = cell.bytes()
        part = data[at : at + len(old)]
        cell.load(part + old[len(part) :])
        at += len(old)
    if at < len(data):
        raise StError("written beyond the end of a variable")


def copy(target: Any, source: Any) -> None:
    for to, from_ in zip(cells(target), cells(source), strict=True):
        to.set(from_.value)


class _Return(Exception):
    pass


class _Exit(Exception):
    pass


Value = tuple[Any, str | None]
"""A value and its type; None: a literal, that takes any type."""


class Machine:
    """Executes units. `natives`: name of a block -> what a call of an instance of it does."""

    def __init__(self, units: Iterable[Unit], natives: dict[str, Callable[[Record], None]] | None = None) -> None:
        self.units = {unit.name.lower(): unit for unit in units}
        self.natives = natives or {}
        self.globals: dict[str, Record] = {}
        self._trees: dict[str, Any] = {}
        for unit in self.units.values():
            if unit.kind in ("VAR_GLOBAL", "ENUM"):
                fields = {
                    v.name.lower(): Cell(v.type or "INT", self._literal(v.initial)) for v in unit.sections[0].variables
                }
                self.globals[unit.name.lower()] = Record(unit, fields)

    # --- memory -------------------------------------------------------------------------------------------------------

    def make(self, type_: str, initial: str = "") -> Any:
        """A new variable."""
        array = re.match(r"ARRAY \[(.+?)\.\.(.+?)\] OF (.+)", type_)
        if array is not None:
            low, high = (int(self._constant(array[i])) for i in (1, 2))
            return Array(low, [self.make(array[3]) for _ in range(high - low + 1)])
        type_ = ALIASES.get(type_.upper(), type_)
        unit = self.units.get(type_.lower())
        if unit is None or unit.kind == "ENUM":
            return Cell("INT" if unit else type_, self._constant(initial) if initial else None)
        if unit.kind == "ALIAS":
            return self.make(unit.returns)
        return self.instance(type_)

    def instance(self, name: str) -> Record:
        """A new instance of a block, or a structure. VAR_IN_OUT stays open until a call."""
        unit = self.units[name.lower()]
        return Record(unit, self._variables(unit))

    def _variables(self, unit: Unit) -> dict[str, Any]:
        return {
            v.name.lower(): self.make(v.type, v.initial)
            for section in unit.sections
            if section.kind != "VAR_IN_OUT"
            for v in section.variables
        }

    def _constant(self, text: str) -> Any:
        tree = self._tree(f"x := {text};")
        return self.value(tree[0].child_by_field_name("right"), [])[0]

    def _literal(self, text: str) -> Any:
        if text.startswith("'"):
            return text[1:-1]
        if text.upper().startswith("T#"):
            return round(float(re.sub(r"[^\d.]", "", text)) * (1 if text.upper().endswith("MS") else 1000))
        if text.upper() in ("TRUE", "FALSE"):
            return text.upper() == "TRUE"
        if "#" in text:
            base, digits = text.split("#")
            return int(digits, int(base)) if base.isdigit() else int(digits)
        return float(text) if "." in text else int(text)

    # --- calls --------------------------------------------------------------------------------------------------------

    def call(self, block: Record, **arguments: Any) -> None:
        """Call an instance once; arguments are values, or variables for VAR_IN_OUT."""
        for name, value in arguments.items():
            self._give(block.unit, block.fields, name, value)
        native = self.natives.get(block.unit.name)
        if native is not None:
            native(block)
            return
        self._run(block.unit.body, [block.fields])

    def method(self, block: Record, name: str, **arguments: Any) -> Any:
        """Call a method once; gives what it returns."""
        unit = next(m for m in block.unit.methods if m.name.lower() == name.lower())
        return self._routine(unit, [block.fields], arguments)[0]

    def function(self, name: str, *arguments: Any) -> Any:
        """Call a function; gives what it returns."""
        unit = self.units[name.lower()]
        names = [v.name for s in unit.sections if s.kind == "VAR_INPUT" for v in s.variables]
        return self._routine(unit, [], dict(zip(names, arguments, strict=True)))[0]

    def _give(self, unit: Unit, fields: dict[str, Any], name: str, value: Any) -> None:
        kind = next(
            (s.kind for s in unit.sections for v in s.variables if v.name.lower() == name.lower()), "no such argument"
        )
        if kind == "VAR_IN_OUT":
            fields[name.lower()] = value
        elif kind != "VAR_INPUT":
            raise StError(f"{unit.name} has no input {name}: {kind}")
        elif isinstance(value, Record | Array):
            copy(fields[name.lower()], value)
        else:
            fields[name.lower()].set(value)

    def _routine(self, unit: Unit, scopes: list[dict[str, Any]], arguments: dict[str, Any]) -> Value:
        frame = self._variables(unit)
        result = frame[unit.name.lower()] = self.make(unit.returns)
        for name, value in arguments.items():
            self._give(unit, frame, name, value)
        self._run(unit.body, [frame, *scopes])
        return result.value, result.type

    # --- statements ---------------------------------------------------------------------------------------------------

    def _tree(self, body: str) -> Any:
        if body not in self._trees:
            text = f"FUNCTION_BLOCK X\n{body}\nEND_FUNCTION_BLOCK\n"
            assert not syntax_errors(text), syntax_errors(text)
            self._trees[body] = PARSER.parse(text.encode()).root_node.children[0].children_by_field_name("body")
        return self._trees[body]

    def _run(self, body: str, scopes: list[dict[str, Any]]) -> None:
        try:
            self._all(self._tree(body), scopes)
        except _Return:
            return

    def _all(self, nodes: Iterable[Any], scopes: list[dict[str, Any]]) -> None:
        for node in nodes:
            if node.type not in ("comment", "empty_statement"):
                getattr(self, "_" + node.type)(node, scopes)

    def _assignment_statement(self, node: Any, scopes: list[dict[str, Any]]) -> None:
        target = self.place(node.child_by_field_name("left"), scopes)
        right = node.child_by_field_name("right")
        if isinstance(target, Cell):
            value, type_ = self.value(right, scopes)
            if type_ in CODES and target.type in CODES:
                self._same_kind(target.type, type_)
            target.set(value)
        else:
            copy(target, self.place(right, scopes))

    @staticmethod
    def _same_kind(target: str, source: str) -> None:
        """Only what widens may go without a conversion."""
        if target != source and (CODES[source] in "fd?" or CODES[target] in "fd?"):
            raise StError(f"{source} becomes {target} without a conversion")

    def _if_statement(self, node: Any, scopes: list[dict[str, Any]]) -> None:
        if self.truth(node.child_by_field_name("condition"), scopes):
            self._all(node.children_by_field_name("consequence"), scopes)
            return
        for clause in node.children:
            if clause.type == "elsif_clause" and self.truth(clause.child_by_field_name("condition"), scopes):
                self._all(clause.children_by_field_name("body"), scopes)
                return
            if clause.type == "else_clause":
                self._all(clause.children_by_field_name("body"), scopes)

    def _for_statement(self, node: Any, scopes: list[dict[str, Any]]) -> None:
        control = self.place(node.child_by_field_name("control"), scopes)
        start, end = (self.value(node.child_by_field_name(part), scopes)[0] for part in ("start", "end"))
        for i in range(start, end + 1):
            control.set(i)
            try:
                self._all(node.children_by_field_name("body"), scopes)
            except _Exit:
                return

    def _while_statement(self, node: Any, scopes: list[dict[str, Any]]) -> None:
        while self.truth(node.child_by_field_name("condition"), scopes):
            try:
                self._all(node.children_by_field_name("body"), scopes)
            except _Exit:
                return

    def _invocation_statement(self, node: Any, scopes: list[dict[str, Any]]) -> None:
        self._call(node.children[0], scopes)

    def _return_statement(self, node: Any, scopes: list[dict[str, Any]]) -> None:
        raise _Return

    def _exit_statement(self, node: Any, scopes: list[dict[str, Any]]) -> None:
        raise _Exit

    # --- expressions --------------------------------------------------------------------------------------------------

    def place(self, node: Any, scopes: list[dict[str, Any]]) -> Any:
        """The variable that an expression names."""
        if node.type == "identifier":
            name = node.text.decode().lower()
            for scope in scopes:
                if name in scope:
                    return scope[name]
            if name in self.globals:
                return self.globals[name]
            raise StError(f"no variable {name}")
        if node.type == "member_access_expression":
            owner = self.place(node.child_by_field_name("object"), scopes)
            name = node.child_by_field_name("member").text.decode().lower()
            if name not in owner.fields:
                raise StError(f"{owner.unit.name} has no {name}")
            return owner.fields[name]
        assert node.type == "index_expression", node.type
        owner = self.place(node.child_by_field_name("object"), scopes)
        return owner.at(self.value(node.child_by_field_name("index"), scopes)[0])

    def truth(self, node: Any, scopes: list[dict[str, Any]]) -> bool:
        value, type_ = self.value(node, scopes)
        if type_ != "BOOL":
            raise StError(f"{node.text.decode()} is no BOOL")
        return bool(value)

    def value(self, node: Any, scopes: list[dict[str, Any]]) -> Value:
        """(value, type) of an expression."""
        kind = node.type
        if kind.endswith("literal"):
            text = node.text.decode()
            value = self._literal(text)
            return value, "BOOL" if isinstance(value, bool) else None
        if kind in ("identifier", "member_access_expression", "index_expression"):
            found = self.place(node, scopes)
            return (found.value, found.type) if isinstance(found, Cell) else (found, None)
        if kind == "parenthesized_expression":
            return self.value(node.named_children[0], scopes)
        if kind == "unary_expression":
            value, type_ = self.value(node.child_by_field_name("operand"), scopes)
            if node.child_by_field_name("operator").text.decode().upper() == "NOT":
                return not value, type_
            return (fit(type_, -value) if type_ else -value), type_
        if kind == "binary_expression":
            return self._binary(node, scopes)
        if kind == "call_expression":
            return self._call(node, scopes)
        if kind == "address_of_expression":
            return self._address(node.child_by_field_name("operand"), scopes), "PVOID"
        raise StError(f"{kind}: {node.text.decode()}")

    def _address(self, node: Any, scopes: list[dict[str, Any]]) -> list[Cell]:
        if node.type == "index_expression":
            owner = self.place(node.child_by_field_name("object"), scopes)
            index = self.value(node.child_by_field_name("index"), scopes)[0]
            owner.at(index)
            return [cell for item in owner.items[index - owner.low :] for cell in cells(item)]
        return cells(self.place(node, scopes))

    def _binary(self, node: Any, scopes: list[dict[str, Any]]) -> Value:
        (a, left), (b, right) = (self.value(node.child_by_field_name(side), scopes) for side in ("left", "right"))
        operator = node.child_by_field_name("operator").text.decode().upper()
        if operator in ("AND", "OR", "XOR"):
            if left != "BOOL" or right != "BOOL":
                raise StError(f"{node.text.decode()}: no BOOL")
            return {"AND": a and b, "OR": a or b, "XOR": a != b}[operator], "BOOL"
        type_ = self._wider(left, right, node)
        if type_ in ("REAL", "LREAL"):
            a, b = fit(type_, a), fit(type_, b)
        if operator in ("=", "<>", "<", "<=", ">", ">="):
            results = {"=": a == b, "<>": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
            return bool(results[operator]), "BOOL"
        result = self._arithmetic(operator, a, b)
        return (fit(type_, result) if type_ else result), type_

    @staticmethod
    def _wider(left: str | None, right: str | None, node: Any) -> str | None:
        if left is None or right is None:
            return left or right
        if (CODES[left] in "fd") != (CODES[right] in "fd"):
            raise StError(f"{node.text.decode()}: {left} and {right}")
        return max((left, right), key=lambda t: struct.calcsize(CODES[t]))

    @staticmethod
    def _arithmetic(operator: str, a: Any, b: Any) -> Any:
        if operator == "/" and isinstance(a, int):
            return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        if operator == "MOD":
            return abs(a) % abs(b) * (1 if a >= 0 else -1)
        with np.errstate(all="raise", under="ignore"):
            return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}[operator]()

    def _call(self, node: Any, scopes: list[dict[str, Any]]) -> Value:
        function = node.child_by_field_name("function")
        given = [n for n in node.child_by_field_name("arguments").named_children if n.type != "comment"]
        owner: Any = None
        if function.type == "member_access_expression":
            owner = self.place(function.child_by_field_name("object"), scopes)
            name = function.child_by_field_name("member").text.decode()
        else:
            name = function.text.decode()
        if owner is None and name.lower() in scopes[-1]:
            block = scopes[-1][name.lower()]
            self.call(block, **self._arguments(block.unit, given, scopes))
            return None, None
        method = self._find_method(owner, name, scopes)
        if method is not None:
            unit, fields = method
            found = self._arguments(unit, given, scopes)
            return self._routine(unit, [fields], found)
        if name.lower() in self.units:
            unit = self.units[name.lower()]
            found = self._arguments(unit, given, scopes)
            return self._routine(unit, [], found)
        return self._builtin(name.upper(), given, scopes)

    @staticmethod
    def _find_method(owner: Any, name: str, scopes: list[dict[str, Any]]) -> tuple[Unit, dict[str, Any]] | None:
        fields = owner.fields if owner is not None else scopes[-1] if scopes else None
        if not isinstance(fields, Fields):
            return None
        found = [method for method in fields.unit.methods if method.name.lower() == name.lower()]
        return (found[0], fields) if found else None

    def _arguments(self, unit: Unit, given: list[Any], scopes: list[dict[str, Any]]) -> dict[str, Any]:
        names = [v.name for s in unit.sections if s.kind in ("VAR_INPUT", "VAR_IN_OUT") for v in s.variables]
        in_outs = {v.name.lower() for s in unit.sections if s.kind == "VAR_IN_OUT" for v in s.variables}
        found: dict[str, Any] = {}
        for i, argument in enumerate(given):
            named = argument.type == "named_argument"
            name = argument.child_by_field_name("name").text.decode() if named else names[i]
            value = argument.child_by_field_name("value") if named else argument
            by_place = name.lower() in in_outs
            found[name] = self.place(value, scopes) if by_place else self.value(value, scopes)[0]
        missing = in_outs - {name.lower() for name in found}
        if missing:
            raise StError(f"{unit.name} is called without {missing}")
        return found

    def _builtin(self, name: str, given: list[Any], scopes: list[dict[str, Any]]) -> Value:
        if name == "SIZEOF":
            return len(raw(cells(self.place(given[0], scopes)))), "UDINT"
        values = [self.value(argument, scopes) for argument in given]
        numbers = [value for value, _ in values]
        if name == "MEMCPY":
            target, source, size = numbers
            data = raw(source)
            if len(data) < size:
                raise StError("read beyond the end of a variable")
            store(target, data[:size])
            return size, "UDINT"
        if name == "MEMSET":
            target, byte, size = numbers
            store(target, bytes([byte]) * size)
            return size, "UDINT"
        if name == "LEN":
            return len(numbers[0]), "INT"
        if name == "TO_UINT":
            return fit("UINT", numbers[0]), "UINT"
        if name == "MIN":
            return min(numbers), values[0][1]
        match = re.fullmatch(r"([A-Z]+)_TO_([A-Z]+)", name)
        if match is None:
            raise StError(f"no function {name}")
        from_, to = match.groups()
        if values[0][1] not in (None, from_):
            raise StError(f"{name} of {values[0][1]}")
        value = numbers[0]
        if from_ == "BOOL":
            return int(value), to
        if from_ in ("REAL", "LREAL") and CODES[to] not in "fd":
            if value != int(value):
                raise StError(f"{name} would round {value}")
            value = int(value)
        return fit(to, value), to
