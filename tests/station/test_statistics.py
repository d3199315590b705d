"""A statistic is declared once: what shows it, shows it; and nothing that PLC clients know moves when one is added."""

import csv
import io
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fieldbus.link.state import LINK_STATISTICS
from fieldbus.statistic import Statistic
from scheduler.stats import TASK_STATISTICS
from scheduler.task_block import STATS
from station.show.symbols import headings, of_station
from tests import ROOT
from tests.station.stations import write_station

GOLDEN = Path(__file__).with_name("symbols_of_a_station.csv")
STATION = """\
[station]
name = "golden"

[models.mean]
file = "mean.onnx"

[models.twice]
file = "twice.onnx"

[servers.ads]
type = "ads"
host = "127.0.0.1"
writable = ["Tags.*", "Tasks.*", "Links.*"]

[servers.modbus]
type = "modbus-tcp"
host = "127.0.0.1"

[links.sim]
type = "in-process"
device = "device.py:device"
cycle = "1 ms"
timeout = "50 ms"

[links.plc]
type = "plc"
timeout = "300 ms"

[tags]
a = { link = "sim" }
b = { link = "plc" }
row = { link = "plc", count = 2 }
force = { link = "sim", direction = "out", low = -10, high = 10, safe = -1 }
lamp = { link = "plc", direction = "out", low = 0, high = 1, safe = 0 }

[tasks.first]
model = "mean"
cycle = "1 ms"
inputs = ["a", "b"]
outputs = ["force"]

[tasks.second]
model = "twice"
cycle = "10 ms"
inputs = ["row"]
outputs = ["lamp"]
"""


def test_no_symbol_and_no_register_of_an_existing_station_moves(tmp_path):
    """Group, offset, type, register and coil are as they were when this list was made; there may be new ones beside."""
    rows = {row["symbol"]: row for row in of_station(write_station(tmp_path, STATION)).rows}
    heading, *golden = csv.reader(io.StringIO(GOLDEN.read_text()))
    assert tuple(heading) == headings()
    assert len(golden) > 100
    for line in golden:
        assert list(rows[line[0]].values()) == line


def test_what_the_cycle_counts_is_in_its_block():
    """Under the same name, so nothing is read from elsewhere."""
    counted = {statistic.name for statistic in TASK_STATISTICS} - {"page_faults", "involuntary_switches"}
    assert len(counted) > 10
    assert counted <= set(STATS.names)


@pytest.mark.parametrize(("heading", "statistics"), [("task", TASK_STATISTICS), ("link", LINK_STATISTICS)])
def test_the_page_lists_what_is_counted(heading, statistics):
    """docs/station.md: one row for each, in their order."""
    page = (ROOT / "docs" / "station.md").read_text()
    table = page.split(f"| of a {heading} | for PLC clients | what |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [row(statistic) for statistic in statistics]


def row(statistic: Statistic) -> str:
    symbol = f"`{statistic.symbol}` {statistic.type}" if statistic.symbol else ""
    unit = f" ({statistic.unit})" if statistic.unit else ""
    return f"| `{statistic.name}` | {symbol} | {statistic.meaning}{unit} |".replace("  |", " |")


ADDED = """
    from fieldbus.link import state
    from fieldbus.statistic import Statistic
    from scheduler import stats

    stats.TASK_STATISTICS += (Statistic("LastFault", "UDINT", "", "the newest fault", "newest\\nfault", True, name="last_fault"),)
    state.LINK_STATISTICS += (Statistic("Limited", "UINT", "", "cells cut", "cut", True, True, name="limited"),)
"""
SHOWN = """
    import json
    import sys
    from datetime import UTC, datetime
    from pathlib import Path

    from rich.console import Console

    from plc_bindings.data.database import Session
    from station.file.reading import read_station
    from station.show.snapshot import Snapshot
    from station.running.station import Station
    from station.show.live import draw
    from station.show.report import to_html, to_json
    from station.show.symbols import of_station

    path = Path(sys.argv[1])
    station = Station(read_station(path))
    station._parts.links["sim"]._counts["limited"] = 0x1_0007
    station._scheduler._runners["first"].memory.stats["last_fault"] = 987_654_321
    data = station._plc.offer.database
    session = Session(data, data.writable([]))
    session.begin()
    places = {}
    for name in ("Tasks.first.LastFault", "Links.sim.Limited"):
        symbol = data.find(name)
        places[name] = int.from_bytes(session.read(symbol.area, symbol.offset, symbol.size), "little")
    snapshot = station.snapshot()
    console = Console(width=200, record=True, file=open("/dev/null", "w"))
    console.print(draw(snapshot))
    status = snapshot.to_json()
    print(json.dumps({
        "status": status,
        "is_kept": Snapshot.from_json(status) == snapshot,
        "report": json.loads(to_json(station.report()))["station"],
        "page": to_html(station.report()),
        "table": console.export_text(),
        "read": places,
        "rows": of_station(path).rows,
    }))
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Everything that a station shows, after one statistic of a task and one of a link were declared."""
    path = write_station(tmp_path_factory.mktemp("added"), STATION)
    program = textwrap.dedent(ADDED) + textwrap.dedent(SHOWN)
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(run.stdout)


def test_one_that_is_added_is_in_the_status_and_the_report(shown):
    """Under its name, with its number; and a status that is read again is the same."""
    for station in (shown["status"], shown["report"]):
        assert [task["counters"]["last_fault"] for task in station["tasks"]] == [987_654_321, 0]
        assert [link["limited"] for link in station["links"]] == [0x1_0007, 0]
    assert shown["is_kept"]


def test_one_that_is_added_is_in_the_tables(shown):
    """On the terminal and on the page, under its heading."""
    for text in (shown["table"], shown["page"]):
        assert text.count("987,654,321") == 1
        assert text.count("65,543") == 1
    assert '<th class="n">newest fault</th>' in shown["page"]
    assert '<th class="n">cut</th>' in shown["page"]
    assert '<span class="warn">65,543</span>' in shown["page"]
    assert "newest" in shown["table"]
    assert " cut" in shown["table"]


def test_one_that_is_added_is_behind_all_others_for_plc_clients(shown):
    """As an ADS symbol and as Modbus registers, in the order of declaration; a number that is too large begins again at 0.

    What the CSV holds is where it was; so this needs no edit when a statistic is declared for good.
    """
    assert shown["read"] == {"Tasks.first.LastFault": 987_654_321, "Links.sim.Limited": 7}
    rows = {row["symbol"]: row for row in shown["rows"]}
    golden = {row["symbol"]: row for row in csv.DictReader(io.StringIO(GOLDEN.read_text()))}
    assert {symbol: rows[symbol] for symbol in golden} == golden
    added = []
    for structure, statistics, last in (
        ("Tasks.first", TASK_STATISTICS, ("LastFault", "UDINT", "the newest fault")),
        ("Tasks.second", TASK_STATISTICS, ("LastFault", "UDINT", "the newest fault")),
        ("Links.sim", LINK_STATISTICS, ("Limited", "UINT", "cells cut")),
        ("Links.plc", LINK_STATISTICS, ("Limited", "UINT", "cells cut")),
    ):
        declared = [(s.symbol, s.type, s.meaning) for s in statistics if s.symbol]
        later = [*(d for d in declared if f"{structure}.{d[0]}" not in golden), last]
        before = [row for symbol, row in golden.items() if symbol.startswith(f"{structure}.")][-1]
        for name, type, meaning in later:
            row = rows[f"{structure}.{name}"]
            assert (row["type"], row["comment"]) == (type, meaning)
            assert int(row["ads_offset"]) == int(before["ads_offset"]) + int(before["bytes"])
            first, end = (int(before["register"].split("-")[-1]) + words for words in (1, (int(row["bytes"]) + 1) // 2))
            assert row["register"] == (f"{first}" if first == end else f"{first}-{end}")
            added.append(row["symbol"])
            before = row
    assert [symbol for symbol in rows if symbol not in golden] == added
