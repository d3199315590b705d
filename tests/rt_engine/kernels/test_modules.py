"""The rooms of `rt_engine/kernels`: modules export kernels, `parts` helps them, `interface` is read at run time too."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rt_engine.kernels
from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.kernels.parts import registers
from rt_engine.run.native import KERNELS
from rt_native.target import LANE_WIDTHS
from tests import ROOT

FOLDER = Path(rt_engine.kernels.__file__).parent
MODULES, PARTS, INTERFACE = (
    sorted(path for path in (FOLDER / room).glob("*.py") if path.stem != "__init__")
    for room in ("", "parts", "interface")
)


def imports(path: Path) -> set[str]:
    """What a file imports, in full: modules, and names of modules."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(path: Path) -> set[str]:
    """The rooms of `rt_engine/kernels` that a file imports from; that of the kernels themselves is ''."""
    ours = [name.split(".") for name in imports(path) if name.startswith("rt_engine.kernels.")]
    return {name[2] if name[2] in ("parts", "interface") else "" for name in ours}


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


@named(MODULES)
def test_a_module_exports_kernels_and_imports_no_other(path: Path) -> None:
    """So an edit of one kernel builds one module, and what is shared is in `parts`."""
    exports, _ = KERNELS.content()[f"rt_engine.kernels.{path.stem}"]
    assert exports
    assert all(name.startswith(KERNEL_PREFIX) for name in exports)
    assert rooms(path) <= {"parts", "interface"}


@named(PARTS)
def test_a_part_exports_nothing(path: Path) -> None:
    """A part makes kernels for a module at most: only `abi` knows `export`, and no part gives its own name to it."""
    assert rooms(path) <= {"parts", "interface"}
    assert "__name__" not in {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert path.stem == "abi" or "rt_native.lang.export" not in imports(path)


@named(INTERFACE)
def test_the_interface_imports_neither_numba_nor_kernels(path: Path) -> None:
    """It is read where no kernel is compiled."""
    assert rooms(path) <= {"interface"}
    assert not {name for name in imports(path) if name.split(".")[0] in ("numba", "llvmlite", "rt_native")}


def test_every_lane_width_has_its_tiles() -> None:
    """A width without a row in the table of tiles could not be compiled for."""
    assert sorted(registers._BY_LANES) == sorted(LANE_WIDTHS)


def test_a_room_is_told_from_another(tmp_path: Path) -> None:
    """The checks see an import of a kernel, whichever way it is written."""
    for text in (
        "import rt_engine.kernels.gemm",
        "from rt_engine.kernels import gemm",
        "from rt_engine.kernels.gemm import x",
    ):
        path = tmp_path / "some.py"
        path.write_text(text)
        assert rooms(path) == {""}


FILES = {
    "kernels/interface/halve.py": """
from rt_engine.kernels.interface.fields import Fields

HALVE = Fields("halve", operands="x out", sizes="n")
""",
    "kernels/halve.py": """
from rt_engine.kernels.interface.halve import HALVE
from rt_engine.kernels.parts.abi import kernel
from rt_native.lang import load_f32, store_f32


@kernel("halve_f32", HALVE)
def halve(record):
    for i in range(record.n):
        store_f32(record.out + 4 * i, load_f32(record.x + 4 * i) * 0.5)
    return 0
""",
    "ops/halve.py": """
from rt_engine.kernels.interface.halve import HALVE
from rt_engine.ops.base import operator


@operator("Halve", domain="com.example", since=1, infer=lambda node, inputs: [(inputs[0].dtype, inputs[0].shape)])
def halve(node, build):
    build.call("halve_f32", HALVE(x=node.x, out=node.y, n=node.y.size))
""",
}
ADDED = """
import json

import numpy as np
from onnx import helper

import rt_engine
from rt_engine.run.native import KERNELS

ends = [helper.make_tensor_value_info(name, 1, [3]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Halve", ["x"], ["y"], domain="com.example")], "g", ends[:1], ends[1:])
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
objects = {module: path.name for module, path in KERNELS.objects().items()}
(y,) = rt_engine.load(helper.make_model(graph, opset_imports=opsets)).run({"x": np.float32([1, 2, 3])})
print(json.dumps({"file": rt_engine.__file__, "y": y.tolist(), "objects": objects}))
"""


def test_a_kernel_that_is_added_is_found_and_builds_its_module_alone(tmp_path: Path) -> None:
    """Three files in a copy of the engine: record, kernel, operator. A model calls it; every other object stays as it is."""
    for package in ("rt_native", "rt_engine"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (tmp_path / "rt_engine" / name).write_text(text)
    command = [sys.executable, "-c", ADDED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["file"].startswith(str(tmp_path))
    assert seen["y"] == [0.5, 1.0, 1.5]
    own = {module: path.name for module, path in KERNELS.objects().items()}
    assert set(seen["objects"].items()) - set(own.items()) == {
        ("rt_engine.kernels.halve", seen["objects"]["rt_engine.kernels.halve"])
    }
    assert own.keys() < seen["objects"].keys()
