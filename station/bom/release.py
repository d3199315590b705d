"""What a release is made of: its native libraries, and the packages that were tested with it.

requirements/run.txt      what it runs with: required, or optional where only an extra asks for it
the other lists            excluded: tests, checks and measurements
a wheel                   its own hash, and that of each native library in it
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rt_native import version
from rt_native.shipped import FOLDER
from station.bom.document import LICENSE, Part, document, package, part, properties, sha256

_PINNED: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^\s;]+)\s*(;\s*(?P<where>.+))?")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_LIBRARY: Final = ".so"
_RUN: Final = "run.txt"


def of_release(root: Path, files: Mapping[str, bytes], wheel: bytes | None = None) -> Part:
    """The bill of a release.

    Args:
        root: the source tree.
        files: what is in the wheel, file -> content.
        wheel: the wheel itself; None: its bill lies in it, and cannot have its hash.

    Raises:
        FileNotFoundError: the tree has no list of requirements.
    """
    url = f"pkg:pypi/rt-engine@{version.TEXT}"
    hashes = sha256(hashlib.sha256(wheel).hexdigest()) if wheel is not None else None
    itself = part(
        type="application",
        bom_ref=url,
        name="rt-engine",
        version=version.TEXT,
        purl=url,
        hashes=hashes,
        licenses=LICENSE,
    )
    libraries = list(_libraries(files))
    packages = list(_packages(root))
    direct = _direct(root)
    needed = [one["bom-ref"] for one in packages if one["name"] in direct or one["name"].replace("-", "_") in direct]
    return document(itself, [*libraries, *packages], {url: [*needed, *(one["bom-ref"] for one in libraries)]}, "build")


def _libraries(files: Mapping[str, bytes]) -> Iterator[Part]:
    for name, data in files.items():
        if name.startswith(f"rt_native/{FOLDER.name}/") and name.endswith(_LIBRARY):
            digest = hashlib.sha256(data).hexdigest()
            about = properties({"bytes": len(data)})
            yield part(
                type="file", bom_ref=name, name=name, version=version.TEXT, hashes=sha256(digest), properties=about
            )


def _packages(root: Path) -> Iterator[Part]:
    """Those of all lists, each once: in that which comes first."""
    lists = sorted((root / "requirements").glob("*.txt"), key=lambda path: (path.name != _RUN, path.name))
    if not lists or lists[0].name != _RUN:
        raise FileNotFoundError(f"{root / 'requirements' / _RUN} is not there; `make lock` makes it")
    optional = _names(tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    seen: set[tuple[str, str]] = set()
    for path in lists:
        for line in path.read_text(encoding="utf-8").splitlines():
            found = _PINNED.fullmatch(line.strip())
            if found is None or (found["name"], found["version"]) in seen:
                continue
            seen.add((found["name"], found["version"]))
            scope = "excluded" if path.name != _RUN else "optional" if found["name"] in optional else "required"
            where = properties({"only-where": found["where"], "list": path.name})
            yield package(found["name"], found["version"], scope=scope, properties=where)


def _direct(root: Path) -> set[str]:
    """Names of what rt-engine itself asks for."""
    return _names({"": tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]})


def _names(lists: Mapping[str, list[str]]) -> set[str]:
    found = (_NAME.match(text) for texts in lists.values() for text in texts)
    return {match[0] for match in found if match is not None}
