"""One client's calls of models: predict, lookup, attributes, and updates.

An answer is bytes, or a job: what takes long, to be run in a thread, so that no other client waits for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from fieldbus.ads.protocol import Error
from plc_bindings.ads.codes import AdsError
from plc_bindings.ads.device import Device
from plc_bindings.ads.groups import (
    ATTRIBUTE,
    LOOKUP,
    NAME_BYTES,
    PREDICT,
    PREDICT_REF,
    UPLOAD_ABORT,
    UPLOAD_ACTIVATE,
    UPLOAD_BEGIN,
    UPLOAD_DATA,
)
from plc_bindings.ads.symbols import text
from plc_bindings.calls.predict import RESULT, RESULT_HEADER, Predictor
from plc_bindings.data.models import Served
from plc_bindings.security.access import Client
from plc_bindings.status import CallStatus
from rt_engine import Context
from rt_native.text import visible

Job = Callable[[], bytes]
Answer = bytes | Job

UPLOADS: Final = frozenset((UPLOAD_BEGIN, UPLOAD_DATA, UPLOAD_ABORT))
"""Groups of Write; those of ReadWrite are in `CALLS`."""
_UPLOAD_ERRORS: Final[dict[int, Error]] = {CallStatus.NOT_ALLOWED: Error.NOT_PERMITTED, CallStatus.BUSY: Error.BUSY}
"""Status of an upload's request -> ADS error; all others: bad data."""
_WORD: Final = struct.Struct("<I")


class ClientCalls:
    """Those of one client. One call at a time: no other while a job runs."""

    def __init__(self, device: Device, client: Client) -> None:
        self._device, self._client = device, client
        self._limits = device.access.limits
        self._predictor = Predictor(device.models, self._limits.batch, device.paces)
        self._called = 0
        self._uploads = device.uploads(client.name) if device.uploads is not None else None

    def called(self) -> tuple[Served, Context, int] | None:
        """See `AdsSession.called`."""
        number, self._called = self._called, 0
        return self._predictor.caller(number)

    def close(self) -> None:
        """The client is gone."""
        self._predictor.close()
        if self._uploads is not None:
            self._uploads.abort()

    def predict(self, number: int, size: int, data: bytes) -> Answer:
        """Inputs -> status, version, outputs. Nothing is computed for a client that asks for fewer bytes than it gets."""
        served = self._device.models.find(number)
        if served is None:
            return self._predictor.call(number, data)[:size]
        ends = served.signature
        count = len(data) // ends.inputs.size if ends.inputs.size else 1
        wanted = RESULT_HEADER + count * ends.outputs.size
        if wanted > self._limits.frame_bytes:
            return RESULT.pack(CallStatus.TOO_MANY, served.slot.version)[:size]
        if wanted > size:
            raise AdsError(Error.BAD_SIZE)
        if self._predictor.is_slow(served, count):
            return lambda: self._predictor.call(number, data)
        answer = self._predictor.call(number, data)
        self._called = 0 if self._predictor.is_slow(served, count) else number
        return answer

    def predict_ref(self, _: int, size: int, data: bytes) -> Answer:
        """The same; the model's name comes before the inputs."""
        served = self._device.models.find(text(data[:NAME_BYTES]))
        return self.predict(served.number if served else 0, size, data[NAME_BYTES:])

    def lookup(self, _: int, size: int, data: bytes) -> Answer:
        """What a model's number and ends are."""
        served = self._device.models.find(text(data))
        if served is None:
            return struct.pack("<6I", CallStatus.UNKNOWN_MODEL, 0, 0, 0, 0, 0)[:size]
        ends = served.signature
        numbers = (0, served.number, ends.hash, served.slot.version, ends.inputs.size, ends.outputs.size)
        return struct.pack("<6I", *numbers)[:size]

    def attribute(self, number: int, size: int, data: bytes) -> Answer:
        """A custom attribute of a model."""
        served = self._device.models.find(number)
        if served is None:
            return _WORD.pack(CallStatus.UNKNOWN_MODEL)[:size]
        value = self._device.attributes(served.name).get(text(data))
        if value is None:
            return _WORD.pack(CallStatus.UNKNOWN_ATTRIBUTE)[:size]
        return (_WORD.pack(0) + visible(value).encode())[: max(size - 1, 0)] + b"\0"

    def upload(self, group: int, offset: int, data: bytes) -> None:
        """Begin an upload, take a part of it, or forget it."""
        if self._uploads is None:
            raise self._not_enabled()
        status = 0
        if group == UPLOAD_BEGIN:
            served = self._device.models.find(offset)
            if served is None or len(data) <= _WORD.size:
                raise AdsError(Error.BAD_DATA)
            status = self._uploads.begin(served.name, _WORD.unpack_from(data)[0], data[_WORD.size :])
        elif group == UPLOAD_DATA:
            status = self._uploads.data(offset, data)
        else:
            self._uploads.abort()
        if status:
            raise AdsError(_UPLOAD_ERRORS.get(status, Error.BAD_DATA))

    def activate(self, number: int, size: int, _: bytes) -> Answer:
        """Replace a model by what was uploaded."""
        served, uploads = self._device.models.find(number), self._uploads
        if uploads is None:
            raise self._not_enabled()
        if served is None:
            return RESULT.pack(CallStatus.UNKNOWN_MODEL, 0)[:size]
        name = served.name

        def work() -> bytes:
            status, version, message = uploads.activate(name)
            return (RESULT.pack(status, version) + visible(message).encode())[: max(size - 1, 0)] + b"\0"

        return work

    def _not_enabled(self) -> AdsError:
        self._device.access.audit(self._client.name, "model upload", "refused: not enabled")
        return AdsError(Error.NO_SERVICE)


CALLS: Final[dict[int, Callable[[ClientCalls, int, int, bytes], Answer]]] = {
    PREDICT: ClientCalls.predict,
    PREDICT_REF: ClientCalls.predict_ref,
    LOOKUP: ClientCalls.lookup,
    ATTRIBUTE: ClientCalls.attribute,
    UPLOAD_ACTIVATE: ClientCalls.activate,
}
NOT_IN_SUMS: Final = frozenset((PREDICT, PREDICT_REF, UPLOAD_ACTIVATE))
"""What may take long."""
