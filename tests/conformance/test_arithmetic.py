"""A processor without FMA: some kernels compiled for it in both arithmetics. All of them: `python -m tests.conformance.arithmetic`."""

import pytest

import rt_engine
from rt_engine.errors import ProgramFileError
from rt_native.levels import level
from rt_native.library import Library
from rt_native.target import host
from tests.conformance.arithmetic import LEVELS, digest, hashes, outputs, same
from tests.rt_engine.program.golden_programs import run, stored
from tests.rt_native.symbols import undefined
from tests.test_proofs import ALLOWED

MODULES = (
    "rt_engine.run.executor_native",
    *(f"rt_engine.kernels.{name}" for name in ("cast", "group_norm", "sparse", "unary")),
)
LIBRARIES = {name: Library(f"kernels-{name}", MODULES, level(at).target) for name, at in LEVELS.items()}
pytestmark = pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="code for x86-64 does not run here")


@pytest.fixture(scope="module")
def programs():
    """The golden programs that call no other kernels: name -> (what is stored, the model in either arithmetic)."""
    found = {}
    for name, entry in stored().items():
        try:
            found[name] = entry, {at: rt_engine.load(entry[0], library=kernels) for at, kernels in LIBRARIES.items()}
        except ProgramFileError:
            continue
    return found


def test_golden_programs_have_the_bits_of_their_arithmetic(programs):
    """exact: those of every other machine; fast: its own, by their hashes."""
    other = 0
    for name, (entry, models) in programs.items():
        found = {at: outputs(model, run(model, entry[1])) for at, model in models.items()}
        assert same(found["exact"], outputs(models["exact"], entry[2])), name
        assert digest(found["fast"]) == hashes()[name], name
        other += not same(found["fast"], found["exact"])
    assert len(programs) > 40 and other > 8


def test_every_golden_program_has_its_hash():
    """A new one gets it from: python -m tests.conformance.arithmetic renew"""
    assert set(hashes()) == set(stored())


@pytest.mark.parametrize("arithmetic", LEVELS)
def test_nothing_of_libm_or_the_compilers_library_is_called(arithmetic):
    """float16 without F16C, rounding, multiply-add: all of it is in the objects."""
    assert undefined(LIBRARIES[arithmetic].build()) <= ALLOWED
