import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from plc_bindings.security.signing import sign
from rt_engine.binding import Binding
from rt_engine.change import ChangeState
from rt_engine.read.source import Source
from station.errors import StoreError
from station.store.journal import line
from station.store.store import Recovered, Store

A, B, C = (Source(b"model " + letter * 100, f"/else/where/{letter.decode()}.onnx") for letter in (b"a", b"b", b"c"))
COMMITTED, TRIAL, ROLLED_BACK = ChangeState.COMMITTED, ChangeState.TRIAL, ChangeState.ROLLED_BACK


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store")
    made.open()
    yield made
    made.close()


def again(store: Store) -> Recovered:
    """What the store holds for the next process."""
    store.close()
    return store.open()


def commit(store: Store, change: int, **models: Source) -> None:
    versions = {slot: store.add(slot, source, "test").sha256 for slot, source in models.items()}
    for state in (ChangeState.STAGED, ChangeState.GATE, ChangeState.SHADOW, TRIAL, COMMITTED):
        store.record(change, versions, state, "test", "")


def test_what_was_committed_is_there_after_a_restart(store):
    commit(store, store.next_change(), policy=A)
    commit(store, store.next_change(), policy=B)
    found = again(store)
    assert found.committed["policy"].sha256 == B.sha256 and not found.ended and not found.notes
    assert store.source(found.committed["policy"]).data == B.data
    assert store.previous("policy").sha256 == A.sha256
    assert store.next_change() == 3


@pytest.mark.parametrize(
    ("state", "ends", "words"),
    [
        (ChangeState.STAGED, ChangeState.REJECTED, "staged"),
        (ChangeState.GATE, ChangeState.REJECTED, "in the gate"),
        (ChangeState.SHADOW, ROLLED_BACK, "in shadow"),
        (TRIAL, ROLLED_BACK, "on trial"),
    ],
)
def test_what_was_under_way_is_ended_with_words(store, state, ends, words):
    commit(store, 1, policy=A, other=A)
    new = store.add("policy", B, "test").sha256
    store.record(2, {"policy": new, "other": new}, state, "test", "")
    (ended,) = again(store).ended
    assert (ended.change, ended.was, ended.state) == (2, state, ends)
    assert ended.why == f"the station ended while it was {words}"
    for slot in ("policy", "other"):
        assert store.committed(slot).sha256 == A.sha256
        assert store.barred(slot, new) == (ended.why if ends == ROLLED_BACK else "")
    assert not again(store).ended


def test_a_version_that_is_rolled_back_gives_way_to_the_one_before(store):
    for number, model in enumerate((A, B, C), 1):
        commit(store, number, policy=model)
    for bad, good in ((C, B), (B, A)):
        store.record(store.next_change(), {"policy": bad.sha256}, ROLLED_BACK, "anna", "shakes")
        assert again(store).committed["policy"].sha256 == good.sha256
    assert store.previous("policy") is None
    assert store.barred("policy", C.sha256) == "shakes"
    store.allow("policy", C.sha256, "anna")
    again(store)
    assert not store.barred("policy", C.sha256)


def test_the_station_files_model_counts_when_it_is_replaced(store):
    assert store.take_file("policy", A) == ""
    commit(store, 1, policy=B)
    assert store.take_file("policy", A) == "" and store.committed("policy").sha256 == B.sha256
    assert "the file counts" in store.take_file("policy", C)
    assert again(store).committed["policy"].sha256 == C.sha256
    assert store.previous("policy").sha256 == B.sha256


def test_a_store_is_held_by_one(store):
    with pytest.raises(StoreError, match="held by another process"):
        Store(store.folder).open()


def test_what_is_not_there_cannot_be_committed(store):
    with pytest.raises(StoreError, match="add it first"):
        store.record(1, {"policy": A.sha256}, ChangeState.STAGED, "test", "")


@pytest.mark.parametrize("what", ["", "versions"])
def test_a_store_that_others_can_write_is_refused(store, what):
    store.close()
    (store.folder / what).chmod(0o777)
    with pytest.raises(StoreError, match=r"another user could change what runs.*chmod"):
        store.open()


def test_what_is_made_is_for_its_owner_alone(store):
    commit(store, 1, policy=A)
    store.put_program(A.sha256, b"program", Binding({"x": (1, 4)}))
    store.put_report(A.sha256, {"passed": True})
    for path in (store.folder, *store.folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert len([*store.folder.rglob("*")]) == 8


def test_a_signature_stays_with_its_version(store):
    signature = (1234).to_bytes(8, "little") + bytes(range(64))
    store.add("policy", A, "192.168.10.9", signature)
    again(store)
    (row,) = store.versions("policy")
    assert (row.version.signature, row.version.serial, row.version.who) == (signature, 1234, "192.168.10.9")


def test_a_bundle_stays_with_its_version_and_tells_its_serial_number(store):
    bundle = sign(generate_private_key(SECP256R1()), "policy", A.data, 1234)
    store.add("policy", A, "192.168.10.9", bundle)
    again(store)
    (row,) = store.versions("policy")
    assert (row.version.signature, row.version.serial) == (bundle, 1234)


def damaged(store, records):
    """Change a byte of these records of the journal, counted from the end."""
    path = store.folder / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    for record in records:
        lines[record] = lines[record][:30] + b"#" + lines[record][31:]
    path.write_bytes(b"".join(lines))


def test_damage_is_told_once_and_the_records_behind_it_count(store):
    commit(store, 1, policy=A, other=A)
    commit(store, 2, policy=B, other=B)
    store.allow("policy", A.sha256, "anna")
    store.close()
    damaged(store, [-2, -3])
    found = again(store)
    assert "the journal is damaged" in found.notes[0] and "2 records are missing" in found.notes[0]
    assert {slot: version.sha256 for slot, version in found.committed.items()} == {
        "policy": A.sha256,
        "other": A.sha256,
    }
    assert [(one.change, one.was) for one in found.ended] == [(2, ChangeState.SHADOW)]
    assert not again(store).notes


def test_the_newest_record_says_what_all_slots_run(store):
    """Whatever is damaged before it."""
    commit(store, 1, policy=A, other=A)
    commit(store, 2, policy=B, other=B)
    store.record(3, {"third": store.add("third", C, "anna").sha256}, ChangeState.STAGED, "anna", "")
    store.close()
    damaged(store, [-3])
    found = again(store)
    assert {slot: version.sha256 for slot, version in found.committed.items()} == {
        "policy": B.sha256,
        "other": B.sha256,
    }


def test_a_record_that_was_removed_is_missed(store):
    commit(store, 1, policy=A)
    store.close()
    path = store.folder / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    assert "nowhere to be seen; 1 records are missing" in again(store).notes[0]
    assert not again(store).notes


def test_a_changed_byte_anywhere_never_mixes_slots(store):
    """One of the two versions in both, or, where nothing else is left of the journal, none."""
    commit(store, 1, policy=A, other=A)
    commit(store, 2, policy=B, other=B)
    store.close()
    path = store.folder / "journal"
    data = path.read_bytes()
    for place in range(0, len(data), 37):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        found = store.open().committed
        store.close()
        assert {version.sha256 for version in found.values()} in ({A.sha256}, {B.sha256}) and len(found) == 2


def test_a_version_that_does_not_load_any_more_can_be_brought_again(store):
    """Its damaged file is replaced by the one that comes."""
    commit(store, 1, policy=A)
    path = store.files.place(A.sha256) / "model.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="is damaged"):
        store.source(store.committed("policy"))
    store.add("policy", A, "anna")
    assert store.source(store.committed("policy")).data == A.data


def test_a_store_of_a_newer_version_is_left_alone(store):
    store.close()

    with open(store.folder / "journal", "ab") as journal:
        journal.write(line({"n": 2, "kind": "store", "format": 2}))
    before = (store.folder / "journal").read_bytes()
    with pytest.raises(StoreError, match="newer version of rt-engine"):
        store.open()
    assert (store.folder / "journal").read_bytes() == before


def test_the_oldest_versions_go_when_there_are_too_many(tmp_path):
    """Never the one that runs, the one before, that of the station file; nor what another slot needs. The journal knows them."""
    models = [Source(b"model %d" % n, f"{n}.onnx") for n in range(9)]
    store = Store(tmp_path / "store", keep=2)
    store.open()
    store.take_file("policy", models[0])
    commit(store, 1, other=models[1])
    for number, model in enumerate(models[1:8], 2):
        commit(store, number, policy=model)
    for model in models[8:]:
        version = store.add("policy", model, "anna").sha256
        store.record(store.next_change(), {"policy": version}, ChangeState.REJECTED, "gate", "too slow")
    kept = {row.version.name: row.is_kept for row in store.versions("policy")}
    assert [name for name, is_kept in kept.items() if is_kept] == [
        "0.onnx",
        "1.onnx",
        "5.onnx",
        "6.onnx",
        "7.onnx",
        "8.onnx",
    ]
    assert len(kept) == 9
    assert store.add("policy", models[2], "anna").number == 3
    again(store)
    assert store.committed("policy").sha256 == models[7].sha256 and store.previous("policy").sha256 == models[6].sha256
    store.close()


def test_the_version_that_runs_is_not_barred_by_a_refusal_of_its_own_file(store):
    """Brought once more and refused (by a gate on a busy machine), it goes on, and runs after a restart."""
    commit(store, store.next_change(), policy=A)
    refused = store.next_change()
    for state in (ChangeState.STAGED, ChangeState.GATE, ChangeState.REJECTED):
        store.record(refused, {"policy": A.sha256}, state, "test", "the gate refuses it")
    assert (store.barred("policy", A.sha256), store.versions("policy")[0].state) == ("", COMMITTED)
    assert again(store).committed["policy"].sha256 == A.sha256
