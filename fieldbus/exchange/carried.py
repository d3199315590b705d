"""Which transactions of a plan carry a tag, and where its bytes are in what they exchange."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property

from fieldbus.codec import Field
from fieldbus.exchange.plan import Plan

Part = tuple[int, int, slice]
"""(transaction, length of its head, place behind that)"""


class Carried:
    """Of one plan. `inputs`: all of them, for transactions that concern all; `place`: the bytes of a field that are shown."""

    def __init__(self, plan: Plan, inputs: Collection[str], place: Callable[[int, Field], slice]) -> None:
        self._plan, self._place = plan, place
        self.transactions: dict[str, list[int]] = {}
        for i, transaction in enumerate(plan.transactions):
            names = [
                *(field.tag.name for field in (*transaction.inputs, *transaction.outputs)),
                *transaction.virtual,
                *(inputs if transaction.concerns_all else ()),
            ]
            for name in dict.fromkeys(names):
                self.transactions.setdefault(name, []).append(i)

    @cached_property
    def parts(self) -> dict[str, list[Part]]:
        """Of each tag."""
        parts: dict[str, list[Part]] = {}
        for i, transaction in enumerate(self._plan.transactions):
            ends = ((transaction.inputs_at, transaction.inputs), (transaction.outputs_at, transaction.outputs))
            for at, fields in ends:
                for field in fields:
                    here, part = parts.setdefault(field.tag.name, []), (i, at, self._place(i, field))
                    if part not in here:  # bits of one register
                        here.append(part)
        return parts
