"""docs/ads.md is true: its numbers are the server's, its examples run."""

import re
import struct

import numpy as np

from fieldbus.ads.protocol import SYSTEM_PORT, Error, Group
from plc_bindings.ads import groups, notifications, session
from plc_bindings.ads.device import AdsOptions
from plc_bindings.ads.server import RULES
from plc_bindings.net.connection import REST_S
from plc_bindings.security.access import Limits
from plc_bindings.security.signing import SIGNATURE_BYTES
from tests import ROOT
from tests.peers.plant import ads_server
from tests.plc_bindings.ads.plant import model
from tests.plc_bindings.st.evaluator import syntax_errors

PAGE = (ROOT / "docs" / "ads.md").read_text()


def test_the_error_codes_are_all_that_there_are():
    shown = {name: int(number, 16) for number, name in re.findall(r"^\| `16#(\w+)` \| ([A-Z_]+) \|", PAGE, re.M)}
    assert shown == {error.name: error.value for error in Error if error}


def test_the_groups_are_all_that_there_are():
    own = {name: int(number, 16) for number, name in re.findall(r"`16#(5254\w+)` (\w+) \|", PAGE)}
    assert own == {name: getattr(groups, name) for name in own}
    assert len(own) == 8
    assert f"`16#{groups.AREA:X}` and up" in PAGE
    shown = {int(number, 16) for number in re.findall(r"`16#(F\w+)`", PAGE)}
    sums = {group for group in Group if Group.SUM_READ < group < Group.SUM_ADD_NOTIFICATION}
    assert shown | sums == set(Group) - {Group.SYSTEM_STATE}


def test_the_limits_are_those_of_the_server():
    limits, options = Limits(), AdsOptions()
    for text in (
        f"| connections | {limits.connections} (",
        f"of one client | {limits.requests_per_second} (",
        f"of one client | {limits.handles:,} (",
        f"of one client | {limits.notifications} (",
        f"{notifications.MOST_SAMPLES_PER_S:,} looks",
        f"| {limits.frame_bytes >> 20} MiB |",
        f"in one call | {limits.batch} |",
        f"not fetched | {RULES.high_water >> 10} KiB |",
        f"after {RULES.stuck_s:g} s |",
        f"; {session._ITEMS_PER_REQUEST} items",
        f"not listened to for {REST_S * 1e3:g} ms",
        f"in one go | {session._TURN_PACKETS}, or {session._TURN_BYTES >> 10} KiB",
        f"after {RULES.keep_alive['TCP_USER_TIMEOUT'] // 1000} s without",
        f"| {options.port} (`port`)",
        f"| {options.ams_port} (`ams_port`)",
        f"; {SYSTEM_PORT}, the system service",
        f"to {groups.NAME_BYTES} bytes",
        f"({SIGNATURE_BYTES} bytes)",
    ):
        assert text in PAGE, text


def test_the_structured_text_is_well_formed():
    (program,) = re.findall(r"```iecst\n(.*?)```", PAGE, re.S)
    assert syntax_errors(program) == []
    assert f"IDXGRP := 16#{groups.PREDICT:X}" in program


def test_the_python_runs():
    """With pyads, against a server at an address of its own."""
    program, later = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    found: dict[str, object] = {}
    with ads_server() as running:
        host, _ = running.address
        exec(compile(program.replace("192.168.10.2", host), "ads.md", "exec"), found)
        exec(compile(later, "ads.md", "exec"), found)  # a function, for a station
        found["plc"].close()
    (y,) = model().run({"x": np.full((1, 16), 0.5, np.float32)})
    assert (found["status"], found["version"]) == (0, 1)
    assert struct.pack("<4f", *found["outputs"]) == y.tobytes()
