"""What of a `Binding` a program was compiled with that its inputs do not show: values and bounds, kept in its metadata."""

import json
from collections.abc import Mapping
from typing import Any

from rt_engine.binding import Binding

KEY = "rt_engine.fixed"
"""Under this key a compiled program says them; no file of a model's author has it."""
_OPTIONS = {"values": "--value", "bounds": "--bound"}


def fixed_metadata(binding: Binding) -> dict[str, str]:
    """For `Program.metadata`; nothing where nothing is fixed."""
    found = _parts(binding.to_json())
    return {KEY: json.dumps(found, sort_keys=True)} if found else {}


def other_fixed(metadata: Mapping[str, str], wanted: Binding) -> str:
    """How a program differs from what is asked for, as the end of a sentence; empty: what is asked for is what it has.

    What is not asked for may be fixed.
    """
    has = _parts(json.loads(metadata.get(KEY, "{}")))
    for part, given in _parts(wanted.to_json()).items():
        for name, value in given.items():
            there = has.get(part, {})
            if name not in there or there[name] != value:
                before = f"with '{name}' = {there[name]!r}" if name in there else f"without a value for '{name}'"
                return f"{before}; compile the model again with {_OPTIONS[part]} {name}={_words(value)}"
    return ""


def _words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _parts(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {part: dict(data[part]) for part in _OPTIONS if data.get(part)}
