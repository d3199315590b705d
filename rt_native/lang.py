"""The language of native modules: what a function that Numba compiles for us may call.

Only a native module imports this file, and only the compiler imports a native module: at run time Numba is not loaded.

Everything is an `int64` (a number or an address), a float, or a vector (`rt_native.vector`). Loads and stores take an
address; there are no arrays, no objects, no exceptions and no allocation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic

OPTIONS: dict[str, Any] = {
    "error_model": "numpy",  # division by zero gives inf, not an exception
    "boundscheck": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,  # no reference counting
}


@dataclass(frozen=True)
class Export:
    """A function that becomes a symbol of the object: all arguments and the result are int64."""

    name: str
    function: Callable[..., Any]
    nargs: int
    arguments: tuple[Any, ...]
    """Numba's types of what the function takes: `nargs` int64, or one struct of so many."""


EXPORTS: dict[str, list[Export]] = {}
"""Module name -> what it exports, in the order of definition."""


def export(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    module: str | None = None,
    struct: tuple[Any, int] | None = None,
) -> Callable[..., Any]:
    """Make `function` a symbol of the library. It stays callable from other native functions, inlined.

    `name` and `module` are for functions made by a factory; they default to the function's own. `struct` is for a function whose
    only argument is a struct: its Numba type, and of how many int64 it is, which the symbol gets one by one.
    """
    name = name or function.__name__
    nargs = function.__code__.co_argcount
    arguments: tuple[Any, ...] = (types.int64,) * nargs
    if struct is not None:
        arguments, nargs = struct[:1], struct[1]
    EXPORTS.setdefault(module or function.__module__, []).append(Export(name, function, nargs, arguments))
    return inline(function)


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make `function` callable from native functions; it is always inlined."""
    compiled: Callable[..., Any] = numba.njit(forceinline=True, **OPTIONS)(function)
    return compiled


# --- memory ------------------------------------------------------------------------------------------------------------


def _pointer(builder: Any, address: Any, element: Any) -> Any:
    return builder.inttoptr(address, element.as_pointer())


def _loader(numba_type: Any, llvm_type: Any, alignment: int) -> Any:
    @intrinsic
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(_pointer(builder, args[0], llvm_type), typ=llvm_type)
            value.align = alignment
            return value

        return numba_type(types.int64), codegen

    return load


def _storer(numba_type: Any, llvm_type: Any, alignment: int) -> Any:
    @intrinsic
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            instruction = builder.store(args[1], _pointer(builder, args[0], llvm_type))
            instruction.align = alignment
            return context.get_dummy_value()

        return types.void(types.int64, numba_type), codegen

    return store


_I8, _I16, _I32, _I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
load_i8, store_i8 = _loader(types.int8, _I8, 1), _storer(types.int8, _I8, 1)
load_u8, store_u8 = _loader(types.uint8, _I8, 1), _storer(types.uint8, _I8, 1)
load_i16, store_i16 = _loader(types.int16, _I16, 2), _storer(types.int16, _I16, 2)
load_u16, store_u16 = _loader(types.uint16, _I16, 2), _storer(types.uint16, _I16, 2)
load_i32, store_i32 = _loader(types.int32, _I32, 4), _storer(types.int32, _I32, 4)
load_u32 = _loader(types.uint32, _I32, 4)
load_i64, store_i64 = _loader(types.int64, _I64, 8), _storer(types.int64, _I64, 8)
load_u64 = _loader(types.uint64, _I64, 8)
load_f32, store_f32 = _loader(types.float32, ir.FloatType(), 4), _storer(types.float32, ir.FloatType(), 4)
load_f64, store_f64 = _loader(types.float64, ir.DoubleType(), 8), _storer(types.float64, ir.DoubleType(), 8)


@intrinsic
def copy_bytes(typingctx: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes; the areas must not overlap."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8)
        cgutils.raw_memcpy(builder, _pointer(builder, args[0], byte), _pointer(builder, args[1], byte), args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def fill_bytes(typingctx: Any, to: Any, value: Any, count: Any) -> Any:
    """Set `count` bytes to `value` (0 to 255)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8)
        cgutils.memset(builder, _pointer(builder, args[0], byte), args[2], builder.trunc(args[1], byte))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def stack(typingctx: Any, nbytes: Any) -> Any:
    """Address of `nbytes` (a constant) of this function's stack, 64-byte aligned. Call it once, outside of loops."""
    if not isinstance(nbytes, types.IntegerLiteral):
        raise RequireLiteralValue("stack() takes a constant number of bytes")
    size = nbytes.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        with builder.goto_entry_block():
            area = builder.alloca(ir.ArrayType(_I8, size))
        area.align = 64
        return builder.ptrtoint(area, _I64)

    return types.int64(nbytes), codegen


# --- atomics: one 64-bit word; every operation is sequentially consistent unless it says less ----------------------------


@intrinsic
def atomic_load(typingctx: Any, address: Any) -> Any:
    """The word at `address`; what its writer wrote before storing it is visible after this (acquire)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(builder, args[0], _I64), "acquire", 8, typ=_I64)

    return types.int64(types.int64), codegen


@intrinsic
def atomic_store(typingctx: Any, address: Any, value: Any) -> Any:
    """Set the word at `address`; everything written before is visible to who loads it (release)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _pointer(builder, args[0], _I64), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def atomic_exchange(typingctx: Any, address: Any, value: Any) -> Any:
    """Set the word at `address` and return what it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("xchg", _pointer(builder, args[0], _I64), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


# --- calls -------------------------------------------------------------------------------------------------------------


def _indirect(nargs: int) -> Any:
    signature = types.int64(types.int64, *([types.int64] * nargs))
    function_type = ir.FunctionType(_I64, [_I64] * nargs)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(builder.inttoptr(args[0], function_type.as_pointer()), args[1:])

    return signature, codegen


@intrinsic
def call2(typingctx: Any, function: Any, a: Any, b: Any) -> Any:
    """Call the function at an address with two int64; gives its int64."""
    return _indirect(2)


@intrinsic
def call1(typingctx: Any, function: Any, a: Any) -> Any:
    """Call the function at an address with one int64; gives its int64."""
    return _indirect(1)


@intrinsic
def call5(typingctx: Any, function: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """Call the function at an address with five int64; gives its int64."""
    return _indirect(5)


CLOCK_MONOTONIC = 1


def _libc(name: str, parameters: str) -> Any:
    """A libc function: `i` is a 32-bit int, `p` a pointer or a 64-bit integer; gives its 32-bit result as int64."""
    llvm_types = [_I32 if p == "i" else _I64 for p in parameters]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, llvm_types), name)
        values = [builder.trunc(a, _I32) if p == "i" else a for a, p in zip(args, parameters, strict=True)]
        return builder.sext(builder.call(function, values), _I64)

    return types.int64(*([types.int64] * len(parameters))), codegen


@intrinsic
def clock_gettime(typingctx: Any, clock: Any, timespec: Any) -> Any:
    """clock_gettime(2): `timespec` is the address of 16 bytes."""
    return _libc("clock_gettime", "ip")


@inline
def now_ns(timespec):
    """CLOCK_MONOTONIC in nanoseconds; `timespec` is the address of 16 bytes to work in."""
    clock_gettime(CLOCK_MONOTONIC, timespec)
    return load_i64(timespec) * 1_000_000_000 + load_i64(timespec + 8)


@intrinsic
def clock_nanosleep(typingctx: Any, clock: Any, flags: Any, request: Any, remain: Any) -> Any:
    """clock_nanosleep(2): sleeps; gives 0, or an errno (EINTR = 4)."""
    return _libc("clock_nanosleep", "iipp")


@intrinsic
def getrusage(typingctx: Any, who: Any, usage: Any) -> Any:
    """getrusage(2): `usage` is the address of 144 bytes; RUSAGE_THREAD = 1."""
    return _libc("getrusage", "ip")


# --- floating-point environment ------------------------------------------------------------------------------------------

_FLUSH_X86 = 0x8040  # MXCSR: flush results to zero (bit 15), take denormal inputs as zero (bit 6)
_FLUSH_ARM = 1 << 24  # FPCR: FZ


def _is_x86(builder: Any) -> bool:
    return bool(builder.module.triple.startswith("x86_64"))


@intrinsic
def flush_denormals(typingctx: Any) -> Any:
    """Denormals become zero in this thread from here on; gives what `restore_float_mode` wants back."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _is_x86(builder):
            word = cgutils.alloca_once(builder, _I32)
            csr = ir.FunctionType(ir.VoidType(), [ir.PointerType()])
            load = cgutils.get_or_insert_function(builder.module, csr, "llvm.x86.sse.ldmxcsr")
            keep = cgutils.get_or_insert_function(builder.module, csr, "llvm.x86.sse.stmxcsr")
            builder.call(keep, [word])
            old = builder.load(word, typ=_I32)
            builder.store(builder.or_(old, ir.Constant(_I32, _FLUSH_X86)), word)
            builder.call(load, [word])
            return builder.zext(old, _I64)
        old = builder.asm(ir.FunctionType(_I64, []), "mrs $0, fpcr", "=r", [], True)
        flush = builder.or_(old, ir.Constant(_I64, _FLUSH_ARM))
        builder.asm(ir.FunctionType(ir.VoidType(), [_I64]), "msr fpcr, $0", "r", [flush], True)
        return old

    return types.int64(), codegen


@intrinsic
def restore_float_mode(typingctx: Any, mode: Any) -> Any:
    """Undo `flush_denormals`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _is_x86(builder):
            word = cgutils.alloca_once(builder, _I32)
            csr = ir.FunctionType(ir.VoidType(), [ir.PointerType()])
            load = cgutils.get_or_insert_function(builder.module, csr, "llvm.x86.sse.ldmxcsr")
            builder.store(builder.trunc(args[0], _I32), word)
            builder.call(load, [word])
        else:
            builder.asm(ir.FunctionType(ir.VoidType(), [_I64]), "msr fpcr, $0", "r", [args[0]], True)
        return context.get_dummy_value()

    return types.void(types.int64), codegen
