"""A bus on the wire: masters that are not ours find its slaves and bring them to OP, in a line and in a ring; and its process."""

import json
import socket
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from fieldbus.ethercat.protocol import Command
from fieldbus.ethercat.simulated.__main__ import main
from fieldbus.ethercat.simulated.bus import Bus
from fieldbus.ethercat.simulated.generic import Mirror
from fieldbus.ethercat.simulated.process import BusProcess
from tests import need
from tests.fieldbus.ethercat.buses import MASTER, SECOND_MASTER, SECOND_SLAVES, SLAVES, network, simulated
from tests.fieldbus.ethercat.simulated.datagrams import COUNT, Datagram, at, pack, unpack
from tests.waiting import is_once, wait_for

MICROSECONDS = 5_000_000
"""So long a master may wait for what usually takes 50 us: the machine has other work."""
WATCHDOG_MS = 6000
"""So long slaves wait for outputs of a master that has no time."""


@pytest.fixture(scope="module")
def pysoem():
    """It holds the interpreter while it waits, so its slaves are in a process of their own."""
    return need.package("pysoem")


def exchange(master):
    """One cycle; gives the working counter."""
    master.send_processdata()
    return master.receive_processdata(MICROSECONDS)


def operational(pysoem, master, slaves, is_right=lambda: True):
    """Bring all slaves to OP. It gives an answer 2 ms, and here it may have no processor for longer: then it begins again."""

    def is_configured():
        if master.config_init() != slaves:
            return False
        master.config_map()
        master.config_dc()
        for slave in master.slaves:
            slave.set_watchdog("processdata", WATCHDOG_MS)
        return master.state_check(pysoem.SAFEOP_STATE, 500_000) == pysoem.SAFEOP_STATE and is_right()

    def is_operational():
        exchange(master)
        return master.state_check(pysoem.OP_STATE, 2000) == pysoem.OP_STATE

    wait_for(is_configured)
    exchange(master)
    master.state = pysoem.OP_STATE
    master.write_state()
    wait_for(is_operational)


def mirrors(*sizes):
    """Mirrors, each a product of its own: masters take what they know of one for another of its kind."""
    return [Mirror(nbytes, product=nbytes) for nbytes in sizes]


def registers(bus, register, nbytes, slaves):
    """What is in a register of each slave."""
    asked = [{"do": "read", "slave": i, "register": register, "nbytes": nbytes} for i in range(slaves)]
    return [int.from_bytes(bytes.fromhex(bus.order(order)["data"]), "little") for order in asked]


def test_pysoem_brings_slaves_to_op(pysoem):
    """They are named, their clocks measured, and what is written comes back; a slave without power is missed, and counted."""
    with network(), BusProcess(SLAVES, ["mirror", "mirror:4", "mirror:8"]) as bus:
        master = pysoem.Master()
        master.open(MASTER)

        def is_measured():
            return len({slave.id for slave in master.slaves}) == 3 and registers(bus, 0x0928, 4, 3) == [0, 500, 1000]

        operational(pysoem, master, 3, is_measured)
        master.slaves[1].output = b"abcd"
        wait_for(lambda: exchange(master) == 9 and master.slaves[1].input == b"abcd")
        bus.order({"do": "power", "slave": 2, "on": False})
        assert exchange(master) == 6
        bus.order({"do": "miscount", "slave": 0, "by": 1})
        assert exchange(master) == 7
        master.close()


def test_a_ring_survives_a_broken_cable(pysoem):
    """pysoem with a second interface: all slaves are exchanged with before and after."""
    with network(is_ring=True), BusProcess(SLAVES, ["mirror", "mirror:4"], SECOND_SLAVES) as bus:
        master = pysoem.Master()
        master.open(MASTER, SECOND_MASTER)
        operational(pysoem, master, 2)
        assert exchange(master) == 6
        for cable in range(3):
            bus.order({"do": "cut", "before": cable})
            assert exchange(master) == 6
            bus.order({"do": "mend", "before": cable})
        master.close()


def test_frames_are_delayed_doubled_and_lost_on_the_wire():
    """By a master of bytes."""
    with simulated(mirrors(2)) as bus, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as master:
        master.bind((MASTER, 0x88A4))
        master.settimeout(5)

        def answers(order, frames=1):
            bus.order(order)
            began = time.monotonic_ns()
            master.send(pack([COUNT]))
            found = [master.recv(2048) for _ in range(frames)]
            assert all(unpack(frame)[0].counter == 1 and len(frame) == 60 for frame in found)
            return time.monotonic_ns() - began

        answers({"do": "double"}, 2)
        assert answers({"do": "delay", "ns": 30_000_000}) > 30_000_000
        bus.order({"do": "lose"})
        master.send(pack([COUNT]))
        wait_for(lambda: bus.counters()["lost"] == 1)
        answers({"do": "calm"})
        assert [bus.counters()[name] for name in ("doubled", "late", "lost", "frames")] == [1, 1, 1, 4]


def test_a_frame_comes_when_the_kernel_has_it():
    """A clock that a frame reads shows that time, however late the thread is that runs the bus: here it is held up."""
    with simulated(mirrors(2)) as bus, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as master:
        master.bind((MASTER, 0x88A4))
        master.settimeout(5)

        def clock(held_up_s):
            if held_up_s:
                bus._words["lock"] = 1
            began = time.monotonic_ns()
            master.send(pack([Datagram(Command.APRD, at(0, 0x0910), bytes(8))]))
            time.sleep(held_up_s)
            ended = time.monotonic_ns()
            if held_up_s:
                bus._words["lock"] = 0
            shown = int.from_bytes(unpack(master.recv(2048))[0].data, "little")
            esc = bus.escs[0]
            return began, int(esc.word("anchor_ns")) + shown - int(esc.word("local_ns")) - int(esc.word("at_ns")), ended

        def is_of_its_time():
            began, came, ended = clock(0.05)
            return began <= came < ended

        clock(0)  # the kernel begins to stamp
        assert is_once(is_of_its_time)


def test_another_master_finds_the_same():
    """KickCAT, with the slaves in a process of their own: it holds the interpreter while it waits."""
    kickcat = need.package("kickcat")
    with network(is_ring=True), BusProcess(SLAVES, ["mirror", "mirror:4"], SECOND_SLAVES) as bus:
        link = kickcat.create_link(MASTER, SECOND_MASTER)  # on a line it waits for each frame's time to end
        link.set_timeout(timedelta(milliseconds=500))
        master = kickcat.Bus(link)

        def is_operational():
            try:
                master.init(timedelta(seconds=1))
                master.create_mapping(4096)
                for state in (kickcat.State.SAFE_OP, kickcat.State.OPERATIONAL):
                    master.request_state(state)
                    master.wait_for_state(state, timedelta(seconds=1), master.process_data_no_check)
            except (RuntimeError, kickcat.ErrorAL):  # an answer, or outputs, came too late: the machine had no time
                return False
            sizes = [(slave.input_size, slave.output_size) for slave in master.slaves()]
            return sizes == [(2, 2), (4, 4)]  # it takes an answer that was late for none, and a size for 0

        wait_for(is_operational)

        def is_back():
            if states() != [8, 8] and not is_operational():  # its watchdog has expired: this process had no time
                return False
            master.slaves()[1].set_output_bytes(b"abcd")
            master.process_data_no_check()
            return bytes(master.slaves()[1].input_data) == b"abcd" and states() == [8, 8]

        def states():
            return [slave["al_status"] for slave in bus.order({"do": "state"})["slaves"]]

        wait_for(is_back)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"do": "power", "slave": 9, "on": False}, "there is no slave 9"),
        ({"do": "cut", "before": 5}, "cables are 0 to 2"),
        ({"do": "power"}, "lacks 'slave'"),
        ({"frames": 3}, "lacks 'do'"),
        ({"do": "explode", "slave": 0}, "no order 'explode'"),
        ({"do": "explode"}, "knows no order 'explode': lose, .*needs its 'slave'"),
        ({"do": "delay", "frames": 3}, "needs its ns"),
        ({"do": "identify", "slave": 0, "colour": 3}, "no 'colour'"),
    ],
)
def test_an_order_that_is_none_is_refused_in_words(order, words):
    bus = Bus(mirrors(1, 2))
    with pytest.raises(ValueError, match=words):
        bus.order(order)
    bus.close()


def test_another_identity_is_in_the_eeprom():
    """And its checksum is right; the alias is what registers say after power returns."""
    bus = Bus([Mirror(product=1)])
    bus.order({"do": "identify", "slave": 0, "product": 0x99, "alias": 5})
    assert bytes(bus.escs[0].eeprom[20:24]) == b"\x99\0\0\0"
    bus.order({"do": "reset", "slave": 0})
    assert bus.escs[0].read(0x0012, 2) == b"\x05\0"
    bus.close()


def test_too_many_faults_are_refused():
    bus = Bus(mirrors(1))
    for _ in range(16):
        bus.order({"do": "lose"})
    with pytest.raises(ValueError, match="calm"):
        bus.order({"do": "lose"})
    bus.order({"do": "calm"})
    bus.order({"do": "lose"})
    bus.close()


def test_a_process_takes_orders_line_by_line(socket_folder):
    """On its standard input, or on a socket of one's own: what is no order is answered, and the bus lives."""
    path = socket_folder / "orders"
    command = [
        sys.executable,
        "-m",
        "fieldbus.ethercat.simulated",
        "--interface",
        SLAVES,
        "--slaves",
        "mirror*1,mirror:4",
    ]
    command[-1] = "mirror,mirror:4"
    with network(), subprocess.Popen([*command, "--socket", str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ok": True, "ready": 2}
        wait_for(path.exists)
        with socket.socket(socket.AF_UNIX) as client, client.makefile("r") as answers:
            wait_for(lambda: client.connect_ex(str(path)) in (0, 106))
            client.sendall(b'{"do": "power", "slave": 1, "on": false}\nnonsense\n[]\n{"do": "st')
            client.sendall(b'ate"}\n')
            said = [json.loads(answers.readline()) for _ in range(4)]
        assert [one["ok"] for one in said] == [True, False, False, True]
        assert [slave["on"] for slave in said[3]["slaves"]] == [True, False]
        process.terminate()
        assert process.wait(60) == 0


def test_a_process_says_why_it_cannot_begin(capsys):
    with network():
        assert main(["--interface", "nothing0", "--slaves", "mirror"]) == 1
        assert main(["--interface", SLAVES, "--slaves", "motor"]) == 1
    nothing, motor = map(json.loads, capsys.readouterr().out.splitlines())
    assert (nothing["ok"], motor["ok"]) == (False, False)
    assert nothing["error"].startswith("nothing0: ") and "No such device" in nothing["error"]
    assert "'motor'" in motor["error"]


def test_who_starts_a_process_gets_its_reason():
    with network(), pytest.raises(ValueError, match=r"nothing0: .*No such device"), BusProcess("nothing0", ["mirror"]):
        pass
