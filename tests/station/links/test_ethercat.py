"""The EtherCAT table of a station file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from station.file.owners import owner_of
from station.file.reading import read_station
from station.links.ethercat import EthercatLink
from station.terms.tables import TagTable
from tests import ROOT

TASK = """
[tasks.control]
cycle = "1 ms"
inputs = ["position"]
outputs = ["target"]
step = { type = "linear" }

[tasks.slow]
cycle = "5 ms"
inputs = ["position"]
outputs = ["valve"]
step = { type = "linear" }
"""
DRIVE = {"position": 2, "vendor": 0x66F}


def table(**keys):
    return EthercatLink.model_validate({"type": "ethercat", "interface": "eth1", **keys})


def found(**keys):
    return [(finding.path[2:], finding.message) for finding in table(**keys).findings("bus", {}, Path())]


def test_a_slave_is_what_the_master_is_told():
    sdos = [
        {"index": 0x6060, "value": 8, "type": "int8"},
        {"index": 0x2000, "subindex": 3, "value": "ab", "type": "text"},
    ]
    pdos = [0x1600, {"index": 0x1A00, "entries": ["0x6041:00:16", "0x6064:0:32"]}]
    option = (
        table(slaves={"axis": {**DRIVE, "sdos": sdos, "pdos": pdos, "watchdog": "20 ms"}}).slaves["axis"].made("axis")
    )
    assert [(sdo.place, sdo.data) for sdo in option.sdos] == [("0x6060:00", b"\x08"), ("0x2000:03", b"ab")]
    assert [(pdo.index, pdo.entries) for pdo in option.pdos] == [
        (0x1600, ()),
        (0x1A00, ((0x6041, 0, 16), (0x6064, 0, 32))),
    ]
    assert (option.position, option.vendor, option.product, option.watchdog_ms) == (2, 0x66F, None, 20.0)


@pytest.mark.parametrize(
    ("value", "kind"), [((1 << 64) - 1, "uint64"), ((1 << 53) + 1, "int64"), (-(1 << 63), "int64")]
)
def test_a_whole_number_is_written_to_its_last_bit(value, kind):
    """Also one that a float64 does not hold."""
    sdos = [{"index": 0x2000, "value": value, "type": kind}]
    option = table(slaves={"axis": {**DRIVE, "sdos": sdos}}).slaves["axis"].made("axis")
    assert int.from_bytes(option.sdos[0].data, "little", signed=kind == "int64") == value


@pytest.mark.parametrize(
    ("slaves", "where", "words"),
    [
        ({"axis": {}}, ("slaves", "axis"), "give its position (counted from 0) or its alias"),
        ({"a": {"position": 1}, "b": {"position": 1}}, ("slaves",), "two slaves have the position 1"),
        (
            {"axis": {**DRIVE, "sdos": [{"index": 0x6060, "value": 300, "type": "int8"}]}},
            ("slaves", "axis"),
            "SDO 0x6060:00: 300 is no value of int8",
        ),
        ({"axis": {**DRIVE, "pdos": [0x6040]}}, ("slaves", "axis"), "0x6040 is no PDO"),
        (
            {"axis": {**DRIVE, "pdos": [{"index": 0x1A00, "entries": ["0x6041:00"]}]}},
            ("slaves", "axis"),
            'write index, subindex and bits: "0x6041:00:16"',
        ),
        ({"axis": {**DRIVE, "watchdog": "1 ms"}}, ("slaves", "axis", "watchdog"), "shorter than two cycles"),
    ],
)
def test_a_slave_that_cannot_be_is_told_where_it_stands(slaves, where, words):
    (path, message), *more = found(slaves=slaves)
    assert (path, more) == (where, [])
    assert words in message


def test_a_missing_package_is_told_with_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert found() == [(("type",), "EtherCAT needs the package pysoem: pip install 'rt-engine[ethercat]'")]


@pytest.mark.parametrize("interface", ["", "a/b", "enp0s31f6-too-long"])
def test_a_name_that_no_interface_can_have_is_refused(interface):
    """A longer one would be written over what lies behind its place in SOEM."""
    with pytest.raises(ValidationError):
        table(interface=interface)


def test_an_address_names_a_slave_that_is_named_or_a_position():
    bus = table(slaves={"axis": DRIVE})
    faults = {
        a: [*bus.address_faults(TagTable(address=a))] for a in ("axis:0x6041:00", "1:Input_1", "axes:Input_1", "axis")
    }
    assert [faults["axis:0x6041:00"], faults["1:Input_1"]] == [[], []]
    assert faults["axes:Input_1"] == [
        'no slave is called "axes"; there are axis: name it in a table `slaves.axes`, or write its position, from 0'
    ]
    assert 'write "SLAVE:ENTRY"' in faults["axis"][0]


def test_an_interface_has_one_master():
    """Two links of a station, and two stations, cannot both have it."""
    first, second = table(), table(cycle="2 ms")
    assert first.held_alone() == second.held_alone() != table(interface="eth2").held_alone()
    assert second.second("bus", first) == (
        "link bus has the interface eth1, and a bus has one master: this one never gets the interface; put its tags on link bus",
        "error",
    )
    assert first.reserved([]) == ["ethercat eth1"]


def test_a_link_by_its_address():
    assert EthercatLink.of_url("eth1") == 'interface = "eth1"'
    with pytest.raises(ValueError, match="ethercat://INTERFACE"):
        EthercatLink.of_url("")


def test_the_station_of_the_page_checks(tmp_path):
    """The file that docs/ethercat.md shows has no mistake."""
    (text, *_) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "ethercat.md").read_text(), re.DOTALL)
    file = tmp_path / "station.toml"
    file.write_text('[station]\nname = "n"\n\n' + text + TASK)
    config = read_station(file).config
    assert config.links["bus"].slaves["axis"].made("axis").watchdog_ms == 20.0
    assert owner_of(config, "bus") == "control"


def test_who_has_no_bus_does_not_wait_for_it():
    """Reading a station file without such a link imports nothing of EtherCAT."""
    code = (
        "import sys; from station.links import link_tables; link_tables(); "
        "print([name for name in sys.modules if name.startswith('fieldbus.ethercat')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
