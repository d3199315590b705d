"""Writes `rt_status.h`, the status numbers for C, from the enumerations of `plc_bindings.status`.

python -m plc_bindings.c.statuses        renews the file

class LibraryStatus(IntEnum):               RTE_DAMAGED = 303, /**< The checksum is wrong, ... */
    DAMAGED = 303                    -->    ...
    \"""The checksum is wrong, ...\"""        #define RTE_STATUSES(X) ... X(303, "DAMAGED") ...
"""

from enum import IntEnum

from plc_bindings.c import FOLDER
from plc_bindings.status import CHANGE_KINDS, KINDS, LibraryStatus, meanings
from rt_engine.status import Status

FILE = FOLDER / "rt_status.h"

_HEAD = """/**
 * @file rt_status.h
 * Status numbers: the same in Python, over ADS and Modbus, in C and in Structured Text. They never change their meaning.
 * Made by `python -m plc_bindings.c.statuses`; not to be edited.
 */
#ifndef RT_STATUS_H
#define RT_STATUS_H

/** What the functions of this interface end with. */
enum {
"""

_MIDDLE = """};

/** Every status, also those of tasks and of calls over a network: X(number, name). */
#define RTE_STATUSES(X) \\"""

_CHANGE_WORDS = ("CHANGE", "VERDICT")


def _about(kind: type[IntEnum]) -> str:
    return " ".join((kind.__doc__ or "").split())


def header() -> str:
    """The text of `rt_status.h`."""
    lines = ["    RTE_OK = 0,"]
    for kind in (Status, LibraryStatus):
        what = meanings(kind)
        lines += [f"    RTE_{m.name} = {m.value}, /**< {what[m.name]} */" for m in kind if m.value]
    names = {m.value: m.name for kind in KINDS for m in kind}
    for change, word in zip(CHANGE_KINDS, _CHANGE_WORDS, strict=True):
        what = meanings(change)
        lines += ["};", "", f"/** {_about(change)} */", "enum {"]
        lines += [f"    RTE_{word}_{m.name} = {m.value}, /**< {what[m.name]} */" for m in change]
    table = " \\\n".join(f'    X({number}, "{name}")' for number, name in sorted(names.items()))
    return "\n".join([_HEAD.rstrip(), *lines, _MIDDLE, table, "", "#endif", ""])


if __name__ == "__main__":
    FILE.write_text(header(), encoding="utf-8")
