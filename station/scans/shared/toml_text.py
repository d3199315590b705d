"""Values and inline tables as TOML writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def inline(keys: Mapping[str, Any]) -> str:
    """`{ type = "bool", count = 2 }`."""
    return "{ " + ", ".join(f"{key} = {text_of(value)}" for key, value in keys.items()) + " }"


def text_of(value: Any) -> str:
    """A text, number or truth."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return (
        json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        if isinstance(value, str | bool)
        else str(value)
    )
