"""Elements at computed places, a vector of them at a time."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_native.vector import Vector, i32x, i64x, join, masked, splat_part, split, suffix

_I64 = ir.IntType(64)


def make_gather(vector: Vector) -> Any:
    """gather(address, index, outside): the elements at the lanes of an integer vector; `outside` where one is negative."""
    indices, nbytes = (i32x, 4) if vector.bits == 32 else (i64x, 8)

    @intrinsic
    def gather(typingctx: Any, address: Any, index: Any, outside: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            count = vector.part.count
            wide = ir.VectorType(_I64, count)
            base = _repeat(builder, args[0], wide)
            fill = splat_part(builder, vector, args[2])
            name = f"llvm.masked.gather.{suffix(vector)}.v{count}p0"
            parts = []
            for part in split(builder, args[1]):
                inside = builder.icmp_signed(">=", part, ir.Constant(part.type, [0] * count))
                place = builder.sext(part, wide) if part.type != wide else part
                place = builder.add(base, builder.mul(place, ir.Constant(wide, [nbytes] * count)))
                pointers = builder.inttoptr(place, ir.VectorType(ir.PointerType(), count))
                parts.append(masked(builder, name, vector.part, [pointers, inside, fill], 0, nbytes))
            return join(builder, vector, parts)

        return vector(types.int64, indices, vector.scalar), codegen

    return gather


def _repeat(builder: Any, scalar: Any, part: Any) -> Any:
    undefined = ir.Constant(part, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), part.count), [0] * part.count)
    )
