"""The page of a station says at once when what it shows is old, and is not moved by what others write."""

import threading
import urllib.error
from dataclasses import replace

import pytest

from plc_bindings.security.tokens import hashed
from tests.station.page.browser import BrowserError
from tests.station.page.looking import VIEWS, Page, serving, shown
from tests.station.page.pretended import Pretended, link, tag, task
from tests.waiting import PATIENCE_S, free_port, wait_for

pytestmark = pytest.mark.peer("chromium")
LIVE = "document.body.dataset.live"


def test_a_stopped_station_is_shown_as_stopped_and_lives_again(browser):
    """Its last state stays, grey; a station that comes back at the same place is shown as it is."""
    source, port = Pretended(), free_port()
    with serving(source, port) as page:
        shown(browser, page, "tasks")
    browser.wait(LIVE, until=lambda state: state == "stopped")
    assert "was stopped" in browser.text("#banner") and "last state" in browser.text("#banner")
    assert browser.run("return document.querySelector('#banner').getAttribute('role')") == "alert"
    colour = "getComputedStyle(document.querySelector(arguments[0])).color"
    places = ("[data-row=gripper] [data-column=overruns] .value", "main")
    colours = [browser.run(f"return {colour}", place) for place in places]
    assert len(set(colours)) == 1  # the warning has no colour of its own any more
    source.snapshot = replace(source.snapshot, pid=9, tasks=(task("axis", "policy", 1_000_000, note="began anew"),))
    with serving(source, port):
        rows = "[...document.querySelectorAll('[data-view=tasks] tbody tr')].map((row) => row.innerText)"
        said = f"[{LIVE}, document.querySelector('#banner').innerText, {rows}]"  # at once: the page loads itself anew
        browser.wait(
            said, until=lambda all_: all_[:2] == ["live", ""] and len(all_[2]) == 1 and "began anew" in all_[2][0]
        )
    browser.open("about:blank")


def test_nothing_is_claimed_of_a_station_that_has_not_answered(browser, panel):
    """Neither that it has no tasks, nor that it is live; it is asked again until it answers."""
    browser.cdp("Network.enable")
    browser.cdp("Network.setBlockedURLs", urls=["*/api/stream"])
    browser.open(f"{panel.url}/#tasks")
    browser.wait(LIVE, until=lambda state: state == "lost")
    assert browser.text("main") == "Asking the station ..." and "No connection" in browser.text("#banner")
    browser.cdp("Network.setBlockedURLs", urls=[])
    browser.cdp("Network.disable")
    browser.wait(LIVE, until=lambda state: state == "live")
    assert "axis" in browser.text("main")
    browser.complaints()


def test_a_connection_that_hangs_is_told(browser, panel, monkeypatch):
    """Nothing is closed, and nothing comes any more: the page does not wait for ever."""
    hangs, goes_on, status = threading.Event(), threading.Event(), panel.source.status
    shown(browser, panel, "tasks")
    monkeypatch.setattr(panel.source, "status", lambda: hangs.set() or (goes_on.wait(PATIENCE_S) and status()))
    wait_for(hangs.is_set)
    browser.run("""const when = window.when = Date.now, begin = when();
      Date.now = () => begin + 10 * (when() - begin);""")  # patience is over soon
    browser.wait(
        "document.querySelector('#banner').innerText", until=lambda text: "No connection" in text and "from " in text
    )
    assert browser.run(f"return {LIVE}") == "lost"
    browser.run("Date.now = window.when")
    goes_on.set()
    browser.wait(LIVE, until=lambda state: state == "live")
    assert browser.run("return document.querySelector('#banner').hidden")


def test_a_tab_that_nobody_sees_lets_its_connection_go(browser, panel):
    """A browser has six for all tabs: many that lie behind would leave none for the one in front."""
    shown(browser, panel, "tasks")
    wait_for(lambda: panel.server.viewers == 1)
    browser.run("""const later = window.setTimeout; window.setTimeout = (f, ms) => later(f, ms / 100);
      window.hidden = true; Object.defineProperty(document, "hidden", {get: () => window.hidden, configurable: true});
      document.dispatchEvent(new Event("visibilitychange")); window.setTimeout = later;""")
    browser.wait(LIVE, until=lambda state: state == "waiting")
    wait_for(lambda: panel.server.viewers == 0)
    browser.run("window.hidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    browser.wait(LIVE, until=lambda state: state == "live")
    assert panel.server.viewers == 1


def test_a_screen_reader_is_told_what_changes_and_not_every_number(browser, panel):
    shown(browser, panel, "tasks")
    said = browser.wait("document.querySelector('#said').textContent", until=bool)
    assert said.startswith("press-7 is live, bad: camera")
    spoken = "[...document.querySelectorAll('[role=status], [role=alert], [aria-live]')].map((e) => e.textContent)"
    cycles = "document.querySelector('[data-row=axis] [data-column=cycles]').innerText"
    before = browser.run(f"return [{spoken}, {cycles}]")
    browser.wait(cycles, until=lambda text: text != before[1])
    assert browser.run(f"return {spoken}") == before[0]
    panel.source.snapshot = replace(panel.source.snapshot, links=(), tasks=(task("axis", "policy", 1_000_000),))
    browser.wait("document.querySelector('#said').textContent", until=lambda text: text != said)


def test_what_is_paused_stays_as_it_is(browser, panel):
    shown(browser, panel, "tasks")
    cycles = "document.querySelector('[data-row=axis] [data-column=cycles]').innerText"
    browser.press("p")
    held = browser.run(f"return {cycles}")
    assert "Paused" in browser.text("#banner")
    heard = browser.run("return performance.getEntriesByType('resource').length")
    source = panel.source
    source.snapshot = replace(source.snapshot, station="renamed")
    browser.wait(
        "document.querySelector('#station').textContent", until=lambda name: name == "renamed"
    )  # it goes on to listen
    assert browser.run(f"return {cycles}") == held
    browser.press("p")
    browser.wait(cycles, until=lambda text: text != held)
    assert heard >= 0


def test_a_wrong_token_is_refused_and_the_right_one_lets_in(browser):
    source = Pretended()
    with serving(source, tokens={"anna": hashed("rt_secret")}) as page:
        browser.open(f"{page.url}/#links")
        browser.wait("document.querySelector('input[type=password]') !== null")
        assert browser.run("return document.activeElement.id") == "token"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            page.ask("/api/status")
        browser.press(*"guess", "Enter")
        browser.wait("document.querySelector('#why').innerText", until=lambda text: "no such token" in text)
        browser.press(*"rt_secret", "Enter")
        browser.wait("document.body.dataset.live", until=lambda state: state == "live")
        assert browser.run("return document.cookie") == ""  # scripts do not see it
        browser.wait("document.querySelector('#who').innerText", until=lambda text: text == "anna: log out")
        assert "rt_secret" not in browser.run(
            "return JSON.stringify([location.href, {...localStorage}, {...sessionStorage}])"
        )
        browser.run("document.querySelector('#who').click()")
        browser.wait("document.querySelector('input[type=password]') !== null")
        with pytest.raises(BrowserError, match="log in first"):
            browser.module("api", "await m.get('/api/status')")
    browser.open("about:blank")
    browser.cdp("Network.clearBrowserCookies")
    browser.complaints()


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u202eevil",
    "a" * 400,
    "'\"`${1}&amp;",
    "__proto__",
    "constructor",
)


def test_names_and_words_of_others_are_text(browser, panel):
    """Tags, tasks, links, models, events with names that would be HTML: shown as they are, nothing runs, nothing gets too wide."""
    source: Pretended = panel.source
    source.tag_views = tuple(tag(name, 1.0, unit=name[:20]) for name in HOSTILE)
    source.snapshot = replace(
        source.snapshot,
        station=HOSTILE[0],
        tasks=tuple(task(name, name, 1_000_000, note=name) for name in HOSTILE),
        links=tuple(link(name, name, "down", last_error=name) for name in HOSTILE),
        models=dict.fromkeys(HOSTILE, HOSTILE[0]),
        rights=HOSTILE,
    )
    source.happened = [
        event | {"number": i + 1, "subject": name, "text": name}
        for i, (name, event) in enumerate(zip(HOSTILE, source.happened * 2, strict=False))
    ]
    browser.size(320, 640, touch=True)
    for view in VIEWS[:4] + VIEWS[5:]:
        shown(browser, panel, view)
        assert browser.run("return document.querySelectorAll('main img, main script, main iframe').length") == 0, view
        assert browser.run("return document.scrollingElement.scrollWidth") <= 320, view
        assert browser.text("#station") == HOSTILE[0]
        if view in ("tasks", "links", "events"):
            assert HOSTILE[0] in browser.text("main") and HOSTILE[1] in browser.text("main"), view
        hrefs = browser.run("return [...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))")
        assert all(href.startswith("#") for href in hrefs), view


def test_a_view_of_something_that_there_is_not_says_so(browser, panel):
    for where, words in (
        ("models/gone", "No graph"),
        ("trends?tag=gone&seconds=120", "no tag gone"),
        ("nonsense", "press-7"),
    ):
        browser.open(f"{panel.url}/#{where}")
        browser.wait("document.body.innerText", until=lambda text, words=words: words in text)
    browser.complaints()  # the 404 of the graph is one


def test_commands_are_there_for_who_may_and_for_nobody_else(browser):
    source = Pretended()
    with serving(source) as page:
        shown(browser, page, "models")
        shown(browser, page, "recordings")
        assert (
            browser.run(
                "return [...document.querySelectorAll('main button')].filter((b) => b.offsetParent && b.textContent !== 'Copy').length"
            )
            == 0
        )
    with serving(source, tokens={"anna": hashed("rt_x")}, commands={"anna": ("record", "rollback")}) as page:
        browser.open(page.url)
        browser.wait("document.querySelector('input[type=password]') !== null")
        browser.press(*"rt_x", "Enter")
        browser.wait(LIVE, until=lambda state: state == "live")
        press_command(browser, page, "models", "[data-command=rollback]")
        assert not browser.run("return document.querySelector('[data-command=commit]').offsetParent !== null")
        press_command(browser, page, "recordings", "main .command button:not([aria-label])")
        assert [(name, who.partition(" ")[0]) for name, _, who in source.commands] == [
            ("rollback", "anna"),
            ("record", "anna"),
        ]
    browser.open("about:blank")
    browser.cdp("Network.clearBrowserCookies")
    browser.complaints()


def press_command(browser, page: Page, view: str, selector: str) -> None:
    shown(browser, page, view)
    browser.wait("document.querySelector(arguments[0])?.offsetParent !== null", selector)
    browser.run("document.querySelector(arguments[0]).click()", selector)
    browser.wait("document.querySelector('main').innerText", until=lambda text: ": done" in text)
