"""Memory layout: no two living storages overlap, in-place only where nobody reads later."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rt_engine.kernels.interface.fields import Fields
from rt_engine.kernels.interface.record import ARENA_HEADER
from rt_engine.lower.placing import Life, Overlap, allocate, busiest
from rt_engine.lower.plan import merge_in_place, plan
from rt_engine.ops.builder import Builder
from rt_engine.program.calls import Buffer, Kind, Storage
from rt_native.memory import align


def buffer(nbytes=64, kind=Kind.TEMPORARY):
    return Buffer("b", np.dtype(np.uint8), (nbytes,), Storage(kind, nbytes))


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_storages_that_live_together_do_not_overlap(spans):
    """Any two lives that share a moment have bytes of their own, 64-byte aligned, after the header."""
    lives = [Life(Storage(Kind.TEMPORARY, size), min(a, b), max(a, b)) for size, a, b in spans]
    offsets, end = allocate(lives)
    places = [(offsets[x.storage], offsets[x.storage] + align(max(x.storage.nbytes, 1)), x) for x in lives]
    for i, (start, stop, life) in enumerate(places):
        assert start % 64 == 0
        assert align(ARENA_HEADER.itemsize) <= start < stop <= end
        for other_start, other_stop, other in places[:i]:
            apart = life.last < other.first or other.last < life.first
            assert apart or stop <= other_start or other_stop <= start


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(-600, 1500)), min_size=2, max_size=8))
def test_what_may_overlap_does_so_only_as_allowed(chain):
    """Each storage is made from the one before it: it begins at least `ahead` before that, or their bytes are apart."""
    lives = [Life(Storage(Kind.TEMPORARY, size), i, i + 1) for i, (size, _) in enumerate(chain)]
    pairs = [Overlap(a, b, ahead) for (a, b), (_, ahead) in zip(itertools.pairwise(lives), chain, strict=False)]
    offsets, _ = allocate(lives, pairs)
    for pair in pairs:
        source, target = offsets[pair.source.storage], offsets[pair.target.storage]
        apart = source + pair.source.storage.nbytes <= target or target + pair.target.storage.nbytes <= source
        assert apart or target + pair.ahead <= source


LETTERS = "abcdef"


def chain(*calls):
    """Calls of a kernel that writes its last operand; `inplace` are numbers of operands."""
    build = Builder(nodes=[("n", "op")])
    for operands, inplace in calls:
        names = LETTERS[: len(operands)]
        record = Fields("k", operands=" ".join(names))(**dict(zip(names, operands, strict=True)))
        build.call("k", record, inplace=[names[i] for i in inplace])
    return build.calls


def test_an_operation_takes_the_memory_of_an_input_that_dies():
    """a -> b in place: b is where a was."""
    x, a, b, y = buffer(kind=Kind.INPUT), buffer(), buffer(), buffer(kind=Kind.OUTPUT)
    calls = chain(((x, a), ()), ((a, b), (0,)), ((b, y), ()))
    assert merge_in_place(calls) == {b.storage: a.storage}


def test_memory_that_is_read_later_is_not_taken():
    """a is read again by the third call."""
    x, a, b, y = buffer(kind=Kind.INPUT), buffer(), buffer(), buffer(kind=Kind.OUTPUT)
    calls = chain(((x, a), ()), ((a, b), (0,)), ((a, b, y), ()))
    assert merge_in_place(calls) == {}


def test_memory_that_the_same_call_reads_otherwise_is_not_taken():
    """x + conv(x): the sum may take the place of x only if the convolution does not read x."""
    x, a, b, y = buffer(kind=Kind.INPUT), buffer(), buffer(), buffer(kind=Kind.OUTPUT)
    assert merge_in_place(chain(((x, a), ()), ((a, a, b), (1,)), ((b, y), ()))) == {}
    assert merge_in_place(chain(((x, a), ()), ((a, a, b), (0, 1)), ((b, y), ()))) == {b.storage: a.storage}


def test_an_input_of_the_model_is_never_overwritten():
    """The caller may write an input once and run many times."""
    x, a, y = buffer(kind=Kind.INPUT), buffer(), buffer(kind=Kind.OUTPUT)
    assert merge_in_place(chain(((x, a), (0,)), ((a, y), ()))) == {}


def test_an_output_lends_its_memory_to_what_becomes_it():
    """gemm -> tanh in place on the output: one storage for both."""
    x, a, y = buffer(kind=Kind.INPUT), buffer(), buffer(kind=Kind.OUTPUT)
    calls = chain(((x, a), ()), ((a, y), (0,)))
    assert merge_in_place(calls) == {a.storage: y.storage}
    layout = plan(calls, [x.storage, y.storage])
    assert layout.offsets[a.storage] == layout.offsets[y.storage]


def test_a_smaller_output_may_take_a_larger_input_but_not_the_other_way():
    """What is written must fit."""
    x, small, large, y = buffer(kind=Kind.INPUT), buffer(64), buffer(128), buffer(kind=Kind.OUTPUT)
    assert merge_in_place(chain(((x, small), ()), ((small, large), (0,)), ((large, y), ()))) == {}


def test_a_layout_is_never_below_its_lower_bound():
    """A chain of equal storages needs two of them at a time, and gets no more."""
    ends = [buffer(kind=Kind.INPUT), buffer(kind=Kind.OUTPUT)]
    middle = [buffer(1000) for _ in range(6)]
    steps = [ends[0], *middle, ends[1]]
    calls = chain(*(((a, b), ()) for a, b in itertools.pairwise(steps)))
    layout = plan(calls, [b.storage for b in ends])
    assert layout.nbytes == layout.lower_bound


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=40))
def test_a_chain_of_any_sizes_reaches_its_lower_bound(sizes):
    """Two neighbours at a time: no layout needs more than the largest pair."""
    lives = [Life(Storage(Kind.TEMPORARY, size), i, i + 1) for i, size in enumerate(sizes)]
    assert allocate(lives)[1] == busiest(lives) + align(ARENA_HEADER.itemsize)


def test_the_search_beats_placing_by_size():
    """Long lives among short ones, where largest first leaves gaps."""
    spans = [(480, 0, 3), (256, 2, 6), (384, 4, 8), (256, 5, 9), (128, 0, 9), (448, 7, 9), (320, 1, 2)]
    lives = [Life(Storage(Kind.TEMPORARY, size), a, b) for size, a, b in spans]
    assert allocate(lives)[1] == busiest(lives) + align(ARENA_HEADER.itemsize)
