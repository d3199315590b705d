"""A change from its file to its end: what is journalled, done and said, in which order. Time, tasks and store are the test's own."""

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from plc_bindings.data.changes import Difference
from plc_bindings.security.signing import PublicKey, sign
from rt_engine.change import ChangeState as S
from rt_engine.change import Verdict
from rt_engine.errors import UpdateError
from rt_engine.read.source import Source
from station.change.answer import Wish
from station.change.machine import Policy, Span
from station.change.parts import Candidate
from station.change.proof import unproven
from station.change.seen_again import Places
from station.errors import RefusedError
from tests.station.change.fakes import SECOND_NS, SHADOW_THEN_TRIAL, World, words

PLAIN = {"m": Policy()}
WHOLE = {"m": SHADOW_THEN_TRIAL}
FAR = {"m": (Difference("axis", "force", 5000, 0.75, 7, 0.5, 214, 0),)}


def test_a_plain_update_is_gate_then_live():
    """Every state is in the journal before the tasks do anything for it."""
    world = World(PLAIN)
    answer = world.update("m")
    assert world.done == ["STAGED", "GATE", "gate m", "COMMITTED", "replace"]
    assert (
        answer.message == "m.onnx is live as version 2, taken by all tasks at the same tick, 0.0 ms from file to live"
    )
    assert (answer.version, answer.state, world.files["m"][-1]) == (2, S.COMMITTED, "m.onnx")
    assert [(who, text, change) for who, _, text, change in world.audit_lines] == [
        ("anna", f"replaced by m.onnx, SHA-256 {world.changes._newest['m'].hashes['m']}", True)
    ]


SIGNER = generate_private_key(SECP256R1())


def unbound():
    """A bundle that names neither slot nor serial number, as model-signing makes it of one file."""
    place = Path(__file__).parents[2] / "plc_bindings" / "security" / "model_signing"
    key = PublicKey.parse((place / "prime256v1.pub").read_text(encoding="utf-8").strip())
    return key, (place / "prime256v1.file.json").read_bytes()


@pytest.mark.parametrize("kind", ["ours", "without a slot"])
def test_a_signature_beside_the_file_is_asked_for_and_kept(kind):
    """On the spot a bundle may leave slot and serial number out; where no signature comes, none is needed."""
    key, bundle = unbound()
    data = b"a model's bytes" if kind == "without a slot" else b"new m"
    signature = bundle if kind == "without a slot" else sign(SIGNER, "m", data, 1)
    world = World(PLAIN, keys=(PublicKey.of(SIGNER), key))
    kept = []
    world.add = lambda slot, source, who, signature=None, add=world.add: (
        kept.append(signature) or add(slot, source, who, signature)
    )
    source = {"m": Source(data, "/x/m.onnx")}
    assert world.changes.update(source, "anna", Wish(signature=signature)).state == S.COMMITTED
    assert kept == [signature]


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (sign(SIGNER, "other", b"new m", 1), "for slot other, not m"),
        (sign(SIGNER, "m", b"old m", 1), "not the file that the bundle signs"),
        (sign(generate_private_key(SECP256R1()), "m", b"new m", 1), "no key of the station"),
        (b"x", "a signature has 72 bytes"),
    ],
)
def test_a_signature_that_is_not_good_refuses_the_file_on_the_spot_too(signature, words):
    world = World(PLAIN, keys=(PublicKey.of(SIGNER),))
    with pytest.raises(RefusedError, match=words):
        world.update("m", wish=Wish(signature=signature))
    assert world.done == [] and words in world.audit_lines[-1][2]


def test_weights_beside_a_file_are_not_covered_by_its_signature(tmp_path):
    candidate = Candidate("m", "/x/m.onnx", "m.onnx")
    candidate.source, candidate.sha256 = Source(b"new m"), "00" * 32
    assert "in files beside it" in unproven((PublicKey.of(SIGNER),), candidate, sign(SIGNER, "m", b"new m", 1))


def test_a_good_version_goes_through_shadow_and_trial():
    """It stays when the times are over; the answers and events name the state and what is next."""
    world = World(WHOLE)
    answer = world.update("m")
    assert answer.state == S.SHADOW
    assert "m.onnx has passed the gate and is in shadow for 10 s" in answer.message
    assert (
        "then on trial for 1 min; `rt-engine status` shows it, `rt-engine commit m` ends the shadow now"
        in answer.message
    )
    world.show(cycles=10_000)
    assert world.after(9.9) == S.SHADOW
    assert world.after(0.1) == S.TRIAL
    assert world.after(59.9) == S.TRIAL
    assert world.after(0.1) == S.COMMITTED
    assert world.done == ["STAGED", "GATE", "gate m", "SHADOW", "shadow", "TRIAL", "trial", "COMMITTED", "commit"]
    assert words(world)[0] == "m.onnx is in shadow: it passed the gate"
    assert words(world)[1] == "m.onnx is on trial: in shadow for 10,000 cycles, as long as asked for"
    assert all(good for _, _, good in world.notes)


@pytest.mark.parametrize(
    ("tolerances", "told"),
    [
        ((0.5, 0.1), ""),
        ((inf, inf), "; no tolerance is set: differ"),
        ((0.5, inf), "; no tolerance is set for n: differ"),
    ],
)
def test_where_differences_reject_nothing_that_is_said(tolerances, told):
    """Of slots that change together each has its own tolerance."""
    world = World({slot: replace(SHADOW_THEN_TRIAL, tolerance=one) for slot, one in zip("mn", tolerances, strict=True)})
    message = world.update("m", "n").message
    assert f"then on trial for 1 min{told}" in message
    assert ("no tolerance is set" in message) == bool(told)


def test_a_version_that_differs_is_rejected_in_shadow_with_its_figures():
    """The tasks let go of it before the journal is written: what the journal says until then means the same."""
    world = World(WHOLE)
    world.update("m")
    world.show(cycles=5000, disagreements=214, differences=FAR)
    assert world.after(1) == S.REJECTED
    assert world.done[-2:] == ["withdraw", "REJECTED"]
    assert words(world)[-1] == (
        "m.onnx is rejected: in shadow 214 values disagreed, 0 may, in 5,000 cycles: force lay up to 0.75 apart (tolerance "
        "0.5; 214 of 5,000 values beyond)"
    )
    (view,) = world.changes.views()
    assert (view.differences, view.disagreements, view.candidate, view.version) == (FAR["m"], 214, 2, 1)
    assert world.files["m"] == ["old.onnx"]


def test_a_version_that_differs_names_the_recording_of_it():
    """In the answer, the report, the events and the journal: the reason is one."""
    world = World(WHOLE)
    world.places = Places("/r/bench-000001.mcap", "/r")
    world.update("m")
    world.show(cycles=5000, disagreements=214, differences=FAR)
    assert world.after(1) == S.REJECTED
    (view,) = world.changes.views()
    assert view.reason.endswith("; what was seen is recorded in /r/bench-000001.mcap")
    assert words(world)[-1].endswith("/r/bench-000001.mcap")


def test_a_verdict_in_trial_takes_it_back():
    world = World({"m": Policy(trial=Span(ns=SECOND_NS))})
    world.update("m")
    world.show(cycles=17, verdict=Verdict.NOT_FINITE, task="axis", tick_ns=123)
    assert world.after(0.01) == S.ROLLED_BACK
    assert world.done[-2:] == ["withdraw", "ROLLED_BACK"]
    assert "in task axis, after 17 cycles: its outputs were not finite (NaN or infinity)" in words(world)[-1]
    (view,) = world.changes.views()
    assert (view.verdict, view.verdict_task, view.verdict_ns) == (Verdict.NOT_FINITE, "axis", 123)
    assert world.files["m"] == ["old.onnx"]


@pytest.mark.parametrize(("word", "end"), [(True, S.COMMITTED), (False, S.ROLLED_BACK)])
def test_a_trial_that_waits_for_a_word(word, end):
    world = World({"m": Policy(trial=Span(ns=SECOND_NS), commit="manual")})
    answer = world.update("m")
    assert "and is taken back unless `rt-engine commit m` is said by then" in answer.message
    world.show(cycles=500)
    assert world.after(0.5) == S.TRIAL
    if word:
        assert world.changes.commit("m", "bert") == "m.onnx is committed; live: m v2"
        assert world.audit_lines[-1][0] == "bert"
    world.after(0.5)
    assert world.state() == end
    assert word or "nobody said commit within 1 s" in words(world)[-1]


def test_commit_in_shadow_goes_on_to_the_trial():
    """The word ends the shadow; the trial is as long as ever."""
    world = World(WHOLE)
    world.update("m")
    world.show(cycles=3)
    world.after(1)
    assert "m.onnx is on trial for 1 min" in world.changes.commit("m", "anna")
    assert world.after(59) == S.TRIAL
    assert world.after(1) == S.COMMITTED


@pytest.mark.parametrize(
    ("seconds", "end", "did"),
    [(0, S.REJECTED, "withdraw"), (11, S.ROLLED_BACK, "withdraw"), (71, S.ROLLED_BACK, "back")],
)
def test_rollback_at_any_time(seconds, end, did):
    """In shadow, on trial, and after it was committed; then the journal comes first."""
    world = World(WHOLE)
    world.update("m")
    world.show(cycles=100_000)
    for _ in range(seconds):
        world.after(1)
    message = world.changes.roll_back("m", "anna")
    assert world.state() == end
    assert world.done[-2:] == ([end.name, did] if did == "back" else [did, end.name])
    assert "`rt-engine allow m" in message
    assert world.files["m"] == ["old.onnx"]


def test_what_runs_is_not_tried_against_itself():
    """Else what a trial finds would bar the version that goes on; once another runs it may come; live at once it may always."""
    world, tried = World(PLAIN), Wish(trial=Span(cycles=5))
    world.update("m")
    with pytest.raises(RefusedError, match="is what runs in slot m already"):
        world.update("m", wish=tried)
    assert world.state() == S.COMMITTED
    assert world.update("m").state == S.COMMITTED
    world.update("m", data=b"other ")
    assert world.update("m", wish=tried).state == S.TRIAL


def test_a_barred_version_is_refused_until_it_is_allowed():
    """With the reason; a few digits of its hash are enough."""
    world = World(PLAIN)
    world.update("m")
    world.changes.roll_back("m", "anna")
    with pytest.raises(
        RefusedError,
        match=r"this version is barred: taken back by anna after it was committed; `rt-engine allow m [0-9a-f]{12}`",
    ) as caught:
        world.update("m")
    digits = str(caught.value).split("allow m ")[1][:12]
    with pytest.raises(RefusedError, match=f"no barred version has this hash; barred in slot m: {digits}"):
        world.changes.allow("m", "00ff", "anna")
    assert "may come again; it was barred because taken back by anna after it was committed" in world.changes.allow(
        "m", digits, "anna"
    )
    assert world.update("m").state == S.COMMITTED


def test_what_the_gate_refuses_is_rejected():
    world = World(WHOLE)
    world.refuses.add("m")
    with pytest.raises(
        RefusedError, match="is refused, the running model goes on: its outputs are not finite for 3 of 10,000"
    ):
        world.update("m")
    assert world.done == ["STAGED", "GATE", "gate m", "REJECTED"]
    assert (world.state(), world.refused) == (S.REJECTED, ["m"])


def test_one_change_of_a_slot_at_a_time():
    world = World({"m": SHADOW_THEN_TRIAL, "n": Policy()})
    world.update("m")
    with pytest.raises(
        RefusedError, match="slot m has a change that is in shadow: say `rt-engine commit m` or `rt-engine rollback m`"
    ):
        world.update("m")
    assert world.update("n").state == S.COMMITTED


@pytest.mark.parametrize("bad", ["m", "n"])
def test_slots_that_change_together_have_one_fate(bad):
    """One record, one tick, one verdict; and where the gate refuses one, none goes on."""
    world = World({"m": SHADOW_THEN_TRIAL, "n": Policy()})
    answer = world.update("m", "n")
    assert "m.onnx (m), n.onnx (n) have passed the gate and are in shadow for 10 s" in answer.message
    world.show(cycles=100_000)
    assert world.after(10) == S.TRIAL == world.state("n")
    world.show(cycles=1, verdict=Verdict.TOO_SLOW)
    assert world.after(0.1, bad) == S.ROLLED_BACK == world.state("m") == world.state("n")
    assert world.done.count("withdraw") == 1

    world = World({"m": Policy(), "n": Policy()})
    world.refuses.add(bad)
    with pytest.raises(RefusedError):
        world.update("m", "n")
    assert world.state("m") == world.state("n") == S.REJECTED
    assert "replace" not in world.done


def test_slots_that_change_together_go_back_together():
    world = World({"m": Policy(), "n": Policy()})
    world.update("m", "n")
    world.changes.roll_back("n", "anna")
    assert world.state("m") == world.state("n") == S.ROLLED_BACK


@pytest.mark.parametrize(
    ("seconds", "end"), [(0, S.REJECTED), (11, S.ROLLED_BACK), (71, S.COMMITTED)], ids=["shadow", "trial", "committed"]
)
def test_a_stop_takes_back_what_is_under_way(seconds, end):
    """And bars nothing: it was not the version's fault. What is committed stays."""
    world = World(WHOLE)
    world.update("m")
    world.show(cycles=100_000)
    for _ in range(seconds):
        world.after(1)
    world.changes.ask_to_stop()
    world.changes.stop()
    assert world.state() == end
    assert end == S.COMMITTED or "the station stopped while it was" in words(world)[-1]
    assert not any(row.barred for row in world.rows.values())
    with pytest.raises(RefusedError, match="stopping"):
        world.update("m")


def test_no_store_is_said_and_stops_nothing():
    world = World(WHOLE, kept=False)
    assert "; it will not survive a restart: the store is another's" in world.update("m").message
    world.show(cycles=100_000)
    assert [world.after(10), world.after(60)] == [S.TRIAL, S.COMMITTED]


def test_a_full_disk_when_the_file_comes_is_said_and_stops_nothing():
    world = World(PLAIN)
    world.full.add("add")
    assert world.update("m").message.endswith("it will not survive a restart: /x/store: No space left on device")
    assert world.done == ["gate m", "replace"]


@pytest.mark.parametrize(("full", "end"), [(S.SHADOW, S.REJECTED), (S.TRIAL, S.REJECTED), (S.COMMITTED, S.ROLLED_BACK)])
def test_a_state_that_cannot_be_journalled_does_not_take_effect(full, end):
    """Of a change whose file is in the store: it ends, and the running version goes on."""
    world = World(WHOLE)
    world.full.add(full)
    if full == S.SHADOW:
        with pytest.raises(RefusedError, match="it could not be in shadow: /x/store: No space left on device"):
            world.update("m")
    else:
        world.update("m")
        world.show(cycles=100_000)
        world.after(10)
        world.after(60)
    assert world.state() == end
    assert {S.SHADOW: "shadow", S.TRIAL: "trial", S.COMMITTED: "commit"}[full] not in world.done
    assert full == S.SHADOW or "withdraw" in world.done


def test_a_full_disk_does_not_keep_a_bad_version_live():
    world = World(WHOLE)
    world.update("m")
    world.show(cycles=100_000)
    world.after(10)
    world.full.add(S.ROLLED_BACK)
    world.show(cycles=1, verdict=Verdict.FAILED)
    assert world.after(0.1) == S.ROLLED_BACK
    assert world.done[-1] == "withdraw"
    assert "No space left" in words(world)[-1]


@pytest.mark.parametrize("what", ["replace", "shadow", "trial", "commit"])
def test_a_task_that_does_not_take_it_ends_the_change(what):
    """It is told, and not held against the version."""
    world = World(PLAIN if what == "replace" else WHOLE)
    world.breaks[what] = UpdateError("1 of 2 tasks did not take the new version within 5 s")
    if what in ("replace", "shadow"):
        with pytest.raises(RefusedError, match="1 of 2 tasks did not take the new version within 5 s"):
            world.update("m")
    else:
        world.update("m")
        world.show(cycles=100_000)
        world.after(10)
        world.after(60)
    assert world.state() in (S.REJECTED, S.ROLLED_BACK)
    assert "1 of 2 tasks did not take" in words(world)[-1]
    assert not any(row.barred for row in world.rows.values())


def test_a_model_that_only_clients_call_has_no_shadow():
    world = World(PLAIN, called_only=["m"])
    with pytest.raises(RefusedError, match="no task runs model m as its own model"):
        world.update("m", wish=Wish(shadow=Span(cycles=5)))
    assert world.update("m").state == S.COMMITTED


@pytest.mark.parametrize(
    ("wish", "state"),
    [
        (Wish(shadow=Span(), trial=Span()), S.COMMITTED),
        (Wish(shadow=Span()), S.TRIAL),
        (Wish(shadow=Span(cycles=7)), S.SHADOW),
    ],
)
def test_the_command_line_goes_before_the_station_file(wish, state):
    assert World(WHOLE).update("m", wish=wish).state == state


def test_words_that_mean_nothing_are_answered():
    world = World(PLAIN)
    with pytest.raises(RefusedError, match="there is nothing to commit in slot m: there is no change"):
        world.changes.commit("m", "anna")
    with pytest.raises(KeyError, match='unknown model "k"'):
        world.changes.roll_back("k", "anna")
    world.update("m")
    with pytest.raises(RefusedError, match="it is committed already"):
        world.changes.commit("m", "anna")


@pytest.mark.parametrize("policy", [PLAIN, WHOLE])
def test_what_the_gate_notes_is_said(policy):
    world = World(policy)
    world.said_by_gate = "a tick of axis in which it fails holds"
    assert "; a tick of axis in which it fails holds" in world.update("m").message


def test_rollback_after_a_rejected_change_takes_the_committed_one_back():
    world = World(PLAIN)
    world.update("m")
    world.changes._policies = WHOLE
    world.update("m", data=b"another")
    world.show(cycles=5, disagreements=1)
    assert world.after(1) == S.REJECTED
    assert "m.onnx is rolled back; live: m v2" in world.changes.roll_back("m", "anna")
    assert world.done[-2:] == ["ROLLED_BACK", "back"]
    assert world.state() == S.ROLLED_BACK


def test_a_full_disk_keeps_nobody_from_going_back():
    """The version before is live; that the next start does not know of it is said."""
    world = World(PLAIN)
    world.update("m")
    world.full.add(S.ROLLED_BACK)
    world.changes.roll_back("m", "anna")
    assert world.done[-1] == "back"
    assert words(world)[-1].endswith("and: /x/store: No space left on device")


def test_of_slots_that_changed_together_the_newest_change_goes_back_first():
    world = World({"m": Policy(), "n": Policy()})
    world.update("m", "n")
    world.update("m", data=b"newer ")
    with pytest.raises(RefusedError, match="m, n changed together, and m has changed since: take that back first"):
        world.changes.roll_back("n", "anna")
    world.changes.roll_back("m", "anna")
    assert world.done[-1] == "back"


def test_an_update_waits_for_the_start(monkeypatch):
    """Before it there is no store to keep it, and no task to run it."""
    monkeypatch.setattr("station.change.changes.GATE_PATIENCE_S", 0.05)
    world = World(PLAIN)
    world.changes.stop()
    world.changes._stopping.clear()
    with pytest.raises(RefusedError, match=r"has not started within 0\.05 s"):
        world.update("m")
    world.changes.start(world)
    assert world.update("m").state == S.COMMITTED


def test_the_version_that_is_live_is_shown():
    """On trial it is the new one."""
    world = World(WHOLE)
    world.update("m")
    world.show(cycles=100_000)
    assert [view.version for view in world.changes.views()] == [1]
    world.after(10)
    assert [view.version for view in world.changes.views()] == [2]


def test_a_task_that_is_quicker_than_the_word_wins():
    """The version was found bad while somebody said commit: it is rolled back, barred, and the verdict is the reason."""
    world = World({"m": Policy(trial=Span(ns=SECOND_NS))})
    world.update("m")
    world.show(cycles=9)

    def condemned(change):
        world.show(cycles=10, verdict=Verdict.NOT_FINITE, task="axis")
        raise UpdateError("found bad by task 'axis' (NOT_FINITE); roll it back")

    world.commit = condemned
    with pytest.raises(
        RefusedError, match=r"m\.onnx is rolled back: on trial in task axis, after 10 cycles: its outputs were not"
    ):
        world.changes.commit("m", "anna")
    assert world.done[-3:] == ["COMMITTED", "withdraw", "ROLLED_BACK"]
    assert any(row.barred for row in world.rows.values())


def test_no_word_puts_a_version_into_the_journal_as_committed_that_a_task_has_found_bad():
    """Nobody has looked since the verdict: were the power cut behind that record, the next start would run it."""
    world = World({"m": Policy(trial=Span(ns=SECOND_NS))})
    world.update("m")
    world.show(cycles=10, verdict=Verdict.NOT_FINITE, task="axis")
    with pytest.raises(RefusedError, match=r"m\.onnx is rolled back: on trial in task axis"):
        world.changes.commit("m", "anna")
    assert world.done[-3:] == ["trial", "withdraw", "ROLLED_BACK"]
    assert any(row.barred for row in world.rows.values())


def test_a_journal_that_has_a_version_committed_that_did_not_stay_is_told_of():
    """The disk took COMMITTED, the tasks did not, and then the disk was full."""
    world = World({"m": Policy(trial=Span(ns=SECOND_NS))})
    world.update("m")
    world.show(cycles=9)
    world.breaks["commit"] = UpdateError("1 of 2 tasks did not take the new version within 5 s")
    world.full.add(S.ROLLED_BACK)
    with pytest.raises(RefusedError, match=r"as committed, for the next start: /x/store: No space left"):
        world.changes.commit("m", "anna")
