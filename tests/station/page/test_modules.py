"""What the page computes by itself, module by module, in the browser: places of a graph, words for numbers, steps of trends."""

import random
from dataclasses import asdict

import pytest

from rt_engine.measure.layout import layout
from station.show.snapshot import ServerView
from station.terms.durations import format_duration
from tests.station.page.looking import serving, shown
from tests.station.page.pretended import Pretended

pytestmark = pytest.mark.peer("chromium")


@pytest.fixture(scope="module", autouse=True)
def page(browser):
    with serving(Pretended()) as page:
        shown(browser, page, "audit")
        yield page
        browser.open("about:blank")


def test_a_graph_is_laid_out_as_the_inspection_does_it(browser):
    """Random graphs: the same levels, the same places of boxes and of lines that pass."""
    chance = random.Random(7)
    for _ in range(20):
        sources = [
            sorted(chance.sample(range(i), min(i, chance.choice([0, 1, 1, 2, 3]))))
            for i in range(chance.randint(1, 40))
        ]
        wanted = layout(sources, 4, 210, 22, 240)
        script = "((l) => ({...l, middle: [...l.middle], passing: [...l.passing]}))(m.layout(...a))"
        found = browser.module("layout", script, sources, {"widest": 4, "box": 210, "line": 22, "room": 240})
        assert found["levels"] == [list(level) for level in wanted.levels]
        assert found["width"] == pytest.approx(wanted.width)
        assert dict(found["middle"]) == pytest.approx(wanted.middle)
        passing = {tuple(map(int, key.split())): x for key, x in found["passing"]}
        assert passing == pytest.approx(wanted.passing)


@pytest.mark.parametrize(
    "ns", [1, 999, 1000, 12_345, 999_400, 1_000_000, 61_300, 2_150_000, 20_000_000, 999_000_000, 1_500_000_000]
)
def test_durations_are_those_of_the_report(browser, ns):
    assert browser.module("words", "m.duration(a[0])", ns) == format_duration(ns, 3)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("m.count(1234567)", "1,234,567"),
        ("m.count(undefined)", "-"),
        ("m.number('NaN')", "NaN"),
        ("m.number(0.1 + 0.2)", "0.3"),
        ("m.number(1e-9)", "1e-9"),
        ("m.number(65535)", "65535"),
        ("m.number(null)", "-"),
        ("m.long(59)", "59 s"),
        ("m.long(7512)", "2 h 5 min"),
        ("m.long(90000)", "1 day 1 h"),
        ("m.long(200000)", "2 days 7 h"),
        ("m.bytes(41000000)", "41 MB"),
        ("m.spread({count: 0})", "-"),
        ("m.spread({count: 1, p50_ns: 30000, p99_ns: 61000, max_ns: 257000})", "30 / 61 / 257 us"),
        ("m.clock('nonsense')", "-"),
    ],
)
def test_numbers_are_words(browser, expression, wanted):
    assert browser.module("words", expression) == wanted


SERIES = """((s) => {
  for (const [first, values, most] of a[0]) s.add(first, values, values, most);
  return [s.first, s.low, s.next ?? null];
})(new m.Series())"""


@pytest.mark.parametrize(
    ("added", "wanted"),
    [
        ([], [0, [], None]),
        ([[10, [1, 2], 5]], [10, [1, 2], 12]),
        ([[10, [1, 2], 5], [12, [3], 5]], [10, [1, 2, 3], 13]),
        ([[10, [1, 2], 5], [11, [9, 3], 5]], [10, [1, 9, 3], 13]),  # what came again is what came last
        ([[10, [1], 5], [13, [4], 5]], [10, [1, None, None, 4], 14]),  # what never came is a gap
        ([[10, [1, 2, 3], 3], [13, [4, 5], 3]], [12, [3, 4, 5], 15]),
        ([[10, [1], 5], [900, [2], 5]], [900, [2], 901]),  # long asleep: begun anew
        ([[10, [1], 5], [4, [2], 5]], [4, [2], 5]),  # the clock was set back
        ([[10, ["NaN", "Infinity", 2], 5]], [10, [None, None, 2], 13]),
    ],
)
def test_steps_of_a_trend_are_put_together(browser, added, wanted):
    assert browser.module("series", SERIES, added) == wanted


def test_a_slow_task_has_no_gaps_and_a_silence_is_one(browser):
    held = "((s) => { s.every = 4; s.add(0, a[0], a[0], 99); return a[0].map((_, i) => s.held(i)?.[0] ?? null); })(new m.Series())"
    values = [5, None, None, None, 6, None, None, None, None, None, None, None, None, None, None, None, 7]
    assert browser.module("series", held, values) == [5] * 4 + [6] * 10 + [None] * 2 + [7]


@pytest.mark.parametrize(
    ("low", "high", "wanted"), [(0, 10, 3), (-5.9, -0.5, 3), (881.0, 881.4, 3), (1e-9, 3e-9, 4), (-1e6, 1e6, 5)]
)
def test_an_axis_has_round_marks_within_it(browser, low, high, wanted):
    found = browser.module("series", "m.ticks(...a)", low, high, wanted)
    assert 2 <= len(found["at"]) <= wanted + 2
    assert all(low - 1e-9 <= value <= high + 1e-9 * max(1, abs(high)) for value in found["at"])
    assert all(value / found["step"] == pytest.approx(round(value / found["step"]), abs=1e-6) for value in found["at"])


def test_time_has_marks_on_whole_minutes(browser):
    found = browser.module("series", "m.marks(...a)", 1_795_900_011_000, 1_795_900_311_000, 6)
    assert found["step"] == 60_000 and len(found["at"]) == 5
    assert all(at % 60_000 == 0 for at in found["at"])


@pytest.mark.parametrize(
    ("shape", "length", "wanted"),
    [
        ([16, 32], 512, (32, 16)),
        ([1, 1], 1, (1, 1)),
        ([1, 1000], 1000, (256, 4)),
        ([3, 8, 8], 192, (8, 24)),
        ([], 1, (1, 1)),
        ([5], 5, (5, 1)),
        ([100], 100, (64, 2)),
    ],
)
def test_a_tensor_is_folded_into_rows(browser, shape, length, wanted):
    found = browser.module("heat", "m.folded(...a)", shape, length)
    assert (found["columns"], found["rows"]) == wanted


def test_a_search_finds_all_words_and_beginnings_first(browser):
    items = [{"name": name} for name in ("tank.level", "level", "levels.tank", "other")]
    assert [one["name"] for one in browser.module("combo", "m.found(...a)", items, "lev")] == [
        "level",
        "levels.tank",
        "tank.level",
    ]
    assert [one["name"] for one in browser.module("combo", "m.found(...a)", items, "tank lev")] == [
        "tank.level",
        "levels.tank",
    ]


@pytest.mark.parametrize("trouble", ["", "10.0.0.1:1883: Connection refused"])
@pytest.mark.parametrize(
    "numbers", [{}, {"messages": 7, "stored_records": 1234, "dropped_records": 2, "left_out_looks": 0}]
)
def test_what_a_server_lacks_is_said_as_in_the_terminal(browser, numbers, trouble):
    server = ServerView("bus", "mqtt", 0, 0, 0, numbers, trouble)
    assert browser.module("views/links", "m.serverNote(a[0])", asdict(server)) == server.note


BREAKS_OFF = """await (() => {
  const real = globalThis.fetch;
  const json = async () => { throw new DOMException("left", a[0]); };
  globalThis.fetch = async () => ({ status: a[1], ok: a[1] === 200, json });
  const said = (error) => `${error.name}, ${error.message}, ${error.status}`;
  return m.get("/api/audit").catch(said).finally(() => globalThis.fetch = real);
})()"""


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("AbortError", 200, "AbortError, left, undefined"),
        ("NetworkError", 200, "Error, the answer of the station has broken off, 0"),
        ("SyntaxError", 503, "Error, the station answers 503, 503"),
    ],
)
def test_an_answer_that_breaks_off_is_none(browser, error, status, said):
    """Who left while it came hears that, and no view is given nothing; a refusal without words is one all the same."""
    assert browser.module("api", BREAKS_OFF, error, status) == said
