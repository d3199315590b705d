"""The station file that is proposed for an EtherCAT bus."""

import re
import tomllib

from fieldbus.ethercat.slaves.entries import PdoEntry, SlaveFound, found_by_sii
from fieldbus.ethercat.slaves.sii import parse_sii
from station.links.shared.drives import DriveTable
from station.scans.shared.ethercat_proposal import (
    BusWanted,
    PdoWanted,
    SdoWanted,
    SlaveWanted,
    proposal,
    wanted_of,
    with_names,
)
from tests.fieldbus.ethercat import sii_images as images


def text_of(*slaves, **keys):
    return proposal(BusWanted("eth1", wanted_of(slaves), "rt-engine ethercat scan eth1", **keys))


def with_outputs(text):
    """The file's values, when the # is taken from its outputs."""
    head, _, outputs = text.partition("# Outputs:\n")
    return tomllib.loads(head + re.sub(r"^# (?=\w+ = )", "", outputs, flags=re.MULTILINE))


def found(position, image):
    return found_by_sii(position, parse_sii(image))


def test_slaves_and_tags():
    """Slaves with place and identity; inputs are tags, outputs comments, with address and type; two alike have two names."""
    text = text_of(found(0, images.digital()), found(1, images.digital()), found(2, images.drive()))
    assert set(tomllib.loads(text)["tags"]) == {
        name for name, tag in with_outputs(text)["tags"].items() if "direction" not in tag
    }
    file = with_outputs(text)
    bus = file["links"]["bus"]
    assert (bus["type"], bus["interface"], bus["slave_count"]) == ("ethercat", "eth1", 3)
    assert bus["slaves"] == {
        "EL2004": {"position": 0, "vendor": 2, "product": 0x07D43052}, "EL2004_2": {"position": 1, "vendor": 2, "product": 0x07D43052},
        "D1": {"position": 2, "vendor": 0x1234, "product": 0xABCD},
    }  # fmt: skip
    assert file["tags"]["EL2004_2_Channel_4_Output"] == {
        "direction": "out",
        "type": "bool",
        "address": "EL2004_2:0x7030:01",
    }
    assert file["tags"]["D1_Statusword"] == {"type": "uint16", "address": "D1:0x6041:00"}
    assert file["tags"]["D1_Inputs_Flag_2000_02"]["count"] == 2
    assert len(file["tags"]) == 4 + 4 + 6
    assert "# D1_Text: D1:0x2001:00 (Inputs Text): STRING of 64 bits is no number" in text
    assert "revision 0x00120000" in text
    assert "serial 99" in text


def test_drives_are_proposed():
    """Controlword and statusword make a drive; its mode is that of the target it has; a second axis lies 0x800 further."""
    entries = [
        ("out", 0x6040),
        ("out", 0x607A),
        ("in", 0x6041),
        ("in", 0x6064),
        ("out", 0x6840),
        ("out", 0x68FF),
        ("in", 0x6841),
        ("in", 0x6877),
    ]
    made = tuple(PdoEntry(d, 0, index, 0, 16, f"x{index:X}", "uint16", 0) for d, index in entries)
    text = text_of(SlaveFound(0, "two axes", 1, 2, 3, entries=made), found(1, images.drive()))
    drives = tomllib.loads(
        text.replace("# [links", "[links")
        .replace("# slave", "slave")
        .replace("# axis", "axis")
        .replace("# mode", "mode")
        .replace("# inputs", "inputs")
    )
    tables = drives["links"]["bus"]["drives"]
    assert tables == {
        "two_axes_axis": {"slave": "two_axes", "mode": "csp", "inputs": ["position"]},
        "two_axes_axis1": {"slave": "two_axes", "axis": 1, "mode": "csv", "inputs": ["torque"]},
        "D1_axis": {"slave": "D1", "mode": "csp", "inputs": ["position"]},
    }
    assert all(DriveTable.model_validate(table).made(name).name == name for name, table in tables.items())
    assert "drives" not in text_of(found(0, images.digital()))


def test_what_is_exchanged_twice_is_one_tag():
    """An address means one place; the second is told in a comment."""
    twice = images.image((50, images.pdo(0x1A00, 3, 0, (0x6041, 0, 0, 6, 16), (0x6041, 0, 0, 6, 16))))
    text = text_of(found(0, twice))
    assert len(tomllib.loads(text)["tags"]) == 1
    assert "is exchanged twice" in text


def test_how_a_slave_is_set_up():
    """Start-up SDOs, PDOs and watchdog, in a table of its own, after those that have none."""
    sdos = (SdoWanted(0x6060, 0, 8, "int8", comment="csp"), SdoWanted(0x8000, 1, "0102ff", "bytes", complete=True))
    pdos = (PdoWanted(0x1600), PdoWanted(0x1A00, ((0x6041, 0, 16), (0x6064, 0, 32))))
    slaves = (
        SlaveWanted(
            "drive",
            0,
            1,
            2,
            sdos=sdos,
            pdos=pdos,
            watchdog_ns=200_000_000,
            title="a\ndrive",
            remarks=("one line\nonly",),
        ),
        SlaveWanted("plain", 1),
    )
    text = proposal(BusWanted("eth1", slaves, "x", cycle_ns=500_000))
    bus = tomllib.loads(text)["links"]["bus"]
    assert bus["cycle"] == "500 us"
    assert bus["slaves"]["plain"] == {"position": 1}
    assert bus["slaves"]["drive"] == {
        "position": 0, "vendor": 1, "product": 2, "watchdog": "200 ms",
        "pdos": [0x1600, {"index": 0x1A00, "entries": ["0x6041:00:16", "0x6064:00:32"]}],
        "sdos": [
            {"index": 0x6060, "value": 8, "type": "int8"},
            {"index": 0x8000, "subindex": 1, "value": "0102ff", "type": "bytes", "complete": True},
        ],
    }  # fmt: skip


def test_names_that_would_break_a_file():
    """Whatever a slave calls itself, the text is TOML, and names are those of keys."""
    evil = 'a"]\n[station]\nname = "x" # \x1b[31m ü'
    entry = PdoEntry("in", 0x1A00, 0x6000, 1, 8, "ok", "uint8", 0, label=evil)
    text = text_of(
        SlaveFound(0, evil, 1, 2, 3, title=evil, entries=(entry,), doubts=(evil,)),
        SlaveFound(1, "", 1, 2, 3),
        SlaveFound(2, "2-axis", 1, 2, 3),
    )
    file = tomllib.loads(text)
    assert file["station"] == {"name": "scanned"}
    assert list(file["links"]["bus"]["slaves"]) == ["a_station_name_x_31m", "slave_1", "slave_2_axis"]
    assert "\x1b" not in text


def test_names_are_unlike_in_any_letters():
    """Tags of two slaves are never called alike."""
    names = [slave.name for slave in with_names(SlaveWanted(name, i) for i, name in enumerate(("A", "a", "A", "A_2")))]
    assert len({name.lower() for name in names}) == 4
