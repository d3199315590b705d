"""What is measured: a task of 1 kHz, many tags of which some change, and ADS and OPC UA servers: started by the main program.

    python -m benchmarks.opcua_server.server FOLDER TAGS CHANGES_PER_S [profile]

Prints one line of JSON with its ports, and when its standard input ends, what it took of a processor; then a profile, if asked for.
"""

import cProfile
import itertools
import pstats
import resource
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks.plc_calls.server import LIMITS, ads, say, station
from fieldbus.tags import Quality
from plc_bindings.data.database import Area, Database, Moment, Symbol
from plc_bindings.data.types import REAL, Field, Struct
from plc_bindings.net.serving import Serving
from plc_bindings.opcua.options import OpcUaLimits, OpcUaOptions, Role
from plc_bindings.opcua.server import OpcUaServer
from plc_bindings.security.access import Access
from plc_bindings.security.tokens import hashed

USER: Final = ("otto", "rt_of_otto")
PER_AREA: Final = 1000
TICK_S: Final = 0.1
"""Between two steps of the values."""


class Values(Area):
    """Tags.v0, v1, ...: those of one link."""

    def __init__(self, first: int, count: int) -> None:
        fields = tuple(Field(f"v{first + number}", REAL) for number in range(count))
        super().__init__(f"Bench{first}", Struct(f"ST_Bench{first}", fields), can_write=True)
        self.fields, self.data, self.timestamp_ns = fields, bytearray(4 * count), time.monotonic_ns()

    def read(self) -> bytes:
        """As they are."""
        return bytes(self.data)

    def moment(self) -> Moment:
        """With quality and time."""
        data = bytes(self.data)
        return Moment(lambda: data, Quality.GOOD, self.timestamp_ns)

    def write(self, data: bytes, changed: object) -> None:
        """By a client."""
        self.data[:] = data


def values(count: int) -> list[Values]:
    """In areas of a thousand."""
    return [Values(first, min(PER_AREA, count - first)) for first in range(0, count, PER_AREA)]


def with_values(shown: Database, areas: list[Values]) -> Database:
    """A station's database with them."""
    more = [
        Symbol(f"Tags.{field.name}", REAL, len(shown.areas) + number, area.type.offsets[field.name])
        for number, area in enumerate(areas)
        for field in area.fields
    ]
    return Database((*shown.areas, *areas), [*shown.symbols, *more], shown.types)


def move(areas: list[Values], changes_per_s: int) -> None:
    """Change so many values a second, one area after another."""
    each = int(changes_per_s * TICK_S)
    for step in itertools.count(1):
        area = areas[step % len(areas)]
        for number in range(min(each, len(area.fields))):
            struct.pack_into("<f", area.data, 4 * number, float(step % 1000))
        area.timestamp_ns = time.monotonic_ns()
        time.sleep(TICK_S)


def main() -> None:
    """Serve until the standard input ends."""
    folder, tags, changes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    areas = values(tags)
    with station() as (shown, models, links):
        database = with_values(shown, areas)
        access = Access(writable=["Tags.v*"], limits=LIMITS)
        options = OpcUaOptions(
            port=0,
            certificates=folder,
            tokens={USER[0]: hashed(USER[1])},
            roles={USER[0]: Role.OPERATOR},
            methods=("Tasks.*.Reset",),
            limits=OpcUaLimits(sessions=64),
        )
        opcua = Profiled(database, models, options, access) if "profile" in sys.argv else OpcUaServer(
            database, models, options, access
        )  # fmt: skip
        (ads_server, _) = ads(database, models, Access(writable=["Tags.*"], limits=LIMITS))
        serving = Serving({"ads": ads_server, "opcua": opcua}, links)
        serving.start()
        threading.Thread(target=move, args=(areas, changes), daemon=True).start()
        say(ads=ads_server.address[1], opcua=opcua.address[1])
        begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        sys.stdin.read()
        after = resource.getrusage(resource.RUSAGE_SELF)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        say(processor=round(took / (time.monotonic() - begin), 3))
        serving.stop()


class Profiled(OpcUaServer):
    """The server, with a profile of its thread."""

    def _main(self, *given: object) -> None:
        profile = cProfile.Profile()
        profile.runcall(super()._main, *given)  # type: ignore[arg-type]
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
