"""What a station runs: rt-engine with the packages that are installed beside it, and every version of its models.

store (or, before the first start, the station file) --> a `machine-learning-model` each: hash, signer, serial number, state,
                                                         and what its file says of itself: exporter, contract, provenance
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from plc_bindings.errors import SigningError
from plc_bindings.security.signing import PublicKey, proven
from rt_engine.change import ChangeState
from rt_engine.contract.check import Tensor
from rt_engine.contract.file import ends_of, read
from rt_engine.contract.plain import to_plain
from rt_engine.contract.terms import Contract
from rt_engine.errors import EngineError
from rt_engine.read.external import sha256_of
from rt_engine.read.source import BYTES, Source, opened
from rt_native import version
from station.bom.document import LICENSE, Part, document, package, part, properties, sha256
from station.errors import StoreError
from station.file.reading import StationFile
from station.store.looking import look
from station.store.store import STATION_FILE, Row, Version
from station.store.versions import Versions

_ITSELF: Final = "rt-engine"
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(\[(?P<extras>[^]]*)\])?")
_EXTRA: Final = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
Extras = frozenset[str] | None

Find = Callable[[str], Source | None]


def of_station(file: StationFile) -> Part:
    """The bill of a station, which may run or not.

    Raises:
        StoreError: its store is there and cannot be read.
        ModelFileError: there is no store yet, and a model of the station file cannot be read.
    """
    name = file.config.station.name
    rows, source_of = _versions(file)
    keys = [PublicKey.parse(text) for text in file.config.station.keys]
    models = [_model(row, source_of(row.version.sha256), keys) for row in rows]
    packages = list(installed())
    unknown = {} if packages else {"packages": "not known: rt-engine runs from a folder, and is not installed"}
    engine = package(_ITSELF, version.TEXT, licenses=LICENSE, properties=properties(unknown))
    subject = part(type="device", bom_ref=f"station:{name}", name=name)
    needs = {
        subject["bom-ref"]: [engine["bom-ref"], *(one["bom-ref"] for one in models)],
        engine["bom-ref"]: [one["bom-ref"] for one in packages],
    }
    newest = max((row.since for row in rows), default="")
    return document(subject, [engine, *packages, *models], needs, "operations", newest)


def _versions(file: StationFile) -> tuple[tuple[Row, ...], Find]:
    """The versions, and what finds the file of one by its SHA-256."""
    folder = file.config.station.store
    if folder and (file.beside(folder) / "journal").exists():
        kept = Versions(file.beside(folder) / "versions")

        def find(sha256: str) -> Source | None:
            with suppress(StoreError):
                return kept.source(sha256)
            return None

        return look(file.beside(folder), runs=True).rows, find
    rows: list[Row] = []
    files: dict[str, Source] = {}
    for slot, table in file.config.models.items():
        source = opened(file.beside(table.file))
        size = len(source.data) if isinstance(source.data, BYTES) else 0
        one = Version(slot, sha256_of(source), 0, Path(source.name).name, size, STATION_FILE, "")
        rows.append(Row(one, ChangeState.NONE, "", "", "named by the station file", ""))
        files[one.sha256] = source
    return tuple(rows), files.get


def installed(root: str = _ITSELF) -> Iterator[Part]:
    """The packages that one requires, with any of its extras, and those that they require, as they are installed."""
    waiting: list[tuple[str, Extras]] = [(root, None)]
    seen = {root}
    while waiting:
        for name, extras in _asked(*waiting.pop()):
            with suppress(metadata.PackageNotFoundError):
                if name not in seen:
                    yield package(name, metadata.version(name))
                    seen.add(name)
                    waiting.append((name, extras))


def _asked(name: str, extras: Extras) -> Iterator[tuple[str, Extras]]:
    """What a package requires, with these of its extras; None: with all. Of what is not installed: nothing."""
    with suppress(metadata.PackageNotFoundError):
        for text in metadata.requires(name) or ():
            found, extra = _REQUIREMENT.match(text), _EXTRA.search(text)
            if found is not None and (extras is None or extra is None or extra[1] in extras):
                wanted = frozenset(one.strip() for one in (found["extras"] or "").split(","))
                yield found["name"].lower().replace("_", "-"), wanted


def _model(row: Row, source: Source | None, keys: list[PublicKey]) -> Part:
    one = row.version
    said, card, more = _said(source) if source is not None else ({}, None, {})
    about = {
        "slot": one.slot,
        "file": one.name,
        "bytes": one.size,
        "came": one.time,
        "from": one.who,
        "serial": one.serial,
        "signer": _signer(one, keys),
        "state": row.state.name,
        "role": row.role,
        "since": row.since,
        "by": row.who,
        "why": row.why,
        "barred": row.barred,
        "kept": "yes" if source is not None else "no: its file was removed, or is damaged",
    }
    return part(
        type="machine-learning-model",
        bom_ref=f"model:{one.slot}:{one.sha256}",
        name=one.slot,
        version=str(one.number) if one.number else "",
        hashes=sha256(one.sha256),
        modelCard=card,
        properties=properties(about | said),
        **more,
    )


def _signer(one: Version, keys: list[PublicKey]) -> str:
    """Whose key is good for the signature that came with a version."""
    if not one.signature:
        return ""
    try:
        return proven(keys, one.slot, bytes.fromhex(one.sha256), one.signature, must_bind=False).key.text
    except SigningError:
        return "a key that is not among `keys` of the station file"


def _said(source: Source) -> tuple[dict[str, object], Part | None, Part]:
    """What a model's file says of itself: (properties, model card, keys of the component)."""
    try:
        said, ends = _header(source), ends_of(source)
        parameters: Part = {"inputs": _ends(ends.inputs), "outputs": _ends(ends.outputs)}
        contract = read(source)
    except EngineError as error:
        return {"unreadable": error}, None, {}
    if contract is None:
        return said, {"modelParameters": part(**parameters)}, {}
    origin = contract.provenance
    if origin.data:
        parameters["datasets"] = [{"type": "dataset", "name": origin.data}]
    card = part(modelParameters=part(**parameters), properties=properties(_statistics(contract)))
    more = part(
        description=" ".join(text for text in (origin.name, origin.version) if text),
        authors=[{"name": origin.author}] if origin.author else None,
        pedigree={"commits": [{"uid": origin.commit}]} if origin.commit else None,
    )
    return said | {"contract": contract.origin, "created": origin.created, "rate-hz": contract.rate_hz}, card, more


def _header(source: Source) -> dict[str, object]:
    """Who exported it, to which opsets."""
    if source.is_program:
        return {"format": "rtp"}
    from rt_engine.read.frontend import parsed

    proto = parsed(source)
    opsets = {one.domain or "ai.onnx": one.version for one in proto.opset_import}
    return {
        "format": "onnx",
        "exporter": f"{proto.producer_name} {proto.producer_version}".strip(),
        "opsets": ", ".join(f"{domain} {number}" for domain, number in sorted(opsets.items())),
        "model-version": proto.model_version or "",
    }


def _ends(tensors: Any) -> list[Part]:
    return [{"format": f"{one.name}: {_shape(one)}"} for one in tensors]


def _shape(tensor: Tensor) -> str:
    if tensor.shape is None:
        return "of no known shape"
    return "[" + ", ".join("?" if size is None else str(size) for size in tensor.shape) + "]"


def _statistics(contract: Contract) -> dict[str, object]:
    """Of the training data, tensor by tensor, as the contract has them."""
    tables = to_plain(contract).get("statistics") or []
    return {f"statistics:{table['tensor']}": json.dumps(table) for table in tables}
