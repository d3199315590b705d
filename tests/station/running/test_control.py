"""The control socket: who may open it, what it answers, what it refuses."""

import os
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from station.change.answer import Updated
from station.cli import app
from station.errors import AlreadyRunningError, NotRunningError, RefusedError, UnsafeSocketError
from station.machine.claims import Holder
from station.running import asking, control
from station.running.asking import (
    fetch_health,
    fetch_status,
    fetch_tags,
    request_reset_drive,
    request_reset_state,
    request_stop,
    request_update,
)
from station.running.control import ControlServer
from station.running.places import socket_path
from station.show.tags import matching
from station.show.verdict import unwell
from tests import ROOT
from tests.station.examples_of import snapshot
from tests.waiting import PATIENCE_S, wait_for


class FakeStation:
    """A station that remembers what it was asked."""

    def __init__(self):
        self.stopped = False
        self.updates, self.resets = [], []

    def snapshot(self, tags=0):
        return replace(snapshot(), tags=snapshot().tags[:tags])

    def tags(self, patterns):
        names = matching(patterns, [tag.name for tag in snapshot().tags])
        return tuple(tag for tag in snapshot().tags if tag.name in names)

    @property
    def changes(self):
        return self

    def update(self, files, who, wish):
        ((slot, file),) = files.items()
        if slot != "policy":
            raise KeyError(f'no model "{slot}"; there are: policy')
        if file.name == "wrong.onnx":
            raise RefusedError("input x is (1, 5), the running model has (1, 4)")
        self.updates.append((slot, file))
        return Updated("live at tick 7", 2)

    commit = roll_back = allow = None

    def reset_state(self, task):
        if task == "still":
            raise RefusedError("task still keeps nothing from cycle to cycle")
        if task != "axis x":
            raise KeyError(f'no task "{task}"; there are: axis x, still')
        self.resets.append(task)
        return "begins anew"

    def reset_drive(self, drive):
        if drive != "x.1":
            raise KeyError(f'no drive "{drive}"; there are: x.1')
        return "told"

    def request_stop(self):
        self.stopped = True


@pytest.fixture
def station():
    return FakeStation()


@pytest.fixture
def path(socket_folder):
    return socket_folder / "cell.sock"


@pytest.fixture
def server(station, path):
    with ControlServer(station, path) as server:
        yield server


@pytest.mark.usefixtures("server")
def test_status_travels_whole(path):
    """What the station says is what the client gets: without tags, with some, with all."""
    assert fetch_status(path) == replace(snapshot(), tags=())
    assert fetch_status(path, 1) == replace(snapshot(), tags=snapshot().tags[:1])
    assert fetch_status(path, None) == snapshot()


@pytest.mark.usefixtures("server")
def test_the_station_says_itself_what_is_not_well(path):
    name, wrong = fetch_health(path)
    assert name == snapshot().station
    assert [line.partition(" ")[0] for line in wrong] == [
        line.partition(" ")[0] for line in unwell(snapshot(), time.monotonic_ns())
    ]


@pytest.mark.usefixtures("server")
def test_tags_travel_whole(path):
    """All, or those that a name or a pattern means, in the order of the station file."""
    assert fetch_tags(path) == snapshot().tags
    assert [tag.name for tag in fetch_tags(path, ["lost", "l*"])] == ["level", "lost"]


@pytest.mark.usefixtures("server")
def test_a_tag_that_is_not_there_is_refused_with_the_nearest(path):
    """A name, and a pattern with what would steer a query."""
    with pytest.raises(RefusedError, match='no tag "levle"; did you mean "level"\\?'):
        fetch_tags(path, ["levle"])
    with pytest.raises(RefusedError, match=r'no tag matches "%&name=5\*"; there are: level, force, lost'):
        fetch_tags(path, ["%&name=5*"])


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("asked", ["-1", "many", "", "%C2%B2", "1e3"])
def test_a_number_of_tags_that_is_none_is_refused(path, asked):
    """400 and what was expected."""
    said = sent(path, b"GET /status?tags=%b HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n" % asked.encode())
    assert said.startswith(b"HTTP/1.1 400"), said
    assert b"expected tags=all" in said


@pytest.mark.usefixtures("server")
def test_update(station, path, tmp_path):
    """An update names the slot and an absolute path, and gives back the new version."""
    assert request_update(path, {"policy": tmp_path / "better.onnx"}) == Updated("live at tick 7", 2)
    assert station.updates == [("policy", tmp_path / "better.onnx")]


@pytest.mark.usefixtures("server")
def test_refusals_carry_their_reason(path):
    """A model that does not fit and a slot that does not exist are refused in words; the server goes on."""
    with pytest.raises(RefusedError, match=r"input x is \(1, 5\)"):
        request_update(path, {"policy": Path("/wrong.onnx")})
    with pytest.raises(RefusedError, match='no model "polcy"; there are: policy'):
        request_update(path, {"polcy": Path("/better.onnx")})
    assert fetch_status(path).station == "cell"


@pytest.mark.usefixtures("server")
def test_a_state_is_reset(station, path):
    """The task is named; one that keeps nothing, and one that does not exist, are refused in words."""
    assert request_reset_state(path, "axis x") == "begins anew"
    assert station.resets == ["axis x"]
    with pytest.raises(RefusedError, match="keeps nothing"):
        request_reset_state(path, "still")
    with pytest.raises(RefusedError, match='no task "axis/y"; there are: axis x, still'):
        request_reset_state(path, "axis/y")


@pytest.mark.usefixtures("server")
def test_a_drive_is_told_to_reset_its_fault(path):
    """By the command, at the control socket; one that does not exist is refused by name."""
    told = CliRunner().invoke(app, ["reset-drive", "x.1", "--socket", str(path)])
    assert (told.exit_code, told.output.strip()) == (0, "told")
    with pytest.raises(RefusedError, match=r'no drive "y"; there are: x\.1'):
        request_reset_drive(path, "y")


@pytest.mark.usefixtures("server")
def test_stop(station, path):
    """A stop request reaches the station."""
    request_stop(path)
    assert station.stopped


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("body", [b"", b"[]", b'{"file": 3}', b'{"file": "relative.onnx"}', b"{"])
def test_nonsense_is_refused(body, path):
    """A request that is not what it should be gets 400 and changes nothing."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /update/policy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        client.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert client.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.usefixtures("server")
def test_a_huge_body_is_refused(path):
    """A body over 192 KiB is not read into memory."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /update/policy HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000)
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_mode_is_0600_from_the_first_moment(station, path, monkeypatch):
    """The socket file never has another mode, even under a umask of 0: chmod after bind finds it right already."""
    seen = []
    monkeypatch.setattr(os, "chmod", lambda p, _: seen.append(stat.S_IMODE(os.lstat(p).st_mode)))
    before = os.umask(0)
    try:
        with ControlServer(station, path):
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.usefixtures("server")
def test_another_user_is_refused(path):
    """Another user of the machine cannot open the socket, even in a folder that he may enter."""
    for folder in [path.parent, *path.parent.parents]:
        if folder.owner() == "root" and folder != Path("/") and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    code = f"import os, socket; os.setuid(65534); socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


@pytest.mark.usefixtures("server")
def test_a_live_socket_is_refused(station, path):
    """A second station of the same name does not take the first one's socket away."""
    with pytest.raises(AlreadyRunningError, match="already answers"), ControlServer(station, path):
        pass
    assert fetch_status(path).station == "cell"


def test_a_foreign_live_socket_is_refused(station, path):
    """A socket that another program listens on is left alone, lock or not."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(AlreadyRunningError), ControlServer(station, path):
            pass
        assert path.exists()


def answers(path):
    """Does a station answer there?"""
    try:
        return bool(fetch_status(path))
    except NotRunningError:
        return False


def test_a_socket_that_is_removed_is_made_again(station, path):
    """The socket's folder with it: the station answers there again soon; what it made again goes at its end."""
    path = path.parent / "own" / "cell.sock"
    path.parent.mkdir(mode=0o700)
    with ControlServer(station, path):
        for name in ("once", "twice"):
            path.parent.rename(path.parents[1] / name)  # at once: it is made again
            wait_for(lambda: answers(path))  # there before it listens
            assert fetch_status(path).station == "cell"
    assert not path.exists()


def test_what_took_the_place_of_a_socket_stays(station, path):
    """A file of somebody else, put where the socket was: neither replaced nor removed at the end."""
    with ControlServer(station, path):
        path.unlink()
        path.write_text("precious")
        time.sleep(2.5)
    assert path.read_text() == "precious"


def test_a_dead_socket_is_replaced(station, path):
    """What a killed station left behind does not stop the next one."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with ControlServer(station, path):
        assert fetch_status(path).station == "cell"
    assert not path.exists()


def test_a_file_is_not_replaced(station, path):
    """A file that is no socket is never removed."""
    path.write_text("precious")
    with pytest.raises(UnsafeSocketError, match="is not a socket"), ControlServer(station, path):
        pass
    assert path.read_text() == "precious"


def test_nobody_there(path):
    """Without a station, the client says so."""
    with pytest.raises(NotRunningError, match="station 'cell' is not running"):
        fetch_status(path)


def test_a_place_that_the_kernel_alone_knows_is_not_shown(monkeypatch):
    """A station that does not answer yet: it is starting."""
    monkeypatch.setattr(asking, "STATUS_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind("\0rt-engine-test-" + str(os.getpid()))
        silent.listen()
        with pytest.raises(NotRunningError) as told:
            fetch_status(Path(silent.getsockname().decode()))
    assert str(told.value) == "the station did not answer within 0.2 s: it is starting, or busy; ask again"


def test_default_folder_is_private(tmp_path, monkeypatch):
    """The default folder is made with mode 0700, and refused when others can enter it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = socket_path("cell")
    assert path == tmp_path / "rt-engine" / "cell.sock"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.parent.chmod(0o777)
    with pytest.raises(UnsafeSocketError, match="mode 0700"):
        socket_path("cell")


def test_a_service_has_a_folder_of_its_own(tmp_path, monkeypatch):
    """systemd's RuntimeDirectory goes before the session's folder; the mode that it lacks is named."""
    (tmp_path / "cell-4").mkdir(mode=0o700)
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/cell-4:{tmp_path}/other")
    assert socket_path("cell") == tmp_path / "cell-4" / "cell.sock"
    (tmp_path / "cell-4").chmod(0o755)
    with pytest.raises(UnsafeSocketError, match="RuntimeDirectoryMode=0700"):
        socket_path("cell")


def test_a_linked_folder_is_refused(tmp_path, monkeypatch):
    """A symbolic link in place of the folder is not followed."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "rt-engine").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(UnsafeSocketError):
        socket_path("cell")


def test_a_path_that_is_too_long_for_a_socket_is_said(station, tmp_path):
    """By who would listen there, and by who asks there."""
    path = tmp_path / ("a" * 100) / "cell.sock"
    path.parent.mkdir()
    with ControlServer(station, path) as server:
        assert "cell.sock is longer than the 107 bytes" in server.trouble
    with pytest.raises(NotRunningError, match="--socket"):
        fetch_status(path)


@pytest.mark.usefixtures("server")
def test_a_strange_slot_name_is_refused_in_words(path):
    """A slot with a slash in its name reaches the station as it is."""
    with pytest.raises(RefusedError, match='no model "a/b"'):
        request_update(path, {"a/b": Path("/x.onnx")})


def test_clients_that_keep_their_connection_do_not_keep_the_station_from_its_end(station, path):
    """Half a request on each of a hundred connections: others are answered, and closing takes seconds at most."""
    with ControlServer(station, path):
        slow = []
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
            client.sendall(b"POST /update/policy HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            slow.append(client)
        assert fetch_status(path).station == "cell"
        begin = time.monotonic()
    assert time.monotonic() - begin < 10, "aiohttp's own default is a minute"
    for client in slow:
        client.close()


BODIES = {
    "deep": (b"application/json", b"[" * 60_000),
    "an unknown charset": (b"application/json; charset=klingon", b"{}"),
    "no JSON": (b"application/json", b"{"),
    "no UTF-8": (b"application/json", b"\xff\xfe{"),
    "no table": (b"application/json", b"[1]"),
    "no text": (b"application/json", b'{"file": 1}'),
    "another key": (b"application/json", b"{}"),
}


def sent(path, request):
    """What the control socket answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(request)
        client.settimeout(PATIENCE_S)
        said = b""
        while b"\r\n\r\n" not in said or not said.rstrip().endswith(b"}"):
            part = client.recv(1 << 16)
            if not part:
                break
            said += part
    return said


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("body", BODIES)
def test_an_update_that_is_no_request_is_answered_in_a_sentence(path, body):
    """Deep JSON, an unknown charset: 400 and what was expected, no failure inside."""
    kind, data = BODIES[body]
    head = b"POST /update/policy HTTP/1.1\r\nHost: s\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    said = sent(path, head % (kind, len(data)) + data)
    assert said.startswith(b"HTTP/1.1 400"), said
    assert b"expected" in said


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [b"200 OK", b"422 No"])
def test_what_is_no_station_is_said_to_be_none(path, body, status):
    kind, data = BODIES[body]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer():
            head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            for _ in range(2):
                client, _address = listener.accept()
                with client:
                    client.recv(1 << 16)
                    client.sendall(head % (status, kind, len(data)) + data)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotRunningError, match="is no station"):
            fetch_status(path)
        with pytest.raises(NotRunningError, match="is no station"):
            request_update(path, {"policy": Path("/m.onnx")})
        thread.join()


HANGS = """\
import sys, threading, time
from pathlib import Path
from station.running.control import ControlServer
from tests.station.examples_of import snapshot

class Hangs:
    snapshot = staticmethod(lambda tags=0: snapshot())
    commit = roll_back = allow = None
    def update(self, files, who, wish):
        print("reached", flush=True)
        time.sleep(600)

Hangs.changes = Hangs()
with ControlServer(Hangs(), Path(sys.argv[1])):
    sys.stdin.readline()
"""


def test_an_update_that_hangs_does_not_keep_the_process_from_its_end(path):
    """Its file lies in a folder that answers no more: stopped, the station is gone in seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    wait_for(lambda: answers(path))  # there before it listens
    asks = threading.Thread(target=_swallow, args=(request_update, path, {"policy": path}), daemon=True)
    asks.start()
    assert process.stdout.readline() == "reached\n"
    try:
        process.communicate("stop\n", timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    asks.join(PATIENCE_S)
    assert not asks.is_alive()


def _swallow(ask, *arguments):
    with suppress(NotRunningError, RefusedError):
        ask(*arguments)


def test_a_queue_full_of_strangers_does_not_shut_out_who_may_ask(station, path, monkeypatch):
    """Hundreds of other users knock at once: the next of ours is answered before it gives up."""
    real, name = control.peer, f"\0knocks-{os.getpid()}-"

    def told(client):
        address = client.getpeername()
        return Holder(1, 2) if isinstance(address, bytes) and address.startswith(name.encode()) else real(client)

    monkeypatch.setattr(control, "peer", told)
    with ControlServer(station, path), ExitStack() as strangers:
        for number in range(250):
            stranger = strangers.enter_context(socket.socket(socket.AF_UNIX))
            stranger.bind(f"{name}{number}")
            stranger.connect(str(path))
        assert fetch_status(path).station == "cell"
