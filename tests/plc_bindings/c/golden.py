"""Every golden program in the C library of a level, run where an emulator (or this machine) runs it: the bits that are stored.

    python -m tests.plc_bindings.c.golden x86-64-v2 qemu-x86_64 -cpu Nehalem
    python -m tests.plc_bindings.c.golden aarch64 qemu-aarch64 -cpu cortex-a72

All kernels of the level are compiled, which takes minutes the first time. x86-64-v2 has bits of its own
(`tests/conformance/arithmetic.txt`). NaNs are alike, whatever their sign and payload.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import rt_engine
from plc_bindings.c.export import export, kernels
from rt_native.levels import level
from tests.conformance.arithmetic import digest, hashes, outputs
from tests.plc_bindings.c.test_processors import built
from tests.rt_engine.program.golden_programs import Stored, stored


def right(name: str, entry: Stored, data: bytes, known: dict[str, str]) -> bool:
    """Are these the bits of a stored program? `known`: digests, where the level has bits of its own."""
    model = rt_engine.load(entry[0])
    wanted = known[name] if known else digest(outputs(model, entry[2]))
    return digest(outputs(model, data)) == wanted


def wrong(name: str, emulator: Sequence[str], folder: Path) -> Iterator[str]:
    """What is wrong with the golden programs at a level."""
    entry = level(name)
    export(folder, [kernels(entry)], {})
    program = built(folder, entry)
    known = hashes() if entry.target.arithmetic == "fast" else {}
    files = [folder / f"golden.{end}" for end in ("rtp", "in", "out")]
    for golden, parts in stored().items():
        files[0].write_bytes(parts[0])
        files[1].write_bytes(parts[1])
        files[2].unlink(missing_ok=True)
        done = subprocess.run(
            [*emulator, program, *files, "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            yield f"{golden}: ended with {done.returncode}: {done.stderr.strip()}"
        elif not right(golden, parts, files[2].read_bytes(), known):
            yield f"{golden}: other bits"


def main(arguments: Sequence[str]) -> None:
    """Say what is wrong, and how many there are."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(wrong(arguments[0], arguments[1:], Path(folder)))
    print("\n".join([*found, f"{len(stored())} golden programs in C, {' '.join(arguments)}: {len(found)} wrong"]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main(sys.argv[1:])
