"""`rt-engine scan opcua`, which is `opcua browse`: what a server has, and a station file that gets its values."""

import json
import sys

import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from asyncua.ua import VariantType
from typer.testing import CliRunner

from station.cli import app
from station.file.reading import read_station
from station.scans.shared.opcua_proposal import names
from tests.fieldbus.opcua.server import serving

BAD_NO_COMMUNICATION = 0x80310000


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


def run(*words, code=0):
    said = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "250"})
    assert said.exit_code == code, said.output
    return said


def test_it_proposes_a_station_file_whose_tags_have_values(server, tmp_path):
    file = tmp_path / "station.toml"
    run("opcua", "browse", server.url, "--security", "none", "-o", file)
    config = read_station(file).config
    assert {name: tag.type for name, tag in config.tags.items()}["temps"] == "float32"
    assert config.tags["temps"].count == 4 and "text" not in config.tags
    assert "1.5" in run("check", "--connect", "--json", file).stdout


def test_a_value_with_a_bad_status_is_not_shown_as_good(server, tmp_path):
    file = tmp_path / "station.toml"
    run("opcua", "browse", server.url, "--security", "none", "-o", file, "--under", "Line/temps")
    qualities = []
    for status in (BAD_NO_COMMUNICATION, 0):
        server.set("temps", [1.5, 2.5, 3.5, 4.5], status, VariantType.Float)
        (checked,) = json.loads(run("check", "--connect", "--json", file).stdout)
        qualities.append([tag["quality"] for tag in checked["devices"][0]["tags"]])
    assert qualities == [["BAD"], ["GOOD"]]


def test_it_lists_for_programs(server):
    listed = json.loads(run("scan", "opcua", server.url, "--security", "none", "--under", "Line/on", "--json").stdout)
    assert [(one["address"].partition(";")[2], one["type"], one["value"]) for one in listed] == [
        ("s=Line.on", "bool", True)
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("opc.tcp://127.0.0.1:1", "--security", "none"),
            1,
            "no connection to opc.tcp://127.0.0.1:1: Connection refused",
        ),
        (("http://127.0.0.1", "--security", "none"), 2, "opc.tcp://HOST:PORT"),
        (("opc.tcp://a", "--security", "Basic128Rsa15"), 2, "is none of Basic256Sha256"),
    ],
)
def test_what_does_not_work_is_a_sentence(words, code, said):
    assert said in run("scan", "opcua", *words, code=code).output


def test_a_missing_package_is_told_with_the_command(monkeypatch):
    for name in [one for one in sys.modules if one.partition(".")[0] == "asyncua" or one.startswith("fieldbus.opcua")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncua", None)
    said = run("opcua", "browse", "opc.tcp://127.0.0.1:1", code=1).output
    assert "OPC UA needs the package asyncua: pip install 'rt-engine[opcua]'" in said


def test_what_the_server_offers_is_said(server):
    assert "it offers none" in run("scan", "opcua", server.url, code=1).output


def test_names_are_unlike_each_other_and_what_tags_can_have():
    paths = [("a", "x"), ("b", "x"), ("c", "y z"), ("c", "9"), ("d", "p", "q"), ("e", "p", "q"), ("e", "p q"), ("", "")]
    assert names(paths) == ["a_x", "b_x", "y_z", "tag_9", "d_p_q", "e_p_q", "p_q", "tag"]
    assert names([("a",), ("a",), ("a_2",)]) == ["a", "a_2", "a_2_2"]
