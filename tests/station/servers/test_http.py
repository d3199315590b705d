"""What a station file may say of models as a service."""

import json
import urllib.request

import pytest

from station.file.reading import read_station
from station.running.station import Station
from tests.station.stations import AXIS, SIM, problems_of_server, running, station_text, write_station


def problems(tmp_path, keys):
    """(key, message) of each error and warning."""
    return problems_of_server(tmp_path, "models", "http", keys)


@pytest.mark.parametrize(
    "keys", ["", 'models = ["mean"]\nbatch = 1\nbody_timeout = "500 ms"\nrequests_per_second = 10']
)
def test_what_fits_together_is_good(tmp_path, keys):
    assert problems(tmp_path, keys) == []


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ('host = "192.168.10.2"', "servers.models", "say which may connect"),
        ('tokens = { anna = "rt_secret" }', "servers.models.tokens.anna", "`rt-engine token anna`"),
        ('cert_file = "station.toml"', "servers.models", "key_file"),
        ('writable = ["Tags.a"]', "servers.models.writable", "writes no values"),
        ("batch = 0", "servers.models.batch", "must be 1 or more"),
        ('models = ["mean", "pol*"]', "servers.models.models[1]", '"pol*" is the name of no model'),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, keys, key, words):
    found = problems(tmp_path, keys)
    assert any(at == key and words in message for at, message in found), found


def test_a_station_answers_beside_its_tasks(tmp_path):
    """The whole of it once: the model of a task, called from outside, named with its version."""
    text = station_text("press", SIM, AXIS, '[servers.models]\ntype = "http"\nport = 0\n')
    station = Station(read_station(write_station(tmp_path, text)))
    with running(station):
        host, port = station._plc.servers["models"].address
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 3, 5, 7]}]}
        url = f"http://{host}:{port}/v2/models/mean/infer"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as answer:
            told = json.load(answer)
    assert (told["model_version"], told["outputs"][0]["data"]) == ("1", [2, 6])
