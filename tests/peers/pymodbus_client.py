"""Every function of pymodbus' client against a server: python -m tests.peers.pymodbus_client HOST PORT PLACES

PLACES is JSON: addresses of coil, word, float, refused (read-only), inputs and outputs of predict.
"""

import json
import struct
import sys
from typing import Any

from pymodbus.client import ModbusTcpClient

from tests.peers.features import Features
from tests.peers.plant import INPUTS

feature = Features()


def words(data: bytes) -> list[int]:
    """Big-endian bytes as registers."""
    return list(struct.unpack(f">{len(data) // 2}H", data))


def bits(client: ModbusTcpClient, coil: int) -> None:
    """FC 1, 2, 5, 15."""
    feature("FC 5")(lambda: client.write_coil(coil, True).bits[0])
    feature("FC 1")(lambda: client.read_coils(coil, count=1).bits[0])
    feature("FC 2")(lambda: client.read_discrete_inputs(coil, count=1).bits[0])

    @feature("FC 15")
    def _() -> Any:
        client.write_coils(coil, [False])
        return client.read_coils(coil, count=1).bits[0]


def registers(client: ModbusTcpClient, places: dict[str, int]) -> None:
    """FC 3, 4, 6, 16, 22, refusals."""
    word = places["word"]
    feature("FC 6")(lambda: client.write_register(word, 4711).registers)
    feature("FC 3")(lambda: client.read_holding_registers(word, count=1).registers)
    feature("FC 4")(lambda: client.read_input_registers(word, count=1).registers)

    @feature("FC 22")
    def _() -> Any:
        client.mask_write_register(address=word, and_mask=0x00F0, or_mask=0x000F)
        return client.read_holding_registers(word, count=1).registers[0]

    @feature("FC 16")
    def _() -> Any:
        client.write_registers(places["float"], words(struct.pack(">f", -8.5)))
        found = client.read_holding_registers(places["float"], count=2).registers
        return struct.unpack(">f", struct.pack(">2H", *found))[0]

    feature("FC 6 refused")(lambda: client.write_register(places["refused"], 1).exception_code)
    feature("FC 3 beyond the end")(lambda: client.read_holding_registers(65500, count=2).exception_code)


def calls(client: ModbusTcpClient, places: dict[str, int]) -> None:
    """FC 23, 43."""

    @feature("FC 23 predict")
    def _() -> Any:
        values = words(INPUTS.astype(">f4").tobytes())
        reply = client.readwrite_registers(
            read_address=places["outputs"], read_count=12, write_address=places["inputs"], values=values
        )
        return struct.unpack(">II4f", struct.pack(">12H", *reply.registers))

    @feature("FC 43")
    def _() -> Any:
        return len(client.read_device_information().information)


def main() -> None:
    """Connect, try everything, print."""
    host, port, text = sys.argv[1:]
    places = json.loads(text)
    client = ModbusTcpClient(host, port=int(port), timeout=30)
    assert client.connect()
    bits(client, places["coil"])
    registers(client, places)
    calls(client, places)
    client.close()
    feature.show()


if __name__ == "__main__":
    main()
