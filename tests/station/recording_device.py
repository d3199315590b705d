"""A Modbus TCP device in threads that keeps every write that anybody sends, with the connection that it came over."""

import struct

from tests.devices import TcpDevice
from tests.station.stations import AXIS, station_text

INPUTS = struct.pack(">2f", 1.0, 3.0)


class RecordingDevice:
    """Inputs 1.0 and 3.0 from input register 0; whatever is written is confirmed, and kept in `writes`."""

    def __init__(self):
        self.writes = []
        """(number of the connection, bytes written)"""
        self.connections = 0
        device = TcpDevice(self._serve)
        self.port, self.close = device.port, device.close

    @property
    def forces(self):
        """What was written, as floats, with the connection."""
        return [(number, struct.unpack(">f", data)[0]) for number, data in self.writes]

    def _serve(self, client):
        self.connections += 1
        number = self.connections
        with client.makefile("rb") as stream:
            while len(head := stream.read(7)) == 7:
                request = stream.read(int.from_bytes(head[4:6], "big") - 1)
                answer = self._answer(request, number)
                client.sendall(head[:4] + (len(answer) + 1).to_bytes(2, "big") + head[6:] + answer)

    def _answer(self, request, number):
        if request[0] in (3, 4):
            start, count = struct.unpack(">2H", request[1:5])
            data = INPUTS[2 * start : 2 * (start + count)]
            return request[:1] + bytes([len(data)]) + data
        self.writes.append((number, request[6:]))
        return request[:5]


def text_for(device, name="bench", server=0, link=""):
    """A station with the model `mean` on this device; `server`: a Modbus server at that port; `link`: more lines of the link."""
    table = f'[links.sim]\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = {device.port}\ntimeout = "10 s"\n{link}'
    axis = AXIS.replace("a = {}", 'a = { address = "input 0" }').replace("b = {}", 'b = { address = "input 2" }')
    axis = axis.replace("{ direction", '{ address = "holding 0", direction')
    text = station_text(name, table, axis)
    if server:
        text += f'\n[servers.plc]\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = {server}\n'
    return text
