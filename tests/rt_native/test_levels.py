"""Named levels, and native code for a machine that is not this one."""

import io
import platform
import subprocess
import sys

import pytest
from elftools.elf.elffile import ELFFile

from rt_native.errors import UnsupportedCpu
from rt_native.features import host_architecture, host_features
from rt_native.levels import LEVELS, fitting
from rt_native.library import Library
from rt_native.target import LANE_WIDTHS, host, is_foreign, native
from tests import ROOT

MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64", "armv7": "EM_ARM"}
OTHER = next(entry for entry in LEVELS.values() if entry.machine != platform.machine())
MODULES = tuple(f"rt_engine.run.{name}_native" for name in ("executor", "slot", "times"))


def library(entry, folder, monkeypatch) -> Library:
    monkeypatch.setenv("RT_ENGINE_CACHE", str(folder))
    return Library("levels", MODULES, entry.target)


def test_levels_are_targets():
    """Each has a lane width that programs know; `native` is this machine and asks for what it is compiled with."""
    assert all(entry.name == name and entry.target.lanes in LANE_WIDTHS for name, entry in LEVELS.items())
    here = native()
    assert here.target == host() and not is_foreign(here.target)
    assert {"avx2", "fma"} <= set(here.required) or here.machine != "x86_64"


def test_a_level_is_chosen_by_its_name(monkeypatch):
    """RT_ENGINE_LEVEL: the machine is what it says; what it cannot run, or does not exist, is refused in words."""
    fits = fitting(host_architecture(), host_features())
    for entry in fits:
        monkeypatch.setenv("RT_ENGINE_LEVEL", entry.name)
        assert host() == entry.target and native().target == entry.target
        assert host(4).lanes == 4
    for entry in LEVELS.values():
        if entry not in fits:
            monkeypatch.setenv("RT_ENGINE_LEVEL", entry.name)
            with pytest.raises(
                UnsupportedCpu, match=rf"RT_ENGINE_LEVEL={entry.name}: the processor .*; it runs .*{fits[0].name}"
            ):
                host()
    monkeypatch.setenv("RT_ENGINE_LEVEL", "sparc")
    with pytest.raises(UnsupportedCpu, match="RT_ENGINE_LEVEL=sparc: there is no level 'sparc'"):
        host()


def test_a_processor_that_lacks_an_instruction_is_foreign():
    """Also one with vectors as wide as ours."""
    for entry in LEVELS.values():
        assert is_foreign(entry.target) == (entry not in fitting(host_architecture(), host_features()))


def test_without_llvm_the_machine_is_the_best_level_that_it_fits():
    """In a process that cannot import llvmlite; nothing is compiled, nothing of it is imported."""
    script = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "from rt_native.target import host, native; print(host().cpu, host().features, host().lanes)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    best = fitting(host_architecture(), host_features())[0].target
    assert done.stdout == f"{best.cpu} {best.features} {best.lanes}\n"


def test_another_machines_object_is_built_here(tmp_path, monkeypatch):
    """What sets the processor's mode for denormals, the slot, what empties caches: objects of that machine, complete."""
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
