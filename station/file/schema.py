"""The JSON schema of station.toml, for editors; and the same as tables, for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from station.file.config import StationConfig
from station.links import link_tables
from station.servers import server_tables
from station.terms.steps import STEP_TABLES

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


def reference_text() -> str:
    """Every key of every table, as Markdown: what `docs/station.md` has at its end."""
    schema = json.loads(schema_text())
    sections = [_reference("[station]", schema["$defs"]["StationTable"])]
    for heading, names in _TABLES:
        for name in names:
            sections.append(_reference(heading.replace("TYPE", _kind(schema["$defs"][name])), schema["$defs"][name]))
            sections += [_reference(part, schema["$defs"][table]) for part, table in _PARTS.get(name, {}).items()]
    return "\n".join(sections)


_TABLES: Final = (
    ("[models.NAME]", ("ModelTable",)),
    ("[models.NAME.change]", ("ChangeTable",)),
    (
        "[links.NAME], type TYPE",
        tuple(table.__name__ for table in link_tables()),
    ),
    ("[tags.NAME]", ("TagTable",)),
    ("[servers.NAME], type TYPE", tuple(table.__name__ for table in server_tables())),
    ("[tasks.NAME]", ("TaskTable",)),
    ("[tasks.NAME.step], type TYPE", tuple(table.__name__ for table in STEP_TABLES)),
    ("An entry of inputs", ("InputTable",)),
    ("An entry of outputs", ("OutputTable",)),
    ("[tasks.NAME.guard]", ("GuardTable",)),
    ("[tasks.NAME.monitor]", ("MonitorTable",)),
    ("[tasks.NAME.fallback]", ("FallbackTable",)),
    ("[tasks.NAME.on_late]", ("OnLateTable",)),
    ("[recorder]", ("RecorderTable",)),
)


_PARTS: Final = {
    table.__name__: {heading: part.__name__ for heading, part in table.parts.items()} for table in link_tables()
}
"""Table of a link -> those within it: heading, name."""


def _kind(table: dict[str, Any]) -> str:
    return str(table["properties"].get("type", {}).get("const", ""))


def _reference(heading: str, table: dict[str, Any]) -> str:
    rows = [
        f"| `{key}` | {_values(value)} | {_default(key, value, table)} | {value.get('description', '')} |"
        for key, value in table["properties"].items()
        if "const" not in value
    ]
    return "\n".join([f"### {heading}", "", "| key | value | default | |", "|---|---|---|---|", *rows, ""])


def _values(value: dict[str, Any]) -> str:
    """What a key may hold, in a few words."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_values(one) for one in value["anyOf"]))
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{v}`" for v in value["enum"])
    if value.get("examples", [""])[0] == "1 ms":
        return "duration"
    if "5000 cycles" in value.get("examples", ()):
        return "duration, or cycles"
    if "100 MB" in value.get("examples", ()):
        return "size" if "2 GB" in value["examples"] else "duration, or size"
    low, high, above = (value.get(key) for key in ("minimum", "maximum", "exclusiveMinimum"))
    limits = f" {low} to {high}" if high is not None else f" from {low}" if low is not None else ""
    limits = f" above {above:g}" if above is not None else limits
    kind = str(value.get("type", "table"))
    return {"object": "table", "array": "list"}.get(kind, kind) + limits


def _default(key: str, value: dict[str, Any], table: dict[str, Any]) -> str:
    if key in table.get("required", []):
        return "required"
    default = value.get("default", "")
    return f"`{json.dumps(default)}`" if default not in ("", [], {}) and not isinstance(default, dict) else ""
