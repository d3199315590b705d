"""Work in a child of which strace lists the system calls, or breaks one. The process that forks has one thread."""

import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PTRACER = 0x59616D61
_ANYBODY = ctypes.c_ulong(-1)
CHANGING = ("write", "fsync", "rename", "mkdir", "openat", "ftruncate", "unlink", "unlinkat", "rmdir")
"""Calls that change what is on a disk, or open it."""
ALL = (*CHANGING, "close", "writev")
_LINE = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_TEXT = r"(?:\\x[0-9a-f]{2})*"


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: its name, which one of this name, texts among its arguments, descriptor, flags and numbers, result."""

    name: str
    nth: int
    texts: tuple[bytes, ...]
    file: int
    """The first argument, where it is a descriptor; -1: it is none."""
    place: bytes
    """The path of that descriptor."""
    rest: str
    result: int


def run(work: Callable[[], None], log: Path | None = None, options: Sequence[str] = ()) -> int:
    """Do the work in a child; what its end says (`os.waitpid`). With a log, strace is attached from its first call on."""
    release, go = os.pipe()
    child = os.fork()
    if not child:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY)
            os.close(go)
            os.read(release, 1)
            work()
            os._exit(0)
        finally:
            os._exit(70)
    os.close(release)
    strace = _attached(child, log, options) if log is not None else None
    os.close(go)
    status = os.waitpid(child, 0)[1]
    if strace is not None:
        strace.communicate()
    return status


def _attached(child: int, log: Path, options: Sequence[str]) -> "subprocess.Popen[bytes]":
    strace = subprocess.Popen(["strace", "-o", log, "-p", str(child), *options], stderr=subprocess.PIPE)
    assert strace.stderr is not None
    said = strace.stderr.readline()
    if b"attached" not in said:
        os.kill(child, signal.SIGKILL)
        raise PermissionError(f"strace does not trace: {said.decode()}")
    return strace


def calls_of(work: Callable[[], None], log: Path) -> list[Call]:
    """The calls of `ALL` that the work makes."""
    status = run(work, log, ("-y", "-xx", "-s", "10000000", "-e", "trace=" + ",".join(ALL)))
    assert status == 0, status
    found, counts = [], dict.fromkeys(ALL, 0)
    for line in log.read_text().splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, arguments = match["call"], match["arguments"]
        counts[name] += 1
        texts = tuple(_bytes(text) for text in re.findall(f'"({_TEXT})"', arguments))
        file = re.match(f"(\\d+|AT_FDCWD)<({_TEXT})>", arguments)
        number = int(file[1]) if file and file[1].isdigit() else -1
        rest = re.sub(f'"{_TEXT}"|<{_TEXT}>', "", arguments)
        found.append(
            Call(name, counts[name], texts, number, _bytes(file[2]) if file else b"", rest, int(match["result"]))
        )
    return found


def broken(work: Callable[[], None], log: Path, call: str, when: str, how: str) -> int:
    """The end of a child in which calls of this name are broken: `how` of strace's `inject`, like `error=EIO`."""
    return run(work, log, ("-e", f"trace={call}", "-e", f"inject={call}:{how}:when={when}"))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
