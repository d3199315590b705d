"""The raw socket, on the loopback interface: who hears what."""

import select
import socket
import time

import pytest

from fieldbus.errors import ConnectionLostError
from fieldbus.ethercat.protocol import ETHERTYPE, Command
from fieldbus.ethercat.simulated.wires import open_port
from fieldbus.ethercat.wire.frames import Datagram, frame_of
from fieldbus.ethercat.wire.socket import INDEXES, only, open_socket
from fieldbus.ethercat.wire.wire import SOEM_INDEXES, Wire
from tests.processes import open_files
from tests.waiting import PATIENCE_S

OURS = INDEXES.start


def framed(index: int) -> bytes:
    """A frame with this index, and a mark of this test."""
    return frame_of([Datagram(Command.NOP, 0, b"socket", index)])


def heard(raw: socket.socket, least: int) -> list[int]:
    """The indexes of all frames of this test that came; so many are waited for."""
    indexes: list[int] = []
    while len(indexes) < least:
        assert select.select([raw], [], [], PATIENCE_S)[0]
        indexes += come(raw)
    time.sleep(0.01)
    return indexes + come(raw)


def come(raw: socket.socket) -> list[int]:
    """Those that are there."""
    indexes = []
    while True:
        try:
            frame = raw.recv(2000)
        except BlockingIOError:
            return indexes
        if frame[26:32] == b"socket":
            indexes.append(frame[17])


def raw_socket() -> socket.socket:
    """As pysoem has one."""
    try:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    except PermissionError:
        pytest.skip("needs the right to raw frames: root, or CAP_NET_RAW")
    raw.setblocking(False)
    raw.bind(("lo", ETHERTYPE))
    return raw


def test_frames_of_ours_alone_reach_it() -> None:
    """By the index of their first datagram; others, and what is too short for one, never do."""
    with raw_socket() as other, open_socket("lo") as ours:
        for index in (0, OURS - 1, OURS, 0xFF):
            other.send(framed(index))
        other.send(framed(0)[:17])
        assert heard(ours, 2) == [OURS, 0xFF]


def test_its_own_frames_are_not_heard_as_they_leave() -> None:
    """On lo each comes back once all the same; without that it would come twice."""
    with raw_socket(), open_socket("lo") as ours:
        ours.send(framed(OURS))
        assert heard(ours, 1) == [OURS]


def test_pysoem_does_not_hear_ours() -> None:
    """With its own indexes alone, frames of the exchange never fill its queue."""
    with raw_socket() as theirs, open_socket("lo") as ours, raw_socket() as sender:
        only(theirs, SOEM_INDEXES)
        for index in (0, 15, OURS, 0xFF):
            sender.send(framed(index))
        assert set(heard(theirs, 2)) == {0, 15}
        assert heard(ours, 2) == [OURS, 0xFF]


def test_an_interface_that_is_not_there_is_refused() -> None:
    """Before anything is sent, in the words that all of EtherCAT has for it."""
    raw_socket().close()
    with pytest.raises(ConnectionLostError, match="eth99"):
        open_socket("eth99")


def test_what_cannot_be_opened_is_given_back() -> None:
    """No descriptor stays open, however often it is tried; who only asks registers is told in the same words."""
    raw_socket().close()
    before, kept = open_files(), []
    for opened in (Wire, open_socket, open_port):
        with pytest.raises((ConnectionLostError, OSError), match=r"eth99|No such device") as caught:
            opened("eth99")
        kept.append(caught)  # with its frames, and what they hold
    assert open_files() <= before
