"""Drives in a station file: their keys, their tags, and what is wrong with them."""

from pathlib import Path

import pytest

from fieldbus.ethercat.drives.drive import INPUTS, DriveAddress
from station.errors import StationFileError
from station.file.reading import read_station
from station.links.shared.drives import DriveTable
from station.wiring.parts import make_tag
from tests import ROOT
from tests.test_docs import blocks

HEAD = """
[links.bus]
type = "ethercat"
interface = "eth1"
"""
TASK = """
[tasks.axis]
cycle = "1 ms"
inputs = ["x.position", "x.state"]
outputs = ["x.target", "x.enable", "x.reset"]
step = { type = "linear", matrix = [[1, 0], [0, 1], [0, 0]] }
"""
X = """
[links.bus.drives.x]
slave = 2
scale = 0.001
unit = "mm"
low = 10
high = 500
"""


def read(tmp_path: Path, text: str):
    (tmp_path / "station.toml").write_text(text)
    return read_station(tmp_path / "station.toml")


def problems(tmp_path: Path, text: str) -> str:
    with pytest.raises(StationFileError) as refusal:
        read(tmp_path, text)
    return "\n".join(str(problem) for problem in refusal.value.problems)


def test_a_drive_brings_its_tags(tmp_path):
    """As the drive itself has them, all of them usable without a word in `[tags]`, and none of them a warning."""
    station = read(tmp_path, HEAD + X + TASK)
    link, tags = station.config.links["bus"], station.config.tags
    assert not [problem for problem in station.warnings if "x." in problem.message]
    drive = link.drives["x"].made("x")
    assert list(tags) == [drive.tag_name(part) for part in drive.shown]
    assert [make_tag(name, table, link) for name, table in tags.items()] == [drive.tag(part) for part in drive.shown]
    assert tags["x.target"].safe == 10.0
    assert link.address(tags["x.state"]) == DriveAddress("x", "state")


def test_a_drive_reads_all_that_it_can_unless_told():
    assert DriveTable.model_fields["inputs"].default == INPUTS


def test_the_station_of_the_page_is_one(tmp_path):
    """docs/drives.md, with its step beside it."""
    page = (ROOT / "docs" / "drives.md").read_text()
    (tmp_path / "file.py").write_text(blocks(page, "python")[0])
    station = read(tmp_path, blocks(page, "toml")[0])
    drive = station.config.links["bus"].drives["x"].made("x")
    assert (drive.handover_s, drive.quick_stop, drive.max_rate) == (0.5, 6, 200.0)
    assert (drive.velocity_unit, drive.velocity_scale, drive.torque_unit) == ("mm/s", 0.0001, "%")


def test_a_handover_is_for_positions():
    """A velocity or a torque counts at once, unless somebody wants that otherwise."""
    from station.links.shared.drives import DriveTable

    assert DriveTable.model_validate({"slave": 1, "mode": "cst"}).made("x").handover_s == 0.0
    assert DriveTable.model_validate({"slave": 1, "mode": "csv", "handover": "1 s"}).made("x").handover_s == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[links.bus.drives.x]\nslave = "servo"\n', 'no slave is called "servo"; none has a name'),
        ('[links.bus.drives.x]\nslave = 2\nmode = "pp"\n', '"pp" is not allowed; allowed: "csp", "csv", "cst"'),
        ("[links.bus.drives.x]\nslave = 2\nscal = 1\n", 'unknown key "scal"; did you mean "scale"?'),
        (
            "[links.bus.drives.x]\nslave = 2\n[links.bus.drives.y]\nslave = 2\n",
            "drives x, y are all axis 0 of slave '2'",
        ),
        ("[links.bus.drives.x]\nslave = 2\nlow = 5\nhigh = 4\n", "low 5 is above high 4"),
        ("[links.bus.drives.x]\nslave = 2\nscale = 0\n", "scale"),
        ('[links.bus.drives.x]\nmode = "csp"\n', 'needs the key "slave"'),
        (
            X + '[tags."x.position"]\nlink = "bus"\naddress = "2:0x6064:00"\n',
            "drive x brings this tag itself; leave it out",
        ),
        ("[links.bus]\ndrives = 5\n", ""),
    ],
)
def test_what_is_wrong_with_a_drive_is_told(tmp_path, text, words):
    """Where it stands; its tags are no unknown ones for that."""
    head = HEAD if not text.startswith("[links.bus]") else 'links.bus.type = "ethercat"\nlinks.bus.drives = 5\n'
    told = problems(tmp_path, head + (text if head is HEAD else "") + TASK)
    assert words in told
    assert "unknown tag" not in told or head is not HEAD


def test_a_tag_of_a_drive_that_there_is_not_is_unknown(tmp_path):
    """With what there is instead."""
    told = problems(tmp_path, HEAD + X + TASK.replace('"x.state"', '"x.stat"'))
    assert 'unknown tag "x.stat"; did you mean "x.state"?' in told
