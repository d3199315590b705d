"""The published JSON schema of station files."""

import json

from station.file.config import StationConfig
from station.file.schema import SCHEMA_FILE, schema_text


def test_the_published_schema_is_up_to_date():
    """The file is what `rt-engine schema` prints; renew it with `rt-engine schema > station/file/station.schema.json`."""
    assert SCHEMA_FILE.read_text() == schema_text()


def test_it_is_json_that_an_editor_understands():
    """No infinity, no null: strict JSON that says what TOML can say."""
    schema = json.loads(schema_text(), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert '"null"' not in schema_text()
    assert set(schema["properties"]) == set(StationConfig.model_fields)


def test_it_names_the_keys_of_the_file():
    """The schema has the file's keys, not Python's, forbids others, and lets an input be a plain string."""
    schema = json.loads(schema_text())
    task = schema["$defs"]["TaskTable"]
    assert "cycle" in task["properties"]
    assert "cycle_ns" not in json.dumps(schema)
    assert task["additionalProperties"] is False
    entries, *others = task["properties"]["inputs"]["anyOf"]
    assert {"type": "string"} in entries["items"]["anyOf"]
    assert {"const": "contract", "type": "string"} in others
