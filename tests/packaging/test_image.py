"""Containerfile and compose file: what goes in, who runs it, what it may write."""

import re
import subprocess
import tomllib

from tests import ROOT

CONTAINERFILE = (ROOT / "Containerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text().split()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_and_nothing_else_is_built_from():
    """What setuptools takes is copied; what is copied is let in; the rest, keys and stores among it, stays out."""
    packages = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = {word for line in re.findall(r"^COPY (?!--)(.*) \S+$", CONTAINERFILE, re.M) for word in line.split()}
    assert packages <= copied
    assert IGNORED[0] == "*"
    let_in = {word[1:] for word in IGNORED if word.startswith("!")}
    assert {word.partition("/")[0].rstrip("*") for word in copied} == let_in


def test_the_last_stage_is_a_users_and_holds_nothing_but_the_tree():
    """No shell form: there is no shell; process 1 is tini; a health check; SIGTERM."""
    last = CONTAINERFILE.rpartition("\nFROM ")[2]
    assert last.startswith("scratch\n")
    assert "\nRUN" not in last
    assert "\nUSER 10001:10001\n" in last
    for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK .* CMD"):
        assert re.search(rf'^{word} \["', last, re.M), word
    assert "STOPSIGNAL SIGTERM" in last
    assert '"/usr/bin/tini", "--"' in last
    assert "10001" in (ROOT / "packaging/root.sh").read_text()


def test_the_root_is_made_by_a_script_that_sh_understands():
    subprocess.run(["sh", "-n", ROOT / "packaging/root.sh"], check=True)


def test_no_file_names_where_packages_come_from():
    """Neither pip's index nor Debian's mirror: build arguments, and what the base image says."""
    files = [
        ROOT / "Containerfile",
        ROOT / "compose.yaml",
        *(p for p in (ROOT / "packaging").rglob("*") if p.is_file()),
    ]
    written = [path for path in files if "__pycache__" not in path.parts]
    assert [path.name for path in written if re.search(r"://(?!www\.debian\.org)", path.read_text())] == []


def test_compose_gives_what_doctor_asks_for():
    """Limits rather than capabilities; one volume, a root that is read only."""
    text = (ROOT / "compose.yaml").read_text()
    for words in (
        "ulimits: {rtprio: 99, memlock: -1}",
        "read_only: true",
        "cap_drop: [ALL]",
        "tmpfs: [/tmp]",
        "no-new-privileges",
    ):
        assert words in text


def test_the_pod_has_what_doctor_asks_of_kubernetes():
    """Root with two capabilities, since a pod sets no limits; a whole core; the same end and health as the image."""
    text = (ROOT / "packaging/pod.yaml").read_text()
    limits, requests = (re.search(rf"{word}: (.*)", text)[1] for word in ("limits", "requests"))
    assert limits == requests
    for words in (
        "runAsUser: 0",
        "capabilities: {drop: [ALL], add: [SYS_NICE, IPC_LOCK]}",
        "readOnlyRootFilesystem: true",
        "terminationGracePeriodSeconds: 30",
        "hostNetwork: true",
    ):
        assert words in text
    command = re.search(r'^HEALTHCHECK .* CMD \["(.*)"\]', CONTAINERFILE, re.M)[1].split('", "')
    assert f"command: [{', '.join(command)}]" in text.partition("readinessProbe")[2].partition("livenessProbe")[0]


def test_no_pod_is_started_again_because_a_device_is_away():
    """Its other devices' outputs would be made safe for nothing: it is alive as long as it answers."""
    text = (ROOT / "packaging/pod.yaml").read_text()
    assert "rt-engine, status]}" in text.partition("livenessProbe")[2].splitlines()[1]
