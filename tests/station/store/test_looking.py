import pytest

from rt_engine.change import ChangeState
from rt_engine.read.source import Source
from station.errors import StoreError
from station.store.looking import look, state_words, to_json, why_words
from station.store.store import Store

A, B, C = (Source(b"model " + letter, f"{letter.decode()}.onnx") for letter in (b"a", b"b", b"c"))


@pytest.fixture
def store(tmp_path):
    """Of one slot: the station file's version, one that was committed, one on trial."""
    made = Store(tmp_path / "store")
    made.open()
    made.take_file("policy", A)
    for number, (model, state) in enumerate(((B, ChangeState.COMMITTED), (C, ChangeState.TRIAL)), 1):
        sha256 = made.add("policy", model, "anna", bytes(72)).sha256
        made.record(number, {"policy": sha256}, state, "bert", "good")
    yield made
    made.close()


def shown(store, runs):
    return [(row.version.number, state_words(row), why_words(row, runs)) for row in look(store.folder, runs).rows]


def test_a_store_is_read_while_a_station_holds_it(store):
    assert shown(store, runs=True) == [
        (1, "previous", "named by the station file"),
        (2, "committed", "good"),
        (3, "on trial", "good"),
    ]
    store.close()
    before = (store.folder / "journal").read_bytes()
    assert shown(store, runs=False)[2] == (
        3,
        "on trial",
        "good; the station has ended since: the next start takes it back",
    )
    assert (store.folder / "journal").read_bytes() == before
    store.open()
    assert shown(store, runs=True)[2] == (3, "rolled back, barred", "the station ended while it was on trial")


def test_programs_get_all_of_it(store):
    row = to_json(look(store.folder, True).rows[2])
    assert {name: row[name] for name in ("slot", "version", "sha256", "file", "bytes", "from", "serial", "state")} == {
        "slot": "policy",
        "version": 3,
        "sha256": C.sha256,
        "file": "c.onnx",
        "bytes": 7,
        "from": "anna",
        "serial": 0,
        "state": "TRIAL",
    }


def test_damage_is_told(store):
    store.close()
    path = store.folder / "journal"
    path.write_bytes(path.read_bytes().replace(b"bert", b"hans", 1) + b"0011 30 {")
    assert len(look(store.folder, False).notes) == 2


def test_where_no_store_is_says_how_it_comes(tmp_path):
    with pytest.raises(StoreError, match="the first `rt-engine run` makes it"):
        look(tmp_path, False)
