import numpy as np

from rt_engine.tune.choose import choose


def _times(*factors, rounds=20, noise=0.0, base=1e4):
    """[rounds, alternatives, 1]: each alternative takes `base` times its factor, all of a round share a pace."""
    rng = np.random.default_rng(0)
    pace = 1 + rng.random((rounds, 1)) * 5
    return (base * pace * np.array(factors) * (1 + noise * rng.standard_normal((rounds, len(factors)))))[:, :, None]


def _chosen(times, applies=None):
    return int(choose(times, np.ones(times.shape[1:], bool) if applies is None else applies)[0])


def test_the_quickest_is_chosen_whatever_pace_the_processor_has():
    assert _chosen(_times(1.0, 0.9, 0.8, 1.2)) == 2


def test_nothing_is_changed_for_less_than_it_is_worth():
    """2 % of a record's time, or 30 ns."""
    assert _chosen(_times(1.0, 0.98)) == 0
    assert _chosen(_times(1.0, 0.5, base=10.0)) == 0


def test_noise_chooses_nothing():
    assert _chosen(_times(1.0, *[1.0] * 9, noise=0.2)) == 0


def test_what_means_nothing_for_a_record_is_not_chosen():
    applies = np.array([[False], [False], [True]])
    assert _chosen(_times(1.0, 0.5, 0.9), applies) == 2
