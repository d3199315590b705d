"""Native code for another machine than the one that compiles."""

import re

from rt_native.cross import _CODE, _INTRINSICS
from tests import ROOT

PACKAGES = ("rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings", "station")


def test_all_inline_assembly_has_something_in_its_place():
    """llvmlite assembles for its own machine alone, so what a module writes for Arm must be known when it is compiled elsewhere."""
    sources = [path.read_text() for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    written = {text for source in sources for text in re.findall(r'\.asm\([^"]*"([^"]*)"', source)}
    assert {"mrs $0, fpcr", "dc civac, $0"} <= written
    assert written <= {"", *_CODE, *_INTRINSICS["aarch64"][0]}


def test_no_native_module_asks_the_machine_that_compiles():
    """What the target has is `rt_native.dot.FEATURES`; the other machine's answer made instructions that a level has not."""
    asks = [p.name for name in PACKAGES for p in (ROOT / name).rglob("*.py") if "get_host_cpu" in p.read_text()]
    assert asks == ["target.py"]
