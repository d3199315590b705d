"""Files that somebody names are opened only when they are files; nobody waits for the other end of a pipe."""

import os
import socket
from pathlib import Path

import pytest

from plc_bindings.errors import SigningError
from plc_bindings.security.signing import load_private
from plc_bindings.security.updates import Serials
from rt_engine.errors import InputError, ModelFileError
from rt_engine.quantization.calibration import read_arrays
from rt_engine.read.source import opened
from rt_native.files import NotAFileError, open_file, write_whole
from station.errors import StationFileError
from station.file.reading import read_station


@pytest.fixture(params=["pipe", "folder", "socket", "device"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """The path of something that is no file, and what it is called."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    path = Path("thing.onnx")
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    elif request.param == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    return path, request.param


def test_what_is_no_file_is_refused_at_once(no_file: tuple[Path, str]) -> None:
    """A pipe that nobody writes to, above all: opening it would wait for ever. A socket cannot even be opened."""
    path, kind = no_file
    with pytest.raises(
        OSError, match=r"No such device" if kind == "socket" else f"it is no file, but a {kind}"
    ) as said:
        open_file(path)
    assert isinstance(said.value, NotAFileError) or kind == "socket"


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (opened, ModelFileError),
        (read_station, StationFileError),
        (read_arrays, InputError),
        (load_private, SigningError),
        (lambda path: Serials(path).objection("policy", 1, ""), OSError),
    ],
)
def test_whoever_reads_a_named_file_refuses_a_pipe(tmp_path: Path, read, error) -> None:  # type: ignore[no-untyped-def]
    """A model, a station file, calibration data, a private key, serial numbers: what it is, in words."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(error, match="it is no file, but a pipe"):
        read(tmp_path / "pipe")


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    with open_file(tmp_path / "file") as file:
        assert file.read() == bytes(100_000)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    """A link stays one, nothing is left beside it; what cannot be written leaves the old one."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"
    with pytest.raises(TypeError):
        write_whole(tmp_path / "real", "no bytes")
    assert (tmp_path / "real").read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 2
