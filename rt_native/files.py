"""Files that somebody names: opened only when they are files, so that nobody waits for the other end of a pipe; written whole."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFileError(OSError):
    """What has the name is something else than a file."""


def is_scarce(error: OSError) -> bool:
    """Does this process, or the system, have too many open files? Then nothing is wrong with the file."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def open_file(path: str | Path) -> BinaryIO:
    """The file, to be read. Returns at once, whatever it is.

    Raises:
        NotAFileError: it is a folder, a pipe, a socket or a device; `strerror` says which.
        OSError: it cannot be opened.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return open(file, "rb", buffering=0)
    os.close(file)
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    raise NotAFileError(None, f"it is no file, but {kind}", str(path))


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file; whoever reads the path meanwhile sees the old one or the new one, whole.

    A link stays one: what it points at is replaced. A device or a pipe is written to.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    target = target.resolve()
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def make_folder(folder: Path) -> str | None:
    """Make a folder, with those above it; None, or why there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"its folder {folder} cannot be made ({error.strerror}); choose another place"
    return None
