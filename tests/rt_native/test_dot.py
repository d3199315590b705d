"""Sums of four products of bytes: each machine's own instruction, never one that saturates."""

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from rt_native import dot

TARGETS = [
    ("x86_64-linux-gnu", "x86-64-v2", "", 128, "pmaddwd"),
    ("x86_64-linux-gnu", "x86-64-v3", "", 256, "vpmaddwd"),
    ("x86_64-linux-gnu", "x86-64-v3", "+avxvnni", 256, "vpdpbusd"),
    ("x86_64-linux-gnu", "x86-64-v4", "", 512, "vpmaddwd"),
    ("x86_64-linux-gnu", "x86-64-v4", "+avx512vnni,+avx512vl", 512, "vpdpbusd"),
    ("aarch64-linux-gnu", "generic", "", 128, "mla"),
    ("aarch64-linux-gnu", "generic", "+dotprod", 128, "sdot"),
    ("aarch64-linux-gnu", "generic", "+dotprod,+i8mm", 128, "usdot"),
]


@pytest.mark.parametrize(("triple", "cpu", "features", "bits", "instruction"), TARGETS)
def test_the_instruction_of_the_machine(monkeypatch, triple, cpu, features, bits, instruction):
    """The compiler finds it for each target that we name."""
    monkeypatch.setattr(dot, "FEATURES", frozenset(f[1:] for f in features.split(",") if f))
    module = ir.Module()
    module.triple = triple
    vector = ir.VectorType(ir.IntType(32), bits // 32)
    function = ir.Function(module, ir.FunctionType(vector, [vector] * 3), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    assert dot.is_widened(builder, bits) == instruction.endswith("pmaddwd")
    builder.ret(dot.dot_part(builder, *function.args))
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=3)
    text = machine.emit_assembly(llvm.parse_assembly(str(module)))
    assert f"{instruction}\t" in text
    assert "maddubs" not in text
