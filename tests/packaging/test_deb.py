"""The Debian package of a made-up folder: built by dpkg-deb, asked by it; its unit, its scripts, its station file."""

import importlib
import subprocess
import tomllib

import pytest

from station.machine.service import FINAL, Service
from tests import ROOT

PARTS = ROOT / "packaging/deb"


@pytest.fixture
def deb(monkeypatch):
    """packaging/deb.py, as a script's module, with a folder of one file in place of what pip installs."""
    monkeypatch.syspath_prepend(str(ROOT / "packaging"))
    found = importlib.import_module("deb")

    def install(_wheel, site, _extras):
        (site / "station").mkdir(parents=True)
        (site / "station/__init__.py").write_text("")

    monkeypatch.setattr(found.tree, "install", install)
    return found


@pytest.mark.peer("dpkg-deb")
def test_the_package_holds_what_it_says(deb, tmp_path, monkeypatch):
    """Root owns all; settings are a conffile; the same bytes twice."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    made, again = (deb.make(tmp_path / "rt_engine-1-py3-none-x86_64.whl", tmp_path / name) for name in "ab")
    assert made.name.endswith("_amd64.deb")
    assert made.read_bytes() == again.read_bytes()

    def ask(*words):
        return subprocess.run(["dpkg-deb", *words, made], capture_output=True, text=True, check=True).stdout

    listed = ask("--contents").splitlines()
    paths = {line.split()[5].removeprefix("."): (line.split()[0], line.split()[1]) for line in listed}
    assert {owner for _, owner in paths.values()} == {"root/root"}
    assert paths["/etc/rt-engine/station.toml"][0] == "-rw-r--r--"
    assert paths["/opt/rt-engine/bin/rt-engine"][0] == "-rwxr-xr-x"
    assert not any(mode[8] == "w" for mode, _ in paths.values() if mode[0] != "l"), "nobody else may write"
    assert ask("--info").count("conffiles") == 1
    assert ask("--field").splitlines()[1].startswith("Version: ")
    assert f"Depends: {deb.tree.PYTHON}, " in ask("--field")


def test_a_wheel_for_no_known_machine_is_refused(deb, tmp_path):
    with pytest.raises(ValueError, match=r"x-any\.whl is for none of x86_64, aarch64: expected a wheel of make wheels"):
        deb.make(tmp_path / "x-any.whl", tmp_path)


def test_the_unit_is_the_one_of_service_install(deb):
    """Another name, another home for what it writes; rights, restarts and watchdog are the same lines."""
    installed = Service(deb.NAME, deb.FILE, deb.tree.PREFIX / "bin/rt-engine").text().splitlines()
    packaged = Service(deb.NAME, deb.FILE, deb.tree.PREFIX / "bin/rt-engine", is_packaged=True).text().splitlines()
    differ = {line.partition("=")[0] for line in set(packaged) ^ set(installed) if not line.startswith("#")}
    assert differ == {"WorkingDirectory", "RuntimeDirectory", "ReadWritePaths"}
    assert "ExecStart=/opt/rt-engine/bin/rt-engine run /etc/rt-engine/station.toml" in packaged
    assert f"RestartPreventExitStatus={' '.join(str(int(code)) for code in FINAL)}" in packaged
    assert {"LimitRTPRIO=99", "LimitMEMLOCK=infinity", "ReadWritePaths=/var/lib/rt-engine/station"} <= set(packaged)


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_scripts_ask_systemd_only_where_it_runs(script):
    """sh understands them, and without systemd no systemctl is called."""
    text = (PARTS / script).read_text()
    subprocess.run(["sh", "-n", PARTS / script], check=True)
    depth = 0
    for line in text.splitlines():
        depth += line.strip().startswith("if ") and "/run/systemd/system" in line
        depth -= line == "fi" and depth > 0
        assert "systemctl" not in line or depth, f"{script}: {line}"


def test_the_shipped_station_writes_where_its_user_may():
    """Not beside the file, which is root's."""
    station = tomllib.loads((PARTS / "station.toml").read_text())["station"]
    assert station["name"] == "station"
    assert all(station[key].startswith("/var/lib/rt-engine/station/") for key in ("store", "report", "audit"))
