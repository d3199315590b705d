"""Elements of an integer tensor of any type, one at a time, as int64."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.interface.dtypes import INTEGERS, DType
from rt_native.lang import inline

_I64 = ir.IntType(64)
_1, _2, _4 = (tuple(int(t) for t in INTEGERS if t.nbytes == nbytes) for nbytes in (1, 2, 4))


@inline
def bytes_of(code):
    """Bytes of an element of a type."""
    if code in _1:
        return 1
    if code in _2:
        return 2
    if code in _4:
        return 4
    return 8


def _by_type(builder: Any, code: Any, emit: Callable[[DType], None]) -> None:
    """Branch to the code of a type; a number that is no integer type does nothing."""
    behind = builder.append_basic_block("behind")
    switch = builder.switch(code, behind)
    for t in INTEGERS:
        block = builder.append_basic_block(t.numpy)
        switch.add_case(_I64(int(t)), block)
        builder.position_at_end(block)
        emit(t)
        builder.branch(behind)
    builder.position_at_end(behind)


@intrinsic
def load_int(typingctx: Any, address: Any, code: Any) -> Any:
    """The element at an address, in 64 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = cgutils.alloca_once_value(builder, _I64(0))

        def load(t: DType) -> None:
            element = ir.IntType(8 * t.nbytes)
            value = builder.load(builder.inttoptr(args[0], element.as_pointer()), typ=element, align=t.nbytes)
            if t.nbytes < 8:
                value = (builder.sext if t.kind == "i" else builder.zext)(value, _I64)
            builder.store(value, found)

        _by_type(builder, args[1], load)
        return builder.load(found, typ=_I64)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store_int(typingctx: Any, address: Any, value: Any, code: Any) -> Any:
    """Cut a value to the type and store it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def store(t: DType) -> None:
            element = ir.IntType(8 * t.nbytes)
            value = builder.trunc(args[1], element) if t.nbytes < 8 else args[1]
            builder.store(value, builder.inttoptr(args[0], element.as_pointer()), align=t.nbytes)

        _by_type(builder, args[2], store)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen
