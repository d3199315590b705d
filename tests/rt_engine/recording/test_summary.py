import json

from rt_engine import recording as rec
from rt_engine.recording.summary import summarise, to_plain
from tests.rt_engine.recording.recorded import LAYOUT, OFFSET_NS, tick
from tests.rt_engine.recording.test_recording import OTHER, written


def test_what_is_there_and_what_is_missing_is_counted(tmp_path):
    path = written(tmp_path / "a.mcap", [(0, 10), (15, 20)], remembered=[0, 15], layouts=(LAYOUT, OTHER))
    task, other = summarise(rec.open(path))
    assert (task.cycles, task.gaps, task.lost, task.checkpoints, task.inputs, task.outputs) == (15, 1, 5, 2, 5, 3)
    assert (task.begin_ns, task.end_ns) == (tick(0) + OFFSET_NS, tick(19) + OFFSET_NS)
    assert (other.cycles, other.begin_ns, other.gaps) == (0, 0, 0)


def test_a_quick_look_reads_no_cycle(tmp_path):
    """So it does not see what is damaged in a chunk, and counts no gap."""
    path = written(tmp_path / "a.mcap", [(0, 10), (15, 20)])
    data = path.read_bytes()
    path.write_bytes(data[:3000] + b"\xff" + data[3001:])
    recording = rec.open(path)
    assert summarise(recording, is_quick=True)[0].gaps is None and recording.damaged == ()
    assert summarise(recording)[0].cycles == 15 and "check sum" in recording.damaged[0].why


def test_all_of_it_is_json(tmp_path):
    recording = rec.open(written(tmp_path / "a.mcap", [(0, 10)], layouts=(LAYOUT, OTHER)))
    found = json.loads(json.dumps(to_plain(recording, summarise(recording))))
    assert found["tasks"][0]["begin"] == "2023-11-14T22:13:25.000000000Z" and found["tasks"][1]["begin"] == ""
    assert "inputs.plc.pole" in found["tasks"][0]["columns"] and found["files"][0]["ending"] == "whole"
