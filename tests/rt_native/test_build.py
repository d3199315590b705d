"""The compiling process: parts of a module are put together in one order, whichever worker is done first."""

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pytest

from rt_native import build, histogram_native, lang
from rt_native.target import host


def worker(module, index, target):
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
    monkeypatch.setattr(build, "emitted", emit)
    monkeypatch.setattr(build, "write", lambda output, data, exports, target: written.append(data))
    with build.workers() as pool:
        build.build({"outputs": {"json": "unused"}}, host(), pool, lambda _: None)
    assert written == [b"012"]


def test_what_a_worker_compiled_before_does_not_show(monkeypatch):
    """Numba numbers what it compiles; where a local function is not inlined, its name is in the object."""
    monkeypatch.setattr(build, "_optimise", lambda *_: None)  # nothing is inlined
    [export] = lang.EXPORTS[histogram_native.__name__]
    first, again = (build.emitted("m", [build.compiled(export, host())], host()) for _ in range(2))
    assert first == again and f"{export.name}.".encode() in first


def test_the_compiler_leaves_scipy_and_what_it_has_imported_alone():
    """A step may import SciPy all the same."""
    job = {"outputs": {histogram_native.__name__: "unused"}, "target": asdict(host()), "files": {}, "path": []}
    program = (
        f"import gc, sys; from rt_native import build; build.prepare({job!r}); "
        "print('numba.np.linalg' in sys.modules, 'scipy' in sys.modules, gc.get_freeze_count() > 100_000, end=' '); "
        "import scipy.linalg; print('here')"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.stdout.split() == ["True", "False", "True", "here"], told.stderr


def test_workers_end_with_the_compiler_however_it_ends():
    """Here as the kernel ends one where memory is short."""
    program = "import time; from rt_native import build; pool = build.workers(); " + (
        "print(pool.submit(__import__('os').getpid).result(), flush=True); pool.submit(time.sleep, 300); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as compiler:
        assert compiler.stdout is not None
        worker = os.pidfd_open(int(compiler.stdout.readline()))
        compiler.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([worker], [], [], 30.0)
    os.close(worker)
    assert ended


def test_a_full_disk_leaves_no_half_of_an_object(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build.Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        build.write(tmp_path / "gemm.o", b"object", {}, host())
    assert not list(tmp_path.iterdir())


def test_an_object_has_its_manifest_though_the_disk_becomes_full_between_them(tmp_path, monkeypatch):
    """An object alone would be taken for built."""
    whole, left = build.Path.replace, [1]

    def full(self, path):
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        return whole(self, path)

    monkeypatch.setattr(build.Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        build.write(tmp_path / "gemm.o", b"object", {}, host())
    assert [path.name for path in tmp_path.iterdir()] == ["gemm.json"]
