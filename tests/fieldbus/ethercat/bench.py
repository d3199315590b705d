"""A bench for the exchange on a bus: its pieces one by one, at a time that the test says; the slaves are a `Wire`."""

import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldbus.ethercat.plan import BusSlave, Place, aligned, plan_of
from fieldbus.exchange.block import Phase
from fieldbus.exchange.memory import Exchange
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.ports import Cells
from fieldbus.tags import Tag
from rt_native.library import Library
from tests.fieldbus.ethercat.stand_in import Wire
from tests.fieldbus.exchange.bench import MS, START

PIECES = Library("fieldbus-bus-pieces", modules=("bus_native",), path=(str(Path(__file__).parent),))
ANSWER_NS, TIMEOUT_NS = 1 * MS, 10 * MS

POSITION = Tag("position", "int32", "in", scale=0.001)
STATUS = Tag("status", "uint16", "in")
SWITCHES = Tag("switches", "bool", "in", count=4)
TARGET = Tag("target", "int32", "out", scale=0.001, low=-100.0, high=100.0, safe=-1.0)
CONTROL = Tag("control", "uint16", "out", safe=2)
LAMP = Tag("lamp", "bool", "out", safe=1)
INPUTS, OUTPUTS = Cells("bus", [POSITION, STATUS, SWITCHES]), Cells("bus", [TARGET, CONTROL, LAMP])
COUPLER, DRIVE, IN, OUT = aligned(
    [
        BusSlave(name="coupler", logical=0),
        BusSlave(name="drive", logical=0, out_bytes=6, in_bytes=6, station_address=1001),
        BusSlave(name="switches", logical=0, in_bytes=1),
        BusSlave(name="lamps", logical=0, out_bytes=1),
    ],
    0x10000,
)
SLAVES = (COUPLER, DRIVE, IN, OUT)
PLACES = (
    Place(CONTROL, OUTPUTS.first["control"], 1, 0, 16),
    Place(TARGET, OUTPUTS.first["target"], 1, 16, 32),
    Place(STATUS, INPUTS.first["status"], 1, 0, 16),
    Place(POSITION, INPUTS.first["position"], 1, 16, 32),
    Place(SWITCHES, INPUTS.first["switches"], 2, 2, 1),
    Place(LAMP, OUTPUTS.first["lamp"], 3, 5, 1),
)
ALL_GOOD = {"position": "GOOD", "status": "GOOD", "switches": "GOOD"}


class Bench:
    """A coupler, a drive, a terminal with switches and one with lamps, and a clock that stands still until it is moved.

    Each frame is one message of a pair of sockets. `sent` gives those that have been sent; `come` lets one come back.
    """

    def __init__(
        self,
        how: str = "own-thread",
        slaves: Sequence[BusSlave] = SLAVES,
        places: Sequence[Place] = PLACES,
        inputs: Cells = INPUTS,
        outputs: Cells = OUTPUTS,
        clock: int | None = None,
    ) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.ours, self.theirs):
            end.setblocking(False)
        self.now_ns = START
        self.wire = Wire(slaves)
        self.plan = plan_of(slaves, places, how, ANSWER_NS, clock=clock)  # type: ignore[arg-type]
        self.exchange = Exchange(inputs, outputs, TIMEOUT_NS, MS, 1 << 62)
        self.exchange.lay(self.plan)
        image = ProcessImage()
        self.inputs: dict[str, Channel] = {
            name: image.channel(name, [tag], writer="bus", reader="test") for name, tag in inputs.tags.items()
        }
        self.outputs = image.channel("outputs", list(outputs.tags.values()), writer="test", reader="bus")
        self.exchange.subscribers(list(self.inputs.values()))
        self.exchange.drivers([self.outputs])
        self.exchange.arm(self.ours.fileno(), True)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.exchange.close()
        self.ours.close()
        self.theirs.close()

    def start(self, phase: Phase = Phase.ALL) -> None:
        """A phase begins."""
        assert PIECES.function("bus_begin")(self.exchange.address, phase, self.now_ns)
        self.step()

    def begin(self, phase: Phase = Phase.ALL) -> list[bytes]:
        """A phase begins; gives the frames that it sends."""
        self.start(phase)
        return self.sent()

    def step(self) -> None:
        """The runner looks what time it is."""
        PIECES.function("bus_step")(self.exchange.address, self.now_ns)

    def wait(self, time_ns: int) -> None:
        """Time passes."""
        self.now_ns += time_ns
        self.step()

    def finish(self, phase: Phase = Phase.ALL) -> None:
        """The phase ends."""
        PIECES.function("bus_finish")(self.exchange.address, phase, self.now_ns)
        self.now_ns += MS

    def sent(self) -> list[bytes]:
        """The frames that have been sent since."""
        frames = []
        while True:
            try:
                frames.append(self.theirs.recv(4096))
            except BlockingIOError:
                return frames

    def come(self, *frames: bytes) -> None:
        """These come, and the runner takes them."""
        for frame in frames:
            self.theirs.send(frame)
        PIECES.function("bus_receive")(self.exchange.address, self.now_ns)

    def phase(self, phase: Phase = Phase.ALL) -> list[bytes]:
        """A whole phase in which every frame comes back; gives those that were sent."""
        frames = self.begin(phase)
        self.come(*map(self.wire.answer, frames))
        self.finish(phase)
        return frames

    def write(self, target: float, control: float, lamp: float) -> None:
        """A task writes outputs."""
        self.outputs.write(np.array([target, control, lamp]), timestamp_ns=self.now_ns)

    def qualities(self) -> dict[str, str]:
        """Of each tag."""
        return {name: channel.read().quality.name for name, channel in self.inputs.items()}

    def values(self, name: str) -> list[float]:
        """Of one tag."""
        return self.inputs[name].read().values.tolist()

    def counters(self) -> dict[str, int]:
        """Those that are not 0."""
        names = ("frames_lost", "late", "wrong_counters", "foreign", "state_changes", "errors", "writes_done", "reads")
        return {name: count for name in names if (count := self.exchange.counter(name))}
