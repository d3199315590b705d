"""Which control groups bind this process, and what they take from it: time, real-time priority, cores.

A limit of any group from the process' own up to the topmost binds, whatever hierarchy it is in:

    /proc/self/cgroup       3:cpu,cpuacct:/a/b               the own group, in the hierarchy of version 1 with `cpu`
                            0::/system.slice/x.service       the own group of version 2; both: a hybrid system
    /proc/self/mountinfo    ... /a /sys/fs/cgroup/cpu ...    the folder of group /a: what is above it cannot be seen

                                         version 2             version 1
    time of threads without real time    cpu.max               cpu.cfs_quota_us, cpu.cfs_period_us
    time of real-time threads            -                     cpu.rt_runtime_us, cpu.rt_period_us
    cores                                cpuset.cpus.effective cpuset.effective_cpus

Measured (Linux 6.18): a quota never stops a thread of real-time priority, and `cpu.rt_runtime_us` = 0, which every new group
of version 1 has, refuses that priority to whoever has the right to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/")
USUAL_MOUNT: Final = "/sys/fs/cgroup"
"""Where hierarchies are when /proc/self/mountinfo does not say: version 2 here, those of version 1 below it."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The group that gives least time to threads without real-time priority, in cores.

    `stopped`: in how many periods it was used up; `file`: where it stands; `is_top`: no group above this one is seen.
    """

    folder: str
    cores: float
    stopped: int
    file: str
    is_top: bool

    def __str__(self) -> str:
        times = f", used up {self.stopped:,} times so far" if self.stopped else ""
        return f"{self.cores:g} cores of group {self.folder}{times}"

    @property
    def fix(self) -> str:
        """The command that takes the limit away."""
        unit = PurePosixPath(self.folder).name
        if re.fullmatch(r"[\w@:.\\-]+\.(service|slice|scope)", unit):
            return f"sudo systemctl set-property '{unit}' CPUQuota="
        unlimited = "max" if self.file == "cpu.max" else "-1"
        return f"echo {unlimited} | sudo tee '{self.folder}/{self.file}'"


@dataclass(frozen=True, slots=True)
class RealtimeShare:
    """The group that gives least time to real-time threads, in percent; 0: it refuses that priority."""

    folder: str
    percent: float

    @property
    def fix(self) -> str:
        """The command that gives more."""
        return f"echo 950000 | sudo tee '{self.folder}/cpu.rt_runtime_us'   # and before that of the groups above it"


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores that a group leaves to this process, as the kernel writes them: `0-1,3`."""

    folder: str
    text: str


def cpu_quota(root: Path = ROOT) -> Quota | None:
    """The quota that binds; None: no group that is seen has one."""
    seen = [list(_groups(root, controller)) for controller in ("", "cpu")]
    found = [quota for folders in seen for folder in folders for quota in _quota(root, folder, folder == folders[-1])]
    return min(found, key=lambda quota: quota.cores, default=None)


def realtime_share(root: Path = ROOT) -> RealtimeShare | None:
    """The least share for real-time threads; None: no group that is seen has one.

    With `kernel.sched_rt_runtime_us` = -1 the kernel asks no group.
    """
    if _number(_text(root, "/proc/sys/kernel/sched_rt_runtime_us")) == -1:
        return None
    found: list[RealtimeShare] = []
    for folder in _groups(root, "cpu"):
        runtime, period = (_number(_text(root, f"{folder}/cpu.rt_{name}_us")) for name in ("runtime", "period"))
        if runtime is not None and runtime >= 0:
            found.append(RealtimeShare(folder, 100 * runtime / max(period or 1_000_000, 1)))
    return min(found, key=lambda share: share.percent, default=None)


def cores(root: Path = ROOT) -> Cores | None:
    """The cores that the own group leaves; None: it is in no hierarchy that says so."""
    for controller, name in (("cpuset", "cpuset.effective_cpus"), ("", "cpuset.cpus.effective")):
        for folder in _groups(root, controller):
            if text := _text(root, f"{folder}/{name}"):
                return Cores(folder, text)
    return None


def sees_topmost(root: Path = ROOT) -> bool:
    """Can the groups be seen up to the topmost one? Not in most containers: theirs end where the container does."""
    seen = [list(_groups(root, controller)) for controller in ("", "cpu")]
    tops = [folders[-1] for folders in seen if folders]
    return bool(tops) and all(_is_topmost(root, folder) for folder in tops)


def _is_topmost(root: Path, folder: str) -> bool:
    """The topmost of version 1 has `release_agent`; of version 2, no `cgroup.type`."""
    is_old = _exists(root, f"{folder}/cgroup.clone_children")
    return _exists(root, f"{folder}/release_agent") if is_old else not _exists(root, f"{folder}/cgroup.type")


def _quota(root: Path, folder: str, is_top: bool) -> Iterator[Quota]:
    words = (_text(root, f"{folder}/cpu.max") or "").split()
    new = (_number(words[0]), _number(words[1])) if len(words) == 2 else (None, None)
    old = tuple(_number(_text(root, f"{folder}/cpu.cfs_{name}_us")) for name in ("quota", "period"))
    for file, (quota, period) in (("cpu.max", new), ("cpu.cfs_quota_us", old)):
        if quota is not None and quota > 0 and period:
            counted = re.search(r"^nr_throttled (\d+)", _text(root, f"{folder}/cpu.stat") or "", re.MULTILINE)
            yield Quota(folder, quota / period, int(counted[1]) if counted else 0, file, is_top)


# --- where groups are -------------------------------------------------------------------------------------------------


def _groups(root: Path, controller: str) -> Iterator[str]:
    """Folders of the own group and of those above it, as far as they are seen. `controller` "": of version 2."""
    path = _own_path(root, controller)
    if path is None:
        return
    for top, mounted in _mounts(root, controller):
        below = _below(root, top, mounted, path)
        if below is not None:
            folder = PurePosixPath(top + below)
            yield str(folder)
            while str(folder) != top:
                folder = folder.parent
                yield str(folder)
            return


def _own_path(root: Path, controller: str) -> str | None:
    for line in (_text(root, "/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        names, found, path = rest.partition(":")
        if found and (controller in names.split(",") if controller else number == "0" and not names):
            return path
    return None


def _mounts(root: Path, controller: str) -> Iterator[tuple[str, str]]:
    """(folder, group that is there) of the mounts of a hierarchy: proc_pid_mountinfo(5)."""
    lines = (_text(root, "/proc/self/mountinfo") or "").splitlines()
    if not lines:
        yield f"{USUAL_MOUNT}/{controller}".rstrip("/"), "/"
    for line in lines:
        before, found, after = line.partition(" - ")
        words, kind = before.split(), after.split()
        if not found or len(words) < 5 or len(kind) < 3:
            continue
        is_it = controller in kind[2].split(",") if controller else True
        if kind[0] == ("cgroup" if controller else "cgroup2") and is_it:
            yield _unescaped(words[4]), _unescaped(words[3])


def _below(root: Path, top: str, mounted: str, path: str) -> str | None:
    """Where the own group is below the folder of another; None: it is not there.

    In a namespace of control groups, names begin at the namespace's own group; a mount from outside begins above it, at
    `/..`, `/../..`: then the folder's own name is known to nobody, and found by our process in it.
    """
    if mounted == "/":
        below = path.rstrip("/")
    elif path == mounted or path.startswith(f"{mounted}/"):
        below = path[len(mounted) :]
    elif re.fullmatch(r"(/\.\.)+", mounted) and not path.startswith("/.."):
        return _with_us(root, top, "/*" * mounted.count("..") + path.rstrip("/"))
    else:
        return None
    return None if "/.." in below else below


def _with_us(root: Path, top: str, pattern: str) -> str | None:
    us = (_text(root, "/proc/self/stat") or "").partition(" ")[0]
    base = root / top.lstrip("/")
    for folder in sorted(base.glob(pattern.lstrip("/"))):
        below = f"/{folder.relative_to(base)}"
        if us and us in (_text(root, f"{top}{below}/cgroup.procs") or "").split():
            return below
    return None


def _unescaped(text: str) -> str:
    """A blank is `\\040` in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _text(root: Path, path: str) -> str | None:
    try:
        return (root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _exists(root: Path, path: str) -> bool:
    try:
        return (root / path.lstrip("/")).exists()
    except OSError:
        return False


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d{1,20}", text) else None
