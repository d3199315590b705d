"""The page of a station looks right on a phone and on a panel PC, light and dark, to eyes, to screen readers, by keyboard."""

import json

import pytest

from tests.station.page.looking import VIEWS, shown

pytestmark = pytest.mark.peer("chromium")

FAINT = """
const numbers = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
const light = (colour) => colour.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const over = (top, below) => { const a = top[3] ?? 1; return [0, 1, 2].map((i) => top[i] * a + below[i] * (1 - a)); };
const ground = (element) => {
  if (!element) return [255, 255, 255];
  const box = element.closest("g.node")?.querySelector("rect");
  const own = numbers(box ? getComputedStyle(box).fill : getComputedStyle(element).backgroundColor);
  if (own.length < 3 || own[3] === 0) return ground(element.parentElement);
  return own[3] === undefined ? own : over(own, ground(element.parentElement));
};
const faint = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walk.nextNode(); node; node = walk.nextNode()) {
  const element = node.parentElement, box = element.getBoundingClientRect();
  if (!node.textContent.trim() || box.width < 2) continue;
  if (element.closest("script, noscript, option, title, dialog:not([open])")) continue;
  const style = getComputedStyle(element), below = ground(element);
  const ink = over(numbers(element.closest("svg") ? style.fill : style.color), below);
  const [a, b] = [light(ink), light(below)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) faint.push(`${node.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return faint;
"""
"""Texts that do not stand out from their ground by 4.5 (WCAG 2.2, 1.4.3)."""


BEYOND = """
return [...document.querySelectorAll("main *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !e.closest(".wide, .canvas, .hidden, .options");
}).map((e) => e.outerHTML.slice(0, 90));
"""


@pytest.mark.parametrize(("width", "height"), [(320, 640), (600, 960), (1024, 600)])
def test_nothing_is_wider_than_the_window(browser, panel, width, height):
    """A phone, a tablet, a panel PC; tables and graphs that are wider scroll by themselves."""
    browser.size(width, height, touch=width < 400)
    for view in VIEWS:
        shown(browser, panel, view)
        wide = browser.run("return [document.scrollingElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1] == width, view
        assert browser.run(BEYOND) == [], view


NAMED = """
const name = document.querySelector("#station"), verdict = document.querySelector("#verdict"), range = document.createRange();
verdict.textContent = "outputs were safe, and held ".repeat(9);
return ["cell", "a".repeat(90)].map((text) => {
  name.textContent = text;
  range.selectNodeContents(name);
  return [new Set([...range.getClientRects()].map((box) => box.top)).size, verdict.getBoundingClientRect().width / innerWidth];
});
"""
"""Lines that a short and a long name of the station take beside a long verdict, and the verdict's share of the width."""


def test_a_long_verdict_leaves_the_stations_name_whole(browser, panel):
    """A long name takes several lines, and leaves room for the verdict."""
    shown(browser, panel, "audit")
    (short, _), (long, share) = browser.run(NAMED)
    assert short == 1 < long
    assert share > 0.25


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser, panel, scheme):
    """A graph with a chosen operator and its tensor, too."""
    browser.scheme(scheme)
    for view in VIEWS:
        shown(browser, panel, view)
        if "/" in view:
            browser.run("document.querySelector('[data-node=n6]').dispatchEvent(new MouseEvent('click'))")
            browser.wait("document.querySelector('.heat canvas') !== null")
        assert browser.run(FAINT) == [], view


def test_a_faint_text_is_seen(browser, panel):
    """The check can fail."""
    shown(browser, panel, "audit")
    browser.run("document.querySelector('main h2').style.color = '#999'")
    assert len(browser.run(FAINT)) == 1


def test_old_values_can_still_be_read(browser, panel):
    """Grey, and not too faint."""
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        shown(browser, panel, "tasks")
        browser.run("document.body.dataset.live = 'lost'")
        assert [text for text in browser.run(FAINT) if text] == []


def test_the_colours_follow_the_system_or_the_switch(browser, panel):
    ground = "getComputedStyle(document.body).backgroundColor"
    shown(browser, panel, "audit")
    light = browser.run(f"return {ground}")
    browser.scheme("dark")
    dark = browser.wait(ground, until=lambda colour: colour != light)
    browser.press("d")  # light, whatever the system likes
    assert browser.wait(ground, until=lambda colour: colour != dark) == light
    browser.press("d")
    assert browser.wait(ground, until=lambda colour: colour != light) == dark
    browser.ask("POST", "/refresh")
    browser.scheme("light")
    assert browser.run(f"return {ground}") == dark  # it is kept
    browser.press("d")
    assert browser.wait(ground, until=lambda colour: colour != dark) == light


ROLES = {
    "button",
    "link",
    "textbox",
    "searchbox",
    "combobox",
    "checkbox",
    "img",
    "image",
    "region",
    "dialog",
    "table",
    "navigation",
}


def test_everything_that_can_be_used_or_seen_has_a_name(browser, panel):
    """For screen readers: chromium's own tree of what it tells them."""
    for view in VIEWS:
        shown(browser, panel, view)
        nodes = browser.cdp("Accessibility.getFullAXTree")["nodes"]
        found = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
        assert len(found) > 30
        assert [role for role, name in found if role in ROLES and not name.strip()] == [], view


HEIGHTS = """
return [...document.querySelectorAll("button, select, input:not([type=checkbox]), nav a")]
  .filter((e) => e.offsetParent).map((e) => [e.outerHTML.slice(0, 60), e.offsetHeight]);
"""


def test_a_thumb_finds_every_button(browser, panel):
    """At least 34 pixels high, most 40, links of the views 44."""
    browser.size(320, 640, touch=True)
    for view in VIEWS:
        shown(browser, panel, view)
        heights = browser.run(HEIGHTS)
        assert [one for one in heights if one[1] < 34] == []


def test_all_can_be_reached_by_keyboard(browser, panel):
    """Views by number, tags by words, values in a trend by arrows, a tensor by Enter; where one is, is seen."""
    shown(browser, panel, "tasks")
    browser.press("2")
    browser.wait("document.querySelector('[data-view=trends] .lane') !== null")
    assert browser.run("return document.querySelector('nav a[aria-current]').textContent") == "Trends"
    browser.press("/")
    browser.wait("document.querySelectorAll('[role=option]').length > 3")
    browser.press(*"temp", "Down", "Enter", "Escape")
    assert browser.run("return [...document.querySelectorAll('.lane')].map((e) => e.dataset.tag)")[-1] == "temperature"
    assert "tag=temperature" in browser.run("return location.hash")
    browser.wait(
        "document.querySelector('.lane[data-tag=temperature] canvas').getAttribute('aria-label').includes(' to ')"
    )
    browser.press("Escape")
    while browser.run("return document.activeElement.tagName") != "CANVAS":
        browser.press("Tab")
    browser.press("Left", "Shift+Left")
    assert "position" in browser.text(".reading") and "temperature" in browser.text(".reading")
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("4")
    browser.wait("document.querySelector('.slot a') !== null")
    while "Graph" not in browser.run("return document.activeElement.textContent.slice(0, 20)"):
        browser.press("Tab")
    browser.press("Enter")
    browser.wait("document.querySelector('.node.output') !== null")
    while not browser.run("return document.activeElement.classList.contains('node')"):
        browser.press("Tab")
    browser.press("Down", "Down", "Down", "Right", "Enter")
    browser.wait("document.querySelector('.heat')?.dataset.node", until=lambda node: node == "n4")
    assert browser.run("return document.activeElement.dataset.node") == "n4"


def test_the_keys_are_told(browser, panel):
    shown(browser, panel, "audit")
    browser.press("?")
    told = browser.text("dialog[open] dl")
    assert all(word in told for word in ("Tasks", "Audit", "Search", "Pause"))
    browser.press("Escape")
    assert browser.run("return document.querySelector('dialog[open]')") is None


def test_a_station_with_a_hundred_tasks_and_a_thousand_tags_is_shown(browser, panel):
    """In a moment: the page makes no more than it has to."""
    from dataclasses import replace

    from tests.station.page.pretended import tag, task

    source = panel.source
    source.snapshot = replace(source.snapshot, tasks=tuple(task(f"task{i}", "policy", 1_000_000) for i in range(100)))
    source.tag_views = tuple(tag(f"area{i // 10}.value{i}", float(i)) for i in range(1000))
    shown(browser, panel, "tasks")
    assert browser.run("return document.querySelectorAll('[data-view=tasks] tbody tr').length") == 100
    shown(browser, panel, "trends")
    browser.press("/", *"area99 9")
    browser.wait("document.querySelectorAll('[role=option]').length", until=lambda n: n == 10)
    assert json.loads(
        browser.run("return JSON.stringify(document.querySelector('[role=option]').innerText)")
    ).startswith("area99.value990")
