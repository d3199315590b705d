"""The firmware of a simulated slave: its states, and its process data in native code.

bus --AL control--> AlMachine --entered--> the layout of process data
    --poll--------> outputs have come: OP; synchronisation lost: SAFEOP
    --native step-> images <-> words <-> application (terminal, drive)
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.al import AlCode, AlMachine, Refusal, Rules, is_clocked
from fieldbus.ethercat.simulated.device import Device, EscKind, NativeStep, Pdi, Why
from fieldbus.ethercat.simulated.slave_block import MOST_MOVES, MOVE, SLAVE
from rt_native.library import Library
from rt_native.memory import Block, align

NATIVE = Library(
    "fieldbus.ethercat.simulated.slaves",
    modules=("fieldbus.ethercat.simulated.slave_native", "fieldbus.ethercat.simulated.drive_native"),
)
_MOST_WORDS = 1024
_POLL_NS = 2_000_000


Row = tuple[int, int, int, bool]
"""An entry of an image: (bit, bits, word, is it signed)."""


class Image:
    """The native block of a slave: its words, and how they lie in its images."""

    def __init__(self) -> None:
        self._head_bytes, rows = align(SLAVE.itemsize), MOVE.itemsize * MOST_MOVES
        words_at = self._head_bytes + 2 * rows
        self.block = Block(words_at + 8 * _MOST_WORDS)
        self.head = self.block.view(SLAVE)[0]
        self.words = self.block.view(np.int64, words_at, _MOST_WORDS)
        self.words_address = self.block.address + words_at
        self._rows = [self.block.view(MOVE, self._head_bytes + i * rows, MOST_MOVES) for i in range(2)]
        self.head["words"] = self.words_address
        self.head["outputs"] = self.block.address + self._head_bytes
        self.head["inputs"] = self.block.address + self._head_bytes + rows

    def cell(self, number: int) -> int:
        """The address of a word."""
        return self.words_address + 8 * number

    def lay(self, outputs: Sequence[Row], inputs: Sequence[Row]) -> None:
        """What lies where. While that changes the native step moves nothing."""
        self.clear()
        for rows, entries in zip(self._rows, (outputs, inputs), strict=True):
            for row, (bit, bits, cell, is_signed) in zip(rows, entries, strict=False):
                row["bit"], row["bits"], row["cell"], row["is_signed"] = bit, bits, self.cell(cell), int(is_signed)
        last = max((bit + bits for bit, bits, _, _ in inputs), default=0)
        self.head["input_bytes"] = -(-last // 8)
        self.head["output_count"], self.head["input_count"] = len(outputs), len(inputs)

    def clear(self) -> None:
        """Move nothing."""
        self.head["output_count"] = self.head["input_count"] = 0


class Slave(Device):
    """A slave with firmware. `layout()` gives its entries in both images, `rules` what it needs of its master."""

    poll_ns = _POLL_NS

    def __init__(self, rules: Rules, kind: EscKind, image: Image, on: Why, period_ns: int) -> None:
        self.kind, self.image, self.rules, self._hears_pulses = kind, image, rules, Why.SYNC0 in on
        self.esc: Pdi | None = None
        self.al = AlMachine(rules, entered=self.entered, lacks=self._lacks)
        self.step = NativeStep(
            NATIVE.address("slave_step"), image.block, on, period_ns, rules.output_manager, rules.input_manager
        )

    def power_on(self, esc: Pdi) -> None:
        """All as it comes from the factory; nothing is stored."""
        self.esc = esc
        self.image.clear()
        self.image.head["is_clocked"] = self.image.head["missed"] = 0
        self.al.reset()

    def al_control(self, esc: Pdi, value: int) -> None:
        """Asked for a state."""
        self.esc = esc
        self.before_request()
        self.al.request(esc, value, time.monotonic_ns())

    def watchdog(self, esc: Pdi) -> None:
        """No outputs in time: OP ends (ETG.1000.6, 6.4.1; AL status code 0x001B)."""
        if self.al.state == AlState.OP and not self.rules.is_simple:
            self.al.fall(esc, AlState.SAFEOP, AlCode.WATCHDOG)

    def poll(self, esc: Pdi) -> None:
        """Outputs that OP waits for; SYNC0s that brought none."""
        self.esc = esc
        self.al.poll(esc, time.monotonic_ns())
        most = int(self.image.head["missed_most"])
        if self.al.state == AlState.OP and most and int(self.image.head["missed"]) > most:
            self.image.head["missed"] = 0
            self.al.fall(esc, AlState.SAFEOP, AlCode.SYNC)
            self.lost_sync(esc)

    def order(self, esc: Pdi, name: str, arguments: Mapping[str, object]) -> object:
        """Faults to order: `refuse` (state, code, times), `fall` (state, code)."""
        if name == "refuse":
            code, times = number_of(arguments, "code", AlCode.NO_SUCH_CHANGE), number_of(arguments, "times", -1)
            self.al.refusals[_state(arguments)] = Refusal(code, times)
            return None
        if name == "fall":
            self.al.fall(esc, _state(arguments), number_of(arguments, "code", AlCode.SYNC))
            return None
        return super().order(esc, name, arguments)

    # --- for kinds of slaves ------------------------------------------------------------------------------------------

    def before_request(self) -> None:
        """See to it that `rules` are those of now."""

    def layout(self) -> tuple[list[Row], list[Row]]:
        """The entries of the outputs' image and of the inputs'."""
        return [], []

    def lost_sync(self, esc: Pdi) -> None:
        """OP has ended because outputs were not there at SYNC0."""

    def apply(self, name: str, app: Block) -> None:
        """Let the native function `name` work on `app` in each step."""
        self.app = app
        self.image.head["app"] = app.address
        self.image.head["application"] = NATIVE.address(name)

    def entered(self, old: AlState, new: AlState) -> None:
        """A state is left for another; the master has not seen it yet."""
        if new < AlState.SAFEOP:
            self.image.clear()
        elif old < AlState.SAFEOP:
            assert self.esc is not None
            self.image.head["is_clocked"] = int(is_clocked(self.esc))
            self.image.head["came"] = self.image.head["missed"] = self.image.head["pulses"] = 0
            self.image.lay(*self.layout())

    def _lacks(self) -> int:
        if self.rules.is_simple or self.esc is None:
            return AlCode.OK
        if self.rules.output_bytes and self.esc.outputs(self.rules.output_manager) is None:
            return AlCode.NO_OUTPUTS
        head = self.image.head
        return AlCode.NO_SYNC if head["is_clocked"] and self._hears_pulses and not head["pulses"] else AlCode.OK


def number_of(arguments: Mapping[str, object], name: str, default: int) -> int:
    """A number of an order; as text it may be hexadecimal."""
    return int(str(arguments.get(name, int(default))), 0)


def _state(arguments: Mapping[str, object]) -> AlState:
    """The state that an order names: SAFEOP, or its number."""
    wanted = str(arguments.get("state", AlState.SAFEOP.name)).upper().replace("-", "")
    known = {**AlState.__members__, **{str(int(state)): state for state in AlState}}
    if wanted not in known:
        raise ValueError(f"state {wanted} is none of {', '.join(AlState.__members__)}")
    return known[wanted]
