"""An inspection as a page of its own: the graph as a picture, the table below. No script, no network."""

from rt_engine.measure.inspect import COLUMNS, Inspection, OperatorRow, cells, summary
from rt_native.text import in_html as escape

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 210, 46, 24, 30, 16


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
th:nth-child(-n+4), td:nth-child(-n+4) {{ text-align: left }}
tr:target {{ background: #ffd }}
.graph {{ overflow: auto; max-height: 80vh; border: 1px solid #ddd }}
p {{ white-space: pre-line; max-width: 60rem }}
</style>
<h1>{escape(found.model)}</h1>
<p>{escape(summary(found))}</p>
<div class="graph">{graph_svg(found.rows)}</div>
<p>Colour: share of the time. A click on an operator leads to its line.</p>
<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>
</html>
"""


def layers(rows: tuple[OperatorRow, ...]) -> list[list[int]]:
    """Rows by their longest way from an input; within a layer, in the order of what they read."""
    depth: list[int] = []
    for row in rows:
        depth.append(1 + max((depth[s] for s in row.inputs if s < len(depth)), default=-1))
    found: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    place: dict[int, float] = {}
    for i in range(len(rows)):
        found[depth[i]].append(i)
    for layer in found:
        centre = {i: sum(place.get(s, 0.0) for s in rows[i].inputs) / max(len(rows[i].inputs), 1) for i in layer}
        layer.sort(key=lambda i: (centre[i], i))
        place.update({i: at - (len(layer) - 1) / 2 for at, i in enumerate(layer)})
    return found


def graph_svg(rows: tuple[OperatorRow, ...]) -> str:
    """The operators as boxes from top to bottom, lines from what makes a value to what reads it."""
    found = layers(rows)
    widest = max(map(len, found), default=1)
    width = widest * (BOX_WIDTH + GAP_X) + 2 * MARGIN
    height = len(found) * (BOX_HEIGHT + GAP_Y) + 2 * MARGIN
    at = {}
    for depth, layer in enumerate(found):
        left = (width - len(layer) * (BOX_WIDTH + GAP_X) + GAP_X) / 2
        for place, i in enumerate(layer):
            at[i] = (left + place * (BOX_WIDTH + GAP_X), MARGIN + depth * (BOX_HEIGHT + GAP_Y))
    lines = [_edge(at[s], at[i]) for i, row in enumerate(rows) for s in row.inputs if s in at and s != i]
    boxes = [_box(i, row, at[i]) for i, row in enumerate(rows)]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' "
        f"font-family='system-ui,sans-serif' font-size='11'>{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0 = start[0] + BOX_WIDTH / 2, start[1] + BOX_HEIGHT
    x1, y1 = end[0] + BOX_WIDTH / 2, end[1]
    bend = max((y1 - y0) / 2, 12)
    way = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}"
    return f"<path d='{way}' fill='none' stroke='#999'/>"


def _box(index: int, row: OperatorRow, at: tuple[float, float]) -> str:
    x, y = at
    light = 96 - 46 * min(row.share * 3, 1.0)
    second = f"{row.ns / 1000:.2f} us, {row.share:.0%}" + ("" if row.error is None else f", error {row.error:.0e}")
    title = f"{row.name}: {' '.join(row.kernels)}\n{row.output}, {row.macs:,} MACs"
    return (
        f"<a href='#r{index}'><g><title>{escape(title)}</title>"
        f"<rect x='{x:.0f}' y='{y:.0f}' width='{BOX_WIDTH}' height='{BOX_HEIGHT}' rx='5' "
        f"fill='hsl(28 90% {light:.0f}%)' stroke='#666'/>"
        f"<text x='{x + 8:.0f}' y='{y + 18:.0f}' font-weight='bold'>{escape(row.operator)}</text>"
        f"<text x='{x + BOX_WIDTH - 8:.0f}' y='{y + 18:.0f}' text-anchor='end'>{escape(row.output[:24])}</text>"
        f"<text x='{x + 8:.0f}' y='{y + 36:.0f}' fill='#333'>{escape(second)}</text></g></a>"
    )
