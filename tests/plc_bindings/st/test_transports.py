"""Transports of the portable blocks: with a station, and with full buffers both ways, where every bound is moved on purpose."""

import re
import select
import socket

import blark.parse
import numpy as np
import pytest

import rt_engine
from plc_bindings.st import portable
from plc_bindings.st.project import project
from tests.plc_bindings.st.evaluator import Program, syntax_errors
from tests.plc_bindings.st.evaluator_types import StructuredTextError
from tests.plc_bindings.st.exported import POLICY, demo, modbus
from tests.plc_bindings.st.served import Station
from tests.waiting import PATIENCE_S

X = np.linspace(-0.5, 0.5, 7, dtype=np.float32)
MORE = 100
"""Bytes that come beyond what a connection holds."""


class Sockets:
    """CODESYS' TCP blocks, as its library's documentation has them, with a socket behind them; each takes a cycle.

    An answer comes in the cycle after its request, however slow this computer is.
    """

    def __init__(self, address):
        self.address, self.socket, self.opened, self.is_asked = address, None, 0, False
        self.natives = {"NBS_TCP_Client": self.client, "NBS_TCP_Write": self.write, "NBS_TCP_Read": self.read}

    def client(self, block):
        if not block.xEnable and self.socket is not None:
            self.socket.close()
            self.socket, self.is_asked = None, False
        elif block.xEnable and self.socket is None:
            self.socket, self.opened = socket.create_connection(self.address), self.opened + 1
        else:
            block.xActive = self.socket is not None
        if self.socket is None:
            block.xActive = False

    def write(self, block):
        if block.xExecute and not block.xBusy and not block.xDone:
            assert block.hConnection == 0
            self.socket.sendall(block.pData.read(block.szSize))
            block.xBusy = self.is_asked = True
        elif block.xBusy:
            block.xBusy, block.xDone = False, True
        if not block.xExecute and not block.xBusy:
            block.xDone = False

    def read(self, block):
        block.xReady = False
        patience_s = PATIENCE_S if self.is_asked else 0
        if block.xEnable and self.socket is not None and select.select([self.socket], [], [], patience_s)[0]:
            data, self.is_asked = self.socket.recv(block.szSize), False
            block.pData.write(data)
            block.xReady, block.szCount = bool(data), len(data)


NBS = """
TYPE NBS_IP_ADDR :
STRUCT
    sAddr : STRING(80);
END_STRUCT;
END_TYPE

FUNCTION_BLOCK NBS_TCP_Client
VAR_INPUT
    xEnable : BOOL;
    ipAddr : NBS_IP_ADDR;
    uiPort : UINT;
END_VAR
VAR_OUTPUT
    xDone : BOOL;
    xBusy : BOOL;
    xError : BOOL;
    xActive : BOOL;
    hConnection : UDINT;
END_VAR
END_FUNCTION_BLOCK

FUNCTION_BLOCK NBS_TCP_Write
VAR_INPUT
    xExecute : BOOL;
    hConnection : UDINT;
    szSize : UINT;
    pData : PVOID;
END_VAR
VAR_OUTPUT
    xDone : BOOL;
    xBusy : BOOL;
    xError : BOOL;
END_VAR
END_FUNCTION_BLOCK

FUNCTION_BLOCK NBS_TCP_Read
VAR_INPUT
    xEnable : BOOL;
    hConnection : UDINT;
    szSize : UINT;
    pData : PVOID;
END_VAR
VAR_OUTPUT
    xError : BOOL;
    xReady : BOOL;
    szCount : UINT;
END_VAR
END_FUNCTION_BLOCK
"""


@pytest.fixture
def station():
    """Serves the demo's policy."""
    made = Station({"policy": rt_engine.load(POLICY)})
    yield made
    made.close()


def test_the_transport_for_codesys(station):
    """The example program with it: good results; after a reset by the block a new connection, and good results again."""
    policy = rt_engine.load(POLICY)
    of, at = project("cell", {"policy": policy}), station.modbus
    transport = portable.transport(of, at, "codesys")
    assert syntax_errors(transport.text) == []
    sockets = Sockets(station.server.address)
    texts = [u.text for u in portable.units(of, at) if u.name != transport.name]
    texts += [transport.text.replace("NBS.", "NBS_"), NBS]
    program = Program(*texts, codesys=True, natives=sockets.natives).new("PRG_RtExample")
    program.stIn.observation = X
    for _ in range(10):
        program()
    assert program.bUsable and sockets.opened == 1
    program.stConnection.bReopen = True
    for _ in range(10):
        program()
    assert program.bUsable and sockets.opened == 2
    assert program.at("stOut").read() == policy.run({"observation": X.reshape(1, 7)})[0].tobytes()


def test_blark_reads_the_transport_for_codesys():
    """A parser that we did not write, of TwinCAT's dialect, which is CODESYS'."""
    text = portable.transport(demo(), modbus(demo()), "codesys").text
    assert blark.parse.parse_source_code(text).exception is None
    assert blark.parse.parse_source_code(text.replace("THEN", "DO", 1)).exception is not None


class Wire:
    """The far end: `sent` to it, `coming` from it; stands for CODESYS' blocks, or for the C of matiec's transport."""

    def __init__(self):
        self.sent, self.coming, self.writes = bytearray(), bytearray(), 0
        self.natives = {
            "NBS_TCP_Client": self.client,
            "NBS_TCP_Write": self.write,
            "NBS_TCP_Read": self.read,
            "FB_C": self.c,
        }

    def client(self, block):
        block.xActive = block.xEnable

    def write(self, block):
        """Takes three calls; meanwhile the bytes must stay as they are."""
        if block.xExecute and not block.xBusy and not block.xDone:
            self.writes, block.xBusy = 3, True
        elif not block.xExecute:
            assert not block.xBusy, "ended while it is busy"
            block.xDone = False
        self.writes -= block.xBusy
        if block.xBusy and not self.writes:
            self.sent += self.taken(block.pData, block.szSize)
            block.xBusy, block.xDone = False, True

    def taken(self, pointer, size):
        data = pointer.read(size)
        assert len(data) == size, "beyond the array"
        return data

    def read(self, block):
        assert not block.xEnable or block.szSize > 0, "a read of nothing"
        block.xReady = block.xEnable and bool(self.coming)
        if block.xReady:
            block.szCount = self.give(block.pData, block.szSize)

    def give(self, pointer, most):
        data = self.coming[:most]
        del self.coming[:most]
        pointer.write(bytes(data))
        return len(data)

    def c(self, block):
        block.bOpen, block.nCame = not block.bClose, 0
        if block.nSend:
            self.sent += self.taken(block.at("aSend"), block.nSend)
        if block.bOpen and block.nMost:
            block.nCame = self.give(block.at("aCame"), block.nMost)


C = """
FUNCTION_BLOCK FB_C
VAR_INPUT
    bClose : BOOL;
    nSend : UINT;
    aSend : RT_FRAME;
    nMost : UINT;
END_VAR
VAR_OUTPUT
    bOpen : BOOL;
    nCame : UINT;
    aCame : RT_FRAME;
END_VAR
END_FUNCTION_BLOCK
"""
CALL = """fbC(bClose := bClose, nSend := nSend, aSend := aSend, nMost := nMost);
bOpen := fbC.bOpen;
nCame := fbC.nCame;
aCame := fbC.aCame;"""
"""In the place of the C."""


def text_of(where):
    text = portable.transport(demo(), modbus(demo()), where).text.replace("NBS.", "NBS_")
    text = re.sub(r"\{\{.*?\}\}", CALL, text, flags=re.S)
    return text.replace("    nMost : UINT;", "    nMost : UINT;\n    fbC : FB_C;")


def check_full(text):
    """Both buffers to their last byte, then what had no room; raises where something is lost, doubled or out of its place."""
    size, wire = portable.BYTES, Wire()
    shared = [unit.text for unit in portable.library() if unit.name in ("RT_FRAME", "RT_TURNS", "ST_RtConnection")]
    program = Program(*shared, NBS, C, text, codesys=True, natives=wire.natives)
    connection, transport = program.new("ST_RtConnection"), program.new("FB_RtTransport")
    request, answer = bytes(i * 7 % 251 for i in range(size)), bytes(i * 11 % 253 for i in range(size + MORE))

    def cycles(count):
        for _ in range(count):
            transport(stConnection=connection)

    cycles(2)
    assert connection.bOpen and not connection.nResponse
    for asked in (request, request[::-1]):
        connection.at("aRequest").write(asked)
        connection.nRequest, connection.bSend = size, True
        cycles(2)
    cycles(8)
    assert bytes(wire.sent) == request + request[::-1] and not connection.bSend
    wire.coming += answer
    cycles(2)
    assert connection.nResponse == size and connection.at("aResponse").read() == answer[:size]
    for first in (
        MORE - 1,
        MORE,
    ):  # so many have been taken away: then there is room for the rest but one byte, then for that
        connection.at("aResponse").write(answer[first : len(answer) - len(wire.coming)])
        connection.nResponse = len(answer) - len(wire.coming) - first
        cycles(2)
        assert connection.nResponse == size and connection.at("aResponse").read() == answer[first : first + size]
    assert not wire.coming
    connection.bReopen = True
    cycles(2)
    assert connection.bOpen and not connection.bReopen and not connection.nResponse


def moved(where, size):
    """(right, wrong) of each bound."""
    return {
        "codesys": [
            (f"nResponse < {size}", f"nResponse < {size - 1}"),
            (f"nResponse < {size}", f"nResponse <= {size}"),
            (f"{size} - ", f"{size - 1} - "),
            (f"{size} - ", f"{size + 1} - "),
            ("szSize := stConnection.nRequest", "szSize := stConnection.nRequest - 1"),
            ("szSize := stConnection.nRequest", "szSize := stConnection.nRequest + 1"),
            ("i := 0", "i := 1"),
            ("i < nCount", "i <= nCount"),
            ("i < nCount", "i + 1 < nCount"),
            ("i := i + 1", "i := i + 2"),
            ("aReceived[i]", "aReceived[i + 1]"),
            ("nResponse + i]", "nResponse + i + 1]"),
            ("nResponse + nCount", "nResponse + nCount + 1"),
            ("nResponse + nCount", "nResponse + nCount - 1"),
            ("AND NOT fbWrite.xBusy", ""),
            ("ADR(aSent)", "ADR(stConnection.aRequest)"),
            ("stConnection.nResponse := 0;", ""),
        ],
        "matiec": [
            (f"{size} - ", f"{size - 1} - "),
            (f"{size} - ", f"{size + 1} - "),
            ("nSend := stConnection.nRequest", "nSend := stConnection.nRequest - 1"),
            ("nSend := stConnection.nRequest", "nSend := stConnection.nRequest + 1"),
            ("nSend := 0;", ""),
            ("i := 0", "i := 1"),
            ("i < nCame", "i <= nCame"),
            ("i < nCame", "i + 1 < nCame"),
            ("i := i + 1", "i := i + 2"),
            ("aCame[i]", "aCame[i + 1]"),
            ("aResponse[stConnection.nResponse]", "aResponse[stConnection.nResponse + 1]"),
            ("nResponse + 1;", "nResponse + 2;"),
            ("stConnection.nResponse := 0;", ""),
        ],
    }[where]


@pytest.mark.parametrize("where", ["codesys", "matiec"])
def test_full_buffers_both_ways(where):
    """To the last byte, and not beyond."""
    check_full(text_of(where))


@pytest.mark.parametrize("where", ["codesys", "matiec"])
def test_a_bound_that_is_moved_is_seen(where, monkeypatch):
    """The check above fails with each of them; in smaller buffers, to be quicker."""
    monkeypatch.setattr(portable, "BYTES", 240)
    text, survived = text_of(where), []
    check_full(text)
    for right, wrong in moved(where, portable.BYTES):
        assert right in text
        try:
            check_full(text.replace(right, wrong, 1))
        except (AssertionError, StructuredTextError):
            continue
        survived.append((right, wrong))
    assert survived == []
