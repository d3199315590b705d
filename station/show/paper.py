"""Pages for people that open without a network: one file, no script, light and dark, on a phone too. A style sheet of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Final

from rt_native.text import in_html as escape
from station.show.verdict import Remark

TEMPLATE: Final = Path(__file__).with_name("report.html")
FOLDED_ROWS: Final = 40
"""A table with more rows opens when somebody clicks."""


def page(title: str, heading: str, under: str, remarks: Iterable[Remark], sections: Iterable[str]) -> str:
    """A whole page: title, heading and the line under it are plain text; sections are HTML."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        station=escape(heading),
        when=escape(under),
        verdict="\n".join(f'<div class="verdict {r.level}">{escape(r.text)}</div>' for r in remarks),
        sections="\n".join(sections),
    )


def section(title: str, body: str) -> str:
    """A heading, plain text, and what stands below it, HTML."""
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>"


def folded(table: str, rows: int, what: str) -> str:
    """The table, closed when it is long."""
    return table if rows <= FOLDED_ROWS else f"<details><summary>{rows:,} {what}</summary>{table}</details>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A column whose name begins with `>` holds numbers."""
    numeric = [' class="n"' if column.startswith(">") else "" for column in columns]
    head = "".join(f"<th{css}>{escape(c.lstrip('>'))}</th>" for c, css in zip(columns, numeric, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{css}>{cell}</td>" for cell, css in zip(row, numeric, strict=True)) + "</tr>"
        for row in rows
    )
    body = body or f'<tr><td class="none" colspan="{len(columns)}">none</td></tr>'
    return f'<div class="card wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
