"""`rt-engine export c`: what it writes is built with CMake and gives Python's bits, here and on other processors."""

import io
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from typer.testing import CliRunner

from plc_bindings.c.export import ALWAYS, Kernels, export, kernels, known_features, running
from rt_engine.program.rtp_file import write
from rt_engine.run.native import KERNELS
from rt_native import shipped, version
from rt_native.archive import archive
from rt_native.errors import UnsupportedCpu
from rt_native.levels import LEVELS, NATIVE, level
from rt_native.target import host
from station.cli import app
from tests import need
from tests.plc_bindings.c.models import MODELS, cycles, lstm, policy
from tests.plc_bindings.c.toolchain import HERE, run, v3

HOME = "x86-64-v3" if "x86_64" in host().triple else "aarch64"
FROM_LIBC = {"memcpy", "memset", "memmove", "clock_gettime"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """All kernels for a level that every machine of this kind runs."""
    folder = tmp_path_factory.mktemp("exported")
    export(folder, [kernels(level(HOME))], {})
    return folder


@pytest.fixture(scope="module")
def built(exported) -> Path:
    """Built as README.txt says."""
    run("cmake", "-S", exported, "-B", exported / "build")
    run("cmake", "--build", exported / "build")
    return exported / "build"


def test_without_a_level_it_is_that_of_the_kernels_that_run_here(monkeypatch):
    """The wheel's, where they come from it; else this machine's own."""
    monkeypatch.setattr(KERNELS, "shipped", lambda: None)
    assert running().name == NATIVE and running().target == host()
    monkeypatch.setattr(KERNELS, "shipped", lambda: shipped.Shipped(carried, {}))
    carried = shipped.Level(HOME, level(HOME).target, {}, {})
    assert running() == level(HOME)


def objects(made: Kernels, folder: Path) -> dict[str, ELFFile]:
    """The members of an archive, taken out by `ar`."""
    (folder / "x.a").write_bytes(made.archive)
    run("ar", "x", "x.a", cwd=folder)
    return {path.name: ELFFile(io.BytesIO(path.read_bytes())) for path in sorted(folder.glob("*.o"))}


def undefined(elf: ELFFile) -> set[str]:
    symbols = elf.get_section_by_name(".symtab").iter_symbols()
    return {s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF" and s.name}


def same_bits(command: list, model, path: Path, folder: Path) -> None:
    """Eight runs in a row of `run_model.c`: Python's outputs."""
    inputs, expected = cycles(model, 8)
    (folder / "in").write_bytes(inputs)
    run(*command, path, folder / "in", folder / "out", 8)
    assert (folder / "out").read_bytes() == expected


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.peer("gcc", "cmake", "g++")) for kind in MODELS])
def test_the_built_library_gives_pythons_bits(built, exported, kind, tmp_path):
    """The shared library that CMake made, and a file that our writer wrote."""
    model = MODELS[kind]()
    write(model.program, tmp_path / "m.rtp")
    flags = (f"-I{exported / 'include'}", built / "librt_engine.so", f"-Wl,-rpath,{built}")
    run("gcc", "-std=c11", HERE / "run_model.c", *flags, "-o", tmp_path / "run")
    same_bits([tmp_path / "run"], model, tmp_path / "m.rtp", tmp_path)


USER = """
cmake_minimum_required(VERSION 3.13)
project(mine C)
find_package(rt_engine 0.1 REQUIRED)
foreach(library rt_engine rt_engine_static)
  add_executable(with_${library} main.c)
  target_link_libraries(with_${library} rt_engine::${library})
endforeach()
"""


@pytest.mark.peer("cmake", "gcc", "pkg-config")
def test_the_installed_library_is_found(built, tmp_path):
    """By find_package, shared and static, and by pkg-config; also after the folder was moved."""
    run("cmake", "--install", built, "--prefix", tmp_path / "first")
    place = (tmp_path / "first").rename(tmp_path / "place")
    (tmp_path / "CMakeLists.txt").write_text(USER)
    (tmp_path / "main.c").write_text(
        "#include <rt_engine.h>\n#include <stdio.h>\nint main(void) { puts(rte_version()); return 0; }\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={place}")
    run("cmake", "--build", tmp_path / "b")
    flags = run("env", f"PKG_CONFIG_PATH={place}/lib/pkgconfig", "pkg-config", "--cflags", "--libs", "rt_engine").stdout
    run("gcc", tmp_path / "main.c", *flags.split(), f"-Wl,-rpath,{place}/lib", "-o", tmp_path / "b" / "with_pkg_config")
    for program in ("with_rt_engine", "with_rt_engine_static", "with_pkg_config"):
        assert run(tmp_path / "b" / program).stdout.strip() == version.TEXT


@pytest.mark.parametrize(
    "example", [pytest.param(e, marks=pytest.mark.peer("cmake", "g++")) for e in ("example", "example_static")]
)
def test_the_built_examples_run(built, example, tmp_path):
    """Against the shared and the static library."""
    for seed, name in enumerate(("old", "new")):
        write(policy(seed).program, tmp_path / f"{name}.rtp")
    said = run(built / example, tmp_path / "old.rtp", tmp_path / "new.rtp", 200).stdout
    assert f"kernels for {HOME}" in said and "outputs changed at cycle" in said


@pytest.mark.peer("cmake", "g++", "gcc")
@pytest.mark.parametrize("library", ["librt_engine.so", "librt_engine_static.a"])
def test_names_of_the_program_are_its_own(built, exported, library, tmp_path):
    """A program with functions that are called as our native ones are gets Python's bits; none of them is called."""
    taken = (*ALWAYS, "measure", "k_gemm_f32", "k_tanh_f32")
    own = "\n".join(f"long {name}(long a, long b) {{ (void)a, (void)b; __builtin_trap(); }}" for name in taken)
    (tmp_path / "main.c").write_text((HERE / "run_model.c").read_text() + own + "\n")
    flags = (f"-I{exported / 'include'}", built / library, f"-Wl,-rpath,{built}", "-pthread")
    run("gcc", "-std=c11", "-rdynamic", tmp_path / "main.c", *flags, "-o", tmp_path / "run")
    write(policy().program, tmp_path / "m.rtp")
    same_bits([tmp_path / "run"], policy(), tmp_path / "m.rtp", tmp_path)


@pytest.mark.peer("ar")
def test_objects_need_nothing_of_python(tmp_path):
    """Every member asks for memory functions and a clock of libc, nothing else; every kernel is defined once."""
    made = kernels(level(HOME))
    found = objects(made, tmp_path)
    assert set().union(*map(undefined, found.values())) <= FROM_LIBC
    assert made.count > 200 and made.table.count("int64_t k_") == made.count


@pytest.mark.peer("ar", "nm", "gcc")
def test_archives_are_what_binutils_reads(tmp_path):
    """Members, odd lengths, long names and the index; two archives of the same are equal."""
    members = {}
    for name in ("a", "a_name_that_is_longer_than_a_header_has_room_for"):
        (tmp_path / "x.c").write_text(f"int f_{name}(void) {{ return 1; }}\n")
        run("gcc", "-c", tmp_path / "x.c", "-o", tmp_path / "x.o")
        members[f"{name}.o"] = ([f"f_{name}"], (tmp_path / "x.o").read_bytes() + b"\0" * (len(name) % 2))
    data = archive(members)
    (tmp_path / "x.a").write_bytes(data)
    assert run("ar", "t", tmp_path / "x.a").stdout.split() == list(members)
    for name, (_, content) in members.items():
        assert subprocess.run(["ar", "p", tmp_path / "x.a", name], stdout=-1, check=True).stdout == content
    index = run("nm", "-s", tmp_path / "x.a").stdout
    assert all(f"f_{name.removesuffix('.o')} in {name}" in index for name in members)
    assert archive(members) == data


@pytest.mark.peer("gcc", "cmake", "g++")
def test_only_the_kernels_of_a_model(tmp_path, exported):
    """`--model`: a fraction of the size; the model comes along and runs; a model that needs more is refused by name."""
    write(policy().program, tmp_path / "policy.rtp")
    write(lstm().program, tmp_path / "lstm.rtp")
    folder = tmp_path / "small"
    words = ["export", "c", "-o", folder, "--level", HOME, "--model", tmp_path / "policy.rtp"]
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == 0, done.output
    assert f"{HOME}: 2 kernels" in done.output
    small, whole = ((f / "kernels" / f"{HOME}.a").stat().st_size for f in (folder, exported))
    assert small < whole / 3
    run("cmake", "-S", folder, "-B", folder / "build")
    run("cmake", "--build", folder / "build", "--target", "rt_engine")
    build = folder / "build"
    flags = (f"-I{folder / 'include'}", build / "librt_engine.so", f"-Wl,-rpath,{build}")
    run("gcc", "-std=c11", HERE / "run_model.c", *flags, "-o", tmp_path / "run")
    same_bits([tmp_path / "run"], policy(), folder / "models" / "policy.rtp", tmp_path)
    words = [tmp_path / "run", tmp_path / "lstm.rtp", "/dev/null", "/dev/null", "1"]
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "lstm_f32" in refused.stderr


def test_what_cannot_be_exported_is_refused(tmp_path):
    """Levels that do not exist, two models of one name."""
    with pytest.raises(UnsupportedCpu, match=r"there is no level 'sparc'; there is x86-64-v2, x86-64-v3, .*, native"):
        level("sparc")
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "m.rtp", tmp_path / "a" / "m.rtp"):
        write(policy().program, path)
    both = ["--model", tmp_path / "m.rtp", "--model", tmp_path / "a" / "m.rtp"]
    for words in (["--level", "x86-64-v1"], both):
        done = CliRunner().invoke(app, [str(w) for w in ("export", "c", "-o", tmp_path / "out", *words)])
        assert done.exit_code == 2 and not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="there are no kernels nonsense"):
        kernels(level(HOME), ["nonsense"])


def test_levels_ask_the_processor_for_all_that_they_need():
    """The checks in C know every feature of every level; what the C sources call is in the archive."""
    for entry in LEVELS.values():
        assert known_features(entry) == list(entry.required)
    assert {"avx2", "fma"} <= set(level("x86-64-v3").required) < set(level("x86-64-v4").required)
    assert all(name.encode() + b"\0" in v3().archive for name in ALWAYS)


@pytest.mark.peer("cmake", "g++")
def test_a_fraction_of_onnx_runtimes_size(built):
    """The whole library, all kernels, against ONNX Runtime's: less than a tenth."""
    package = Path(need.package("onnxruntime").__file__).parent
    theirs = max(p.stat().st_size for p in (package / "capi").glob("*.so*"))
    assert (built / "librt_engine.so").stat().st_size < theirs / 10


@pytest.mark.peer("aarch64-linux-gnu-gcc", "qemu-aarch64")
@pytest.mark.parametrize("kind", ["trees", "lstm", "int8-cnn"])
def test_an_arm_processor_gives_pythons_bits(kind, tmp_path):
    """Kernels compiled here for aarch64, run under qemu: the same file, the same bits."""
    model = MODELS[kind]()
    export(tmp_path, [kernels(level("aarch64"), model.program.kernels)], {kind: model.program})
    sources = [*(tmp_path / "src").glob("*.c"), *(tmp_path / "kernels").glob("aarch64.*"), HERE / "run_model.c"]
    ordered = sorted(sources, key=lambda path: path.suffix == ".a")
    run(
        "aarch64-linux-gnu-gcc",
        "-O2",
        "-static",
        f"-I{tmp_path / 'include'}",
        f"-I{tmp_path / 'src'}",
        *ordered,
        "-o",
        tmp_path / "run",
        "-pthread",
    )
    same_bits(["qemu-aarch64", tmp_path / "run"], model, tmp_path / "models" / f"{kind}.rtp", tmp_path)


def test_a_folder_that_cannot_be_made_is_a_wrong_option(tmp_path):
    (tmp_path / "rt").write_text("a file")
    said = CliRunner().invoke(app, ["export", "c", "-o", str(tmp_path / "rt"), "--level", HOME])
    assert said.exit_code == 2  # wrong command line
    assert "another" in said.output and "folder" in said.output
