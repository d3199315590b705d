"""`rt-engine opcua certificate|trust`: a certificate of our own, and whose are trusted, in a folder."""

import json

import pytest
from typer.testing import CliRunner

from fieldbus.errors import UntrustedError
from fieldbus.opcua.certificates import Certificates
from fieldbus.opcua.own import make
from station.cli import app

STEERING = "\x1b[31m\u202e"


def run(*words, code=0):
    said = CliRunner().invoke(app, ["opcua", *map(str, words)], env={"COLUMNS": "200"})
    assert said.exit_code == code, said.output
    return said.output


def test_a_certificate_is_made_once_and_renewed_when_asked(tmp_path):
    said = run("certificate", "-f", tmp_path / "pki", "--host", "plc.example", "--days", 3)
    own = Certificates(tmp_path / "pki").own()
    assert own.thumbprint in said and "urn:plc.example:rt-engine" in said
    assert "--renew" in run("certificate", "-f", tmp_path / "pki", code=1)
    assert own.thumbprint not in run("certificate", "-f", tmp_path / "pki", "--renew")


@pytest.mark.parametrize("options", [("--uri", "no uri"), ("--host", "ü")])
def test_what_no_certificate_can_say_is_refused_in_a_sentence(tmp_path, options):
    assert "is no" in run("certificate", "-f", tmp_path, *options, code=1)


def test_who_was_rejected_is_listed_and_trusted(tmp_path):
    peer = make(tmp_path / "peer", name=f"peer {STEERING}", uri="urn:peer")
    store = Certificates(tmp_path / "ours")
    with pytest.raises(UntrustedError):
        store.check(peer.der)
    listed = run("trust", "-f", store.folder)
    assert "trusted: nobody" in listed and f"  {peer.thumbprint}  until" in listed
    assert STEERING[0] not in listed and STEERING[-1] not in listed
    assert [one["uri"] for one in json.loads(run("trust", "-f", store.folder, "--json"))["rejected"]] == ["urn:peer"]
    run("trust", "-f", store.folder, peer.thumbprint[:10])
    assert "rejected: nobody" in run("trust", "-f", store.folder)
    store.check(peer.der)


def test_what_is_not_there_is_not_trusted(tmp_path):
    assert "no thumbprint" in run("trust", "-f", tmp_path, "1234", code=1)
