"""A task that exchanges with its devices in its own cycle: real sockets, devices that answer when the test lets them."""

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest

from fieldbus.errors import ConfigurationError
from fieldbus.exchange.block import AREA_BYTES, Phase
from fieldbus.exchange.link import together
from fieldbus.exchange.memory import NATIVE
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.tags import Quality, Tag
from rt_native.memory import Block
from scheduler import Guard, Input, Output, Scheduler, Task
from scheduler.errors import TaskError
from tests.fieldbus.modbus.hostile import Hostile
from tests.scheduler.models import scale
from tests.waiting import PATIENCE_S, is_once, wait_for

NS = 1_000_000_000
SAFE = -1.0
TAGS = [
    Tag("x", "float32", "in", address=ModbusAddress("holding", 100)),
    Tag("u", "float32", "out", safe=SAFE, address=ModbusAddress("holding", 0)),
]


class Device(Hostile):
    """Each read gives the next number; answers wait while `go` is not set. `log` has (function, value), in order."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.log: list[tuple[int, float]] = []
        self.value = 0.0
        super().__init__()

    def _good_answer(self, function: int, body: bytes) -> bytes:
        if function == 16:
            self.log.append((16, struct.unpack(">f", body[5:])[0]))
            return bytes([function]) + body[:4]
        self.value += 1.0
        answer = bytes([function, 4]) + struct.pack(">f", self.value)
        self.log.append((3, self.value))
        self.go.wait(30)
        return answer

    def written(self) -> list[float]:
        """What it was sent."""
        return [value for function, value in list(self.log) if function == 16]


class Plant:
    """A device, a link to it that a task is to carry out, and the channels of that task."""

    def __init__(self, *, timeout_s: float = 1.0) -> None:
        self.device = Device()
        image = ProcessImage()
        self.link = ModbusLink("plant", TAGS, Tcp("127.0.0.1", self.device.port), 0.02, timeout_s, exchange="in-cycle")
        self.x, self.u = self.link.subscribe(image, ["x"], "task"), self.link.drive(image, ["u"], "task")
        self.seen: Channel = self.link.subscribe(image, ["x"], "test", name="seen")

    def task(self, period_s: float = 0.05, io_deadline_s: float | None = 0.05) -> Task:
        """u = 2 x; safe where x is bad."""
        return Task(
            name="control",
            model=scale(2),
            period_s=period_s,
            inputs=(Input(tensor="x", channel=self.x),),
            outputs=(Output(tensor="y", channel=self.u),),
            guard=Guard(max_age_s=float("inf")),
            exchanges=(self.link,),
            io_deadline_s=io_deadline_s,
        )


@pytest.fixture
def plant() -> Iterator[Plant]:
    """A plant whose link runs."""
    plant = Plant()
    with plant.device, plant.link:
        plant.link.wait_up(PATIENCE_S)
        yield plant
        plant.device.go.set()


def test_all_devices_are_asked_before_any_answer_is_awaited() -> None:
    """Three devices, each of which answers only when all three have been asked: one phase reads them all."""
    all_asked = threading.Barrier(3)

    class Meeting(Device):
        def _good_answer(self, function: int, body: bytes) -> bytes:
            if function == 3:
                all_asked.wait(30)
            return super()._good_answer(function, body)

    with ExitStack() as stack:
        links = []
        for i in range(3):
            device = stack.enter_context(Meeting())
            links.append(ModbusLink(f"l{i}", TAGS, Tcp("127.0.0.1", device.port), 1.0, 60.0, exchange="in-cycle"))
        channels = [link.subscribe(ProcessImage(), ["x"], "test") for link in links]
        for link in links:
            stack.enter_context(link)
        wait_for(lambda: not any(link.exchange.is_mine for link in links))
        table, area = together(links), Block(AREA_BYTES)
        limit_ns = time.monotonic_ns() + 20 * NS
        NATIVE.function("exchange_phase")(table.ctypes.data, 3, Phase.READS, limit_ns, area.address)
        assert [c.read().quality for c in channels] == [Quality.GOOD] * 3
        assert [c.read().values[0] for c in channels] == [1.0] * 3


def test_what_is_read_at_the_tick_is_sent_in_the_same_cycle(plant: Plant) -> None:
    """u = 2 x: the device gets twice what it gave right before, ten cycles in a row. Each counts once in the reaction time."""

    def is_prompt() -> bool:
        log = list(plant.device.log)[-21:]
        pairs = [(a, b) for a, b in pairwise(log) if b[0] == 16]
        return len(pairs) >= 10 and all(a == (3, b[1] / 2) for a, b in pairs)

    with Scheduler([plant.task()]) as scheduler:
        wait_for(is_prompt)
        before = scheduler.stats()["control"].reaction.count
        wait_for(lambda: scheduler.stats()["control"].reaction.count > before)
        stats = scheduler.stats()["control"]
    assert stats.reaction.count <= stats.cycles + 1
    assert 0 < stats.reaction.max_ns < 60 * NS


def test_a_device_that_does_not_answer_keeps_no_tick(plant: Plant) -> None:
    """STALE, then BAD and safe, while cycles go on; what comes at last is drained, and values are right afterwards."""
    with Scheduler([plant.task(0.02, 0.005)]) as scheduler:

        def is_stale_first() -> bool:
            plant.device.go.set()
            wait_for(lambda: plant.seen.read().quality == Quality.GOOD)
            plant.device.go.clear()
            seen: set[Quality] = set()
            wait_for(lambda: seen.add(plant.seen.read().quality) is None and Quality.BAD in seen)
            return Quality.STALE in seen

        assert is_once(is_stale_first)
        before = scheduler.stats()["control"].cycles
        wait_for(lambda: scheduler.stats()["control"].cycles > before + 20)
        assert scheduler.stats()["control"].safe > 0
        plant.device.go.set()
        wait_for(lambda: plant.seen.read().quality == Quality.GOOD)
        held = plant.device.value
        wait_for(lambda: plant.seen.read().values[0] > held and plant.seen.read().quality == Quality.GOOD)
        assert plant.seen.read().values[0] <= plant.device.value


def test_while_no_task_cycles_the_device_gets_safe_values_and_inputs_are_read(plant: Plant) -> None:
    """Before the task begins, and after it was stopped, the link's keeper stands in. No safe value counts as a reaction."""
    wait_for(lambda: len(plant.device.written()) > 2 and plant.seen.read().quality == Quality.GOOD)
    assert set(plant.device.written()) == {SAFE}
    assert plant.u.reaction is not None
    assert plant.u.reaction.count == 0
    with Scheduler([plant.task()]):
        wait_for(lambda: plant.device.written()[-1] > 0)
    wait_for(lambda: plant.device.written()[-1] == SAFE)
    read = plant.device.value
    wait_for(lambda: plant.device.value > read + 1)
    assert plant.device.written()[-1] == SAFE


def test_a_link_that_is_stopped_leaves_safe_values() -> None:
    """Though its task goes on: the last that the device got, and confirmed, is safe."""
    plant = Plant(timeout_s=3.0)
    with plant.device:
        plant.link.start()
        plant.link.wait_up(PATIENCE_S)
        with Scheduler([plant.task()]):
            wait_for(lambda: plant.device.written()[-1:] > [0.0])
            assert plant.link.stop()
            assert plant.device.written()[-1] == SAFE
            count = len(plant.device.log)
            time.sleep(0.2)  # its task goes on
            assert len(plant.device.log) == count


def test_a_link_with_a_thread_of_its_own_is_no_tasks() -> None:
    """The message says which link, and what would help."""
    link = ModbusLink("plant", TAGS, Tcp("127.0.0.1", 1))
    with pytest.raises(ConfigurationError, match="'plant' has a thread of its own: make it with exchange=\"in-cycle\""):
        together([link])


@pytest.mark.parametrize("io_deadline_s", [0.0, -0.001, 0.0011])
def test_an_io_deadline_lies_within_the_period(io_deadline_s: float) -> None:
    """Above 0, at most the period; a quarter of it by default."""
    with pytest.raises(TaskError, match="io_deadline_s"):
        Task(name="t", period_s=0.001, io_deadline_s=io_deadline_s)
    assert Task(name="t", period_s=0.001).io_deadline_ns == 250_000
