"""What a station file may say of its OPC UA server."""

import pytest

from plc_bindings.opcua.options import OpcUaLimits
from plc_bindings.security.tokens import hashed
from station.servers.opcua import NameplateTable, OpcUaServerTable
from tests.station.stations import problems_of_server

USER = f'tokens = {{ anna = "{hashed("rt_secret")}" }}'


def problems(tmp_path, keys, has_certificate=True):
    """(key, message) of each error and warning about the server."""
    if has_certificate:
        (tmp_path / "opcua").mkdir()
        (tmp_path / "opcua" / "own.der").touch()
    return problems_of_server(tmp_path, "scada", "opcua", keys)


@pytest.mark.parametrize(
    "keys",
    [
        USER,
        f'{USER}\nroles = {{ anna = "operator" }}\nmethods = ["Models.*.Predict"]',
        "anonymous = true",
        'user_certificates = true\nroles = { anna = "operator" }',
        f'{USER}\nidentification = {{ manufacturer = "Press & Co", year_of_construction = 2026 }}',
    ],
)
def test_what_fits_together_is_good(tmp_path, keys):
    assert problems(tmp_path, keys) == []


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ("", "servers.scada", "nobody can come in"),
        (f'{USER}\nroles = {{ ana = "operator" }}', "servers.scada.roles.ana", '"anna"'),
        (f'{USER}\nroles = {{ anna = "king" }}', "servers.scada.roles.anna", "operator"),
        (f"{USER}\npolicies = []", "servers.scada.policies", "is empty"),
        ('anonymous = true\npolicies = ["plain"]', "servers.scada.policies", "everybody on the wire"),
        (f'{USER}\npolicies = ["plain"]', "servers.scada.tokens", "passwords are not taken"),
        ('user_certificates = true\npolicies = ["plain"]', "servers.scada.user_certificates", "prove nothing"),
        ('tokens = { anna = "rt_secret" }', "servers.scada.tokens.anna", "`rt-engine token anna`"),
        (f'{USER}\nhost = "192.168.10.2"', "servers.scada", "say which may connect"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, keys, key, words):
    found = problems(tmp_path, keys)
    assert any(at == key and words in message for at, message in found), found


def test_without_a_certificate_the_command_that_makes_one_is_named(tmp_path):
    assert any("rt-engine opcua certificate -f" in message for _, message in problems(tmp_path, USER, False))


def test_a_nameplate_has_the_nouns_of_the_standard():
    plate = NameplateTable(manufacturer="Press & Co", serial_number="4711", year_of_construction=2026)
    assert plate.nouns() == {"Manufacturer": "Press & Co", "SerialNumber": "4711", "YearOfConstruction": 2026}


def test_a_link_with_ten_thousand_tags_needs_no_other_bound():
    """It watches one value more: whether the server runs."""
    assert OpcUaServerTable.model_fields["monitored_items"].default > 10_001
    assert OpcUaServerTable.model_fields["monitored_items"].default == OpcUaLimits().items
