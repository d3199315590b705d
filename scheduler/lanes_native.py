"""Eight float64 at a time (`rt_native.vector`), loaded from float32 and stored as such: what a tensor usually holds."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_native.lang import inline
from rt_native.vector import BYTES, PARTS, f64x, join, select, splat_i64x, split

LANES = f64x.lanes
_NARROW = ir.VectorType(ir.FloatType(), LANES // PARTS)


def _pointers(builder: Any, address: Any) -> list[Any]:
    step = BYTES // 2 // PARTS
    places = [builder.add(address, ir.Constant(ir.IntType(64), step * part)) for part in range(PARTS)]
    return [builder.inttoptr(place, _NARROW.as_pointer()) for place in places]


@intrinsic
def load_singles(typingctx: Any, address: Any) -> Any:
    """Eight float32 in a row, as float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = [builder.load(p, typ=_NARROW, align=4) for p in _pointers(builder, args[0])]
        return join(builder, f64x, [builder.fpext(part, f64x.part) for part in loaded])

    return f64x(types.int64), codegen


@intrinsic
def store_singles(typingctx: Any, address: Any, value: Any) -> Any:
    """Eight float64 as float32 in a row, each rounded to the nearest (ties to even)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for part, pointer in zip(split(builder, args[1]), _pointers(builder, args[0]), strict=True):
            builder.store(builder.fptrunc(part, _NARROW), pointer, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, f64x), codegen


@inline
def ones(mask):  # type: ignore[no-untyped-def]
    """1 in each lane that is set, for counting."""
    return select(mask, splat_i64x(1), splat_i64x(0))
