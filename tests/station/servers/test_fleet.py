"""What a station file may say of its fleet; and what its agent asks of the station."""

import errno
import os

import pytest

from plc_bindings.status import CallStatus
from rt_engine.change import ChangeState
from station.errors import StationFileError
from station.file.reading import read_station
from station.fleet.documents import Wanted
from station.fleet.events import After
from station.fleet.plant import StationPlant
from station.fleet.progress import FAILED, STAGES
from tests.station.stations import AXIS, SIM, problems_of_server, station_text, write_station

KEY = "ed25519:Bx9OmGeEYp7tPl8yvL0U87czMFi+lBMJM7YlhnxSKqg="
GOOD = f'broker = "broker.example"\nkeys = ["{KEY}"]\nsources = ["https://models.example/plant"]\n'


def problems(tmp_path, keys):
    """(key, message) of each error and warning about the fleet."""
    return problems_of_server(tmp_path, "fleet", "fleet", keys)


def test_what_fits_together_is_good(tmp_path):
    more = 'labels = { line = "4" }\nreaction = "5 ms"\ntopic = "plant/rt-engine"\n'
    assert problems(tmp_path, GOOD + more) == []


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        (GOOD.replace(KEY, "ed25519:AAAA"), "servers.fleet.keys[0]", "is no public key"),
        ('broker = "b"\nsources = ["https://m.example"]', "servers.fleet", "needs the key keys"),
        (f'broker = "b"\nkeys = ["{KEY}"]', "servers.fleet", "needs the key sources"),
        (GOOD.replace("https", "http"), "servers.fleet.sources[0]", "is not encrypted"),
        (GOOD + 'cert_file = "station.toml"', "servers.fleet", "needs the key key_file too"),
        (GOOD + 'ca_file = "none.pem"', "servers.fleet.ca_file", "no such file"),
        (GOOD + 'writable = ["Tags.*"]', "servers.fleet.writable", "orders write no values"),
        (GOOD + 'tls = false\nuser = "press"', "servers.fleet.user", "travels unencrypted"),
        (GOOD + f'labels = {{ line = "{"4" * 129}" }}', "servers.fleet.labels.line", "128 characters"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path, keys, key, words):
    assert any(found == key and words in message for found, message in problems(tmp_path, keys))


def test_names_that_no_report_can_carry_are_refused(tmp_path):
    table = read_station(
        write_station(tmp_path, station_text("press", SIM, AXIS, f'[servers.fleet]\ntype = "fleet"\n{GOOD}\n'))
    )
    server = table.config.servers["fleet"]
    long = "x" * 101
    assert not list(server.name_findings("fleet", "p" * 100, [f"m{n}" for n in range(64)]))
    found = [
        (one.path, one.message) for one in server.name_findings("fleet", long, [long, *(f"m{n}" for n in range(64))])
    ]
    assert [path for path, _ in found] == [("station", "name"), ("models", long), ("servers", "fleet")]
    assert "has 101 letters; a fleet knows names of up to 100 letters" in found[0][1]
    assert "there are 65 models" in found[2][1]
    text = station_text("press", SIM, AXIS, f'[servers.fleet]\ntype = "fleet"\n{GOOD}\n').replace(
        '"press"', f'"{long}"'
    )
    with pytest.raises(StationFileError, match="101 letters"):
        read_station(write_station(tmp_path, text))


# --- the station --------------------------------------------------------------------------------------------------------


class Uploads:
    """Stands for `Updates`: answers so."""

    def __init__(self, begin=0, activate=(0, 2, "in shadow")):
        self.calls, self._answers = [], (begin, activate)

    def client(self, who):
        self.calls.append(who)
        return self

    def begin(self, slot, size, signature):
        self.calls.append((slot, size, len(signature)))
        return self._answers[0]

    def data(self, offset, part):
        self.calls.append((offset, len(part)))
        return 0

    def activate(self, slot):
        return self._answers[1]

    def abort(self):
        self.calls.append("abort")


NO_ROOM = os.strerror(errno.ENOSPC)
WANTED = Wanted(sha256="a" * 64, size=9, signature="11" * 72, sources=())


def test_a_version_comes_in_as_an_upload_does():
    uploads = Uploads()
    assert StationPlant(None, uploads).apply("policy", WANTED, bytes(3 << 20), "order 7")[0] == ""
    assert uploads.calls[:2] == ["order 7", ("policy", 3 << 20, 72)]
    assert [offset for offset, _ in uploads.calls[2:]] == [0, 1 << 20, 2 << 20]


@pytest.mark.parametrize(
    ("uploads", "words", "after"),
    [
        (None, "remote_update = true", After.NEVER),
        (Uploads(begin=CallStatus.NOT_ALLOWED), "remote_update = true", After.NEVER),
        (Uploads(begin=CallStatus.BUSY), "another client", After.AGAIN),
        (Uploads(activate=(CallStatus.BAD_SIGNATURE, 0, "no key")), "no key", After.NEVER),
        (Uploads(activate=(CallStatus.REFUSED, 0, "the gate says no")), "the gate says no", After.AGAIN),
        (Uploads(activate=(CallStatus.REFUSED, 0, f"store: {NO_ROOM}")), NO_ROOM, After.FREE),
    ],
)
def test_a_refusal_says_why_and_whether_to_try_again(uploads, words, after):
    why, follows = StationPlant(None, uploads).apply("policy", WANTED, b"123", "order 7")
    assert words in why
    assert follows == after


def test_the_states_of_a_change_have_a_stage():
    told = {*STAGES, *FAILED, ChangeState.NONE, ChangeState.COMMITTED}
    assert told == set(ChangeState)


class Page:
    """Stands for a running station: `before` is under what runs."""

    def __init__(self, runs, before):
        self.models, self._before, self.commands = {"policy": runs}, before, []

    def measures(self):
        return self

    def command(self, name, arguments, who):
        self.commands.append(name)
        self.models = {"policy": self._before}


@pytest.mark.parametrize(
    ("runs", "commands", "words"),
    [("b" * 64, ["rollback"], ""), ("c" * 64, [], "cccccccccccc runs, not bbbbbbbbbbbb, which the order takes back")],
)
def test_only_the_version_that_the_order_takes_back_is_taken_back(runs, commands, words):
    """Not what a person has put there since."""
    page = Page(runs, "a" * 64)
    back = WANTED.model_copy(update={"sha256": "a" * 64, "back": True, "before": "b" * 64})
    assert StationPlant(page, None).back("policy", back, "order 7") == (words, After.NEVER if words else After.AGAIN)
    assert page.commands == commands
