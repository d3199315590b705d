"""No element-wise float kernel branches on data: read from the code that the compiler is given."""

import json
import os
import platform
import re
import subprocess
import sys

import pytest

from rt_engine.kernels import elementwise, unary
from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_native.lang import EXPORTS

MODULES = (unary, elementwise)
FLOAT_KERNELS = [
    name
    for module in MODULES
    for export in EXPORTS[module.__name__]
    if not (name := export.name.removeprefix(KERNEL_PREFIX)).startswith("where")
]

LEAKS = (
    r"= extractelement ",  # one lane as a scalar
    r"call .* @llvm\.vector\.reduce",  # a vector as a scalar
    r"= bitcast <\d+ x i1>",  # a mask as a scalar
)
"""Ways from a vector to a scalar: what does not exist cannot decide a branch or a number of turns."""


def leaks(text: str) -> list[str]:
    """Lines of LLVM IR that turn vector data into scalars, or call something that is neither ours nor LLVM's."""
    found = [line.strip() for pattern in LEAKS for line in re.findall(rf".*{pattern}.*", text)]
    defined = set(re.findall(r"^define [^@]*@([\w.$\"]+)\(", text, re.MULTILINE))
    called = set(re.findall(r"call [^@]*@([\w.$\"]+)\(", text))
    return found + sorted(name for name in called - defined if not name.startswith("llvm."))


LOWER = """
import json, sys
from importlib import import_module
from rt_native.build import lowered
from rt_native.lang import EXPORTS
for module in sys.argv[1:]:
    import_module(module)
exports = [export for module in sys.argv[1:] for export in EXPORTS[module]]
json.dump({e.name: lowered(e.function, e.arguments)[0] for e in exports}, sys.stdout)
"""
MACHINES = {"x86_64": "x86-64-v4"}
"""Processor with masked loads and gathers of its own. For one without, LLVM writes them out as scalars that nothing decides by:
the check would take them for leaks."""


@pytest.fixture(scope="module")
def lowered() -> dict[str, str]:
    """Kernel name -> LLVM IR as the compiler is given it, the same on every machine."""
    environment = {**os.environ, "NUMBA_OPT": "0"}
    if cpu := MACHINES.get(platform.machine()):
        environment |= {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-c", LOWER, *(module.__name__ for module in MODULES)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    return {name.removeprefix(KERNEL_PREFIX): text for name, text in json.loads(output).items()}


@pytest.mark.parametrize("kernel", FLOAT_KERNELS)
def test_nothing_but_vectors_sees_the_data(kernel: str, lowered: dict[str, str]) -> None:
    """A float kernel never makes a scalar of its data, so no branch and no number of turns depends on it.

    Addresses neither, but for the table of sin and cos in float64, which stays within vectors.
    """
    assert leaks(lowered[kernel]) == []


def test_a_leak_is_found() -> None:
    """The check sees a lane that becomes a scalar, and a call of a library function."""
    text = "define i64 @k() {\n  %x = extractelement <16 x float> %v, i32 0\n  %y = call float @tanhf(float %x)\n}"
    assert leaks(text) == ["%x = extractelement <16 x float> %v, i32 0", "tanhf"]
