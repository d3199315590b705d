"""What a station file may say of its page."""

import pytest

from plc_bindings.security.tokens import hashed
from station.file.reading import read_station
from tests.plc_bindings.modbus.test_tls import Authority
from tests.station.stations import AXIS, SIM, problems_of_server, station_text, write_station

HASH = hashed("rt_secret")


def problems(tmp_path, keys):
    """(key, message) of each error and warning about the page."""
    return problems_of_server(tmp_path, "page", "web", keys)


@pytest.mark.parametrize(
    "keys",
    [
        "",
        f'tokens = {{ anna = "{HASH}" }}\ncommands = {{ anna = ["record", "commit", "rollback", "reset-state"] }}',
        'names = ["press.plant.example"]',
        'cert_file = "page.pem"\nkey_file = "page.key"\nca_file = "authority"\ncommands = { panel = ["record"] }',
    ],
)
def test_what_fits_together_is_good(tmp_path, keys):
    Authority(tmp_path).issue("page", days=(-1, 300))
    assert problems(tmp_path, keys) == []


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ('host = "192.168.10.2"', "servers.page", "say which may connect"),
        ('tokens = { anna = "rt_secret" }', "servers.page.tokens.anna", "`rt-engine token anna`"),
        (f'tokens = {{ anna = "{HASH}" }}\ncommands = {{ ana = ["record"] }}', "servers.page.commands.ana", '"anna"'),
        (f'tokens = {{ anna = "{HASH}", Anna = "{HASH}" }}', "servers.page.tokens.Anna", "the name of another token"),
        ('commands = { anna = ["record"] }', "servers.page.commands.anna", "nobody can show that he is anna"),
        ('commands = { anna = ["stop"] }', "servers.page.commands.anna[0]", "record"),
        ('cert_file = "station.toml"', "servers.page", "key_file"),
        ('key_file = "station.toml"', "servers.page", "cert_file"),
        ('cert_file = "none.pem"\nkey_file = "none.key"', "servers.page.cert_file", "no such file"),
        ('ca_file = "station.toml"', "servers.page.ca_file", "only in TLS"),
        ('allow_certificates = ["panel"]', "servers.page.allow_certificates", "who has signed"),
        ('writable = ["Tags.a"]', "servers.page.writable", "writes no values"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, keys, key, words):
    found = problems(tmp_path, keys)
    assert any(at == key and words in message for at, message in found), found


def test_tokens_that_others_can_hear_are_worth_a_warning(tmp_path):
    keys = f'host = "192.168.10.2"\nallow = ["192.168.10.5"]\ntokens = {{ anna = "{HASH}" }}'
    assert any("travel unencrypted" in message for _, message in problems(tmp_path, keys))


def test_the_place_is_an_address_for_a_browser(tmp_path):
    text = station_text("press", SIM, AXIS, '[servers.page]\ntype = "web"\nhost = "::1"\n')
    assert read_station(write_station(tmp_path, text)).config.servers["page"].place() == "web at http://[::1]:8080/"
