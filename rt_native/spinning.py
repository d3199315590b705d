"""Waiting without the kernel, and being woken by it where nothing is in a hurry. Only native modules import this file."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_PAUSE = {
    "x86_64": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.hint", (1,)),
    "armv7": ("llvm.arm.hint", (1,)),
}
"""Kind of machine -> (intrinsic, its arguments): the hint 1 of Arm is `yield`."""


@intrinsic
def pause(typingctx: Any) -> Any:
    """Tell the processor that this is a loop that waits: it saves power, and leaves the core to its other thread."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name, numbers = _PAUSE[builder.module.triple.partition("-")[0]]
        kind = ir.FunctionType(ir.VoidType(), [_I32] * len(numbers))
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [_I32(n) for n in numbers])
        return context.get_dummy_value()

    return types.void(), codegen


def _semaphore(name: str, parameters: str) -> Any:
    """A function of libc on a semaphore: `i` is a 32-bit int, `p` an address; gives its result."""
    kinds = [_I32 if p == "i" else _I64 for p in parameters]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, kinds), name)
        values = [builder.trunc(a, _I32) if p == "i" else a for a, p in zip(args, parameters, strict=True)]
        return builder.sext(builder.call(function, values), _I64)

    return types.int64(*([types.int64] * len(parameters))), codegen


SEMAPHORE_BYTES = 32
"""Of a `sem_t`, on every Linux that we know."""


@intrinsic
def sem_init(typingctx: Any, semaphore: Any, shared: Any, value: Any) -> Any:
    """sem_init(3)."""
    return _semaphore("sem_init", "pii")


@intrinsic
def sem_post(typingctx: Any, semaphore: Any) -> Any:
    """sem_post(3): wakes one that waits; a system call only if one does."""
    return _semaphore("sem_post", "p")


@intrinsic
def sem_wait(typingctx: Any, semaphore: Any) -> Any:
    """sem_wait(3); gives -1 where a signal came first."""
    return _semaphore("sem_wait", "p")
