"""One process runs a station and writes to a device: real processes, in environments that have nothing in common."""

import fcntl
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from station.errors import AlreadyRunningError, ExitCode
from station.file.reading import read_station
from station.links import link_tables, type_of
from station.links.shared.hosts import plain_host
from station.machine.claims import WAITING, address, claim, holder
from station.running.finding import identity
from station.running.holding import Held
from station.running.places import answers
from station.terms.tables import TagTable
from tests import ROOT
from tests.station.recording_device import RecordingDevice, text_for
from tests.station.stations import write_station
from tests.waiting import wait_for

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def device():
    device = RecordingDevice()
    yield device
    device.close()


def started(*words, folder):
    """A command in a process of its own, with a runtime folder that nobody else has."""
    folder.mkdir(exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "station", *map(str, words)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
    )


def said(process, code):
    """All that a process says until it ends, with this code."""
    text = process.communicate(timeout=120)[0]
    assert process.returncode == code, text
    return text


def runs_and_ends(path, device, folder):
    """Nothing is in the way of a station, from its start to its end."""
    with controlling(path, device, folder) as station:
        station.send_signal(signal.SIGTERM)
        said(station, ExitCode.OK)


@contextmanager
def controlling(path, device, folder):
    """A station that has written live values to the device, over a connection of its own."""
    before = device.connections
    process = started("run", path, folder=folder)
    try:
        wait_for(lambda: process.poll() is not None or any(n > before and f > 0 for n, f in device.forces[-1:]), 90)
        assert process.poll() is None, process.stdout.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_start_from_another_environment_writes_nothing(device, tmp_path):
    """Five starts by a shell with other folders, beside a station of a service: each says who runs it, none connects."""
    path = write_station(tmp_path / "cell", text_for(device))
    with controlling(path, device, tmp_path / "service") as service:
        before = len(device.writes)
        for _ in range(5):
            text = said(started("run", path, folder=tmp_path / "shell"), ExitCode.NOT_RUNNING)
            assert f"runs already, as process {service.pid} of user {ME}; stop it first" in text
        assert device.connections == 1
        assert {force for _, force in device.forces[before:]} == {2.0}
        reports = [json.loads(path.read_text()) for path in (tmp_path / "cell").glob("reports/*.json")]
        assert {report["station"]["pid"] for report in reports} <= {service.pid}, "the second wrote a report"
        service.send_signal(signal.SIGTERM)
        said(service, ExitCode.OK)
    assert {number for number, _ in device.forces} == {1}
    assert device.forces[-1][1] == -1.0


def test_a_copy_of_the_station_does_not_write_to_the_same_device(device, tmp_path):
    """Another folder, another name, the same device: refused, with who writes there and the key that allows it."""
    path = write_station(tmp_path / "cell", text_for(device))
    copy = write_station(tmp_path / "copy", text_for(device, name="copy"))
    with controlling(path, device, tmp_path / "service") as service:
        text = said(started("run", copy, folder=tmp_path / "shell"), ExitCode.NOT_RUNNING)
        assert f"modbus 127.0.0.1:{device.port} unit 1 is written by process {service.pid} of user {ME}" in text
        assert "exclusive = false in [links.sim]" in text
        assert device.connections == 1
        write_station(tmp_path / "copy", text_for(device, name="copy", link="exclusive = false\n"))
        runs_and_ends(copy, device, tmp_path / "shell")
        assert device.connections == 2


def test_a_start_that_fails_writes_nothing(device, tmp_path):
    """A server's port is taken: the links, which start last, never connect; no safe value is written."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = write_station(tmp_path / "cell", text_for(device, server=taken.getsockname()[1]))
        text = said(started("run", path, folder=tmp_path / "shell"), ExitCode.FAILED)
    assert "another program listens there" in text
    assert device.connections == 0


def test_a_killed_station_leaves_nothing_in_the_way(device, tmp_path):
    """After SIGKILL the next start is refused by nothing that was left behind."""
    path = write_station(tmp_path / "cell", text_for(device))
    with controlling(path, device, tmp_path / "service") as service:
        service.kill()
        service.wait()
        runs_and_ends(path, device, tmp_path / "service")


def test_it_is_asked_and_stopped_from_any_environment(device, tmp_path):
    """By its file and by its name, from another runtime folder, also when somebody has removed the station's."""
    name = f"cell-{os.getpid()}"
    path = write_station(tmp_path / "cell", text_for(device, name=name))
    with controlling(path, device, tmp_path / "service") as service:
        for which in (path, name):
            assert "axis" in said(started("status", which, folder=tmp_path / "shell"), 0)
            assert "axis" in said(started("status", "--station", which, folder=tmp_path / "shell"), 0)
        place = tmp_path / "service" / "rt-engine" / f"{name}.sock"
        place.parent.rename(tmp_path / "removed")  # at once: it is made again
        assert "runs already" in said(started("run", path, folder=tmp_path / "service"), ExitCode.NOT_RUNNING)
        wait_for(lambda: answers(place))
        assert "axis" in said(started("status", "--socket", place, folder=tmp_path / "shell"), 0)
        twice = path.parent / "twice.onnx"
        assert "live as version 2" in said(started("update", "mean", twice, "-s", path, folder=tmp_path / "shell"), 0)
        assert said(started("stop", path, folder=tmp_path / "shell"), 0) == "stopping\nstopped\n"
        runs_and_ends(path, device, tmp_path / "shell")
        said(service, ExitCode.OK)
    assert not place.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_users_station_is_said_to_be_anothers(device, tmp_path):
    """Its name, its process and its user are told, by file and by name; it does not answer, and goes on."""
    name = f"cell-{os.getpid()}"
    path = write_station(tmp_path / "cell", text_for(device, name=name))
    with controlling(path, device, tmp_path / "service") as service:
        code = STRANGER.format(known=identity(path), file=str(path), name=name)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        by_file, by_name, answer = done.stdout.splitlines()
        for text, which in ((by_file, path), (by_name, name)):
            assert text.startswith(f"station '{which}' is another user's (process {service.pid} of user {ME})")
        assert answer == "b''"
        assert "axis" in said(started("status", path, folder=tmp_path / "shell"), 0), "strangers do not shut it"


STRANGER = """\
import os, socket
from pathlib import Path
import station.running.finding as finding
from station.machine.claims import address

os.setuid(65534)
finding.identity = lambda file: {known!r}  # the folder may be closed to us
for ask, which in ((finding.place_of_file, Path({file!r})), (finding.place_of_name, {name!r})):
    try:
        ask(which)
    except finding.NotRunningError as error:
        print(error)
with socket.socket(socket.AF_UNIX) as client:
    client.connect(address("station", {known!r}))
    try:
        client.sendall(b"POST /stop HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n")
        print(client.recv(100))
    except OSError:
        print(b"")
"""


def test_many_who_look_are_let_go(device, tmp_path):
    """A device's claim is looked at more often than its queue is long: who holds it is still told."""
    path = write_station(tmp_path / "cell", text_for(device))
    held = f"modbus 127.0.0.1:{device.port} unit 1"
    with controlling(path, device, tmp_path / "service") as service:
        assert all(holder("device", held) is not None for _ in range(WAITING + 100))
        wait_for(lambda: holder("device", held).pid == service.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_one_after_the_other_end_it_in_order(device, tmp_path, number):
    """One every 20 ms until the process has ended: safe values, the report, exit code 0."""
    path = write_station(tmp_path / "cell", text_for(device))
    with controlling(path, device, tmp_path / "service") as service:
        begin = time.monotonic()
        while service.poll() is None and time.monotonic() - begin < 4:  # 5 s later, Ctrl-C is taken for impatience
            service.send_signal(number)
            time.sleep(0.02)
        text = said(service, ExitCode.OK)
    assert "safe values written, confirmed by the device" in text
    assert device.forces[-1][1] == -1.0
    assert re.search(r"report .*\.html", text)
    assert len(list((tmp_path / "cell" / "reports").glob("*.json"))) == 1


def test_of_many_that_start_at_once_one_runs(device, tmp_path):
    """Six at the same moment: one controls, the others have touched nothing."""
    path = write_station(tmp_path / "cell", text_for(device))
    processes = [started("run", path, folder=tmp_path / f"shell{i}") for i in range(6)]
    wait_for(lambda: sum(process.poll() is None for process in processes) <= 1 and device.forces, 200)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    texts = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [ExitCode.OK] + 5 * [ExitCode.NOT_RUNNING], texts
    assert device.connections == 1


def test_what_two_links_of_one_station_share_is_held_once(device, tmp_path):
    """Two links to one device start; who only reads it holds nothing, so that others may read it too."""
    link = f'[links.second]\ntype = "modbus-tcp"\nhost = "LOCALHOST"\nport = {device.port}\n\n[tags]\n'
    spare = 'spare = { link = "second", direction = "out", address = "holding 9" }\n'
    text = text_for(device).replace("[tags]\n", link + spare)
    text = re.sub(r"(a|b|force) = \{ ", r'\1 = { link = "sim", ', text)
    two = read_station(write_station(tmp_path / "two", text))
    reads = re.sub(r"(?m)^(force|outputs) = .*\n", "", text_for(device))
    reader = read_station(write_station(tmp_path / "reader", reads))
    with Held(two), Held(reader):
        assert holder("device", f"modbus 127.0.0.1:{device.port} unit 1").pid == os.getpid()
    with Held(reader), Held(two):
        pass
    assert holder("device", f"modbus 127.0.0.1:{device.port} unit 1") is None


def test_a_station_that_does_not_listen_yet_is_another_process(tmp_path):
    """It has its name, and is about to say who it is."""
    file = read_station(write_station(tmp_path))
    with socket.socket(socket.AF_UNIX) as begins:
        begins.bind(address("station", identity(file.path)))
        with pytest.raises(AlreadyRunningError, match="runs already, as another process; stop it first"), Held(file):
            pass


def test_a_lock_of_another_network_namespace_is_seen(device, tmp_path):
    """The station file is locked besides, which containers with networks of their own see."""
    file = read_station(write_station(tmp_path / "cell", text_for(device)))
    with file.path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunningError, match="another container"), Held(file):
            pass
    with Held(file):
        pass


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ({"type": "ads", "ams_net_id": "5.12.034.56.1.1", "port": 852}, ["ads 5.12.34.56.1.1:852"]),
        ({"type": "modbus-rtu", "device": "{folder}/by-id"}, ["serial port {folder}/ttyUSB0"]),
        (
            {"type": "modbus-tls", "host": "::FFFF:10.0.0.5", "unit": 7},
            ["modbus 10.0.0.5:802 unit 3", "modbus 10.0.0.5:802 unit 7"],
        ),
        ({"type": "modbus-tcp", "host": "10.0.0.5", "exclusive": False}, []),
        ({"type": "in-process"}, []),
        ({"type": "plc"}, []),
    ],
)
def test_each_kind_of_link_says_its_devices(table, names, tmp_path):
    """The same texts for whoever means them, of each unit that is written; nothing where no other station could write."""
    (tmp_path / "ttyUSB0").write_text("")
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    kind = next(kind for kind in link_tables() if type_of(kind) == table["type"])
    filled = {key: value.format(folder=tmp_path) if isinstance(value, str) else value for key, value in table.items()}
    tags = [TagTable(address=a, direction="out") for a in ("holding 4", "unit 3 holding 8")] + [
        TagTable(address="unit 4 input 0")
    ]
    assert list(kind.model_validate(filled).reserved(tags)) == [name.format(folder=tmp_path) for name in names]


def test_a_claim_has_one_holder():
    """Two claims of one text: the second is refused, until the first is gone; a long or strange text can be claimed."""
    for text in ("x", "x" * 500, "ü\ud800\n", "a/b c"):
        first = claim("device", f"test {os.getpid()} {text}")
        assert first is not None
        assert holder("device", f"test {os.getpid()} {text}").pid == os.getpid()
        assert claim("device", f"test {os.getpid()} {text}") is None
        first.close()
        assert holder("device", f"test {os.getpid()} {text}") is None
        again = claim("device", f"test {os.getpid()} {text}")
        assert again is not None
        again.close()


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("LOCALHOST", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("192.168.0.010", "192.168.0.8"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("0:0::1", "::1"),
        ("Plc.cell.local.", "plc.cell.local"),
        ("10.0.0.5", "10.0.0.5"),
    ],
)
def test_spellings_of_a_host_are_one_device(host, plain):
    """However a file writes it."""
    assert plain_host(host) == plain


def test_a_station_is_the_same_by_every_path(tmp_path):
    """Through a link of the folder, of the file, or another spelling; and when an editor has replaced the file."""
    path = write_station(tmp_path / "cell")
    known = identity(path)
    (tmp_path / "link").symlink_to(path.parent)
    (tmp_path / "other.toml").symlink_to(path)
    (path.parent / "new").write_text("")
    (path.parent / "new").replace(path)
    for other in ("link/station.toml", "cell/../cell/station.toml", "other.toml"):
        assert identity(tmp_path / other) == known
    assert identity(write_station(tmp_path / "copy")) != known
