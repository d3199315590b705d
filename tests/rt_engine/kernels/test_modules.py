"""The rooms of `rt_engine/kernels`: modules export kernels, `parts` helps them, `interface` is read at run time too."""

import ast
from pathlib import Path

import pytest

import rt_engine.kernels
from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.kernels.parts import registers
from rt_engine.run.native import KERNELS
from rt_native.target import LANE_WIDTHS

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
