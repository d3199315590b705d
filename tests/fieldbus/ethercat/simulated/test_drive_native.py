"""The drive, step by step at 1 kHz: transitions of CiA 402, the three modes, stops, faults, the brake."""

import struct

import pytest

from fieldbus.ethercat.simulated.device import Why
from fieldbus.ethercat.simulated.drive_block import DriveState
from fieldbus.ethercat.simulated.presets import make
from tests.fieldbus.ethercat.simulated.runner import Runner

TURN = 1 << 20
SHUTDOWN, SWITCH_ON, ENABLE, QUICK_STOP, RESET = 0x06, 0x07, 0x0F, 0x0B, 0x80
CSP, CSV, CST = 8, 9, 10


class Rig(Runner):
    """A drive in OP with outputs controlword, target position, target velocity, target torque, mode."""

    def __init__(self, name="drive", mode=CSP):
        super().__init__(make([name])[0], 14, 16)
        self.control, self.position, self.velocity, self.torque, self.mode = 0, 0, 0, 0, mode
        self.go(2)
        for data, subindex in ((b"\0", 0), (b"\3\x16", 1), (b"\1", 0)):
            self.sdo(0x1C12, data, subindex)
        assert self.go(4, 8) == (8, 0)

    def cycle(self, count=1, after_ns=1_000_000, **targets):
        """So many cycles; the statusword at the end."""
        for name, value in targets.items():
            setattr(self, name, value)
        for _ in range(count):
            out = struct.pack("<HiihbB", self.control, self.position, self.velocity, self.torque, self.mode, 0)
            image = self.step(out, after_ns=after_ns)
        self.status, self.at, self.speed, self.pull, self.shown, _, self.error = struct.unpack("<HiihbBH", image)
        return self.status

    @property
    def state(self):
        return self.device.state

    def enable(self, **targets):
        """To operation enabled, until targets are followed."""
        for control in (SHUTDOWN, SWITCH_ON, ENABLE):
            self.cycle(2, control=control, **targets)
        self.cycle(25)
        assert self.status & 0x106F == 0x1027
        return self

    def until(self, state, most=2000):
        """Cycle until the drive is in a state; how many it took."""
        for i in range(most):
            if self.state == state:
                return i
            self.cycle()
        raise AssertionError(f"{self.state.name} for ever, where {state.name} is expected")


@pytest.fixture
def rig():
    return Rig()


S = DriveState


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ([0], S.SWITCH_ON_DISABLED),
        ([ENABLE], S.SWITCH_ON_DISABLED),
        ([SHUTDOWN], S.READY_TO_SWITCH_ON),
        ([SHUTDOWN, SWITCH_ON], S.SWITCHED_ON),
        ([SHUTDOWN, SWITCH_ON, ENABLE], S.OPERATION_ENABLED),
        ([SHUTDOWN, ENABLE], S.OPERATION_ENABLED),
        ([SHUTDOWN, ENABLE, SWITCH_ON], S.SWITCHED_ON),
        ([SHUTDOWN, SWITCH_ON, SHUTDOWN], S.READY_TO_SWITCH_ON),
        ([SHUTDOWN, 0x02], S.SWITCH_ON_DISABLED),
        ([SHUTDOWN, 0x00], S.SWITCH_ON_DISABLED),
        ([SHUTDOWN, SWITCH_ON, 0x02], S.SWITCH_ON_DISABLED),
        ([SHUTDOWN, ENABLE, SHUTDOWN], S.READY_TO_SWITCH_ON),
        ([SHUTDOWN, ENABLE, 0x00], S.SWITCH_ON_DISABLED),
        ([SHUTDOWN, ENABLE, QUICK_STOP], S.SWITCH_ON_DISABLED),
    ],
)
def test_the_control_word_leads_through_the_states(rig, words, state):
    """Transitions 0 to 12; quick stop passes through its own state when the axis stands already."""
    for word in words:
        rig.cycle(40, control=word)
    assert rig.state == state


def test_each_state_has_its_bits(rig):
    seen = [rig.cycle(3, control=word) & 0x6F for word in (0, SHUTDOWN, SWITCH_ON, ENABLE)]
    assert seen == [0x40, 0x21, 0x23, 0x27]
    assert rig.status & 0x0210 == 0x0210


def test_the_brake_opens_before_targets_are_followed(rig):
    for control in (SHUTDOWN, SWITCH_ON, ENABLE):
        rig.cycle(2, control=control, position=0)
    assert rig.status & 0x1000 == 0 and rig.device.objects.number(0x60FD) == 1 << 16
    rig.cycle(20)
    assert rig.status & 0x1000 and rig.device.objects.number(0x60FD) == 0


def test_csp_follows_a_moving_target_and_stops_on_it(rig):
    rig.enable()
    for i in range(300):
        rig.cycle(position=i * 2000)
        assert rig.status & 0x2000 == 0
    assert abs(rig.position - rig.at) < 20_000 and rig.speed == pytest.approx(2_000_000, rel=0.02)
    rig.cycle(300)
    assert abs(rig.position - rig.at) <= 40 and abs(rig.speed) < 2000


def test_csp_goes_on_where_32_bits_end(rig):
    rig.device.now["position"] = 2**31 - 50_000
    rig.cycle()
    rig.enable(position=2**31 - 50_000)
    for i in range(200):
        rig.cycle(position=(2**31 - 50_000 + 1000 * i + 2**31) % 2**32 - 2**31)
    rig.cycle(300)
    assert rig.state == S.OPERATION_ENABLED and abs(rig.at - (-(2**31) + 149_000)) <= 40


def test_csv_holds_a_velocity_also_against_a_load():
    rig = Rig("drive:load=0.5", CSV).enable()
    rig.cycle(400, velocity=10 * TURN)
    assert rig.shown == CSV and rig.speed == pytest.approx(10 * TURN, rel=0.005)
    assert rig.pull > 1000 * 0.5 / 1.3


def test_cst_accelerates_as_newton_says():
    """J dv/dt = torque - friction: in counts/s^2, after a few time constants of the current loop."""
    rig = Rig(mode=CST).enable()
    axis = rig.device.axis
    rig.cycle(10, torque=200)
    before = rig.speed
    rig.cycle(10)
    torque = 0.2 * axis.rated_nm - axis.coulomb_nm - axis.viscous_nm_s * rig.speed / TURN * 6.28
    wanted = torque / axis.inertia_kg_m2 / 6.2832 * TURN * 0.010
    assert rig.speed - before == pytest.approx(wanted, rel=0.03)
    assert rig.pull == 200


def test_torque_is_limited_and_says_so(rig):
    rig.enable()
    rig.sdo(0x6072, struct.pack("<H", 500))
    rig.sdo(0x6065, struct.pack("<I", 0xFFFFFFFF))
    rig.cycle(5, position=TURN)
    assert rig.pull <= 500 and rig.status & 0x0800


@pytest.mark.parametrize(
    ("option", "end"),
    [(1, S.SWITCH_ON_DISABLED), (2, S.SWITCH_ON_DISABLED), (3, S.SWITCH_ON_DISABLED), (6, S.QUICK_STOP_ACTIVE)],
)
def test_quick_stop_stops_as_its_option_says(option, end):
    rig = Rig(mode=CSV)
    rig.sdo(0x605A, struct.pack("<h", option))
    rig.enable()
    rig.cycle(300, velocity=10 * TURN)
    rig.cycle(control=QUICK_STOP)
    assert rig.state == S.QUICK_STOP_ACTIVE and rig.status & 0x6F == 0x07
    start, took = rig.at, 0
    while abs(rig.speed) > TURN / 100 and took < 500:
        rig.cycle()
        took += 1
    assert took == pytest.approx({1: 100, 2: 25, 3: 25, 6: 25}[option], rel=0.3)
    assert rig.at > start
    rig.cycle(30)
    assert rig.state == end
    if option == 6:
        rig.cycle(control=ENABLE)
        assert rig.state == S.OPERATION_ENABLED


def test_option_0_cuts_power_at_once_and_the_brake_stops_the_axis():
    rig = Rig(mode=CSV)
    rig.sdo(0x605A, bytes(2))
    rig.enable()
    rig.cycle(300, velocity=TURN)
    rig.cycle(2, control=QUICK_STOP)
    assert rig.state == S.SWITCH_ON_DISABLED and rig.pull == 0
    rig.cycle(20)
    assert rig.speed == 0


def test_a_following_error_is_a_fault_that_a_rising_edge_resets(rig):
    rig.enable()
    rig.device.order(rig.esc, "jam", {"on": True})
    rig.position = TURN // 2
    rig.until(S.FAULT)
    rig.cycle()
    assert rig.error == 0x8611 and rig.status & 0x6F == 0x08
    rig.device.poll(rig.esc)
    assert rig.esc.sent[-1][6:11] == b"\0\x10\x11\x86\x11"
    rig.cycle(3, control=0)
    assert rig.state == S.FAULT
    rig.cycle(control=RESET)
    assert rig.state == S.SWITCH_ON_DISABLED and rig.error == 0
    rig.device.poll(rig.esc)
    assert rig.esc.sent[-1][6:11] == b"\0\x10\0\0\0"


def test_a_fault_to_order_stops_the_axis_first_and_may_last():
    rig = Rig(mode=CSV).enable()
    rig.cycle(200, velocity=10 * TURN)
    rig.device.order(rig.esc, "fault", {"code": "0x4310", "held": True})
    rig.cycle()
    assert rig.state == S.FAULT_REACTION and rig.status & 0x6F == 0x0F
    assert 15 < rig.until(S.FAULT) < 60
    rig.cycle(2, control=0)
    rig.cycle(control=RESET)
    assert rig.state == S.FAULT
    rig.device.order(rig.esc, "fault", {"code": 0, "held": False})
    rig.cycle(control=0)
    rig.cycle(control=RESET)
    assert rig.state == S.SWITCH_ON_DISABLED


@pytest.mark.parametrize(
    ("option", "state"), [(0, S.OPERATION_ENABLED), (1, S.FAULT), (2, S.SWITCH_ON_DISABLED), (3, S.SWITCH_ON_DISABLED)]
)
def test_the_end_of_op_is_what_its_option_says(option, state):
    rig = Rig()
    rig.sdo(0x6007, struct.pack("<h", option))
    rig.enable()
    rig.device.watchdog(rig.esc)
    rig.is_op = False
    for _ in range(50):
        rig.step()
    assert rig.state == state
    assert rig.device.objects.number(0x603F) == (0x8130 if option == 1 else 0)


def test_outputs_that_are_not_there_at_sync0_end_op_with_a_fault(rig):
    rig.sdo(0x10F1, struct.pack("<H", 20), 2)
    rig.go(4, 8)
    rig.enable()
    rig.device.image.head["is_clocked"] = 1
    for _ in range(4):
        rig.step(why=Why.SYNC0)
    rig.device.poll(rig.esc)
    assert rig.esc.shown == (8, 0)
    for _ in range(6):
        rig.step(why=Why.SYNC0)
    rig.device.poll(rig.esc)
    assert rig.esc.shown == (4 | 0x10, 0x1A)
    rig.is_op = False
    for _ in range(50):
        rig.step()
    assert rig.state == S.FAULT and rig.device.objects.number(0x603F) == 0x8700


def test_a_mode_that_the_drive_has_not_is_not_taken(rig):
    assert rig.cycle(2, mode=CSV) is not None and rig.shown == CSV
    rig.cycle(2, mode=1)
    assert rig.shown == CSV


def test_modes_change_in_motion_without_a_jump():
    rig = Rig(mode=CSV).enable()
    rig.cycle(300, velocity=TURN)
    rig.cycle(1, mode=CSP, position=rig.at + 2 * TURN // 1000)
    for _ in range(100):
        rig.cycle(position=rig.position + TURN // 1000)
        assert rig.speed == pytest.approx(TURN, rel=0.25)
    assert rig.state == S.OPERATION_ENABLED


def test_halt_stops_and_goes_on():
    rig = Rig(mode=CSV).enable()
    rig.cycle(300, velocity=TURN)
    rig.cycle(300, control=ENABLE | 0x100)
    assert abs(rig.speed) < 2000 and rig.state == S.OPERATION_ENABLED and rig.status & 0x1000 == 0
    rig.cycle(300, control=ENABLE)
    assert rig.speed == pytest.approx(TURN, rel=0.01)


def test_a_vertical_axis_is_held_by_its_brake_and_by_its_drive():
    rig = Rig("drive:load=0.8")
    rig.cycle(100)
    assert rig.at == 0
    rig.enable(position=0)
    rig.cycle(300)
    assert abs(rig.at) < 200 and rig.pull == pytest.approx(800 / 1.3, abs=25)
    rig.cycle(100, control=0)
    assert abs(rig.at) < 2000 and rig.speed == 0


def test_too_much_speed_is_a_fault():
    rig = Rig(mode=CST).enable()
    rig.torque = 3000
    rig.until(S.FAULT)
    assert rig.device.objects.number(0x603F) == 0x8400


def test_power_comes_back_where_the_axis_is(rig):
    rig.enable()
    rig.cycle(200, position=30_000)
    at = rig.device.now["position"]
    rig.device.power_on(rig.esc)
    assert rig.state == S.NOT_READY and rig.device.now["position"] == at
    assert rig.device.al.state == 1


@pytest.mark.parametrize("period", [250_000, 1_000_000, 4_000_000])
def test_the_same_motion_at_each_cycle(period):
    """An axis is as good at 4 kHz as at 250 Hz; faster cycles are followed more closely."""
    rig = Rig().enable()
    for i in range(1, 400_000_000 // period):
        rig.cycle(position=round(2 * TURN * (i * period * 1e-9) ** 2), after_ns=period)
    assert rig.state == S.OPERATION_ENABLED and abs(rig.position - rig.at) < TURN * 0.02
