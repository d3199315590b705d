"""What a station file may say of its recorder."""

import pytest

from station.errors import StationFileError
from station.file.reading import read_station
from tests.station.stations import AXIS, SIM, station_text, write_station


def read(folder, text, *tables):
    text = f"[recorder]\n{text}\n"
    return read_station(write_station(folder, station_text("bench", *(tables or (SIM, AXIS)), text)))


def test_a_whole_recorder(tmp_path):
    """Times, sizes, kinds, conditions; what is left out has its default."""
    file = read(
        tmp_path,
        'mode = "continuous"\ntasks = ["axis"]\nbefore = "2 s"\non = ["overrun"]\nwhen = ["abs(a - b) > 3 and force < 0.5"]\n'
        'quota = "500 MB"\nfile = "100 MB"\ncompression = "none"\nmodels = "0 B"',
    )
    table = file.config.recorder
    assert (table.mode, table.tasks, table.before_ns, table.on) == (
        "continuous",
        ("axis",),
        2_000_000_000,
        ("overrun",),
    )
    assert (table.quota, table.file, table.models) == (500_000_000, (0, 100_000_000), 0)
    assert (table.after_ns, table.checkpoint_ns, table.folder) == (5_000_000_000, 1_000_000_000, "recordings")
    assert file.warnings == ()


def test_without_one_there_is_none(tmp_path):
    assert read_station(write_station(tmp_path)).config.recorder is None


CASES = {
    "a tag that is not": ('when = ["sped > 3"]', 'unknown tag "sped"', "error"),
    "no condition": ('when = ["a >"]', "expected a tag or a number at character 4", "error"),
    "a task that is not": ('tasks = ["axes"]', 'unknown task "axes"; did you mean "axis"?', "error"),
    "a kind that is not": ('on = ["faults"]', 'did you mean "fault"?', "error"),
    "a size without a unit": ("quota = 2", "2 is no size", "error"),
    "a file in cycles": ('file = "10 cycles"', 'neither a time nor a size; write "10 min"', "error"),
    "no trigger at all": ("on = []", "only `rt-engine record` makes a recording", "warning"),
    "a key that is not": ('befor = "1 s"', 'did you mean "before"?', "error"),
}


@pytest.mark.parametrize(("text", "words", "severity"), CASES.values(), ids=CASES)
def test_mistakes_are_told_at_their_line(tmp_path, text, words, severity):
    try:
        problems = read(tmp_path, f'compression = "none"\n{text}').warnings
    except StationFileError as error:
        problems = tuple(error.problems)
    (problem,) = problems
    assert words in problem.message
    assert (problem.severity, problem.line > 5) == (severity, True)


def test_a_condition_over_two_tasks_is_refused(tmp_path):
    """Their cycles are different ones."""
    with pytest.raises(
        StationFileError, match=r"no recorded task has a, other among its inputs and outputs; .* make two"
    ):
        read(
            tmp_path,
            'compression = "none"\ntasks = ["axis"]\nwhen = ["a > other"]',
            SIM,
            AXIS.replace("[tags]\n", "[tags]\nother = {}\n"),
            '[tasks.second]\ncycle = "10 ms"\ninputs = ["other"]\nstep = { type = "linear" }\n',
        )


def test_what_is_not_installed_is_said_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("station.file.recorder_checks._is_there", lambda package: False)
    with pytest.raises(StationFileError, match=r'pip install "rt-engine\[recording\]"; or write compression = "none"'):
        read(tmp_path, "")
    assert read(tmp_path, 'compression = "none"').warnings == ()
