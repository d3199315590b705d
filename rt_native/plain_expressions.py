"""Expressions of plain functions (`rt_native.plain`): read, and written as LLVM IR, each a value of a type of Numba's."""

import ast
import operator
from collections.abc import Callable
from functools import reduce
from types import FunctionType, ModuleType
from typing import Any

from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from rt_native.plain_numba import EXTREMES, SCALARS, NotPlain, Numba, Value, operator_of

_types: Any = types
UNKNOWN = object()
"""Instead of a value: it is not known when the function is compiled."""


class Expressions(ast.NodeVisitor):
    """Those of one function.

    Args:
        numba: types and code.
        outer: name -> value, of what the function does not set itself.
        local: names that it sets.
    """

    _builder: Any

    def __init__(self, numba: Numba, outer: dict[str, Any], local: set[str]) -> None:
        self._numba, self._context, self._outer, self._locals = numba, numba.context, outer, local

    def _called(self, function: Any, values: list[Value]) -> Value:
        """A call of a function of ours."""
        raise NotImplementedError

    def generic_visit(self, node: ast.AST) -> Any:
        """Everything that has no method of its own."""
        raise NotPlain(f"{type(node).__name__} in line {getattr(node, 'lineno', '?')}")

    def _constant(self, node: ast.expr) -> Any:
        """What is known when the function is compiled, or UNKNOWN."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return UNKNOWN if node.id in self._locals else self._outer.get(node.id, UNKNOWN)
        if isinstance(node, ast.Attribute):
            of = self._constant(node.value)
            return getattr(of, node.attr, UNKNOWN) if isinstance(of, ModuleType) else UNKNOWN
        if isinstance(node, ast.UnaryOp):
            return self._folded(node.op, node.operand)
        if isinstance(node, ast.BinOp):
            return self._folded(node.op, node.left, node.right)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and not isinstance(node.ops[0], ast.In | ast.NotIn):
            return self._folded(node.ops[0], node.left, *node.comparators)
        return UNKNOWN

    def _folded(self, op: ast.AST, *operands: ast.expr) -> Any:
        values = [self._constant(operand) for operand in operands]
        if not all(isinstance(value, int | float) for value in values):
            return UNKNOWN
        if isinstance(op, ast.operator | ast.Invert | ast.USub) and any(isinstance(value, bool) for value in values):
            return UNKNOWN  # Numba's `~True` is False
        try:
            found = operator_of(op)(*values)
        except (ArithmeticError, ValueError):  # division by zero, a shift by less than none
            return UNKNOWN
        if isinstance(found, int) and not -(1 << 63) <= found < 1 << 63:
            raise NotPlain(f"{found} is no int64")
        return found

    def visit(self, node: ast.AST) -> Any:
        """A statement, or the value of an expression."""
        known = self._constant(node) if isinstance(node, ast.expr) else UNKNOWN
        return super().visit(node) if known is UNKNOWN else self._value_of(known)

    def _value_of(self, known: Any) -> Value:
        kind = _types.unliteral(self._numba.typing.resolve_value_type(known))
        return Value(kind, self._context.get_constant_generic(self._builder, kind, known))

    def _cast(self, value: Value, kind: Any) -> Any:
        return value.llvm if value.type == kind else self._context.cast(self._builder, value.llvm, value.type, kind)

    def _parts(self, value: Value) -> list[Value]:
        if not isinstance(value.type, _types.BaseTuple):
            raise NotPlain(f"{value.type} is taken apart")
        return [Value(kind, self._builder.extract_value(value.llvm, at)) for at, kind in enumerate(value.type.types)]

    def _truth(self, value: Value) -> Any:
        whether = value.type == types.boolean
        return value.llvm if whether else self._context.is_true(self._builder, value.type, value.llvm)

    def _call(self, function: Any, *values: Value, literal: tuple[Any, ...] = ()) -> Value:
        """What Numba or an intrinsic makes of values."""
        arguments = literal or tuple(value.type for value in values)
        signature, code = self._numba.resolved(function, arguments)
        wanted = (_types.unliteral(kind) for kind in signature.args)
        taken = [self._cast(value, kind) for value, kind in zip(values, wanted, strict=True)]
        return Value(_types.unliteral(signature.return_type), code(self._builder, taken))

    def visit_BinOp(self, node: ast.BinOp) -> Value:
        """`a + b`."""
        return self._call(operator_of(node.op), self.visit(node.left), self.visit(node.right))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Value:
        """`-a`, `not a`."""
        return self._call(operator_of(node.op), self.visit(node.operand))

    def visit_Compare(self, node: ast.Compare) -> Value:
        """`a < b < c`, `a in (b, c)`."""
        left = self.visit(node.left)
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            return self._among(left, node.comparators[0], isinstance(node.ops[0], ast.In))
        return self._chain(left, list(zip(node.ops, node.comparators, strict=True)))

    def _chain(self, left: Value, rest: list[tuple[ast.cmpop, ast.expr]]) -> Value:
        (op, node), *more = rest
        right = self.visit(node)
        first = self._call(operator_of(op), left, right)
        return self._choice(first, lambda: self._chain(right, more), lambda: first) if more else first

    def _among(self, value: Value, node: ast.expr, is_in: bool) -> Value:
        found = [self._call(operator.eq, value, one) for one in self._parts(self.visit(node))]
        whether = Value(
            types.boolean, reduce(self._builder.or_, (self._truth(one) for one in found), self._value_of(False).llvm)
        )
        return whether if is_in else self._call(operator.not_, whether)

    def visit_BoolOp(self, node: ast.BoolOp) -> Value:
        """`a and b`: the value that decided."""
        return self._decided(isinstance(node.op, ast.And), node.values)

    def _decided(self, by_false: bool, nodes: list[ast.expr]) -> Value:
        known = self._constant(nodes[0])
        if len(nodes) > 1 and known is not UNKNOWN and bool(known) == by_false:  # what is known is never the value
            return self._decided(by_false, nodes[1:])
        first: Value = self.visit(nodes[0])
        if len(nodes) == 1 or known is not UNKNOWN:
            return first
        rest, itself = (lambda: self._decided(by_false, nodes[1:])), (lambda: first)
        return self._choice(first, rest, itself) if by_false else self._choice(first, itself, rest)

    def visit_IfExp(self, node: ast.IfExp) -> Value:
        """`a if test else b`."""
        known = self._constant(node.test)
        if known is not UNKNOWN:
            return self.visit(node.body if known else node.orelse)  # type: ignore[no-any-return]
        test = self.visit(node.test)
        return self._choice(test, lambda: self.visit(node.body), lambda: self.visit(node.orelse))

    def _choice(self, test: Value, yes: Callable[[], Value], no: Callable[[], Value]) -> Value:
        first, second, end = (self._builder.append_basic_block(name) for name in ("then", "else", "chosen"))
        self._builder.cbranch(self._truth(test), first, second)
        ends = []
        for block, way in ((first, yes), (second, no)):
            self._builder.position_at_end(block)
            value = way()
            ends.append((value, self._builder.block))
        kind = self._numba.typing.unify_types(*(value.type for value, _ in ends))
        if kind is None or isinstance(kind, types.Optional):
            raise NotPlain(f"{ends[0][0].type} or {ends[1][0].type}")
        incoming = []
        for value, block in ends:
            self._builder.position_at_end(block)
            incoming.append((self._cast(value, kind), self._builder.block))
            self._builder.branch(end)
        self._builder.position_at_end(end)
        phi = self._builder.phi(self._context.get_value_type(kind))
        for value, block in incoming:
            phi.add_incoming(value, block)
        return Value(kind, phi)

    def visit_Attribute(self, node: ast.Attribute) -> Value:
        """`record.rows`."""
        of: Value = self.visit(node.value)
        return self._numba.attribute(self._builder, of, node.attr)

    def visit_Subscript(self, node: ast.Subscript) -> Value:
        """`pair[1]`: of a tuple, at a place that is known."""
        at, parts = self._constant(node.slice), self._parts(self.visit(node.value))
        if not isinstance(at, int) or not -len(parts) <= at < len(parts):
            raise NotPlain(ast.unparse(node))
        return parts[at]

    def visit_Tuple(self, node: ast.Tuple) -> Value:
        """`a, b`."""
        values = [self.visit(element) for element in node.elts]
        kind = _types.BaseTuple.from_types([value.type for value in values])
        return Value(kind, self._context.make_tuple(self._builder, kind, [value.llvm for value in values]))

    def visit_Call(self, node: ast.Call) -> Value:
        """Of a function of ours, an intrinsic, or what Numba has."""
        function = self._constant(node.func)
        if function is UNKNOWN or node.keywords:
            raise NotPlain(ast.unparse(node))
        values = [self.visit(argument) for argument in node.args]
        if isinstance(function, Dispatcher):
            return self._called(function.py_func, values)
        if isinstance(function, FunctionType):
            return self._called(self._numba.chosen(function, tuple(value.type for value in values)), values)
        if function is int and len(values) == 1 and values[0].type in SCALARS:
            kind = values[0].type if isinstance(values[0].type, types.Integer) else types.int64
            return Value(kind, self._cast(values[0], kind))
        if function in EXTREMES and len(values) > 1:
            extreme: Value = reduce(lambda a, b: self._extreme(EXTREMES[function], a, b), values)
            return extreme
        try:
            return self._call(function, *values)
        except NumbaError:  # it may want constants
            known = [self._constant(argument) for argument in node.args]
            if not any(isinstance(one, int) for one in known):
                raise
            literal = tuple(
                _types.literal(k) if isinstance(k, int) else v.type for k, v in zip(known, values, strict=True)
            )
            return self._call(function, *values, literal=literal)

    def _extreme(self, comparison: Callable[..., Any], first: Value, second: Value) -> Value:
        kind = self._numba.typing.unify_types(first.type, second.type)
        if kind not in types.number_domain:
            raise NotPlain(f"min or max of {first.type} and {second.type}")
        a, b = (Value(kind, self._cast(value, kind)) for value in (first, second))
        return Value(kind, self._builder.select(self._call(comparison, b, a).llvm, b.llvm, a.llvm))
