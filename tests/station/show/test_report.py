"""Reports: what they hold, and that writing them never raises."""

import json
import os
import re
import resource
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from rt_native.histogram import Histogram
from station.machine.computer import Fact
from station.show.events import Event
from station.show.picture import Picture
from station.show.report import Report, spread, to_html, to_json, write_in_time, write_report
from station.show.verdict import Remark
from tests.station.examples_of import snapshot, tag


def histogram(median_ns=30_000, samples=20_000):
    """A histogram of log-normal times with one outlier."""
    counted = Histogram()
    for ns in np.random.default_rng(1).lognormal(np.log(median_ns), 0.3, samples):
        counted.add(int(ns))
    counted.add(40 * median_ns)
    return counted


@pytest.fixture(scope="module")
def report():
    pictures = (
        ("axis_x", (Picture.of("wake-up", histogram()), Picture.of("execution", histogram(1_800)))),
        ("anomaly", (Picture.of("wake-up", Histogram()),)),
    )
    events = (
        Event(2.0, "update", "policy", "policy_b.onnx is live", "ok"),
        Event(3.5, "link", "plc", "up -> down: <refused> & gone", "bad"),
    )
    rights = (Fact("SCHED_FIFO 80", "warn", "not granted", "Operation not permitted", "as root"),)
    facts = (Fact("kernel", "warn", "6.1", "delays", "echo 'x' > /dev/null"), Fact("swap", "ok", "none", "good"))
    return Report(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), snapshot(), pictures, events, rights, facts)


class Page(HTMLParser):
    """Collects the tags, checks that they nest, and gathers addresses."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.addresses = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_needs_no_network(report):
    """The page is well nested and refers to nothing outside itself: no address, script, font or image."""
    text = to_html(report)
    page = Page(text)
    assert page.addresses == []
    assert not {"script", "link", "img", "iframe"} & set(page.seen)
    assert not re.search(r"https?:|url\(|@import", text)


def test_page_shows_everything(report):
    """Tasks, histograms with their marks, links, events, machine facts and their mends are all there."""
    text = to_html(report)
    assert Page(text).seen.count("svg") == 2
    for part in (
        "axis_x",
        "policy v2",
        "p99.9",
        "policy_b.onnx is live",
        "SCHED_FIFO 80",
        "nothing was measured",
    ):
        assert part in text
    assert "2 of 20,002 ticks did not run; 1 overruns" in text


def test_page_escapes(report):
    """Text from devices and files cannot become markup."""
    text = to_html(report)
    assert "<refused>" not in text
    assert "&lt;refused&gt; &amp; gone" in text


def test_json_holds_every_sample(report):
    """The JSON report has the whole station and the histograms bin by bin."""
    data = json.loads(to_json(report))
    wake_up = data["histograms"]["axis_x"][0]
    assert sum(bar["count"] for bar in wake_up["bars"]) == wake_up["timing"]["count"] == 20_001
    assert data["station"]["tasks"][0]["overruns"] == 1
    assert [event["good"] for event in data["events"]] == [True, False]


def test_tags_are_shown_with_value_raw_quality_and_age(report):
    """Each tag has a row on the page, and its values are in the JSON; more than forty are folded."""
    text = to_html(report)
    for part in (
        "Tags: as their links had them last",
        "holding 0 CDAB",
        "-20",
        "C1 A0 00 00",
        "STALE",
        "MAIN.&lt;lost&gt;",
    ):
        assert part in text
    assert "details" not in Page(text).seen
    assert json.loads(to_json(report))["station"]["tags"][0]["values"] == [21.5]
    many = replace(report.snapshot, tags=tuple(tag(f"t{n}", float("nan")) for n in range(300)))
    folded = replace(report, snapshot=many)
    assert "details" in Page(to_html(folded)).seen
    assert "<summary>300 tags</summary>" in to_html(folded)
    assert to_html(folded).count("<b>t") == 300
    assert "NaN" not in to_json(folded).replace('"NaN"', "")


def test_written_into_the_folder(report, tmp_path):
    """Both files land in the folder, named by station and start, and nothing else does."""
    written = write_report(report, tmp_path / "new" / "reports")
    assert written.warnings == ()
    assert {p.name for p in (tmp_path / "new" / "reports").iterdir()} == {
        "cell-20260102-030405.html",
        "cell-20260102-030405.json",
    }


def test_folder_not_writable(report, tmp_path, monkeypatch):
    """A folder that cannot be made is a warning, and the report goes to the folder for temporary files."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    (tmp_path / "spare").mkdir()
    written = write_report(report, tmp_path / "file" / "reports")
    assert written.page.parent == tmp_path / "spare" / f"rt-engine-{os.getuid()}" / "reports"
    assert written.page.parent.stat().st_mode & 0o077 == 0
    assert written.page.parent.parent.stat().st_mode & 0o077 == 0
    assert written.page.exists()
    assert "could not be written" in written.warnings[0]
    assert str(tmp_path / "file") in written.warnings[0]


def test_a_prepared_spare_folder_is_not_used(report, tmp_path, monkeypatch):
    """Somebody else's folder under our name, or one that others may write: the report goes to a new one."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    prepared = tmp_path / "spare" / f"rt-engine-{os.getuid()}"
    prepared.mkdir(parents=True)
    prepared.chmod(0o777)
    written = write_report(report, tmp_path / "file")
    assert prepared not in written.page.parents
    assert written.page.parent.stat().st_mode & 0o077 == 0
    assert f"{prepared} must be a folder of user" in written.warnings[1]


def test_nowhere_to_write(report, tmp_path, monkeypatch):
    """When no folder can be written, it says so for each, and does not raise."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    written = write_report(report, tmp_path / "file")
    assert (written.page, written.data) == (None, None)
    assert len(written.warnings) == 3


def test_a_folder_that_hangs_is_left_behind(report, tmp_path, monkeypatch):
    """A network drive that does not answer keeps no station from its end."""
    release = threading.Event()
    monkeypatch.setattr("station.show.report._write_into", lambda *_: release.wait() and (tmp_path, tmp_path))
    written = write_in_time(report, tmp_path, 0.05)
    assert written.page is None
    assert "within 0.05 s: the place hangs" in written.warnings[0]
    release.set()


def test_disk_full(report, tmp_path, monkeypatch):
    """A file system that takes no more bytes is a warning, and leaves no half a file behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    monkeypatch.setattr("signal.SIGXFSZ", 25, raising=False)
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        written = write_report(report, tmp_path / "reports")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert written.page is None
    assert "File too large" in written.warnings[0]
    assert list((tmp_path / "reports").iterdir()) == []


def test_a_hung_task_is_the_verdict(report):
    """Cycles that met their deadline are no good news when the task then hung."""
    task, *others = report.snapshot.tasks
    tasks = (replace(task, is_hung=True), *others)
    hung = replace(report, snapshot=replace(report.snapshot, tasks=tasks))
    assert hung.remarks[0] == Remark("bad", f"Hung inside a cycle, outputs taken away and made safe: {task.name}")


def test_safe_values_that_a_device_did_not_confirm_are_in_the_verdict(report):
    """Nobody reads "all good" when an actuator may still be on."""
    link, *others = report.snapshot.links
    links = (link.model_copy(update={"safe_confirmed": False}), *others)
    remarks = replace(report, snapshot=replace(report.snapshot, links=links)).remarks
    assert remarks[0] == Remark("bad", f"Safe values NOT confirmed by: {link.name}")


def test_spread():
    """Times share a unit, or each has its own: 20 us beside 16 ms stay readable."""
    assert spread(3, 30_000, 61_000, 257_123) == "30 / 61 / 257 us"
    assert spread(3, 30_000, 61_000, 2_570_000) == "30 us / 61 us / 2.57 ms"
    assert spread(0, 0.0) == "-"
