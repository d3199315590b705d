"""What a PLC's call ended with: one number, the same in Python, over ADS and Modbus, in C and in Structured Text.

0 is good, 1 to 99 are the model's own (`rt_engine.status`), 100 to 199 those of tasks (`scheduler.status`); calls count
from 200, the C interface from 300. They never change their meaning.
"""

import ast
import inspect
from enum import IntEnum

import rt_engine.change
import rt_engine.status
import scheduler.status


class CallStatus(IntEnum):
    """Why a call gave no result, or not the model's own."""

    OK = 0
    UNKNOWN_MODEL = 200
    """No model has this number or name."""
    WRONG_SIZE = 201
    """The inputs' bytes are not those of one or more whole sets of the model's inputs."""
    TOO_MANY = 202
    """More sets of inputs in one call than the server allows."""
    OTHER_INTERFACE = 203
    """The block was generated for other inputs or outputs than the model has: export it again."""
    NOT_ALLOWED = 204
    """This client may not do that; the audit log says why."""
    BUSY = 205
    """Another call of the same kind is under way."""
    TIMEOUT = 206
    """No answer within the block's timeout."""
    CONNECTION = 207
    """The request could not be sent, or its answer is none."""
    NOT_CONFIGURED = 208
    """The block was called before `Configure`."""
    BAD_SIGNATURE = 209
    """The model's signature matches no key of the station; nothing was changed."""
    INCOMPLETE = 210
    """The upload has holes, or was never begun; nothing was changed."""
    REFUSED = 211
    """The model cannot take the place of the running one; the message says why. Nothing was changed."""
    UNKNOWN_ATTRIBUTE = 212
    """The model has no attribute of this name."""
    INTERNAL = 299
    """A mistake of the server's; its log says which."""


class LibraryStatus(IntEnum):
    """What the C interface's functions end with, beside the model's own statuses."""

    OK = 0
    NO_FILE = 300
    """The file cannot be opened, or not be read."""
    NOT_A_PROGRAM = 301
    """The file is no compiled program (.rtp)."""
    OTHER_VERSION = 302
    """The program was compiled for another version of the format or of the kernels: compile the model again."""
    DAMAGED = 303
    """The checksum is wrong, or a length or offset lies outside the file."""
    MISSING_KERNEL = 304
    """The program needs a kernel that this library does not have."""
    OTHER_PROCESSOR = 305
    """The library was built for instructions that this processor does not have."""
    NO_MEMORY = 306
    """The system gave no memory."""
    OTHER_INTERFACE = 307
    """The new model's inputs or outputs differ from the running one's."""
    BAD_ARGUMENT = 308
    """A null pointer, a size of 0, a name that does not exist."""
    LATE = 309
    """A context did not take the new model in time; all run the old one."""


KINDS: tuple[type[IntEnum], ...] = (
    rt_engine.status.Status,
    scheduler.status.TaskStatus,
    CallStatus,
    LibraryStatus,
)
"""Every enumeration of statuses, in the order of their numbers."""

CHANGE_KINDS: tuple[type[IntEnum], ...] = (rt_engine.change.ChangeState, rt_engine.change.Verdict)
"""The numbers of a model's change, each from 0; they never change their meaning either."""


def meanings(kind: type[IntEnum]) -> dict[str, str]:
    """Member -> the string below it in the source, in one line."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found[statement.targets[0].id] = " ".join(str(text).split())
    return found
