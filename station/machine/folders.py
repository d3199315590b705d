"""A folder of this user alone, below one that everybody may write: made, or checked when it is there already."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from station.errors import UnsafeFolderError

FOLDER_MODE: Final = 0o700


def own_folder(folder: Path) -> Path:
    """The folder, made with mode 0700 if it is not there.

    Raises:
        UnsafeFolderError: something else is there, or a folder that is not ours alone.
        OSError: it cannot be made.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UnsafeFolderError(
            f"{folder} must be a folder of user {os.getuid()} with mode 0700; it is {stat.filemode(found.st_mode)} "
            f"of user {found.st_uid}"
        )
    return folder


def temporary(base: str) -> Path:
    """`BASE/rt-engine-UID`: where what is ours goes when there is no better place. See `own_folder`."""
    return Path(base) / f"rt-engine-{os.getuid()}"
