"""A contract for people: a table of its elements, and lines for the rest."""

from collections.abc import Iterator

from rt_engine.contract.plain import to_plain
from rt_engine.contract.terms import Contract, Element, TensorContract
from rt_native.terminal import Column, Sheet

MOST_ROWS = 200
"""Elements of a part that are shown."""


def table(contract: Contract) -> Sheet:
    """A row for each element: where it is, its name, unit, range, scale, largest rate."""
    columns = (
        Column("place"),
        Column("element", folds=True),
        Column("unit"),
        Column("range", 1),
        Column("scale", 2),
        Column("max rate", 3, right=True),
    )
    sheet = Sheet(columns)
    for side, parts in (("in", contract.inputs), ("out", contract.outputs)):
        for part in parts:
            for at, element in enumerate(part.elements[:MOST_ROWS]):
                sheet.add(f"{side} {part.name}[{part.start + at}]", element.name, element.unit, *_values(element, side))
            if (more := len(part.elements) - MOST_ROWS) > 0:
                sheet.add(f"{side} {part.name}", f"and {more:,} more: --json has them", "", "", "", "")
    return sheet


def lines(contract: Contract) -> Iterator[str]:
    """What is said of the model as a whole, and what is not."""
    yield f"rate: {contract.rate_hz:g} Hz" if contract.rate_hz is not None else "rate: not said"
    yield f"scaling: {contract.scaling} the model"
    for part in (*contract.inputs, *contract.outputs):
        if part.window > 1:
            yield f"history: {_history(part)}"
    for output, name in contract.state.items():
        yield f"state: {output} is {name} in the next run"
    for found in contract.statistics:
        quantiles = ", ".join(f"{p:g}" for p in sorted(found.quantiles))
        more = (f"; quantiles {quantiles}" if quantiles else "") + (
            "; covariance" if found.covariance is not None else ""
        )
        yield f"training data: {found.count:,} samples of {found.tensor}: mean, deviation, least, greatest{more}"
    yield f"test vectors: {len(contract.vectors) or 'none'}"
    if words := to_plain(contract).get("provenance"):
        yield "provenance: " + ", ".join(f"{key} {value}" for key, value in words.items())
    yield f"keys of: {contract.origin}"
    yield from (f"not said: {gap}" for gap in contract.gaps)


def summary(contract: Contract) -> str:
    """In one line."""
    named = sum(len(part.elements) for part in (*contract.inputs, *contract.outputs))
    rate = f", {contract.rate_hz:g} Hz" if contract.rate_hz is not None else ""
    vectors = f", {len(contract.vectors)} test vectors" if contract.vectors else ""
    data = ", training data" if contract.statistics else ""
    return f"{named:,} elements named{rate}{data}{vectors}, in keys of {contract.origin}"


def _values(element: Element, side: str) -> tuple[str, str, str]:
    """Range, scale, largest rate."""
    ends = (
        "" if (element.low, element.high) == (float("-inf"), float("inf")) else f"{element.low:g} .. {element.high:g}"
    )
    offset = f" {'-' if element.offset < 0 else '+'} {abs(element.offset):g}" if element.offset else ""
    factor = f"{'value' if side == 'in' else 'element'} * {element.scale:g}{offset}"
    rate = f"{element.max_rate:g} {element.unit}/s" if element.max_rate != float("inf") else ""
    scale = factor if (element.scale, element.offset) != (1.0, 0.0) else ""
    return ends + (", clipped" if element.clip else ""), scale, rate


def _history(part: TensorContract) -> str:
    of = f"{part.name}[{part.start}..{part.start + part.size - 1}]"
    each = "each step" if part.stride == 1 else f"every {part.stride} steps"
    return f"{of} has {part.window} samples of {len(part.elements)} elements, oldest first, one {each}"
