"""What pages are made of."""

from station.show.paper import FOLDED_ROWS, folded, page, section, table
from station.show.verdict import Remark


def test_text_is_no_markup_and_sections_are():
    html = page("<t>", "<h>", "<u>", [Remark("bad", "<r>")], [section("<s>", "<p>body</p>")])
    assert all(f"&lt;{letter}&gt;" in html for letter in "thurs")
    assert "<p>body</p>" in html
    assert "$" not in html


def test_a_table_says_when_it_has_no_row():
    assert "none" in table(("a", ">b"), [])
    assert '<td class="n">1</td>' in table(("a", ">b"), [("x", "1")])


def test_a_long_table_is_folded():
    assert folded("T", FOLDED_ROWS, "rows") == "T"
    assert folded("T", FOLDED_ROWS + 1, "rows").startswith("<details>")
