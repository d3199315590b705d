"""What the processor that we are on can do, in LLVM's words, read without LLVM.

    x86-64   /proc/cpuinfo, flags: what the processor has and the system saves the registers of
    Arm      /proc/self/auxv, AT_HWCAP and AT_HWCAP2, else /proc/cpuinfo, Features: the same words

A feature counts if every core has it. What a file of another system says is parsed by pure functions; `host_features` and
`host_architecture` are about this process: a 32-bit one on a 64-bit Arm is armv7.
"""

import platform
import re
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_CPUINFO, _AUXV = Path("/proc/cpuinfo"), Path("/proc/self/auxv")
_AT_HWCAP, _AT_HWCAP2 = 16, 26
_POINTER_BITS = 8 * struct.calcsize("P")

_X86 = {
    "abm": "lzcnt",
    "avx_vnni": "avxvnni",
    "bmi1": "bmi",
    "lahf_lm": "sahf",
    "pclmulqdq": "pclmul",
    "pni": "sse3",
    "rdrand": "rdrnd",
    "sha_ni": "sha",
    "sse4_1": "sse4.1",
    "sse4_2": "sse4.2",
}
"""The kernel's word -> LLVM's, where they differ by more than `avx512_` for `avx512` (arch/x86/include/asm/cpufeatures.h)."""
_AARCH64 = {
    "asimd": "neon",
    "asimddp": "dotprod",
    "asimdhp": "fullfp16",
    "asimdrdm": "rdm",
    "atomics": "lse",
    "bf16": "bf16",
    "crc32": "crc",
    "fp": "fp-armv8",
    "i8mm": "i8mm",
    "sve": "sve",
}
_ARMV7 = {"idiva": "hwdiv-arm", "idivt": "hwdiv", "neon": "neon", "vfpd32": "d32", "vfpv3": "vfp3", "vfpv4": "vfp4"}
_WORDS = {"x86_64": _X86, "aarch64": _AARCH64, "armv7": _ARMV7}

_HWCAPS = {
    "aarch64": (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4 "
        "asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg",
        "dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm svef64mm svebf16 i8mm bf16",
    ),
    "armv7": (
        "swp half thumb 26bit fastmult fpa vfp edsp java iwmmxt crunch thumbee neon vfpv3 vfpv3d16 tls vfpv4 idiva idivt vfpd32 "
        "lpae evtstrm",
        "",
    ),
}
"""Words of AT_HWCAP and AT_HWCAP2, from bit 0 on (uapi/asm/hwcap.h of arch/arm64 and arch/arm)."""


def architecture(machine: str, pointer_bits: int = 64) -> str:
    """x86_64, aarch64 or armv7, of what `uname -m` says and the width of a process' pointers; others as they are."""
    machine = machine.lower()
    if machine in ("x86_64", "amd64"):
        return "x86_64" if pointer_bits == 64 else "i686"
    if machine in ("aarch64", "arm64", "armv8l") and pointer_bits == 64:
        return "aarch64"
    return "armv7" if machine in ("aarch64", "arm64", "armv8l", "armv7l") else machine


def features_of(architecture: str, cpuinfo: str) -> frozenset[str]:
    """What every core in a text of /proc/cpuinfo has, in LLVM's words."""
    lines = [frozenset(line.split()) for line in re.findall(r"^(?:flags|Features)[ \t]*:(.*)$", cpuinfo, re.M)]
    return _translated(architecture, frozenset.intersection(*lines) if lines else frozenset())


def features_of_hwcaps(architecture: str, hwcap: int, hwcap2: int) -> frozenset[str]:
    """What an Arm system says of its cores in two numbers, in LLVM's words."""
    words = zip((hwcap, hwcap2), _HWCAPS[architecture], strict=True)
    return _translated(
        architecture, (word for bits, names in words for n, word in enumerate(names.split()) if bits >> n & 1)
    )


def hwcaps(auxv: bytes) -> tuple[int, int]:
    """(AT_HWCAP, AT_HWCAP2) of a process' auxiliary vector: pairs of the process' own words; 0 where one is not there."""
    size = struct.calcsize("LL")
    entries = dict(struct.iter_unpack("LL", auxv[: len(auxv) // size * size]))
    return entries.get(_AT_HWCAP, 0), entries.get(_AT_HWCAP2, 0)


def _translated(architecture: str, words: Iterable[str]) -> frozenset[str]:
    names = _WORDS.get(architecture, {})
    return frozenset(names.get(word, re.sub(r"^avx512_", "avx512", word)) for word in words)


@cache
def host_architecture() -> str:
    """Of this process."""
    return architecture(platform.machine(), _POINTER_BITS)


@cache
def host_features() -> frozenset[str]:
    """Of the processor that we are on; empty where the system tells nothing."""
    here = host_architecture()
    try:
        if here in _HWCAPS and any(found := hwcaps(_AUXV.read_bytes())):
            return features_of_hwcaps(here, *found)
        return features_of(here, _CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return frozenset()
