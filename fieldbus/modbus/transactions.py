"""The requests of a plan -> transactions of the native exchange: frames around bodies. Pure.

TCP   number 2 | protocol 2 (0) | length 2 | unit 1 | function 1 | body            MODBUS Messaging on TCP/IP V1.0b, 3.1.3
RTU                                          unit 1 | function 1 | body | CRC 2    MODBUS over Serial Line V1.02, 2.5.1
"""

import struct
from typing import Final

from fieldbus.exchange.plan import Frames, Kept, Line, Pattern, Refusal, Transaction
from fieldbus.modbus.protocol import MOST_PDU, PASSING, REFUSED
from fieldbus.modbus.requests import Request

MBAP_BYTES: Final = 7
_NUMBER = bytes(2)
_PROTOCOL = bytes(2)
_CRC = bytes(2)


def tcp_frames(*, any_number: bool = False) -> Frames:
    """How frames are cut from a TCP stream."""
    return Frames(
        header_bytes=6, length_at=4, length_bytes=2, length_add=6, least=MBAP_BYTES + 2, most=MBAP_BYTES + MOST_PDU,
        number_at=0, number_bytes=2, any_number=any_number,
    )  # fmt: skip


def rtu_frames(line: Line) -> Frames:
    """How frames end on a serial line."""
    return Frames(line=line)


def transaction(request: Request, *, serial: bool = False, any_unit: bool = False) -> Transaction:
    """A request and what must come back. `any_unit`: the answer may name another unit."""
    unit, function = bytes([request.unit]), bytes([request.function])
    at = 2 if serial else MBAP_BYTES + 1
    refused = bytes([request.function | REFUSED])
    echoed = (at, request.echoed) if request.echoed else (0, 0)
    return Transaction(
        label=str(request),
        request=_framed(unit + function + request.template, serial),
        answer=None
        if not request.answered
        else _pattern((unit, not any_unit), (function, True), serial=serial, body=request.answer, fixed=request.fixed),
        refusal=Refusal(
            _pattern((unit, not any_unit), (refused, True), serial=serial, body=b"\0", fixed=b"\0"),
            at,
            frozenset(PASSING),
        ),
        outputs=tuple(request.outputs),
        outputs_at=at,
        inputs=tuple(request.inputs),
        inputs_at=at,
        keeps=tuple(Kept(keep.byte, keep.mask, keep.cell) for keep in request.keeps),
        echoed=echoed,
    )


def bare_read(unit: int, function: int, where: tuple[int, int], nbytes: int, *, any_unit: bool) -> Transaction:
    """A read of (address, count), answered with `nbytes`, on a serial line, that carries no tag: it asks whether a unit answers."""
    head, refused = bytes([unit]), bytes([function | REFUSED])
    data = bytes(nbytes)
    return Transaction(
        label=f"unit {unit}",
        request=_framed(head + bytes([function]) + struct.pack(">HH", *where), True),
        answer=_pattern(
            (head, not any_unit), (bytes([function]), True), (bytes([nbytes]), True), serial=True, body=data, fixed=data
        ),
        refusal=Refusal(_pattern((head, not any_unit), (refused, True), serial=True, body=b"\0", fixed=b"\0"), 2),
    )


def _framed(pdu: bytes, serial: bool) -> bytes:
    return pdu + _CRC if serial else _NUMBER + _PROTOCOL + len(pdu).to_bytes(2, "big") + pdu


def _pattern(*parts: tuple[bytes, bool], serial: bool, body: bytes, fixed: bytes) -> Pattern:
    head = Pattern.of(*parts)
    frame, mask = head.frame + body, head.fixed + fixed
    if serial:
        return Pattern(frame + _CRC, mask + bytes(2))
    before = Pattern.of((_NUMBER, False), (_PROTOCOL, True), (len(frame).to_bytes(2, "big"), True))
    return Pattern(before.frame + frame, before.fixed + mask)
