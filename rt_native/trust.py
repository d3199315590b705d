"""Could another user have put it there? What is executed is looked at as ssh looks at keys: from the file up to the root.

/                      root
/tmp                   root, sticky: everybody may add to it, nobody may touch what is another's
/tmp/rt-engine-1000    ours, 0700
.../gemm-1f2e.o        ours, 0644
"""

import grp
import os
import pwd
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

_GROUP, _OTHERS = 0o020, 0o002


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A file or folder that another user can change: which, how, and the command that mends it."""

    path: Path
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.path} {self.why}; mend it with: {self.mend}"


def unsafe(path: Path, strict: bool = True) -> Unsafe | None:
    """What lets another user change `path`: the file or folder itself, or one above it. None: nothing does.

    Args:
        path: what exists; where links lead is looked at.
        strict: owned by us or root, and nobody else may write it; else only what everybody may write is unsafe.

    Raises:
        OSError: it cannot be looked at.
    """
    place = path.resolve(strict=True)
    found = (judged(step, step.stat(), strict, is_above=step != place) for step in (place, *place.parents))
    return next(filter(None, found), None)


def why_not_run(path: Path) -> str:
    """Why a user's own file of code is not run: root runs only what is root's; nobody what everybody may write. "": it is run."""
    found = unsafe(path, strict=os.geteuid() == 0) if path.exists() else None
    return f"{path} is not run: another user could change what it does: {found}" if found else ""


def judged(path: Path, status: os.stat_result, strict: bool = True, is_above: bool = False) -> Unsafe | None:
    """One file or folder alone, by its status; a sticky folder is good above others."""
    us, mode = os.geteuid(), status.st_mode
    sudo = "" if us in (0, status.st_uid) else "sudo "
    if strict and status.st_uid not in (0, us) and not (is_above and status.st_uid == _outside()):
        owner = _user(status.st_uid)
        if is_above:  # a folder that holds more than this, perhaps his home: it stays his
            return Unsafe(
                path, f"is owned by user {owner}", f"another place, below folders that only {_ours(us)} may write"
            )
        mend = f"{'' if us == 0 else 'sudo '}chown {_user(us)} {shlex.quote(str(path))}"
        return Unsafe(path, f"is owned by user {owner}", mend)
    if is_above and mode & stat.S_ISVTX:
        return None
    if mode & _OTHERS:
        return Unsafe(path, "can be written by everybody", f"{sudo}chmod go-w {shlex.quote(str(path))}")
    if strict and mode & _GROUP and (_has_acl(path) or not _is_private(status.st_gid, status.st_uid)):
        whom = "those whom its access control list names" if _has_acl(path) else "its group"
        return Unsafe(path, f"can be written by {whom}", f"{sudo}chmod g-w {shlex.quote(str(path))}")
    return None


def _outside(uid_map: str = "/proc/self/uid_map") -> int | None:
    """Who seems to own the real root's folders in a user namespace that has one user, as `unshare -r` makes it; else None.

    Other users' folders seem to be his as well: only what lies above ours is believed to be root's.
    """
    try:
        rows = [line.split() for line in Path(uid_map).read_text(encoding="ascii").splitlines()]
        return (
            int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
            if [row[2] for row in rows] == ["1"]
            else None
        )
    except (OSError, ValueError, IndexError):
        return None


def _has_acl(path: Path) -> bool:
    """Are there rights for more than owner, group and others? Then the group's bits are the most that any of them has: acl(5)."""
    try:
        return bool(os.getxattr(path, "system.posix_acl_access"))
    except OSError:  # none, or a file system without them
        return False


def _ours(us: int) -> str:
    return "root" if us == 0 else f"{_user(us)} and root"


def _is_private(group: int, user: int) -> bool:
    """Is it the group that a user has for himself alone, by the usual naming? Many systems let it write all he makes."""
    try:
        found, name = grp.getgrgid(group), pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
