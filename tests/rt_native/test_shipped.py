"""Libraries that come with a wheel: the right one is loaded, from the bytes that were checked, or none and why."""

import ctypes
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rt_native import compiler, loading, shipped, shipping
from rt_native.elf import undefined
from rt_native.errors import BuildError, NoCompilerError, UnsafeCacheError
from rt_native.features import host_architecture, host_features
from rt_native.levels import LEVELS, fitting
from rt_native.library import Library
from rt_native.target import host
from tests import ROOT
from tests.processes import open_files

MODULES = ("rt_native.histogram_native",)
LEVEL = replace(fitting(host_architecture(), host_features())[0], target=host())
pytestmark = pytest.mark.peer("ld")


@pytest.fixture(scope="module")
def made():
    """A level with one module, of the objects in the cache."""
    return shipping.made(LEVEL, [Library("carried", MODULES)])


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """The folder of a wheel that has it, in use; nothing is compiled for this machine."""
    found = tmp_path / "libraries"
    found.mkdir(mode=0o755)
    for name, data in shipping.files([made]).items():
        (found / name).write_bytes(data)
        (found / name).chmod(0o644)
    monkeypatch.setattr(shipped, "FOLDER", found)
    monkeypatch.setattr(shipped, "_LOADED", {})
    clear = (shipped._manifest.cache_clear, shipped._hash.cache_clear)
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "cache"))
    for one in clear:
        one()
    yield found
    for one in clear:
        one()


def carried() -> Library:
    return Library("carried", MODULES)


def count(library: Library) -> int:
    """Calls one of its functions."""
    words = (ctypes.c_int64 * 4096)()
    library.function("histogram_add")(ctypes.addressof(words), 5)
    return sum(words)


def test_what_the_wheel_has_is_loaded_and_nothing_compiled(folder, monkeypatch):
    """By name of the level; its functions compute what those compiled here do; the cache stays empty."""
    monkeypatch.setattr(Library, "_compile", lambda *_: pytest.fail("compiles"))
    library = carried()
    assert library.is_built() and library.build() == {} and library.shipped().level.name == LEVEL.name
    assert count(library)
    assert library.exports == carried().exports and LEVEL.name in library.versions()[MODULES[0]]
    with pytest.raises(KeyError, match="has no 'gone'; it has histogram_add"):
        library.address("gone")
    assert not (folder.parent / "cache").exists()


def test_pages_are_mapped_when_it_is_loaded(folder):
    """No cycle pays for the first touch."""
    carried().function("histogram_add")
    rows = Path("/proc/self/smaps").read_text()
    ours = re.findall(rf"memfd:rt-engine {LEVEL.name} .*\nSize: +(\d+) kB(?:\n.*?)*?\nRss: +(\d+) kB", rows)
    assert ours and all(size == resident for size, resident in ours)


def test_its_objects_are_those_that_it_was_made_of(folder, made):
    """`rt-engine export c` for a level of the wheel needs no compiler."""
    assert carried().content() == {MODULES[0]: made.content[MODULES[0]]}


def test_what_is_compiled_for_this_machine_comes_first(folder):
    """And is asked for by name: the wheel's has to be enough for all others."""
    assert carried().build() == {}
    [path] = carried().build(native=True).values()
    assert path.is_file() and carried().shipped() is None
    assert count(carried())


def test_without_a_compiler_only_the_wheel_serves(folder, monkeypatch):
    """Another level, a module of a user's, this very machine: refused with what brings the compiler."""
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    assert count(carried())
    with pytest.raises(NoCompilerError, match=r"'carried' has to be compiled.*pip install 'rt-engine\[kernels\]'"):
        carried().build(native=True)
    other = next(level for level in LEVELS.values() if level.machine != LEVEL.machine)
    with pytest.raises(NoCompilerError, match=f"are for {LEVEL.name}, not for {other.name}.*has to be compiled"):
        Library("carried", MODULES, other.target).content()
    with pytest.raises(NoCompilerError, match="'mine' has to be compiled"):
        Library("mine", ("mine_native",), path=(str(folder),)).function("f")


def test_a_copy_of_a_step_of_ours_is_known_by_its_text(folder, tmp_path):
    """In a user's folder, as the demo puts it there: not compiled; one that was changed, or imports more of the user's, is."""
    copy = tmp_path / "mine.py"
    copy.write_bytes((ROOT / "rt_native" / "histogram_native.py").read_bytes())
    library = Library("step-mine", ("mine",), path=(str(tmp_path),))
    assert library.shipped() is not None and count(library)
    copy.write_bytes(copy.read_bytes() + b"\n")
    assert Library("step-mine", ("mine",), path=(str(tmp_path),)).shipped() is None


def test_libraries_of_other_sources_are_not_used(folder, monkeypatch):
    """A file that the library was made of was edited, or lies beside it in another version: compiled, or refused with its name."""
    real = shipped._hash
    monkeypatch.setattr(shipped, "_hash", lambda name: real(name) if "histogram" not in name else "")
    assert carried().shipped() is None
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    with pytest.raises(NoCompilerError, match=r"were made of other sources \(.*histogram.*\.py is another file now"):
        carried().function("histogram_add")


def test_every_source_is_looked_at(folder):
    """Its own, what it imports, what compiles it, what the levels are."""
    sources = set(shipped._manifest().sources)
    assert {
        f"rt_native/{name}.py" for name in ("histogram_native", "lang", "vector", "build", "levels", "machine")
    } <= sources
    own = shipped._manifest().modules[MODULES[0]]["sources"]
    assert sources == {*own, "rt_native/levels.py", "rt_native/machine.py"}


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:900] + b"\xcc" + data[901:], lambda data: b""]
)
def test_a_file_with_another_hash_is_not_loaded(folder, damage):
    """One byte is enough."""
    path = folder / f"{LEVEL.name}.so"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BuildError, match=r"is not the file that was installed .*; install it again: pip install"):
        carried().function("histogram_add")


def test_what_is_missing_or_no_manifest_is_told(folder):
    """With the command that mends it."""
    (folder / f"{LEVEL.name}.so").unlink()
    with pytest.raises(BuildError, match=r"cannot be read.*install it again"):
        carried().function("histogram_add")
    (folder / shipped.MANIFEST).write_text("{}")
    shipped._manifest.cache_clear()
    with pytest.raises(BuildError, match=r"manifest\.json cannot be used \(KeyError.*install it again"):
        carried().function("histogram_add")


@pytest.mark.parametrize("name", [f"{LEVEL.name}.so", shipped.MANIFEST, "."])
def test_what_another_user_could_have_written_is_not_loaded(folder, name):
    """The library, the manifest with its hash, the folder; the command that mends it is said, and mends it."""
    place = folder / name
    place.chmod(0o777)
    with pytest.raises(UnsafeCacheError, match=r"not loaded, another user could change what runs: .*chmod go-w"):
        carried().function("histogram_add")
    place.chmod(0o755)
    assert count(carried())


def test_the_best_level_is_chosen_of_what_there_is(monkeypatch):
    """Of several that fit: the best. Of a target that is asked for: that alone."""
    levels = tuple(shipped.Level(level.name, level.target, {}, {}) for level in LEVELS.values())
    found = shipped.Manifest(levels, {}, {})
    machine, features = host_architecture(), host_features()
    monkeypatch.setattr(shipped, "host", lambda: host().__class__("other", "cpu", "", 4))
    monkeypatch.delenv("RT_ENGINE_LEVEL", raising=False)
    fused = [level for level in fitting(machine, features) if level.target.arithmetic == "fused"]
    for fits in (fused, fused[-1:]):
        monkeypatch.setattr(shipped, "fitting", lambda *_, fits=fits: fits)
        assert shipped._level(found, None).name == fits[0].name
    for level in LEVELS.values():
        assert shipped._level(found, level.target).name == level.name
    assert shipped._level(replace(found, levels=()), None) is None
    monkeypatch.setenv("RT_ENGINE_LEVEL", LEVEL.name)
    assert shipped._level(found, None) is None, "another one than what was asked for"


def no_memory(*_):
    raise PermissionError("not permitted")


def test_without_files_in_memory_a_private_copy_is_loaded_and_removed(made, tmp_path, monkeypatch):
    """Where memfd_create is not allowed; from folders that let nobody else in."""
    monkeypatch.setattr(os, "memfd_create", no_memory)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    loaded = loading.load(made.library, "copied")
    assert ctypes.cast(loaded.histogram_add, ctypes.c_void_p).value
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_executed_every_reason_is_told(made, monkeypatch):
    """Memory, and each folder."""
    monkeypatch.setattr(os, "memfd_create", no_memory)
    monkeypatch.setattr(loading, "_folders", lambda: iter(("/proc/self",)))
    with pytest.raises(BuildError, match=r"in memory: not permitted; in /proc/self: .*without noexec"):
        loading.load(made.library, "nowhere")


def test_what_is_in_memory_cannot_be_written(made):
    """Not even by ourselves, through /proc."""
    loading.load(made.library, "sealed-one")
    [file] = [int(number) for number, name in open_files() if "sealed-one" in name]
    for write in (lambda: os.pwrite(file, b"x", 0), lambda: os.ftruncate(file, 10)):
        with pytest.raises(PermissionError):
            write()


def test_a_shared_object_calls_only_what_every_libc_has(made, monkeypatch):
    """No library is named that it would need; what else native code calls makes no wheel."""
    assert undefined(made.library) <= shipping.LIBC
    objects = {
        name: data
        for name, (_, data) in Library("fieldbus.exchange", ("fieldbus.image.image_native",)).content().items()
    }
    monkeypatch.setattr(shipping, "undefined", lambda data: {"malloc"})
    with pytest.raises(BuildError, match=r"native code calls malloc: a wheel may only call .*memcpy"):
        shipping.linked(LEVEL.machine, objects)


def test_a_linker_that_is_missing_is_told(monkeypatch):
    """With what installs it."""
    monkeypatch.setattr(shipping.shutil, "which", lambda name: None)
    with pytest.raises(
        BuildError, match="for aarch64 a linker is needed, and here is none: apt install binutils-aarch64"
    ):
        shipping.linked("aarch64", {})


def test_native_code_takes_no_name_of_libc(monkeypatch):
    """Linked with others it would be called in place of libc's, as a measurement named `read` once was."""
    monkeypatch.setattr(Library, "content", lambda self: {"m": ({"read": 4}, b"")})
    with pytest.raises(
        BuildError, match=r"exports read, which other native code would call in place of libc's; rename"
    ):
        shipping.made(LEVEL, [Library("carried", MODULES)])


def test_no_copy_is_loaded_from_where_another_user_could_put_his_own(tmp_path, monkeypatch):
    """A folder of ours in one that everybody may write: he renames it, and makes one of that name."""
    tmp_path.chmod(0o777)
    monkeypatch.setattr(os, "memfd_create", no_memory)
    monkeypatch.setattr(loading, "_folders", lambda: iter((str(tmp_path),)))
    monkeypatch.setattr(ctypes, "CDLL", lambda path: pytest.fail("loads"))
    with pytest.raises(BuildError, match=r"another user could change what runs: .* can be written by everybody"):
        loading.load(b"", "mine")


def test_levels_that_export_other_functions_are_refused(made):
    """Whoever calls a function finds it in each: the words name the level and the module."""
    exports, data = made.content[MODULES[0]]
    content = {MODULES[0]: ({**exports, "of_some_processors": 2}, data)}
    with pytest.raises(BuildError, match=rf"level other exports other functions .* from {MODULES[0]}"):
        shipping.files([made, replace(made, level=replace(LEVEL, name="other"), content=content)])
