"""A kind of link, of server, of scan, a command: each appears by being in its folder, and nothing else in the station names one.

Here a folder holds one of each. The link is a text file with a line `NAME VALUE` for each tag, the server answers a line
with a symbol's name by its value, the command greets.
"""

import ast
import csv
import json
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from pkgutil import iter_modules

import pytest

from station.links import link_tables, type_of
from station.servers import server_tables
from tests import ROOT
from tests.station.stations import gemm
from tests.waiting import free_port, wait_for

DRIVER = """\
import sys
from pathlib import Path

folder = Path(__file__).parent
sys.path[:0] = [str(folder), str(Path.cwd())]

import station.commands
import station.links
import station.scans
import station.servers

for package in (station.commands, station.links, station.scans, station.servers):
    package.__path__.append(str(folder / package.__name__.partition(".")[2]))

from station.cli import main

main()
"""
FILES = {
    "shelf.py": '''
        """The device: a text file. What its own package would be in `fieldbus`."""

        import time
        from pathlib import Path

        from fieldbus.link.cyclic import CyclicLink

        class ShelfLink(CyclicLink):
            def __init__(self, name, tags, path, cycle_s, timeout_s):
                super().__init__(name, tags, cycle_s, timeout_s)
                self._path = Path(path)

            def _open(self, deadline_ns):
                assert self._path.exists()

            def _close(self):
                pass

            def _exchange(self, outputs, inputs, deadline_ns):
                self._write(outputs, deadline_ns)
                asked_ns = time.monotonic_ns()
                values = dict(line.split() for line in self._path.read_text().splitlines())
                inputs[:] = [float(values[tag.address.place]) for tag in self._in.cells.tags.values()]
                return asked_ns

            def _write(self, outputs, deadline_ns):
                names = [tag.address.place for tag in self._out.cells.tags.values()]
                self._out.check_age()
                lines = [f"{name} {value}\\n" for name, value in zip(names, outputs)]
                self._path.with_suffix(".out").write_text("".join(lines))
    ''',
    "line.py": '''
        """The server: a line with a name, a line with the value. What its own package would be in `plc_bindings`."""

        import asyncio
        import struct

        from plc_bindings.data.database import Session
        from plc_bindings.net.serving import ServerStatus

        class LineServer:
            def __init__(self, database, access, port):
                self._database, self._port, self._requests = database, port, 0
                self._writable = database.writable(access.writable)

            def status(self):
                return ServerStatus(f"line 127.0.0.1:{self._port}", 0, self._requests, 0)

            async def start(self):
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

            async def stop(self):
                self._server.close()

            async def _serve(self, reader, writer):
                session = Session(self._database, self._writable)
                while name := (await reader.readline()).decode().strip():
                    self._requests += 1
                    session.begin()
                    symbol = self._database.find(name)
                    (value,) = struct.unpack("<f", session.read(symbol.area, symbol.offset, symbol.size))
                    writer.write(f"{value}\\n".encode())
                writer.close()
    ''',
    "links/shelf_kind.py": '''
        from dataclasses import dataclass
        from typing import Literal

        from pydantic import Field

        from fieldbus.tags import Address
        from station.terms.findings import no_file
        from station.links import CyclicLinkTable

        @dataclass(frozen=True, slots=True)
        class Place(Address):
            place: str

        class ShelfTable(CyclicLinkTable):
            """A text file."""

            address_form = "the value's name in the text file"

            type: Literal["shelf"]
            path: str = Field(description="The text file.")

            def describe(self):
                return f"shelf {self.path}"

            def address_faults(self, tag):
                if not tag.address.isidentifier():
                    yield f'"{tag.address}" is no name'

            def findings(self, name, tags, folder):
                yield from no_file(("links", name, "path"), folder, self.path)

            def address(self, tag):
                return Place(tag.address)

            def make(self, name, tags, folder):
                from shelf import ShelfLink

                return ShelfLink(name, tags, folder / self.path, self.cycle_ns / 1e9, self.timeout_ns / 1e9)

        TABLES = (ShelfTable,)
        ORDER = 15
    ''',
    "servers/line_kind.py": '''
        from typing import Literal

        from pydantic import Field

        from station.terms.findings import Finding
        from station.servers import Columns, Listing, ServerTable

        class LineTable(ServerTable):
            """A server of lines."""

            columns = Columns(("line",), ("line",))

            type: Literal["line"]
            port: int = Field(description="TCP port.")

            def place(self):
                return f"line at 127.0.0.1:{self.port}"

            def findings(self, name, folder):
                if self.port < 1024:
                    yield Finding(("servers", name, "port"), "is not for everybody")

            @classmethod
            def listing(cls, database, models):
                return Listing({name: (f"{name}?",) for symbol in database.symbols for name, _ in symbol.leaves()})

            def make(self, offer):
                from line import LineServer

                return LineServer(offer.database, self.access(offer.audit), self.port)

        TABLES = (LineTable,)
        ORDER = 15
    ''',
    "commands/greet.py": '''
        from typing import Annotated

        import typer

        ORDER = 15

        def greet(name: Annotated[str, typer.Argument(help="Whom.")]) -> None:
            """Say good morning."""
            print(f"Good morning, {name}")
    ''',
    "scans/shelf_kind.py": '''
        from pathlib import Path
        from typing import Annotated

        import typer

        from station.errors import ScanError

        ORDER = 5

        def shelf_kind(path: Annotated[Path, typer.Argument(help="The text file.")]) -> None:
            """Find the values of a text file."""
            if not path.exists():
                raise ScanError(f"{path} is not there; write one")
            print(*(line.split()[0] for line in path.read_text().splitlines()))
    ''',
}
STATION = """\
[station]
name = "planted"

[models.mean]
file = "mean.onnx"

[links.shelf]
type = "shelf"
path = "values.txt"
cycle = "2 ms"
timeout = "10 s"

[servers.line]
type = "line"
port = PORT

[tags]
a = { address = "left" }
b = { address = "right" }
force = { address = "drive", direction = "out", low = -10, high = 10, safe = -1 }

[tasks.axis]
model = "mean"
cycle = "2 ms"
inputs = ["a", "b"]
outputs = ["force"]
"""


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, port):
    """The kinds, a station file that uses them, and what runs `rt-engine` with them."""
    made = tmp_path_factory.mktemp("planted")
    for name, text in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(textwrap.dedent(text).lstrip())
    (made / "driver.py").write_text(DRIVER)
    (made / "values.txt").write_text("left 1.0\nright 3.0\n")
    (made / "station.toml").write_text(STATION.replace("PORT", str(port)))
    gemm(made / "mean.onnx", 2)
    return made


@pytest.fixture(scope="module")
def rt_engine(folder):
    """Runs a command to its end; its output, both streams."""

    def rt_engine(*words, code=0):
        done = subprocess.run(
            command(folder, *words), capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return rt_engine


def command(folder, *words):
    return [sys.executable, str(folder / "driver.py"), *map(str, words)]


def test_a_command_is_in_the_help_at_its_place_and_runs(rt_engine):
    names = re.findall(r"^│ (\w+)  ", rt_engine("--help"), re.M)
    assert names[:3] == ["run", "greet", "check"]
    assert rt_engine("greet", "Ada") == "Good morning, Ada\n"


def test_a_scan_is_in_the_help_at_its_place_and_runs(rt_engine, folder):
    """Before the one that is there; what it cannot do is a sentence and an exit code."""
    names = re.findall(r"^│ (\w[\w-]*)  ", rt_engine("scan", "--help"), re.M)
    assert names[0] == "shelf-kind"
    assert rt_engine("scan", "shelf-kind", folder / "values.txt") == "left right\n"
    assert (
        rt_engine("scan", "shelf-kind", folder / "none.txt", code=1)
        == f"{folder / 'none.txt'} is not there; write one\n"
    )


def test_kinds_are_in_the_schema(rt_engine):
    schema = json.loads(rt_engine("schema"))
    for table, kind in (("links", "shelf"), ("servers", "line")):
        (any_of_them,) = schema["properties"][table]["patternProperties"].values()
        assert kind in any_of_them["discriminator"]["mapping"]
    text = rt_engine("schema", "--markdown")
    assert "### [links.NAME], type shelf" in text
    assert "### [servers.NAME], type line" in text


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (("", ""), ["good: 1 task, 1 model, 1 link, 3 tags"]),
        (('"values.txt"', '"none.txt"'), [":9: error: links.shelf.path: no such file:"]),
        (('"left"', '"2 3"'), [':18: error: tags.a.address: "2 3" is no name']),
        (
            ('{ address = "right" }', "{}"),
            [':19: error: tags.b: needs the key "address": the value\'s name in the text file'],
        ),
        (("port = ", "port = 1 # "), [":15: error: servers.line.port: is not for everybody"]),
        (
            ('type = "shelf"', ""),
            ['links.shelf: needs the key "type": modbus-tcp, modbus-tls, modbus-rtu, shelf, ads, '],
        ),
        (('"line"\n', '"lines"\n'), ["unknown server type 'lines'; allowed: 'ads', 'line', "]),
        (("path =", "pth ="), ['unknown key "pth"; did you mean "path"?']),
    ],
)
def test_kinds_are_checked(rt_engine, folder, change, messages):
    path = folder / "changed.toml"
    path.write_text((folder / "station.toml").read_text().replace(*change, 1))
    text = rt_engine("check", path, code=0 if change == ("", "") else 3)
    for message in messages:
        assert message in text, text


def test_symbols_have_the_columns_of_the_kind(rt_engine, folder, port):
    assert f"server line: line at 127.0.0.1:{port}" in rt_engine("symbols", folder / "station.toml")
    rt_engine("symbols", folder / "station.toml", "--csv", folder / "map.csv")
    rows = {row["symbol"]: row for row in csv.DictReader((folder / "map.csv").open())}
    assert rows["Tags.force"]["line"] == "Tags.force?"
    assert rows["Tags.force"]["register"] == rows["Tags.force"]["ads_group"] == ""


def test_a_value_goes_through_link_task_and_server(rt_engine, folder, port, tmp_path, monkeypatch, socket_folder):
    """The mean of 1 and 3 reaches the text file and the server's client; at the end the safe value the file alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(socket_folder))
    words = ("run", folder / "station.toml", "--report", tmp_path)
    station = subprocess.Popen(command(folder, *words), stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        wait_for(lambda: (folder / "values.out").exists() and (folder / "values.out").read_text() == "drive 2.0\n")
        with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rw") as lines:
            lines.write("Tags.force\n")
            lines.flush()
            assert lines.readline() == "2.0\n"
        status = json.loads(rt_engine("status", "--json", "--station", folder / "station.toml"))
        assert [link["device"] for link in status["links"]] == ["shelf values.txt"]
        assert [server["requests"] for server in status["servers"]] == [1]
        rt_engine("stop", folder / "station.toml")
        text = station.communicate(timeout=60)[0]
    finally:
        station.kill()
    assert f"server line: line at 127.0.0.1:{port}" in text
    assert "shelf: safe values written, confirmed by the device" in text
    assert (folder / "values.out").read_text() == "drive -1.0\n"


# --- nobody names a kind ----------------------------------------------------------------------------------------------

KINDS = {type_of(table) for table in (*link_tables(), *server_tables())}
TABLES = {table.__name__ for table in (*link_tables(), *server_tables())}
SHARED = {"fieldbus": {"exchange", "image", "link"}, "plc_bindings": {"c", "calls", "data", "net", "security", "st"}}
"""Folders that serve all kinds; every other one, also a new one, is a kind's."""
FOLDERS = {package: {init.parent.name for init in (ROOT / package).glob("*/__init__.py")} for package in SHARED}
PACKAGES = {
    *(f"{package}.{folder}" for package, folders in FOLDERS.items() for folder in folders - SHARED[package]),
    *(
        f"station.{room}.{found.name}"
        for room in ("links", "servers")
        for found in iter_modules([str(ROOT / "station" / room)])
    ),
}
"""Where a kind lives."""
# A command of the name of a kind, as `rt-engine ads`, is that kind's own.
OF_A_KIND = {
    "machine/card.py": "what a network card has in the way of EtherCAT: doctor --interface",
    "terms/broker.py": "where an MQTT broker is, in station files and in fleet files",
}
"""Files outside of a kind's own that are about it, and what they are for."""
NAMELESS = [
    *(
        path
        for room in ("terms", "file", "wiring", "running", "show", "machine", "commands")
        for path in (ROOT / "station" / room).rglob("*.py")
        if str(path.relative_to(ROOT / "station")) not in OF_A_KIND
        if room != "commands" or not (ROOT / "station" / "links" / path.name).exists() or path.name == "__init__.py"
    ),
    *(ROOT / "station" / package / "__init__.py" for package in ("links", "servers")),
]


def named(source: str) -> list[str]:
    """Kinds that a source names: by a type's name, a table's class, or an import from where a kind lives."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in KINDS:
            found.append(node.value)
        elif isinstance(node, ast.Name) and node.id in TABLES:
            found.append(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = [f"{module}{alias.name}" for alias in node.names]
            found += [name for name in names if any(f"{name}.".startswith(f"{package}.") for package in PACKAGES)]
    return found


@pytest.mark.parametrize("path", NAMELESS, ids=lambda path: str(path.relative_to(ROOT / "station")))
def test_nobody_names_a_kind(path: Path):
    """But for the sentence that describes a tag's `address` in the schema, which is for people: Modbus and ADS."""
    assert not named(path.read_text())


def test_a_name_would_be_seen():
    for source in (
        'if table.type == "ads": pass',
        "def f():\n    from station.links.modbus import ModbusTcpLink as Device",
        "import fieldbus.plc.link",
        "from fieldbus import modbus",
        "from station.links.shared.modbus_addresses import parse_address",
        "isinstance(table, AdsServerTable)",
    ):
        assert named(source), source
    assert not named("from station.links import LinkTable, link_tables\nfrom fieldbus.link.link import Link")
    assert all(SHARED[package] < folders for package, folders in FOLDERS.items())
