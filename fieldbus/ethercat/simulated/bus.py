"""A bus of simulated slaves: on one or two network interfaces, or without a wire, frame by frame.

    with Bus([Mirror(), Mirror()], "veth1") as bus:       # a master on veth0 finds two slaves
        bus.order({"do": "power", "slave": 1, "on": False})

One thread is the bus (native code, no Python; at the lowest real-time priority, where that is allowed), another calls the devices.
"""

import ctypes
import os
import select
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import numpy as np

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.device import Device
from fieldbus.ethercat.simulated.esc import Esc
from fieldbus.ethercat.simulated.layout import (
    BUS,
    EVENT,
    EVENTS,
    FAULT,
    FAULTS,
    FRAME_BYTES,
    HELD,
    HOLD,
    REGISTERS,
    Event,
)
from fieldbus.ethercat.simulated.native import NATIVE
from fieldbus.ethercat.simulated.orders import carry_out
from fieldbus.ethercat.simulated.wires import open_port
from rt_native.memory import Block

EEPROM_NS: Final = 20_000
"""How long a command to an EEPROM takes; a real one takes ten times as long, and bring-up with it."""
COUNTERS: Final = (
    *("frames", "datagrams", "ignored", "malformed", "lost", "late", "doubled", "damaged", "garbled", "miscounted"),
    *("unsent", "events_lost", "longest_ns"),
)


class Bus:
    """Slaves in the order in which a frame from `interface` reaches them; with `second` the line is closed to a ring.

    Without an interface frames are carried by `carry`, and devices called by `attend`: a test owns time.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        interface: str | None = None,
        second: str | None = None,
        *,
        eeprom_ns: int = EEPROM_NS,
        seed: int = 1,
    ) -> None:
        self._block = Block(BUS.itemsize)
        self._words = self._block.view(BUS)
        self._rings = [Block(size) for size in (EVENT.itemsize * EVENTS, HELD.itemsize * HOLD, FAULT.itemsize * FAULTS)]
        self._tables = [Block(REGISTERS), Block(REGISTERS)]
        self._frames = [Block(FRAME_BYTES), Block(4 * FRAME_BYTES)]
        self._ports = [open_port(name) for name in (interface, second) if name is not None]
        self._wake, self._tell = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
        self._escs = [Esc(device, i, self._block.address, eeprom_ns) for i, device in enumerate(devices)]
        self._lay_out(seed)
        self._threads: list[threading.Thread] = []
        self._is_stopping = False
        for i in range(len(self.escs)):
            self.power(i, True)

    def _lay_out(self, seed: int) -> None:
        table = Block(8 * max(len(self.escs), 1))
        table.view(np.int64, count=max(len(self.escs), 1))[: len(self.escs)] = [esc.address for esc in self.escs]
        self._tables.append(table)
        self._tables[0].view(np.uint8, count=REGISTERS)[:] = registers.writable()
        self._tables[1].view(np.uint8, count=REGISTERS)[:] = registers.special()
        fds = [port.fileno() for port in self._ports] + [-1, -1]
        values = {
            **{"wake": self._wake, "tell": self._tell, "a": fds[0], "b": fds[1], "count": len(self.escs)},
            **{"escs": table.address, "access": NATIVE.address("esc_access"), "chance": seed},
            **dict(zip(("events", "held", "faults"), (block.address for block in self._rings), strict=True)),
            **{"writable": self._tables[0].address, "special": self._tables[1].address},
            **{"frame": self._frames[0].address, "scratch": self._frames[1].address},
        }
        for name, value in values.items():
            self._words[name] = value

    @property
    def escs(self) -> list[Esc]:
        """The slaves' ESCs, each with its device, by position."""
        return self._escs

    # --- life ---

    def start(self) -> None:
        """Be on the wire. With no interface: nothing."""
        if not self._ports or self._threads:
            return
        bus = threading.Thread(target=self._be_the_bus, name="simulated bus", daemon=True)
        self._threads = [bus, threading.Thread(target=self._attend, name="simulated slaves", daemon=True)]
        for thread in self._threads:
            thread.start()

    def _be_the_bus(self) -> None:
        with suppress(PermissionError):  # then a frame waits for a processor, as it does at no real slave
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        NATIVE.function("bus_run")(self._block.address)

    def close(self) -> None:
        """Leave the wire."""
        self._is_stopping = True
        self._words["stop"] = 1
        os.eventfd_write(self._wake, 1)
        os.eventfd_write(self._tell, 1)
        for thread in self._threads:
            thread.join()
        for port in self._ports:
            port.close()
        os.close(self._wake)
        os.close(self._tell)

    def __enter__(self) -> "Bus":
        """On the wire from here on."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Off the wire."""
        self.close()

    # --- devices ---

    def _attend(self) -> None:
        periods = [esc.device.poll_ns for esc in self.escs if esc.device.poll_ns > 0]
        timeout_s = min(periods) / 1e9 if periods else None
        while not self._is_stopping:
            if select.select([self._tell], [], [], timeout_s)[0]:
                os.eventfd_read(self._tell)
            self.attend()

    def attend(self) -> None:
        """Call the devices for all that has happened."""
        event = np.zeros(1, EVENT)
        take = NATIVE.function("bus_event")
        while take(self._block.address, event.ctypes.data):
            slave, kind, value = (int(event[name][0]) for name in ("slave", "kind", "value"))
            self._happened(self.escs[slave], Event(kind), value)
        for esc in self.escs:
            if esc.device.poll_ns > 0 and esc.is_on and not esc.word("hung_ns"):
                esc.device.poll(esc)

    def _happened(self, esc: Esc, event: Event, value: int) -> None:
        device = esc.device
        if event is Event.RESET:
            esc.forget_messages()
            device.power_on(esc)
            esc.install_step()
        elif not esc.is_on or esc.word("hung_ns"):
            return
        elif event is Event.AL_CONTROL:
            device.al_control(esc, value)
        elif event is Event.WATCHDOG:
            device.watchdog(esc)
        elif event is Event.MAILBOX_READ:
            esc.message_was_read()
        elif event is Event.REPEAT:
            esc.repeat(value)
        elif value == device.mailboxes[0]:
            message = esc.take_message(value)
            for answer in device.mailbox(esc, message) if message is not None else []:
                esc.send(answer)

    # --- what a test, or somebody at the plant, does ---

    def power(self, slave: int, is_on: bool) -> None:
        """Switch a slave on or off."""
        NATIVE.function("bus_power")(self.escs[slave].address, int(is_on), NATIVE.address("esc_reset"))
        if self._threads:
            os.eventfd_write(self._tell, 1)
        elif not self._ports:
            self.attend()

    def hang(self, slave: int, is_hung: bool) -> None:
        """Let a slave's device hang, or work again: then it sees what its master asked for last."""
        esc = self.escs[slave]
        since = time.monotonic_ns() if is_hung else 0
        NATIVE.function("bus_set")(self._block.address, esc.word_address("hung_ns"), since)
        if not is_hung and esc.is_on:
            self._happened(esc, Event.AL_CONTROL, int.from_bytes(esc.read(registers.AL_CONTROL, 2), "little"))
            self._happened(esc, Event.MAILBOX, esc.device.mailboxes[0])

    def cut(self, before: int, is_cut: bool = True) -> None:
        """Break the cable before slave `before`, or mend it; that behind the last one is before a slave that is not there."""
        if before == len(self.escs):
            assert BUS.fields is not None
            address = self._block.address + int(BUS.fields["last_cut"][1])
        else:
            address = self.escs[before].word_address("cut")
        NATIVE.function("bus_set")(self._block.address, address, int(is_cut))

    def fault(self, row: Mapping[str, int] | None) -> None:
        """Order a fault (a FAULT); None ends all.

        Raises:
            ValueError: There are too many already.
        """
        if row is None:
            NATIVE.function("bus_fault")(self._block.address, 0)
            return
        given = np.zeros(1, FAULT)
        for name, value in {"left": 1, "every": 1, "low": 0, "high": 255, **row}.items():
            given[name] = value
        if not NATIVE.function("bus_fault")(self._block.address, given.ctypes.data):
            raise ValueError(f"{FAULTS} faults are ordered already; end them first: calm")

    def order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an order: see `orders`."""
        return carry_out(self, order)

    def counters(self) -> dict[str, int]:
        """What happened to frames so far."""
        return {name: int(self._words[name][0]) for name in COUNTERS}

    def carry(self, frame: bytes, port: int = 0, now_ns: int | None = None) -> tuple[int, bytes] | None:
        """One frame without a wire: the port where it leaves, and what it is then; None: it does not come back."""
        data = ctypes.create_string_buffer(frame, max(len(frame), FRAME_BYTES))
        now = time.monotonic_ns() if now_ns is None else now_ns
        leaves = NATIVE.function("bus_carry")(self._block.address, ctypes.addressof(data), len(frame), port, now)
        self.attend()
        return None if leaves < 0 else (leaves, data.raw[: len(frame)])
