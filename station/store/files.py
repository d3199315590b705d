"""Files that are there whole, or not at all, also after a power cut.

    write      to a temporary name, synced; then renamed; then the folder is synced
    folders    the same, with all that is in them
    remove     renamed to a temporary name first: what has its name is whole

A temporary name begins with `.new-`; whoever opens the store removes what is left of them (`sweep`).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from rt_native.files import open_file

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
TEMPORARY: Final = ".new-"
CHUNK: Final = 1 << 20


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write all of it, however often the system takes only a part; raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest[: 64 * CHUNK]) :]


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder survive; raises OSError."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_synced(path: Path, data: bytes | memoryview) -> None:
    """A new file with this content, on the disk when this returns; its name is not. Raises OSError; then it is not there."""
    _write_synced(path, (data,))


def copy_synced(source: Path, path: Path) -> None:
    """The same, with what another file holds; folders above it are made."""
    path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    with open_file(source) as file:
        _write_synced(path, iter(lambda: file.read(CHUNK), b""))


def _write_synced(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        try:
            for part in parts:
                write_all(file, part)
            os.fsync(file)
        finally:
            os.close(file)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """The file with this content in place of one that may be there: the old one or the new one, whole, at every moment.

    Raises:
        OSError: it cannot be written; the old one is there.
    """
    draft = temporary(path.parent)
    write_synced(draft, data)
    try:
        draft.rename(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)


def new_folder(parent: Path, fill: Callable[[Path], str]) -> str:
    """A folder that `fill` has written to, with `write_synced` and `copy_synced`, under the name that it gives.

    It is there with all that is in it, or not there; one that has the name is replaced.

    Raises:
        OSError: it cannot be written; nothing is there.
    """
    draft = temporary(parent)
    draft.mkdir(FOLDER_MODE)
    try:
        name = fill(draft)
        for folder, _, _ in os.walk(draft, onerror=_raise):
            sync_folder(Path(folder))
        if (parent / name).exists():
            remove_folder(parent / name)
        draft.rename(parent / name)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync_folder(parent)
    return name


def remove_folder(path: Path) -> None:
    """Remove a folder; at no moment a part of it has its name. Raises OSError."""
    old = temporary(path.parent)
    path.rename(old)
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what was being written, or removed, when a process ended. Raises OSError."""
    for entry in folder.iterdir():
        if not entry.name.startswith(TEMPORARY):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):
                entry.unlink()


def temporary(folder: Path) -> Path:
    """A name in the folder that nothing has."""
    return folder / f"{TEMPORARY}{secrets.token_hex(8)}"


def _raise(error: OSError) -> None:
    raise error
