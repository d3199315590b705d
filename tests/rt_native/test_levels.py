"""Named levels, and native code for a machine that is not this one."""

import io
import platform
import subprocess
import sys

import pytest
from elftools.elf.elffile import ELFFile

from rt_native import target
from rt_native.errors import UnsupportedCpu
from rt_native.features import host_architecture, host_features
from rt_native.levels import EXACT, LEVELS, fitting, level
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
    assert ({"avx2", "fma"} <= set(here.required)) == (here.target.arithmetic == "fused") or here.machine != "x86_64"


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


@pytest.fixture
def without_fma(monkeypatch):
    """This processor as one that has SSE4.2 and no more, or less."""

    def make(*features):
        monkeypatch.setattr(target, "host_architecture", lambda: "x86_64")
        monkeypatch.setattr(target, "host_features", lambda: frozenset(features))
        target._host.cache_clear()

    monkeypatch.delenv("RT_ENGINE_LEVEL", raising=False)
    monkeypatch.delenv("RT_ENGINE_ARITHMETIC", raising=False)
    yield make
    target._host.cache_clear()


def test_a_processor_without_fma_computes_as_it_is_told(monkeypatch, without_fma):
    """Multiplies, then adds; the bits of all others if RT_ENGINE_ARITHMETIC says so, as the level of that name has them."""
    without_fma(*level("x86-64-v2").required, "avx")
    assert host() == level("x86-64-v2").target and host().arithmetic == "fast"
    assert is_foreign(level("x86-64-v3").target) and not is_foreign(level(EXACT).target)
    monkeypatch.setenv("RT_ENGINE_ARITHMETIC", "exact")
    assert host() == level(EXACT).target and str(host()) == "x86-64-v2, 4 lanes, exact"
    monkeypatch.delenv("RT_ENGINE_ARITHMETIC")
    monkeypatch.setenv("RT_ENGINE_LEVEL", EXACT)
    assert host() == level(EXACT).target


def test_an_arithmetic_that_does_not_exist_is_refused_everywhere(monkeypatch, without_fma):
    """Also where there is nothing to choose; an existing one changes nothing there."""
    monkeypatch.setenv("RT_ENGINE_ARITHMETIC", "precise")
    with pytest.raises(UnsupportedCpu, match=r"RT_ENGINE_ARITHMETIC=precise: it is fast .* or exact "):
        host()
    without_fma(*level("x86-64-v3").required)
    monkeypatch.setenv("RT_ENGINE_ARITHMETIC", "fast")
    assert host().arithmetic == "fused"


def test_a_processor_without_the_least_is_refused_in_a_sentence(without_fma):
    """What it lacks, and which processors do not."""
    without_fma("sse3", "ssse3", "cx16")
    with pytest.raises(
        UnsupportedCpu, match=r"has no sse4.1, sse4.2, popcnt; the least .* is x86-64-v2 \(Intel since Nehalem"
    ):
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
