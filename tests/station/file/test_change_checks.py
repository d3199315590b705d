"""What a station file may say of how a model changes."""

import pytest

from station.errors import StationFileError
from station.file.reading import read_station
from tests.station.stations import AXIS, SIM, station_text, write_station


def read(folder, change, *tables):
    head = f"[models.mean.change]\n{change}\n"
    return read_station(write_station(folder, station_text("bench", head, *(tables or (SIM, AXIS)))))


def test_a_whole_policy(tmp_path):
    """Times, cycles, one tolerance or one for each tag."""
    text = 'shadow = "5000 cycles"\ntrial = "1 h"\ncommit = "manual"\ntolerance = { force = 0.5 }\ndisagreements = 3'
    file = read(tmp_path, text)
    change = file.config.models["mean"].change
    assert (change.shadow, change.trial, change.commit) == ((0, 5000), (3_600_000_000_000, 0), "manual")
    assert (change.tolerance, change.disagreements, file.warnings) == ({"force": 0.5}, 3, ())


CASES = {
    "a tolerance of no output": ("tolerance = { a = 0.5 }", 'unknown output "a"; allowed: force'),
    "less than nothing": ("tolerance = -1", "a tolerance is a number from 0"),
    "a tolerance in words": ('tolerance = { force = "0.5 N" }', "or a table of them by tag: { speed = 0.5 }"),
    "a bare number": ("shadow = 10", "10 is no such time"),
    "a word that cannot come": ('commit = "manual"', 'there is no `trial`; write for example trial = "1 h"'),
}


@pytest.mark.parametrize(("text", "words"), CASES.values(), ids=CASES)
def test_mistakes_are_refused_at_their_line(tmp_path, text, words):
    with pytest.raises(StationFileError) as caught:
        read(tmp_path, text)
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.line > 5


def test_a_shadow_without_tolerance_is_told(tmp_path):
    """It shows differences, and lets them pass: a warning says so."""
    (warning,) = read(tmp_path, 'shadow = "10 min"').warnings
    assert "there is no `tolerance`" in warning.message


@pytest.mark.parametrize("key", ["shadow", "trial"])
def test_a_model_that_only_clients_call_has_no_cycle_for_it(tmp_path, key):
    server = '[servers.ads]\ntype = "ads"\nport = 0\n'
    with pytest.raises(
        StationFileError, match=f"no task runs model mean as its own model: there is no cycle for a {key}"
    ):
        read(tmp_path, f'{key} = "10 min"\ntolerance = 1.0', server)


def test_a_recording_is_of_a_task(tmp_path):
    server = '[servers.ads]\ntype = "ads"\nport = 0\n'
    with pytest.raises(StationFileError, match="nothing is recorded of it; remove the key"):
        read(tmp_path, 'recording = "kept"', server)


def test_a_recording_that_is_not_there_is_told(tmp_path):
    """The gate refuses without it; with a folder that is there, or that the station's recorder makes, nothing is said."""
    (warning,) = read(tmp_path, 'recording = "kept"').warnings
    assert "there is no 'kept' yet: until there is, the gate refuses every new version" in warning.message
    own = '[recorder]\nfolder = "kept/"\ncompression = "none"\n'
    assert read(tmp_path, 'recording = "kept"', SIM, AXIS, own).warnings == ()
    (tmp_path / "kept").mkdir()
    assert read(tmp_path, 'recording = "kept"').warnings == ()
