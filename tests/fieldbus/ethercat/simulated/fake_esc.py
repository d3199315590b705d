"""An ESC without a bus: memory, and what its device showed and sent."""

import struct


class Esc:
    """What a `Device` sees; sync managers are set as a slave with a mailbox of 128 bytes wants them."""

    position = 0

    def __init__(self, out_bytes=6, in_bytes=8):
        self.memory = bytearray(0x3000)
        self.memory[0x04] = 4
        self.shown = (1, 0)
        self.sent = []
        self.newest = None
        self.manager(0, 0x1000, 128, 0x26)
        self.manager(1, 0x1080, 128, 0x22)
        self.manager(2, 0x1100, out_bytes, 0x64, out_bytes > 0)
        self.manager(3, 0x1400, in_bytes, 0x20, in_bytes > 0)

    def manager(self, number, start, nbytes, control, activate=1):
        """Set a sync manager."""
        self.put(0x800 + 8 * number, struct.pack("<HHBBBB", start, nbytes, control, 0, activate, 0))

    def fmmu(self, number, start, nbytes, kind):
        """Set an FMMU."""
        self.put(0x600 + 16 * number, struct.pack("<IHBBHBBB3x", 0x10000, nbytes, 0, 7, start, 0, kind, 1))

    def put(self, address, data):
        """Set memory."""
        self.memory[address : address + len(data)] = data

    def read(self, address, nbytes):
        return bytes(self.memory[address : address + nbytes])

    write = put

    def al_status(self, state, code=0):
        self.shown = (state, code)

    def outputs(self, manager=2):
        return self.newest

    def inputs(self, data, manager=3):
        raise NotImplementedError

    def send(self, message):
        self.sent.append(message)

    def forget_messages(self):
        self.sent.clear()
