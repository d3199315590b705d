"""Uploads: what is taken, what is refused, and that a refusal changes nothing."""

import hashlib
import json
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from plc_bindings.security import signing
from plc_bindings.security.signing import serial_of, sign
from plc_bindings.security.updates import SILENCE_S, Updates
from plc_bindings.status import CallStatus
from rt_engine.change import ChangeState
from tests.waiting import wait_for

MODEL = bytes(range(256)) * 40


class Updated(NamedTuple):
    version: int
    state: ChangeState
    message: str


class Plant:
    """Slots that take any file, or refuse it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.key_file = folder / "key.pem"
        self.public = signing.generate(self.key_file)
        self.key = signing.load_private(self.key_file)
        self.taken, self.lines, self.error, self.now = [], [], None, 0.0
        self.gate, self.signatures, self.reaches = None, [], ChangeState.COMMITTED
        self.updates = self.start()

    def start(self, keys=None, **more):
        keys = [self.public] if keys is None else keys
        return Updates(
            keys,
            {"policy", "other"},
            self.replace,
            self.folder / "serials.json",
            lambda *line: self.lines.append(line),
            lambda *line: self.lines.append(line),
            most_bytes=100_000,
            now=lambda: self.now,
            **more,
        )

    def replace(self, slot, model, who, signature):
        if self.gate is not None:
            self.gate.wait(10)
        if self.error:
            raise self.error
        self.taken.append((slot, model.data, who))
        self.signatures.append(signature)
        version = len(self.taken) + 1
        return Updated(version, self.reaches, f"live as version {version}")

    def state(self):
        """A hash of everything that an update could change."""
        files = sorted((p.name, p.read_bytes()) for p in self.folder.iterdir() if p.is_file())
        return hashlib.sha256(repr((files, self.taken)).encode()).hexdigest()

    def send(self, client, signature, model=MODEL, slot="policy", part=1000):
        assert client.begin(slot, len(model), signature) == 0
        for offset in range(0, len(model), part):
            assert client.data(offset, model[offset : offset + part]) == 0
        return client.activate(slot)


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path)


def test_a_signed_file_goes_live_and_leaves_no_copy(plant, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    answer = plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL))
    assert answer == (0, 2, "live as version 2")
    assert plant.taken == [("policy", MODEL, "plc")]
    assert list(folder.iterdir()) == []
    assert plant.public.text in plant.lines[-1][2]


def wrong(plant, tmp_path):
    """What is wrong -> signature."""
    stranger = signing.generate(tmp_path / "stranger.pem") and signing.load_private(tmp_path / "stranger.pem")
    good = sign(plant.key, "policy", MODEL)
    return {
        "another's key": sign(stranger, "policy", MODEL),
        "another slot": sign(plant.key, "other", MODEL),
        "another file": sign(plant.key, "policy", MODEL + b"x"),
        "a later number on an old signature": (2**63).to_bytes(8, "little") + good[8:],
        "zeros": bytes(72),
    }


@pytest.mark.parametrize(
    "what", ["another's key", "another slot", "another file", "a later number on an old signature", "zeros"]
)
def test_a_wrong_signature_changes_nothing(plant, tmp_path, what):
    """Neither a file nor a model; nothing is parsed; the next good update works."""
    signature = wrong(plant, tmp_path)[what]
    before = plant.state()
    status, version, message = plant.send(plant.updates.client("plc"), signature)
    assert (status, version) == (CallStatus.BAD_SIGNATURE, 0)
    assert "no key" in message
    assert plant.state() == before
    assert plant.lines[-1][2].startswith("refused: its signature")
    assert plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL))[0] == 0


def test_an_older_signature_is_refused_also_after_a_restart(plant):
    """Downgrade: the file was good once. The newest may come again; an old file signed anew is a new one."""
    old, new = (sign(plant.key, "policy", MODEL, serial) for serial in (5, 6))
    assert plant.send(plant.updates.client("plc"), new)[0] == 0
    restarted = plant.start()
    before = plant.state()
    for updates in (plant.updates, restarted):
        status, _, message = plant.send(updates.client("plc"), old)
        assert status == CallStatus.REFUSED
        assert "sign it again" in message
    assert plant.state() == before
    assert plant.send(restarted.client("plc"), new)[0] == 0
    other_file = sign(plant.key, "policy", MODEL + b"x", 6)
    assert plant.send(restarted.client("plc"), other_file, MODEL + b"x")[0] == CallStatus.REFUSED
    assert plant.send(restarted.client("plc"), sign(plant.key, "policy", MODEL, 7))[0] == 0
    assert plant.send(restarted.client("plc"), sign(plant.key, "other", MODEL, 1), slot="other")[0] == 0


def test_a_bundle_goes_the_same_way_and_shares_the_serial_numbers(plant, tmp_path):
    """An old file is not put back by signing it in the other form with an old number."""
    public = signing.generate(tmp_path / "lab.pem", signing.ECDSA)
    lab = signing.load_private(tmp_path / "lab.pem")
    updates = plant.start(keys=[plant.public, public])
    bundle = sign(lab, "policy", MODEL, 6)
    assert plant.send(updates.client("plc"), bundle) == (0, 2, "live as version 2")
    assert plant.signatures == [bundle] and public.text in plant.lines[-1][2]
    before = plant.state()
    for old in (sign(lab, "policy", MODEL, 5), sign(plant.key, "policy", MODEL, 5)):
        assert plant.send(updates.client("plc"), old)[0] == CallStatus.REFUSED
    status, _, message = plant.send(updates.client("plc"), sign(lab, "other", MODEL, 7))
    assert status == CallStatus.BAD_SIGNATURE and "for slot other" in message
    assert updates.client("plc").begin("policy", 10, b"{" * (64 << 10) + b"{") == CallStatus.BAD_SIGNATURE
    assert plant.send(plant.start().client("plc"), bundle)[0] == CallStatus.BAD_SIGNATURE
    assert plant.state() == before
    assert plant.send(updates.client("plc"), sign(plant.key, "policy", MODEL, 7))[0] == 0


def test_a_model_that_the_engine_refuses_leaves_the_serial_number(plant):
    plant.error = ValueError("operator Foo is not supported")
    before = plant.state()
    status, _, message = plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL, 9))
    assert (status, message) == (CallStatus.REFUSED, "operator Foo is not supported")
    assert plant.state() == before
    plant.error = None
    assert plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL, 8))[0] == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"policy": 3}', '{"policy": ["x", 1]}', "\udcff"])
def test_a_damaged_file_of_serial_numbers_refuses_rather_than_forgets(plant, content):
    (plant.folder / "serials.json").write_bytes(content.encode(errors="surrogateescape"))
    before = plant.state()
    status, _, message = plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL))
    assert status == CallStatus.REFUSED
    assert "serial numbers cannot be used" in message
    assert plant.state() == before


def test_serial_numbers_that_cannot_be_kept_refuse(plant):
    (plant.folder / "serials.json.new").mkdir()
    status, *_ = plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL))
    assert status == CallStatus.REFUSED
    assert not plant.taken


def test_the_numbers_are_kept_in_a_private_file(plant):
    plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL, 5))
    file = plant.folder / "serials.json"
    assert json.loads(file.read_text())["policy"][0] == 5
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("size", "status"), [(0, 204), (100_001, 204), (2**32 - 1, 204), (100_000, 0), (1, 0)])
def test_size_is_limited_before_anything_is_kept(plant, size, status):
    assert plant.updates.client("plc").begin("policy", size, bytes(72)) == status


def test_a_slot_that_is_not_enabled_or_a_station_without_keys_takes_nothing(plant):
    assert plant.updates.client("plc").begin("third", 10, bytes(72)) == CallStatus.NOT_ALLOWED
    assert plant.start(keys=[]).client("plc").begin("policy", 10, bytes(72)) == CallStatus.NOT_ALLOWED
    assert plant.updates.client("plc").begin("policy", 10, bytes(64)) == CallStatus.BAD_SIGNATURE
    assert len(plant.lines) == 3


def test_parts_come_in_order_and_the_newest_may_come_again(plant):
    """As after an answer that was lost. Holes, overlaps and more than was announced are refused and change nothing."""
    client = plant.updates.client("plc")
    assert client.data(0, b"x") == CallStatus.INCOMPLETE
    assert client.activate("policy")[0] == CallStatus.INCOMPLETE
    model = b"abcdefgh"
    assert client.begin("policy", 8, sign(plant.key, "policy", model)) == 0
    assert client.data(0, b"abcd") == client.data(0, b"abcd") == 0
    for offset, data in [(5, b"f"), (0, b"abcx"), (2, b"cd"), (4, b"efghi"), (2**32 - 1, b"x")]:
        assert client.data(offset, data) == CallStatus.INCOMPLETE
    assert client.activate("policy")[0] == CallStatus.INCOMPLETE
    assert client.data(4, b"efgh") == 0
    assert client.activate("other")[0] == CallStatus.INCOMPLETE
    assert client.activate("policy")[0] == 0
    assert client.activate("policy")[0] == CallStatus.INCOMPLETE
    assert plant.taken[0][1] == model


def test_one_upload_for_each_slot_until_it_ends_is_given_up_or_falls_silent(plant):
    first, second = plant.updates.client("one"), plant.updates.client("two")
    assert first.begin("policy", 10, bytes(72)) == 0
    assert second.begin("policy", 10, bytes(72)) == CallStatus.BUSY
    assert second.begin("other", 10, bytes(72)) == 0
    assert first.begin("policy", 12, bytes(72)) == 0
    first.abort()
    assert second.begin("policy", 10, bytes(72)) == 0
    plant.now += SILENCE_S - 1
    assert second.data(0, b"abc") == 0
    plant.now += SILENCE_S - 1
    assert first.begin("policy", 10, bytes(72)) == CallStatus.BUSY
    plant.now += 1
    assert first.begin("policy", 10, bytes(72)) == 0
    assert second.data(3, b"def") == CallStatus.INCOMPLETE
    second.abort()
    assert first.data(0, b"abc") == 0


def test_an_activation_goes_on_when_its_connection_ends_and_no_other_begins_meanwhile(plant):
    plant.gate = threading.Event()
    client, other, answers = plant.updates.client("one"), plant.updates.client("two"), []
    signature = sign(plant.key, "policy", MODEL)
    client.begin("policy", len(MODEL), signature)
    client.data(0, MODEL)
    other.begin("other", len(MODEL), sign(plant.key, "other", MODEL))
    other.data(0, MODEL)
    thread = threading.Thread(target=lambda: answers.append(client.activate("policy")))
    thread.start()
    wait_for(lambda: client._upload.is_activating and plant.updates._one_at_a_time.locked())
    client.abort()
    plant.now += 10 * SILENCE_S
    assert client.begin("policy", 1, signature) == CallStatus.BUSY
    assert other.activate("other")[0] == CallStatus.BUSY
    assert plant.updates.client("three").begin("policy", 1, signature) == CallStatus.BUSY
    plant.gate.set()
    thread.join(10)
    assert answers[0][0] == 0
    assert other.begin("policy", 1, signature) == 0


def test_a_mistake_of_ours_is_an_answer_too(plant, monkeypatch):
    monkeypatch.setattr("plc_bindings.security.updates.proven", lambda *_: 1 / 0)
    status, _, message = plant.send(plant.updates.client("plc"), sign(plant.key, "policy", MODEL))
    assert status == CallStatus.INTERNAL
    assert "ZeroDivisionError" in message


def test_the_serial_number_names_the_file(plant):
    """So that the station's report tells versions apart; a compiled program keeps its suffix."""
    names = []
    live = Updated(2, ChangeState.COMMITTED, "")
    plant.updates._replace = lambda slot, file, who, signature: names.append(file.name) or live
    for serial, model in enumerate((MODEL, b"\x89RTP\r\n\x1a\n"), start=1):  # two in one millisecond have one number
        signature = sign(plant.key, "policy", model, serial=serial)
        plant.send(plant.updates.client("plc"), signature, model)
        assert names[-1].startswith(f"policy-{serial_of(signature)}.")
    assert [Path(name).suffix for name in names] == [".onnx", ".rtp"]


def test_the_answer_says_how_far_it_got_and_the_signature_goes_with_the_file(plant):
    """In shadow it is taken, though not live: its serial number counts."""
    plant.reaches = ChangeState.SHADOW
    signature = sign(plant.key, "policy", MODEL)
    assert plant.send(plant.updates.client("plc"), signature) == (0, 2, "SHADOW: live as version 2")
    assert plant.signatures == [signature]
    assert f"serial number {serial_of(signature)}, signed by {plant.public.text}: SHADOW" in plant.lines[-1][2]
    older = sign(plant.key, "policy", MODEL + b"x", serial=serial_of(signature) - 1)
    assert plant.send(plant.updates.client("plc"), older, MODEL + b"x")[0] == CallStatus.REFUSED


def test_a_version_that_is_kept_counts_though_its_number_was_not_written(plant):
    """The power went between the one and the other: what is older is still refused, the same file is not."""
    signature = sign(plant.key, "policy", MODEL)
    kept = (serial_of(signature), hashlib.sha256(MODEL).hexdigest())
    updates = plant.start(kept=lambda slot: kept)
    older = sign(plant.key, "policy", MODEL + b"x", serial=kept[0] - 1)
    status, _, message = plant.send(updates.client("plc"), older, MODEL + b"x")
    assert status == CallStatus.REFUSED and f"last {kept[0]}" in message
    assert plant.send(updates.client("plc"), signature)[0] == 0


def test_where_it_cannot_be_told_what_is_kept_nothing_is_taken(plant):
    def kept(slot):
        raise ValueError("the journal is damaged")

    answer = plant.send(plant.start(kept=kept).client("plc"), sign(plant.key, "policy", MODEL))
    assert answer[0] == CallStatus.REFUSED and "the journal is damaged" in answer[2]
