"""DepthToSpace, SpaceToDepth: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html"""

from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import reshaped, transposed


@operator("DepthToSpace", since=1, any_type=True)
def depth_to_space(node: Node, build: Builder) -> None:
    """Channels become blocks of space: depth, column, row (DCR) or column, row, depth (CRD)."""
    n, channels, *space = node.x.shape
    block, mode, rank = int(node.attr("blocksize")), node.attr("mode", "DCR"), len(space)
    node.require(mode in ("DCR", "CRD"), f"mode '{mode}'", "use DCR or CRD")
    depth = channels // block**rank
    blocks = [block] * rank
    first = (*blocks, depth) if mode == "DCR" else (depth, *blocks)
    at = 1 + rank if mode == "DCR" else 1
    where = [1 + i if mode == "DCR" else 2 + i for i in range(rank)]
    split = reshaped(build, node.x, (n, *first, *space))
    perm = [0, at, *(p for i in range(rank) for p in (2 + rank + i, where[i]))]
    moved = transposed(build, split, perm)
    build.alias(node.y, reshaped(build, moved, node.y.shape))


@operator("SpaceToDepth", since=1, any_type=True)
def space_to_depth(node: Node, build: Builder) -> None:
    """Blocks of space become channels, in the order of DCR (the default) or CRD."""
    n, channels, *space = node.x.shape
    block, mode, rank = int(node.attr("blocksize")), node.attr("mode", "DCR"), len(space)
    node.require(mode in ("DCR", "CRD"), f"mode '{mode}'", "use DCR or CRD")
    parts = [p for size in space for p in (size // block, block)]
    split = reshaped(build, node.x, (n, channels, *parts))
    blocks, places = [3 + 2 * i for i in range(rank)], [2 + 2 * i for i in range(rank)]
    perm = [0, *((*blocks, 1) if mode == "DCR" else (1, *blocks)), *places]
    moved = transposed(build, split, perm)
    build.alias(node.y, reshaped(build, moved, node.y.shape))
