"""Eight full trees of one depth, from their roots to their leaves, without a branch.

    thresholds [8, width] u32 | keys [8, width] u8 | last [8, width] of (threshold, key, low, high) u32      width = 2 ** (depth - 1)

Branch n has the children 2n and 2n + 1, the root is 1. The last branch of a way is n - width in a table of its own, beside what its
two leaves say. So children need no loads, and a way touches few lines.

    n = 2n + (thresholds[n] < x[keys[n]])       depth - 1 times: an addition with the comparison's carry, and three loads
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.interface.trees import FLAT_DEPTHS
from rt_engine.kernels.parts.shapes import switch_to

_TREES, _LAST = 8, 16
"""Trees of a group; bytes of a last branch."""
_I8, _I32, _I64 = (ir.IntType(n) for n in (8, 32, 64))


class _Group:
    """Emits the ways down one group of eight trees."""

    def __init__(self, builder: Any, depth: int, base: Any, x: Any) -> None:
        self.builder, self.levels, self.width, self.x = builder, depth - 1, 1 << (depth - 1), x
        self.thresholds = base
        self.keys = builder.add(base, _I64(4 * _TREES * self.width))
        self.last = builder.add(base, _I64(5 * _TREES * self.width))

    def ends(self) -> list[Any]:
        """The numbers of the eight last branches; the trees go down side by side, so that none waits for another."""
        ends: list[Any] = [_I64(1)] * _TREES
        for _ in range(self.levels):
            ends = [self._step(tree * self.width, n) for tree, n in enumerate(ends)]
        return ends

    def leaf(self, tree: int, n: Any) -> Any:
        """The address of what the leaf says to which the last branch leads."""
        builder = self.builder
        table = builder.add(self.last, _I64(_LAST * self.width * (tree - 1)))
        at = self._apart(builder.mul(n, _I64(_LAST)))
        branch = builder.add(table, at)
        above = builder.zext(self._is_above(branch, self._load(builder.add(branch, _I64(4)), _I32)), _I64)
        return self._apart(builder.add(builder.add(branch, _I64(8)), builder.mul(above, _I64(4))))

    def _apart(self, value: Any) -> Any:
        """The same int64; LLVM is not told where it comes from: of eight times the same it would make vectors, which take longer."""
        return self.builder.asm(ir.FunctionType(_I64, [_I64]), "", "=r,0", [value], False)

    def _load(self, address: Any, kind: Any) -> Any:
        pointer = self.builder.inttoptr(address, kind.as_pointer())
        return self.builder.load(pointer, typ=kind, align=kind.width // 8)

    def _element(self, start: Any, n: Any, kind: Any) -> Any:
        """Element n of a table."""
        return self._load(self.builder.add(start, self.builder.mul(n, _I64(kind.width // 8))), kind)

    def _is_above(self, threshold: Any, key: Any) -> Any:
        """Is the x with this number above what stands at an address?"""
        x = self._element(self.x, self.builder.zext(key, _I64), _I32)
        return self.builder.icmp_unsigned("<", self._load(threshold, _I32), x)

    def _step(self, first: int, n: Any) -> Any:
        """The child of a branch of the tree whose tables begin at `first`."""
        builder = self.builder
        key = self._element(builder.add(self.keys, _I64(first)), n, _I8)
        threshold = builder.add(builder.add(self.thresholds, _I64(4 * first)), builder.mul(n, _I64(4)))
        twice = self._apart(builder.add(n, n))  # or else the sum becomes an "or", which takes no carry
        return self._apart(builder.add(twice, builder.zext(self._is_above(threshold, key), _I64)))


@intrinsic
def walk_flat(typingctx: Any, base: Any, depth: Any, x: Any) -> Any:
    """walk_flat(group, depth, x): the addresses of what the eight leaves say at which the trees of a group end."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base, depth, x = args
        cells = [cgutils.alloca_once(builder, _I64) for _ in range(_TREES)]

        def emit(shape: Any) -> None:
            group = _Group(builder, shape[0], base, x)
            for tree, n in enumerate(group.ends()):
                builder.store(group.leaf(tree, n), cells[tree])

        switch_to(builder, [depth], [(d,) for d in FLAT_DEPTHS], emit)
        return context.make_tuple(builder, signature.return_type, [builder.load(cell, typ=_I64) for cell in cells])

    return types.UniTuple(types.int64, _TREES)(*[types.int64] * 3), codegen
