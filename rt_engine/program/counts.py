"""Outputs whose length is only known at run time: which output has the count, in a program's metadata. Imports no ONNX."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNTS = "rt_engine.counts"
"""Key of the metadata: {output: [the output that has its count, the axis that it counts]} as JSON."""

Counts = Mapping[str, tuple[str, int]]


def counts_metadata(counts: Counts) -> dict[str, str]:
    """As metadata; nothing, where every length is known."""
    return {COUNTS: json.dumps({name: list(of) for name, of in counts.items()})} if counts else {}


def counts_of(metadata: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Output -> (the output that has its count, the axis); empty where the metadata say nothing that makes sense."""
    try:
        found = json.loads(metadata.get(COUNTS, "{}"))
        return {str(name): (str(count), int(axis)) for name, (count, axis) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def cut(counts: Counts, names: Sequence[str], arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs as ONNX has them: each ends at its count, and the counts themselves are left out."""
    found = dict(zip(names, arrays, strict=True))
    added = {count for count, _ in counts.values()}
    for name, (count, axis) in counts.items():
        found[name] = np.take(found[name], np.arange(int(found[count])), axis)
    return {name: array for name, array in found.items() if name not in added}
