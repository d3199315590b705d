"""Lanes of virtual vectors in another order: pairs taken apart and put together, lanes reversed."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from rt_native.vector import PARTS, Vector, join, split


def _shuffled(builder: Any, a: Any, b: Any, lanes: Sequence[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes)))


def _of_two(parts: Callable[[Any, list[Any], list[Any]], list[Any]]) -> Any:
    @intrinsic
    def function(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return join(builder, a, parts(builder, split(builder, args[0]), split(builder, args[1])))

        return (a(a, b), codegen) if isinstance(a, Vector) and a is b else None

    return function


def _every_second(first: int) -> Any:
    def parts(builder: Any, a: list[Any], b: list[Any]) -> list[Any]:
        whole, width = a + b, a[0].type.count
        lanes = range(first, 2 * width, 2)
        return [_shuffled(builder, whole[2 * i], whole[2 * i + 1], lanes) for i in range(PARTS)]

    return _of_two(parts)


def _zipped(half: int) -> Any:
    def parts(builder: Any, a: list[Any], b: list[Any]) -> list[Any]:
        width = a[0].type.count
        order = [lane for i in range(width) for lane in (i, width + i)]
        pieces = [
            _shuffled(builder, x, y, piece)
            for x, y in zip(a, b, strict=True)
            for piece in (order[:width], order[width:])
        ]
        return pieces[half * PARTS : (half + 1) * PARTS]

    return _of_two(parts)


evens, odds = _every_second(0), _every_second(1)
"""Of two vectors that follow each other in memory: lanes 0, 2, 4, ... and lanes 1, 3, 5, ..."""
zip_low, zip_high = _zipped(0), _zipped(1)
"""Of two vectors: a0 b0 a1 b1 ..., the first vector of it and the second."""


@intrinsic
def reversed_lanes(typingctx: Any, a: Any) -> Any:
    """The last lane first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = split(builder, args[0])
        backwards = range(parts[0].type.count - 1, -1, -1)
        return join(builder, a, [_shuffled(builder, p, p, backwards) for p in reversed(parts)])

    return a(a), codegen
