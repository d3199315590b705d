"""Masks of vectors and tensors of bool: a byte per element, stored as 0 or 1; any byte but 0 is true."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_native.vector import PARTS, Vector, first_lanes, join, m32x, m64x, masked, split

_I8, _I64 = ir.IntType(8), ir.IntType(64)


def _pointers(builder: Any, vector: Vector, address: Any) -> list[Any]:
    width = vector.part.count
    places = [builder.add(address, ir.Constant(_I64, width * i)) for i in range(PARTS)]
    return [builder.inttoptr(p, ir.PointerType()) for p in places]


def _load_mask(vector: Vector) -> Any:
    @intrinsic
    def load_mask(typingctx: Any, address: Any, count: Any) -> Any:
        """The mask that the first `count` bytes say; the other lanes are false and their bytes are not touched."""
        flags = ir.VectorType(_I8, vector.part.count)
        name = f"llvm.masked.load.v{vector.part.count}i8.p0"

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            zero = ir.Constant(flags, [0] * flags.count)
            places = zip(_pointers(builder, vector, args[0]), first_lanes(builder, vector, args[1]), strict=True)
            loaded = [masked(builder, name, flags, [p, lanes, zero], 0, 1) for p, lanes in places]
            return join(builder, vector, [builder.icmp_unsigned("!=", b, zero) for b in loaded])

        return vector(types.int64, types.int64), codegen

    return load_mask


def _store_mask(vector: Vector) -> Any:
    @intrinsic
    def store_mask(typingctx: Any, address: Any, mask: Any) -> Any:
        """Store one byte per lane: 1 where the mask is set, else 0."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            for part, place in zip(split(builder, args[1]), _pointers(builder, vector, args[0]), strict=True):
                builder.store(builder.zext(part, ir.VectorType(_I8, vector.part.count)), place, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, vector), codegen

    return store_mask


def _store_first_mask(vector: Vector) -> Any:
    @intrinsic
    def store_first_mask(typingctx: Any, address: Any, mask: Any, count: Any) -> Any:
        """Store the first `count` lanes of a mask, one byte each."""
        flags = ir.VectorType(_I8, vector.part.count)
        name = f"llvm.masked.store.v{vector.part.count}i8.p0"

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            lanes = first_lanes(builder, vector, args[2])
            parts = split(builder, args[1])
            for part, place, first in zip(parts, _pointers(builder, vector, args[0]), lanes, strict=True):
                masked(builder, name, ir.VoidType(), [builder.zext(part, flags), place, first], 1, 1)
            return context.get_dummy_value()

        return types.void(types.int64, vector, types.int64), codegen

    return store_first_mask


load_mask32, load_mask64 = _load_mask(m32x), _load_mask(m64x)
store_mask32, store_mask64 = _store_mask(m32x), _store_mask(m64x)
store_first_mask32, store_first_mask64 = _store_first_mask(m32x), _store_first_mask(m64x)
