"""What is worth a try: pieces (`interface.blocking`), and for which records they mean something. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.conv import CONV, NARROW
from rt_engine.kernels.interface.gemm import GEMM
from rt_engine.kernels.interface.panels import HALF
from rt_engine.program.program import Program
from rt_engine.run.chosen import FAMILIES, Pieces, told

ALTERNATIVES = (
    Pieces(),
    *(Pieces(block) for block in (6, 24, 96, 384)),
    *(Pieces(block, cut) for block in (0, 24, 96) for cut in (128, 2048)),
)
"""The first is what a program says. Blocks are whole tiles on every lane width."""


def applies(kernel: str, record: NDArray[Any], pieces: Pieces) -> bool:
    """Is a record worked through in another way with these?"""
    fields, sizes = FAMILIES[kernel], record["size"]
    rows = int(sizes[fields.places["rows" if fields is GEMM else "out_pixels"].index])
    if pieces.block >= rows or (pieces.cut and not kernel.startswith("conv_")):
        return False
    if not pieces.cut:
        return pieces.block > 0
    columns, taps, run = (int(sizes[CONV.places[name].index]) for name in ("columns", "taps", "run"))
    lanes = HALF // (4 if kernel.endswith("f32") else 8)
    return columns > NARROW * lanes and taps * run > min(pieces.cut, 512)


def applicable(program: Program) -> NDArray[np.bool_]:
    """[alternatives, records]: does it mean something?"""
    found = np.zeros((len(ALTERNATIVES), len(program.records)), bool)
    for index, kernel in told(program):
        found[:, index] = [applies(kernel, program.records[index], pieces) for pieces in ALTERNATIVES]
    return found
