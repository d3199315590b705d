"""An inspection as a page of its own: the graph as a picture, the table below. No script, no network."""

from dataclasses import dataclass
from typing import Protocol

from rt_engine.kernels.interface.control import JUMP, LOOP
from rt_engine.measure.inspect import COLUMNS, End, Inspection, OperatorRow, cells, summary
from rt_engine.measure.layout import Layout, layout
from rt_native.text import in_html as escape

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 210, 60, 24, 34, 16
WIDEST = 5
"""Boxes side by side."""
LINES = 400
"""Room for lines beside them."""
CHARACTERS = 32
"""That a line of a box holds."""


class Drawable(Protocol):
    """What a picture of a graph needs: an `Inspection` has it."""

    @property
    def inputs(self) -> tuple[End, ...]:
        """Inputs and states."""

    @property
    def outputs(self) -> tuple[End, ...]:
        """Outputs."""

    @property
    def rows(self) -> tuple[OperatorRow, ...]:
        """Operators."""


def page(found: Inspection) -> str:
    """Self-contained HTML."""
    head = "".join(f"<th>{escape(c)}</th>" for c in COLUMNS)
    lines = "".join(
        f"<tr id='r{i}'>" + "".join(f"<td>{escape(c)}</td>" for c in cells(row)) + "</tr>"
        for i, row in enumerate(found.rows)
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(found.model)} - rt-engine inspect</title>
<style>
body {{ font: 14px system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }}
table {{ border-collapse: collapse; margin-top: 1rem }}
th, td {{ padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }}
th:nth-child(-n+4), td:nth-child(-n+4) {{ text-align: left; overflow-wrap: anywhere }}
tr:target {{ background: #ffd }}
.graph, .table {{ overflow: auto; border: 1px solid #ddd }}
.graph {{ max-height: 85vh; text-align: center }}
.graph svg {{ max-width: 100%; height: auto }}
p {{ max-width: 60rem }}
</style>
<h1>{escape(found.model)}</h1>
<p>{"<br>".join(map(escape, summary(found).splitlines()))}</p>
<div class="graph">{graph_svg(found)}</div>
<p>Colour: share of the time. A click on an operator leads to its line. Operators that only give a value another shape cost nothing and
are not drawn: lines go through them.</p>
<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>
</html>
"""


@dataclass(frozen=True, slots=True)
class Box:
    """An input, an operator or an output."""

    kind: str
    head: str
    side: str
    lines: tuple[str, ...]
    colour: str
    title: str
    row: int | None = None
    """The operator's line in the table."""


def graph_of(found: Drawable) -> tuple[list[Box], list[list[int]]]:
    """What is drawn, and for each box those whose values it reads, which stand before it."""
    boxes = [_end("input", end.name, end.value) for end in found.inputs]
    sources: list[list[int]] = [[] for _ in boxes]
    at = {i: len(boxes) + n for n, i in enumerate(i for i, row in enumerate(found.rows) if row.kernels)}
    for i in at:
        row = found.rows[i]
        read = [n for n, end in enumerate(found.inputs) if i in end.rows]
        boxes.append(_operator(i, row))
        sources.append(read + [at[s] for s in row.inputs if s in at and s < i])
    for i, after in zip(at, list(at)[1:], strict=False):  # control decides whether what follows runs
        if not {JUMP.name, LOOP.name}.isdisjoint(found.rows[i].kernels):
            sources[at[after]].append(at[i])
    for end in found.outputs:
        boxes.append(_end("output", end.name, end.value))
        sources.append([at[i] for i in end.rows if i in at])
    return boxes, sources


def graph_svg(found: Drawable) -> str:
    """Boxes from top to bottom, lines from what makes a value to what reads it."""
    boxes, sources = graph_of(found)
    made = layout(sources, WIDEST, BOX_WIDTH + GAP_X, GAP_X, LINES)
    width, height = made.width + 2 * MARGIN, len(made.levels) * (BOX_HEIGHT + GAP_Y) + 2 * MARGIN
    level_of = {i: at for at, level in enumerate(made.levels) for i in level}
    lines = [_line(s, i, level_of, made) for i, read in enumerate(sources) for s in dict.fromkeys(read)]
    drawn = [_box(i, box, made.middle[i] + MARGIN, _top(level_of[i])) for i, box in enumerate(boxes)]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height}' viewBox='0 0 {width:.0f} {height}' "
        f"font-family='system-ui,sans-serif' font-size='11'>{''.join(lines)}{''.join(drawn)}</svg>"
    )


def _top(level: int) -> int:
    return MARGIN + level * (BOX_HEIGHT + GAP_Y)


def _line(source: int, target: int, level_of: dict[int, int], made: Layout) -> str:
    """From the bottom of one box to the top of another, beside what stands between."""
    x, y = made.middle[source] + MARGIN, _top(level_of[source]) + BOX_HEIGHT
    way = f"M{x:.0f} {y}"
    for level in range(level_of[source] + 1, level_of[target] + 1):
        last = level == level_of[target]
        to, top = (made.middle[target] if last else made.passing[source, level]) + MARGIN, _top(level)
        bend = (y + top) / 2
        way += f"C{x:.0f} {bend:.0f} {to:.0f} {bend:.0f} {to:.0f} {top}" + ("" if last else f"v{BOX_HEIGHT}")
        x, y = to, top + BOX_HEIGHT
    return f"<path data-from='{source}' data-to='{target}' d='{way}' fill='none' stroke='#888'/>"


def _end(kind: str, name: str, value: str) -> Box:
    return Box(kind, name, kind, (value,), "#dbe9ff" if kind == "input" else "#d8f3dc", f"{kind} {name}: {value}")


def _operator(index: int, row: OperatorRow) -> Box:
    light = 96 - 46 * min(row.share * 3, 1.0)
    cost = f"{row.ns / 1000:.2f} us" + ("" if row.error is None else f", error {row.error:.0e}")
    title = f"{row.name}: {' '.join(row.kernels)}; {row.output}, {row.macs:,} MACs"
    lines = (row.output, cost)
    return Box("operator", row.operator, f"{row.share:.0%}", lines, f"hsl(28 90% {light:.0f}%)", title, index)


def _box(index: int, box: Box, middle: float, y: int) -> str:
    left, right = middle - BOX_WIDTH / 2, middle + BOX_WIDTH / 2
    head = _shortened(box.head, CHARACTERS - len(box.side) - 4)
    texts = "".join(
        f"<text x='{left + 8:.0f}' y='{y + 34 + 16 * n}' fill='#333'>{escape(_shortened(line, CHARACTERS))}</text>"
        for n, line in enumerate(box.lines)
    )
    drawn = (
        f"<g class='{box.kind}' id='n{index}'><title>{escape(box.title)}</title>"
        f"<rect x='{left:.0f}' y='{y}' width='{BOX_WIDTH}' height='{BOX_HEIGHT}' "
        f"rx='{5 if box.kind == 'operator' else 18}' fill='{box.colour}' stroke='#666'/>"
        f"<text x='{left + 8:.0f}' y='{y + 17}' font-weight='bold'>{escape(head)}</text>"
        f"<text x='{right - 8:.0f}' y='{y + 17}' text-anchor='end' fill='#555'>{escape(box.side)}</text>{texts}</g>"
    )
    return drawn if box.row is None else f"<a href='#r{box.row}'>{drawn}</a>"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
