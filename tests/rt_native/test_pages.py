"""Large memory in small steps: as any other, and given back."""

import gc
import os

import numpy as np
import pytest

from rt_native.memory import ALIGNMENT
from rt_native.pages import LARGE, STEP, LargeBlock, Pages, bytes_of, fill


def resident():
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("nbytes", [1, ALIGNMENT, LARGE, LARGE + 1, 3 * LARGE])
def test_a_block_is_zeroed_aligned_and_its_own(nbytes):
    block = LargeBlock(nbytes)
    view = block.view(np.uint8, 0, nbytes)
    assert not view.any() and block.address % ALIGNMENT == 0 and block.nbytes >= nbytes
    view[:] = 7
    del block
    assert (view == 7).all()


def test_its_pages_are_there_and_go_with_the_last_view():
    """Nothing faults when it is first used; what is not used any more is not kept."""
    gc.collect()  # nothing of an earlier test goes meanwhile
    before = resident()
    view = np.asarray(Pages(64 << 20))[5:9]
    assert resident() - before > 60 << 20
    del view
    assert resident() - before < 8 << 20


def test_memory_that_is_not_there_is_an_error():
    with pytest.raises(MemoryError, match="there are no"):
        bytes_of(1 << 60)


def test_a_file_fills_it_as_far_as_it_goes(tmp_path):
    content = np.random.default_rng(1).bytes(STEP + 12345)
    (tmp_path / "f").write_bytes(content)
    with open(tmp_path / "f", "rb") as file:
        whole = bytes_of(len(content) + 10)
        assert fill(file.fileno(), whole) == len(content)
    assert whole[: len(content)].tobytes() == content and not whole[len(content) :].any()
