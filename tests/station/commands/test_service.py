"""`rt-engine service`, below a folder that stands for a system; and a station as systemd starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.commands import service
from station.errors import ExitCode, ServiceError
from station.file.reading import read_station
from station.machine.service import SYSUSERS, UDEV_RULE
from tests import ROOT
from tests.station.stations import DEVICE, STATION, write_station
from tests.waiting import PATIENCE_S

UNIT = Path("etc/systemd/system/rt-engine-bench.service")


def rt_engine(*words, code=ExitCode.OK):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def root(tmp_path):
    """A system's folder; the station lies beside it."""
    write_station(tmp_path)
    (tmp_path / "system").mkdir()
    return tmp_path / "system"


def test_a_users_wheel_is_not_run_by_another(root, tmp_path, monkeypatch):
    """The words lead to root's own install; a wheel of root, of that user, and a clone are fine."""
    from rt_native import shipped

    made = service._service(tmp_path / "station.toml", read_station(tmp_path / "station.toml").config, "rt-engine")
    folder = tmp_path / "libraries"
    monkeypatch.setattr(shipped, "FOLDER", folder)
    service._require_common(made)
    folder.mkdir()
    monkeypatch.setattr(Path, "stat", lambda path, **_: os.stat_result((0o40755, 0, 0, 1, 4321, 0, 0, 0, 0, 0)))
    with pytest.raises(
        ServiceError, match=r"(?s)installed by 4321, .*sudo python3 -m venv /opt/rt-engine.*--user 4321"
    ):
        service._require_common(made)
    monkeypatch.setattr(service, "_number_of", lambda user: 4321)
    service._require_common(made)


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink())


def test_installed_asked_and_removed(root, tmp_path):
    """Three files and a link; `status` sees that something is missing; `remove` leaves nothing."""
    station = tmp_path / "station.toml"
    said = rt_engine("service", "install", station, "--root", root)
    assert "systemctl start" not in said, "nothing was installed here"
    assert f"exit code 6: sudo rt-engine service install {station} --user rt-engine" in said
    link = UNIT.parent / "multi-user.target.wants" / UNIT.name
    expected = [str(path.relative_to("/")) for path in (SYSUSERS, UDEV_RULE)]
    assert files(root) == sorted([*expected, str(UNIT), str(link)])
    assert os.readlink(root / link) == f"/{UNIT}"
    assert f"run {station}\n" in (root / UNIT).read_text()
    assert (root / UNIT).stat().st_mode & 0o777 == 0o644
    assert "not compiled" in rt_engine("service", "status", station, "--root", root, code=ExitCode.NO_KERNELS)
    with (root / UNIT).open("a") as unit:
        unit.write("# edited\n")
    assert "another text now" in rt_engine("service", "status", station, "--root", root, code=ExitCode.FAILED)
    rt_engine("service", "remove", station, "--root", root)
    assert files(root) == []
    assert "not installed" in rt_engine("service", "status", station, "--root", root, code=ExitCode.FAILED)
    assert "nothing is installed" in rt_engine("service", "remove", station, "--root", root, code=ExitCode.FAILED)


def test_the_last_one_takes_what_all_share_with_it(root, tmp_path):
    """Two stations: the rule and the user stay until both are gone."""
    (tmp_path / "two").mkdir()
    two = write_station(tmp_path / "two", STATION.replace('"bench"', '"two"'))
    for station in (tmp_path / "station.toml", two):
        rt_engine("service", "install", station, "--root", root)
    rt_engine("service", "remove", two, "--root", root)
    assert (root / UDEV_RULE.relative_to("/")).exists() and (root / UNIT).exists()


def test_kernels_that_are_there(root, tmp_path):
    """`status` looks for the objects of this version, where the service will."""
    station = tmp_path / "station.toml"
    rt_engine("service", "install", station, "--root", root, "--user", "control")
    cache = root / "var/cache/rt-engine/control/rt-engine"
    cache.mkdir(parents=True)
    from station.running.libraries import libraries

    for library in libraries():
        for path in library.objects().values():
            (cache / path.name).touch()
    assert "ready" in rt_engine("service", "status", station, "--root", root)


def test_a_dry_run_shows_all_and_writes_nothing(root, tmp_path):
    """Every file with its path."""
    before = files(tmp_path)
    text = rt_engine("service", "install", tmp_path / "station.toml", "--dry-run", "--root", root)
    assert all(part in text for part in (f"/{UNIT}", str(SYSUSERS), str(UDEV_RULE), "WatchdogSec=", "cpu_dma_latency"))
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("bench", ("install", "--user", "a b"), ExitCode.USAGE),
        ("../../x", ("install",), ExitCode.BAD_FILE),
        ("../../x", ("remove",), ExitCode.FAILED),
        ("../../x", ("status",), ExitCode.FAILED),
    ],
)
def test_names_that_lead_elsewhere(root, tmp_path, name, words, code):
    """A station's name becomes a file's: one that is none is refused, and nothing is written or removed."""
    station = write_station(tmp_path, STATION.replace('"bench"', f'"{name}"'))
    rt_engine("service", *words, station, "--root", root, code=code)
    assert files(root) == []


def test_where_no_systemd_runs(tmp_path, monkeypatch):
    """The message says what works here."""
    monkeypatch.setattr(service, "SYSTEMD_RUNS", tmp_path / "none")
    text = rt_engine("service", "install", write_station(tmp_path), code=ExitCode.FAILED)
    assert text.startswith("no systemd runs here; --root DIR") and text.count("\n") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root installs a service")
def test_kernels_are_compiled_by_the_services_user(root, tmp_path, monkeypatch, capfd):
    """Never by root, who would run the station's steps for it: with the service's cache, and nothing of ours around it."""
    monkeypatch.setattr(service, "SYSTEMD_RUNS", tmp_path)
    monkeypatch.setattr(service, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(service.Service, "cache", property(lambda made: tmp_path / "cache" / made.user))
    monkeypatch.setattr(service, "_below", lambda _, path: root / path.relative_to("/"))
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    for name in ("systemctl", "systemd-sysusers", "udevadm", "rt-engine"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f'#!/bin/sh\necho {name} "$@" as $(/usr/bin/id -u) in "$CACHE_DIRECTORY" path "$PYTHONPATH."\n'
        )
        program.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)  # so that another user gets at the program
    monkeypatch.setattr(service, "_program", lambda: tmp_path / "bin" / "rt-engine")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    rt_engine("service", "install", tmp_path / "station.toml", "--user", "nobody")
    said = capfd.readouterr().out.splitlines()
    import pwd

    user = pwd.getpwnam("nobody").pw_uid
    assert said[0].startswith("systemd-sysusers ")
    assert f"rt-engine kernels {tmp_path / 'station.toml'} as {user} in {tmp_path / 'cache' / 'nobody'} path ." in said
    assert said[-1].startswith("systemctl daemon-reload")
    assert (tmp_path / "cache" / "nobody").stat().st_uid == user


def _station(folder, **environment):
    """A station's process as systemd starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "station", "run", folder / "station.toml", "--socket", folder / "s.sock"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _until(ours, word, patience_s=PATIENCE_S):
    """Messages until one has the word."""
    until_s, found = time.monotonic() + patience_s, ""
    ours.settimeout(patience_s)
    while word not in found:
        assert time.monotonic() < until_s, found
        found += ours.recv(4096).decode() + "\n"
    return found


@pytest.fixture
def systemd(socket_folder):
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(socket_folder / "notify"))
        yield ours


def test_a_station_tells_systemd_of_its_life(tmp_path, systemd):
    """Ready when its tasks run, alive again and again, stopping before its outputs are safe."""
    write_station(tmp_path)
    process = _station(tmp_path, NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="600000")
    try:
        said = _until(systemd, "WATCHDOG=1")
        assert said.startswith("READY=1\nSTATUS=")
        if "1 of 1 task live, 1 of 1 link up" not in said:
            _until(systemd, "STATUS=1 of 1 task live, 1 of 1 link up")
        process.send_signal(signal.SIGTERM)
        _until(systemd, "STOPPING=1")
        assert process.wait(60) == ExitCode.OK, process.stdout.read()
    finally:
        process.kill()
        process.wait()


def test_a_task_that_hangs_is_no_sign_of_life(tmp_path, systemd):
    """A step that never returns: the watchdog is not fed any more, so systemd ends the process in order."""
    (tmp_path / "hang.py").write_text(
        "from rt_native.lang import export, load_f64, load_i64, store_i64\n\n\n@export\n"
        "def hang(inputs, n_in, outputs, n_out, state):\n"
        "    store_i64(state, load_i64(state) + 1)\n"
        "    while load_i64(state) > 1500:\n        pass\n    return 0\n"
    )
    text = STATION.replace('model = "mean"', 'model = "mean"\nstep = "hang.py:hang"\nstep_state = 8')
    write_station(tmp_path, text)
    process = _station(tmp_path, NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="600000")
    try:
        if "STATUS=1 of 1 task live" not in _until(systemd, "WATCHDOG=1"):
            _until(systemd, "STATUS=1 of 1 task live")
        said = _until(systemd, "STATUS=0 of 1 task live")
        time.sleep(1.0)
        systemd.setblocking(False)
        rest = []
        try:
            while True:
                rest.append(systemd.recv(4096))
        except BlockingIOError:
            pass
        assert b"WATCHDOG=1" not in rest[2:], (said, rest)
    finally:
        process.kill()
        process.wait()


def test_where_kernels_are_missing_nothing_is_compiled_and_nothing_controlled(tmp_path):
    """The exit code after which systemd does not start it again; the device is never called."""
    write_station(tmp_path)
    (tmp_path / "device.py").write_text(f"open({str(tmp_path / 'called')!r}, 'w')\n{DEVICE}")
    process = _station(tmp_path, RT_ENGINE_COMPILE="never", RT_ENGINE_CACHE=str(tmp_path / "none"))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.NO_KERNELS, said
    assert "rt-engine kernels" in said and said.count("\n") == 1
    assert not (tmp_path / "called").exists() and not (tmp_path / "none").exists()


def test_what_the_package_has_is_ready_whatever_the_asker_compiled(tmp_path, monkeypatch):
    """`rt-engine kernels --native` fills the cache of whoever ran it, not the service's, which runs the wheel's."""
    from rt_native import shipped
    from rt_native.library import Library

    monkeypatch.setattr(Library, "shipped", lambda self: None)
    assert not service._are_kernels_ready(tmp_path)
    monkeypatch.setattr(shipped, "find", lambda modules, target: object())
    assert service._are_kernels_ready(tmp_path)
