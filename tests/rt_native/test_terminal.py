"""Tables fit the screen: the least important columns go, and it is said; names are whole."""

import io

import pytest
from rich.cells import cell_len
from rich.text import Text

from rt_native.terminal import UNLIMITED, Column, Sheet, Terminal

LONG = "a sentence that is longer than a line of a narrow screen and has to go on below its beginning"


def printed(thing, width, color_system=None):
    file = io.StringIO()
    Terminal(file=file, width=width, force_terminal=True, color_system=color_system, _environ={}).print(thing)
    return file.getvalue()


def sheet(name="tank.level", why=LONG):
    columns = (
        Column("name"),
        Column("device", rank=1),
        Column("over-\nruns", rank=2, right=True, footer="7"),
        Column("time us", rank=3, right=True),
        Column("why", folds=True),
    )
    made = Sheet(columns, title="Title", caption="Caption")
    made.add(Text(name, style="bold"), "modbus-tcp 192.168.10.5:502", "7", "12.5", why)
    return made


@pytest.mark.parametrize("width", [40, 60, 80, 120, 400])
def test_no_line_is_wider_than_the_screen_and_names_are_whole(width):
    lines = printed(sheet(), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert any("tank.level" in line for line in lines)
    assert set(LONG.split()) <= set("\n".join(lines).split())


def test_the_least_important_columns_go_first_and_it_is_said():
    text = printed(sheet(), 60)
    assert "time us" not in text.splitlines()[1] + text.splitlines()[2]
    assert "would also show: time us" in text or "would also show: overruns, time us" in text
    assert "would also show" not in printed(sheet(), 400)


def test_a_name_that_is_wider_than_the_screen_goes_on_in_the_next_line():
    text = printed(sheet(name="n" * 100), 40)
    assert text.count("n") >= 100
    assert max(map(cell_len, text.splitlines())) <= 40


def test_what_others_wrote_steers_no_terminal():
    hostile = "\x1b[2J\x9b31m\x07[red]\u202e\udcff"
    for thing in (sheet(hostile, hostile), Text(hostile), hostile.replace("[red]", "")):
        text = printed(thing, 120)
        assert all(c.isprintable() or c == "\n" for c in text)
        assert r"\x1b[2J\x9b31m" in text
        assert r"\xff" in text
    assert "[red]" in printed(sheet(hostile), 200)


def test_our_own_colours_stay():
    assert "\x1b[31mbad\x1b[0m" in printed(Text("bad", style="red"), 80, "standard")


def test_a_pipe_is_as_wide_as_its_lines(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert Terminal(file=io.StringIO()).width == UNLIMITED
    assert Terminal(file=io.StringIO(), width=60).width == 60


def test_a_name_between_colons_stays_a_name():
    """`:b:` is no picture: messages have paths of keys, with a colon behind."""
    assert printed("links.bus.slaves.a:b: it is no name", 80).strip() == "links.bus.slaves.a:b: it is no name"
