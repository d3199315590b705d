"""Code of several shapes: each is code of its own, a switch leads to it; and it is compiled once, however often it is called."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from llvmlite import ir

_I64 = ir.IntType(64)


def switch_to(
    builder: Any, keys: Sequence[Any], shapes: Sequence[tuple[int, ...]], emit: Callable[[Any], None]
) -> None:
    """Code for each shape, of which the one runs that has the values of `keys` (int64, below 256)."""

    key = reduce(lambda so_far, one: builder.add(builder.shl(so_far, _I64(8)), one), keys)
    end = builder.append_basic_block("tile.end")
    switch = builder.switch(key, end)
    for shape in shapes:
        block = builder.append_basic_block(f"tile.{'x'.join(map(str, shape))}")
        switch.add_case(_I64(reduce(lambda so_far, one: (so_far << 8) + one, shape)), block)
        builder.position_at_end(block)
        emit(shape)
        builder.branch(end)
    builder.position_at_end(end)


def call_once(builder: Any, name: str, args: Sequence[Any], emit: Callable[[Any, Sequence[Any]], None]) -> None:
    """Call the module's function of this name; `emit(builder, args)` writes its body where there is none yet."""
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in args])
        function = ir.Function(builder.module, kind, name)
        function.linkage = "linkonce_odr"
        body = ir.IRBuilder(function.append_basic_block())
        emit(body, function.args)
        body.ret_void()
    builder.call(function, args)
