"""Copies that leave the caches alone: for much that nobody reads soon.

A store that streams goes to memory in whole lines, without reading them first, and displaces nothing that this core works on. It
is not ordered with others: `streamed` comes before who waits for it is told.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_native.lang import inline, load_i64, store_i64
from rt_native.vector import call_llvm

_I64 = ir.IntType(64)
_LINE = ir.VectorType(_I64, 8)
_LINE_BYTES = 64


@intrinsic
def _stream_line(typingctx: Any, to: Any, source: Any) -> Any:
    """64 bytes from any address that is a multiple of 8, to one that is a multiple of 64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = builder.load(builder.inttoptr(args[1], _LINE.as_pointer()), typ=_LINE)
        line.align = 8
        store = builder.store(line, builder.inttoptr(args[0], _LINE.as_pointer()))
        store.align = _LINE_BYTES
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def streamed(typingctx: Any) -> Any:
    """All that was streamed before is seen before what is stored after. On other processors than x86 a release alone does that."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if builder.module.triple.startswith("x86_64"):
            call_llvm(builder, "llvm.x86.sse.sfence", ir.VoidType(), [])
        return context.get_dummy_value()

    return types.void(), codegen


@inline
def stream_words(to, source, nbytes):  # type: ignore[no-untyped-def]
    """Copy whole words of 8 bytes, between addresses that are multiples of 8."""
    end = to + nbytes
    while to < end and to % _LINE_BYTES != 0:
        store_i64(to, load_i64(source))
        to += 8
        source += 8
    while to + _LINE_BYTES <= end:
        _stream_line(to, source)
        to += _LINE_BYTES
        source += _LINE_BYTES
    while to < end:
        store_i64(to, load_i64(source))
        to += 8
        source += 8
