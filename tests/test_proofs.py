"""What real time rests on: no Python, no allocation, no page fault in compiled code."""

import ctypes
import mmap

import numpy as np
import pytest

import rt_engine
from benchmarks.models import mlp
from fieldbus.image.image import NATIVE as FIELDBUS
from rt_engine.run.native import KERNELS
from rt_native.library import Library
from scheduler.native import NATIVE as SCHEDULER
from scheduler.replay import CLOCK as REPLAY
from tests.counting import LIBC, grown, least, page_faults
from tests.rt_native.symbols import undefined

ALLOWED = {
    "memcpy",
    "memset",
    "memmove",
    "clock_gettime",  # the clock: read through the vDSO, no system call
    "clock_nanosleep",  # the sleep
    "getrusage",  # before the first and after the last cycle
    "_GLOBAL_OFFSET_TABLE_",
}
"""All that compiled code may ask of the process. Nothing here allocates, locks or knows Python."""

MILLION = 1_000_000


@pytest.mark.parametrize("library", [KERNELS, SCHEDULER, FIELDBUS, REPLAY], ids=lambda library: library.name)
def test_compiled_code_needs_only_the_clock_and_memory_moves(library):
    """No Python symbol, no malloc, no libm, no exception: read from the object file itself."""
    assert undefined(library.build()) <= ALLOWED


def test_the_symbol_check_sees_a_planted_allocation(tmp_path, monkeypatch):
    """A native function that calls malloc is found out."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    (tmp_path / "planted_native.py").write_text(PLANTED)
    library = Library("planted", ("planted_native",), path=(str(tmp_path),))
    assert undefined(library.build()) - ALLOWED == {"malloc"}


PLANTED = """
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_native.lang import export, load_i64, store_i64

@intrinsic
def malloc(typingctx, count):
    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, [word]), "malloc")
        return builder.call(function, args)
    return types.int64(types.int64), codegen

@export
def k_leak(arena, record):
    address = malloc(64)
    store_i64(address, load_i64(arena))
    return 0

@export
def touch(address, count):
    for i in range(count):
        store_i64(address + 4096 * i, 1)
    return 0
"""


def test_a_million_runs_allocate_nothing_and_fault_never():
    """Counted by the C library (mallinfo2) and by the kernel (getrusage of this thread) around one native loop."""
    model = rt_engine.load(mlp([16, 64, 64, 4], "Tanh"))
    context = model.context()
    execute = KERNELS.address("execute")
    times = np.ones(MILLION, np.int64)
    measure = KERNELS.function("measure")
    heap, faults = grown(lambda: measure(execute, context.block_address, MILLION, times.ctypes.data))
    assert times.min() > 0
    assert (heap, faults) == (0, 0)


def test_the_counters_see_a_planted_allocation_and_fault(tmp_path, monkeypatch):
    """The same counters, on a kernel that leaks 64 bytes a run and on memory that was never touched."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    (tmp_path / "planted_native.py").write_text(PLANTED)
    library = Library("planted", ("planted_native",), path=(str(tmp_path),))
    context = rt_engine.load(mlp([16, 64, 64, 4], "Tanh")).context()
    context._executable.table.view(np.int64)[0] = library.address("k_leak")
    count = 10_000
    times = np.ones(count, np.int64)
    measure, execute = KERNELS.function("measure"), KERNELS.address("execute")
    heap, _ = grown(lambda: measure(execute, context.block_address, count, times.ctypes.data))
    assert heap >= 64 * count
    LIBC.munlockall()  # an earlier test's tasks may have locked all memory to come
    fresh = mmap.mmap(-1, 4096 * 200)  # the system gives such memory untouched
    touch, address = library.function("touch"), ctypes.addressof(ctypes.c_char.from_buffer(fresh))
    before = page_faults()
    touch(address, 199)
    assert page_faults() - before >= 100


@pytest.mark.parametrize(
    ("rounds", "found"), [([(0, 0)], (0, 0)), ([(0, 3), (-16, 0), (0, 5)], (0, 0)), ([(64, 1)] * 5, (64, 1))]
)
def test_only_what_comes_in_every_round_counts(rounds, found):
    """A fault that the kernel makes spoils a round; those of the code under test come in all."""
    given = iter(rounds * 2)
    assert least(lambda: next(given)) == found
