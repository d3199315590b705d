"""Do the inputs and outputs of a new version fit?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rt_engine.model import Model
from rt_engine.program.program import TensorSpec


def objection(
    slot: str,
    inputs: Sequence[TensorSpec] | None,
    outputs: Sequence[TensorSpec] | None,
    classes: Mapping[str, Sequence[Any]] | None,
    model: Model,
) -> str:
    """Why a model cannot take the place of one with these inputs, outputs and classes; "": it can. None: any will do."""
    for spec, was in zip(model.inputs, inputs or (), strict=False):
        if spec.categories != was.categories and replace(spec, categories=was.categories) == was:
            return _renamed(f"slot '{slot}': input '{spec.name}'", spec.categories, was.categories, "written to")
    for kind, running, new in (("inputs", inputs, model.inputs), ("outputs", outputs, model.outputs)):
        if running is not None and tuple(running) != tuple(new):
            return (
                f"slot '{slot}': the new model's {kind} are ({', '.join(map(str, new))}), the running one's are "
                f"({', '.join(map(str, running))}); export it with the same names, shapes and types"
            )
    for output in model.outputs if classes is not None else ():
        now, had = ([str(one) for one in known.get(output.name, ())] for known in (model.classes, classes or {}))
        if now != had:
            return _renamed(f"slot '{slot}': output '{output.name}'", now, had, "read from")
    return ""


def _renamed(where: str, now: Sequence[str], was: Sequence[str], used: str) -> str:
    return (
        f"{where} of the new model counts {len(now):,} names, the running one's {len(was):,}, or the same in another order: "
        f"what is {used} it now would mean others; keep their order"
    )
