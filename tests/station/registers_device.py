"""A Modbus TCP device that has some registers, refuses all others and every write, and keeps what it was asked."""

import struct
from collections.abc import Mapping

from tests.devices import TcpDevice

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2


class RegistersDevice:
    """`holding` and `input` have `registers` (number -> value). `asked`: (unit, function, first register, count)."""

    def __init__(self, registers: Mapping[int, int], unit: int = 1, silent: bool = False) -> None:
        self.registers, self.unit, self.silent = dict(registers), unit, silent
        self.asked: list[tuple[int, int, int, int]] = []
        self._device = TcpDevice(self._serve)
        self.port = self._device.port

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._device.close()

    @property
    def functions(self):
        """The function codes that it was asked with."""
        return {function for _, function, _, _ in self.asked}

    def _serve(self, client):
        with client.makefile("rb") as stream:
            while len(head := stream.read(7)) == 7:
                request = stream.read(int.from_bytes(head[4:6], "big") - 1)
                answer = self._answer(head[6], request)
                if not self.silent and head[6] == self.unit:
                    client.sendall(head[:4] + (len(answer) + 1).to_bytes(2, "big") + head[6:] + answer)

    def _answer(self, unit, request):
        function, first, count = struct.unpack(">BHH", request[:5])
        self.asked.append((unit, function, first, count))
        if function not in (3, 4):
            return bytes([function | 0x80, ILLEGAL_FUNCTION])
        numbers = [self.registers.get(n) for n in range(first, first + count)]
        if None in numbers:
            return bytes([function | 0x80, ILLEGAL_ADDRESS])
        return bytes([function, 2 * count]) + struct.pack(f">{count}H", *numbers)


def floats(first: int, *values: float, low_first: bool = True) -> dict[int, int]:
    """Registers from `first` on that hold these as float32."""
    words = [struct.unpack(">2H", struct.pack(">f", value)) for value in values]
    flat = [word for pair in words for word in (reversed(pair) if low_first else pair)]
    return dict(enumerate(flat, first))
