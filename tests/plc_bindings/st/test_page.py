"""docs/st.md shows what is generated: its programs, methods, numbers and limits are those of the blocks."""

import re
from pathlib import Path

from plc_bindings.st import portable, twincat
from plc_bindings.st.names import LONGEST
from plc_bindings.st.statuses import STATUSES
from tests.plc_bindings.st.exported import ADS, demo, modbus

PAGE = (Path(__file__).parents[3] / "docs" / "st.md").read_text()


def test_the_example_programs_are_the_generated_ones():
    of = demo()
    shown = re.findall(r"```iecst\n(.*?)```", PAGE, re.S)
    made = [
        next(u for u in units if u.name == "PRG_RtExample")
        also = set(re.findall(r"`(\w+)`", re.search(r"In TwinCAT there are also (.*)", PAGE)[1]))
    for units, more in ((twincat.units(of, ADS), also), (portable.units(of, modbus(of)), {"stConnection"})):
        block = next(u for u in units if u.name == "FB_policy")
        names = {v.name for section in block.sections for v in section.variables if section.kind != "VAR"}
        assert names == shown | more


def test_the_numbers_of_errors_are_right():
    shown = {name: int(number) for number, name in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.M)}
    known = {name: number for name, number, _ in STATUSES}
    assert len(shown) == 9 and shown == {name: known[name] for name in shown}


def test_the_limits_are_those_of_the_block():
    body = next(u for u in portable.units(demo(), modbus(demo())) if u.name == "FB_RtPredict").body
    inputs, results = re.search(r"up to (\d+) registers and results of up to (\d+)", PAGE).groups()
    assert f"nCount > {inputs} " in body and f"nCountRead > {results} " in body
    assert f"longer than {LONGEST} characters" in PAGE
