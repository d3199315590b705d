"""Places in the arena: the same layouts as by looking at everything, with work that grows with the number of storages."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_engine.lower.placing import LOWEST, MOST_STEPS, STEPS_PER_LIFE, Life, Steps, allocate, busiest
from rt_engine.program.calls import Kind, Storage
from rt_native.memory import align


def lives(spans):
    """(bytes, first, last) of each."""
    return [Life(Storage(Kind.TEMPORARY, size), first, last) for size, first, last in spans]


def check_apart(some, offsets, end):
    places = [(offsets[x.storage], offsets[x.storage] + align(max(x.storage.nbytes, 1)), x) for x in some]
    assert all(LOWEST <= start < stop <= end and start % 64 == 0 for start, stop, _ in places)
    for (start, stop, a), (other, other_stop, b) in itertools.combinations(places, 2):
        assert a.last < b.first or b.last < a.first or stop <= other or other_stop <= start


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 40), st.integers(0, 40)), max_size=40))
def test_without_steps_one_walk_through_time_places_all(spans):
    some = lives((size, min(a, b), max(a, b)) for size, a, b in spans)
    check_apart(some, *allocate(some, steps=Steps(0)))


@pytest.mark.parametrize("name", ["chain", "outputs", "skips"])
def test_one_walk_through_time_reaches_the_bound_of_regular_graphs(name):
    """A chain, outputs that all stay, and skip connections, of equal sizes: nothing is lost where the steps run out."""
    some = lives(REGULAR[name](100))
    assert allocate(some, steps=Steps(0))[1] == busiest(some) + LOWEST


REGULAR = {
    "chain": lambda n: [(1000, i, i + 1) for i in range(n)],
    "outputs": lambda n: [(1000, 0, n) for _ in range(n)],
    "skips": lambda n: [(1000, i, 2 * n - i) for i in range(n)],
}
LOOSE = {
    "chain of many sizes": lambda n: [(1000 + i * 7919 % 5000, i, i + 2) for i in range(n)],
    "long and short": lambda n: [(64 + i * 7919 % 500, i, i + (n if i % 50 == 0 else 3)) for i in range(n)],
}


@pytest.mark.parametrize("name", [*REGULAR, *LOOSE])
def test_the_steps_grow_with_the_number_of_storages(name):
    """Twice the storages are at most about twice the work, or both have spent what there is for each storage."""
    taken = []
    for n in (3000, 6000):
        steps = Steps(most := MOST_STEPS + STEPS_PER_LIFE * n)
        some = lives((REGULAR | LOOSE)[name](n))
        allocate(some, steps=steps)
        taken.append(min(steps.taken, most))
    assert taken[1] < 2.3 * taken[0]
    assert taken[1] <= MOST_STEPS + STEPS_PER_LIFE * 6000


def test_what_does_not_meet_is_not_looked_at():
    """A chain of 4,000 is placed by looking at a few neighbours of each."""
    steps = Steps(10**9)
    allocate(lives(REGULAR["chain"](4000)), steps=steps)
    assert steps.taken < 10 * 4000
