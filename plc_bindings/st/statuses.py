"""All status numbers with names that are unique in Structured Text, and those of a model's change; a line about each."""

from __future__ import annotations

from typing import Final

from plc_bindings.st.names import KEYWORDS
from plc_bindings.st.project import comment
from plc_bindings.status import CHANGE_KINDS, KINDS, meanings

_PREFIXES: Final = {"Status": "MODEL", "TaskStatus": "TASK", "CallStatus": "CALL", "LibraryStatus": "LIBRARY"}


def _statuses() -> tuple[tuple[str, int, str], ...]:
    found = {"OK": (0, "Good.")}
    for kind in KINDS:
        texts = meanings(kind)
        for member in kind:
            if member.value:
                taken = member.name in found or member.name.lower() in KEYWORDS
                name = f"{_PREFIXES[kind.__name__]}_{member.name}" if taken else member.name
                found[name] = (int(member), comment(texts[member.name]))
    return tuple((name, *rest) for name, rest in found.items())


STATUSES: Final = _statuses()
"""(name, number, meaning) in the order of their numbers; LIBRARY_OTHER_INTERFACE where a name is taken already."""

CHANGE_NUMBERS: Final = {
    f"Rt{kind.__name__}": tuple((member.name, int(member), comment(meanings(kind)[member.name])) for member in kind)
    for kind in CHANGE_KINDS
}
"""RtChangeState, RtVerdict -> (name, number, meaning): what `Models.NAME.ChangeState` and `.Verdict` say."""
CHANGE_HEADS: Final = {
    "RtChangeState": "Where the newest change of a model is: Models.NAME.ChangeState.",
    "RtVerdict": "Why a task found a version bad: Models.NAME.Verdict.",
}
