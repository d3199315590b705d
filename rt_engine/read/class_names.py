"""Names, and lists of dictionaries: what exporters write for people becomes what a program can carry.

A program carries numbers in tensors. Strings become indices (`read.strings`), and a list of dictionaries from class to score
(ZipMap) becomes the tensor of the scores. The lists of names are kept: nothing is lost but the form.
"""

from collections.abc import Sequence
from typing import Any

import onnx
import onnx.inliner
from onnx import AttributeProto, NodeProto, TensorProto, helper

from rt_engine.errors import Reason
from rt_engine.program.naming import UNKNOWN, Naming
from rt_engine.read.strings.categories import with_indices
from rt_engine.read.strings.kinds import ML, has_strings
from rt_engine.read.strings.lists import Categories
from rt_engine.read.walking import attributes

MOST_NAMES, _SHOWN_CHARACTERS = 20, 40
"""Of names in a sentence; of characters of each."""


def with_numbers(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, Naming, list[Reason]]:
    """The model with indices for strings and tensors for lists of dictionaries; a copy, if anything changes.

    1. Strings are indices into lists of names (`read.strings` has the cases); where they are not, the reasons say why.
    2. ZipMap is an Identity.
    """
    texts = has_strings(proto)
    if not texts and not any(node.domain == ML and node.op_type == "ZipMap" for node in proto.graph.node):
        return proto, Naming(), []
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    if texts and changed.functions:
        changed = onnx.inliner.inline_local_functions(changed)
    columns = {node.output[0]: _dictionaries(node) for node in changed.graph.node if _is_zipmap(node)}
    found = with_indices(changed) if texts else Categories()
    if columns and not any(o.domain in ("", "ai.onnx") for o in changed.opset_import):
        changed.opset_import.append(helper.make_opsetid("", 18))
    naming = Naming(categories=found.inputs)
    naming.notes += [_of_input(name, names) for name, names in found.inputs.items()]
    for output in changed.graph.output:
        if output.name in columns:
            output.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [None, None]))
            naming.classes[output.name] = columns[output.name]
            listed = short(columns[output.name])
            naming.notes.append(
                f"output '{output.name}' is a tensor, not a list of dictionaries: a column for each of {listed}"
            )
        elif output.name in found.outputs:
            naming.classes[output.name] = found.outputs[output.name]
            naming.notes.append(_of_output(output.name, found))
    del changed.graph.value_info[:]
    return changed, naming, found.reasons


def short(names: Sequence[Any]) -> str:
    """Names in a sentence, cut where they are many or long."""
    told = [
        text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
        for text in map(str, names[:MOST_NAMES])
    ]
    return ", ".join(told) + (f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else "")


def _of_input(name: str, names: tuple[str, ...]) -> str:
    return f"input '{name}' is an index, not a string: it counts, from 0, {short(names)}; {UNKNOWN}: any other name"


def _of_output(name: str, found: Categories) -> str:
    other = f"; {UNKNOWN}: any other name" if name in found.open_outputs else ""
    return f"output '{name}' is an index, not a string: it counts, from 0, {short(found.outputs[name])}{other}"


def _is_zipmap(node: NodeProto) -> bool:
    return node.domain == ML and node.op_type == "ZipMap"


def _dictionaries(node: NodeProto) -> tuple[Any, ...]:
    """A ZipMap becomes an Identity; gives what its columns stand for."""
    given = attributes(node)
    labels = tuple(t.decode("utf-8", "replace") for t in given.get("classlabels_strings", AttributeProto()).strings)
    numbers = tuple(given.get("classlabels_int64s", AttributeProto()).ints)
    node.op_type, node.domain = "Identity", ""
    del node.attribute[:]
    return labels or numbers
