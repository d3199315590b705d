"""Versions as files, each in a folder that is named by its SHA-256, whatever slot it is for.

    versions/0c2f.../model.onnx               as it came; or model.rtp
    versions/0c2f.../beside/weights.bin       its external data, where it has some
    versions/0c2f.../program-5d41.rtp         what was compiled from it as a slot binds it
    versions/0c2f.../program-5d41.json        the hash of that, and what it was made with
    versions/0c2f.../report.json              what the gate found

A folder gets its name when all that came is in it and synced. What is read is hashed first: a file that is not what its name
says is damaged, and never used. Programs and reports can be made again; one that does not fit is as good as none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rt_engine.binding import Binding
from rt_engine.errors import ModelFileError
from rt_engine.program import rtp_layout
from rt_engine.read.external import files_beside, sha256_of
from rt_engine.read.source import BYTES, Source
from rt_native import version
from rt_native.files import open_file
from station.errors import StoreError
from station.store.files import copy_synced, new_folder, remove_folder, replace_file, sweep, write_synced

_DIGITS: Final = 16
_BESIDE: Final = "beside"


@dataclass(frozen=True, slots=True)
class Versions:
    """The folder of all versions. Any thread, but one that writes at a time."""

    folder: Path

    def add(self, source: Source) -> str:
        """Keep a model's file, and its external data; gives its SHA-256. One that is there, and whole, is left as it is.

        Raises:
            OSError: it cannot be written.
            ModelFileError: its external data cannot be read.
        """
        sha256 = sha256_of(source)
        return sha256 if self.is_whole(sha256) else new_folder(self.folder, lambda draft: _fill(draft, source))

    def place(self, sha256: str) -> Path:
        """The folder of a version."""
        return self.folder / sha256

    def all(self) -> tuple[str, ...]:
        """All that are there. Raises OSError."""
        return tuple(sorted(place.name for place in self.folder.iterdir() if self.has(place.name)))

    def has(self, sha256: str) -> bool:
        """Is it there? It is not read."""
        return self._file(sha256) is not None

    def file(self, sha256: str) -> Path | None:
        """Its file as it came; None: it is not there. It is not read."""
        return self._file(sha256)

    def is_program(self, sha256: str) -> bool:
        """Did it come compiled?"""
        path = self._file(sha256)
        return path is not None and path.suffix == rtp_layout.SUFFIX

    def is_whole(self, sha256: str) -> bool:
        """Is it there, and what its name says?"""
        with suppress(StoreError):
            return bool(self.source(sha256))
        return False

    def source(self, sha256: str) -> Source:
        """The model as it came, read and checked.

        Raises:
            StoreError: it is not there, cannot be read, or is damaged.
        """
        path = self._file(sha256)
        if path is None:
            raise StoreError(f"version {sha256[:12]} is not in {self.folder}")
        source = Source(_read(path), str(path), path.parent / _BESIDE)
        try:
            found = sha256_of(source)
        except ModelFileError as error:
            raise StoreError(f"{path} is damaged: {error}") from error
        if found != sha256:
            raise StoreError(f"{path} is damaged: it is not the file that it was when it came")
        return source

    def put_program(self, sha256: str, program: bytes | memoryview, binding: Binding) -> None:
        """Keep what was compiled from a version. Raises OSError; then it is compiled again at the next start."""
        place = self.place(sha256) / f"program-{_bound(binding)}"
        about = {"sha256": hashlib.sha256(program).hexdigest(), **_made_with(binding)}
        replace_file(place.with_suffix(".rtp"), program)
        replace_file(place.with_suffix(".json"), json.dumps(about).encode())

    def program(self, sha256: str, binding: Binding) -> Source | None:
        """The program of a version for this binding, checked; None: it must be compiled (again).

        It must be when there is none, it is damaged, or another version of this program made it.
        """
        place = self.place(sha256) / f"program-{_bound(binding)}"
        with suppress(StoreError, ValueError, AttributeError, RecursionError):
            about = json.loads(_read(place.with_suffix(".json")))
            wanted = about.pop("sha256")
            if about == json.loads(json.dumps(_made_with(binding))):
                data = _read(place.with_suffix(".rtp"))
                if hashlib.sha256(data).hexdigest() == wanted:
                    return Source(data, str(place.with_suffix(".rtp")))
        return None

    def put_report(self, sha256: str, report: Mapping[str, Any]) -> None:
        """Keep what the gate found, in place of an earlier report. Raises OSError."""
        replace_file(self.place(sha256) / "report.json", json.dumps(report, default=str).encode())

    def report(self, sha256: str) -> dict[str, Any] | None:
        """What the gate found; None: nothing that can be read."""
        with suppress(StoreError, ValueError, RecursionError):
            found = json.loads(_read(self.place(sha256) / "report.json"))
            return found if isinstance(found, dict) else None
        return None

    def remove(self, sha256: str) -> None:
        """Remove the files of a version. Raises OSError."""
        remove_folder(self.place(sha256))

    def sweep(self) -> None:
        """Remove what was never finished. Raises OSError."""
        sweep(self.folder)
        for place in self.folder.iterdir():
            if place.is_dir():
                sweep(place)

    def _file(self, sha256: str) -> Path | None:
        found = (self.place(sha256) / f"model{suffix}" for suffix in (".onnx", rtp_layout.SUFFIX))
        return next((path for path in found if path.is_file()), None)


def _fill(draft: Path, source: Source) -> str:
    """Write a model's file and its external data to a folder; gives the hash of what is there."""
    assert isinstance(source.data, BYTES), "a station's models are files"
    for location, path in files_beside(source).items():
        copy_synced(path, draft / _BESIDE / location)
    write_synced(draft / _file_name(source), source.data)
    return sha256_of(replace(source, folder=draft / _BESIDE))


def _file_name(source: Source) -> str:
    return f"model{rtp_layout.SUFFIX if source.is_program else '.onnx'}"


def _made_with(binding: Binding) -> dict[str, Any]:
    """What a program depends on besides its model."""
    return {
        "engine": version.TEXT,
        "format": rtp_layout.FORMAT,
        "kernel_abi": rtp_layout.KERNEL_ABI,
        "shapes": {},
        "state": {},
        **binding.to_json(),
    }


def _bound(binding: Binding) -> str:
    parts = binding.to_json()
    others = [parts[name] for name in ("values", "bounds") if name in parts]
    text = json.dumps([parts.get("shapes", {}), parts.get("state", {}), *others], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.readall()  # type: ignore[attr-defined,no-any-return]  # it is a FileIO
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
