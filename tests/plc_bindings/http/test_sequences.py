"""States between calls: bounded, and of who began them."""

import numpy as np
import pytest

from plc_bindings.http import sequences
from plc_bindings.http.errors import Refusal
from plc_bindings.http.question import Turn
from plc_bindings.http.sequences import REST_S, Sequences

STATE = {"h": np.zeros(25, np.float32)}


class Kept:
    """Sequences, and the time."""

    def __init__(self):
        self.now_s = 0.0
        self.all = Sequences(lambda: self.now_s)

    def call(self, number, whose="anna", starts=True, ends=False):
        turn, key = Turn(number, starts, ends), (0, whose, number)
        state = self.all.begin(key, turn)
        self.all.end(key, turn, STATE)
        return state


def test_nobody_takes_all_and_the_others_begin_still(monkeypatch):
    monkeypatch.setattr(sequences, "MOST_OF_ONE", 3)
    monkeypatch.setattr(sequences, "MOST", 5)
    kept = Kept()
    for number in (1, 2, 3):
        kept.call(number)
    with pytest.raises(Refusal, match="3 sequences of yours"):
        kept.call(4)
    assert kept.call(3, starts=False) is STATE
    kept.call(1, "bert")
    kept.call(2, "bert")
    with pytest.raises(Refusal, match="5 sequences are under way"):
        kept.call(3, "bert")
    kept.call(3, starts=False, ends=True)
    kept.call(4)
    with pytest.raises(Refusal, match="there is none"):
        kept.call(4, "bert", starts=False)


def test_their_states_have_a_bound_in_bytes_and_what_rests_makes_room(monkeypatch):
    monkeypatch.setattr(sequences, "MOST_BYTES", 250)
    kept = Kept()
    for number in (1, 2, 3):
        kept.call(number)
    with pytest.raises(Refusal, match="3 sequences are under way"):
        kept.call(4)
    kept.now_s = REST_S + 1
    kept.call(4)
    assert len(kept.all) == 1
