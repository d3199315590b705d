import json
from dataclasses import fields

from rt_engine.contract import Element, Provenance, Statistics, TensorContract, TestVector
from rt_engine.contract.plain import to_plain
from rt_engine.contract.schema import FILE, schema
from tests.rt_engine.contract.contracts import full


def test_the_file_is_renewed():
    """python -m rt_engine.contract.schema > rt_engine/contract/contract.schema.json"""
    assert json.loads(FILE.read_text()) == schema()


def test_every_field_is_in_it():
    found = schema()
    tables = {"element": Element, "tensor": TensorContract, "statistics": Statistics, "vector": TestVector}
    for name, kind in tables.items():
        assert found["$defs"][name]["properties"].keys() == {f.name for f in fields(kind)}
    assert found["properties"]["provenance"]["properties"].keys() == {f.name for f in fields(Provenance)}


def test_every_key_that_is_written_is_in_it():
    """Of a contract with everything; each with the type that the schema says."""
    kinds = {"array": list, "object": dict, "string": str, "integer": int, "number": int | float, "boolean": bool}
    found = schema()

    def walk(value, told):
        told = found["$defs"][told["$ref"].rpartition("/")[2]] if "$ref" in told else told
        told = told["anyOf"][0] if "anyOf" in told else told
        assert isinstance(value, kinds[told["type"]]) if "type" in told else value in told["enum"]
        if isinstance(value, dict):
            assert set(told.get("required", ())) <= value.keys()
            for key, inner in value.items():
                walk(inner, told["properties"][key] if "properties" in told else told["additionalProperties"])
        if isinstance(value, list):
            for inner in value:
                walk(inner, told["items"])

    walk(json.loads(json.dumps(to_plain(full()))), found)
