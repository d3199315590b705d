"""A CycloneDX 1.6 document as JSON: the same content gives the same bytes. Pure.

    {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": made of all the rest, "version": 1,
     "metadata": {what it is about, when, made by what}, "components": [...], "dependencies": [...]}

Specification: https://cyclonedx.org/docs/1.6/json/ (ECMA-424)
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rt_native import version
from rt_native.text import json_safe

SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
SUFFIX: Final = ".cdx.json"
LICENSE: Final = [{"license": {"id": "Apache-2.0"}}]
_PREFIX: Final = "rt-engine:"

Part = dict[str, Any]
"""An object of the document."""


def part(**keys: Any) -> Part:
    """An object of the keys that have something to say; `_` in a name is `-`."""
    return {key.replace("_", "-"): value for key, value in keys.items() if value not in (None, "", [], {}, ())}


def properties(said: Mapping[str, object]) -> list[Part]:
    """What has no place of its own in the format, under names of ours; what is empty is left out."""
    return [
        {"name": f"{_PREFIX}{key}", "value": str(value)} for key, value in said.items() if value not in (None, "", [])
    ]


def sha256(text: str) -> list[Part]:
    """The `hashes` of a component."""
    return [{"alg": "SHA-256", "content": text}]


def package(name: str, its_version: str, **more: Any) -> Part:
    """A Python package, as its index calls it."""
    url = f"pkg:pypi/{name.lower().replace('_', '-').replace('.', '-')}@{its_version}"
    return part(type="library", bom_ref=url, name=name, version=its_version, purl=url, **more)


def document(
    subject: Part, components: Sequence[Part], needs: Mapping[str, Iterable[str]], phase: str, newest: str = ""
) -> Part:
    """The whole.

    Args:
        subject: what it is about.
        components: what that has in it; each `bom-ref` once.
        needs: reference of a component -> those of what it needs.
        phase: "build" or "operations".
        newest: when that which it tells of last changed (ISO 8601); $SOURCE_DATE_EPOCH counts before it, and without either
            it has no time.
    """
    about = part(
        timestamp=_time() or newest,
        lifecycles=[{"phase": phase}],
        tools={"components": [{"type": "application", "name": "rt-engine", "version": version.TEXT}]},
        component=subject,
    )
    content = {
        "metadata": about,
        "components": sorted(components, key=lambda one: (one["type"], one["bom-ref"])),
        "dependencies": [{"ref": ref, "dependsOn": sorted(others)} for ref, others in sorted(needs.items())],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, SCHEMA + json.dumps(content, sort_keys=True))
    head = {"$schema": SCHEMA, "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": number.urn, "version": 1}
    return head | content


def rendered(whole: Part) -> bytes:
    """As a file."""
    return (json_safe(json.dumps(whole, indent=1)) + "\n").encode()


def _time() -> str:
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z") if seconds else ""
