"""The JSON schema of station.toml, for editors: completion, and red lines while typing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from station.config import StationConfig

SCHEMA_FILE: Final = Path(__file__).with_name("station.schema.json")


def schema_text() -> str:
    """The schema as it is published in `SCHEMA_FILE`."""
    schema = _for_toml(StationConfig.model_json_schema(by_alias=True))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "rt-engine station"}
    return json.dumps({**head, **schema, "title": head["title"]}, indent=2, allow_nan=False) + "\n"


def _for_toml(node: Any) -> Any:
    """Without what TOML cannot say (null), what JSON cannot (infinity), and titles that only repeat the key."""
    if isinstance(node, list):
        return [_for_toml(item) for item in node if item != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    plain = {}
    for key, value in node.items():
        is_name = key == "title" and isinstance(value, str)
        is_unsayable = key == "default" and (value is None or value in (float("inf"), float("-inf")))
        if not is_name and not is_unsayable:
            plain[key] = _for_toml(value)
    if isinstance(plain.get("anyOf"), list) and len(plain["anyOf"]) == 1:
        return {**plain.pop("anyOf")[0], **plain}
    return plain
