"""What is refused, as the protocol says it: an HTTP status, and `{"error": words}`."""

from __future__ import annotations


class Refusal(Exception):
    """A request that is not done.

    Attributes:
        status: of HTTP: 400 the request is wrong, 404 there is no such thing, 409 not now, 413 too much, 422 the model says no.
        outcome: for the audit log; empty: a mistake that is not worth a line.
        ends: is the connection closed behind the answer?
    """

    def __init__(self, status: int, words: str, outcome: str = "", ends: bool = False) -> None:
        super().__init__(words)
        self.status, self.outcome, self.ends = status, outcome, ends


def wrong(where: str, expected: str, got: object) -> Refusal:
    """A request that is not as the protocol, or the model, wants it; what came is shown."""
    return misfit(where, expected, shown(got))


def misfit(where: str, expected: str, got: str) -> Refusal:
    """The same, with words for what came."""
    return Refusal(400, f"{where}: expected {expected}, got {got}")


def shown(value: object, most: int = 60) -> str:
    """What came, short."""
    if isinstance(value, list | dict) and len(value) > 8:
        return f"{'an array' if isinstance(value, list) else 'an object'} of {len(value):,}"
    try:
        text = ascii(value)
    except RecursionError:  # orjson reads what is nested more deeply than Python can write
        text = "what is nested too deeply"
    return text if len(text) <= most else f"{text[:most]}..."
