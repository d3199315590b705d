"""Plain native functions -> LLVM IR, in one pass over their syntax tree: types and operators are Numba's, the way through them is not.

    if, while, for in range, variables, tuples, calls    here
    +, <, min(), float(), ...                            Numba's own implementation for the types at hand
    intrinsics (`rt_native.lang`, `rt_native.vector`)    their own
    everything else                                      `NotPlain`: Numba compiles it

Numba takes each function through 27 passes, 50 ms of them, and makes a module of each; the cycle has 231. Here all are of one
module:

    define i64 @tasks_run(i64, i64)           the export
    define internal i64 @begin_all.1(i64, i64)    what it calls, once for each types of arguments

A variable has one type in its whole function, and is set on each way to where it is read; Numba asks neither, and gets what does
otherwise.
"""

import ast
import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from llvmlite import ir
from numba.core import cgutils, compiler, types
from numba.core.errors import NumbaError
from numba.core.targetconfig import ConfigStack

from rt_native.plain_expressions import UNKNOWN, Expressions
from rt_native.plain_numba import WHOLE, NotPlain, Numba, Value, operator_of

_cgutils: Any = cgutils
_I64 = ir.IntType(64)


_Definition = ast.FunctionDef | ast.Lambda


@cache
def _definitions(path: str) -> dict[int, list[_Definition]]:
    """First line, with decorators -> functions, of a file."""
    found: dict[int, list[_Definition]] = {}
    for node in ast.walk(ast.parse(Path(path).read_bytes())):
        if isinstance(node, _Definition):
            parts = node.decorator_list if isinstance(node, ast.FunctionDef) else []
            found.setdefault(min([node.lineno, *(part.lineno for part in parts)]), []).append(node)
    return found


def _definition(code: CodeType) -> _Definition | None:
    """Where a function was written: of several of a line, the one in which all its instructions are."""
    name = "" if code.co_name == "<lambda>" else code.co_name
    inside = [(line, at) for line, _, at, _ in code.co_positions() if line and at]
    found = [
        node
        for node in _definitions(code.co_filename).get(code.co_firstlineno, ())
        if getattr(node, "name", "") == name
        and all((node.lineno, node.col_offset) <= at <= (node.end_lineno, node.end_col_offset) for at in inside)
    ]
    return found[0] if len(found) == 1 else None


def _gives(code: CodeType) -> bool:
    """Does a function give a value? Its type is guessed first; a wrong guess costs another reading."""
    found = _definition(code)
    return not isinstance(found, ast.FunctionDef) or any(
        isinstance(node, ast.Return) and node.value for node in ast.walk(found)
    )


class _Module(Numba):
    """What one export becomes: itself, and what it calls."""

    def __init__(self, name: str, inline: bool) -> None:
        super().__init__(name)
        self.attributes = ("alwaysinline",) if inline else ()
        self._functions: dict[Any, tuple[Any, Any]] = {}

    def function(self, source: Any, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
        """(LLVM's function, type of its result) of a Python function for these types."""
        key = source, arguments
        if key not in self._functions:
            known: dict[str, Any] = {} if _gives(source.__code__) else {"": types.none}
            while not (made := _Function(self, source, arguments, known)).is_settled:
                del self.llvm.globals[made.llvm.name]
            self._functions[key] = made.llvm, known[""]
        return self._functions[key]


class _Function(Expressions):
    """One function, written into a module as it is read.

    `known`, variable -> type, is what an earlier reading found, and becomes what this one finds; "" is the result.
    """

    def __init__(self, module: _Module, source: Any, arguments: tuple[Any, ...], known: dict[str, Any]) -> None:
        code = source.__code__
        definition = _definition(code)
        if definition is None or code.co_argcount != len(arguments):
            raise NotPlain(f"the source of {source.__qualname__}")
        cells = (cell.cell_contents for cell in source.__closure__ or ())
        outer = {**vars(builtins), **source.__globals__, **dict(zip(code.co_freevars, cells, strict=True))}
        super().__init__(module, outer, {*code.co_varnames, *code.co_cellvars})
        self._module, self._known, self.is_settled = module, known, True
        result, *taken = (self._context.get_value_type(kind) for kind in (known.get("", types.int64), *arguments))
        name = module.llvm.scope.deduplicate(f"{source.__name__}.")
        self.llvm = ir.Function(module.llvm, ir.FunctionType(result, taken), name)
        self.llvm.linkage = "internal"
        for attribute in module.attributes:
            self.llvm.attributes.add(attribute)
        self._builder = ir.IRBuilder(self.llvm.append_basic_block("entry"))
        self._slots: dict[str, str] = {}
        self._places: dict[str, tuple[Any, Any]] = {}
        self._loops: list[tuple[Any, Any, dict[str, str]]] = []
        self._reached: set[Any] = set()
        parameters = (*definition.args.posonlyargs, *definition.args.args)
        for parameter, kind, value in zip(parameters, arguments, self.llvm.args, strict=True):
            self._store(parameter.arg, Value(kind, value))
        if isinstance(definition, ast.Lambda):
            self._give(self.visit(definition.body))
        else:
            self._all(definition.body)
        if not self._builder.block.is_terminated:
            self._give(Value(types.none, self._context.get_dummy_value()))

    def _called(self, function: Any, values: list[Value]) -> Value:
        llvm, kind = self._module.function(function, tuple(value.type for value in values))
        return Value(kind, self._builder.call(llvm, [value.llvm for value in values]))

    # --- variables ------------------------------------------------------------------------------------------------------

    def _agreed(self, name: str, kind: Any) -> Any:
        """The type of a variable that is given a value of a type: always the same; of results, the wider."""
        old = self._known.setdefault(name, kind)
        if old != kind:
            if name or not any({old, kind} <= alike for alike in (WHOLE, types.real_domain)):
                raise NotPlain(f"{name or 'the result'} is {old} and {kind}")
            self._known[name] = self._numba.typing.unify_types(old, kind)
            self.is_settled &= self._known[name] == old
        return self._known[name]

    def _store(self, name: str, value: Value) -> None:
        slot = self._slots.get(name, name)
        if slot in self._known and self._numba.typing.unify_types(self._known[slot], value.type) is None:
            slot += "'"  # a vector, say, that was a number: another variable of the same name
        self._slots[name] = slot
        kind = self._agreed(slot, value.type)
        if slot not in self._places:
            self._places[slot] = _cgutils.alloca_once(self._builder, self._context.get_value_type(kind)), kind
        self._builder.store(value.llvm, self._places[slot][0])

    def visit_Name(self, node: ast.Name) -> Value:
        """A variable; one that is not set yet is not plain."""
        if node.id not in self._slots:
            raise NotPlain(node.id)
        place, kind = self._places[self._slots[node.id]]
        return Value(kind, self._builder.load(place, typ=self._context.get_value_type(kind)))

    # --- statements -----------------------------------------------------------------------------------------------------

    def _all(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if not self._builder.block.is_terminated:  # what follows is never reached
                self.visit(statement)

    def visit_Pass(self, _: ast.Pass) -> None:
        """Nothing."""

    def visit_Expr(self, node: ast.Expr) -> None:
        """A call, or a docstring."""
        if not isinstance(node.value, ast.Constant):
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        """`a = b = value`, `a, b = value, value`."""
        target, *more = node.targets
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) and not more:
            values = [self.visit(value) for value in node.value.elts]  # no tuple is made
            self._assign_each(target, values)
            return
        value = self.visit(node.value)
        for target in node.targets:
            self._assign(target, value)

    def _assign(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Tuple):
            self._assign_each(target, self._parts(value))
        elif isinstance(target, ast.Name):
            self._store(target.id, value)
        else:
            raise NotPlain(ast.unparse(target))

    def _assign_each(self, target: ast.Tuple, values: list[Value]) -> None:
        if len(values) != len(target.elts):
            raise NotPlain(ast.unparse(target))
        for one, value in zip(target.elts, values, strict=True):
            self._assign(one, value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """`a += value`."""
        if not isinstance(node.target, ast.Name):
            raise NotPlain(ast.unparse(node))
        self._store(
            node.target.id, self._call(operator_of(node.op), self.visit_Name(node.target), self.visit(node.value))
        )

    def visit_Return(self, node: ast.Return) -> None:
        """The one way out."""
        empty = Value(types.none, self._context.get_dummy_value())
        self._give(self.visit(node.value) if node.value else empty)

    def _give(self, value: Value) -> None:
        kind = self._agreed("", value.type)
        if self._context.get_value_type(kind) == self.llvm.function_type.return_type:
            self._builder.ret(self._cast(value, kind))
        else:
            self._builder.unreachable()
            self.is_settled = False

    def _branch(self, test: ast.expr, yes: Any, no: Any) -> None:
        """Go on at one of two blocks; where it is known at which, the other may never be reached."""
        known = self._constant(test)
        if known is UNKNOWN:
            self._builder.cbranch(self._truth(self.visit(test)), yes, no)
            self._reached |= {yes, no}
        else:
            self._go(yes if known else no)

    def _go(self, block: Any) -> None:
        if not self._builder.block.is_terminated:
            self._builder.branch(block)
            self._reached.add(block)

    def _continue_at(self, block: Any) -> None:
        self._builder.position_at_end(block)
        if block not in self._reached:
            self._builder.unreachable()

    def visit_If(self, node: ast.If) -> None:
        """What is never reached is not read: it may be of other types."""
        yes, no, end = (self._builder.append_basic_block(name) for name in ("yes", "no", "end"))
        self._branch(node.test, yes, no)
        before = self._slots
        after: list[set[tuple[str, str]]] = []
        for block, statements in ((yes, node.body), (no, node.orelse)):
            self._slots = {**before}
            self._continue_at(block)
            self._all(statements)
            if not self._builder.block.is_terminated:
                after.append({*self._slots.items()})
            self._go(end)
        self._slots = dict(set.intersection(*after)) if after else before
        self._continue_at(end)

    @contextmanager
    def _loop(self, node: ast.While | ast.For, again: Any, end: Any) -> Iterator[None]:
        if node.orelse:
            raise NotPlain("else of a loop")
        before = {**self._slots}
        self._loops.append((again, end, before))
        yield
        self._all(node.body)
        self._turn(again)
        self._loops.pop()
        self._slots = before
        self._continue_at(end)

    def _turn(self, block: Any) -> None:
        """End a turn of the innermost loop: what was set before it is still the same variable."""
        before = self._loops[-1][2]
        if not self._builder.block.is_terminated and not before.items() <= self._slots.items():
            raise NotPlain(f"{sorted(dict(before.items() - self._slots.items()))} become something else in a loop")
        self._go(block)

    def visit_Break(self, _: ast.Break) -> None:
        """Leave the loop."""
        self._turn(self._loops[-1][1])

    def visit_Continue(self, _: ast.Continue) -> None:
        """The loop's next turn."""
        self._turn(self._loops[-1][0])

    def visit_While(self, node: ast.While) -> None:
        """`while test:`."""
        test, body, end = (self._builder.append_basic_block(name) for name in ("while", "body", "end"))
        with self._loop(node, test, end):
            self._go(test)
            self._continue_at(test)
            self._branch(node.test, body, end)
            self._continue_at(body)

    def visit_For(self, node: ast.For) -> None:
        """`for i in range(...)`, of int64; how often is known before the first turn, as Numba has it."""
        first, stop, step = self._range(node)
        counter = _cgutils.alloca_once_value(self._builder, first)
        left = _cgutils.alloca_once_value(self._builder, self._turns(first, stop, step))
        test, body, following, end = (self._builder.append_basic_block(n) for n in ("for", "body", "next", "end"))
        with self._loop(node, following, end):
            self._go(test)
            self._builder.position_at_end(following)
            for place, by in ((counter, step), (left, _I64(-1))):
                self._builder.store(self._builder.add(self._builder.load(place, typ=_I64), by), place)
            self._go(test)
            self._continue_at(test)
            more = self._builder.icmp_signed(">", self._builder.load(left, typ=_I64), _I64(0))
            self._builder.cbranch(more, body, end)
            self._reached |= {body, end}
            self._continue_at(body)
            self._assign(node.target, Value(types.int64, self._builder.load(counter, typ=_I64)))

    def _range(self, node: ast.For) -> tuple[Any, Any, Any]:
        call = node.iter
        if not isinstance(call, ast.Call) or self._constant(call.func) is not range or call.keywords:
            raise NotPlain(f"for in {ast.unparse(call)}")
        bounds = [self.visit(bound) for bound in call.args]
        if len(bounds) == 1:
            bounds.insert(0, self._value_of(0))
        if len(bounds) == 2:
            bounds.append(self._value_of(1))
        if (len(call.args) == 3 and self._constant(call.args[2]) == 0) or any(
            bound.type != types.int64 for bound in bounds
        ):
            raise NotPlain(f"for in {ast.unparse(call)}")
        first, stop, step = (bound.llvm for bound in bounds)
        return first, stop, step

    def _turns(self, first: Any, stop: Any, step: Any) -> Any:
        """Of a range; none where the step turns out to be zero."""
        builder, zero = self._builder, _I64(0)
        far, moves = builder.sub(stop, first), builder.icmp_signed("!=", step, zero)
        by = builder.select(moves, step, _I64(1))
        onward = builder.icmp_signed(">=", builder.xor(far, step), zero)  # of one sign
        uneven = builder.icmp_signed("!=", builder.srem(far, by), zero)
        turns = builder.add(builder.sdiv(far, by), builder.zext(uneven, _I64))
        return builder.select(builder.and_(moves, onward), turns, zero)


def translated(export: Any, inline: bool = False) -> str:
    """LLVM IR of an export and of all that it calls; with `inline`, as one function.

    Raises:
        NotPlain: something in it is not known here.
    """
    flags: Any = compiler.Flags()  # type: ignore[no-untyped-call]
    flags.error_model, flags.nrt, flags.no_cpython_wrapper, flags.no_cfunc_wrapper = "numpy", False, True, True
    configured: Any = ConfigStack
    module = _Module(export.name, inline)
    with configured().enter(flags), module.context.push_code_library(module.library):
        try:
            llvm, kind = module.function(export.function, export.arguments)
        except (NumbaError, NotImplementedError, RecursionError) as error:
            raise NotPlain(str(error)) from error
        symbol = ir.Function(module.llvm, ir.FunctionType(_I64, [_I64] * export.nargs), export.name)
        builder = ir.IRBuilder(symbol.append_basic_block())
        value = builder.call(llvm, module.context.get_arg_packer(export.arguments).from_arguments(builder, symbol.args))
        builder.ret(module.context.cast(builder, value, kind, types.int64))
    return str(module.llvm)
