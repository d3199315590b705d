"""The fields that each family of kernels had when it came: `python -m tests.rt_engine.program.born` adds new families.

A line is never changed: programs of that time are still about, and engines of that time too.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import rt_engine.kernels.interface as interface
from rt_engine.kernels.interface.fields import Fields
from rt_engine.kernels.interface.later import HINTS, LATER

FILE = Path(__file__).with_suffix(".txt")
COLUMNS = ("operands", "sizes", "params")


def families() -> Iterator[Fields]:
    """Every family, once."""
    modules = [import_module(f"{interface.__name__}.{found.name}") for found in iter_modules(interface.__path__)]
    yield from {id(value): value for m in modules for value in vars(m).values() if isinstance(value, Fields)}.values()


def born() -> dict[str, str]:
    """Family -> "operands | sizes | params", as they were."""
    return dict(line.split(": ", 1) for line in FILE.read_text(encoding="utf-8").splitlines())


def now(fields: Fields) -> str:
    """The same of a family of today, without what is said to have come later."""
    later = f"{LATER.get(fields.name, '')} {HINTS.get(fields.name, '')}".split()
    texts = [[n for n in getattr(fields, column).split() if n.rstrip("?") not in later] for column in COLUMNS]
    return " | ".join(" ".join(names) or "-" for names in texts)


if __name__ == "__main__":
    lines = {fields.name: now(fields) for fields in families()} | (born() if FILE.exists() else {})
    FILE.write_text("".join(f"{name}: {text}\n" for name, text in sorted(lines.items())), encoding="utf-8")
    print(f"{FILE.name}: {len(lines)} families")
