"""pymodbus' own server as a process of its own: 2000 addresses in each table, unit 1.

    pymodbus_server.py tcp PORT
    pymodbus_server.py tls PORT CERTIFICATE KEY
    pymodbus_server.py rtu DEVICE

Input register n holds n, discrete input n is on if n is a multiple of 3. Writes "ready" when it listens.
"""

import asyncio
import ssl
import sys
from typing import Any

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice


def device() -> SimDevice:
    coils = [SimData(0, values=[False] * 2000, datatype=DataType.BITS)]
    discrete = [SimData(0, values=[n % 3 == 0 for n in range(2000)], datatype=DataType.BITS)]
    holding = [SimData(0, values=[0] * 2000, datatype=DataType.REGISTERS)]
    inputs = [SimData(0, values=list(range(2000)), datatype=DataType.REGISTERS)]
    return SimDevice(1, simdata=(coils, discrete, holding, inputs))


async def main(kind: str, where: str, *files: str) -> None:
    server: Any
    if kind == "rtu":
        server = ModbusSerialServer(device(), port=where, framer=FramerType.RTU, baudrate=19200)
    elif kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server = ModbusTlsServer(device(), address=("127.0.0.1", int(where)), sslctx=context)
    else:
        server = ModbusTcpServer(device(), address=("127.0.0.1", int(where)))
    await server.serve_forever(background=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
