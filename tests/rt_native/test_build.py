"""The compiling process: parts of a module are put together in one order, whichever worker is done first."""

import time
from pathlib import Path

from rt_native import build, lang
from rt_native.target import host


def worker(module, index):
    """The first function takes longest."""
    time.sleep(0.4 if index == 0 else 0)
    return str(index).encode()


def emit(name, parts, target):
    return b"".join(parts)


def test_functions_lie_in_the_order_of_their_definition(monkeypatch):
    """So that the same sources give the same bytes, however busy the compiling machine is."""
    written = []
    exports = [lang.Export(f"f{n}", time.sleep, 0, ()) for n in range(3)]
    monkeypatch.setitem(lang.EXPORTS, "json", exports)
    monkeypatch.setattr(build, "_worker", worker)
    monkeypatch.setattr(build, "_emit", emit)
    monkeypatch.setattr(build, "_write", lambda output, data, exports, target: written.append(data))
    build.build({"json": Path("unused")}, host())
    assert written == [b"012"]
