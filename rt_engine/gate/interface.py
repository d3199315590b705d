"""Do the inputs and outputs of a new version fit?"""

from collections.abc import Sequence
from dataclasses import replace

from rt_engine.model import Model
from rt_engine.program.program import TensorSpec


def objection(
    slot: str, inputs: Sequence[TensorSpec] | None, outputs: Sequence[TensorSpec] | None, model: Model
) -> str:
    """Why a model cannot take the place of one with these inputs and outputs; "": it can. None: any will do."""
    for spec, was in zip(model.inputs, inputs or (), strict=False):
        if spec.categories != was.categories and replace(spec, categories=was.categories) == was:
            return (
                f"slot '{slot}': input '{spec.name}' of the new model counts {len(spec.categories):,} names, the running one's "
                f"{len(was.categories):,}, or the same in another order: what is written to it now would mean others; keep their order"
            )
    for kind, running, new in (("inputs", inputs, model.inputs), ("outputs", outputs, model.outputs)):
        if running is not None and tuple(running) != tuple(new):
            return (
                f"slot '{slot}': the new model's {kind} are ({', '.join(map(str, new))}), the running one's are "
                f"({', '.join(map(str, running))}); export it with the same names, shapes and types"
            )
    return ""
