"""A computer that has too little of something is told of in a sentence, with what would help; nothing else is hidden by that."""

import errno
import os
import subprocess
import sys

import pytest
import typer
from rich.console import Console

from fieldbus.errors import ResourceError
from fieldbus.inprocess.link import InProcessLink
from fieldbus.tags import Tag
from station.commands.shared.explaining import explained
from station.errors import ExitCode
from tests import ROOT
from tests.station.stations import ENDS, write_station
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "too few files may be open: `ulimit -n` says how many"),
        (RuntimeError("can't start new thread"), "too few threads are allowed: `ulimit -u` says how many"),
        (MemoryError(), "there is too little memory"),
        (ResourceError("the system gave no thread for link 'plant'"), "the system gave no thread for link 'plant'"),
    ],
)
def test_what_is_scarce_is_a_sentence_and_exit_code_1(error, said, capsys):
    with pytest.raises(typer.Exit) as left, explained(Console(stderr=True, soft_wrap=True)):
        raise error
    assert left.value.exit_code == ExitCode.FAILED
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("most", [10, 12, 14])
def test_few_descriptors_end_or_run_a_station_without_a_traceback(most, tmp_path):
    """Whichever is the first that cannot be had."""
    command = [sys.executable, "-m", "station", "run", str(write_station(tmp_path, device=ENDS))]
    run = subprocess.run(
        ["sh", "-c", f'ulimit -n {most}; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "Traceback" not in run.stderr
    assert run.returncode == 0 or "too few files may be open: `ulimit -n` says how many" in run.stderr


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="a mistake of ours"), explained(Console(stderr=True)):
        raise RuntimeError("a mistake of ours")


def test_a_link_without_a_thread_can_be_stopped_and_started_again(monkeypatch):
    """`stop` must not fail on it: others have to be stopped behind it."""
    link = InProcessLink("sim", [Tag("x", "float64", "in")], lambda _: {"x": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", _no_thread)
        with pytest.raises(ResourceError, match="the system gave no thread for link 'sim': can't start new thread"):
            link.start()
    assert link.stop() is False
    with link:
        assert link.wait_up(PATIENCE_S)


def _no_thread(_):
    raise RuntimeError("can't start new thread")
