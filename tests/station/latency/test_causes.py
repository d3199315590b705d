"""Causes, from differences that were made up: each is found where it was planted, and none where nothing was."""

import numpy as np
import pytest

from station.latency.causes import MOST_COUNTERS, Counting, Scene, counted, why
from station.latency.sources import Counter
from station.latency.ties import longer, ties

STEAL = Counter("steal", "cpu1", "ms")
SMI = Counter("smi", "cpu1", "count")
FAULT = Counter("fault", "axis", "major page faults")
WAITED = Counter("waited", "axis", "ns")
RIVAL = Counter("rival", "", "burner (FIFO 95, pid 7)")
HEAT = Counter("throttle", "cpu1", "core_throttle_count")
CLOCK = Counter("frequency", "cpu1", "MHz below")
DISK = Counter("interrupt", "cpu1", "36 disk")
NET = Counter("softirq", "cpu1", "NET_RX")
SLEEP = Counter("sleep", "cpu1", "C6")
EXCESS_NS = 5_000_000.0


def quiet(rng):
    """An interval in which nothing happens."""
    return {
        STEAL: 0.0,
        SMI: 0.0,
        FAULT: 0.0,
        WAITED: rng.normal(3_000_000, 100_000),
        RIVAL: rng.normal(20_000, 5_000),
        HEAT: 0.0,
        CLOCK: -3000.0,
        DISK: float(rng.poisson(10)),
        NET: float(rng.poisson(100)),
        SLEEP: 0.0,
    }


def causes(is_first=True, **planted):
    """What is found in one interval of 200 in which these differ."""
    rng = np.random.default_rng(3)
    rows = [quiet(rng) for _ in range(200)]
    rows[77] |= {globals()[name]: value for name, value in planted.items()}
    found = counted(rows)
    return why(Scene(EXCESS_NS, found.row(77), found.usual(), is_first))


@pytest.mark.parametrize(
    ("planted", "kind", "words"),
    [
        ({"STEAL": 20.0}, "steal", "the host took cpu1"),
        ({"SMI": 2.0}, "smi", "2 system management interrupts"),
        ({"FAULT": 1.0}, "fault", "1 major page faults"),
        ({"WAITED": 9_000_000.0, "RIVAL": 6_000_000.0}, "preempted", "burner (FIFO 95, pid 7), which ran 6 ms"),
        ({"WAITED": 9_000_000.0}, "held", "did not give way"),
        ({"WAITED": 55_000_000.0}, "held", "as long as its fair server runs"),
        ({"HEAT": 3.0}, "throttle", "throttled by heat"),
        ({"CLOCK": -1200.0}, "frequency", "ran at 1200 MHz, usually 3000"),
        ({"DISK": 900.0}, "interrupt", "36 disk: 900 on cpu1"),
        ({"NET": 9000.0}, "softirq", "NET_RX: 9000"),
        ({"SLEEP": 4.0}, "sleep", "C6"),
        ({}, "unknown", "nothing"),
    ],
)
def test_a_planted_cause_is_the_first_that_is_named(planted, kind, words):
    found = causes(**planted)
    assert found[0].kind == kind
    assert words in found[0].words


def test_a_rival_that_ran_too_short_is_no_cause():
    """Ready for long, and the rival ran for a part of it that explains nothing."""
    assert [cause.kind for cause in causes(WAITED=9_000_000.0, RIVAL=400_000.0)] == ["held"]


def test_a_task_without_priority_is_not_said_to_be_held():
    """Any program may run before it: the kernel did what it should."""
    (found,) = causes(is_first=False, WAITED=9_000_000.0)
    assert found.kind == "preempted" and "without real-time priority any program" in found.words


def test_what_explains_most_comes_first():
    """Stolen time also makes interrupts late and many: the host is named before them."""
    assert [cause.kind for cause in causes(STEAL=30.0, DISK=900.0)] == ["steal", "interrupt"]


def tied(effect_ns):
    """A counter that is high in 40 of 300 intervals, which are longer by that."""
    rng = np.random.default_rng(5)
    rows = [quiet(rng) for _ in range(300)]
    maxima = rng.gumbel(50_000, 5_000, 300)
    for number in rng.choice(300, 40, replace=False):
        rows[number][DISK] = 500.0
        maxima[number] += effect_ns
    return ties(maxima.astype(np.int64), counted(rows))


def test_a_counter_that_goes_with_long_cycles_is_found():
    [tie] = tied(20_000.0)
    assert (tie.source, tie.intervals) == ("interrupt", 40)
    assert tie.with_ns > tie.without_ns
    assert tie.p < 1e-6


def test_a_few_of_a_counter_do_not_stand_out_where_others_have_many():
    """One that is 0 in most intervals, 1 in a third of them, and 900 in those that are long."""
    rng = np.random.default_rng(6)
    rows = [quiet(rng) | {SLEEP: float(rng.uniform() < 0.3)} for _ in range(300)]
    maxima = rng.gumbel(50_000, 5_000, 300)
    for number in rng.choice(300, 20, replace=False):
        rows[number][SLEEP] = 900.0
        maxima[number] += 8_000
    [tie] = ties(maxima.astype(np.int64), counted(rows))
    assert (tie.source, tie.intervals) == ("sleep", 20)


def test_a_counter_that_goes_with_nothing_is_not():
    assert tied(0.0) == ()


def test_ranks_decide():
    """No difference: about half; all longer: surely; equal values: nothing to tell."""
    rng = np.random.default_rng(2)
    same, share = longer(rng.normal(size=200), rng.normal(size=200))
    assert 0.01 < same < 0.99
    assert abs(share - 0.5) < 0.1
    sure, whole = longer(np.arange(50.0) + 100, np.arange(50.0))
    assert sure < 1e-10
    assert whole == 1.0
    assert longer(np.ones(9), np.ones(9)) == (1.0, 0.5)


def test_rows_are_kept_as_they_come():
    """Counters that come later are 0 before; a day's rows grow; what is beyond the bound is left out, and nothing else."""
    counting = Counting()
    for number in range(200):
        counting.add({DISK: float(number)} | ({NET: 1.0} if number >= 100 else {}))
    found = counting.counted()
    assert found.counters == (DISK, NET)
    assert found.values[:, 0].tolist() == list(range(200))
    assert found.values[:, 1].sum() == 100
    counting.add({Counter("rival", "", str(i)): 1.0 for i in range(MOST_COUNTERS + 5)})
    assert len(counting.counted().counters) == MOST_COUNTERS
    assert len(counting.left) == 7
    assert counting.counted().row(199)[DISK] == 199.0


def test_on_many_cores_rare_kinds_have_their_places():
    """Hundreds of interrupts are before them in each reading; one that never came has no place, and those left out are known."""
    counting = Counting()
    many = {Counter("interrupt", f"cpu{cpu}", str(i)): float(i % 2) for cpu in range(16) for i in range(90)}
    few = {Counter("steal", f"cpu{cpu}", "ms"): 10.0 for cpu in range(16)}
    counting.add(many | few)
    counting.add({Counter("rival", "", "late"): 1.0})
    found = counting.counted()
    assert set(few) | {Counter("rival", "", "late")} <= set(found.counters)
    assert not any(counter.source == "interrupt" and not many[counter] for counter in found.counters)
    assert {counter.source for counter in counting.left} == {"interrupt"}
