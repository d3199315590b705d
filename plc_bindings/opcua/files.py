"""A model's new version as a temporary file (OPC 10000-20, 4.4), on the uploads that every protocol shares.

GenerateFileForWrite(signature) -> Write ... -> CloseAndCommit      Close at any time: nothing was
                                                |
                    a thread: the signature, the gate, the change   CurrentState: Idle -> ApplyWrite -> Idle or Error
"""

from __future__ import annotations

import threading
from itertools import count
from typing import Final

from asyncua import ua

from plc_bindings.security.updates import ClientUploads, Updates
from plc_bindings.status import CallStatus

_S = ua.StatusCodes
CODES: Final = {
    CallStatus.NOT_ALLOWED: _S.BadUserAccessDenied,
    CallStatus.BUSY: _S.BadResourceUnavailable,
    CallStatus.BAD_SIGNATURE: _S.BadInvalidArgument,
    CallStatus.INCOMPLETE: _S.BadInvalidState,
}
"""Why a file is not taken -> OPC UA's word."""
Shown = tuple[str, int, str]
"""(state, status, message)"""


class FileError(Exception):
    """It cannot be done; `code` is OPC UA's word for it."""

    def __init__(self, code: int) -> None:
        self.code = code


class Transfers:
    """All of a server; what became of the newest of each model. Any thread."""

    def __init__(self, updates: Updates | None) -> None:
        self._updates = updates
        self._shown: dict[str, Shown] = {}
        self.handles = count(1)

    def client(self, who: str) -> Transfer:
        """One session's."""
        return Transfer(self, self._updates.client(who) if self._updates is not None else None)

    def shown(self, model: str) -> Shown:
        """How the newest transfer of a model goes."""
        return self._shown.get(model, ("Idle", 0, ""))

    def show(self, model: str, state: str, status: int, message: str) -> None:
        """It goes on."""
        self._shown[model] = (state, status, message)


class Transfer:
    """One session's file: one at a time. Calls return at once."""

    def __init__(self, transfers: Transfers, uploads: ClientUploads | None) -> None:
        self._transfers, self._uploads = transfers, uploads
        self._model, self._handle, self._size = "", 0, 0
        self._is_being_taken = False

    def begin(self, model: str, signature: object) -> int:
        """A new file; gives its handle."""
        if self._uploads is None:
            raise FileError(_S.BadUserAccessDenied)
        if not isinstance(signature, bytes):
            raise FileError(_S.BadInvalidArgument)
        if self._is_being_taken:  # its thread may not have begun
            raise FileError(_S.BadResourceUnavailable)
        _check(self._uploads.begin_open(model, signature))
        self._model, self._handle, self._size = model, next(self._transfers.handles), 0
        return self._handle

    def write(self, model: str, handle: int, data: bytes | None) -> None:
        """Behind what there is."""
        uploads = self._held(model, handle)
        _check(uploads.data(self._size, data or b""))
        self._size += len(data or b"")

    def position(self, model: str, handle: int) -> int:
        """So many bytes there are."""
        self._held(model, handle)
        return self._size

    def close(self, model: str, handle: int) -> None:
        """Forget it."""
        self._held(model, handle).abort()
        self._handle = 0

    def activate(self, model: str, handle: int) -> None:
        """It is whole: have it taken, in a thread; `Transfers.shown` tells how it goes."""
        uploads, transfers = self._held(model, handle), self._transfers

        def run() -> None:
            status, version, message = uploads.activate(model)
            self._is_being_taken = False
            good = status == CallStatus.OK
            words = f"version {version}: {message}" if good else message
            transfers.show(model, "Idle" if good else "Error", status, words)

        _check(uploads.end_open())
        self._handle, self._is_being_taken = 0, True
        transfers.show(model, "ApplyWrite", 0, "")
        try:
            threading.Thread(target=run, name="opcua-update", daemon=True).start()
        except RuntimeError as error:
            self._is_being_taken = False
            uploads.abort()
            transfers.show(model, "Error", int(CallStatus.INTERNAL), f"the system gave no thread for it: {error}")
            raise FileError(_S.BadResourceUnavailable) from error

    def abort(self) -> None:
        """The session has ended. What is being taken goes on."""
        if self._uploads is not None and not self._is_being_taken:
            self._uploads.abort()
        self._handle = 0

    def _held(self, model: str, handle: int) -> ClientUploads:
        if self._uploads is None or not handle or (model, handle) != (self._model, self._handle):
            raise FileError(_S.BadInvalidArgument)
        return self._uploads


def _check(status: int) -> None:
    if status != CallStatus.OK:
        raise FileError(CODES.get(CallStatus(status), _S.BadUnexpectedError))
