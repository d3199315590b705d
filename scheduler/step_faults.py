"""Why a step of somebody's own cannot run, in the words of who wrote it: the line, and what to do.

compiler's complaint, 5 to 50 lines   -> "line 6: inputs can only be read ..."        in_words
object file                           -> the functions of Python that it would call   calls_python
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rt_native.elf import undefined

_PYTHONS: Final = ("Py", "_Py", "NRT_", "numba_")

_NOISE: Final = re.compile(
    r"During: |Failed in nopython|There (is|are) \d+ candidate|\s*- Of which|\s*Overload |\s*With arg|\s*No match|\s*File "
)

_WORDS: Final = (
    (r"setitem\(numbers that can only be read", "inputs can only be read; write to outputs or state"),
    (r"[gs]etitem\(numbers[^,]*, float64", "an index is a whole number: int(...), or // in place of /"),
    (r"NRT required|reflected list|build_list|build_set|build_map", "a list, a set or a table is made of memory, which a "
     "cycle must not ask for; numbers that stay are in state, constant ones in a tuple (1.0, 2.0)"),
    (r"Untyped global name '(\w+)'", r'"\1" is nothing that a step can use: a misspelt name, or not one of docs/steps.md'),
    (r"Unknown attribute '(\w+)' of type Module\(<module '(\w+)'", r"\2.\1 cannot be used in a step"),
    (r"IMPORT_NAME", 'an "import" stands at the top of the file, and of modules only math can be used'),
    (r">>> _status\(", "a step returns a whole number, 0 when all is well, or nothing"),
    (r"No implementation of function Function\(<built-in function (\w+)>\)", r"\1() cannot be used with these values"),
)  # fmt: skip
"""What the compiler says, and what it means; the first that is found counts."""


def in_words(complaint: str, path: Path) -> str:
    """One line of what a compiler said about the file `path`: `line 6: ...`; all of it where it is not understood."""
    line = _line(complaint, path)
    function = re.match(r"\w+: (?=\w+Error: )", complaint)
    where = f"line {line}: " if line else function[0] if function else ""
    if complaint.startswith("Traceback"):  # the file itself could not be run: its last line has the reason
        return where + complaint.splitlines()[-1]
    for pattern, meaning in _WORDS:
        if found := re.search(pattern, complaint):
            return where + found.expand(meaning)
    kept = [text for text in complaint.splitlines() if text.strip() and not _NOISE.match(text)]
    return where + "\n".join(dict.fromkeys(kept))


def _line(complaint: str, path: Path) -> int | None:
    """The last line of the file that a traceback names, or the first that the compiler does."""
    name = re.escape(path.name)
    found = re.findall(rf'(?:File ".*?{name}", line |(?:at|from) \S*{name} \()(\d+)', complaint)
    return int(found[-1 if complaint.startswith("Traceback") else 0]) if found else None


def calls_python(objects: Iterable[bytes]) -> list[str]:
    """Functions that object files need and that are not there where nothing but native code runs; to call one would crash."""
    import llvmlite.binding as llvm  # whoever has a step of his own has the compiler

    llvm.load_library_permanently("")  # symbols of this process
    return sorted(
        name
        for data in objects
        for name in undefined(data)
        if name.startswith(_PYTHONS) or not llvm.address_of_symbol(name)
    )
