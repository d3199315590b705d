"""What PLC clients see of a model: which version runs, what it takes and gives, and how the newest change of it does.

    Models.policy.Version ... State        as ever
                 .ChangeState ... CandidateHash   of the newest change (`changes.py`)
                 .Commit, .Rollback        commands, where `writable` names them

A command acts when a client writes FALSE and then TRUE: a bit that a PLC writes in every cycle acts once, and one that is still
TRUE when station or connection come back does not act again. It reads as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from plc_bindings.data.changes import ChangeView
from plc_bindings.data.commands import NO_COMMANDS, Commands
from plc_bindings.data.models import Served
from plc_bindings.data.record import Record, text
from plc_bindings.data.types import BOOL, LREAL, UDINT, UINT, ULINT, Field, String, Struct, in_words
from rt_engine.change import ChangeState, Verdict

COMMANDS: Final = ("Commit", "Rollback")
FIRST_OF_CHANGE: Final = "ChangeState"
"""From this field on, a model's values lie elsewhere among Modbus registers: there was no room for more between two models."""


def _names(kind: type[ChangeState] | type[Verdict]) -> tuple[tuple[str, int], ...]:
    """`none` 0, `staged` 1, ..."""
    return tuple((member.name.lower().replace("_", " "), member.value) for member in kind)


_STATES: Final = _names(ChangeState)
_VERDICTS: Final = _names(Verdict)

_CHANGE: Final = (
    Field("ChangeState", UINT, comment=f"of the newest change: {in_words(_STATES)}", names=_STATES),
    Field("Verdict", UINT, comment=f"why a task found it bad: {in_words(_VERDICTS)}", names=_VERDICTS),
    Field("LiveVersion", UDINT, comment="whose outputs tasks publish"),
    Field("CandidateVersion", UDINT, comment="that the change brings; 0: it has no number yet"),
    Field("Remaining", LREAL, "s", "of the state; -1: it does not end with time"),
    Field("Compared", ULINT, comment="cycles in which the second version computed beside the live one"),
    Field("Skipped", ULINT, comment="cycles without time for the second version"),
    Field("Disagreements", ULINT, comment="values beyond the tolerance, or not finite"),
    Field("NotFinite", ULINT, comment="values of which one was NaN or infinite"),
    Field("LargestDifference", LREAL, comment="between the versions, of LargestOutput, in its unit"),
    Field("LargestOutput", String(63), comment="the output that lay furthest apart"),
    Field("Reason", String(127), comment="why it is in this state, in words"),
    Field("CandidateHash", String(64), comment="SHA-256 of the file of the candidate"),
    Field("Commit", BOOL, comment="write FALSE, then TRUE: the change goes on to the next state"),
    Field("Rollback", BOOL, comment="write FALSE, then TRUE: back to the version before"),
)
_MODEL: Final = Struct(
    "ST_RtModel",
    (
        Field("Number", UDINT, comment="index offset of a predict call"),
        Field("Version", UDINT, comment="1, and one more with each update"),
        Field("Updates", UDINT, comment="model changes that went live"),
        Field("Refused", UDINT, comment="model changes that were refused"),
        Field("Status", UDINT, comment="how the newest change went; 0 is good"),
        Field("SignatureHash", UDINT, comment="CRC-32 of the names, shapes and types of both ends"),
        Field("InputBytes", UDINT),
        Field("OutputBytes", UDINT),
        Field("File", String(127)),
        Field("Hash", String(64), comment="SHA-256 of the file"),
        Field("Inputs", String(255)),
        Field("Outputs", String(255)),
        Field("State", String(255)),
        *_CHANGE,
    ),
)


@dataclass(slots=True)
class ModelFile:
    """What the station knows of a model beside the model itself. The station changes it; the servers read it."""

    file: str
    hash: str
    status: int = 0
    refused: int = 0


class _Command:
    """A bit that acts when it goes from a FALSE that was written to TRUE."""

    def __init__(self, act: Callable[[str], None]) -> None:
        self._act = act
        self.value = self._is_armed = False

    def write(self, value: bool, who: str) -> None:
        """A client wrote it."""
        acts = value and self._is_armed
        self.value, self._is_armed = value, not value
        if acts:
            self._act(who)


class ModelArea(Record):
    """A model: which one runs, and what it takes and gives."""

    def __init__(self, served: Served, file: ModelFile, commands: Commands = NO_COMMANDS) -> None:
        super().__init__(f"Models.{served.name}", _MODEL, *COMMANDS)
        self._served, self._file, self._view = served, file, commands.view
        acts = (partial(commands.commit, served.name), partial(commands.roll_back, served.name))
        self._commands = dict(zip(COMMANDS, map(_Command, acts), strict=True))

    def values(self) -> Sequence[Any]:
        """See `_MODEL`."""
        slot, signature, file = self._served.slot, self._served.signature, self._file
        ends = (slot.model.inputs, slot.model.outputs, slot.model.state)
        return (
            self._served.number,
            slot.version,
            slot.updates,
            file.refused,
            file.status,
            signature.hash,
            signature.inputs.size,
            signature.outputs.size,
            text(file.file, 127),
            text(file.hash, 64),
            *(text(", ".join(map(str, specs)), 255) for specs in ends),
            *self._change(),
        )

    def _change(self) -> Sequence[Any]:
        view = self._view(self._served.name) or ChangeView(self._served.name, version=self._served.slot.version)
        widest, is_on_trial = view.largest, view.state == ChangeState.TRIAL and view.verdict == Verdict.NONE
        return (
            view.state,
            view.verdict,
            view.candidate if is_on_trial else view.version,
            view.candidate,
            view.left_ns / 1e9 if view.left_ns >= 0 else -1.0,
            view.cycles,
            view.skipped,
            view.disagreements,
            sum(difference.not_finite for difference in view.differences),
            widest.largest if widest is not None else 0.0,
            text(widest.output if widest is not None else "", 63),
            text(view.reason, 127),
            text(view.sha256, 64),
            *(command.value for command in self._commands.values()),
        )

    def write_by(self, who: str, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """See `_Command`. Of both in one request, what goes back is done first."""
        for name, command in reversed(self._commands.items()):
            at = _MODEL.offsets[name]
            if any(first <= at < first + length for first, length in changed):
                command.write(bool(data[at]), who)
