"""The models that PLC clients can call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from plc_bindings.data.signature import Signature, signature
from plc_bindings.data.types import UDINT, Field, Leaf, Struct, identifier, leaves
from rt_engine import ModelSlot


@dataclass(frozen=True, slots=True)
class Served:
    """A model that can be called: its number (from 1), name, slot, and how its ends are packed."""

    number: int
    name: str
    slot: ModelSlot
    signature: Signature


def call_leaves(served: Served) -> Iterator[tuple[str, Leaf, str]]:
    """What a call of a model takes and gives, in order: name, value, and its access."""
    header = Struct("", (Field("Status", UDINT), Field("Version", UDINT)))
    ends, name = served.signature, f"Models.{identifier(served.name)}.Predict"
    for part, end, access in (("In", ends.inputs, "write"), ("", header, "read"), ("Out", ends.outputs, "read")):
        for leaf in leaves(end, part):
            yield f"{name}.{leaf.path}", leaf, access


class Models:
    """The station's models, by number and by name.

    Raises:
        UnpackableError: a model has a tensor that no PLC type can carry.
    """

    def __init__(self, slots: Mapping[str, ModelSlot]) -> None:
        self.all = tuple(
            Served(number, name, slot, signature(name, slot.model))
            for number, (name, slot) in enumerate(slots.items(), start=1)
        )
        self._by_name = {served.name.lower(): served for served in self.all}

    def find(self, model: int | str) -> Served | None:
        """A model by its number, or its name in any case."""
        if isinstance(model, str):
            return self._by_name.get(model.lower())
        return self.all[model - 1] if 0 < model <= len(self.all) else None
