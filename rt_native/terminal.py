"""What commands print on: a console that shows text of others safely, and tables that fit a narrow screen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rt_native.text import visible

UNLIMITED: Final = 1000
"""Columns of a log or a pipe, which has no screen's edge."""
GAP: Final = 2
"""Columns between two columns of a table."""
LEAST_FOLDED: Final = 16
"""So narrow a column becomes whose words may take several lines, before a less important one goes."""
_KEEP: Final = "\n\t"


class Terminal(Console):
    """A console on which whatever would steer a terminal is printed as an escape; a pipe is as wide as it needs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"emoji": False, **options})  # `a:b:` is a name, and not a picture
        if not self.is_terminal and "width" not in options and not os.environ.get("COLUMNS"):
            self.width = UNLIMITED

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As `Console.render`, of visible text."""
        shown = _visible(renderable) if isinstance(renderable, (str, Text)) else renderable
        for segment in super().render(shown, options):
            if segment.control is None and not segment.text.isprintable():
                yield Segment(visible(segment.text, _KEEP), segment.style)
            else:
                yield segment


def _visible(text: str | Text) -> str | Text:
    if isinstance(text, str):
        return visible(text, _KEEP)
    plain = visible(text.plain, _KEEP)
    if plain == text.plain:
        return text
    return Text(plain, text.style, justify=text.justify, overflow=text.overflow, no_wrap=text.no_wrap)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a `Sheet`. The greatest `rank` goes first where room is short; those of rank 0 always stay."""

    heading: str
    rank: int = 0
    right: bool = False
    folds: bool = False
    """May its words take several lines?"""
    footer: str = ""

    @property
    def name(self) -> str:
        """Its heading in one line."""
        return self.heading.replace("-\n", "").replace("\n", " ")


class Sheet:
    """A table that fits: the least important columns go, and it says which; what stays is never cut, but folded.

    Args:
        columns: from left to right.
        title: a line above.
        caption: lines below.
    """

    def __init__(self, columns: Sequence[Column], title: str = "", caption: str = "") -> None:
        self._columns, self._title, self._caption = tuple(columns), title, caption
        self._rows: list[tuple[list[Text], str]] = []

    @property
    def row_count(self) -> int:
        """How many rows it has."""
        return len(self._rows)

    def add(self, *cells: str | Text, style: str = "") -> None:
        """A row, with a cell for each column; text as it is, without markup."""
        assert len(cells) == len(self._columns)
        texts = [cell.copy() if isinstance(cell, Text) else Text(cell) for cell in cells]
        for text in texts:
            text.plain = visible(text.plain, _KEEP)
        self._rows.append((texts, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = [self._width(i) for i in range(len(self._columns))]
        kept = self._kept(wanted, options.max_width)
        widths = self._widths(wanted, kept, options.max_width)
        footers = any(column.footer for column in self._columns)
        table = Table(box=None, pad_edge=False, header_style="dim", show_footer=footers)
        for i in kept:
            column = self._columns[i]
            table.add_column(
                Text(column.heading),
                Text(column.footer),
                justify="right" if column.right else "left",
                width=widths[i],
                overflow="fold",
            )
        for cells, style in self._rows:
            table.add_row(*(cells[i] for i in kept), style=style)
        if self._title:
            yield Text(visible(self._title), style="italic")
        yield table
        gone = [column.name for i, column in enumerate(self._columns) if i not in kept]
        if gone:
            yield Text(f"{_total(wanted)} columns would also show: {', '.join(gone)}", style="dim")
        if self._caption:
            yield Text(visible(self._caption, _KEEP), style="dim")

    def _width(self, i: int) -> int:
        column = self._columns[i]
        texts = [column.heading, column.footer, *(cells[i].plain for cells, _ in self._rows)]
        return max(cell_len(line) for text in texts for line in text.split("\n"))

    def _least(self, i: int, wanted: Sequence[int]) -> int:
        return min(wanted[i], LEAST_FOLDED) if self._columns[i].folds else wanted[i]

    def _kept(self, wanted: Sequence[int], width: int) -> list[int]:
        """The columns that stay, from left to right."""
        kept = list(range(len(wanted)))
        while _total([self._least(i, wanted) for i in kept]) > width:
            rank = max(self._columns[i].rank for i in kept)
            if rank == 0:
                break
            kept.remove(max(i for i in kept if self._columns[i].rank == rank))
        return kept

    def _widths(self, wanted: Sequence[int], kept: Sequence[int], width: int) -> dict[int, int]:
        """Those that fold share what the others leave; if even that is too little, all of them become narrower."""
        widths = {i: self._least(i, wanted) for i in kept}
        spare = width - _total(list(widths.values()))
        for i in kept:
            more = min(max(spare, 0), wanted[i] - widths[i])
            widths[i] += more
            spare -= more
        while spare < 0 and max(widths.values()) > 1:
            widths[max(kept, key=lambda i: widths[i])] -= 1
            spare += 1
        return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
