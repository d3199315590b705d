"""Model updates by clients: a signed file comes in pieces, is checked, and takes the place of the running model.

begin(model, size, signature) -> data(offset, part) ... -> activate(model)          abort() at any time
                                                           |
    in a thread:  SHA-256 -> signature -> serial number -> the station's way for new versions (`Replace`) -> serial kept

Nothing of the file is parsed, or written to a disk, before its signature is found good. Whatever is wrong before that changes
nothing at all; what is refused after that leaves the running model and the serial number. A version that was taken may be in
shadow or on trial when `activate` answers: the answer says so, and symbols show how it goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from plc_bindings.errors import SigningError
from plc_bindings.security.access import Record, nothing
from plc_bindings.security.signing import Proof, PublicKey, malformed, proven
from plc_bindings.status import CallStatus
from rt_engine.change import ChangeState
from rt_engine.read.source import Source
from rt_native.files import open_file

MOST_BYTES: Final = 64 << 20
SILENCE_S: Final = 30.0
"""An upload that nothing is added to for so long may be displaced by another client's."""
MOST_MESSAGE: Final = 255


class Reached(Protocol):
    """What became of a version that was taken, until now: its number, where it is, and words for a person."""

    @property
    def version(self) -> int:
        """The number that it has, or will have when it is live."""

    @property
    def state(self) -> ChangeState:
        """Where its change is."""

    @property
    def message(self) -> str:
        """In words."""


Replace = Callable[[str, Source, str, bytes], Reached]
"""(slot, model, who, signature) -> how far it got; raises whatever refuses the model. Called in a thread."""
Signed = Callable[[str], tuple[int, str]]
"""Slot -> (serial number, SHA-256) of the newest signed version that the station keeps; (-1, ""): it keeps none.

Raises:
    ValueError: that cannot be told.
"""
Answer = tuple[int, int, str]
"""(status, version, message)."""


@dataclass(slots=True, eq=False)
class _Upload:
    who: str
    size: int
    signature: bytes
    touched: float
    data: bytearray = field(default_factory=bytearray)
    last: int = 0
    """Where the newest part begins."""
    is_activating: bool = False


def _none_kept(slot: str) -> tuple[int, str]:
    return -1, ""


class Serials:
    """The newest serial number taken for each slot, in a file, so that a restart does not forget it.

    `kept`: what the station's store knows too: it has a version before the file has its number.
    """

    def __init__(self, path: Path, kept: Signed = _none_kept) -> None:
        self._path, self._draft, self._kept = path, path.with_name(path.name + ".new"), kept
        self._taken: dict[str, tuple[int, str]] = {}
        self._is_read = False

    def objection(self, slot: str, serial: int, digest: str) -> str:
        """Why a file with this number must not be taken; "": it may.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged.
        """
        self._read()
        newest, known = max(self._taken.get(slot, (-1, "")), self._kept(slot), key=lambda one: one[0])
        if serial > newest or (serial == newest and digest == known):
            return ""
        return f"signed before the one taken last (serial number {serial}, last {newest}): sign it again"

    def prepare(self, slot: str, serial: int, digest: str) -> Callable[[], None]:
        """Write all but the last step, which is the function given back; or `discard`.

        Raises:
            OSError: the file cannot be written.
        """
        fresh = {**self._taken, slot: (serial, digest)}
        file = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(file, "w", encoding="utf-8") as target:
            json.dump(fresh, target)
            target.flush()
            os.fsync(target.fileno())

        def commit() -> None:
            self._taken = fresh
            self._draft.replace(self._path)

        return commit

    def discard(self) -> None:
        """Forget what was prepared."""
        with suppress(OSError):
            self._draft.unlink()

    def _read(self) -> None:
        if self._is_read:
            return
        try:
            with open_file(self._path) as file:
                content = json.loads(file.read())
            self._taken = {str(slot): (int(serial), str(digest)) for slot, (serial, digest) in content.items()}
        except FileNotFoundError:
            pass
        except (TypeError, AttributeError, UnicodeError) as error:
            raise ValueError(str(error)) from error
        self._is_read = True


class Updates:
    """All uploads to a station: at most one for each slot at a time. Any thread.

    Args:
        keys: who may sign.
        slots: those that may be updated so.
        replace: takes a version for a slot.
        serials: file that keeps the serial numbers.
        audit: where refusals go.
        changes: where updates go.
        most_bytes: of one file.
        now: monotonic seconds.
        kept: the newest signed version that the station keeps.
    """

    def __init__(
        self,
        keys: Sequence[PublicKey],
        slots: Collection[str],
        replace: Replace,
        serials: Path,
        audit: Record = nothing,
        changes: Record = nothing,
        most_bytes: int = MOST_BYTES,
        now: Callable[[], float] = time.monotonic,
        kept: Signed = _none_kept,
    ) -> None:
        self._keys, self._slots = tuple(keys), frozenset(slots)
        self._replace, self._serials, self._audit, self._changes = replace, Serials(serials, kept), audit, changes
        self.most_bytes, self._now = most_bytes, now
        self._under_way: dict[str, _Upload] = {}
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()

    @property
    def slots(self) -> tuple[str, ...]:
        """Those that may be updated so."""
        return tuple(sorted(self._slots))

    def client(self, who: str) -> ClientUploads:
        """The uploads of one connection."""
        return ClientUploads(self, who)

    def _begin(self, slot: str, upload: _Upload) -> int:
        if slot not in self._slots or not self._keys:
            return self._refuse(upload.who, slot, CallStatus.NOT_ALLOWED, "not enabled for this model")
        if not 0 < upload.size <= self.most_bytes:
            why = f"{upload.size} bytes; at most {self.most_bytes}"
            return self._refuse(upload.who, slot, CallStatus.NOT_ALLOWED, why)
        if why := malformed(upload.signature):
            return self._refuse(upload.who, slot, CallStatus.BAD_SIGNATURE, why)
        with self._lock:
            other = self._under_way.get(slot)
            if other is not None and (other.is_activating or self._now() - other.touched < SILENCE_S):
                return CallStatus.BUSY
            self._under_way[slot] = upload
        return CallStatus.OK

    def _holds(self, slot: str, upload: _Upload) -> bool:
        return self._under_way.get(slot) is upload

    def _end(self, slot: str, upload: _Upload) -> None:
        with self._lock:
            if self._holds(slot, upload):
                del self._under_way[slot]

    def _activate(self, slot: str, upload: _Upload) -> Answer:
        if not self._one_at_a_time.acquire(blocking=False):
            return CallStatus.BUSY, 0, "another model is being replaced"
        try:
            digest = hashlib.sha256(upload.data)
            try:
                found = proven(self._keys, slot, digest.digest(), upload.signature)
            except SigningError as error:
                why = f"{error}; nothing was changed"
                return self._refuse(upload.who, slot, CallStatus.BAD_SIGNATURE, why), 0, why
            return self._take(slot, upload, digest.hexdigest(), found)
        finally:
            self._one_at_a_time.release()

    def _take(self, slot: str, upload: _Upload, digest: str, found: Proof) -> Answer:
        """Load a file whose signature is good."""
        serial = found.serial
        try:
            why = self._serials.objection(slot, serial, digest)
            commit = self._serials.prepare(slot, serial, digest) if not why else None
        except (OSError, ValueError) as error:
            why, commit = f"the file of serial numbers cannot be used: {error}", None
        if commit is None:
            return self._refuse(upload.who, slot, CallStatus.REFUSED, why), 0, why
        try:
            model = Source(memoryview(upload.data).toreadonly())
            suffix = ".rtp" if model.is_program else ".onnx"
            named = replace(model, name=f"{slot}-{serial}{suffix}")
            reached = self._replace(slot, named, upload.who, upload.signature)
        except Exception as error:  # whatever a model can be refused with: the client is told, the station goes on
            self._serials.discard()
            return self._refuse(upload.who, slot, CallStatus.REFUSED, str(error)), 0, str(error)
        message = reached.message
        if reached.state != ChangeState.COMMITTED:
            message = f"{reached.state.name}: {message}"
        try:
            commit()
        except OSError as error:
            message = f"its serial number will be forgotten at the next start: {error}; {message}"
        self._changes(
            upload.who, f"update of model {slot}", f"serial number {serial}, signed by {found.key.text}: {message}"
        )
        return CallStatus.OK, reached.version, message

    def _refuse(self, who: str, slot: str, status: CallStatus, why: str) -> CallStatus:
        self._audit(who, f"update of model {slot}", f"refused: {why}")
        return status


class ClientUploads:
    """What one connection uploads: one file at a time. `activate` is for a thread; the others return at once."""

    def __init__(self, updates: Updates, who: str) -> None:
        self._updates, self._who = updates, who
        self._slot = ""
        self._upload: _Upload | None = None

    def begin(self, model: str, size: int, signature: bytes) -> int:
        """Begin an upload of `size` bytes, in place of one that this connection has begun. Gives a status."""
        if self._upload is not None and self._upload.is_activating:
            return CallStatus.BUSY
        self.abort()
        upload = _Upload(self._who, size, signature, self._updates._now())
        status = self._updates._begin(model, upload)
        if status == CallStatus.OK:
            self._slot, self._upload = model, upload
        return status

    def begin_open(self, model: str, signature: bytes) -> int:
        """Begin an upload whose size is known when it ends (`end_open`): at most what an upload may have. Gives a status."""
        return self.begin(model, self._updates.most_bytes, signature)

    def end_open(self) -> int:
        """What came is all. Gives a status."""
        upload = self._held()
        if upload is None or upload.is_activating or not upload.data:
            return CallStatus.INCOMPLETE
        upload.size = len(upload.data)
        return CallStatus.OK

    def data(self, offset: int, data: bytes) -> int:
        """Take the next part of the file, or the newest one once more. Gives a status."""
        upload = self._held()
        if upload is None or upload.is_activating:
            return CallStatus.INCOMPLETE
        got = upload.data
        is_repeated = offset == upload.last and got and bytes(got[offset:]) == data
        if not is_repeated:
            if offset != len(got) or offset + len(data) > upload.size:
                return CallStatus.INCOMPLETE
            got += data
            upload.last = offset
        upload.touched = self._updates._now()
        return CallStatus.OK

    def activate(self, model: str) -> Answer:
        """Check the signature, and have the version taken. Takes as long as the gate takes; never raises."""
        upload = self._held()
        if upload is None or model != self._slot or len(upload.data) != upload.size:
            return CallStatus.INCOMPLETE, 0, "the upload was not begun, or is not whole"
        if upload.is_activating:
            return CallStatus.BUSY, 0, "it is being activated"
        upload.is_activating = True
        try:
            status, version, message = self._updates._activate(self._slot, upload)
            return int(status), version, message[:MOST_MESSAGE]
        except Exception as error:  # a mistake of ours must not end the connection without an answer
            return CallStatus.INTERNAL, 0, f"an error of ours, please report: {error!r}"[:MOST_MESSAGE]
        finally:
            self._updates._end(self._slot, upload)
            self._upload = None

    def abort(self) -> None:
        """Forget what was uploaded; also when the connection ends. An activation that has begun goes on."""
        if self._upload is not None and not self._upload.is_activating:
            self._updates._end(self._slot, self._upload)
            self._upload = None

    def _held(self) -> _Upload | None:
        """The upload, unless another client has displaced it."""
        if self._upload is not None and not self._updates._holds(self._slot, self._upload):
            self._upload = None
        return self._upload
