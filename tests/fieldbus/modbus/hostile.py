"""A Modbus TCP device that can be told to misbehave. Its registers are zeros; what it was asked is kept."""

import socket
import struct
import time

from tests.devices import TcpDevice

MODES = (
    "good", "garbage", "half", "silence", "exception", "write_exception", "refuse_register_0", "cut", "drip", "short",
    "other_function", "no_function",
)  # fmt: skip


class Hostile:
    """Serves 127.0.0.1:`port`; `mode` is one of `MODES` and may change at any time. `asked` holds (function, body)."""

    def __init__(self) -> None:
        self.mode = "good"
        self.asked: list[tuple[int, bytes]] = []
        self._device = TcpDevice(self._serve)
        self.port = self._device.port

    @property
    def connections(self) -> int:
        """How many there were."""
        return self._device.connections

    @property
    def is_idle(self) -> bool:
        """Has everything been heard that came on connections which are over?"""
        return self._device.is_idle

    def __enter__(self) -> "Hostile":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._device.close()

    def _serve(self, sock: socket.socket) -> None:
        while self._comes(sock) and len(head := sock.recv(7, socket.MSG_WAITALL)) == 7:
            tid, _, length, unit = struct.unpack(">HHHB", head)
            pdu = sock.recv(length - 1, socket.MSG_WAITALL)
            self.asked.append((pdu[0], pdu[1:]))
            if not self._answer(sock, tid, unit, pdu[0], pdu[1:]):
                break

    def _comes(self, sock: socket.socket) -> bool:
        """Wait for the next request, or the end."""
        return True

    def _answer(self, sock: socket.socket, tid: int, unit: int, function: int, body: bytes) -> bool:
        """Send what the mode says; gives whether the connection stays."""
        good = _frame(tid, unit, self._good_answer(function, body))
        refused = _frame(tid, unit, bytes([function | 0x80, 2]))
        writing = function in (5, 6, 15, 16)
        mode = self.mode
        if mode == "cut":
            return False
        if mode == "drip":  # a byte at a time, for ever
            while self.mode == "drip":
                sock.sendall(good[:1])
                time.sleep(0.005)
            return False
        frames = {
            "garbage": b"\x15\x03\x01\x00\x02\x02\x50" * 4,
            "half": good[: len(good) // 2],
            "silence": b"",
            "exception": refused,
            "no_function": _frame(tid, unit, bytes([function | 0x80, 1])),
            "write_exception": refused if writing else good,
            "refuse_register_0": refused if writing and body[:2] == b"\0\0" else good,
            "short": _frame(tid, unit, good[7:-1]),
            "other_function": _frame(tid, unit, bytes([4]) + good[8:]),
        }
        sock.sendall(frames.get(mode, good))
        return True

    def _good_answer(self, function: int, body: bytes) -> bytes:
        if function in (5, 6, 15, 16):
            return bytes([function]) + body[:4]
        count = struct.unpack(">H", body[2:4])[0]
        nbytes = (count + 7) // 8 if function in (1, 2) else 2 * count
        return bytes([function, nbytes]) + bytes(nbytes)


def _frame(tid: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu
