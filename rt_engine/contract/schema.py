"""The JSON schema of a contract, of its JSON and of its TOML; renewed by

python -m rt_engine.contract.schema > rt_engine/contract/contract.schema.json
"""

import json
from pathlib import Path
from typing import Any

from rt_engine.contract.plain import FORMAT, TYPES
from rt_engine.contract.terms import MOST_STRIDE, MOST_WINDOW, SCALINGS

FILE = Path(__file__).parent / "contract.schema.json"
NUMBER, TEXT, WHOLE = {"type": "number"}, {"type": "string"}, {"type": "integer"}


def schema() -> dict[str, Any]:
    """The whole of it; keys that it does not have are refused."""
    parts = {"type": "array", "items": {"$ref": "#/$defs/tensor"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Contract of a model (rt_engine.contract)",
        **_table(
            {
                "format": WHOLE | {"const": FORMAT},
                "rate_hz": NUMBER | {"exclusiveMinimum": 0, "description": "How often the model ran in training."},
                "scaling": {
                    "enum": list(SCALINGS),
                    "description": "Does the model scale itself, or does whoever runs it apply scale and offset of its elements?",
                },
                "state": {
                    "type": "object",
                    "additionalProperties": TEXT,
                    "description": "Output -> the input that it is in the next run.",
                },
                "provenance": _table(dict.fromkeys(("name", "version", "data", "commit", "author", "created"), TEXT)),
                "inputs": parts,
                "outputs": parts,
                "statistics": {"type": "array", "items": {"$ref": "#/$defs/statistics"}},
                "vectors": {"type": "array", "items": {"$ref": "#/$defs/vector"}},
            }
        ),
        "$defs": {
            "tensor": _tensor(),
            "element": _element(),
            "statistics": _statistics(),
            "vector": _vector(),
            "array": _array(),
        },
    }


def _table(properties: dict[str, Any], *needed: str) -> dict[str, Any]:
    made = {"type": "object", "properties": properties, "additionalProperties": False}
    return made | ({"required": list(needed)} if needed else {})


def _tensor() -> dict[str, Any]:
    return _table(
        {
            "name": TEXT
            | {"description": "Of an input or output of the model; several parts of one follow each other."},
            "elements": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/$defs/element"},
                "description": "Of one sample.",
            },
            "window": WHOLE | {"minimum": 1, "maximum": MOST_WINDOW, "description": "Samples, oldest first."},
            "stride": WHOLE
            | {"minimum": 1, "maximum": MOST_STRIDE, "description": "Trained steps from sample to sample."},
            "start": WHOLE
            | {"minimum": 0, "description": "Flat index of its first element; left out: behind the part before."},
        },
        *("name", "elements"),
    )


def _element() -> dict[str, Any]:
    scale = "Input: element = value * scale + offset; output: value = element * scale + offset."
    return _table(
        {
            "name": TEXT | {"minLength": 1, "description": "As the tag is called."},
            "unit": TEXT | {"description": "Engineering unit of the value."},
            "scale": NUMBER | {"description": scale},
            "offset": NUMBER | {"description": scale},
            "low": NUMBER | {"description": "Least value, in `unit`; left out: none."},
            "high": NUMBER | {"description": "Greatest value, in `unit`; left out: none."},
            "clip": {"type": "boolean", "description": "Values beyond were clipped to low..high in training."},
            "max_rate": NUMBER
            | {"exclusiveMinimum": 0, "description": "Greatest change, in `unit` per second; left out: any."},
        },
        "name",
    )


def _statistics() -> dict[str, Any]:
    row = {"type": "array", "items": NUMBER}
    rows = dict.fromkeys(("mean", "deviation", "least", "greatest"), row)
    quantiles = {"type": "object", "additionalProperties": row, "description": 'By part, as "0.01".'}
    more = {"quantiles": quantiles, "covariance": {"type": "array", "items": row}}
    return _table({"tensor": TEXT, "count": WHOLE | {"minimum": 1}, **rows, **more}, "tensor", "count", *rows)


def _vector() -> dict[str, Any]:
    side = {"type": "object", "additionalProperties": {"$ref": "#/$defs/array"}, "minProperties": 1}
    tolerance = NUMBER | {"minimum": 0}
    return _table({"inputs": side, "outputs": side, "atol": tolerance, "rtol": tolerance}, "inputs", "outputs")


def _array() -> dict[str, Any]:
    """Exactly, or as nested lists of numbers."""
    words = "Little-endian, C order."
    shape = {"type": "array", "items": WHOLE | {"minimum": 0}}
    packed = {"type": {"enum": list(TYPES)}, "shape": shape, "base64": TEXT | {"description": words}}
    return {"anyOf": [_table(packed, *packed), {"type": "array"}, NUMBER]}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
