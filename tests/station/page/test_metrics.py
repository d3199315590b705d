"""`GET /metrics`: what Prometheus' own parsers, its checker, and a Prometheus that scrapes a page make of it."""

import itertools
import json
import math
import re
import subprocess
import time
import urllib.parse
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from fieldbus.link.state import LINK_STATISTICS
from rt_native.histogram import Histogram
from scheduler.stats import TASK_STATISTICS
from station.page import dashboard
from station.page.metrics import BOUNDS_NS, buckets_of, exposition
from tests.need import program
from tests.station.page.fakes import ANNA, TOKENS, FakeSource, histogram, served
from tests.waiting import PATIENCE_S, free_port

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def families(accept=OPENMETRICS):
    text, kind = exposition(FakeSource().measures(), accept)
    parse = openmetrics if "openmetrics" in kind else plain
    return {family.name: family for family in parse(text.decode())}


def value(name, accept=OPENMETRICS, **labels):
    found = [
        sample.value
        for family in families(accept).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_it_is_what_the_scraper_wants():
    for accept, kind in ((OPENMETRICS, "application/openmetrics-text"), ("", "text/plain"), ("*/*", "text/plain")):
        assert exposition(FakeSource().measures(), accept)[1].startswith(kind)


@pytest.mark.parametrize("accept", [OPENMETRICS, ""])
def test_counters_gauges_and_states(accept):
    assert value("rt_engine_task_cycles_total", accept, task="axis") == 3
    assert value("rt_engine_task_missed_total", accept, task="axis") == 2
    assert value("rt_engine_task_period_seconds", accept, task="axis") == 0.001
    assert value("rt_engine_task_live", accept, task="axis") == 1
    assert value("rt_engine_link_up", accept, link="sim") == 1
    assert value("rt_engine_link_state", accept, link="sim", rt_engine_link_state="up") == 1
    assert value("rt_engine_link_state", accept, link="sim", rt_engine_link_state="down") == 0
    assert value("rt_engine_server_refused_total", accept, server="page") == 3
    assert value("rt_engine_server_dropped_records_total", accept, server="bus") == 7
    assert value("rt_engine_server_stored_records", accept, server="bus") == 5
    assert value("rt_engine_model_info", accept, model="policy", sha256="ab" * 32) == 1
    assert value("rt_engine_info", accept, station="press", version="1.2.3") == 1
    assert value("rt_engine_model_change", accept, model="policy", rt_engine_model_change="trial") == 1
    assert value("rt_engine_model_change_disagreements", accept, model="policy") == 2
    assert value("rt_engine_recorder_dropped_cycles_total", accept) == 0


def test_every_statistic_of_tasks_and_links_is_there():
    found = families()
    assert {f"rt_engine_task_{one.name}" for one in TASK_STATISTICS} <= found.keys()
    assert {f"rt_engine_link_{one.name}" for one in LINK_STATISTICS} <= found.keys()


def test_buckets_are_exact():
    """As many as there were times not longer than `le`, for times around every bound."""
    times = sorted({ns for bound in BOUNDS_NS for ns in (bound - 1, bound, bound + bound // 64)} | {0, 5, 10**10})
    buckets, total = buckets_of(histogram(*times))
    for le, count in buckets:
        limit = math.inf if le == "+Inf" else round(float(le) * 1e9, 3)
        assert count == sum(ns <= limit for ns in times), le
    assert total == pytest.approx(sum(times) / 1e9)


def test_buckets_are_few_and_reach_from_below_a_microsecond_to_above_a_second():
    assert len(BOUNDS_NS) == 42 and BOUNDS_NS[0] < 1100 and BOUNDS_NS[-1] > 1_500_000_000
    ratios = {round(b / a, 2) for a, b in itertools.pairwise(BOUNDS_NS)}
    assert ratios == {1.33, 1.5}


def test_an_empty_histogram_is_one_of_zeros():
    buckets, total = buckets_of(Histogram())
    assert {count for _, count in buckets} == {0} and total == 0


def test_names_follow_the_conventions():
    """Base units, no abbreviations of them, `_total` for counters alone, no colons, a sentence for each."""
    for name, family in families().items():
        assert re.fullmatch(r"rt_engine_[a-z][a-z0-9_]*|rt_engine", name)
        assert not re.search(r"_(ns|us|ms|milliseconds|microseconds|bytes_total_total)$", name)
        assert family.documentation.endswith(".") and family.documentation[0].isupper(), name
        assert all(sample.name.endswith("_total") for sample in family.samples) == (family.type == "counter"), name


@pytest.mark.peer("promtool")
def test_prometheus_own_checker_finds_nothing():
    text, _ = exposition(FakeSource().measures(), "")
    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_without_the_extra_it_says_what_to_install(page, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    status, _, body = page.ask("/metrics")
    assert status == 422 and "pip install 'rt-engine[metrics]'" in json.loads(body)["error"]


def names_in(expression):
    return set(re.findall(r"rt_engine\w*", re.sub(r"\{[^}]*\}", "", expression)))


def test_the_dashboard_asks_for_what_there_is():
    there = {sample.name for family in families("").values() for sample in family.samples}
    asked = {name for expression in dashboard.expressions() for name in names_in(expression)}
    assert asked <= there and len(asked) > 15


def test_panels_of_the_dashboard_do_not_overlap_and_have_numbers_of_their_own():
    panels = dashboard.dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells) and all(x < dashboard.COLUMNS for x, _ in cells)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A Prometheus that has scraped a page with a token a few times: expression -> result."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "token").write_text(ANNA)
    with served(tokens=TOKENS) as page:
        (folder / "p.yml").write_text(
            f"scrape_configs:\n- job_name: rt\n  scrape_interval: 300ms\n  authorization: {{credentials_file: {folder}/token}}\n"
            f'  static_configs: [{{targets: ["127.0.0.1:{page.port}"]}}]\n'
        )
        words = ["--config.file", "p.yml", "--storage.tsdb.path", "data", "--web.listen-address", f"127.0.0.1:{port}"]
        with (folder / "log").open("w") as log:
            running = subprocess.Popen([program("prometheus"), *words], cwd=folder, stdout=log, stderr=log)
        try:
            yield lambda expression: query(port, expression)
        finally:
            running.kill()
            running.wait()


def query(port, expression):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def wait_for(condition, what=""):
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            if found := condition():
                return found
        except OSError:  # it does not listen yet
            pass
        assert time.monotonic() < until, f"it did not happen in time: {what}"
        time.sleep(0.1)


@pytest.mark.peer("prometheus")
def test_a_prometheus_scrapes_the_page_and_answers_every_expression_of_the_dashboard(prometheus):
    """Each gives something, if not at once then after a scrape that came in time: no name, no label and no join of it is wrong."""
    wait_for(lambda: any(float(r["value"][1]) >= 3 for r in prometheus("sum_over_time(up[1m])")))
    for each in dashboard.expressions():
        wait_for(lambda each=each: prometheus(asked(each)), what=each)


def asked(expression):
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
