import pytest

from rt_engine.change import ChangeState
from rt_engine.read.source import Source
from station.errors import StoreError
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
    store.put_program(A.sha256, b"program", {"x": (1, 4)}, {})
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
