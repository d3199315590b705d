"""Native code for another machine than the one that compiles."""

import re

from rt_native.cross import _CODE, _INTRINSICS
from tests import ROOT

PACKAGES = ("rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings", "station")


def test_all_inline_assembly_has_something_in_its_place():
    """llvmlite assembles for its own machine alone, so what a module writes for Arm must be known when it is compiled elsewhere."""
    sources = [path.read_text() for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    written = {text for source in sources for text in re.findall(r'\.asm\(.*?"(\w[^"]*)"', source, re.S)}
    assert {"mrs $0, fpcr", "dc civac, $0"} <= written
    assert written <= {*_CODE, *_INTRINSICS["aarch64"][0]}
