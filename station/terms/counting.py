"""Numbers of things in words."""

from __future__ import annotations


def many(count: int, what: str) -> str:
    """`1 cycle`, `2,000 cycles`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")
