"""Do the inputs and outputs of a new version fit?"""

from collections.abc import Sequence

from rt_engine.model import Model
from rt_engine.program.program import TensorSpec


def objection(
    slot: str, inputs: Sequence[TensorSpec] | None, outputs: Sequence[TensorSpec] | None, model: Model
) -> str:
    """Why a model cannot take the place of one with these inputs and outputs; "": it can. None: any will do."""
    for kind, running, new in (("inputs", inputs, model.inputs), ("outputs", outputs, model.outputs)):
        if running is not None and tuple(running) != tuple(new):
            return (
                f"slot '{slot}': the new model's {kind} are ({', '.join(map(str, new))}), the running one's are "
                f"({', '.join(map(str, running))}); export it with the same names, shapes and types"
            )
    return ""
