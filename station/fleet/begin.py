"""What a rollout brings: a file with its signature, or an artifact of a registry -> a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from plc_bindings.errors import SigningError
from plc_bindings.security import bundles
from plc_bindings.security.signing import SUFFIX, malformed, serial_of
from rt_native.files import open_file
from station.errors import RolloutError
from station.fleet.documents import MOST_SIGNATURE, Document, Wanted
from station.fleet.file import FleetFile
from station.fleet.oci import resolve
from station.fleet.rollout import Plan
from station.fleet.sealed import ForgedError
from station.fleet.web import ArtifactError, Web, objection
from station.terms.lengths import parse_span

D = TypeVar("D", bound=Document)


async def plan_of(
    file: FleetFile,
    slot: str,
    model: str,
    sources: tuple[str, ...],
    wishes: Mapping[str, Any],
    soak: str,
    patience: str,
) -> Plan:
    """The plan of a new rollout. Raises RolloutError, with what is wrong."""
    wanted = await _of_registry(file, model) if model.startswith("oci:") else _of_file(Path(model), sources)
    now = datetime.now(UTC)
    text = {
        "id": f"{slot[:60]}-{now:%Y%m%d-%H%M%S}",
        "term": 0,
        "begun": now.isoformat(timespec="seconds"),
        "who": file.options().who[:100],
        "slots": {slot: wanted.model_dump(exclude_none=True)},
        "soak_s": seconds(soak),
        "patience_s": seconds(patience),
        **wishes,
    }
    return _checked(Plan, text)


def seconds(text: str) -> float:
    """ "10 min", "30 s", "500 ms" -> seconds. Raises RolloutError."""
    try:
        ns, _ = parse_span(text)
    except ValueError as error:
        raise RolloutError(str(error)) from error
    if not ns:
        raise RolloutError(f'"{text}" is no time; write "10 min", "30 s", "1 h"')
    return ns / 1e9


def _of_file(path: Path, sources: tuple[str, ...]) -> Wanted:
    if not sources:
        raise RolloutError(f"where do stations get {path}? --source https://models.plant.example/{path.name}")
    for source in sources:
        if why := objection(source):
            raise RolloutError(why)
    beside = [Path(f"{path}{suffix}") for suffix in (SUFFIX, bundles.SUFFIX)]
    found = [one for one in beside if one.exists()] or beside[:1]
    try:
        with open_file(path) as file:
            data: bytes = file.readall()  # type: ignore[attr-defined]  # it is a FileIO
        with open_file(found[0]) as file:
            signature = file.read(MOST_SIGNATURE + 1)
    except OSError as error:
        helps = "; `rt-engine sign` makes it" if error.filename == str(found[0]) else ""
        raise RolloutError(f"{error.filename}: {error.strerror}{helps}") from error
    return _wanted(str(path), hashlib.sha256(data).hexdigest(), len(data), signature, sources)


async def _of_registry(file: FleetFile, reference: str) -> Wanted:
    try:
        async with Web(file.table.source_ca(file.folder), file.table.login(file.folder)) as web:
            found = await resolve(web, reference)
    except (ArtifactError, OSError) as error:
        raise RolloutError(str(error)) from error
    return _wanted(reference, found.sha256, found.size, found.signature, (found.source,))


def _wanted(where: str, sha256: str, size: int, signature: bytes, sources: tuple[str, ...]) -> Wanted:
    try:
        if why := malformed(signature):
            raise SigningError(why)
        serial = serial_of(signature)
    except SigningError as error:
        raise RolloutError(f"the signature of {where}: {error}; `rt-engine sign` makes one") from error
    text = {"sha256": sha256, "size": size, "serial": serial, "signature": signature.hex()}
    return _checked(Wanted, {**text, "sources": sources})


def _checked(kind: type[D], values: Mapping[str, Any]) -> D:
    try:
        return kind.read(json.dumps(values).encode())
    except ForgedError as error:
        raise RolloutError(str(error)) from error
