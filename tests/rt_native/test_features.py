"""The processor, asked without LLVM: what each kind says of itself, and which levels it runs."""

import struct

import pytest

from rt_native import target
from rt_native.errors import UnsupportedCpu
from rt_native.features import architecture, features_of, features_of_hwcaps, host_architecture, host_features, hwcaps
from rt_native.levels import LEVELS, fitting
from tests.rt_native.cpuinfo import CPUINFO, text


@pytest.mark.parametrize("name", CPUINFO)
def test_each_processor_runs_its_levels(name):
    """Best first; a processor without the least of its kind runs none."""
    machine, words, levels = CPUINFO[name]
    assert [entry.name for entry in fitting(machine, features_of(machine, text(machine, words)))] == levels


def test_a_feature_counts_if_every_core_has_it():
    """Cores of two kinds in one chip."""
    big, little = (
        text("aarch64", CPUINFO[name][1]) for name in ("Raspberry Pi 5 (Cortex-A76)", "Raspberry Pi 4 (Cortex-A72)")
    )
    assert "dotprod" in features_of("aarch64", big) and "dotprod" not in features_of("aarch64", big + little)


@pytest.mark.parametrize("told", ["", "processor : 0\n", "flags :\n", "Features :\n", "\0\xff" * 99])
def test_a_system_that_tells_nothing_has_no_features(told):
    """No levels either: a guess would be an illegal instruction."""
    assert not any(fitting("x86_64", features_of("x86_64", told)))


@pytest.mark.parametrize(
    ("machine", "hwcap", "hwcap2", "words"),
    [
        ("aarch64", 0x887, 0, "fp asimd evtstrm crc32 cpuid"),
        ("aarch64", 0x119FFF, 0, CPUINFO["Raspberry Pi 5 (Cortex-A76)"][1]),
        ("aarch64", 1 << 1 | 1 << 20, 1 << 13, "asimd asimddp i8mm"),
        ("armv7", 0x3FB0D6, 0, CPUINFO["Raspberry Pi 2 (Cortex-A7)"][1]),
    ],
)
def test_numbers_and_words_of_an_arm_system_say_the_same(machine, hwcap, hwcap2, words):
    """AT_HWCAP of the kernel's header, and the words that it shows for it."""
    assert features_of_hwcaps(machine, hwcap, hwcap2) == features_of(machine, text(machine, words))


def test_an_auxiliary_vector_is_pairs_of_words():
    """Whole, empty, and cut in the middle of a pair."""
    vector = struct.pack("8L", 33, 7, 16, 0x887, 26, 3, 0, 0)
    assert hwcaps(vector) == (0x887, 3)
    assert hwcaps(b"") == hwcaps(vector[: struct.calcsize("L") * 3]) == (0, 0)


@pytest.mark.parametrize(
    ("uname", "bits", "kind"),
    [
        ("x86_64", 64, "x86_64"),
        ("AMD64", 64, "x86_64"),
        ("x86_64", 32, "i686"),
        ("aarch64", 64, "aarch64"),
        ("arm64", 64, "aarch64"),
        ("aarch64", 32, "armv7"),
        ("armv7l", 32, "armv7"),
        ("armv6l", 32, "armv6l"),
        ("riscv64", 64, "riscv64"),
    ],
)
def test_a_process_has_the_kind_of_its_pointers(uname, bits, kind):
    """A 32-bit program on a 64-bit system is of the 32-bit kind."""
    assert architecture(uname, bits) == kind


def test_llvm_says_the_same_of_this_machine():
    """Of all that levels ask for."""
    llvm = pytest.importorskip("llvmlite.binding")
    theirs = {name for name, there in llvm.get_host_cpu_features().items() if there}
    asked = {name for entry in LEVELS.values() if entry.machine == host_architecture() for name in entry.required}
    assert asked & theirs == asked & host_features()


def test_a_system_that_tells_nothing_is_not_a_processor_that_has_nothing(monkeypatch):
    """A container without /proc: that is said, with what mends it."""
    monkeypatch.setattr(target, "host_features", frozenset)
    monkeypatch.setattr(target, "fitting", lambda *_: [])
    with pytest.raises(UnsupportedCpu, match=r"is not known: the system says nothing in /proc/cpuinfo.*mount -t proc"):
        target._best()
