"""What plain functions take from Numba: types, and the code of operators, of casts and of intrinsics."""

import ast
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from numba.core import types
from numba.core.callconv import create_error_model
from numba.core.cpu import CPUContext
from numba.core.extending import _Intrinsic
from numba.core.registry import cpu_target

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_error_model: Any = create_error_model
EXTREMES = {min: operator.lt, max: operator.gt}
"""Comparison by which another value takes the place of the first: as Python does, also for NaN."""
WHOLE = {*types.signed_domain, types.boolean, types.uint8, types.uint16, types.uint32}
"""Types between which a value stays what it is: as real ones do, but not a large int64 that becomes a float64."""
SCALARS = {*WHOLE, *types.real_domain}


class NotPlain(Exception):
    """A function has something that is not known here."""


class Value(NamedTuple):
    """What an expression gives: Numba's type of it, and LLVM's value."""

    type: Any
    llvm: Any


def operator_of(node: ast.AST) -> Callable[..., Any]:
    """What a node of the syntax tree does.

    Raises:
        NotPlain: it is not known here.
    """
    if type(node) not in _OPERATORS:
        raise NotPlain(type(node).__name__)
    return _OPERATORS[type(node)]


class _Refusing:
    """In place of Numba's calling convention: nothing here raises, nor calls what Numba has compiled."""

    def __getattr__(self, name: str) -> Any:
        raise NotPlain(f"something may raise ({name})")


class _Context(CPUContext):
    call_conv = _Refusing()


class Numba:
    """Its types and its code, for one module."""

    def __init__(self, name: str) -> None:
        self.typing, target = cpu_target.typing_context, cpu_target.target_context
        self.typing.refresh()
        target.refresh()
        self.context = target.subtarget(error_model=_error_model("numpy", target))
        self.context.__class__ = _Context
        self.library = self.context.codegen().create_library(name)
        self.llvm = self.library.create_ir_module(name)
        self._resolved: dict[Any, Any] = {}

    def resolved(self, function: Any, arguments: tuple[Any, ...]) -> tuple[Any, Callable[..., Any]]:
        """(signature, code(builder, values)) of what Numba implements, or of an intrinsic."""
        key = function, arguments
        if key not in self._resolved:
            make = self._intrinsic if isinstance(function, _Intrinsic) else self._builtin
            self._resolved[key] = make(function, arguments)
        found: tuple[Any, Callable[..., Any]] = self._resolved[key]
        return found

    def _builtin(self, function: Any, arguments: tuple[Any, ...]) -> tuple[Any, Callable[..., Any]]:
        kind = self.typing.resolve_value_type(function)
        signature = self.typing.resolve_function_type(kind, arguments, {})
        if signature is None or len(signature.args) != len(arguments):
            raise NotPlain(f"{function} of {arguments}")
        return signature, self.context.get_function(kind, signature)

    def _intrinsic(self, function: Any, arguments: tuple[Any, ...]) -> tuple[Any, Callable[..., Any]]:
        signature, code = function._defn(self.typing, *arguments)
        return signature, lambda builder, values: code(self.context, builder, signature, values)

    def chosen(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """What a function that has one form for each types of arguments (`overload`) is for these."""
        kind = self.typing.resolve_value_type(function)
        for template in getattr(kind, "templates", ()):
            choose = getattr(template, "_overload_func", None)
            if choose and (form := choose(*arguments)):
                return form
        raise NotPlain(f"{function.__qualname__} of {arguments}")

    def attribute(self, builder: Any, of: Value, name: str) -> Value:
        """What Numba reads of a value."""
        kind = self.typing.resolve_getattr(of.type, name)
        if kind is None:
            raise NotPlain(f"{name} of {of.type}")
        code = self.context.get_getattr(of.type, name)
        return Value(kind, code(self.context, builder, of.type, of.llvm, name))
