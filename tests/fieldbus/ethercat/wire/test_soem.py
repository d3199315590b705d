"""The library that finds slaves."""

import errno
import os
import resource
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from fieldbus.errors import ConfigurationError, ConnectionLostError
from fieldbus.ethercat.protocol import ETHERTYPE, Command
from fieldbus.ethercat.wire import soem as module
from fieldbus.ethercat.wire.soem import Soem, library
from fieldbus.ethercat.wire.wire import Datagram, packed
from tests.fieldbus.ethercat.buses import MASTER, SLAVES, network
from tests.processes import open_files
from tests.waiting import PATIENCE_S, wait_for

INDEX_AT = 17


def test_without_the_package_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysoem", None)
    with pytest.raises(ConfigurationError, match=r"needs the package pysoem: pip install 'rt-engine\[ethercat\]'"):
        library()


def test_with_it_the_interpreter_is_free_while_slaves_are_asked():
    """Its calls may take seconds."""
    assert pytest.importorskip("pysoem", reason="pip install pysoem") is library()
    assert library().settings.always_release_gil


def test_its_socket_is_known_and_hears_its_own_frames_alone():
    """Whatever number the system gives it: that of the last descriptor that was closed, as a rule."""
    pytest.importorskip("pysoem", reason="pip install pysoem")
    with network():
        soem = Soem(MASTER)
        try:
            (fd,) = soem._sockets
            with socket.socket(fileno=os.dup(fd)) as own, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as other:
                other.bind((SLAVES, ETHERTYPE))
                for index in (0x80, 0x45, 3):
                    other.send(packed([Datagram(Command.BRD, 0, 0, b"\0\0")], index))
                assert own.recv(64)[INDEX_AT] == 3
        finally:
            soem.close()


@contextmanager
def no_descriptors():
    """This process gets no more of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(number) for number, _ in open_files()) + 1, hard))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)


def test_what_was_opened_is_closed_where_the_rest_cannot_be_had(monkeypatch):
    """The link tries again and again; each time a descriptor would be gone."""
    closed, full = [], OSError(errno.EMFILE, "Too many open files")
    master = SimpleNamespace(open=lambda _: None, close=lambda: closed.append(True))

    def packet_sockets(*_):
        raise full

    monkeypatch.setattr(module, "library", lambda: SimpleNamespace(Master=lambda: master))
    monkeypatch.setattr(module, "_packet_sockets", packet_sockets)
    with pytest.raises(ConnectionLostError, match="interface none cannot be opened: Too many open files"):
        Soem("none")
    assert closed == [True]


def test_a_socket_that_a_scan_still_uses_is_not_closed(monkeypatch):
    """The interface goes down meanwhile: what the scan still sends reaches nobody, and it gives the socket back at its end, once."""
    closed, begun, may_end = [], threading.Event(), threading.Event()
    master = SimpleNamespace(
        open=lambda _: None,
        config_init=lambda _: begun.set() or may_end.wait(),
        close=lambda: closed.append(True),
    )
    monkeypatch.setattr(module, "library", lambda: SimpleNamespace(Master=lambda: master))
    counts = iter([4])

    def count():
        for number in counts:
            return number
        assert begun.wait(PATIENCE_S)
        raise ConnectionLostError("network interface down")

    soem = Soem("none")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        soem._sockets = [ours.fileno()]
        with pytest.raises(ConnectionLostError):
            soem.scan(count, lambda: False)
        with no_descriptors():
            soem.close()
        assert not closed
        with pytest.raises(OSError, match="not connected"):
            ours.send(b"a frame of the scan")
        may_end.set()
        wait_for(lambda: closed)
        soem.close()
        assert closed == [True]
