"""Terminals: a coupler, digital inputs and outputs of one bit each, analogue inputs and outputs with status bits."""

from collections.abc import Mapping, Sequence

import numpy as np

from fieldbus.ethercat.simulated.al import Rules
from fieldbus.ethercat.simulated.coe_slave import CoeSlave, Description
from fieldbus.ethercat.simulated.device import EscKind, Pdi, Why
from fieldbus.ethercat.simulated.objects import Access, Dictionary, Entry, Type, record
from fieldbus.ethercat.simulated.process_data import PdoMap
from fieldbus.ethercat.simulated.sii import FmmuUse, Identity, Manager, Purpose, Sii, SiiEntry, SiiPdo
from fieldbus.ethercat.simulated.slave import Image, Row, Slave, number_of
from fieldbus.ethercat.simulated.slave_block import CHANNEL, WIRE
from rt_native.memory import Block

_MEMORY = 0x1000
_OUTPUTS, _INPUTS = 0x44, 0x00
_FULL_SCALE_V, _UNITY = 10.0, 65536
_SMALL = EscKind(type_number=0x12, fmmus=3, sync_managers=4, ram_bytes=1024, has_clock=False)
"""The smallest ESC (ET1200, data sheet section I): what simple terminals have."""
_READ_WRITE = Access.RW | Access.SETTINGS


class Coupler(Slave):
    """The head of a row of terminals: an ESC without process data."""

    def __init__(self, identity: Identity, alias: int = 0, name: str = "Simulated coupler") -> None:
        super().__init__(Rules(is_simple=True), EscKind(), Image(), Why.PERIOD, 1_000_000)
        self.step = None
        self.sii = Sii(identity, name, "SIM-C", "Simulated", alias, current_ma=-2000).image()


class Digital(Slave):
    """`channels` digital inputs, or outputs, of one bit each: no mailbox, no firmware, PDOs in the EEPROM alone."""

    def __init__(self, identity: Identity, name: str, channels: int, is_output: bool, period_ns: int = 250_000) -> None:
        self.channels, self.is_output = channels, is_output
        nbytes = -(-channels // 8)
        rules = Rules(
            is_simple=True, output_manager=0 if is_output else -1, input_manager=-1 if is_output else 0,
            output_bytes=nbytes * is_output, input_bytes=nbytes * (not is_output),
        )  # fmt: skip
        on = Why.OUTPUTS | Why.PERIOD if is_output else Why.PERIOD
        super().__init__(rules, _SMALL, Image(), on, period_ns)
        self.image.head["zeroes"] = 1
        self.sii = self._sii(identity, name, nbytes).image()

    @property
    def values(self) -> list[bool]:
        """The channels now."""
        return [bool(word) for word in self.image.words[: self.channels]]

    def set_inputs(self, values: Sequence[bool]) -> None:
        """What lies at the inputs."""
        self.image.words[: len(values)] = values

    def layout(self) -> tuple[list[Row], list[Row]]:
        """Bit by bit."""
        rows = [(i, 1, i, False) for i in range(self.channels)]
        return (rows, []) if self.is_output else ([], rows)

    def _sii(self, identity: Identity, name: str, nbytes: int) -> Sii:
        first, objects, word = (0x1600, 0x7000, "Output") if self.is_output else (0x1A00, 0x6000, "Input")
        pdos = tuple(
            SiiPdo(first + i, f"Channel {i + 1}", (SiiEntry(objects + 16 * i, 1, word, Type.BOOL, 1),), 0)
            for i in range(self.channels)
        )
        purpose, use = (Purpose.OUTPUTS, FmmuUse.OUTPUTS) if self.is_output else (Purpose.INPUTS, FmmuUse.INPUTS)
        manager = Manager(_MEMORY, nbytes, _OUTPUTS if self.is_output else _INPUTS, purpose)
        order = f"SIM-D{'O' if self.is_output else 'I'}{self.channels}"
        return Sii(
            identity, name, order, "Simulated", fmmus=(use,), managers=(manager,),
            tx_pdos=() if self.is_output else pdos, rx_pdos=pdos if self.is_output else (),
        )  # fmt: skip


class AnalogueOutputs(CoeSlave):
    """Outputs of -10 to 10 V, 16 bits each: 0x7000:01, 0x7010:01, ..."""

    def __init__(self, about: Description, channels: int) -> None:
        self.channels = channels
        maps = [PdoMap(0x1600 + i, f"AO RxPDO-Map channel {i + 1}", ((0x7000 + 16 * i, 1),)) for i in range(channels)]
        super().__init__(about, self._fill, maps, Why.OUTPUTS | Why.PERIOD)
        self.image.head["zeroes"] = 1

    def _fill(self, objects: Dictionary) -> None:
        for i in range(self.channels):
            value = Entry("Analog output", Type.INT16, Access.RW | Access.RX)
            objects.add(record(0x7000 + 16 * i, f"AO outputs channel {i + 1}", {1: value}))

    @property
    def volts(self) -> list[float]:
        """What the channels give now."""
        numbers = (self.objects.number(0x7000 + 16 * i, 1) for i in range(self.channels))
        return [number * _FULL_SCALE_V / 32768 for number in numbers]


class AnalogueInputs(CoeSlave):
    """Inputs of -10 to 10 V, 16 bits each, with status: 0x6000:01 .. 17, 0x6010:.., settings 0x8000.

    PDO 0x1A00 + 2i is channel i with its status, 0x1A01 + 2i its value alone, which is not assigned as it comes.
    """

    def __init__(self, about: Description, channels: int) -> None:
        self.channels = channels
        maps = []
        for i in range(channels):
            index = 0x6000 + 16 * i
            bits = tuple((index, subindex) for subindex in (1, 2, 3, 5, 7))
            status: tuple[tuple[int, int] | int, ...] = (
                *bits,
                6,
                *((index, subindex) for subindex in (14, 15, 16, 17)),
            )
            maps.append(PdoMap(0x1A00 + 2 * i, f"AI TxPDO-Map standard channel {i + 1}", status))
            maps.append(PdoMap(0x1A01 + 2 * i, f"AI TxPDO-Map compact channel {i + 1}", ((index, 17),), False))
        super().__init__(about, self._fill, maps)
        app = Block(16 + CHANNEL.itemsize * channels)
        app.view(np.int64, 8)[0] = channels
        self.rows = app.view(CHANNEL, 16, channels)
        self.wires: Block | None = None
        for i, row in enumerate(self.rows):
            self._lay(row, i)
        self.apply("analogue_step", app)

    def set_volts(self, channel: int, volts: float) -> None:
        """What lies at an input; NaN: its wire is broken."""
        self.rows[channel]["volts"] = volts

    def order(self, esc: Pdi, name: str, arguments: Mapping[str, object]) -> object:
        """Faults to order: `broken` (channel, on)."""
        if name == "broken":
            self.rows[number_of(arguments, "channel", 0)]["is_broken"] = int(bool(arguments.get("on", True)))
            return None
        return super().order(esc, name, arguments)

    def _fill(self, objects: Dictionary) -> None:
        ro = Access.RO | Access.TX
        for i in range(self.channels):
            inputs = {
                1: Entry("Underrange", Type.BOOL, ro), 2: Entry("Overrange", Type.BOOL, ro),
                3: Entry("Limit 1", Type.BIT2, ro), 5: Entry("Limit 2", Type.BIT2, ro), 7: Entry("Error", Type.BOOL, ro),
                14: Entry("Sync error", Type.BOOL, ro), 15: Entry("TxPDO State", Type.BOOL, ro),
                16: Entry("TxPDO Toggle", Type.BOOL, ro), 17: Entry("Value", Type.INT16, ro),
            }  # fmt: skip
            settings = {
                7: Entry("Enable limit 1", Type.BOOL, _READ_WRITE), 8: Entry("Enable limit 2", Type.BOOL, _READ_WRITE),
                17: Entry("User scale offset", Type.INT16, _READ_WRITE, default=0),
                18: Entry("User scale gain", Type.INT32, _READ_WRITE, default=_UNITY),
                19: Entry("Limit 1", Type.INT16, _READ_WRITE), 20: Entry("Limit 2", Type.INT16, _READ_WRITE),
            }  # fmt: skip
            objects.add(record(0x6000 + 16 * i, f"AI inputs channel {i + 1}", inputs))
            objects.add(record(0x8000 + 16 * i, f"AI settings channel {i + 1}", settings))

    def _lay(self, row: "np.void", channel: int) -> None:
        inputs = ("underrange", 1), ("overrange", 2), ("limit_1", 3), ("limit_2", 5), ("error", 7)
        more = ("state", 15), ("toggle", 16), ("value", 17)
        settings = ("watches_1", 7), ("watches_2", 8), ("offset", 17), ("gain", 18), ("bound_1", 19), ("bound_2", 20)
        for base, names in ((0x6000, inputs + more), (0x8000, settings)):
            for name, subindex in names:
                entry = self.objects.objects[base + 16 * channel].entries[subindex]
                row[name] = self.image.cell(entry.cell)
        row["full_scale"], row["lowest"] = _FULL_SCALE_V, -32768.0


def wire_digital(outputs: Digital, inputs: Digital) -> None:
    """Channel by channel from digital outputs to digital inputs."""
    count = min(outputs.channels, inputs.channels)
    pairs = [(outputs.image.cell(i), inputs.image.cell(i)) for i in range(count)]
    inputs.apply("wires_step", _wires(pairs, False))


def wire_analogue(outputs: AnalogueOutputs, inputs: AnalogueInputs) -> None:
    """Channel by channel from analogue outputs to analogue inputs."""
    volts = inputs.rows["volts"]
    pairs = []
    for i in range(min(outputs.channels, inputs.channels)):
        entry = outputs.objects.objects[0x7000 + 16 * i].entries[1]
        pairs.append((outputs.image.cell(entry.cell), volts[i:].ctypes.data))
    wires = _wires(pairs, True)
    inputs.wires = wires
    inputs.app.view(np.int64)[0] = wires.address


def _wires(pairs: Sequence[tuple[int, int]], is_volts: bool) -> Block:
    block = Block(8 + WIRE.itemsize * len(pairs))
    block.view(np.int64)[0] = len(pairs)
    rows = block.view(WIRE, 8, len(pairs))
    rows["source"], rows["target"] = [p[0] for p in pairs], [p[1] for p in pairs]
    rows["is_volts"], rows["scale"] = int(is_volts), _FULL_SCALE_V / 32768
    return block
