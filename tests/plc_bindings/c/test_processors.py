"""Processors that this machine is not: their kernels are compiled here, looked at, and run where something emulates them."""

import re
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rt_engine
from benchmarks.models import mlp
from plc_bindings.c.export import Kernels, export, kernels
from rt_engine import Model
from rt_native.features import host_features
from rt_native.levels import Level, level
from tests.plc_bindings.c.models import cycles, policy
from tests.plc_bindings.c.toolchain import HERE, run

COMPILERS = {"x86_64": "gcc", "aarch64": "aarch64-linux-gnu-gcc", "armv7": "arm-linux-gnueabihf-gcc"}


@cache
def int8() -> Model:
    """A perceptron of bytes: sums of products, and what makes bytes of numbers."""
    data = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
    network = mlp((16, 64, 64, 4), "Relu", seed=0)
    return rt_engine.load(rt_engine.quantize(network, {network.graph.input[0].name: data}).model)


def built(folder: Path, entry: Level, *more: Path) -> Path:
    """`run_model.c` and what was exported for a level to a folder, as one program without shared libraries."""
    sources = [*(folder / "src").glob("*.c"), folder / "kernels" / f"{entry.name}.c", HERE / "run_model.c", *more]
    warnings = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
    flags = ("-std=c11", "-O2", "-static", *warnings, f"-I{folder / 'include'}", f"-I{folder / 'src'}")
    archive = folder / "kernels" / f"{entry.name}.a"
    run(COMPILERS[entry.machine], *flags, *sources, archive, "-o", folder / "run", "-pthread", "-lm")
    return folder / "run"


def program(name: str, model: Model, folder: Path, *more: Path, asks: bool = True) -> Path:
    """`run_model.c` with the kernels of a level that a model needs, beside the model and its inputs.

    `asks` is False for a program that does not ask the processor for dot products.
    """
    entry = level(name)
    made = kernels(entry, model.program.kernels)
    if not asks:
        made = Kernels(made.level, made.archive, made.table.replace('"avxvnni", ', ""), made.count)
    export(folder, [made], {"m": model.program})
    built(folder, entry, *more)
    (folder / "in").write_bytes(cycles(model, 8)[0])
    return folder / "run"


def gives_pythons_bits(folder: Path, model: Model, *emulator: str) -> bool:
    """Eight runs in a row."""
    run(*emulator, folder / "run", folder / "models" / "m.rtp", folder / "in", folder / "out", 8)
    return (folder / "out").read_bytes() == cycles(model, 8)[1]


def refused(folder: Path, *emulator: str) -> str:
    """What the program says where it is not run."""
    words = [*emulator, folder / "run", folder / "models" / "m.rtp", folder / "in", folder / "out", 1]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.peer("gcc", "objdump")
def test_small_intel_processors_sum_products_of_bytes_with_avx_vnni(tmp_path):
    """The instruction of AVX-VNNI, none of AVX-512; where the processor has it not, a signal handler does it: Python's bits."""
    program("x86-64-v3-vnni", int8(), tmp_path, HERE / "avxvnni.c", asks=False)
    text = run("objdump", "-d", "--no-show-raw-insn", tmp_path / "kernels" / "x86-64-v3-vnni.a").stdout
    assert len(re.findall(r"\t\{vex\} vpdpbusd ", text)) > 10
    assert not re.search(r"\tvpdpbusd |\tvpmaddubsw |%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b", text)
    assert gives_pythons_bits(tmp_path, int8())


@pytest.mark.peer("gcc")
def test_a_processor_without_avx_vnni_is_told_so(tmp_path):
    """Before a kernel runs."""
    program("x86-64-v3-vnni", int8(), tmp_path)
    if "avxvnni" in host_features():
        assert gives_pythons_bits(tmp_path, int8())
    else:
        assert (
            "the library was built for x86-64-v3-vnni; this processor, or its system, has no avxvnni: take one of a lower level"
            in refused(tmp_path)
        )


@pytest.mark.peer("aarch64-linux-gnu-gcc", "qemu-aarch64")
def test_a_cortex_a76_sums_products_of_bytes_with_its_instruction(tmp_path):
    """Python's bits; a Cortex-A72, which lacks the instruction, is refused by its name."""
    program("aarch64-dotprod", int8(), tmp_path)
    assert gives_pythons_bits(tmp_path, int8(), "qemu-aarch64", "-cpu", "cortex-a76")
    assert "this processor, or its system, has no dotprod" in refused(tmp_path, "qemu-aarch64", "-cpu", "cortex-a72")


@pytest.mark.peer("arm-linux-gnueabihf-gcc", "qemu-arm")
def test_a_32_bit_arm_processor_gives_pythons_bits(tmp_path):
    """Cortex-A7, the least with NEON and VFPv4; a Cortex-A9, without fused multiply-add, is refused."""
    program("armv7", policy(), tmp_path)
    assert gives_pythons_bits(tmp_path, policy(), "qemu-arm", "-cpu", "cortex-a7")
    assert "this processor, or its system, has no vfp4" in refused(tmp_path, "qemu-arm", "-cpu", "cortex-a9")
