"""`rt-engine token`: a secret that is shown once, and what the station file has of it."""

import tomllib

import pytest
from typer.testing import CliRunner

from plc_bindings.security.tokens import Tokens
from station.cli import app


def run(*words):
    return CliRunner().invoke(app, ["token", *words], env={"COLUMNS": "200"})


@pytest.mark.parametrize("name", ["anna", "panel-3.west"])
def test_what_it_prints_goes_into_a_station_file_and_lets_its_owner_in(name):
    said = run(name)
    assert said.exit_code == 0, said.output
    secret = said.output.split()[0]
    table = tomllib.loads(said.output[said.output.index("tokens =") :])["tokens"]
    assert secret not in str(table)
    assert Tokens(table, {}).of_token(secret) == name


def test_each_is_another():
    assert run("anna").output.split()[0] != run("anna").output.split()[0]


@pytest.mark.parametrize("name", ["", "a b", "9a", 'a"'])
def test_a_name_that_the_file_could_not_have_is_refused(name):
    said = run(name)
    assert said.exit_code == 2 and "letters, digits" in said.output
