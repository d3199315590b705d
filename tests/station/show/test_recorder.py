"""A recorder in the status, the live table, the verdict and the report: what it does, and what people should know."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from station.show.live import draw
from station.show.recorder import RecorderView, doubts, rows
from station.show.snapshot import Snapshot
from station.show.verdict import judge
from tests.station.examples_of import snapshot

WELL = RecorderView("trigger", False, 3, 41_000_000, 2 * 10**9, 7, 0, 0, 0, "bench-000003-x-fault.mcap", "")


def shown(view):
    console = Console(file=io.StringIO(), width=200)
    console.print(draw(replace(snapshot(), recorder=view)))
    return console.file.getvalue()


def test_one_that_is_well_is_a_line():
    assert "recorder records around triggers: 3 files, 41 MB of 2 GB, 7 triggers\n" in shown(WELL).replace(" \n", "\n")
    assert "writes bench-000003-x-fault.mcap" in shown(replace(WELL, is_recording=True))
    assert "records always: 1 file" in replace(WELL, mode="continuous", files=1).line
    assert list(doubts(WELL)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trouble": "No space left on device"}, "recorder: nothing is recorded: No space left on device"),
        ({"lost": 12}, "recorder: 0 cycles dropped by full rings, 12 lost that the disk did not take"),
        ({"dropped": 1200}, "recorder: 1,200 cycles dropped"),
    ],
)
def test_what_is_wrong_is_in_the_table_and_in_the_verdict(change, words):
    view = replace(WELL, **change)
    assert words in shown(view)
    remarks = judge(replace(snapshot(), recorder=view))
    assert [remark.level for remark in remarks if remark.text.startswith(words)] == ["warn"]
    assert any(text for name, text in rows(view) if name in ("trouble", "cycles not recorded"))


def test_it_travels_as_json():
    whole = replace(snapshot(), recorder=WELL)
    assert Snapshot.from_json(whole.to_json()) == whole
    old = whole.to_json()
    del old["recorder"]
    assert Snapshot.from_json(old).recorder is None
