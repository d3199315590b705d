"""Movement kernels against NumPy. They use no virtual vectors, so one lane width stands for all."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.interface.strides import MAX_RANK, contiguous, copy_table
from rt_engine.status import Status
from rt_native.library import Library
from tests.rt_engine.kernels.calling import Call, call

LIBRARY = Library("test-movement", ("rt_engine.kernels.movement",))
BY_SIZE = {1: np.uint8, 2: np.int16, 4: np.float32, 8: np.float64}
SIZES = sorted(BY_SIZE)


def numbered(shape: tuple[int, ...], nbytes: int) -> NDArray[Any]:
    """Elements that differ from their neighbours."""
    return (np.arange(int(np.prod(shape))) % 251).astype(BY_SIZE[nbytes]).reshape(shape)


def copied(x: NDArray[Any], view: NDArray[Any], out: NDArray[Any], out_view: NDArray[Any]) -> NDArray[Any]:
    """Copy `view` (of x) to `out_view` (of out) with the kernel; gives out."""
    n = x.itemsize
    table = copy_table(view.shape, [s // n for s in view.strides], [s // n for s in out_view.strides])
    first_in = (view.ctypes.data - x.ctypes.data) // n if view.size else 0
    first_out = (out_view.ctypes.data - out.ctypes.data) // n if view.size else 0
    operands = [x, out, table]
    return call(LIBRARY, f"copy_strided_{n}", operands, [len(table), first_in, first_out], weights=[2])[1]


@pytest.mark.parametrize("shape", [(7, 9), (40, 3), (33, 17), (3, 4, 5), (2, 3, 4, 5)])
def test_parts_of_the_first_dimension_are_the_whole(shape: tuple[int, ...]) -> None:
    """What lies outside of a part is not touched, whatever the order of the axes."""
    for nbytes, axes in itertools.product(SIZES, itertools.permutations(range(len(shape)))):
        view = numbered(shape, nbytes).transpose(axes)
        table = copy_table(view.shape, [s // nbytes for s in view.strides], contiguous(view.shape))
        size, out = int(table[0, 0]), np.zeros(view.shape, view.dtype)
        for begin, outer in ((0, size // 2), (size // 2, size - size // 2)):
            if outer:
                sizes = [len(table), 0, 0, outer, 0, begin]
                part = call(
                    LIBRARY, f"copy_strided_{nbytes}", [view.base, np.zeros_like(out), table], sizes, weights=[2]
                )[1]
                assert not (part[out != 0] != 0).any(), axes
                out += part
        assert (out == view).all(), axes


def test_every_kernel_has_a_name() -> None:
    """A kernel without a name could not be called; `cast` has a module of its own."""
    names = {name.removeprefix("k_") for name in LIBRARY.exports}
    assert names == {
        "copy_blocks",
        "gather_blocks",
        "gather_blocks_checked",
        "fill",
        *(f"copy_strided_{n}" for n in BY_SIZE),
    }


@pytest.mark.parametrize("nbytes", SIZES)
@pytest.mark.parametrize(
    "shape",
    [(), (0, 3), (1, 1), (5,), (7, 9), (8, 16), (64, 64), (17, 33), (3, 1, 50), (2, 3, 4, 5), (2, 1, 3, 2, 2, 3)],
)
def test_transpose(shape: tuple[int, ...], nbytes: int) -> None:
    """Every permutation of axes equals NumPy's transpose."""
    x = numbered(shape, nbytes)
    for axes in itertools.islice(itertools.permutations(range(len(shape))), 0, None, 7 if len(shape) > 4 else 1):
        view = x.transpose(axes)
        out = np.zeros(view.shape, x.dtype)
        assert (copied(x, view, out, out) == view).all(), axes


@pytest.mark.parametrize("nbytes", SIZES)
def test_slice(nbytes: int) -> None:
    """Slices with steps, backwards too, equal NumPy's."""
    x = numbered((6, 11, 19), nbytes)
    for view in (
        x[::2],
        x[:, ::-1],
        x[1:5:3, 9:2:-2, ::-1],
        x[::-1, ::-1, ::-1],
        x[:, 3:3],
        x[2:3, 4:5, 6:7],
        x[..., 1::3],
    ):
        out = np.zeros(view.shape, x.dtype)
        assert (copied(x, view, out, out) == view).all()


@pytest.mark.parametrize("nbytes", SIZES)
@pytest.mark.parametrize(
    ("shape", "to"), [((1,), (40,)), ((3, 1), (3, 20)), ((1, 20), (3, 20)), ((2, 1, 3, 1), (4, 2, 5, 3, 6))]
)
def test_expand(shape: tuple[int, ...], to: tuple[int, ...], nbytes: int) -> None:
    """Stride 0 repeats, as NumPy's broadcast_to."""
    x = numbered(shape, nbytes)
    view = np.broadcast_to(x, to)
    out = np.zeros(to, x.dtype)
    assert (copied(x, view, out, out) == view).all()


@pytest.mark.parametrize("nbytes", SIZES)
def test_into_a_part_of_the_output(nbytes: int) -> None:
    """Only the part that is addressed changes: how Concat places its pieces."""
    out = np.full((5, 7, 9), 77, BY_SIZE[nbytes])
    for place in (np.s_[:, 2:4], np.s_[..., 8:], np.s_[::2, 1:, 3:5], np.s_[4]):
        x = numbered(out[place].shape, nbytes)
        expected = out.copy()
        expected[place] = x
        assert (copied(x, x, out, out[place]) == expected).all()


def test_table_is_small() -> None:
    """Dimensions that are one in both tensors are merged, and a transpose is seen as one."""
    shape = (1, 8, 8, 64)
    s = contiguous(shape)
    table = copy_table([shape[i] for i in (0, 3, 1, 2)], [s[i] for i in (0, 3, 1, 2)], contiguous((1, 64, 8, 8)))
    assert table.tolist() == [[64, 1, 64], [64, 64, 1]]
    assert copy_table((4, 5, 6), contiguous((4, 5, 6)), contiguous((4, 5, 6))).tolist() == [[1, 0, 0], [120, 1, 1]]


def test_table_refuses_too_many_dimensions() -> None:
    """More dimensions than the kernel has counters are refused, with both numbers."""
    rank = MAX_RANK + 1
    shape = (2,) * rank
    with pytest.raises(ValueError, match=f"{rank} dimensions; kernels have {MAX_RANK}"):
        copy_table(shape, contiguous(shape)[::-1], contiguous(shape))


@pytest.mark.parametrize("nbytes", [0, 1, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 1000, 1024, 1500])
def test_copy_blocks(nbytes: int) -> None:
    """Blocks of any number of bytes arrive, and nothing beside them changes."""
    x = numbered((3, 1600), 1)
    out = np.full((4, 2000), 9, np.uint8)
    expected = out.copy()
    expected[:3, 5 : 5 + nbytes] = x[:, 2 : 2 + nbytes]
    assert (call(LIBRARY, "copy_blocks", [x, out], [3, nbytes, 1600, 2000, 2, 5])[1] == expected).all()


@pytest.mark.parametrize("width", [1, 3, 4, 8, 17, 200])
@pytest.mark.parametrize("kind", [None, np.int32, np.int64])
def test_gather(kind: Any, width: int) -> None:
    """Gathering rows equals numpy.take; the checked kernel wraps negative indices."""
    x = numbered((2, 7, width), 1)
    index = np.array([0, 6, 3, 3, 1], np.int64)
    sizes = [2, 7, 5, width]
    kernel = "gather_blocks"
    if kind is not None:
        kernel, index = "gather_blocks_checked", np.array([0, -1, 6, -7, 3], kind)
        sizes.append(DType.INT32 if kind is np.int32 else DType.INT64)
    out = np.zeros((2, 5, width), np.uint8)
    assert (call(LIBRARY, kernel, [x, index, out], sizes)[2] == np.take(x, index, axis=1)).all()


@pytest.mark.parametrize("bad", [7, -8, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_gather_refuses_an_index(kind: Any, bad: int) -> None:
    """An index outside of the axis gives the status, and the output is not written."""
    code = DType.INT32 if kind is np.int32 else DType.INT64
    one = Call([numbered((7, 4), 4), np.array([0, bad], kind), np.full((2, 4), 5, np.float32)], [1, 7, 2, 16, code])
    assert one.run(LIBRARY, "gather_blocks_checked") == Status.INDEX_OUT_OF_RANGE
    assert (one.views[2] == 5).all()


@pytest.mark.parametrize("nbytes", SIZES)
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 64, 1000])
def test_fill(count: int, nbytes: int) -> None:
    """Every element becomes the value, and none behind the last."""
    value = np.array([3], BY_SIZE[nbytes])
    pattern = int(np.tile(value, 8 // nbytes).view(np.int64)[0])
    out = np.zeros(count + 3, value.dtype)
    filled = call(LIBRARY, "fill", [out], [count * nbytes, pattern])[0]
    assert (filled[:count] == 3).all()
    assert (filled[count:] == 0).all()
