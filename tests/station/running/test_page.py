"""The page of a running station says what the station says: each route against the station itself."""

import json
import urllib.error
import urllib.request

import pytest

from plc_bindings.security.tokens import hashed
from station.file.reading import read_station
from station.running.station import Station
from tests.station.stations import AXIS, SIM, running, station_text, write_station
from tests.waiting import wait_for

TOKEN = "rt_secret"
RECORDER = """\
[recorder]
on = []
before = "100 ms"
after = "100 ms"
"""
PAGE = f"""\
[servers.page]
type = "web"
port = 0
requests_per_second = 10000
tokens = {{ anna = "{hashed(TOKEN)}" }}
commands = {{ anna = ["commit", "rollback", "reset-state", "record"] }}
"""


class Asked:
    """A station that runs, and its page."""

    def __init__(self, station):
        self.station = station
        self._base = "http://127.0.0.1:{}".format(station._plc.servers["page"].address[1])

    def __call__(self, path, body=None):
        """(status, JSON)."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self._base + path, data, headers), timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def get(self, path, body=None):
        status, found = self(path, body)
        assert status == 200, found
        return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """`with Station` is within `running`."""
    station = Station(
        read_station(write_station(tmp_path_factory.mktemp("page"), station_text("press", SIM, AXIS, PAGE, RECORDER)))
    )
    with running(station):
        wait_for(lambda: station.snapshot().tasks[0].cycles > 100 and station.snapshot().links[0].reads > 100)
        wait_for(lambda: station.tags(["force"])[0].values == (2.0,))
        yield Asked(station)


def test_the_status_is_that_of_the_command(asked):
    """The keys of `rt-engine status --json`, and what cannot change while it runs; beside them a verdict and the time."""
    found, own = asked.get("/api/status"), asked.station.snapshot().to_json()
    assert found.keys() - own.keys() == {"verdict", "now"} and own.keys() <= found.keys()
    still = ("station", "pid", "models", "rights", "tag_count", "changes")
    assert {key: found[key] for key in still} == {key: own[key] for key in still}
    assert [task["name"] for task in found["tasks"]] == ["axis"]
    assert 100 < found["tasks"][0]["cycles"] <= own["tasks"][0]["cycles"]
    assert found["verdict"] and {"level", "text"} == found["verdict"][0].keys()


def test_histograms_are_those_of_task_and_link(asked):
    found = asked.get("/api/histograms")
    assert [picture["title"][:7] for picture in found["axis"]] == ["wake-up", "executi"]
    for picture in (*found["axis"], *found["sim"]):
        counted = picture["timing"]["count"]  # a moment after the bars
        assert 10 < sum(bar["count"] for bar in picture["bars"]) <= counted + 1 < 10**6


def test_tags_are_as_the_links_have_them(asked):
    found = {tag["name"]: tag["values"] for tag in asked.get("/api/tags")["tags"]}
    assert found == {"a": [1.0], "b": [3.0], "force": [2.0]}
    assert [tag["name"] for tag in asked.get("/api/tags?name=f*")["tags"]] == ["force"]
    assert asked("/api/tags?name=forc")[0] == 404


def test_trends_of_what_the_station_saw(asked):
    def seen():
        found = asked.get("/api/trends?tag=force&tag=none&step_ms=100&from=0")
        low, high = ([v for v in found["tags"]["force"][of] if v is not None] for of in ("low", "high"))
        return found["missing"] == ["none"] and low[-1:] == high[-1:] == [2.0]

    wait_for(seen)


def test_the_session_says_what_is_counted_and_how_long_trends_are_kept(asked):
    found = asked.get("/api/session")
    assert found["who"] == "anna" and "missed" in [one["name"] for one in found["statistics"]["task"]]
    assert len(found["trends"]["steps_ms"]) == len(found["trends"]["keeps_s"])


def test_events_are_numbered_and_only_new_ones_are_sent(asked):
    found = asked.get("/api/events")
    assert [event["number"] for event in found["events"]] == list(range(1, found["last"] + 1))
    assert found["events"][0]["text"].startswith("starts, process")
    later = [event["number"] for event in asked.get(f"/api/events?after={found['last'] - 1}")["events"]]
    assert later == list(range(found["last"], found["last"] + len(later))) and later


def test_models_are_those_of_the_slots(asked):
    (found,) = asked.get("/api/models")["models"]
    model = asked.station._parts.models["mean"]
    assert (found["slot"], found["sha256"], found["tasks"]) == ("mean", model.sha256, ["axis"])
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 2]}]


def test_a_graph_has_boxes_with_times_and_edges_between_boxes(asked):
    found = asked.get("/api/models/mean/graph")
    ids = [node["id"] for node in found["nodes"]]
    assert ids == ["i0", "n0", "o0"] and found["edges"] == [["i0", "n0"], ["n0", "o0"]]
    assert found["nodes"][1]["ns"] > 0 and found["total_ns"] == sum(node.get("ns", 0) for node in found["nodes"])
    assert asked("/api/models/men/graph")[0] == 404


@pytest.mark.parametrize(("node", "name", "values"), [("i0", "x", [1.0, 3.0]), ("n0", "y", [2.0]), ("o0", "y", [2.0])])
def test_tensors_are_those_of_a_cycle(asked, node, name, values):
    found = asked.get(f"/api/models/mean/tensor?node={node}")
    assert (found["name"], found["values"], found["not_finite"]) == (name, values, 0)
    assert found["least"] == min(values) and found["greatest"] == max(values)
    assert found["source"] == "computed again from the inputs of a cycle of task axis, to the same bits"


@pytest.mark.parametrize("node", ["", "n1", "i1", "o1", "x0", "n-1", "n" + "9" * 30, "n0x", "n\u0663"])
def test_a_box_that_there_is_not_is_said(asked, node):
    import urllib.parse

    status, found = asked(f"/api/models/mean/tensor?node={urllib.parse.quote(node)}")
    assert status == 404 and "no such box" in found["error"]


def test_commands_are_carried_out_and_audited_by_name(asked):
    status, found = asked("/api/command/reset-state", {"task": "axis"})
    assert status == 422 and "keeps nothing" in found["error"]
    status, found = asked("/api/command/commit", {"slot": "mean"})
    assert status == 422 and "no change" in found["error"]
    assert asked("/api/command/rollback", {"slot": "men"})[0] == 404
    assert asked("/api/command/commit", {})[0] == 400


def test_a_recording_is_made_and_listed(asked):
    before = asked.get("/api/recordings")
    assert before["recorder"]["mode"] == "trigger" and before["recorder"]["folder"] == "recordings"
    assert "are kept" in asked.get("/api/command/record", {"why": "look"})["message"]

    def listed():
        found = [one for one in asked.get("/api/recordings")["recordings"] if one["why"] == "command"]
        return found if found and not found[0]["is_open"] and found[0]["bytes"] > 0 else None

    wait_for(listed)
    (found,) = listed()
    assert found["replay"] == f"rt-engine replay recordings/{found['name']}" and found["tasks"] == ["axis"]
    events = [event["text"] for event in asked.get("/api/events")["events"] if event["kind"] == "recorder"]
    assert any("anna (page, 127.0.0.1): look" in text for text in events), events


def test_trends_are_of_every_cycle(asked):
    """In each whole step of 5 ms there are cycles of a task of 1 ms, but where ticks were missed."""

    def seen():
        found = asked.get("/api/trends?tag=a&tag=force&step_ms=5&from=0")["tags"]
        newest = found["a"]["low"][-100:]
        return len(newest) == 100 and sum(value == 1.0 for value in newest) > 50

    wait_for(seen)


def test_the_newest_of_the_log_of_changes_is_shown(asked):
    asked.station._audit.record_change("anna (page, 127.0.0.1)", "task axis", "state reset")

    def shown():
        found = asked.get("/api/audit")
        newest = [(line["outcome"], line["number"]) for line in found["lines"][-1:]]
        return newest == [("state reset", found["number"])]  # the line is there before its number is told

    wait_for(shown)
    found = asked.get("/api/audit")
    assert found["lines"][-1]["who"] == "anna (page, 127.0.0.1)"
    assert found["log"] == "audit.changes.jsonl" and len(found["head"]) == 64


def test_metrics_are_the_stations(asked):
    from prometheus_client.parser import text_string_to_metric_families

    headers = {"Authorization": f"Bearer {TOKEN}"}
    before = asked.station.snapshot().tasks[0].wake_up.count
    with urllib.request.urlopen(urllib.request.Request(asked._base + "/metrics", headers=headers)) as answer:
        families = {one.name: one for one in text_string_to_metric_families(answer.read().decode())}
    (cycles,) = families["rt_engine_task_cycles"].samples
    after = asked.station.snapshot().tasks[0].cycles
    assert cycles.labels == {"task": "axis"} and 100 < cycles.value <= after
    wakeup = families["rt_engine_task_wakeup_seconds"].samples
    count = next(sample.value for sample in wakeup if sample.name.endswith("_count"))
    assert before <= count <= after + 1


def test_a_station_that_does_not_run_has_its_page_in_the_lists(tmp_path):
    """`rt-engine symbols` makes servers of a station at rest."""
    from station.wiring.parts import build
    from station.wiring.plc_side import plc_side_at_rest

    file = read_station(write_station(tmp_path, station_text("press", SIM, AXIS, PAGE)))
    side = plc_side_at_rest(file, build(file))
    assert side.servers["page"].status().clients == 0
