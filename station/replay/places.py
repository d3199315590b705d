"""Recordings wherever they lie: files, folders with all that is below them, and addresses that fsspec knows (s3://, sftp://, ...).

found(["recordings/", "s3://plant/line4/"])  -> paths and addresses of *.mcap, in order
source(path)                                 -> what `rt_engine.recording.open` reads: parts of a file, as they are asked for
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rt_engine.errors import RecordingError
from rt_engine.recording.mcap.reader import FileSource, Source
from rt_engine.recording.recording import MOST_FILES, SUFFIX
from station.errors import FleetError

BETWEEN: Final = "://"


def is_address(where: str) -> bool:
    """Is it an address, not a path?"""
    return BETWEEN in where


def found(where: Iterable[str | Path]) -> tuple[str, ...]:
    """All recordings there, each once.

    Raises:
        RecordingError: there is none, or there are too many.
        FleetError: an address cannot be asked.
    """
    given = [str(one) for one in where]
    files = tuple(dict.fromkeys(file for one in given for file in (_there(one) if is_address(one) else _here(one))))
    if not files:
        raise RecordingError(f"no recordings (*{SUFFIX}) in {', '.join(given) or 'nothing'}")
    if len(files) > MOST_FILES:
        raise RecordingError(f"{len(files):,} recordings; open up to {MOST_FILES:,} at once: name folders below")
    return files


def source(path: str) -> Source:
    """A file, or an address.

    Raises:
        OSError: it is not there, or may not be read.
        FleetError: the address is of a kind that is not known here.
    """
    return AddressSource(path) if is_address(path) else FileSource(Path(path))


def _here(where: str) -> Iterator[str]:
    path = Path(where)
    if path.is_dir():
        yield from sorted(str(file) for file in path.rglob(f"*{SUFFIX}") if file.is_file())
    else:
        yield where


def _there(where: str) -> Iterator[str]:
    system, path = _system(where)
    try:
        if not system.isdir(path):
            yield where
            return
        for file in sorted(system.find(path)):
            if file.endswith(SUFFIX):
                yield system.unstrip_protocol(file)
    except Exception as error:  # file systems have errors of their own
        raise FleetError(f"{where} cannot be asked: {type(error).__name__}: {error}") from error


def _system(where: str) -> tuple[Any, str]:
    try:
        fsspec: Any = import_module("fsspec")
        system, path = fsspec.core.url_to_fs(where)
    except ImportError as error:
        raise FleetError(
            f'{where} needs a package: pip install "rt-engine[fleet]", or the one named here: {error}'
        ) from error
    except Exception as error:
        raise FleetError(f"{where} cannot be reached: {type(error).__name__}: {error}") from error
    return system, path


class AddressSource:
    """A file of another computer, of which only the parts travel that are read.

    Raises:
        FleetError: its kind is not known, or it is not reached.
        OSError: it is not there.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._system, self._path = _system(where)
        try:
            self.size = int(self._system.info(self._path)["size"])
        except OSError:
            raise
        except Exception as error:
            raise FleetError(f"{where} cannot be read: {type(error).__name__}: {error}") from error

    def read(self, at: int, count: int) -> bytes:
        """See `Source`."""
        end = min(at + count, self.size)
        if end <= at:
            return b""
        try:
            return bytes(self._system.cat_file(self._path, start=at, end=end))
        except Exception as error:
            raise RecordingError(f"{self._where} cannot be read any more: {type(error).__name__}: {error}") from error
