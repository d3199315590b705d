"""A station that is none, its page served over real connections, and a client that says what it likes."""

import http.client
import json
from contextlib import contextmanager
from dataclasses import fields

from fieldbus.link.state import LinkCounts, LinkStatus
from plc_bindings.data.changes import ChangeView
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access, Limits
from plc_bindings.security.tokens import hashed
from plc_bindings.web.apart import Place
from rt_engine.change import ChangeState
from rt_native.histogram import Histogram
from scheduler.stats import NO_LATENCY, TASK_STATISTICS, TaskStats, Usage
from scheduler.status import Action, State
from station.errors import RefusedError
from station.page.server import PageOptions, PageServer
from station.page.source import Measures, TaskTimes
from tests.loops import running

NO_TLS = {}
ANNA, BERT = "rt_anna", "rt_bert"
TOKENS = {"anna": hashed(ANNA), "bert": hashed(BERT)}


def stats(name="axis", **counts):
    """A task's statistics; those that are not given are 0."""
    zeros = {one.name: 0 for one in TASK_STATISTICS if one.name in TaskStats.__dataclass_fields__}
    latencies = {"wakeup": NO_LATENCY, "execution": NO_LATENCY, "reaction": NO_LATENCY}
    rest = {
        "status": 0,
        "last_fault": 0,
        "first_due_ns": 0,
        "due_ns": 0,
        "overruns_in_a_row": 0,
        "period_ns": 1_000_000,
    }
    more = {"model_version": 1, "switches": 0, "switched_ns": 0, "usage": Usage(), "state": State.RUNNING}
    return TaskStats(name=name, action=Action.LIVE, **(zeros | latencies | rest | more | counts))


def histogram(*ns):
    made = Histogram()
    for one in ns:
        made.add(one)
    return made


def link_status(state="up"):
    from datetime import UTC, datetime

    counts = {field.name: 3 for field in fields(LinkCounts)}
    return LinkStatus(
        state=state, since=datetime.now(UTC), round_trip=histogram(200_000, 400_000), last_error="", **counts
    )


class FakeSource:
    """Answers each question by a plain value, and notes what it was asked."""

    avoid = frozenset()

    def __init__(self):
        self.asked, self.said = [], []
        self.news = [{"number": n, "text": f"event {n}"} for n in (1, 2, 3)]

    def status(self):
        self.asked.append("status")
        return {"station": "press", "number": self.asked.count("status")}

    def histograms(self):
        return {}

    def tags(self, patterns):
        if "none" in patterns:
            raise KeyError('no tag "none"')
        return [{"name": "level"}]

    def facts(self):
        return {"trends": {}}

    def trends(self, tags, step_ms, after):
        self.asked.append(("trends", tuple(tags), step_ms, after))
        return {"step_ms": step_ms, "tags": {tag: {"low": [float("nan")], "high": [None]} for tag in tags}}

    def sample(self):
        pass

    def events(self, after):
        return {"last": len(self.news), "events": [one for one in self.news if one["number"] > after]}

    def models(self):
        return []

    def recordings(self):
        raise OSError("/secret/path: no such folder")

    def audit(self):
        return {}

    def graph(self, slot):
        raise KeyError(f'unknown model "{slot}"')

    def tensor(self, slot, node):
        raise RefusedError("nobody can be asked now")

    def measures(self):
        return Measures(
            station="press",
            version="1.2.3",
            running_s=12.5,
            tasks={"axis": stats(cycles=3, missed=2)},
            times={"axis": TaskTimes(histogram(900, 1500, 1_000_000), histogram(40_000), histogram())},
            links={"sim": link_status()},
            servers={
                "page": ServerStatus("web", 1, 2, 3),
                "bus": ServerStatus("mqtt", 1, 2, 3, {"dropped_records": 7}, {"stored_records": 5}, "away"),
            },
            models={"policy": "ab" * 32},
            changes=[ChangeView("policy", ChangeState.TRIAL, disagreements=2)],
            recorder={"recording": 1.0, "bytes": 5e6, "quota_bytes": 1e9, "dropped_cycles_total": 0.0},
        )

    def command(self, name, arguments, who):
        self.said.append((name, dict(arguments), who))
        return "done"


class Served:
    """A page that is served; `audited`: what its audit log would have."""

    def __init__(self, server, source, audited):
        self.server, self.source, self.audited = server, source, audited
        self.port = server.address[1]

    def ask(self, path, method="GET", body=None, host=None, token=None, **headers):
        """(status, headers, body) of one request on a connection of its own; names of headers with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", f"127.0.0.1:{self.port}" if host is None else host)
            if token:
                connection.putheader("Authorization", f"Bearer {token}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
                if isinstance(body, dict):
                    connection.putheader("Content-Type", "application/json")
            connection.endheaders(data)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path, **more):
        """The JSON of an answer that is good."""
        status, _, body = self.ask(path, **more)
        assert status == 200, (status, body)
        return json.loads(body)


@contextmanager
def served(source=None, limits=None, tls=NO_TLS, **options):
    """A page in a thread, as a station serves it."""
    source, audited = source or FakeSource(), []
    access = Access(
        limits=limits or Limits(requests_per_second=10_000),
        audit=lambda who, what, out: audited.append((who, what, out)),
    )
    server = PageServer(PageOptions(Place(port=0, **tls), **options), source, access)
    with running(server):
        yield Served(server, source, audited)
