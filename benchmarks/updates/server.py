"""A station with a link, a task, a called model, and a large model that is replaced while it runs.

    python -m benchmarks.updates.server FOLDER DEVICE_PORT      FOLDER has mean.onnx, a.onnx, b.onnx

Answers lines by JSON: `go` begins to replace the large model, again and again; `stop` lets the update under way end, and gives
how long each took; `link` gives the counts of the link's round trips, bin by bin. Ends with its standard input.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from station.errors import RefusedError
from station.file.reading import read_station
from station.running.station import Station

STATION = """\
[station]
name = "updates"

[models.mean]
file = "mean.onnx"

[models.big]
file = "a.onnx"

[links.machine]
type = "modbus-tcp"
host = "127.0.0.1"
port = PORT
cycle = "2 ms"
timeout = "200 ms"

[servers.ads]
type = "ads"
host = "127.0.0.1"
port = 0
requests_per_second = 1000000

[tags]
a = { address = "holding 0" }
b = { address = "holding 2" }
force = { direction = "out", address = "holding 10", low = -10, high = 10, safe = -1 }

[tasks.axis]
model = "mean"
cycle = "1 ms"
inputs = ["a", "b"]
outputs = ["force"]
"""


class Updating:
    """Replaces the large model, again and again, in a thread of its own."""

    def __init__(self, station: Station, folder: Path) -> None:
        self._station, self._files = station, [folder / "b.onnx", folder / "a.onnx"]
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._took: list[dict[str, Any]] = []

    def go(self) -> dict[str, Any]:
        """Begin."""
        self._is_over.clear()
        self._took = []
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return {}

    def stop(self) -> dict[str, Any]:
        """End with the update that is under way."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        return {"updates": self._took}

    def _work(self) -> None:
        while not self._is_over.is_set():
            begin = time.monotonic()
            try:
                said = self._station.update("big", self._files[0]).message
            except RefusedError as error:
                said = f"REFUSED {error}"
            self._files.reverse()
            self._took.append({"s": time.monotonic() - begin, "said": said})


def main() -> None:
    """Run until standard input ends."""
    folder, port = Path(sys.argv[1]), sys.argv[2]
    (folder / "station.toml").write_text(STATION.replace("PORT", port), encoding="utf-8")
    station = Station(read_station(folder / "station.toml"))
    with station:
        updating = Updating(station, folder)
        address = station.snapshot().servers[0].address
        print(json.dumps({"ads": address}), flush=True)
        for line in sys.stdin:
            if line.strip() == "link":
                trip = station._parts.links["machine"].status().round_trip
                answer: dict[str, Any] = {"bins": trip.bins()[1].tolist(), "max": trip.max}
            else:
                answer = updating.go() if line.strip() == "go" else updating.stop()
            counters = station._scheduler.counters("axis")
            print(json.dumps(answer | {"overruns": int(counters["overruns"])}), flush=True)
        updating.stop()


if __name__ == "__main__":
    main()
