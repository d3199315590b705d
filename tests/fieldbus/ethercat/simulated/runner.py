"""A device without a bus and without a clock: its master's requests and its native steps, one by one, in time that a test owns."""

import ctypes

import numpy as np

from fieldbus.ethercat.simulated.device import Why
from rt_native.memory import Block
from tests.fieldbus.ethercat.simulated.fake_esc import Esc

_STEP = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 5)
_BEGIN_NS = 1_000_000_000


class Runner:
    """A device, its ESC, and its images."""

    def __init__(self, device, out_bytes, in_bytes):
        self.device, self.esc = device, Esc(out_bytes, in_bytes)
        self.out_bytes, self.in_bytes = out_bytes, in_bytes
        self._out, self._in = Block(64), Block(64)
        self.now_ns, self.is_op = _BEGIN_NS, False
        device.power_on(self.esc)
        self._call = _STEP(device.step.address)

    def go(self, *states):
        """Ask for states, one after the other; the AL status at the end."""
        for state in states:
            if state & 0x0F == 8:
                self.esc.newest = b""
            self.device.al_control(self.esc, state)
        self.is_op = self.esc.shown[0] == 8
        return self.esc.shown

    def step(self, outputs=None, why=Why.PERIOD, after_ns=1_000_000):
        """One native step, with new outputs where they are given; the inputs' image."""
        self.now_ns += after_ns
        if outputs is not None:
            self._out.view(np.uint8, 0, len(outputs))[:] = np.frombuffer(outputs, np.uint8)
            why |= Why.OUTPUTS
        if self.is_op:
            why |= Why.OPERATIONAL
        out = self._out.address if self.out_bytes else 0
        self._call(self.device.step.block.address, out, self._in.address if self.in_bytes else 0, self.now_ns, int(why))
        return self._in.view(np.uint8, 0, max(self.in_bytes, 1))[: self.in_bytes].tobytes()

    def sdo(self, index, data=None, subindex=0):
        """Read, or write, an entry as CoE does."""
        objects, state = self.device.objects, self.device.al.state
        if data is None:
            return objects.read(index, subindex, state)
        return objects.write(index, subindex, data, state)
