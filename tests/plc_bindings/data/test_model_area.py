"""A model as PLC clients see it: the newest change of it, and the bits that commit it or take it back."""

import struct

import pytest

import rt_engine
from plc_bindings.data.changes import ChangeView, Difference
from plc_bindings.data.commands import Commands
from plc_bindings.data.database import Database, NotAllowedError, Session, Symbol
from plc_bindings.data.model_area import _MODEL, FIRST_OF_CHANGE, ModelArea, ModelFile
from plc_bindings.data.models import Models
from plc_bindings.data.types import String
from rt_engine import ModelSlot
from rt_engine.change import ChangeState, Verdict
from tests import ROOT

POLICY = ROOT / "station" / "demo" / "data" / "policy-v1.onnx"


class Said(Commands):
    """What was asked for, and what is shown."""

    def __init__(self):
        super().__init__()
        self.asked, self.shown = [], None

    def view(self, slot):
        assert slot == "policy"
        return self.shown

    def commit(self, slot, who):
        self.asked.append(("commit", slot, who))

    def roll_back(self, slot, who):
        self.asked.append(("rollback", slot, who))


@pytest.fixture
def said():
    return Said()


@pytest.fixture
def session(said):
    (served,) = Models({"policy": ModelSlot(rt_engine.load(POLICY), "policy")}).all
    data = Database([ModelArea(served, ModelFile("v1.onnx", "ab" * 32), said)], [Symbol("Models.policy", _MODEL, 0, 0)])
    return Session(data, data.writable(["Models.policy.Commit", "Models.policy.Rollback"]), who="10.0.0.5")


def value(session, name):
    session.begin()
    symbol = session.database.find(f"Models.policy.{name}")
    raw = session.read(0, symbol.offset, symbol.size)
    return (
        raw.split(b"\0")[0].decode()
        if isinstance(symbol.type, String)
        else struct.unpack(f"<{symbol.type.char}", raw)[0]
    )


def write(session, *bits):
    session.begin()
    for name, bit in bits:
        session.write(0, session.database.find(f"Models.policy.{name}").offset, bytes([bit]))
    session.commit()


def test_of_a_model_that_never_changed_the_live_version_is_known(session):
    shown = {field.name: value(session, field.name) for field in _MODEL.fields}
    assert (shown["ChangeState"], shown["LiveVersion"], shown["CandidateVersion"], shown["Remaining"]) == (
        0,
        1,
        0,
        -1.0,
    )
    assert (shown["File"], shown["Reason"], shown["Commit"], shown["Rollback"]) == ("v1.onnx", "", 0, 0)


def test_the_newest_change_is_shown(session, said):
    apart = [
        Difference("axis", "force", 90, 0.25, 7, 0.1, beyond=3, not_finite=0),
        Difference("axis", "rate", 90, 7.5, 7, float("inf"), beyond=0, not_finite=0),
    ]
    said.shown = ChangeView(
        "policy",
        ChangeState.SHADOW,
        version=4,
        candidate=5,
        reason="é" * 100,
        differences=tuple(apart),
        sha256="cd" * 32,
        left_ns=1_500_000_000,
        cycles=90,
        skipped=10,
        disagreements=3,
        verdict=Verdict.MONITOR,
    )
    names = [field.name for field in _MODEL.fields]
    shown = [value(session, name) for name in names[names.index(FIRST_OF_CHANGE) :]]
    assert shown == [3, 5, 4, 5, 1.5, 90, 10, 3, 0, 0.25, "force", "é" * 63, "cd" * 32, 0, 0]


@pytest.mark.parametrize(
    ("state", "verdict", "live"),
    [
        (ChangeState.SHADOW, Verdict.NONE, 1),
        (ChangeState.TRIAL, Verdict.NONE, 2),
        (ChangeState.TRIAL, Verdict.TOO_SLOW, 1),
        (ChangeState.ROLLED_BACK, Verdict.TOO_SLOW, 1),
    ],
)
def test_the_live_version_is_the_candidate_while_it_is_on_trial_and_good(session, said, state, verdict, live):
    """Version, by which calls of clients are answered, is the committed one all the while."""
    said.shown = ChangeView("policy", state, version=1, candidate=2, verdict=verdict)
    assert (value(session, "LiveVersion"), value(session, "Version")) == (live, 1)


@pytest.mark.parametrize(("bit", "word"), [("Commit", "commit"), ("Rollback", "rollback")])
def test_a_bit_acts_once_when_it_goes_from_false_to_true(session, said, bit, word):
    """Whoever writes it in every cycle acts once; one that is TRUE when a station starts does not act."""
    for _ in range(3):
        write(session, (bit, True))
    assert said.asked == [] and value(session, bit) == 1
    write(session, (bit, False))
    assert value(session, bit) == 0
    for _ in range(3):
        write(session, (bit, True))
    assert said.asked == [(word, "policy", "10.0.0.5")]
    write(session, (bit, False))
    write(session, (bit, True))
    assert len(said.asked) == 2


def test_a_write_of_one_bit_is_none_of_the_other(session, said):
    write(session, ("Commit", False), ("Rollback", False))
    write(session, ("Commit", True))
    write(session, ("Rollback", True))
    assert [word for word, _, _ in said.asked] == ["commit", "rollback"]


def test_of_both_bits_at_once_what_goes_back_is_first(session, said):
    write(session, ("Commit", False), ("Rollback", False))
    write(session, ("Commit", True), ("Rollback", True))
    assert [word for word, _, _ in said.asked] == ["rollback", "commit"]


def test_nothing_else_of_a_model_can_be_written(session):
    data = session.database
    everything = Session(data, data.writable(["*"]))
    for name in ("Version", "ChangeState", "Reason"):
        everything.begin()
        with pytest.raises(NotAllowedError):
            everything.write(0, data.find(f"Models.policy.{name}").offset, b"\1")
