"""Settings of all tests: one environment, whoever starts them, how, and from where."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests import need

pytest_plugins = ["pytester"]

# Machines are shared and noisy: how long an example takes says nothing. Each run has the same examples; those of `search` are others.
settings.register_profile("shared", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("shared"), derandomize=False, max_examples=2000)
settings.load_profile("shared")

_SOME = {
    "tests/fieldbus/ads/": "conversation questions",
    "tests/fieldbus/exchange/": "ages begins fuzz moves",
    "tests/fieldbus/ethercat/slaves/": "entries sii",
    "tests/fieldbus/ethercat/simulated/": "al coe datagrams drive frames mailbox managers memory objects presets process "
    "sdo sii terminals",
    "tests/scheduler/": "checks deadlines envelope fallback instead.py kept maxima replay runs slices_replay slices_second slow "
    "stats step_ steps_page trace verdicts watch",
    "tests/station/commands/": "arithmetic compile contract explain export many models quantize replay shapes",
    "tests/station/latency/": "causes compare doubts fit page result sources turns",
}
"""Folder -> how the names of its files begin that only compute; others of it need more."""
COMPUTING = (
    *("tests/rt_engine/", "tests/rt_native/", "tests/conformance/", "tests/exporters/", "tests/fuzz/"),
    *(
        "tests/plc_bindings/st/",
        "tests/plc_bindings/c/",
        "tests/plc_bindings/security/",
        "tests/fieldbus/ethercat/drives/",
    ),
    *("tests/fieldbus/opcua/", "tests/plc_bindings/http/", "tests/plc_bindings/mqtt/", "tests/plc_bindings/opcua/"),
    *(
        "tests/packaging/",
        "tests/station/fleet/",
        "tests/station/page/",
        "tests/station/replay/",
        "tests/station/servers/",
        "tests/station/wiring/",
    ),
    *(
        "tests/station/file/",
        "tests/station/links/",
        "tests/station/machine/",
        "tests/station/terms/",
        "tests/station/show/",
    ),
    *(f"{folder}test_{name}" for folder, names in _SOME.items() for name in names.split()),
)
"""Tests that need nothing of the machine but a processor; or clients and servers that wait for each other as long as it takes."""
WIDTH = shutil.get_terminal_size().columns

# A terminal so wide that no message is wrapped, without colours, in English; what starts a test run may say otherwise.
for name in (
    *("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    *("TERMINAL_WIDTH", "LANGUAGE"),
):
    os.environ.pop(name, None)
os.environ |= {"COLUMNS": "1000", "LINES": "50", "TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

# Libraries are compiled as a whole, once, and nothing goes on in the background; tests of that say otherwise themselves.
os.environ["RT_ENGINE_COMPILE"] = "all"

# A shell that starts `make` in the background has SIGINT ignored, nohup SIGHUP; a test that sends one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())

# Control sockets are among themselves, and in a folder with a short name: a socket's path has at most 107 bytes.
os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="rt-", dir="/tmp")
atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """pytest's own lines are as wide as the terminal is."""
    config.get_terminal_writer().fullwidth = WIDTH


class Lanes(LoadScopeScheduling):
    """What runs at the same time, with `-n 2`: files of tests that only compute, and one after another all that own the machine.

    Those have real-time threads, sockets, devices, processes with deadlines: two of them at once would measure each other.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.startswith(COMPUTING) else "the machine"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """See `Lanes`."""
    return Lanes(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Programs that a test's mark names are there."""
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            need.program(program)


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder with a short name, as `tmp_path` may have a long one: for sockets that nobody else knows."""
    with tempfile.TemporaryDirectory(prefix="rt-", dir="/tmp") as folder:
        yield Path(folder)
