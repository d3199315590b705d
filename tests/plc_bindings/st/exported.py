"""Models to export, and what a test does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

import rt_engine
from plc_bindings.data.types import SCALARS
from plc_bindings.st import portable
from plc_bindings.st.project import Ads, Modbus, Project, Registers, project
from plc_bindings.st.units import Unit
from rt_engine import Model
from tests import ROOT
from tests.plc_bindings.st.evaluator import Program

POLICY = ROOT / "station" / "demo" / "data" / "policy-v1.onnx"
ADS = Ads("192.168.10.5.1.1", 851)


def load(nodes, inputs, outputs, folder: Path, name: str = "model") -> Model:
    """A model of plain nodes; `inputs` and `outputs` are (name, ONNX type, shape)."""
    ends = [[helper.make_tensor_value_info(*end) for end in part] for part in (inputs, outputs)]
    graph = helper.make_graph(nodes, name, *ends)
    file = folder / f"{name}.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file.write_bytes(model.SerializeToString())
    return rt_engine.load(file)


def kinds(folder: Path) -> Model:
    """Every type that a PLC has, a scalar and three in a row, through."""
    nodes, inputs, outputs = [], [], []
    for name in SCALARS:
        for suffix, shape in (("", [1]), ("_row", [3])):
            type_ = helper.np_dtype_to_tensor_dtype(np.dtype(name))
            nodes.append(helper.make_node("Identity", [name + suffix], [f"{name}{suffix}_out"]))
            inputs.append((name + suffix, type_, shape))
            outputs.append((f"{name}{suffix}_out", type_, shape))
    return load(nodes, inputs, outputs, folder, "kinds")


def wide(folder: Path) -> Model:
    """More than one message can carry, both ways."""
    return load(
        [helper.make_node("Neg", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, [1, 200])],
        [("y", TensorProto.FLOAT, [1, 200])],
        folder,
        "wide",
    )


def square_root(folder: Path) -> Model:
    """NaN for what is negative."""
    return load(
        [helper.make_node("Sqrt", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, [2])],
        [("y", TensorProto.FLOAT, [2])],
        folder,
        "root",
    )


def demo() -> Project:
    """The demo's policy alone."""
    return project("line4", {"policy": rt_engine.load(POLICY)})


def modbus(of: Project, order="ABCD") -> Modbus:
    """Models at 10000, 11000, ...; their hashes at 40000, 40100, ..."""
    from plc_bindings.st.registers import count

    return Modbus(
        "192.168.10.20",
        502,
        1,
        order,
        {
            model.name: Registers(40000 + 100 * i, 10000 + 1000 * i, 10000 + 1000 * i + count(model.signature.inputs))
            for i, model in enumerate(of.models)
        },
        40048,
    )


def portable_program(of: Project, at: Modbus) -> Program:
    """The portable blocks of a project, to be executed."""
    return Program(*(unit.text for unit in portable.units(of, at)))


def twincat_program(units: Iterable[Unit], *library: str, natives: Mapping[str, Callable[[Any], None]]) -> Program:
    """TwinCAT's blocks, and those of libraries that they call, to be executed."""
    lists = {unit.name: unit.text for unit in units if unit.kind == "VAR_GLOBAL"}
    texts = [unit.text for unit in units if unit.kind != "VAR_GLOBAL"]
    return Program(*texts, *library, codesys=True, natives=natives, lists=lists)
