"""Drives between the tasks' outputs and the requests: native code on the cells of an exchange, on a clock of the test's own."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldbus.codec import Field
from fieldbus.errors import ConfigurationError, RefusedError
from fieldbus.ethercat.drives.cia402 import DriveState, Goal
from fieldbus.ethercat.drives.drive import Drive
from fieldbus.ethercat.drives.drives import NATIVE, Drives, drive_tags
from fieldbus.exchange.memory import Exchange
from fieldbus.exchange.plan import Frames, Pattern, Plan, Transaction
from fieldbus.image.image import ProcessImage
from fieldbus.link.ports import Cells
from fieldbus.tags import Quality, Tag
from tests.counting import grown
from tests.fieldbus.ethercat.drive_twin import Twin
from tests.rt_native.symbols import undefined
from tests.test_proofs import ALLOWED, MILLION

MS = 1_000_000
SECOND = 1_000 * MS
TIMEOUT = 50 * MS
BEGIN = 10 * SECOND
CSP = Drive(name="x", slave="servo", unit="mm", scale=0.001, offset=100.0)
CSV = Drive(name="x", slave="servo", mode="csv", velocity_unit="mm/s", velocity_scale=0.01)
CST = Drive(name="x", slave="servo", mode="cst", torque_unit="%", torque_scale=0.1)


def plan_of(tags: tuple[Tag, ...], inputs: Cells, outputs: Cells, without: tuple[str, ...] = ()) -> Plan:
    """One question for each slave, all entries one after the other, but for `without`."""
    slaves = dict.fromkeys(t.address.slave for t in tags if hasattr(t.address, "slave"))
    asked = []
    for slave in slaves:
        sides: dict[str, list[Field]] = {"in": [], "out": []}
        for tag in tags:
            if getattr(tag.address, "slave", "") == slave and tag.name not in without:
                cells = inputs if tag.direction == "in" else outputs
                side = sides[tag.direction]
                side.append(Field(tag, cells.first[tag.name], 8 * len(side), tag.number.nbytes))
        frame = Pattern.of((bytes(256), False))
        ins, outs = tuple(sides["in"]), tuple(sides["out"])
        asked.append(Transaction(label=slave, request=bytes(256), answer=frame, inputs=ins, outputs=outs))
    return Plan(frames=Frames(), transactions=tuple(asked), writes=len(asked), answer_ns=MS)


class Bench:
    """Drives with their exchange, and a clock."""

    def __init__(self, *drives: Drive, without: tuple[str, ...] = ()) -> None:
        tags = drive_tags(drives)
        inputs = Cells("bus", [t for t in tags if t.direction == "in"])
        outputs = Cells("bus", [t for t in tags if t.direction == "out"])
        self.exchange = Exchange(inputs, outputs, TIMEOUT, MS, TIMEOUT)
        self.drives = Drives(drives, self.exchange, 0.001)
        self.exchange.lay(self.drives.completed(plan_of(tags, inputs, outputs, without)))
        self.drives.lay()
        self.now = BEGIN
        self.step_native = NATIVE.function("drives_step")

    def get(self, name: str) -> float:
        """A cell."""
        return float(self._cells(name)[self.exchange.cell(name)])

    def set(self, **values: float) -> None:
        """Cells, by their names with "_" for "."."""
        for name, value in values.items():
            name = name.replace("_", ".", 1)
            self._cells(name)[self.exchange.cell(name)] = value

    def _cells(self, name: str) -> Any:
        return self.exchange.values_in if name in self.exchange._inputs.first else self.exchange.values_out

    def hear(self, slave: int = 0) -> None:
        """The slave's inputs are of now."""
        self.exchange.transactions[slave]["quality"], self.exchange.transactions[slave]["asked_ns"] = (
            Quality.GOOD,
            self.now,
        )

    def step(self, ns: int = MS) -> None:
        """One cycle, so much later."""
        self.now += ns
        self.step_native(self.exchange.address, self.now)


@dataclass
class Rig:
    """One drive on a bench with a twin behind it: `cycle` hears, steps, and the twin takes what it is sent."""

    drive: Drive
    twin: Twin = field(default_factory=Twin)
    position: float = 20.0
    shown_mode: int | None = None

    def __post_init__(self) -> None:
        self.bench = Bench(self.drive)
        self.sent: list[float] = []
        self.words: list[int] = []

    def cycle(
        self, enable: float, target: float = 0.0, reset: float = 0.0, *, times: int = 1, is_heard: bool = True
    ) -> None:
        """So many cycles in which tasks say this."""
        for _ in range(times):
            bench = self.bench
            if is_heard:
                mode = int(bench.get("x.mode")) if self.shown_mode is None else self.shown_mode
                bench.set(
                    x_statusword=self.twin.statusword,
                    x_shown_mode=mode,
                    x_position=self.position,
                    x_error_code=self.twin.code,
                )
                bench.hear()
            bench.set(x_enable=enable, x_target=target, x_reset=reset)
            bench.step()
            self.words.append(int(bench.get("x.controlword")))
            self.sent.append(bench.get("x.sent"))
            self.twin.step(self.words[-1])

    def enabled(self, target: float = 0.0) -> "Rig":
        """The same, once the drive is enabled and the handover is over."""
        self.cycle(1.0, target, times=10)
        assert self.twin.state == "enabled"
        return self

    @property
    def why(self) -> str:
        """What people are told."""
        return self.bench.drives.status()[0].why


@pytest.mark.parametrize("drive", [CSP, CSV, CST])
def test_a_drive_is_enabled_and_disabled_as_its_task_wants(drive: Drive) -> None:
    """Up one state at a time, down again by its own ramp; tasks see the state's number."""
    rig = Rig(drive)
    seen = []
    for enable in (0.0, 1.0, 0.0):
        for _ in range(8):
            rig.cycle(enable)
            seen += [int(rig.bench.get("x.state"))] if int(rig.bench.get("x.state")) not in seen[-1:] else []
    assert seen == [0, 1, 2, 3, 4, 3, 2, 1]
    assert rig.bench.get("x.mode") == {"csp": 8, "csv": 9, "cst": 10}[drive.mode]
    assert rig.bench.drives.words() == ""


def test_until_a_drive_is_enabled_its_target_is_where_it_is() -> None:
    """In csp: whatever the task wants, and wherever the axis is moved by hand."""
    rig = Rig(CSP)
    for position in (20.0, 21.0, 25.0):
        rig.position = position
        rig.cycle(0.0, 500.0)
        assert rig.sent[-1] == position
        assert rig.bench.get("x.target") == position


@pytest.mark.parametrize("drive", [CSV, CST])
def test_without_a_position_the_target_is_0_until_a_drive_is_enabled(drive: Drive) -> None:
    """In csv and cst, and again when it is disabled."""
    rig = Rig(drive)
    rig.cycle(1.0, 7.0, times=4)
    assert set(rig.sent) == {0.0}
    rig.cycle(1.0, 7.0, times=4)
    assert rig.sent[-1] == 7.0
    rig.cycle(0.0, 7.0)
    assert rig.sent[-1] == 0.0


def test_the_handover_leads_from_the_axis_to_the_target_without_a_jump() -> None:
    """A tenth of a second for 30 mm: no step is longer than its share; then the target is followed as it is."""
    rig = Rig(Drive(name="x", slave="servo", handover_s=0.1))
    rig.cycle(1.0, 50.0, times=5)
    assert rig.sent[-1] == 20.0
    rig.cycle(1.0, 50.0, times=110)
    steps = np.diff(rig.sent)
    assert steps.max() == pytest.approx(30.0 / 100)
    assert rig.sent[-1] == 50.0
    rig.cycle(1.0, 80.0)
    assert rig.sent[-1] == 80.0


def test_the_target_moves_no_faster_than_the_rate() -> None:
    """100 mm/s are 0.1 mm in a cycle, after the handover too; a pause of half a second is no leap."""
    rig = Rig(Drive(name="x", slave="servo", max_rate=100.0))
    rig.cycle(1.0, 50.0, times=30)
    assert np.abs(np.diff(rig.sent)).max() == pytest.approx(0.1)
    before = rig.sent[-1]
    rig.bench.now += SECOND // 2
    rig.cycle(1.0, 50.0)
    assert rig.sent[-1] - before == pytest.approx(0.2)


def test_a_second_look_in_the_same_cycle_changes_nothing() -> None:
    """Outputs that grew too old while others were asked are gathered again: the target does not move twice."""
    rig = Rig(Drive(name="x", slave="servo", max_rate=100.0, handover_s=0.1))
    rig.cycle(1.0, 50.0, times=20)
    before = rig.sent[-1], rig.words[-1]
    rig.bench.set(x_enable=1.0, x_target=50.0)
    rig.bench.step(0)
    assert (rig.bench.get("x.sent"), rig.bench.get("x.controlword")) == before


@pytest.mark.parametrize(
    ("enable", "target"), [(-1.0, 50.0), (-1.0, math.nan), (1.0, math.nan), (1.0, math.inf)], ids=str
)
def test_nobody_to_answer_for_the_target_is_a_quick_stop_in_the_same_cycle(enable: float, target: float) -> None:
    """The safe value of `enable`, whoever sends it, or a target that is no number."""
    rig = Rig(CSP).enabled(50.0)
    rig.cycle(enable, target)
    assert rig.words[-1] == 0x02
    assert rig.sent[-1] == rig.position
    assert rig.why == ("its target is not a number: it is told to stop" if enable == 1.0 else "")
    rig.cycle(enable, target)
    assert rig.bench.get("x.state") == DriveState.QUICK_STOP_ACTIVE
    rig.cycle(enable, target, times=5)
    assert rig.words[-1] == 0x02
    assert rig.twin.state == "stopping"


@pytest.mark.parametrize("needs", [3, 10**9])
def test_a_link_that_stops_brings_a_drive_to_a_standstill_and_takes_its_power(needs: int) -> None:
    """A quick stop first; once it has ended, or has had its time, no master may leave a drive that is at work."""
    rig = Rig(Drive(name="x", slave="servo", stop_s=0.02), Twin(needs=needs)).enabled()
    rig.bench.exchange.force_safe()
    first = len(rig.words)
    rig.cycle(1.0, times=4)
    assert rig.words[first] == 0x02
    assert rig.bench.drives.are_at_work
    rig.cycle(1.0, times=25)
    assert not rig.bench.drives.are_at_work
    assert rig.twin.state == "off"


def test_after_a_stop_a_drive_is_enabled_again_once_it_stands() -> None:
    """Never out of the ramp: the quick stop ends first, then it goes through all states again, with a handover."""
    rig = Rig(Drive(name="x", slave="servo", handover_s=0.1)).enabled(20.0)
    rig.cycle(-1.0)
    rig.position = 33.0
    first = len(rig.words)
    rig.cycle(1.0, 20.0, times=3)
    assert set(rig.words[first:]) == {0x02}
    rig.cycle(1.0, 20.0, times=7)
    assert rig.twin.state == "enabled"
    assert max(np.abs(np.diff(rig.sent[first:]))) <= 13.0 / 100 + 1e-9


def test_a_drive_that_does_not_say_that_it_stands_has_its_time() -> None:
    """Bit 10 never comes: after `stop_s` it is taken for standing."""
    rig = Rig(Drive(name="x", slave="servo", stop_s=0.02), Twin(needs=10**9)).enabled()
    rig.cycle(-1.0)
    rig.cycle(1.0, times=20)
    assert rig.twin.state == "stopping"
    rig.cycle(1.0, times=8)
    assert rig.twin.state == "enabled"


def test_a_slave_that_is_not_heard_is_told_to_stop_and_comes_back_by_itself() -> None:
    """Until the timeout the last word counts; power that was gone is no reason to stay off."""
    rig = Rig(CSP).enabled(50.0)
    rig.cycle(1.0, 50.0, times=40, is_heard=False)
    assert set(rig.words[-40:]) == {0x0F}
    rig.cycle(1.0, 50.0, times=20, is_heard=False)
    assert rig.words[-1] == 0x02
    assert "not heard of" in rig.why
    rig.twin, rig.position = Twin(), -7.0
    rig.cycle(1.0, 50.0, times=3)
    assert rig.sent[-1] == -7.0
    rig.enabled(50.0)
    assert rig.sent[-1] == 50.0


def test_inputs_that_are_bad_are_not_heard_whatever_their_age() -> None:
    """A wrong working counter for long enough makes a slave's inputs BAD."""
    rig = Rig(CSP).enabled(50.0)
    rig.bench.exchange.transactions[0]["quality"] = Quality.BAD
    rig.cycle(1.0, 50.0, is_heard=False)
    assert rig.words[-1] == 0x02


def test_a_fault_is_shown_and_stays_until_it_is_reset_by_a_rising_edge() -> None:
    """A tag that is 1 all the time resets nothing; what is wanted meanwhile does not matter; then the drive is enabled again."""
    rig = Rig(CSP).enabled(50.0)
    rig.twin.fail(0x8611)
    rig.cycle(1.0, 50.0, times=5)
    assert (rig.bench.get("x.state"), rig.bench.get("x.fault")) == (DriveState.FAULT, 0x8611)
    assert rig.why == "fault 0x8611: following error; once its cause is gone, reset it (rt-engine reset-drive)"
    assert rig.sent[-1] == rig.position
    rig.cycle(1.0, 50.0, 1.0)
    assert rig.words[-1] == 0x80
    rig.cycle(1.0, 50.0, 1.0, times=10)
    assert rig.twin.state == "enabled"
    assert rig.bench.get("x.fault") == 0
    rig.twin.fail(0x7500)
    rig.cycle(1.0, 50.0, 1.0, times=10)
    assert rig.twin.state == "fault"
    assert rig.bench.drives.status()[0].faults == 2


def test_a_tag_that_is_1_from_the_beginning_is_no_edge() -> None:
    """A station that starts with it resets nothing."""
    rig = Rig(CSP, Twin("fault", code=0x3210))
    rig.cycle(0.0, reset=1.0, times=5)
    assert rig.twin.state == "fault"


def test_a_fault_is_reset_by_command() -> None:
    """Once; also when its reaction has not ended, and when no task drives the axis."""
    rig = Rig(CSP).enabled(50.0)
    rig.twin.fail(0x8611)
    rig.cycle(-1.0)
    assert rig.bench.get("x.state") == DriveState.FAULT_REACTION_ACTIVE
    rig.bench.drives.reset("x")
    rig.cycle(-1.0, times=3)
    assert rig.twin.state == "off"
    with pytest.raises(KeyError):
        rig.bench.drives.reset("y")


def test_a_fault_whose_cause_is_still_there_is_told_so_once_for_each_reset() -> None:
    """The bit falls after a while, so that it can rise again: it is never held for ever."""
    rig = Rig(CSP, Twin("fault", code=0x4310, curable=False))
    rig.cycle(0.0)
    for _ in range(2):
        rig.cycle(0.0, reset=1.0)
        rig.cycle(0.0, times=300)
        assert rig.words[-1] == 0x00
    rises = np.diff([word >> 7 & 1 for word in rig.words])
    assert (rises == 1).sum() == 2
    rig.bench.drives.reset("x")
    rig.twin.curable = True
    rig.cycle(0.0, times=3)
    assert rig.twin.state == "off"


def test_a_reset_that_does_not_find_a_fault_is_forgotten() -> None:
    """It must not be waiting for the next one."""
    rig = Rig(CSP).enabled()
    rig.bench.drives.reset("x")
    rig.cycle(1.0, reset=1.0, times=3)
    rig.twin.fail(0x8611)
    rig.cycle(1.0, times=5)
    assert rig.twin.state == "fault"


def test_a_drive_in_fault_without_an_error_code_has_the_generic_one() -> None:
    """`fault` is 0 only where there is none: also where the slave does not map 0x603F."""
    rig = Rig(CSP, Twin("fault"))
    rig.cycle(0.0)
    assert rig.bench.get("x.fault") == 0x1000
    bench = Bench(CSP, without=("x.error_code",))
    bench.set(x_statusword=0x0008)
    bench.step()
    assert bench.get("x.fault") == 0x1000


def test_a_drive_in_another_mode_is_not_enabled_and_named() -> None:
    """It stays switched on until it shows the mode; one that leaves the mode is stopped."""
    rig = Rig(CSP, shown_mode=1)
    rig.cycle(1.0, times=10)
    assert rig.twin.state == "on"
    assert rig.why == "it is in mode 1 (profile position), and 8 (csp) is asked for"
    rig.shown_mode = 8
    rig.enabled()
    rig.shown_mode = 6
    rig.cycle(1.0)
    assert rig.words[-1] == 0x02


def test_a_drive_that_shows_its_mode_late_can_be_taken_at_its_word() -> None:
    """`is_mode_checked=False`, for drives that show it when they are enabled; so is one that does not map 0x6061."""
    rig = Rig(Drive(name="x", slave="servo", is_mode_checked=False), shown_mode=0)
    rig.enabled()
    bench = Bench(CSP, without=("x.shown_mode",))
    bench.set(x_statusword=0x0233, x_enable=1.0, x_target=0.0)
    bench.hear()
    bench.step()
    assert bench.get("x.controlword") == 0x0F


@pytest.mark.parametrize(
    ("statusword", "why"),
    [
        (0x0221, "no voltage at its power stage"),
        (0x0031, "it does not listen to the bus"),
        (0x1A37, "an internal limit is active"),
        (0x3237, "following error"),
        (0x0237, "it does not follow the target"),
        (0x1237, ""),
        (0x0246, "none of CiA 402"),
    ],
)
def test_what_keeps_a_drive_from_doing_what_it_is_told_is_named(statusword: int, why: str) -> None:
    """From the bits of its status word."""
    bench = Bench(CSP)
    for _ in range(110):
        bench.set(x_statusword=statusword, x_shown_mode=8, x_enable=1.0, x_target=0.0)
        bench.hear()
        bench.step()
    status = bench.drives.status()[0]
    assert why in status.why
    assert bool(why) == bool(status.why)


def test_what_changes_is_news_once() -> None:
    """For a log: a fault, and that it is gone."""
    rig = Rig(CSP).enabled()
    rig.bench.drives.news()
    assert rig.bench.drives.news() == []
    rig.twin.fail(0x2310)
    rig.cycle(1.0)
    ((line, is_good),) = rig.bench.drives.news()
    assert not is_good
    rig.cycle(1.0, times=4)
    assert rig.bench.drives.news() == []
    assert line == "drive x: fault 0x2310: continuous over-current at the motor"
    rig.bench.drives.reset("x")
    rig.cycle(1.0, times=10)
    assert rig.bench.drives.news() == [("drive x: operation enabled again", True)]


def test_the_keeper_is_woken_when_a_fault_comes_and_goes() -> None:
    """Not in other cycles: a wake-up costs a system call."""
    import os

    def woken() -> bool:
        try:
            return os.eventfd_read(rig.bench.exchange.wake_fd) > 0
        except BlockingIOError:
            return False

    rig = Rig(CSP).enabled()
    assert not woken()
    rig.twin.fail(0x2310)
    rig.cycle(1.0)
    assert woken()
    rig.cycle(1.0, times=5)
    assert not woken()
    rig.cycle(1.0, reset=1.0, times=2)
    assert woken()


def test_two_axes_of_a_slave_and_a_second_slave_do_not_touch_each_other() -> None:
    """Objects of the second axis lie 0x800 further; each drive goes its own way."""
    y, z = Drive(name="y", slave="servo", axis=1), Drive(name="z", slave="other", mode="cst")
    assert y.entry("statusword").object == 0x6841
    assert y.entry("sent").object == 0x687A
    bench = Bench(CSP, y, z)
    words = {"x": 0x1237, "y": 0x0250, "z": 0x0218}
    for _ in range(2):
        bench.set(**{f"{n}_statusword": w for n, w in words.items()})
        bench.set(x_shown_mode=8, y_shown_mode=8, z_shown_mode=10)
        bench.set(x_enable=1.0, x_target=5.0, y_enable=1.0, y_target=1.0, z_enable=-1.0)
        bench.hear(0)
        bench.hear(1)
        bench.step()
    assert [bench.get(f"{n}.controlword") for n in "xyz"] == [0x0F, 0x06, 0x00]
    assert bench.get("x.sent") == 5.0
    bench.exchange.transactions[1]["quality"] = Quality.BAD
    bench.set(x_enable=1.0, x_target=6.0)
    bench.step()
    assert bench.get("x.controlword") == 0x0F


def test_a_driver_that_is_gone_reaches_the_drive_as_a_stop() -> None:
    """Through the process image: safe values of a drive's outputs are -1 for `enable`, and no target."""
    bench = Bench(CSP)
    outs = [tag for tag in CSP.tags() if tag.name in ("x.enable", "x.target", "x.reset")]
    channel = ProcessImage().channel("task", outs, writer="task", reader="bus")
    assert [tag.safe for tag in outs if tag.name == "x.enable"] == [-1.0]
    safe = bench.exchange._safe
    assert safe[bench.exchange.cell("x.enable")] == -1.0
    assert math.isnan(safe[bench.exchange.cell("x.target")])
    assert channel.cells == 3


def test_what_a_slave_does_not_exchange_is_refused_with_its_objects() -> None:
    """Before anything is exchanged; what is only shown may be missing, and inputs that are not wanted."""
    Bench(CSP, without=("x.error_code", "x.mode", "x.shown_mode"))
    Bench(Drive(name="x", slave="servo", mode="csv", inputs=()), without=("x.position", "x.velocity", "x.torque"))
    with pytest.raises(
        RefusedError, match=r"'servo' does not exchange 0x607A \(target\), 0x6064 \(position\); assign"
    ) as refusal:
        Bench(Drive(name="x", slave="servo", inputs=()), without=("x.position", "x.sent"))
    assert "leave" not in str(refusal.value)
    with pytest.raises(RefusedError, match=r"0x606C \(velocity\);.*leave velocity out of its inputs"):
        Bench(CSP, without=("x.velocity",))


def test_the_plan_knows_which_virtual_tags_come_with_which_slave() -> None:
    """They are as good as its inputs; whoever subscribes to them alone hears of the same transaction."""
    bench = Bench(CSP, Drive(name="z", slave="other"))
    plan = bench.exchange.plan
    assert plan is not None
    assert plan.transactions[1].virtual == ("z.state", "z.fault", "z.target", "z.enable", "z.reset")
    state = next(tag for tag in drive_tags([Drive(name="z", slave="other")]) if tag.name == "z.state")
    assert bench.exchange._transactions_of(bench.exchange._inputs, [state]) == [1]


def test_tags_that_a_plan_may_be_made_without() -> None:
    """All of a drive: it says itself what it cannot do without. No other."""
    bench = Bench(CSP)
    assert all(bench.drives.is_optional(tag) for tag in CSP.tags())
    assert not bench.drives.is_optional(Tag("x.speed", "int16", "in"))


def test_two_drives_cannot_be_the_same() -> None:
    """Neither by name nor by place."""
    with pytest.raises(ConfigurationError, match="two drives have the name 'x'"):
        drive_tags([CSP, Drive(name="x", slave="other")])
    with pytest.raises(ConfigurationError, match="x, y are all axis 0 of slave 'servo'"):
        drive_tags([CSP, Drive(name="y", slave="servo")])


def test_goals_and_states_start_before_anything_was_heard() -> None:
    """Nothing has come: stop."""
    status = Bench(CSP).drives.status()[0]
    assert (status.state, status.goal) == (DriveState.NOT_READY, Goal.STOP)


def test_compiled_code_needs_only_memory_moves_and_the_keepers_eventfd() -> None:
    """No Python symbol, no malloc, no lock: read from the object files themselves."""
    assert undefined(NATIVE.build()) <= ALLOWED | {"write"}


def test_ten_thousand_steps_allocate_nothing() -> None:
    """Of two drives, one of which is enabled: memory does not grow."""
    bench = Bench(CSP, Drive(name="z", slave="other", mode="csv"))
    bench.set(x_statusword=0x1237, x_shown_mode=8, x_enable=1.0, x_target=5.0)

    def steps() -> None:
        for _ in range(MILLION // 100):
            bench.hear()
            bench.step()

    assert grown(steps) == (0, 0)


shown = st.tuples(st.integers(0, 0xFFFF), st.sampled_from([8, 8, 8, -128, 0, 127]), st.integers(-(2**31), 2**31 - 1))
said = st.tuples(st.sampled_from([1.0, 1.0, 1.0, 0.0, -1.0]), st.floats(), st.sampled_from([0.0, 1.0]))


@given(
    st.lists(
        st.tuples(shown, said, st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.STALE, Quality.BAD])), max_size=30
    )
)
def test_whatever_a_drive_shows_and_tasks_say_only_what_is_wanted_is_enabled(story: list[Any]) -> None:
    """Any status word, mode and position, any target: a command of the table, a target that is a number and keeps to its rate."""
    bench, before = Bench(Drive(name="x", slave="servo", max_rate=100.0, handover_s=0.01)), None
    for (statusword, mode, position), (enable, target, reset), quality in story:
        bench.hear()
        bench.exchange.transactions[0]["quality"] = quality
        bench.set(x_statusword=statusword, x_shown_mode=mode, x_position=position, x_error_code=7)
        bench.set(x_enable=enable, x_target=target, x_reset=reset)
        bench.step()
        word, sent = int(bench.get("x.controlword")), bench.get("x.sent")
        assert word in (0x00, 0x02, 0x06, 0x07, 0x0F, 0x80)
        assert math.isfinite(sent)
        if word == 0x0F:
            assert (enable, quality != Quality.BAD, math.isfinite(target), mode) == (1.0, True, True, 8)
        assert word != 0x80 or statusword & 0x4F == 0x08
        is_enabled = word == 0x0F and statusword & 0x6F == 0x27
        if is_enabled and before is not None:
            assert abs(sent - before) <= 0.1 + 1e-6
        before = sent if is_enabled else None
