"""The command `export st`: a station file becomes a folder of files; what cannot be called is said in one sentence."""

import re
import shutil

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.demo.demo import BETTER
from station.errors import ExitCode

POLICY = BETTER.with_name("policy-v1.onnx")
MODELS = '[models.policy]\nfile = "policy.onnx"\n[models.spare]\nfile = "policy.onnx"\n'
ADS = '[servers.twincat]\ntype = "ads"\nams_net_id = "10.1.2.3.1.1"\n'
MODBUS = '[servers.plc]\ntype = "modbus-tcp"\nport = 5020\nunit = 7\norder = "CDAB"\n'


def export(folder, servers, *options):
    """Run the command on a station with these servers."""
    shutil.copy(POLICY, folder / "policy.onnx")
    (folder / "station.toml").write_text(f'[station]\nname = "line4"\n{MODELS}{servers}')
    return CliRunner().invoke(app, ["export", "st", str(folder / "station.toml"), "-o", str(folder / "out"), *options])


def test_the_twincat_flavour_calls_the_ads_server(tmp_path):
    """A file for each unit, and one with all; the NetId is the server's. Every path is printed."""
    result = export(tmp_path, ADS + MODBUS, "--flavour", "twincat")
    assert result.exit_code == 0, result.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {line.rsplit("/", 1)[1] for line in result.stdout.splitlines()}
    assert {"FB_RtPredict.TcPOU", "FB_policy.TcPOU", "FB_spare.TcPOU", "E_RtStatus.TcDUT", "line4.xml"} <= written
    text = (tmp_path / "out" / "GVL_RtEngine.TcGVL").read_text()
    assert "'10.1.2.3.1.1'" in text and "PORT : T_AmsPort := 851;" in text


def test_the_portable_flavour_calls_the_modbus_server(tmp_path):
    """Addresses are those of `rt-engine symbols`; unit and order those of the server."""
    result = export(tmp_path, ADS + MODBUS)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").glob("line4*")} == {
        "line4.st",
        "line4_example.st",
        "line4_codesys.st",
        "line4_matiec.st",
        "line4_openplc.st",
        "line4_master.st",
        "line4_mbconfig.cfg",
        "line4.xml",
        "line4_beremiz.xml",
    }
    text = (tmp_path / "out" / "line4.st").read_text()
    assert "nUnit := 7," in text and "UINT_TO_UDINT(aRegisters[1]) * 65536 + UINT_TO_UDINT(aRegisters[0])" in text
    listed = CliRunner().invoke(app, ["symbols", str(tmp_path / "station.toml"), "--csv", str(tmp_path / "map.csv")])
    rows = [line.split(",") for line in (tmp_path / "map.csv").read_text().splitlines()] if not listed.exit_code else []
    found = {row[0]: row for row in rows}
    register = rows[0].index("register")
    hashed = found["Models.policy.SignatureHash"][register].split("-")[0]
    assert f"nHashAt := {hashed}," in text
    inputs = next(row[register] for name, row in found.items() if name.startswith("Models.policy.Predict.In."))
    assert f"nInputsAt := {inputs.split('-')[0]}," in text


def test_only_some_models(tmp_path):
    result = export(tmp_path, MODBUS, "--model", "spare")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "line4.st").read_text()
    assert "FB_spare" in text and "FB_policy" not in text


@pytest.mark.parametrize(("flavour", "of"), [("portable", MODBUS), ("twincat", ADS)])
def test_stations_share_a_library(tmp_path, flavour, of):
    """What is in it is in no station's files, and the other way round."""
    result = export(tmp_path, of, "--flavour", flavour, "--prefix", "lab")
    assert result.exit_code == 0, result.output
    made = CliRunner().invoke(app, ["export", "st", "--library", "--flavour", flavour, "-o", str(tmp_path / "shared")])
    assert made.exit_code == 0, made.output
    own, shared = (
        {
            n
            for path in (tmp_path / part).glob("*")
            for n in re.findall(r"^\s*(?:FUNCTION_BLOCK|TYPE|VAR_GLOBAL) (\w+)", path.read_text(), re.M)
        }
        for part in ("out", "shared")
    )
    assert "FB_RtPredict" in shared - own and "FB_lab_policy" in own - shared and not own & shared - {"CONSTANT"}


@pytest.mark.parametrize(
    ("servers", "options", "said"),
    [
        (
            MODBUS,
            ["--flavour", "twincat"],
            'no server that the twincat flavour can call; add [servers.NAME] of type "ads"',
        ),
        (ADS, [], 'type "modbus-tcp" or "modbus-tls"'),
        (MODBUS + MODBUS.replace("plc", "hmi").replace("5020", "5021"), [], "choose with --server plc or hmi"),
        (MODBUS, ["--server", "hmi"], "has no [servers.hmi]"),
        (MODBUS, ["--model", "other"], "no model other; the station has policy, spare"),
    ],
    ids=["no ads", "no modbus", "several", "unknown server", "unknown model"],
)
def test_what_cannot_be_called_is_refused(tmp_path, servers, options, said):
    """With what would help; nothing is written."""
    result = export(tmp_path, servers, *options)
    assert result.exit_code == ExitCode.BAD_FILE
    assert said in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_a_wrong_option(tmp_path):
    (tmp_path / "out").write_text("a file")
    result = export(tmp_path, MODBUS)
    assert result.exit_code == 2  # wrong command line
    assert "another folder" in " ".join(re.findall(r"\w+", result.output))


def test_a_c_project_that_cannot_be_written_is_a_wrong_option(tmp_path):
    (tmp_path / "out").write_text("a file")
    words = ["export", "c", "-o", str(tmp_path / "out"), "--model", str(POLICY)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2  # wrong command line
    assert "another folder" in " ".join(re.findall(r"\w+", result.output))


def test_the_station_here_is_exported_where_none_is_named(tmp_path, monkeypatch):
    """station.toml, as for other commands; where there is none, it is the file that is missed."""
    monkeypatch.chdir(tmp_path)
    missed = CliRunner().invoke(app, ["export", "st", "-o", "out"])
    assert missed.exit_code == ExitCode.BAD_FILE and "station.toml" in missed.output and not (tmp_path / "out").exists()
    export(tmp_path, MODBUS)
    (tmp_path / "out").rename(tmp_path / "named")
    assert CliRunner().invoke(app, ["export", "st", "-o", "out"]).exit_code == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "named").iterdir()
    }


@pytest.mark.parametrize(("source", "options", "said"), [("m.onnx", (), "--inline"), ("s.toml", ("--inline",), "onnx")])
def test_a_model_and_a_station_are_not_mixed_up(source, options, said):
    result = CliRunner().invoke(app, ["export", "st", source, "-o", "out", *options])
    assert result.exit_code == 2  # wrong command line
    assert said in result.output and ("is a model" in result.output) != ("is no model" in result.output)


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ('modbus-tcp"\nhost = "127.0.0.1"', "only a PLC on this computer"),
        ('modbus-tcp"\nhost = "0.0.0.0"', "put the station's address in its place"),
        ('modbus-tcp"\nhost = "10.1.2.3"', ""),
        ('ads"\nhost = "0.0.0.0"', "NET_ID is empty"),
        ('ads"\nhost = "10.1.2.3"\nport = 48899', "a TwinCAT router connects to 48898, and to no other"),
        ('ads"\nhost = "0.0.0.0"\nams_net_id = "10.1.2.3.1.1"', ""),
    ],
)
def test_a_server_that_the_plc_cannot_reach_is_said(tmp_path, server, said):
    flavour = "twincat" if server.startswith("ads") else "portable"
    result = export(tmp_path, f'[servers.plc]\ntype = "{server}\nallow = ["10.1.2.4"]\n', "--flavour", flavour)
    assert result.exit_code == 0, result.output
    assert said in result.stderr and bool(said) == bool(result.stderr)
