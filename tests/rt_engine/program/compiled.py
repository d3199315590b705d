"""What the exporters' files are compiled to, as hashes: `python -m tests.rt_engine.program.compiled` writes them anew.

A refactoring leaves every byte of a program where it is. Whoever means to change what a model is compiled to renews the list, and
the difference shows which models it touched.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import rt_engine
from rt_engine.errors import EngineError
from rt_engine.program.rtp_writer import to_bytes
from tests import ROOT

MODELS = ROOT / "tests" / "exporters" / "golden"
FILE = Path(__file__).with_suffix(".txt")


def hashes() -> Iterator[tuple[str, str]]:
    """(file, SHA-256 of its program; the reason where it is refused) of every model."""
    for path in sorted(MODELS.glob("*.onnx")):
        try:
            yield path.name, hashlib.sha256(to_bytes(rt_engine.load(path).program)).hexdigest()
        except EngineError as error:
            yield path.name, type(error).__name__


def stored() -> dict[str, str]:
    """What the list says."""
    return dict(line.split() for line in FILE.read_text().splitlines())


if __name__ == "__main__":
    FILE.write_text("".join(f"{name} {made}\n" for name, made in hashes()))
    print(f"{FILE.name}: {len(stored())} models")
