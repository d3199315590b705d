"""In which pieces records are worked through on this machine (`interface.blocking`): looked up at load, never measured.

    tuned/MACHINE.json, in the cache of kernels; `rt_engine.tune` writes it:

        {"machine": {processor, caches, target}, "kernels": hashes, "sha256": of all else,
         "chosen": {"conv_f32 1 3136 3136 1 256 64 1 256 64 0": [96, 0], ...}}       kernel and sizes -> block and cut

No choice moves a bit, so a file that is damaged, of another machine or of other kernels is left alone, and `Chosen.words` says so. One
that another user can have written is not read.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.blocking import BLOCK, CUT_AT
from rt_engine.kernels.interface.conv import CONV, DEPTHWISE
from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.fields import Fields
from rt_engine.kernels.interface.gemm import GEMM
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.program import Program
from rt_native.cache import cache_folder
from rt_native.errors import UnsafeCacheError
from rt_native.files import write_whole
from rt_native.library import Library
from rt_native.memory import Block
from rt_native.processor import data_caches, processor_name
from rt_native.trust import judged, unsafe

FAMILIES: dict[str, Fields] = {
    f"{name}_{suffix}": fields
    for name, fields in (("gemm", GEMM), ("conv", CONV), ("depthwise", DEPTHWISE))
    for suffix in SUFFIX.values()
}
"""The kernels that can be told, and what is in their records."""
_MODULES = ("rt_engine.kernels.gemm", "rt_engine.kernels.conv", "rt_engine.kernels.depthwise")
_MOST_BYTES, _MOST = 1 << 24, 1 << 40
HOW = "`rt-engine tune MODEL` measures what is quickest here"


@dataclass(frozen=True, slots=True)
class Pieces:
    """The two fields of `interface.blocking`; 0 is what a compiled program says."""

    block: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """Kernel and sizes -> pieces; and in words, where that comes from, or why there is nothing."""

    table: Mapping[str, Pieces]
    words: str


def shape_of(kernel: str, record: NDArray[Any]) -> str:
    """What a choice is made for: the kernel and the sizes of a record."""
    return f"{kernel} {' '.join(map(str, record['size'].tolist()))}"


def applied(program: Program, table: Mapping[str, Pieces]) -> tuple[NDArray[Any], int]:
    """The records of a program with what was chosen for them, and for how many; its own where nothing was."""
    if not table:
        return program.records, 0
    found = [(i, kernel, pieces) for i, kernel in told(program) if (pieces := table.get(_at(program, i, kernel)))]
    if not found:
        return program.records, 0
    return with_pieces(program, found), len(found)


def _at(program: Program, index: int, kernel: str) -> str:
    return shape_of(kernel, program.records[index])


def told(program: Program) -> list[tuple[int, str]]:
    """(index, kernel) of the records that can be told in which pieces."""
    known = {index: name for index, name in enumerate(program.kernels) if name in FAMILIES}
    which = np.flatnonzero(np.isin(program.records["kernel"], list(known)))
    return [(int(i), known[int(program.records["kernel"][i])]) for i in which]


def with_pieces(program: Program, pieces: Iterable[tuple[int, str, Pieces]]) -> NDArray[Any]:
    """A copy of a program's records, in native memory, that says so for these: index, kernel, pieces."""
    count = len(program.records)
    records: NDArray[Any] = Block(max(count, 1) * RECORD.itemsize).view(RECORD, 0, count)
    records[:] = program.records
    for index, kernel, one in pieces:
        for name, value in ((BLOCK, one.block), (CUT_AT, one.cut)):
            if place := FAMILIES[kernel].places.get(name):
                records["param"][index, place.index] = value
    records.flags.writeable = False
    return records


def folder() -> Path:
    """Where the files are."""
    return cache_folder() / "tuned"


@cache
def _facts(library: Library) -> tuple[dict[str, Any], str]:
    """(the machine, the kernels) that a measurement is of."""
    machine = {
        "processor": processor_name(),
        "caches": {str(level): size for level, size in data_caches().items()},
        "target": asdict(library.target),
    }
    versions = library.versions()
    return machine, " ".join(versions[module] for module in _MODULES if module in versions)


def _path(machine: Mapping[str, Any]) -> Path:
    return folder() / f"{_digest(machine)[:20]}.json"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


_READ: dict[Path, tuple[tuple[str, int, int], Chosen]] = {}
"""File -> what it was when it was read (its kernels, time, size), and what was in it."""


def chosen_for(library: Library) -> Chosen:
    """What was chosen on this machine for these kernels; nothing, with the reason, where no file can be used."""
    if not folder().is_dir():
        return Chosen({}, f"not tuned: {HOW}")
    machine, kernels = _facts(library)
    path = _path(machine)
    try:
        status = path.stat()
        stamp = (kernels, status.st_mtime_ns, status.st_size)
        if _READ.get(path, ((), None))[0] != stamp:
            _READ[path] = stamp, _read(path, machine, kernels)
        return _READ[path][1]
    except FileNotFoundError:
        return Chosen({}, f"not tuned on this machine: {HOW}")
    except (OSError, UnsafeCacheError) as error:
        return Chosen({}, f"not tuned: {error}")


def _read(path: Path, machine: Mapping[str, Any], kernels: str) -> Chosen:
    with path.open("rb") as file:
        if found := judged(path, os.fstat(file.fileno())) or unsafe(path.parent):
            return Chosen({}, f"not tuned: {path} is not used, another user can have written it: {found}")
        data = file.read(_MOST_BYTES)
    try:
        content = json.loads(data)
        if content.pop("sha256") != _digest(content):
            raise ValueError("it is not what was written")
        table = {str(shape): _checked(*pieces) for shape, pieces in content["chosen"].items()}
        of = content["machine"], content["kernels"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Chosen({}, f"not tuned: {path} is damaged ({error}); {HOW}")
    if of[0] != machine:
        return Chosen({}, f"not tuned: {path} was measured on another machine; {HOW}")
    if of[1] != kernels:
        return Chosen({}, f"not tuned: what {path} holds was measured with other kernels; {HOW}")
    if not table:
        return Chosen(table, "tuned: nothing that was measured on this machine is quicker than what is fixed")
    return Chosen(table, f"tuned: {len(table)} shapes are worked through as was measured on this machine")


def _checked(block: Any, cut: Any) -> Pieces:
    if not all(type(n) is int and 0 <= n < _MOST for n in (block, cut)):
        raise ValueError(f"[{block}, {cut}] are no pieces")
    return Pieces(block, cut)


def keep(library: Library, measured: Mapping[str, Pieces]) -> Path:
    """Add choices to this machine's file, and take those away that are now what a program says anyway.

    Raises:
        UnsafeCacheError: another user could change the folder.
        OSError: it cannot be written.
    """
    machine, kernels = _facts(library)
    folder().mkdir(mode=0o755, parents=True, exist_ok=True)
    if found := unsafe(folder()):
        raise UnsafeCacheError(f"choices are not kept, another user could change them: {found}")
    merged = {**chosen_for(library).table, **measured}
    chosen = {shape: [p.block, p.cut] for shape, p in sorted(merged.items()) if p != Pieces()}
    content: dict[str, Any] = {"machine": machine, "kernels": kernels, "chosen": chosen}
    path = _path(machine)
    write_whole(path, json.dumps({**content, "sha256": _digest(content)}, indent=1).encode())
    path.chmod(0o644)
    return path


def forget() -> int:
    """Remove what was measured, of whatever machine and kernels; gives the number of files."""
    files = list(folder().glob("*.json")) if folder().is_dir() else []
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)
