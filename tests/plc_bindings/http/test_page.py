"""docs/http.md says what is so."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from station.file.reading import read_station
from tests import ROOT
from tests.plc_bindings.modbus.test_tls import Authority
from tests.station.stations import AXIS, SIM, station_text, write_station

PAGE = (ROOT / "docs" / "http.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_python_runs(station, capsys):
    (block,) = blocks("python")
    exec(compile(block.replace("127.0.0.1:8000", station.url), "http.md", "exec"), {})
    assert capsys.readouterr().out == "(3, 4) from version 1\n"


def test_its_curl_is_answered(station):
    (block,) = blocks("sh")
    path, body = re.fullmatch(r"curl http://127.0.0.1:8000(\S+) -d '(.*)'\n", block, re.DOTALL).groups()
    status, _, answer = station.ask("POST", path, body.encode(), Content_Type="application/x-www-form-urlencoded")
    assert status == 200 and np.shape(json.loads(answer)["outputs"][0]["data"]) == (4,)


@pytest.mark.parametrize("number", [0, 1])
def test_its_station_files_are_good(tmp_path, number):
    text = station_text("press", SIM, AXIS, blocks("toml")[number]).replace('"policy", "press_*"', '"mean"')
    certificate, key, _ = Authority(tmp_path).issue("models", days=(-1, 1000))
    Path(certificate).replace(tmp_path / "models.pem")
    Path(key).replace(tmp_path / "models.key")
    assert read_station(write_station(tmp_path, text)).warnings == ()


def test_its_example_of_a_refusal_is_one(station):
    (words,) = re.findall(r"`(inputs\[0\].*?)`", PAGE)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [17], "data": []}]}
    assert station.infer("policy", body)[1] == {"error": words}
