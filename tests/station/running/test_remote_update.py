"""A model replaced over ADS, from `rt-engine keygen` to the new model's answer; and what is refused on the way."""

import hashlib
import json
import re
import struct
from contextlib import contextmanager
from ctypes import c_ubyte
from typing import Any

import pyads
import pytest
from pymodbus.client import ModbusTcpClient
from typer.testing import CliRunner

from plc_bindings.ads.groups import PREDICT, UPLOAD_ABORT, UPLOAD_ACTIVATE, UPLOAD_BEGIN, UPLOAD_DATA
from plc_bindings.security.verifying import verify
from plc_bindings.status import CallStatus
from rt_engine.change import ChangeState
from station.cli import app
from station.errors import StationFileError
from station.file.reading import read_station
from station.running.station import Station
from station.store.starting import kept_in
from tests import ROOT
from tests.station.stations import AXIS, SIM, write_station
from tests.waiting import wait_for

TEXT = """\
[station]
name = "remote"
keys = ["KEY"]

[models.mean]
file = "mean.onnx"
remote_update = true

[models.fixed]
file = "mean.onnx"

[servers.ads]
type = "ads"
host = "HOST"
writable = ["Models.mean.Rollback"]
"""


def command(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path):
    """A station's files, key pairs `plant` and `lab` (ECDSA), and `twice.onnx` signed with both for the slot `mean`."""
    write_station(tmp_path)
    assert command("keygen", "-o", tmp_path / "plant")[0] == 0
    assert command("keygen", "--ecdsa", "-o", tmp_path / "lab")[0] == 0
    for key in ("plant", "lab"):
        assert command("sign", tmp_path / "twice.onnx", "--key", tmp_path / f"{key}.pem", "--slot", "mean")[0] == 0
    return tmp_path


@pytest.fixture
def station(folder, host):
    keys = '", "'.join((folder / f"{name}.pub").read_text().strip() for name in ("plant", "lab"))
    text = TEXT.replace("HOST", host).replace("KEY", keys)
    with Station(read_station(write_station(folder, text))) as station:
        yield station


@contextmanager
def connected(host):
    plc = pyads.Connection(f"{host}.1.1", 851, host)
    plc.open()
    try:
        yield plc
    finally:
        plc.close()


def write(plc, group, offset, data):
    plc.write(group, offset, (c_ubyte * len(data)).from_buffer_copy(data), c_ubyte * len(data))


def upload(plc, data, signature, number=1, part=100):
    write(plc, UPLOAD_BEGIN, number, struct.pack("<I", len(data)) + signature)
    for offset in range(0, len(data), part):
        write(plc, UPLOAD_DATA, offset, data[offset : offset + part])


def activate(plc, number=1):
    """(status, version, message)."""
    plc.set_timeout(120_000)
    answer = bytes(plc.read_write(UPLOAD_ACTIVATE, number, c_ubyte * 264, None, None, check_length=False))
    return *struct.unpack_from("<II", answer), answer[8:].split(b"\0")[0].decode()


def predicted(plc, number=1):
    """(version, output) for the inputs 1 and 3."""
    data = struct.pack("<2f", 1.0, 3.0)
    given = (c_ubyte * 8).from_buffer_copy(data)
    status, *rest = struct.unpack("<IIf", bytes(plc.read_write(PREDICT, number, c_ubyte * 12, given, c_ubyte * 8)))
    assert status == 0
    return tuple(rest)


def all_of(folder):
    """Hash of every file of the station, but for the audit log."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("audit"))
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()


def test_a_signed_model_goes_live_and_the_audit_log_says_by_whom(station, folder, host):
    data = (folder / "twice.onnx").read_bytes()
    with connected(host) as plc:
        assert predicted(plc) == (1, 2.0)
        upload(plc, data, (folder / "twice.onnx.sig").read_bytes())
        assert predicted(plc) == (1, 2.0)
        status, version, message = activate(plc)
        assert (status, version) == (0, 2) and message.startswith("mean-") and " is live as version 2, " in message
        assert predicted(plc) == (2, 4.0)
        assert predicted(plc, 2) == (1, 2.0)
        assert plc.read_by_name("Models.mean.Hash") == hashlib.sha256(data).hexdigest()
    station._audit._flush()
    entries = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    assert any("replaced by mean-" in e["outcome"] and e["who"].startswith("127.0.0.1") for e in entries)
    assert "from 127.0.0.1" in station.snapshot().models["mean"]


def test_a_client_sees_its_change_and_takes_it_back(folder, host):
    """The store has the version with its signature, the log of changes who did what; a bit that stays TRUE acts once."""
    text = TEXT.replace("HOST", host).replace("KEY", (folder / "plant.pub").read_text().strip())
    data, signature = ((folder / name).read_bytes() for name in ("twice.onnx", "twice.onnx.sig"))
    file = read_station(write_station(folder, text))
    with kept_in(folder / "store") as kept, Station(file, kept) as station, connected(host) as plc:

        def shown(name):
            return plc.read_by_name(f"Models.mean.{name}")

        def back(bit):
            plc.write_by_name("Models.mean.Rollback", bit, pyads.PLCTYPE_BOOL)

        assert (shown("ChangeState"), shown("CandidateVersion")) == (ChangeState.NONE, 0)
        upload(plc, data, signature)
        assert activate(plc)[:2] == (0, 2)
        assert (shown("ChangeState"), shown("CandidateVersion")) == (ChangeState.COMMITTED, 2)
        wait_for(lambda: plc.read_by_name("Server.AuditNumber", pyads.PLCTYPE_UDINT) == 2)
        head = plc.read_by_name("Server.AuditHead")
        assert (station.snapshot().audit_number, station.snapshot().audit_head) == (2, head)
        assert shown("CandidateHash") == hashlib.sha256(data).hexdigest() and shown("Reason")
        assert kept.store.committed("mean").signature == signature
        back(True)
        back(False)
        for _ in range(3):
            back(True)
        wait_for(lambda: shown("ChangeState") == ChangeState.ROLLED_BACK)
        assert predicted(plc)[1] == 2.0
        with pytest.raises(pyads.ADSError):
            plc.write_by_name("Models.mean.Commit", True, pyads.PLCTYPE_BOOL)
        back(False)
        back(True)
        wait_for(lambda: any("rollback of model mean" in event.text for event in station.report().events))
    changes = [json.loads(line) for line in (folder / "audit.changes.jsonl").read_text().splitlines()]
    told = [(e["state"], e["who"].split()[0], e["sha256"]) for e in changes if "state" in e]
    assert told == [(state, "127.0.0.1", hashlib.sha256(data).hexdigest()) for state in ("COMMITTED", "ROLLED_BACK")]
    assert verify(folder / "audit.changes.jsonl", head).is_whole


ON_TRIAL = """\
[models.mean.change]
shadow = "10 h"
trial = "10 h"
commit = "manual"

[servers.modbus]
type = "modbus-tcp"
host = "HOST"
port = 5020
writable = ["Models.mean.Commit"]

"""


def test_a_plc_watches_shadow_and_trial_and_says_commit(folder, host):
    """Over ADS it comes and is seen, a coil of Modbus says that it goes on; the log says who did what."""
    text = (
        TEXT.replace("KEY", (folder / "plant.pub").read_text().strip()) + ON_TRIAL + SIM + AXIS.replace("1 ms", "10 ms")
    )
    file = read_station(write_station(folder, text.replace("HOST", host)))
    data, signature = ((folder / name).read_bytes() for name in ("twice.onnx", "twice.onnx.sig"))
    coils = ModbusTcpClient(host, port=5020)
    with kept_in(folder / "store") as kept, Station(file, kept) as station, connected(host) as plc:

        def shown(name):
            return plc.read_by_name(f"Models.mean.{name}")

        def commit():
            for bit in (False, True):
                assert not coils.write_coil(13_000, bit).isError()

        wait_for(lambda: station.tags(["force"])[0].values == (2.0,))
        upload(plc, data, signature)
        status, version, message = activate(plc)
        assert (status, version, message[:7]) == (0, 2, "SHADOW:")
        wait_for(lambda: shown("Compared") > 3 and shown("LargestDifference") == 2.0)
        assert (shown("ChangeState"), shown("LiveVersion"), shown("CandidateVersion")) == (ChangeState.SHADOW, 1, 2)
        assert shown("LargestOutput") == "force" and 35_000 < shown("Remaining") <= 36_000
        assert station.tags(["force"])[0].values == (2.0,)
        assert coils.connect()
        commit()
        wait_for(lambda: (shown("ChangeState"), shown("LiveVersion")) == (ChangeState.TRIAL, 2))
        wait_for(lambda: station.tags(["force"])[0].values == (4.0,))
        commit()
        wait_for(lambda: shown("ChangeState") == ChangeState.COMMITTED)
        coils.close()
    changes = [json.loads(line) for line in (folder / "audit.changes.jsonl").read_text().splitlines()]
    states = [entry["state"] for entry in changes if "state" in entry]
    assert states == ["SHADOW", "TRIAL", "COMMITTED"]
    assert all(entry["who"].startswith("127.0.0.1") for entry in changes)


def test_a_wrong_signature_changes_nothing(station, folder, host):
    """Files, answers, versions, hashes: all as before; then the right one works on the same connection."""
    data, signature = ((folder / name).read_bytes() for name in ("twice.onnx", "twice.onnx.sig"))
    before = all_of(folder)
    with connected(host) as plc:
        shown = plc.read_by_name("Models.mean.Hash")
        upload(plc, data[:-1] + b"\xff", signature)
        status, version, message = activate(plc)
        assert (status, version) == (CallStatus.BAD_SIGNATURE, 0)
        assert "nothing was changed" in message
        assert predicted(plc) == (1, 2.0)
        assert plc.read_by_name("Models.mean.Hash") == shown
        assert all_of(folder) == before
        upload(plc, data, signature)
        assert activate(plc)[0] == 0


def test_another_slots_signature_and_a_slot_that_is_not_enabled(station, folder, host):
    signature = (folder / "twice.onnx.sig").read_bytes()
    with connected(host) as plc:
        with pytest.raises(pyads.ADSError):
            upload(plc, (folder / "twice.onnx").read_bytes(), signature, number=2)
        assert activate(plc, 2)[0] == CallStatus.INCOMPLETE
        assert predicted(plc, 2) == (1, 2.0)


def test_a_signed_model_that_does_not_fit_is_refused_with_the_reason(station, folder, host):
    command("sign", folder / "wide.onnx", "--key", folder / "plant.pem", "--slot", "mean")
    with connected(host) as plc:
        upload(plc, (folder / "wide.onnx").read_bytes(), (folder / "wide.onnx.sig").read_bytes())
        status, version, message = activate(plc)
        assert (status, version) == (CallStatus.REFUSED, 0)
        assert "input" in message
        assert predicted(plc) == (1, 2.0)


def test_a_connection_that_ends_gives_its_upload_up(station, folder, host):
    data, signature = ((folder / name).read_bytes() for name in ("twice.onnx", "twice.onnx.sig"))
    with connected(host) as plc:
        write(plc, UPLOAD_BEGIN, 1, struct.pack("<I", len(data)) + signature)
    with connected(host) as plc:
        upload(plc, data, signature)
        write(plc, UPLOAD_ABORT, 1, b"\0")
        assert activate(plc)[0] == CallStatus.INCOMPLETE
        upload(plc, data, signature)
        assert activate(plc)[0] == 0


def test_the_documented_client_does_it(station, folder, host):
    """With a .sig file, and with a bundle."""
    page = (ROOT / "docs" / "security.md").read_text()
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.S)[0], names)
    with connected(host) as plc:
        files = [(folder / name).read_bytes() for name in ("twice.onnx", "twice.onnx.sig")]
        assert names["update"](plc, 1, *files)[:2] == (0, 2)
        bundle = (folder / "twice.onnx.sigstore.json").read_bytes()
        assert names["update"](plc, 1, files[0], bundle[:-99])[0] == CallStatus.BAD_SIGNATURE
        assert names["update"](plc, 1, files[0], bundle)[:2] == (0, 3)
        assert names["update"](plc, 1, files[0], bytes(72))[0] == CallStatus.BAD_SIGNATURE


def test_the_documented_station_file_checks(folder):
    page = (ROOT / "docs" / "security.md").read_text()
    text = re.findall(r"```toml\n(.*?)```", page, re.S)[0].replace("policy.onnx", "mean.onnx")
    warnings = read_station(write_station(folder, text)).warnings  # it shows neither tags nor tasks
    assert ["names nothing" in str(w) for w in warnings] == [True, True]


def test_keys_that_are_none_are_found_by_the_check(folder):
    text = TEXT.replace("HOST", "127.0.0.1").replace("KEY", "ssh-ed25519 AAAA")
    with pytest.raises(StationFileError, match="keygen"):
        read_station(write_station(folder, text))


def test_commands_refuse_in_words(folder):
    """Overwriting a key, a model that is not there, a slot that is not named."""
    assert command("keygen", "-o", folder / "plant")[0] == 3
    assert command("sign", folder / "no.onnx", "--key", folder / "plant.pem", "--slot", "mean")[0] == 3
    assert command("sign", folder / "twice.onnx", "--key", folder / "plant.pub", "--slot", "mean")[0] == 3
    assert command("sign", folder / "twice.onnx", "--key", folder / "plant.pem")[0] == 2
    assert command("sign", ".", "--key", folder / "plant.pem", "--slot", "mean")[0] == 3
    assert command("keygen", "-o", ".")[0] == 2
    for slot in ("", "me an", "\udcff", "../mean", "mean\n"):  # no station can have such a slot
        assert command("sign", folder / "twice.onnx", "--key", folder / "plant.pem", "--slot", slot)[0] == 2
