"""A link to a simulated bus: up, through faults, and down; every row of what can go wrong."""

import contextlib
import logging
import re
import socket
import subprocess
import threading
import time

import pytest

from fieldbus.errors import ConfigurationError, NoAnswerError
from fieldbus.ethercat.address import EthercatAddress
from fieldbus.ethercat.link import EthercatLink
from fieldbus.ethercat.master import Master
from fieldbus.ethercat.options import PdoChoice, Sdo, SlaveOptions
from fieldbus.ethercat.protocol import AlState, Command, Register
from fieldbus.ethercat.simulated.presets import make
from fieldbus.ethercat.wire.listening import check_nobody_else
from fieldbus.ethercat.wire.wire import Datagram, Node, Wire, packed
from fieldbus.image.image import ProcessImage
from fieldbus.tags import Quality, Tag
from tests.fieldbus.ethercat.buses import MASTER, SLAVES, forget_left_scans, simulated
from tests.waiting import PATIENCE_S, is_once, wait_for

COUPLER, VALVES, SWITCHES, AXIS = range(4)
pytest.importorskip("pysoem", reason="pip install 'rt-engine[ethercat]'")


@pytest.fixture(scope="module")
def bus():
    """A coupler, 8 outputs, 8 inputs, a drive."""
    with simulated(make(["coupler", "do8", "di8", "drive"])) as bus:
        yield bus


@pytest.fixture(autouse=True)
def as_new(request):
    """Every test finds the bus with power, whole, and without orders."""
    bus = request.getfixturevalue("bus")
    forget_left_scans()
    yield
    bus.order({"do": "calm"})
    for slave in range(4):
        bus.order({"do": "mend", "before": slave})
        bus.order({"do": "reset", "slave": slave})


def tags():
    return [
        Tag("valve", "bool", "out", address=EthercatAddress("1", 0x7000, 1)),
        Tag("switch", "bool", "in", address=EthercatAddress("2", 0x6000, 1)),
        Tag("status", "uint16", "in", address=EthercatAddress("axis", 0x6041, 0)),
        Tag("control", "uint16", "out", address=EthercatAddress("axis", 0x6040, 0)),
    ]


def axis(**more):
    return SlaveOptions(name="axis", position=AXIS, **more)


@contextlib.contextmanager
def running(some=None, slaves=(), timeout_s=0.05, **more):
    """A link that has been started."""
    link = EthercatLink(
        "bus", some or tags(), MASTER, 0.001, timeout_s, slaves=slaves or [axis()], backoff_s=(0.01, 0.02), **more
    )
    link.start()
    try:
        yield link
    finally:
        link.stop()


def up(link):
    """Wait until it is, and nobody is on the way any more."""
    try:
        wait_for(lambda: link.status().state == "up" and not link.status().note and not is_tending(link))
    except AssertionError:
        pytest.fail(f"{link.status()}")


def is_tending(link):
    return (tender := link._tender) is None or tender.is_busy


def qualities(link):
    return {value.tag.name: value.quality for value in link.values()}


def is_refused(link, *words):
    """Does it say so why it does not come up? Not at once: on a busy machine a slave may come or go while all are counted."""
    wait_for(lambda: all(word in link.status().last_error for word in words), what=str(words))
    return link.status().state in ("down", "connecting")


def al_states():
    wire = Wire(MASTER, timeout_s=PATIENCE_S / 10)
    try:
        return [wire.read(Node.at(i), Register.AL_STATUS, 1)[0] for i in range(4)]
    finally:
        wire.close()


# --- up and down ------------------------------------------------------------------------------------------------------


def test_values_go_to_and_fro_and_everybody_is_in_init_at_the_end(bus):
    """Outputs reach a slave, come back by the inputs that are wired to them, and are safe before the slaves leave OP."""
    valves = bus.escs[VALVES].device
    image = ProcessImage()
    patient = [axis(watchdog_ms=6000), SlaveOptions(name="valves", position=VALVES, watchdog_ms=6000)]
    with running(slaves=patient, timeout_s=10.0) as link:
        outputs = link.drive(image, ["valve"], "task")
        up(link)
        wait_for(lambda: al_states() == [AlState.OP] * 4)
        wait_for(lambda: outputs.write([1.0]) is None and link.values(["switch"])[0].values == (1.0,))
        assert valves.values[0]
        assert [ms for _, _, ms in link.slave_states()] == [100.0, 6000.0, 100.0, 6000.0]
        outputs.write([1.0])
        assert link.stop()
    assert al_states() == [AlState.INIT] * 4
    assert not valves.values[0]


def test_a_slave_that_leaves_while_it_is_looked_for_costs_no_minute(bus):
    """SOEM's scan would wait for each word of its EEPROM; the scan is left, tells why, and a stop is not kept waiting either."""
    master = Master(MASTER)
    leaves = threading.Timer(0.004, lambda: bus.order({"do": "power", "slave": AXIS, "on": False}))
    leaves.start()
    begun_s = time.monotonic()
    master.open()
    try:
        with contextlib.suppress(NoAnswerError):  # or it was gone before
            master.scan()
        assert time.monotonic() - begun_s < 30
    finally:
        master.close()
        leaves.join()
    check_nobody_else(MASTER)  # what was left behind sends nothing


def test_a_slave_gets_its_objects_pdos_and_watchdog(bus):
    """As the file says, and not as the slave comes: other outputs, and an entry put into its inputs."""
    pdos = (PdoChoice(0x1601), PdoChoice(0x1A00), PdoChoice(0x1A01, ((0x60F4, 0, 32), (0x60FD, 0, 32))))
    option = axis(sdos=(Sdo(0x605A, 0, 6, "int16"),), pdos=pdos, watchdog_ms=20)
    more = [
        Tag("speed", "int32", "out", address=EthercatAddress("axis", 0x60FF, 0)),
        Tag("inputs", "uint32", "in", address=EthercatAddress("axis", 0x60FD, 0)),
    ]
    with running([*tags(), *more], slaves=[option]) as link:
        up(link)
        assert bus.escs[AXIS].device.objects.number(0x605A) == 6
        assert link.slave_states()[AXIS][2] == 20.0


def test_what_guards_the_outputs_is_told_and_where_nothing_does(bus, caplog):
    """The slave's own watchdog is the last one: without it outputs stay when this computer dies."""
    caplog.set_level(logging.INFO)

    def is_well_all_the_way():
        caplog.clear()
        with running(slaves=[axis(), SlaveOptions(name="valves", position=VALVES, watchdog_ms=0)]) as link:
            up(link)
        assert "4 slaves in SAFE-OP after" in caplog.text
        assert "watchdogs of outputs: 100 ms" in caplog.text
        assert "slave 1 'valves' (SIM-DO8) keeps its outputs when this computer dies" in caplog.text
        return "degraded" not in caplog.text

    assert is_once(is_well_all_the_way), "slaves on their way to OP are no fault"


# --- what is refused before OP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slaves", "count", "words"),
    [
        ([SlaveOptions(name="axis", position=AXIS, product=0x402)], None, "where 0x00000402 is expected"),
        ([SlaveOptions(name="axis", position=4)], None, "expected at position 4, but 4 slaves answer"),
        ([SlaveOptions(name="axis", alias=9)], None, "no slave has alias 9"),
        ([axis()], 5, "4 slaves answer, where 5 are expected"),
        ([axis()], 3, "4 slaves answer, where 3 are expected"),
        (
            [axis(sdos=(Sdo(0x5FFF, 1, 1, "uint8"),))],
            None,
            "refuses SDO 0x5FFF:01 = 1: it has no such object (abort code 0x06020000)",
        ),
        ([SlaveOptions(name="axis", position=VALVES, sdos=(Sdo(0x6060, 0, 8, "int8"),))], None, "has no CoE"),
    ],
    ids=["identity", "position", "alias", "too few", "too many", "abort", "no CoE"],
)
def test_a_bus_that_is_not_as_expected_is_not_driven(bus, slaves, count, words):
    """It is refused before OP, with both sides' numbers; nobody is left in OP."""
    with running(slaves=slaves, slave_count=count) as link:
        assert is_refused(link, words)
        assert AlState.OP not in al_states()


@pytest.mark.parametrize(
    ("address", "kind", "direction", "words"),
    [
        (EthercatAddress("axis", 0x60FF, 0), "int32", "out", "exchanges no 0x60FF:00; its outputs are 0x6040:00"),
        (EthercatAddress("axis", 0x6064, 0), "int16", "in", "int16 has 16 bits, and 0x6064:00"),
        (EthercatAddress("axis", 0x6064, 0), "int32", "out", "it is an output, and slave 3"),
        (EthercatAddress("7", 0x6064, 0), "int32", "in", "there is no slave at position 7: 4 slaves answer"),
    ],
)
def test_a_tag_that_has_no_place_is_refused(bus, address, kind, direction, words):
    with running([*tags(), Tag("more", kind, direction, address=address)]) as link:
        assert is_refused(link, words)


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        (
            AlState.SAFEOP,
            0x1D,
            "PRE-OP -> SAFE-OP: its outputs are not configured as it needs them (size or place of the sync manager) "
            "(AL status code 0x001D); we map 8 bytes of outputs (sync manager 2), 16 bytes of inputs (sync manager 3)",
        ),
        (AlState.PREOP, 0x16, "its mailbox is not configured as it must be (AL status code 0x0016)"),
    ],
)
def test_a_refused_transition_is_told_in_words(bus, state, code, words):
    """With what was mapped, where that may be the reason."""
    bus.order({"do": "refuse", "slave": AXIS, "state": state, "code": code})
    try:
        with running() as link:
            assert is_refused(link, "slave 3 'axis' (SIM-DR1) refuses", words)
    finally:
        bus.order({"do": "refuse", "slave": AXIS, "state": state, "code": code, "times": 0})


def test_what_is_asked_of_a_slave_never_holds_the_exchange_up(bus):
    """Its mailbox does not answer while it is brought back: the others are exchanged with all the time."""
    with running(slaves=[axis(sdos=(Sdo(0x605A, 0, 6, "int16"),))]) as link:

        def goes_on():
            up(link)
            link.reset_counters()
            bus.order({"do": "power", "slave": AXIS, "on": False})
            wait_for(lambda: "does not answer" in link.status().note)
            bus.order({"do": "silent", "slave": AXIS, "count": 1000})
            bus.order({"do": "power", "slave": AXIS, "on": True})
            wait_for(lambda: "its mailbox does not answer" in link.status().note)
            wait_for(lambda: qualities(link)["switch"] is Quality.GOOD)
            longest_ns = link.exchange.round_trip.max
            bus.order({"do": "silent", "slave": AXIS, "count": 0})
            return longest_ns < 0.5e9

        assert is_once(goes_on)
        up(link)


def test_nobody_there_and_another_master_and_no_interface(bus):
    bus.order({"do": "cut", "before": 0})
    with running() as link:
        assert is_refused(link, "no slave answers on master0: is the cable plugged in")
    link = EthercatLink("bus", tags(), "nowhere0", slaves=[axis()], backoff_s=(0.01, 0.02))
    with link:
        assert is_refused(link, 'there is no network interface "nowhere0"')


def test_a_slave_that_refuses_op_is_told_while_the_others_go_on(bus, caplog):
    """The link is degraded, its own tags are what its counter says, the rest lives; and it is asked again."""
    bus.order({"do": "refuse", "slave": AXIS, "state": AlState.OP, "code": 0x8001, "times": 1})
    with running() as link:
        wait_for(lambda: "SAFE-OP -> OP: of its maker's own (AL status code 0x8001)" in caplog.text)
        wait_for(lambda: qualities(link)["switch"] is Quality.GOOD)
        up(link)


# --- faults while it runs ---------------------------------------------------------------------------------------------


def test_a_slave_that_loses_power_is_bad_alone_and_comes_back_by_itself(bus, caplog):
    """BAD within the timeout, the others live; named and counted; in OP again without anybody's doing."""
    caplog.set_level(logging.INFO)
    with running() as link:
        up(link)
        bus.order({"do": "power", "slave": AXIS, "on": False})
        took_s = wait_for(lambda: qualities(link)["status"] is Quality.BAD)
        wait_for(lambda: qualities(link)["switch"] is Quality.GOOD)
        assert took_s < 5.0
        wait_for(lambda: "slave 3 'axis' (SIM-DR1) does not answer any more" in link.status().note)
        wait_for(lambda: link.status().state == "degraded")
        bus.order({"do": "power", "slave": AXIS, "on": True})
        up(link)
        wait_for(lambda: (status := link.status()).slaves_lost == status.slaves_back >= 1)
        wait_for(lambda: qualities(link)["status"] is Quality.GOOD)
    assert "slave 3 'axis' (SIM-DR1) is in OP again after" in caplog.text


def test_a_cable_that_is_cut_costs_those_behind_it(bus):
    with running() as link:
        up(link)
        bus.order({"do": "cut", "before": SWITCHES})
        wait_for(lambda: qualities(link)["switch"] is qualities(link)["status"] is Quality.BAD)
        wait_for(lambda: qualities(link)["valve"] is Quality.GOOD)
        wait_for(lambda: link.status().state == "degraded" and bool(link.status().note))
        bus.order({"do": "mend", "before": SWITCHES})
        up(link)
        wait_for(lambda: (status := link.status()).slaves_lost == status.slaves_back >= 2)


def test_another_slave_at_its_place_is_refused_and_the_right_one_taken(bus):
    with running() as link:
        up(link)
        bus.order({"do": "power", "slave": AXIS, "on": False})
        bus.order({"do": "identify", "slave": AXIS, "product": 7})
        bus.order({"do": "power", "slave": AXIS, "on": True})
        wait_for(
            lambda: (
                "another slave is at the place of slave 3 'axis' (SIM-DR1): product 0x00000007" in link.status().note
            )
        )
        wait_for(lambda: qualities(link)["switch"] is Quality.GOOD)
        right = link._master.slaves[AXIS].found.product
        bus.order({"do": "identify", "slave": AXIS, "product": right})
        up(link)


def test_a_slave_that_falls_back_is_told_in_words_and_asked_to_op_again(bus, caplog):
    with running() as link:
        up(link)
        wait_for(lambda: not link.status().note and al_states()[AXIS] == AlState.OP)
        back = link.status().slaves_back
        bus.order({"do": "fall", "slave": AXIS, "state": 4, "code": 0x1B})
        wait_for(lambda: link.status().slaves_back > back)
        wait_for(lambda: link.status().state == "up")
    assert "fell back to SAFE-OP with an error: its watchdog expired" in caplog.text


def test_wrong_counters_and_lost_frames_pass_and_are_counted(bus):
    """The exchange goes on; what a wrong counter says of a slave lasts as long as the counter is wrong."""
    with running() as link:
        up(link)
        for order in ({"do": "miscount", "slave": AXIS, "by": -1, "frames": 200}, {"do": "lose", "frames": 20}):
            bus.order(order)
            wait_for(lambda: link.status().wrong_counters > 0)
        wait_for(lambda: link.status().frames_lost > 0)
        bus.order({"do": "calm"})
        up(link)


def test_safe_values_that_are_not_confirmed_are_sent_again_in_the_next_cycle(bus, monkeypatch):
    """No sooner, though a wrong counter is back at once; and what was wrong is what is told in the end."""
    cycle_s, timeout_s = 0.05, 0.5

    def is_told_why():
        link = EthercatLink("bus", tags(), MASTER, cycle_s, timeout_s, slaves=[axis()], backoff_s=(0.01, 0.02))
        sent, phase = [], link.exchange.phase
        monkeypatch.setattr(link.exchange, "phase", lambda *given: (sent.append(given), phase(*given)))
        bus.order({"do": "calm"})
        with link:
            up(link)
            bus.order({"do": "miscount", "slave": AXIS, "by": -1, "frames": 1 << 30})
            assert not link.stop()
        attempts = timeout_s / cycle_s + 2
        assert len(sent) <= 2 * attempts, "each is two: who was silent is asked once more"
        return sent and re.search("safe values not written: .*working counter", link.status().last_error)

    assert is_once(is_told_why)


def test_an_interface_that_goes_down_costs_all_and_comes_back(bus):
    """BAD at once, with the command that mends it; from the start when it is up again."""
    with running() as link:
        up(link)
        subprocess.run(["ip", "link", "set", MASTER, "down"], check=True)
        wait_for(lambda: {*qualities(link).values()} == {Quality.BAD})
        wait_for(lambda: f"sudo ip link set {MASTER} up" in link.status().last_error)
        subprocess.run(["ip", "link", "set", MASTER, "up"], check=True)
        up(link)
        assert link.status().reconnects == 1


def test_another_master_is_seen_before_anything_is_sent(bus):
    """One that is here is named by the kernel, one elsewhere is heard: its frames come by."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as other:
        other.bind((SLAVES, 0))
        stop = threading.Event()
        frame = packed([Datagram(Command.LRW, 0, 0, bytes(8))], 3)

        def talk():
            while not stop.wait(0.002):
                other.send(frame)

        talking = threading.Thread(target=talk)
        talking.start()

        def is_seen():
            words = f"another EtherCAT master is on network interface {MASTER}"
            with running() as link:
                wait_for(lambda: words in link.status().last_error or link.status().state == "up")
                return words in link.status().last_error

        try:
            assert is_once(is_seen)
        finally:
            stop.set()
            talking.join()


def test_frames_of_others_are_ignored(bus):
    """Of another master that comes later, and garbage."""
    with running() as link:
        up(link)
        wire = Wire(MASTER)
        frame = packed([Datagram(Command.BRD, 0, Register.TYPE, b"\0\0")], 0x85)
        for i in range(500):
            wire._socket.send(frame[: 20 + i % 40] if i % 2 else frame)
        wire.close()
        up(link)


def test_an_interface_without_a_thread_of_tags_is_refused():
    with pytest.raises(ConfigurationError, match="needs an EthercatAddress"):
        EthercatLink("bus", [Tag("x", "bool", "in")], MASTER)
