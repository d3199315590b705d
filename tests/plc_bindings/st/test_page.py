"""docs/st.md shows what is generated: its programs, methods, numbers and limits are those of the blocks."""

import re

from plc_bindings.st import portable, twincat
from plc_bindings.st.names import LONGEST
from plc_bindings.st.statuses import STATUSES
from tests import ROOT
from tests.plc_bindings.st.exported import ADS, demo, modbus

PAGE = (ROOT / "docs" / "st.md").read_text()


def test_the_example_programs_are_the_generated_ones():
    of = demo()
    shown = re.findall(r"```iecst\n(.*?)```", PAGE, re.S)
    made = [
        next(u for u in units if u.name == "PRG_RtExample")
        for units in (twincat.units(of, ADS), portable.units(of, modbus(of)))
    ]
    assert shown == [unit.text[unit.text.index("PROGRAM") :] for unit in made]


def test_the_methods_are_those_of_the_block():
    """All that are not private, with inputs that they have."""
    block = next(u for u in twincat.units(demo(), ADS) if u.name == "FB_RtPredict")
    shown = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", PAGE, re.M))
    assert set(shown) == {m.name for m in block.methods if not m.private}
    for method in block.methods:
        if not method.private:
            inputs = [v.name for section in method.sections if section.kind != "VAR" for v in section.variables]
            listed = [name for name in shown[method.name].split(", ") if name and name != "..."]
            assert listed == (inputs if "..." not in shown[method.name] else inputs[4:]), method.name


def test_inputs_and_outputs_are_those_of_the_blocks():
    table = PAGE[PAGE.index("| input |") : PAGE.index("Use `stOut` only")]
    cells = [cell for row in table.splitlines() for cell in row.split("|")[1:4:2]]
    shown = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert len(shown) == 13
    of = demo()
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
