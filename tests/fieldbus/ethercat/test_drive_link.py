"""Drives of a simulated bus, from a task's outputs to the axis and back: whole, over the wire."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fieldbus.ethercat.drives.cia402 import DriveState
from fieldbus.ethercat.drives.drive import Drive, ModeName
from fieldbus.ethercat.link import EthercatLink
from fieldbus.ethercat.options import PdoChoice, SlaveOptions
from fieldbus.ethercat.simulated.presets import make
from fieldbus.exchange.block import Phase
from fieldbus.image.image import ProcessImage
from fieldbus.tags import Quality
from tests.fieldbus.ethercat.buses import MASTER, forget_left_scans, simulated
from tests.waiting import PATIENCE_S, is_once, wait_for

pytest.importorskip("pysoem", reason="pip install 'rt-engine[ethercat]'")
TURN = 1 << 20
PDOS = {"csp": 0x1600, "csv": 0x1601, "cst": 0x1602}
WATCHDOG_MS = 6000
"""So long a busy machine may give this process no time, and no drive calls it a fault."""


@pytest.fixture(scope="module")
def bus() -> Iterator[Any]:
    """A coupler and two drives."""
    with simulated(make(["coupler", "drive", "drive"])) as bus:
        yield bus


@pytest.fixture(autouse=True)
def as_new(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test finds drives that were just switched on."""
    bus = request.getfixturevalue("bus")
    forget_left_scans()
    yield
    bus.order({"do": "calm"})
    for slave in (1, 2):
        bus.order({"do": "reset", "slave": slave})


def drive(name: str = "x", slave: str = "servo", mode: ModeName = "csp", **more: Any) -> Drive:
    """An axis whose positions are turns."""
    scales = {"scale": 1 / TURN, "velocity_scale": 1 / TURN, "torque_scale": 0.1}
    return Drive(name=name, slave=slave, mode=mode, **{**scales, **more})


class Rig:
    """A link with drives, and a task that drives them and reads them."""

    def __init__(
        self,
        drives: Sequence[Drive],
        modes: Sequence[str] = ("csp",),
        exchange: Any = "own-thread",
        timeout_s: float = 0.05,
    ) -> None:
        pdos = [(PdoChoice(PDOS[mode]), PdoChoice(0x1A00)) for mode in modes]
        slaves = [
            SlaveOptions(name=name, position=i + 1, pdos=p, watchdog_ms=WATCHDOG_MS)
            for i, (name, p) in enumerate(zip(("servo", "other"), pdos, strict=False))
        ]
        self.link = EthercatLink(
            "bus", (), MASTER, 0.001, timeout_s, slaves=slaves,
            drives=drives, backoff_s=(0.01, 0.02), exchange=exchange,
        )  # fmt: skip
        image = ProcessImage()
        self.outputs = {
            d.name: self.link.drive(image, [d.tag_name(p) for p in ("target", "enable", "reset")], d.name)
            for d in drives
        }
        self.inputs = {
            d.name: self.link.subscribe(image, [d.tag_name(p) for p in d.shown[:-3]], d.name) for d in drives
        }
        self.names = {d.name: d.shown[:-3] for d in drives}

    def get(self, part: str, name: str = "x") -> float:
        """What the task reads now."""
        return float(self.inputs[name].read().values[self.names[name].index(part)])

    def say(
        self, target: float, enable: float = 1.0, reset: float = 0.0, name: str = "x", quality: Quality = Quality.GOOD
    ) -> None:
        """What the task writes."""
        self.outputs[name].write([target, enable, reset], quality)

    def until(self, what: Any, target: Any = None, name: str = "x", enable: float = 1.0) -> None:
        """Cycle as a task does, until it is so; the target is what it is told, or where the axis is."""

        def cycle() -> bool:
            at = self.get("position", name) if target is None else target
            self.say(at, enable, name=name)
            return bool(what())

        wait_for(cycle)

    def state(self, name: str = "x") -> int:
        """The state that the task reads."""
        return int(self.get("state", name))

    def enabled(self, name: str = "x", target: Any = None) -> None:
        """Until the drive is enabled, and follows."""
        drive = next(status for status in self.link.drive_states() if status.name == name)
        self.until(lambda: self.state(name) == DriveState.OPERATION_ENABLED, target, name)
        assert drive.name == name


@contextlib.contextmanager
def running(*drives: Drive, **more: Any) -> Iterator[Rig]:
    """A link that has been started."""
    rig = Rig(drives or [drive()], **more)
    rig.link.start()
    try:
        assert rig.link.wait_up(PATIENCE_S), rig.link.status()
        yield rig
    finally:
        rig.link.stop()


def test_an_axis_is_enabled_moved_and_disabled(bus: Any) -> None:
    """In csp, over a handover, with a limit of its rate: it is there when the task reads that it is."""
    start = bus.escs[1].device.turns
    with running(drive(max_rate=5.0, handover_s=0.05)) as rig:
        rig.enabled(target=start + 2.0)
        rig.until(lambda: abs(rig.get("position") - start - 2.0) < 0.01, start + 2.0)
        assert bus.escs[1].device.turns == pytest.approx(start + 2.0, abs=0.02)
        rig.until(lambda: rig.state() == DriveState.SWITCH_ON_DISABLED, start + 2.0, enable=0.0)
        assert rig.get("fault") == 0
        wait_for(lambda: rig.link.status().note == "")


def test_an_axis_turns_at_a_velocity(bus: Any) -> None:
    """In csv: what it is told is what it does, and 0 when it is disabled."""
    with running(drive(mode="csv"), modes=["csv"]) as rig:
        now = bus.escs[1].device.now
        rig.until(lambda: abs(rig.get("velocity") - 3.0) < 0.1 and abs(float(now["velocity"]) / TURN - 3.0) < 0.1, 3.0)
        rig.until(lambda: abs(rig.get("velocity")) < 0.05, 3.0, enable=0.0)


def test_an_axis_is_turned_by_a_torque(bus: Any) -> None:
    """In cst: 5 % of the rated torque, against friction."""
    with running(drive(mode="cst"), modes=["cst"]) as rig:
        rig.until(lambda: rig.get("velocity") > 1.0 and rig.get("torque") == pytest.approx(5.0, abs=0.5), 5.0)
        rig.until(lambda: abs(rig.get("velocity")) < 0.05, 5.0, enable=0.0)


def test_a_fault_is_named_and_reset_by_tag_and_by_command(bus: Any) -> None:
    """While it is there the task reads its code; the reset brings the axis back, without a jump."""
    with running() as rig:
        for code, reset in ((0x2310, "tag"), (0x4310, "command")):
            rig.enabled()
            bus.order({"do": "fault", "slave": 1, "code": code})
            rig.until(lambda: rig.state() == DriveState.FAULT and int(rig.get("fault")) == code)  # noqa: B023
            wait_for(lambda code=code: f"0x{code:04X}" in rig.link.status().note)
            if reset == "command":
                rig.link.reset_fault("x")
            else:
                resets = itertools.cycle((1.0, 0.0))
                wait_for(
                    lambda: (
                        rig.say(rig.get("position"), 1.0, next(resets)) is None and rig.state() != DriveState.FAULT  # noqa: B023
                    )
                )
        rig.enabled()
        assert rig.get("fault") == 0
        assert rig.link.drive_states()[0].faults == 2


def test_a_task_that_dies_is_a_quick_stop_with_the_next_frame(bus: Any) -> None:
    """The exchange is carried out here, phase by phase: the first one after the task's outputs have turned bad sends it."""
    device = bus.escs[1].device
    with running(drive(mode="csv"), modes=["csv"], exchange="in-cycle") as rig:
        exchange = rig.link.exchange

        def cycle(target: float, quality: Quality = Quality.GOOD) -> bool:
            """Was it carried out? Not where the link's keeper, which stands in for a task that pauses, was at it."""
            written = exchange.counter("writes_done")
            limit = time.monotonic_ns() + 20_000_000
            exchange.phase(Phase.READS, limit)
            rig.say(target, 1.0, quality=quality)
            exchange.phase(Phase.WRITES, limit)
            return exchange.counter("writes_done") > written

        def turns() -> bool:
            cycle(3.0)
            return abs(rig.get("velocity") - 3.0) < 0.1

        def stops() -> bool:
            """Is the first word that it hears that of a quick stop? Not the first that is seen where this thread pauses."""
            wait_for(turns)
            wait_for(lambda: cycle(3.0, Quality.BAD))
            told = rig.link.drive_states()[0].controlword
            wait_for(lambda: device.state != DriveState.OPERATION_ENABLED)
            return told == device.objects.number(0x6040) == 0x02

        assert is_once(stops)


def test_a_task_that_says_nothing_any_more_is_a_quick_stop_and_a_new_one_goes_on(bus: Any) -> None:
    """After the timeout of the link, by the exchange's own thread; then by itself again."""
    with running(drive(mode="csv", quick_stop=6, stop_s=0.2), modes=["csv"]) as rig:

        def stops() -> bool:
            rig.until(lambda: abs(rig.get("velocity") - 3.0) < 0.1, 3.0)
            assert bus.escs[1].device.objects.number(0x605A) == 6
            wait_for(lambda: rig.state() != DriveState.OPERATION_ENABLED)
            state = rig.state()
            wait_for(lambda: abs(rig.get("velocity")) < 0.02)
            return state == DriveState.QUICK_STOP_ACTIVE

        assert is_once(stops)
        rig.until(lambda: abs(rig.get("velocity") - 3.0) < 0.1, 3.0)


def test_a_drive_that_loses_power_comes_back_while_the_other_goes_on(bus: Any) -> None:
    """Its tags are bad, the other's good; with power it is brought to OP and enabled again, from where the axis is."""
    with running(drive(), drive("y", "other"), modes=["csp", "csp"]) as rig:
        rig.enabled("x")
        rig.enabled("y")
        bus.order({"do": "power", "slave": 2, "on": False})
        rig.until(lambda: rig.inputs["y"].read().quality == Quality.BAD)
        rig.until(lambda: "drive y" in rig.link.status().note or "y: " in rig.link.status().note)
        rig.until(
            lambda: rig.inputs["x"].read().quality == Quality.GOOD and rig.state() == DriveState.OPERATION_ENABLED
        )
        bus.order({"do": "power", "slave": 2, "on": True})
        before = bus.escs[2].device.turns

        def both() -> bool:
            rig.say(rig.get("position"))
            return rig.inputs["y"].read().quality == Quality.GOOD and rig.state("y") == DriveState.OPERATION_ENABLED

        rig.until(both, before, "y")
        assert bus.escs[2].device.turns == pytest.approx(before, abs=0.01)
        rig.until(lambda: rig.state() == DriveState.OPERATION_ENABLED)


@pytest.mark.parametrize("quick_stop", [2, 6])
def test_a_link_that_stops_brings_its_axes_to_a_standstill_before_it_leaves_op(bus: Any, quick_stop: int) -> None:
    """Told to stop until it stands, then without power: it has no fault, as one whose master leaves at full speed has."""
    device = bus.escs[1].device

    def stands() -> bool:
        bus.order({"do": "reset", "slave": 1})
        with running(drive(mode="csv", quick_stop=quick_stop, stop_s=0.2), modes=["csv"], timeout_s=1.0) as rig:
            rig.until(lambda: rig.get("velocity") > 20.0, 30.0)
            is_confirmed = rig.link.stop()
        has_no_fault = device.objects.number(0x603F) == 0 and device.state == DriveState.SWITCH_ON_DISABLED
        return is_confirmed and has_no_fault and abs(float(device.now["velocity"])) / TURN < 0.1

    assert is_once(stands)


def test_a_link_that_stops_waits_for_an_axis_that_brakes_for_seconds(bus: Any) -> None:
    """A large mass: as long as its `stop_s` says, and not for less, with a drive that still turns when the slaves leave OP."""
    device = bus.escs[1].device
    quick = device.objects.number(0x6085)

    def stands() -> bool:
        bus.order({"do": "reset", "slave": 1})
        with running(drive(mode="csv", stop_s=10.0), modes=["csv"], timeout_s=1.0) as rig:
            device.objects.set_number(0x6085, 4 * TURN)
            rig.until(lambda: rig.get("velocity") > 15.0, 20.0)
            is_confirmed = rig.link.stop()
        return is_confirmed and device.objects.number(0x603F) == 0 and device.state == DriveState.SWITCH_ON_DISABLED

    try:
        assert is_once(stands)
    finally:
        device.objects.set_number(0x6085, quick)


def test_axes_are_brought_to_a_standstill_though_another_slave_is_gone(bus: Any) -> None:
    """Not all safe values can be confirmed then; that is told, and the axes that move brake all the same."""
    device, off = bus.escs[1].device, {"do": "power", "slave": 2, "on": False}

    def stands() -> bool:
        bus.order({"do": "reset", "slave": 1})
        with running(drive(mode="csv", stop_s=1.0), modes=["csv"]) as rig:
            rig.until(lambda: rig.get("velocity") > 20.0, 30.0)
            bus.order(off)
            rig.until(lambda: "slave 2" in rig.link.status().note, 30.0)
            assert not rig.link.stop()
        bus.order({**off, "on": True})
        return device.objects.number(0x603F) == 0 and device.state == DriveState.SWITCH_ON_DISABLED

    assert is_once(stands)


def test_a_drive_whose_mode_is_not_exchanged_gets_it_once(bus: Any) -> None:
    """By its mailbox; after a loss of power again."""
    option = SlaveOptions(
        name="servo", position=1,
        watchdog_ms=WATCHDOG_MS,
        pdos=(PdoChoice(0x1603, ((0x6040, 0, 16), (0x60FF, 0, 32))), PdoChoice(0x1A01, ((0x6041, 0, 16), (0x6064, 0, 32)))),
    )  # fmt: skip
    rig = Rig([drive(mode="csv", inputs=("position",))])
    rig.link._master.options = (option,)
    rig.link.start()
    try:
        assert rig.link.wait_up(PATIENCE_S), rig.link.status()
        assert bus.escs[1].device.objects.number(0x6060) == 9
        rig.enabled(target=0.0)
        bus.order({"do": "power", "slave": 1, "on": False})
        rig.until(lambda: rig.inputs["x"].read().quality == Quality.BAD, 0.0)
        bus.order({"do": "power", "slave": 1, "on": True})
        rig.until(
            lambda: rig.inputs["x"].read().quality == Quality.GOOD and rig.state() == DriveState.OPERATION_ENABLED, 0.0
        )
        assert bus.escs[1].device.objects.number(0x6060) == 9
    finally:
        rig.link.stop()


def test_a_drive_that_lacks_its_target_is_refused_before_op(bus: Any) -> None:
    """With the object that is missing."""
    rig = Rig([drive(mode="csv")])
    rig.link.start()
    try:
        wait_for(lambda: "0x60FF (target)" in rig.link.status().last_error)
        assert rig.link.status().state != "up"
    finally:
        rig.link.stop()
