"""What to look at when a device does not answer as it should. Pure."""

from __future__ import annotations

import re
from typing import Final

from station.links import LinkTable

_ANY: Final = (
    (
        r"not known|resolution|No address",
        "nobody knows this name: write the device's number, or ask who keeps the names",
    ),
    (
        r"timed out|No route|unreachable|in time",
        "is it switched on, plugged in, and in this computer's network? `ping` it",
    ),
    (
        r"certificate|SSL|TLS",
        "is ca_file the one that signed the device's certificate, and server_name the name in it?",
    ),
)


def next_step(reason: str, table: LinkTable) -> str:
    """What to look at, for what a link of this kind said; empty: the reason says it all."""
    steps = (*table.next_steps, *_ANY)
    return next((step for words, step in steps if re.search(words, reason, re.IGNORECASE)), "")
