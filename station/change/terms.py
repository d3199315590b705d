"""What a model's contract says its outputs can be -> limits of the tags that a task drives with them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rt_engine.contract import Contract
from rt_engine.contract.terms import Element
from rt_engine.gate.runs import SLACK
from scheduler.task import Output


def limits_of(
    contract: Contract | None, outputs: Iterable[tuple[str, Output]]
) -> tuple[dict[str, float], dict[str, float]]:
    """(tag -> least value, tag -> greatest), in the unit of the task's outputs, before step and guard.

    By `SLACK` beyond one is not outside, as in the gate: a float32 that was clipped at 3.2 is 3.20000005.
    Of several elements in one tag the widest. An element that is to be clipped may lie outside: it has no limits here.
    """
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for tag, output in outputs if contract is not None else ():
        if output.tensor is None:
            continue
        ends = [_limits(_element(contract, output.tensor, output.index + i), output) for i in range(output.count)]
        low[tag], high[tag] = min(least for least, _ in ends), max(greatest for _, greatest in ends)
    return (
        {tag: value for tag, value in low.items() if value != -math.inf},
        {tag: value for tag, value in high.items() if value != math.inf},
    )


def _element(contract: Contract | None, tensor: str, index: int) -> Element | None:
    parts = contract.outputs if contract is not None else ()
    found = (part.at(index) for part in parts if part.name == tensor)
    return next((element for element in found if element is not None), None)


def _limits(element: Element | None, output: Output) -> tuple[float, float]:
    """What the contract allows (value = number * scale + offset), as the task sees it (the same with the output's)."""
    if element is None or element.clip or not output.scale:
        return -math.inf, math.inf
    raw = sorted((limit - element.offset) / element.scale for limit in (element.low, element.high))
    wide = raw[0] - SLACK * abs(raw[0]), raw[1] + SLACK * abs(raw[1])
    least, greatest = sorted(number * output.scale + output.offset for number in wide)
    return least, greatest
