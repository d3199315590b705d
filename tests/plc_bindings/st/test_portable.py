"""Portable blocks: executed call by call against our Modbus server; what compilers of this kind refuse is not in them."""

import re
import select
import socket
import struct

import numpy as np
import pytest

import rt_engine
from plc_bindings.errors import UnpackableError
from plc_bindings.st import portable
from plc_bindings.st.names import KEYWORDS
from plc_bindings.st.project import Modbus, Registers, project
from plc_bindings.st.statuses import STATUSES
from plc_bindings.st.write import library_files, portable_files
from plc_bindings.status import CallStatus
from rt_engine.change import ChangeState, Verdict
from scheduler.status import TaskStatus
from tests.plc_bindings.st.evaluator import Program, syntax_errors
from tests.plc_bindings.st.exported import POLICY, kinds, modbus, portable_program, square_root, wide
from tests.plc_bindings.st.served import Station
from tests.waiting import PATIENCE_S

X = np.linspace(-0.5, 0.5, 7, dtype=np.float32)
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")


def split(data):
    """Frames of Modbus TCP."""
    while data:
        size = 6 + int.from_bytes(data[4:6], "big")
        yield data[:size]
        data = data[size:]


class Transport:
    """What a user's FB_RtTransport does, with a socket.

    `most` bytes a cycle; `mute`: nothing comes back; `gather`: it waits for the answers to all that it sends.
    """

    def __init__(self, address):
        self.address, self.socket, self.most, self.mute = address, None, portable.BYTES, False
        self.gather, self.sent = False, []

    def cycle(self, connection):
        if connection.bReopen or self.socket is None:
            self.close()
            self.socket = socket.create_connection(self.address)
            connection.bReopen, connection.bSend, connection.nResponse = False, False, 0
        connection.bOpen = True
        asked = 0
        if connection.bSend:
            data = connection.at("aRequest").read(connection.nRequest)
            frames = list(split(data))
            asked = len(frames) if self.gather else 1
            self.sent += frames
            self.socket.sendall(data)
            connection.bSend = False
        for _ in range(max(asked, 1)):
            self.receive(connection, asked)

    def receive(self, connection, asked):
        if self.gather and asked <= len(list(split(connection.at("aResponse").read(connection.nResponse)))):
            return
        if not self.mute and select.select([self.socket], [], [], PATIENCE_S if asked else 0.01)[0]:
            data = self.socket.recv(min(self.most, portable.BYTES - connection.nResponse))
            connection.at("aResponse").write(data, connection.nResponse)
            connection.nResponse += len(data)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Plc:
    """A PLC with the blocks of these models, connected to a station that serves `served`."""

    def __init__(self, models, order="ABCD", served=None, at=None):
        self.station = Station(served or models, order)
        self.project, self.at = project("cell", models), at or self.station.modbus
        self.program = portable_program(self.project, self.at)
        self.connection = self.program.new("ST_RtConnection")
        self.transport = Transport(self.station.server.address)

    def cycle(self, block, **inputs):
        """Transport, then the block: as the example program does."""
        self.transport.cycle(self.connection)
        block(stConnection=self.connection, **inputs)

    def cycles(self, block, most=40, **inputs):
        """Until the block is no longer busy; how many that took."""
        for i in range(1, most + 1):
            self.cycle(block, **inputs)
            if not block.bBusy:
                return i
        raise AssertionError("still busy")

    def functions(self):
        """Function codes that were sent."""
        return [frame[7] for frame in self.transport.sent]

    def close(self):
        self.transport.close()
        self.station.close()


@pytest.fixture
def plcs():
    """Makes PLCs; closes them at the end."""
    made = []

    def make(*args, **options):
        made.append(Plc(*args, **options))
        return made[-1]

    yield make
    for plc in made:
        plc.close()


@pytest.fixture(scope="module")
def policy():
    return rt_engine.load(POLICY)


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory):
    return kinds(tmp_path_factory.mktemp("kinds"))


def test_a_rising_edge_runs_the_model_once(plcs, policy):
    """Hash compared, then one message writes inputs and reads the result: outputs are ours to the bit."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    block.stIn.observation = X
    plc.cycles(block, bExecute=True)
    assert block.bValid and not block.bError and block.hrErrorCode == 0 and block.nVersion == 1
    assert block.at("stOut").read() == policy.run({"observation": X.reshape(1, 7)})[0].tobytes()
    assert plc.functions() == [3, 23]
    assert plc.transport.sent[1][17:] == X.astype(">f4").tobytes()
    for _ in range(3):
        plc.cycle(block, bExecute=True)
    plc.cycle(block, bExecute=False)
    assert plc.functions() == [3, 23]
    plc.cycles(block, bExecute=True)
    assert plc.functions() == [3, 23, 23]


@pytest.mark.parametrize("order", ORDERS)
def test_every_type_travels_in_every_order(plcs, all_kinds, order):
    """Scalars and arrays of all types come back as they were sent, whatever the server's order of bytes."""
    plc = plcs({"kinds": all_kinds}, order)
    block = plc.program.new("FB_kinds")
    rng = np.random.default_rng(3)
    for cell in block.at("stIn").cells:
        if cell.type.name == "BOOL":
            cell.set(bool(rng.integers(2)))
        elif cell.type.kind == "real":
            cell.set(float(rng.normal()) * 10.0 ** int(rng.integers(-30, 30)))
        else:
            cell.load(rng.bytes(8)[: len(cell.bytes())])
    plc.cycles(block, bExecute=True)
    assert block.bValid, block.hrErrorCode
    assert block.at("stOut").read() == block.at("stIn").read()


def test_a_wide_model_takes_several_messages(plcs, tmp_path):
    """400 input registers: three writes, then write and read, then reads; nothing is lost at the seams."""
    plc = plcs({"wide": wide(tmp_path)})
    block = plc.program.new("FB_wide")
    values = np.arange(200, dtype=np.float32) + 0.25
    block.stIn.x = values
    plc.cycles(block, bExecute=True)
    assert block.bValid
    assert block.stOut.y == list(-values)
    assert plc.functions() == [3, 16, 16, 16, 23, 3, 3, 3]
    block.stIn.x = values + 1000
    plc.cycle(block, bExecute=False)
    plc.cycles(block, bExecute=True)
    assert block.stOut.y == list(-values - 1000)
    assert plc.functions()[8:] == [16, 16, 16, 23, 3, 3, 3]
    assert max(map(len, plc.transport.sent)) <= 260


def test_answers_in_pieces_are_put_together(plcs, policy):
    """Three bytes a cycle."""
    plc = plcs({"policy": policy})
    plc.transport.most = 3
    block = plc.program.new("FB_policy")
    block.stIn.observation = X
    assert plc.cycles(block, bExecute=True) > 10
    assert block.bValid
    assert block.at("stOut").read() == policy.run({"observation": X.reshape(1, 7)})[0].tobytes()


def test_cyclic_calls_and_a_hot_update(plcs, policy):
    """A result in every cycle but the first two; the new version shows."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    for _ in range(8):
        plc.cycle(block, bExecute=True, bCyclic=True)
    assert block.bValid and block.nAge == 0 and len(plc.transport.sent) >= 6
    plc.station.slots["policy"].update(rt_engine.load(POLICY.with_name("policy-v2.onnx")))
    for _ in range(4):
        plc.cycle(block, bExecute=True, bCyclic=True)
    assert block.nVersion == 2


def test_a_late_result_is_as_old_as_its_inputs(plcs, policy):
    """It is good, and came in this cycle; its inputs are those of when the call began, also while it waited for a connection."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    for _ in range(20):
        block(stConnection=plc.connection, bExecute=True)
    cycles = 20 + plc.cycles(block)
    assert (block.bValid, block.nAge, block.nInputAge) == (True, 0, cycles - 1)
    for _ in range(6):
        plc.cycle(block, bCyclic=True)
    assert (block.nAge, block.nInputAge) == (0, 1)


def test_the_timeout_is_that_of_each_call(plcs, policy):
    """Many calls together may take longer."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    for _ in range(30):
        plc.cycle(block, bExecute=True, bCyclic=True, nTimeout=12)
        assert not block.bError
    assert block.bValid


def test_blocks_on_one_connection_do_not_wait_for_each_other(plcs, policy, tmp_path):
    """Eight calls of one message and one of several are under way at once: each of the eight has a result in every cycle."""
    policies = {f"policy{i}": policy for i in range(portable.CALLS)}
    plc = plcs({**policies, "wide": wide(tmp_path)})
    blocks, last = [plc.program.new(f"FB_{name}") for name in policies], plc.program.new("FB_wide")
    inputs = [np.float32(0.1 * i) * X for i in range(portable.CALLS)]
    for block, values in zip(blocks, inputs, strict=True):
        block.stIn.observation = values
    last.stIn.x = values = np.arange(200, dtype=np.float32)
    plc.transport.gather = True
    came = [0] * (portable.CALLS + 1)
    for _ in range(25):
        plc.transport.cycle(plc.connection)
        for i, block in enumerate((*blocks, last)):
            block(stConnection=plc.connection, bExecute=True, bCyclic=True)
            came[i] += block.bValid and block.nAge == 0
            assert not block.bError
        plc.transport.cycle(plc.connection)
    assert came[: portable.CALLS] == [23] * portable.CALLS and came[portable.CALLS] == 3
    for block, values in zip(blocks, inputs, strict=True):
        assert block.at("stOut").read() == policy.run({"observation": values.reshape(1, 7)})[0].tobytes()
    assert last.stOut.y == [-float(i) for i in range(200)]


def test_more_blocks_than_turns_take_turns(plcs, policy):
    """Eleven blocks of one message: all of them have results, and no one twice as many as another."""
    plc = plcs({"policy": policy})
    blocks = [plc.program.new("FB_policy") for _ in range(portable.CALLS + 3)]
    came = [0] * len(blocks)
    plc.transport.gather = True
    for _ in range(33):
        plc.transport.cycle(plc.connection)
        for i, block in enumerate(blocks):
            block(stConnection=plc.connection, bExecute=True, bCyclic=True)
            came[i] += block.bValid and block.nAge == 0
            assert not block.bError
        plc.transport.cycle(plc.connection)
    assert min(came) > 10 and max(came) < 2 * min(came), came


def test_calls_of_several_messages_do_not_mix(plcs, tmp_path):
    """Two blocks of one wide model: the messages of their calls lie in the same registers, so one waits for the other."""
    plc = plcs({"wide": wide(tmp_path)})
    first, second = plc.program.new("FB_wide"), plc.program.new("FB_wide")
    first.stIn.x, second.stIn.x = np.full(200, 1.0, np.float32), np.full(200, 2.0, np.float32)
    for _ in range(40):
        plc.transport.cycle(plc.connection)
        for block, value in ((first, -1.0), (second, -2.0)):
            block(stConnection=plc.connection, bExecute=True, bCyclic=True)
            assert not block.bError and (not block.bValid or block.stOut.y == [value] * 200)
    assert first.bValid and second.bValid


def test_a_block_that_is_called_no_more_holds_up_nobody(plcs, policy, tmp_path):
    """Its answer stays where it is until it is called again; a wide one gives its turn up when another has waited for nTimeout."""
    plc = plcs({"policy": policy, "wide": wide(tmp_path)})
    gone, wide_gone = plc.program.new("FB_policy"), plc.program.new("FB_wide")
    block, other = plc.program.new("FB_policy"), plc.program.new("FB_wide")
    gone.stIn.observation, block.stIn.observation = X, -X
    for one in (gone, wide_gone):
        plc.cycle(one, bExecute=True)
    for _ in range(8):
        plc.cycle(block, bExecute=True, bCyclic=True)
    assert block.bValid and block.nAge == 0
    plc.cycles(gone)
    assert gone.bValid
    assert gone.at("stOut").read() == policy.run({"observation": X.reshape(1, 7)})[0].tobytes()
    plc.cycles(other, bExecute=True, nTimeout=6)
    assert other.hrErrorCode == CallStatus.TIMEOUT
    plc.cycle(other, bExecute=False)
    plc.cycles(other, bExecute=True, nTimeout=40)
    assert other.bValid
    plc.cycle(wide_gone)
    assert wide_gone.hrErrorCode == CallStatus.CONNECTION and not plc.connection.bReopen


def test_numbers_that_come_again_are_nobody_elses(plcs, policy):
    """A block that is called no more still awaits its answer when the numbers have gone round: none is given out twice."""
    plc = plcs({"policy": policy})
    gone, block = plc.program.new("FB_policy"), plc.program.new("FB_policy")
    gone.stIn.observation, block.stIn.observation = X, -X
    for _ in range(2):
        plc.cycle(gone, bExecute=True)
    awaited = gone.fbPredict.nNumber
    assert gone.bBusy and awaited in plc.connection.at("aTaken").read()
    plc.cycles(block, bExecute=True)
    plc.cycle(block, bExecute=False)
    plc.connection.nTransaction = awaited - 1
    plc.cycles(block, bExecute=True)
    want = policy.run({"observation": -X.reshape(1, 7)})[0].tobytes()
    assert block.bValid and block.at("stOut").read() == want
    plc.cycles(gone)
    assert gone.at("stOut").read() == policy.run({"observation": X.reshape(1, 7)})[0].tobytes()


def test_a_block_at_rest_compares_the_interface_again_on_a_new_connection(plcs, policy):
    """The station was another one meanwhile, or another block had the connection opened anew, before this one was called."""
    plc = plcs({"policy": policy})
    block, other = plc.program.new("FB_policy"), plc.program.new("FB_policy")
    plc.cycles(block, bExecute=True)
    plc.cycle(block, bExecute=False)
    plc.cycles(block, bExecute=True)
    plc.cycle(block, bExecute=False)
    assert plc.functions() == [3, 23, 23]
    plc.connection.bOpen = False
    block(stConnection=plc.connection)
    plc.cycles(block, bExecute=True)
    plc.cycle(block, bExecute=False)
    assert plc.functions() == [3, 23, 23, 3, 23]
    plc.transport.mute = True
    plc.cycles(other, bExecute=True, nTimeout=3)
    assert other.hrErrorCode == CallStatus.TIMEOUT
    plc.transport.mute = False
    before = len(plc.functions())
    plc.cycles(block, bExecute=True)
    assert block.bValid and plc.functions()[before:] == [3, 23]


def test_who_opens_the_connection_anew_ends_the_calls_of_others_too(plcs, policy):
    """Their answers are lost: CONNECTION at once, not after their timeout; the next calls are good."""
    plc = plcs({"policy": policy})
    first, second = plc.program.new("FB_policy"), plc.program.new("FB_policy")
    both = ((first, 4), (second, 100))
    plc.transport.mute = True
    for _ in range(4):
        plc.transport.cycle(plc.connection)
        for block, most in both:
            block(stConnection=plc.connection, bExecute=True, bCyclic=True, nTimeout=most)
    assert (first.hrErrorCode, second.hrErrorCode) == (CallStatus.TIMEOUT, CallStatus.CONNECTION)
    plc.transport.mute, plc.transport.gather = False, True
    for _ in range(6):
        plc.transport.cycle(plc.connection)
        for block, _ in both:
            block(stConnection=plc.connection, nTimeout=40)
    assert first.bValid and second.bValid and plc.functions()[2:4] == [3, 3]


def test_requests_that_nobody_takes_do_not_run_over(policy):
    """Blocks that are reset while the transport is not called: what has no room is not asked yet, and runs into its timeout."""
    of = project("cell", {"policy": policy})
    program = portable_program(of, modbus(of))
    connection, blocks = program.new("ST_RtConnection"), [program.new("FB_policy") for _ in range(portable.CALLS)]
    connection.bOpen = True
    for _ in range(40):
        for block in blocks:
            block(stConnection=connection, bExecute=True, bReset=False)
            block(stConnection=connection, bReset=True)
    assert portable.BYTES - 260 < connection.nRequest <= portable.BYTES
    for _ in range(5):
        blocks[0](stConnection=connection, bExecute=True, bReset=False, nTimeout=5)
    assert blocks[0].hrErrorCode == CallStatus.TIMEOUT and connection.bReopen


def test_a_block_that_stopped_waiting_holds_up_nobody(plcs, policy):
    """It had asked for its turn and is called no more: the others go on after one cycle."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    for _ in range(5):
        plc.cycle(block, bExecute=True, bCyclic=True)
    before = len(plc.transport.sent)
    plc.connection.aWanted[1] = 1
    for _ in range(10):
        plc.cycle(block)
    assert block.bValid and len(plc.transport.sent) >= before + 7


def test_a_new_call_forgets_the_last_one(plcs, tmp_path):
    """While it is under way neither the old result nor the old error is shown; nAge goes on."""
    plc = plcs({"root": square_root(tmp_path)})
    block = plc.program.new("FB_root")
    block.stIn.x = (4.0, -9.0)
    plc.cycles(block, bExecute=True)
    assert block.bError and not block.bValid
    block.stIn.x = (4.0, 9.0)
    plc.cycle(block, bExecute=False)
    plc.cycle(block, bExecute=True)
    assert block.bBusy and not block.bError and block.hrErrorCode == 0
    plc.cycles(block)
    assert block.bValid and block.nAge == 0
    plc.cycle(block, bExecute=False)
    assert block.bValid and block.nAge == 1
    plc.cycle(block, bExecute=True)
    assert block.bBusy and not block.bValid
    block.nAge = 2**32 - 1
    plc.cycle(block, bExecute=True, bReset=True)
    assert block.nAge == 2**32 - 1


def test_another_interface_is_refused_before_anything_is_written(plcs, policy, tmp_path):
    """The station's model of that name has other ends: its hash differs."""
    other = project("cell", {"policy": policy})
    plc = plcs({"policy": policy}, served={"policy": wide(tmp_path)})
    assert other.models[0].signature.hash != plc.station.slots["policy"].model
    block = plc.program.new("FB_policy")
    plc.cycles(block, bExecute=True)
    assert block.bError and not block.bValid and block.hrErrorCode == CallStatus.OTHER_INTERFACE
    assert plc.functions() == [3]


def test_registers_that_are_not_there_are_another_interface(plcs, policy):
    """Modbus exception 2."""
    plc = plcs({"policy": policy}, at=modbus(project("cell", {"policy": policy})))
    wrong = plc.program.new("FB_policy")
    at = plc.station.modbus.registers["policy"]
    text = next(u.body for u in portable.units(plc.project, plc.at) if u.name == "FB_policy")
    assert "nHashAt := 40000" in text and at.hash == 55000
    elsewhere = Modbus("127.0.0.1", 502, 1, "ABCD", {"policy": Registers(39000, at.inputs, at.result)}, 40048)
    block = portable_program(plc.project, elsewhere).new("FB_policy")
    plc.cycles(block, bExecute=True)
    assert block.hrErrorCode == CallStatus.OTHER_INTERFACE and block.fbPredict.nException == 2
    assert not wrong.bBusy


def test_nan_is_an_error_and_the_old_result_stays(plcs, tmp_path):
    plc = plcs({"root": square_root(tmp_path)})
    block = plc.program.new("FB_root")
    block.stIn.x = (4.0, 9.0)
    plc.cycles(block, bExecute=True)
    plc.cycle(block, bExecute=False)
    block.stIn.x = (-1.0, 16.0)
    plc.cycles(block, bExecute=True)
    assert block.bError and block.hrErrorCode == TaskStatus.NAN_OUTPUT
    assert block.stOut.y == [2.0, 3.0]


def test_silence_is_a_timeout_then_a_new_connection(plcs, policy):
    """The block asks the transport to connect anew; the next call compares the interface again, and is good."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    plc.cycles(block, bExecute=True)
    plc.cycle(block, bExecute=False)
    plc.transport.mute = True
    assert plc.cycles(block, bExecute=True, nTimeout=6) <= 7
    assert block.bError and block.hrErrorCode == CallStatus.TIMEOUT and not block.bValid
    assert plc.connection.bReopen
    plc.transport.mute = False
    plc.cycle(block, bExecute=False)
    plc.cycles(block, bExecute=True, nTimeout=40)
    assert block.bValid and plc.functions()[-2:] == [3, 23]


def test_without_a_connection_the_call_fails(plcs, policy):
    """Never open: CONNECTION after the timeout. Lost during a call: CONNECTION at once."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    for _ in range(6):
        block(stConnection=plc.connection, bExecute=True, nTimeout=5)
    assert block.bError and block.hrErrorCode == CallStatus.CONNECTION
    plc.cycle(block, bExecute=False, nTimeout=40)
    plc.cycle(block, bExecute=True)
    assert block.bBusy
    plc.connection.bOpen = False
    block(stConnection=plc.connection)
    assert block.hrErrorCode == CallStatus.CONNECTION and plc.connection.bReopen


def test_an_answer_to_an_older_request_is_dropped(plcs, policy):
    """A frame with another transaction number in front of the right one changes nothing."""
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    plc.cycle(block, bExecute=True)
    stale = struct.pack(">HHHBBB4s", 999, 0, 7, 1, 3, 4, b"abcd")
    plc.connection.at("aResponse").write(stale)
    plc.connection.nResponse = len(stale)
    plc.cycles(block)
    assert block.bValid and plc.functions() == [3, 23]


@pytest.mark.parametrize(
    "answer",
    [
        struct.pack(">HHHBBB", 1, 0, 900, 1, 3, 4),
        struct.pack(">HHHBBB4s", 1, 0, 7, 1, 4, 4, b"abcd"),
        struct.pack(">HHHBBB4s", 1, 0, 7, 1, 3, 6, b"abcd"),
        struct.pack(">HHHBBB2s", 1, 0, 5, 1, 3, 4, b"ab"),
    ],
    ids=["length", "function code", "count of bytes", "too short"],
)
def test_a_broken_answer_is_no_result(policy, answer):
    """Whatever comes back, the call ends with CONNECTION and the connection is opened anew."""
    of = project("cell", {"policy": policy})
    program = portable_program(of, modbus(of))
    connection, block = program.new("ST_RtConnection"), program.new("FB_policy")
    connection.bOpen = True
    block(stConnection=connection, bExecute=True)
    connection.at("aResponse").write(answer.ljust(20, b"\0"))
    connection.nResponse = 20
    block(stConnection=connection)
    assert block.bError and block.hrErrorCode == CallStatus.CONNECTION
    assert connection.bReopen and not any(connection.aTaken)


@pytest.mark.parametrize(("code", "status"), [(1, 204), (2, 203), (3, 203), (4, 299), (6, 205), (10, 204)])
def test_exceptions_become_statuses(policy, code, status):
    of = project("cell", {"policy": policy})
    program = portable_program(of, modbus(of))
    connection, block = program.new("ST_RtConnection"), program.new("FB_policy")
    connection.bOpen = True
    block(stConnection=connection, bExecute=True)
    connection.at("aResponse").write(struct.pack(">HHHBBB", 1, 0, 3, 1, 0x83, code))
    connection.nResponse = 9
    block(stConnection=connection)
    assert block.hrErrorCode == status and block.fbPredict.nException == code
    assert not connection.bReopen or status == CallStatus.CONNECTION


def test_reset_gives_the_connection_back(plcs, policy):
    plc = plcs({"policy": policy})
    block = plc.program.new("FB_policy")
    plc.cycle(block, bExecute=True)
    assert any(plc.connection.aTaken)
    plc.cycle(block, bExecute=True, bReset=True)
    assert not any(plc.connection.aTaken) and not block.bBusy
    plc.cycles(block, bExecute=True, bReset=False)
    assert block.bValid
    plc.cycle(block, bExecute=True, bReset=True)
    assert not block.bValid
    plc.transport.mute = True
    plc.cycles(block, bReset=False, nTimeout=3)
    assert block.bError
    plc.cycle(block, bReset=True)
    assert not block.bError and block.hrErrorCode == 0


@pytest.mark.parametrize("order", ORDERS)
def test_the_example_program_runs(plcs, policy, order):
    """The files as they are written, with a transport in the place of the user's."""
    plc = plcs({"policy": policy}, order)
    files = portable_files(plc.project, plc.at)
    natives = {"FB_RtTransport": lambda block: plc.transport.cycle(block.stConnection)}
    program = Program(files["cell.st"], files["cell_example.st"], natives=natives).new("PRG_RtExample")
    program.stIn.observation = X
    for _ in range(8):
        program()
    assert program.bUsable and program.nFailed == 0 and program.fbModel.nVersion == 1
    result = policy.run({"observation": X.reshape(1, 7)})[0].tobytes()
    assert program.at("stOut").read() == program.fbModel.at("stOut").read() == result
    plc.transport.mute = True
    for _ in range(120):
        program()
    assert not program.bUsable and program.nFailed > 0 and program.fbModel.hrErrorCode == CallStatus.TIMEOUT


# --- numbers and bits -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def functions():
    return Program(*(portable._library(name) for name in portable._FUNCTIONS))


def test_reals_and_their_bits(functions):
    """All kinds of float32: as IEEE 754 has them; below the smallest normal number it is 0; NaN and infinity."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, 200, dtype=np.uint64).astype(np.uint32)
    edges = [0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0x3F7FFFFF, 0x40000000, 0x34000001, 0x80800000]
    for bits in [*map(int, values), *edges]:
        value = np.uint32(bits).view(np.float32)
        if not np.isfinite(value) or abs(value) < np.finfo(np.float32).smallest_normal:
            continue
        assert functions.call("RT_RealToBits", value) == bits
        assert functions.call("RT_BitsToReal", bits) == value
    assert functions.call("RT_RealToBits", np.float32(0)) == 0
    assert functions.call("RT_RealToBits", np.float32(1e-40)) == 0
    assert functions.call("RT_RealToBits", np.float32(np.inf)) == 0x7F800000
    assert functions.call("RT_RealToBits", np.float32(-np.inf)) == 0xFF800000
    assert functions.call("RT_RealToBits", np.float32(np.nan)) == 0x7FC00000
    assert functions.call("RT_BitsToReal", 0x7F800000) == functions.call("RT_BitsToReal", 0x7FC00000) == 0


def test_lreals_and_their_bits(functions):
    rng = np.random.default_rng(0)
    for bits in [*map(int, rng.integers(0, 2**63, 100, dtype=np.uint64)), 1 << 52, (0x7FF << 52) - 1, 0xBFF << 52]:
        value = float(np.uint64(bits).view(np.float64))
        if np.isfinite(value) and abs(value) >= np.finfo(np.float64).smallest_normal:
            assert functions.call("RT_LrealToBits", value) == bits
            assert functions.call("RT_BitsToLreal", bits) == value


@pytest.mark.parametrize(("name", "size"), [("Int", 16), ("Dint", 32), ("Lint", 64)])
def test_integers_and_their_bits(functions, name, size):
    for value in (0, 1, -1, 2 ** (size - 1) - 1, -(2 ** (size - 1)), 4711, -4711):
        assert functions.call(f"RT_{name}ToBits", value) == value % 2**size
        assert functions.call(f"RT_BitsTo{name}", value % 2**size) == value


# --- the text ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ORDERS)
def texts(request, policy, all_kinds):
    of = project("cell", {"policy": policy, "kinds": all_kinds})
    return portable_files(of, modbus(of, request.param))


OF_ONE_COMPILER = ("codesys", "matiec", "openplc")
"""Files that hold a socket: pointers of CODESYS, C of matiec."""


def test_everything_parses(texts):
    """By the standard's grammar, without any mending but that the C is left out."""
    for name, text in texts.items():
        text = re.sub(r"\{\{.*?\}\}|^CONFIGURATION.*", "", text, flags=re.S | re.M)
        if name.endswith(".st"):
            assert syntax_errors(text) == [], name
            assert syntax_errors(text.replace("THEN", "DO", 1)) or "THEN" not in text


BANNED = {
    "a pragma": r"\{",
    "a comment with slashes": r"//",
    "a pointer": r"\b(POINTER|REFERENCE|ADR|SIZEOF|PVOID)\b|\^",
    "an exponent without a point": r"(?<![\w.])\d+[eE][+-]?\d",
    "a small exponent": r"\d[eE][+-]?\d",
    "END without semicolon": r"END_(IF|FOR|CASE|WHILE|STRUCT)\b(?!;)",
    "a method": r"\b(METHOD|THIS|SUPER)\b",
    "an array without a name": r":\s*ARRAY(?! \[\d+\.\.\d+\] OF \w+;\nEND_TYPE)",
    "a FOR, which matiec's newest runs once less": r"\bFOR\b(?![^(]*\*\))",
    "a literal beyond REAL": r"\d[eE][+-]?(?:39|[4-9]\d|\d{3})\b",
    "a tab": r"\t",
    "a nested comment": r"\(\*(?:(?!\*\)).)*\(\*",
    "a letter that is not ASCII": r"[^\x00-\x7F]",
    "an initialiser with repetition": r"\[\s*\d+\(",
    "a function called as a statement": r"^\s*RT_\w+\(",
}
SHOWN = {
    "a pragma": "{attribute 'x'}",
    "a comment with slashes": "// no",
    "a pointer": "p : POINTER TO BYTE;",
    "an exponent without a point": "x := 1E-5;",
    "a small exponent": "x := 1.0e-5;",
    "END without semicolon": "END_IF\n",
    "a method": "METHOD Go : BOOL",
    "an array without a name": "a : ARRAY [0..3] OF REAL;\n",
    "a FOR, which matiec's newest runs once less": "FOR i := 1 TO n DO",
    "a literal beyond REAL": "x := 1.0E+154;",
    "a tab": "\tx := 1;",
    "a nested comment": "(* a (* b *) *)",
    "a letter that is not ASCII": "(* \u00e4 *)",
    "an initialiser with repetition": "a : RT_A := [8(0.125)];",
    "a function called as a statement": "    RT_SwapBytes(1);",
}


@pytest.mark.parametrize("what", BANNED)
def test_nothing_that_matiec_or_strucpp_refuse(texts, what):
    """Numbers with an exponent are written 1.0E-5; `1.5e-5` would be fine too, but no two ways."""
    assert re.search(BANNED[what], SHOWN[what], re.M)
    pattern = BANNED[what] if what != "a small exponent" else r"\d[e][+-]?\d"
    for name, text in texts.items():
        if name.endswith(".st") and not any(other in name for other in OF_ONE_COMPILER):
            assert not re.search(pattern, re.sub(r"'[^']*'", "''", text), re.M), (name, what)


def test_the_c_of_a_transport_holds_no_comment_of_structured_text(texts):
    """matiec takes `(*` in it for one: `if (*p)` would swallow the rest of the file."""
    (code,) = re.findall(r"\{\{(.*?)\}\}", texts["cell_matiec.st"], re.S)
    assert "(*" not in code and "}}" not in code and "rt_connect(" in code
    assert texts["cell_openplc.st"].count("{{") == 1 and "RESOURCE Res0 ON PLC" in texts["cell_openplc.st"]


def test_two_stations_share_their_blocks(policy, all_kinds):
    """A prefix for what is a station's own, the library once: no name is there twice, and all runs in one program."""
    of = [project(name, {"policy": policy, "kinds": all_kinds}, prefix=name) for name in ("lab", "cell")]
    texts = [library_files("portable")["rt_engine_blocks.st"]]
    texts += [portable_files(one, modbus(one))[f"{one.name}{end}.st"] for one in of for end in ("", "_example")]
    units = re.findall(r"^(?:FUNCTION_BLOCK|FUNCTION|PROGRAM|TYPE) (\w+)", "\n".join(texts), re.M)
    assert len(units) == len({name.lower() for name in units}) > 40
    assert {"FB_lab_policy", "FB_cell_policy", "FB_lab_RtTransport", "PRG_cell_RtExample", "FB_RtPredict"} <= set(units)
    Program(*texts).new("PRG_cell_RtExample")()
    assert "lab_openplc.st" not in portable_files(of[0], modbus(of[0]))


def test_a_model_that_is_too_large_to_share_blocks_is_refused(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(portable, "LIBRARY_REGISTERS", 10)
    of = project("cell", {"policy": policy}, prefix="cell")
    with pytest.raises(
        UnpackableError, match=r"'policy', tensor 'observation' \(28 bytes\): a model of 14 registers.*prefix"
    ):
        portable.units(of, modbus(of))


def test_no_name_is_taken(texts):
    """No declared name is a keyword, or a standard type, function or block; no two units have the same name."""
    text = texts["cell.st"] + texts["cell_example.st"]
    declared = re.findall(r"^    (\w+) :", text, re.M)
    units = re.findall(r"^(?:FUNCTION_BLOCK|FUNCTION|PROGRAM|TYPE) (\w+)", text, re.M)
    assert len(units) == len({name.lower() for name in units}) > 20
    assert {name for name in [*declared, *units] if name.lower() in KEYWORDS} == set()


def test_statuses_are_those_of_the_engine(texts):
    """As constants, since enumerations with numbers are not portable."""
    block = re.search(r"TYPE ST_RtStatus :\nSTRUCT\n(.*?)END_STRUCT", texts["cell.st"], re.S)
    shown = {name: int(number) for name, number in re.findall(r"(\w+) : UDINT := (\d+);", block[1])}
    assert shown == {name: number for name, number, _ in STATUSES}
    for kind in (ChangeState, Verdict):
        block = re.search(rf"TYPE ST_Rt{kind.__name__} :\nSTRUCT\n(.*?)END_STRUCT", texts["cell.st"], re.S)
        shown = {name: int(number) for name, number in re.findall(r"(\w+) : UINT := (\d+);", block[1])}
        assert shown == {member.name: member.value for member in kind}


def test_the_same_station_gives_the_same_bytes(policy, all_kinds):
    of = project("cell", {"policy": policy, "kinds": all_kinds})
    again = project("cell", {"policy": rt_engine.load(POLICY), "kinds": all_kinds})
    assert portable_files(of, modbus(of)) == portable_files(again, modbus(again))
