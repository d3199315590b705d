"""Every view of the page shows what the station's own status says, while it runs: a real station, a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from station.file.reading import read_station
from station.running.station import Station
from tests.station.page.browser import Browser
from tests.station.page.looking import Page, shown
from tests.station.stations import AXIS, SIM, running, station_text, write_station
from tests.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.peer("chromium")
NUMBERS = r"[\d,.]+"
PAGE = '[servers.page]\ntype = "web"\nport = 0\n'
TWO = (
    AXIS.replace('"1 ms"', '"5 ms"')
    + '\n[tasks.watch]\nmodel = "mean"\ncycle = "20 ms"\ninputs = ["a", "b"]\noutputs = ["spare"]\n'
)


@contextmanager
def started(browser: Browser, folder: Path, *tables: str) -> Iterator[Page]:
    """A station with two tasks and its page."""
    text = station_text("bench", SIM.replace('"1 ms"', '"5 ms"'), TWO, PAGE, *tables).replace(
        "force = {", 'spare = { direction = "out" }\nforce = {'
    )
    path = write_station(folder, text)
    browser.size(1280, 900)
    browser.complaints()
    station = Station(read_station(path))
    with running(station):
        address = next(server.address for server in station.snapshot().servers)
        served = Page(re.search(r"http://[0-9.:]+", address)[0], station)
        wait_for(lambda: served.ask("/api/status")["tasks"][0]["cycles"] > 50)
        yield served


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Of a station that runs through all tests of this file that do not end theirs."""
    with started(browser, tmp_path_factory.mktemp("station")) as served:
        yield served
        browser.open("about:blank")
    assert browser.complaints() == []


CELLS = """
const said = (cell) => (cell.querySelector(".words") ?? cell.querySelector(".value") ?? cell).textContent;
const row = (one) => Object.fromEntries([...one.children].map((cell) => [cell.dataset.column, said(cell)]));
const rows = [...document.querySelectorAll(`[data-view=${arguments[0]}] tbody tr`)];
return Object.fromEntries(rows.map((one) => [one.dataset.row, row(one)]));
"""
SAMPLES = """[...document.querySelectorAll(".histogram")].filter((svg) => svg.getBoundingClientRect().width).map((svg) => [
  svg.getAttribute("aria-label"),
  [...svg.querySelectorAll(".bar title")].reduce((sum, one) => sum + Number(one.textContent.split(": ")[1].replaceAll(",", "")), 0),
])"""
MEANINGS = """Object.fromEntries(
  [...document.querySelectorAll("[data-counter]")].map((one) => [one.dataset.counter, one.firstChild.textContent]))"""


def cells(browser: Browser, view: str) -> dict[str, dict[str, str]]:
    """What the tables of a view say: row -> column -> the words of its value."""
    return browser.run(CELLS, view)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def between(browser: Browser, page: Page, view: str, moved: Any) -> tuple[Any, dict[str, dict[str, str]], Any]:
    """The status before, what the browser shows after it had a newer one, and the status after that."""
    before = page.ask("/api/status")
    deadline = time.monotonic() + PATIENCE_S
    while not moved(before, found := cells(browser, view)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    read = datetime.now(UTC)
    while (
        datetime.fromisoformat((after := page.ask("/api/status"))["now"]) < read
    ):  # an answer is given to all within 0.25 s
        time.sleep(0.05)
    return before, found, after


def test_tasks(browser, page):
    """Counters lie between those of the status just before and just after; what does not move is the same."""
    shown(browser, page, "tasks")
    before, found, after = between(
        browser,
        page,
        "tasks",
        lambda status, found: all(number(found[t["name"]]["cycles"]) >= t["cycles"] for t in status["tasks"]),
    )
    assert list(found) == ["axis", "watch"]
    for old, new in zip(before["tasks"], after["tasks"], strict=True):
        row = found[old["name"]]
        assert row["model"] == "mean v1"
        for key, low, high in (
            ("cycles", old["cycles"], new["cycles"]),
            ("overruns", old["overruns"], new["overruns"]),
            ("missed", old["counters"]["missed"], new["counters"]["missed"]),
            ("safe, held", *(task["counters"]["safe"] + task["counters"]["held"] for task in (old, new))),
        ):
            assert low <= number(row[key]) <= high, key
    assert browser.text("#station") == "bench"
    wait_for(lambda: tells_the_verdict(browser, page))


def tells_the_verdict(browser: Browser, page: Page) -> bool:
    """Does the browser say all that the status says now, but for the numbers?"""
    remarks = [re.sub(NUMBERS, "", one["text"]) for one in page.ask("/api/status")["verdict"]]
    said = re.sub(NUMBERS, "", browser.text("#verdict") + browser.text(".verdicts"))
    return all(remark in said for remark in remarks)


def test_the_histograms_grow(browser, page):
    """The bars together are the samples that the station has counted; a name for screen readers has its percentiles."""
    shown(browser, page, "tasks")
    first = browser.wait(SAMPLES, until=lambda found: len(found) >= 2)
    before = page.ask("/api/histograms")["axis"]
    later = browser.wait(SAMPLES, until=lambda found: all(b[1] > a[1] for a, b in zip(first, found, strict=False)))
    after = page.ask("/api/histograms")["axis"]
    for (label, total), (_, earlier), old, new in zip(later, first, before, after, strict=False):
        assert earlier < total <= new["timing"]["count"]
        assert label.startswith(old["title"]) and "p99.9" in label


def test_all_that_is_counted_has_its_words(browser, page):
    """Every statistic of the status, with the meaning that the station gives it."""
    shown(browser, page, "tasks/watch")
    status, session = page.ask("/api/status"), page.ask("/api/session")
    counters = browser.wait(
        MEANINGS,
        until=lambda found: found.get("safe") == "cycles whose outputs were the safe ones",
    )
    assert set(counters) == {"cycles", "overruns", *status["tasks"][1]["counters"]}
    meanings = {one["name"]: one["meaning"] for one in session["statistics"]["task"] if one["meaning"]}
    assert all(counters[name] == meaning for name, meaning in meanings.items())


def test_links_and_servers(browser, page):
    shown(browser, page, "links")
    before, found, after = between(
        browser, page, "links", lambda status, found: number(found["sim"]["reads"]) >= status["links"][0]["reads"]
    )
    link = before["links"][0]
    assert found["sim"]["device"] == link["device"] and found["sim"]["state"] == link["state"] == "up"
    for key in ("reads", "writes", "errors"):
        assert link[key] <= number(found["sim"][key]) <= after["links"][0][key]
    assert found["page"]["address"] == before["servers"][0]["address"]
    assert before["servers"][0]["requests"] <= after["servers"][0]["requests"]


def test_models(browser, page):
    shown(browser, page, "models")
    (model,) = page.ask("/api/models")["models"]
    browser.wait("document.querySelector('[data-slot=mean]').innerText", until=lambda text: model["sha256"] in text)
    text = browser.text("[data-slot=mean]")
    assert f"version {model['version']}" in text and model["file"] in text and "axis, watch" in text
    assert browser.run("return document.querySelector('.change').hidden")


def test_trends(browser, page):
    """The newest value that is shown lies where the station's trend lay at that time."""
    shown(browser, page, "trends?tag=a&tag=force&seconds=20")
    browser.wait("document.querySelectorAll('.lane .now').length", until=lambda n: n == 2)
    browser.wait(
        "[...document.querySelectorAll('.lane .now')].map((e) => e.textContent)",
        until=lambda found: [words.partition(" ")[0].rstrip(",") for words in found] == ["1", "2"],
    )
    tags = {"a": [1.0], "force": [2.0]}
    wait_for(lambda: tags.items() <= {tag["name"]: tag["values"] for tag in page.ask("/api/tags")["tags"]}.items())


def test_events(browser, page):
    """All of them, the newest first."""
    shown(browser, page, "events")
    events = page.ask("/api/events?after=0")["events"]
    rows = browser.wait(
        "[...document.querySelectorAll('[data-view=events] tbody tr')].map((e) => e.innerText)",
        until=lambda found: len(found) >= len(events),
    )
    for event, row in zip(reversed(events), rows[len(rows) - len(events) :], strict=True):
        assert event["text"] in row and event["subject"] in row


def test_recordings_and_audit(browser, page):
    shown(browser, page, "recordings")
    told = page.ask("/api/recordings")
    words = told["recorder"]["state"] if told["recorder"] else "records nothing"
    browser.wait("document.querySelector('main').innerText", until=lambda text: words in text)
    shown(browser, page, "audit")
    status = page.ask("/api/status")
    head = (
        f"{status['audit_number']:,}: {status['audit_head']}" if status["audit_number"] else "nothing was changed yet"
    )
    assert head in browser.text(".hash")


def test_a_station_that_is_stopped_is_shown_as_stopped(browser, tmp_path):
    """By its own word, at once, with the numbers that it had last."""
    with started(browser, tmp_path / "other") as page:
        shown(browser, page, "tasks")
    assert browser.wait("document.body.dataset.live", until=lambda state: state == "stopped")
    assert "was stopped" in browser.text("#banner") and browser.run("return document.title").startswith(
        "(stopped) Tasks"
    )
    assert list(cells(browser, "tasks")) == ["axis", "watch"]
    browser.open("about:blank")
    browser.complaints()


def test_a_version_in_shadow(browser, tmp_path):
    """Its state in words, the time that is left, and how far the two lie apart, as the status has it while they are compared."""
    with started(browser, tmp_path / "other", '[models.mean.change]\nshadow = "1 h"\ntolerance = 10\n') as page:
        page.source.update("mean", tmp_path / "other" / "twice.onnx")
        shown(browser, page, "models")
        words = browser.wait("document.querySelector('.change .state .words')?.textContent", until=bool)
        assert re.fullmatch(r"twice\.onnx is in shadow, (1 h|59 min( \d+ s)?) left", words)
        before, found, after = between(browser, page, "models", compared)
        assert list(found) == ["axis force", "watch spare"]
        old, new = before["changes"][0], after["changes"][0]
        for row, first, last in zip(found.values(), old["differences"], new["differences"], strict=True):
            assert (row["output"], row["task"]) == (first["output"], first["task"])
            assert (row["furthest apart"], row["tolerance"], row["beyond"]) == ("2", "10", "0")
            assert first["compared"] <= number(row["compared"]) <= last["compared"]
        assert old["reason"] in browser.text(".change") and browser.run(
            "return document.querySelector('.change svg .bar') !== null"
        )
    browser.open("about:blank")
    browser.complaints()


def compared(status: Any, found: dict[str, dict[str, str]]) -> bool:
    """Does the browser show a status that is not older, of values that were compared?"""
    old = {f"{one['task']} {one['output']}": one["compared"] for one in status["changes"][0]["differences"]}
    return bool(old) and all(key in found and number(found[key]["compared"]) >= count > 0 for key, count in old.items())
