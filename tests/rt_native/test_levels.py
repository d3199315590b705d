"""Named levels, and native code for a machine that is not this one."""

import io
import platform

import pytest
from elftools.elf.elffile import ELFFile

from rt_native.errors import UnsupportedCpu
from rt_native.levels import LEVELS, is_foreign, level
from rt_native.library import Library
from rt_native.target import LANE_WIDTHS, host

MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
OTHER = next(entry for entry in LEVELS.values() if entry.machine != platform.machine())
MODULES = ("rt_engine.run.executor_native", "rt_engine.run.slot_native")


def library(entry, folder, monkeypatch) -> Library:
    monkeypatch.setenv("RT_ENGINE_CACHE", str(folder))
    return Library("levels", MODULES, entry.target)


def test_levels_are_targets():
    """Each has a lane width that programs know; `native` is this machine and asks for what it is compiled with."""
    assert all(entry.name == name and entry.target.lanes in LANE_WIDTHS for name, entry in LEVELS.items())
    native = level("native")
    assert native.target == host() and not is_foreign(native.target)
    assert {"avx2", "fma"} <= set(native.required) or native.machine != "x86_64"


def test_another_machines_object_is_built_here(tmp_path, monkeypatch):
    """The executor, which sets the processor's mode for denormals, and the slot: objects of that machine, complete."""
    made = library(OTHER, tmp_path, monkeypatch)
    assert is_foreign(OTHER.target)
    for exports, data in made.content().values():
        elf = ELFFile(io.BytesIO(data))
        assert elf.header["e_machine"] == MACHINES[OTHER.machine]
        symbols = list(elf.get_section_by_name(".symtab").iter_symbols())
        undefined = {s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF" and s.name}
        assert undefined <= {"clock_gettime", "memcpy", "memset"}
        assert set(exports) <= {s.name for s in symbols if s["st_info"]["bind"] == "STB_GLOBAL"}


def test_another_machines_library_is_not_loaded(tmp_path, monkeypatch):
    """It is refused with both names, before LLVM sees the object."""
    with pytest.raises(UnsupportedCpu, match=rf"is for {OTHER.target}; this machine, .*, cannot run it"):
        library(OTHER, tmp_path, monkeypatch).function("execute")
    assert not list(tmp_path.iterdir())
