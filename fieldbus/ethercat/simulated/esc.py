"""One ESC, seen from Python: its memory, and what a device can do with it (`Pdi`)."""

import ctypes
from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.device import Device
from fieldbus.ethercat.simulated.layout import ESC, MEMORY, REGISTERS
from fieldbus.ethercat.simulated.native import NATIVE
from rt_native.memory import Block

_MOST: Final = 2048
_IDENTITY: Final = {"vendor": 16, "product": 20, "revision": 24, "serial": 28}
_ALIAS_AT, _CHECKED = 8, 14
_REPEAT: Final = 2


class Esc:
    """An ESC with a device behind it. It has no power until the bus gives it."""

    def __init__(self, device: Device, position: int, bus: int, eeprom_ns: int) -> None:
        self.device, self._position = device, position
        kind, sii = device.kind, device.sii
        self._block = Block(ESC.itemsize + MEMORY)
        self._eeprom = Block(max(len(sii), 16))
        self._initial = Block(REGISTERS)
        self._eeprom.view(np.uint8, count=len(sii))[:] = np.frombuffer(sii, np.uint8)
        self._eeprom_bytes = len(sii)
        self._waiting: deque[bytes] = deque()
        self._lying = self._was_read = b""
        self._words = self._block.view(ESC)
        self._set(memory=self.address + ESC.itemsize, initial=self._initial.address, bus=bus, position=position)
        self._set(ram_end=REGISTERS + kind.ram_bytes, managers=kind.sync_managers, fmmus=kind.fmmus)
        self._set(has_lrw=kind.has_lrw, emulates=kind.emulates_device, has_clock=kind.has_clock, hop_ns=kind.hop_ns)
        self._set(eeprom=self._eeprom.address, eeprom_bytes=len(sii), eeprom_ns=eeprom_ns)
        self._set(eeprom_at_once=kind.eeprom_at_once, crystal=kind.drift_ppm * 1e-6)
        self.read_eeprom()

    def _set(self, **values: float) -> None:
        for name, value in values.items():
            self._words[name] = value

    @property
    def address(self) -> int:
        """Of the struct ESC."""
        return self._block.address

    @property
    def position(self) -> int:
        """Its place on the bus, from 0."""
        return self._position

    @property
    def is_on(self) -> bool:
        """Has it power?"""
        return bool(self._words["is_on"][0])

    def word(self, name: str) -> Any:
        """A word of the struct ESC."""
        return self._words[name][0]

    def word_address(self, name: str) -> int:
        """Where a word of the struct ESC lies."""
        assert ESC.fields is not None
        return self.address + int(ESC.fields[name][1])

    @property
    def eeprom(self) -> NDArray[np.uint8]:
        """The EEPROM's bytes as they are now."""
        return self._eeprom.view(np.uint8, count=self._eeprom_bytes)

    def read_eeprom(self) -> None:
        """Registers after the next power-on are what the EEPROM says now."""
        image = registers.initial(self.device.kind, self.eeprom.tobytes())
        self._initial.view(np.uint8, count=REGISTERS)[:] = np.frombuffer(image, np.uint8)

    def identify(self, alias: int | None = None, **numbers: int) -> None:
        """Write another identity (`vendor`, `product`, `revision`, `serial`, `alias`) in the EEPROM; the alias is read at power-on."""
        for name, value in numbers.items():
            if name not in _IDENTITY:
                raise ValueError(f"an EEPROM has no {name!r}; it has {', '.join(_IDENTITY)}, alias")
            self.eeprom[_IDENTITY[name] : _IDENTITY[name] + 4] = np.frombuffer(value.to_bytes(4, "little"), np.uint8)
        if alias is not None:
            self.eeprom[_ALIAS_AT : _ALIAS_AT + 2] = np.frombuffer(alias.to_bytes(2, "little"), np.uint8)
            self.eeprom[_CHECKED] = registers.checksum(self.eeprom[:_CHECKED].tobytes())
        self.read_eeprom()

    def install_step(self) -> None:
        """Let the bus call the device's native step."""
        step = self.device.step
        if step is None:
            self._set(step=0)
            return
        self._set(state=step.block.address, on=int(step.on), period_ns=step.period_ns)
        self._set(out_manager=step.output_manager, in_manager=step.input_manager, step=step.address)

    # --- what a device does with it ---

    def read(self, address: int, nbytes: int) -> bytes:
        """Registers or memory."""
        self._check(address, nbytes)
        data = ctypes.create_string_buffer(nbytes)
        NATIVE.function("pdi_load")(self.address, address, ctypes.addressof(data), nbytes)
        return data.raw

    def write(self, address: int, data: bytes) -> None:
        """Registers that the PDI may write, or memory; sync managers do not guard against it."""
        self._check(address, len(data))
        NATIVE.function("pdi_store")(self.address, address, *_given(data))

    def al_status(self, state: int, code: int = 0) -> None:
        """Show a state (with 0x10 where there is an error) and an AL status code."""
        NATIVE.function("pdi_al")(self.address, state, code)

    def outputs(self, manager: int = 2) -> bytes | None:
        """The newest whole outputs; None: none came since the sync manager was activated."""
        return self._taken("pdi_outputs", manager)

    def inputs(self, data: bytes, manager: int = 3) -> None:
        """Give the master new inputs; exactly as many bytes as the sync manager has."""
        NATIVE.function("pdi_inputs")(self.address, manager, *_given(data))

    def send(self, message: bytes) -> None:
        """Put a mailbox message (with its header) in the queue of the master's; in the order given."""
        self._waiting.append(message)
        self.deliver()

    def forget_messages(self) -> None:
        """Empty that queue: the mailbox was switched off."""
        self._waiting.clear()
        self._lying = self._was_read = b""

    # --- what the bus does with it ---

    def deliver(self) -> None:
        """Put the next message in the master's mailbox, if that is empty. One that does not fit is dropped."""
        while self._waiting:
            done = NATIVE.function("pdi_put_message")(self.address, self.device.mailboxes[1], *_given(self._waiting[0]))
            if done == 0:
                return
            message = self._waiting.popleft()
            if done == 1:
                self._lying = message
                return

    def message_was_read(self) -> None:
        """The master has read what lay in its mailbox: the next can be put there."""
        self._was_read = self._lying
        self.deliver()

    def repeat(self, manager: int) -> None:
        """Put the message that the master read last in its mailbox again, before all others, and acknowledge that."""
        asked, acknowledged = self.read(registers.MANAGER + registers.MANAGER_BYTES * manager + 6, 2)
        if not (asked ^ acknowledged) & _REPEAT:
            return
        if NATIVE.function("pdi_recall_message")(self.address, manager):
            self._waiting.appendleft(self._lying)
        if self._was_read:
            self._waiting.appendleft(self._was_read)
        self.deliver()
        self.write(registers.MANAGER + registers.MANAGER_BYTES * manager + 7, bytes([acknowledged ^ _REPEAT]))

    def take_message(self, manager: int) -> bytes | None:
        """What the master wrote; the mailbox is empty again."""
        return self._taken("pdi_take_message", manager)

    def _taken(self, function: str, manager: int) -> bytes | None:
        data = ctypes.create_string_buffer(_MOST)
        nbytes = NATIVE.function(function)(self.address, manager, ctypes.addressof(data), _MOST)
        return None if nbytes < 0 else data.raw[:nbytes]

    @staticmethod
    def _check(address: int, nbytes: int) -> None:
        if address < 0 or nbytes < 0 or address + nbytes > MEMORY:
            raise ValueError(f"an ESC has no {nbytes} bytes at 0x{address:04X}; its memory ends at 0x{MEMORY:X}")


def _given(data: bytes) -> tuple[int, int]:
    """Address and length of bytes, for as long as they live."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0, len(data)
