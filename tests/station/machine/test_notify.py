"""What systemd hears: each message as it arrives, on a clock of the test's own."""

import os
import socket

import pytest

from station.machine.notify import Notify


@pytest.fixture
def heard(socket_folder, monkeypatch):
    """Gives what arrived since the last call, as lines."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(socket_folder / "notify"))
        ours.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(socket_folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "9000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

        def lines():
            found = []
            try:
                while True:
                    found += ours.recv(4096).decode().split("\n")
            except BlockingIOError:
                return found

        yield lines


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_life(heard):
    """Ready; a sign of life each third of the watchdog's time; the state when it changed; stopping."""
    clock = Clock()
    notify = Notify(clock)
    notify.ready("1 of 1 tasks live")
    assert heard() == ["READY=1", "STATUS=1 of 1 tasks live"]
    for _ in range(5):
        notify.alive(lambda: True, lambda: "1 of 1 tasks live")
    assert heard() == ["WATCHDOG=1"]
    clock.now += 2.9
    notify.alive(lambda: True, lambda: "changed too early")
    assert heard() == []
    clock.now += 0.2
    notify.alive(lambda: True, lambda: "0 of 1\ntasks live")
    assert heard() == ["WATCHDOG=1", "STATUS=0 of 1 tasks live"]
    notify.stopping()
    assert heard() == ["STOPPING=1", "STATUS=stopping"]


def test_no_sign_of_life_while_a_task_does_not_tick(heard):
    """The state is still told; the watchdog is not fed, and is again when the task ticks."""
    clock = Clock()
    notify = Notify(clock)
    notify.alive(lambda: False, lambda: "hung")
    assert heard() == ["STATUS=hung"]
    clock.now += 3.1
    notify.alive(lambda: True, lambda: "hung")
    assert heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("usec", "pid", "beat_s"),
    [("9000000", "OURS", 3), ("9000000", "1", 10), ("0", "", 10), ("", "", 10), ("many", "", 10)],
)
def test_how_often(heard, monkeypatch, usec, pid, beat_s):
    """A third of what systemd says, if it says it to this process; else the state alone matters."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid.replace("OURS", str(os.getpid())))
    clock = Clock()
    notify = Notify(clock)
    notify.alive(lambda: True, lambda: "")
    clock.now += beat_s - 0.01
    notify.alive(lambda: True, lambda: "")
    assert heard() == ["WATCHDOG=1"]
    clock.now += 0.02
    notify.alive(lambda: True, lambda: "")
    assert heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize("name", ["", "/nowhere/notify"])
def test_without_systemd_nothing_happens(name, monkeypatch):
    """No socket, or one that nobody made."""
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify = Notify()
    notify.ready("runs")
    notify.alive(lambda: True, lambda: "runs")
    notify.stopping()


def test_a_socket_without_a_file(monkeypatch):
    """A name that begins with @ is an abstract one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind("")  # Linux chooses an abstract name
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + ours.getsockname()[1:].decode())
        Notify().ready("runs")
        assert ours.recv(100) == b"READY=1\nSTATUS=runs"


def test_a_systemd_that_takes_nothing_holds_nobody(heard):
    """Far more than the socket takes, while nobody reads."""
    notify = Notify()
    for number in range(5000):
        notify.ready(f"state {number}")
    assert 0 < len(heard()) < 10_000
