"""Twenty viewers of a page, over real connections, and a task on a clock of the test's own: no tick is missed, no cycle differs.

On that clock time passes only where the task sleeps: whatever made a cycle wait for a viewer, or do something for him, would be seen
as a tick that is missing, an output that differs, or time that the task did not sleep.
"""

import http.client
import threading
import time
from contextlib import ExitStack

import numpy as np

from station.file.reading import read_station
from station.running.station import Station
from tests.scheduler.fakes import FakeClock
from tests.station.stations import AXIS, SIM, running, station_text, write_station
from tests.waiting import PATIENCE_S, wait_for

PAGE = '[servers.page]\ntype = "web"\nport = 0\nrequests_per_second = 10000\n'
VIEWERS, LOOKS = 20, 3


def look(port, go, done, failed):
    """One viewer: the stream, and beside it everything that the page asks, from `go` on."""
    try:
        stream = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        stream.request("GET", "/api/stream")
        answer = stream.getresponse()
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        assert go.wait(PATIENCE_S)
        for _ in range(LOOKS):
            for path in (
                "/api/status", "/api/histograms", "/api/tags", "/api/trends?tag=a&tag=force&step_ms=100&from=0", "/api/events",
                "/api/models/mean/graph", "/api/models/mean/tensor?node=n0", "/metrics", "/api/session", "/api/audit",
            ):  # fmt: skip
                asking.request("GET", path)
                got = asking.getresponse()
                got.read()
                assert got.status in (200, 422), (path, got.status)
        assert answer.readline() == b"retry: 2000\n"
        asking.close()
        stream.close()
    except BaseException as error:
        failed.append(error)
    finally:
        done.release()


def test_twenty_viewers_cost_a_task_no_tick(tmp_path, monkeypatch):
    clock = FakeClock()
    clock.on_sleep = lambda until_ns: time.sleep(0.0005)
    monkeypatch.setattr("station.recorder.recorder.PAGE_NS", 100_000_000_000)  # on that clock, which runs ahead
    monkeypatch.setattr("scheduler.scheduler.system_clock", lambda: clock.clock)
    text = station_text("press", SIM, AXIS, PAGE)
    station = Station(read_station(write_station(tmp_path, text)))
    heard = []
    station.recording.drain.listen(lambda layout, records: heard.append((layout, records.copy())))
    with running(station), ExitStack() as stack:
        port = station._plc.servers["page"].address[1]
        wait_for(lambda: station._scheduler.counters("axis")["cycles"] > 20)
        go, done, failed = threading.Event(), threading.Semaphore(0), []
        for _ in range(VIEWERS):
            thread = threading.Thread(target=look, args=(port, go, done, failed))
            thread.start()
            stack.callback(thread.join)
        wait_for(lambda: station._plc.servers["page"].viewers == VIEWERS)
        go.set()
        for _ in range(VIEWERS):
            assert done.acquire(timeout=PATIENCE_S)
        assert failed == []
        counters = station._scheduler.counters("axis")
    assert (counters["missed"], counters["overruns"]) == (0, 0)
    assert counters["cycles"] > 100
    numbers = np.concatenate([records["number"] for _, records in heard])
    ticks = np.concatenate([records["tick_ns"] for _, records in heard])
    assert (np.diff(numbers) == 1).all() and (np.diff(ticks) == 1_000_000).all()
