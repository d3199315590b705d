"""JSON as the page sends it: short, and with texts where JSON has no number."""

from __future__ import annotations

import json
import math
from typing import Any

from aiohttp import web

from rt_native.text import json_safe


def encoded(value: Any) -> bytes:
    """`value` as JSON; NaN and infinity are the texts "NaN", "Infinity" and "-Infinity"."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_plain(value), separators=(",", ":"))
    return json_safe(text).encode()


def answer(value: Any, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=encoded(value), status=status, content_type="application/json", charset="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
