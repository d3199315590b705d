"""An explanation as a page of its own: no script, no network; light and dark; by keyboard; on a phone."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from string import Template
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_engine.explain.explanation import Explanation
from rt_engine.explain.graph import Graph
from rt_engine.explain.heat import Sheet, data_uri, sheet
from rt_engine.explain.influence import Influence
from rt_engine.explain.table import figure, influence_row, with_unit
from rt_engine.explain.tensors import Tensor
from rt_native.text import in_html as escape

TEMPLATE: Final = Path(__file__).with_name("page.html")
SHOWN: Final = 12
"""Inputs of an output, the rest are folded."""
MOST_INPUTS: Final = 60
"""Of each output, folded ones included; the others did less, and the picture has them."""
MOST_OUTPUTS: Final = 48
"""Of a model with many elements, the first ones; `--output` names others."""
OPEN: Final = 4
"""Outputs that are open when the page opens."""
MAPPED: Final = 16
"""Elements from which on the effects of an input are drawn too."""
CELL: Final = 8
"""Pixels of a cell of a small sheet."""
Facts = Sequence[tuple[str, str]]


def page(found: Explanation, graph: Graph, facts: Facts = ()) -> str:
    """Self-contained HTML. `facts`: what was explained, as (word, value): the tick, the recording."""
    known = [*facts, ("model", f"{found.model} {found.sha256[:12]}".strip())]
    if found.status:
        known.append(("ended", f"with status {found.status} in {found.ended_at}: nothing behind it was computed"))
    timed = any(row.ns for row in graph.rows)
    legend = "Colour: share of the time. " if timed else ""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(f"{found.model}, explained"),
        facts="".join(f"<dt>{escape(word)}</dt><dd>{escape(value)}</dd>" for word, value in known),
        moved=_moved(found.influence),
        graph=f'<p class="soft">{legend}An operator leads to its tensors.</p><div class="card graph">{graph.svg()}</div>',
        tensors="".join(_tensors(found)),
    )


def _moved(found: Influence | None) -> str:
    if found is None:
        return '<p class="soft">This was not asked, or the run ended before its outputs.</p>'
    shown, many = min(len(found.targets), MOST_OUTPUTS), len(found.targets)
    cards = "".join(_target(found, i, i < OPEN) for i in range(shown))
    rest = f'<p class="soft">{many - shown:,} outputs more: ask for them by name.</p>' if many > shown else ""
    return f'<p class="soft">{escape(found.method)}</p>{cards}{rest}'


def _target(found: Influence, at: int, opened: bool) -> str:
    target, order = found.targets[at], found.ranked(at, MOST_INPUTS)
    sizes = np.abs(found.effects[at])
    most = float(sizes[np.isfinite(sizes)].max(initial=0.0)) or 1.0
    rows = [_row(found, at, i, most) for i in order]
    more = len(rows) - SHOWN
    rest = f"<details><summary>{more:,} more</summary>{_table(rows[SHOWN:])}</details>" if more > 0 else ""
    less = len(found.sources) - len(rows)
    rest += f'<p class="soft">{less:,} inputs did less.</p>' if less > 0 else ""
    together, lone = found.together[at], float(np.nan_to_num(found.effects[at]).sum())
    said = (
        f"All inputs at their base would change it by {figure(-together)}; the effects of single inputs add up to {figure(lone)} of "
        f"{figure(together)}: the rest is what inputs did only jointly."
    )
    word = with_unit(target.value, target.label.unit)
    return (
        f'<details class="card"{" open" if opened else ""}><summary><b>{escape(str(target.label))}</b> = {escape(word)}</summary>'
        f'{_table(rows[:SHOWN])}{rest}<p class="soft">{said}</p>{_maps(found, at)}{_windows(found, at)}{_tags(found, at)}</details>'
    )


def _table(rows: Sequence[str]) -> str:
    head = '<th>input<th class="n">value<th class="n">base<th class="n">effect<th class="bar">'
    return (
        f'<table><thead><tr>{head}<th class="n">slope<th class="n">step</thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _row(found: Influence, target: int, source: int, most: float) -> str:
    name, value, base, effect, slope, step = map(escape, influence_row(found, target, source))
    numbers = f'<td class="n">{value}<td class="n">{base}<td class="n">{effect}'
    bar = _bar(found.effects[target, source] / most)
    return f'<tr><td>{name}{numbers}<td class="bar">{bar}<td class="n">{slope}<td class="n">{step}</tr>'


def _bar(share: float) -> str:
    """From the middle to the right where the input moved the output up."""
    share = float(np.clip(np.nan_to_num(share, nan=0.0, posinf=1, neginf=-1), -1, 1))
    left, kind = (100 + min(share, 0) * 100, "up" if share > 0 else "down")
    return (
        '<svg viewBox="0 0 200 14" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="axis" x1="100" x2="100" y1="0" y2="14"/>'
        f'<rect class="{kind}" x="{left:.1f}" y="2" width="{abs(share) * 100:.1f}" height="10"/></svg>'
    )


def _maps(found: Influence, target: int) -> str:
    """The effects of the elements of each large input or state, laid out as it is."""
    maps = ""
    for name, shape in found.shapes.items():
        if prod(shape) >= MAPPED:
            cells = np.full(shape, np.nan)
            for source, effect in zip(found.sources, found.effects[target].tolist(), strict=True):
                if source.tensor == name:
                    cells.reshape(-1)[list(source.indices)] = effect
            title = f"Effects of the elements of {escape(name)}"
            maps += f"<p>{title}</p>{_image(sheet(cells), title)}"
    return maps


def _windows(found: Influence, target: int) -> str:
    """The effects of tags with a history: a row for each tag, a column for each sample, the oldest first."""
    ages = sorted({s.label.age for s in found.sources if s.label.name in found.tags}, reverse=True)
    if len(ages) < 2:
        return ""
    cells = np.full((len(found.tags), len(ages)), np.nan)
    for source, effect in zip(found.sources, found.effects[target].tolist(), strict=True):
        if source.label.name in found.tags:
            cells[found.tags.index(source.label.name), ages.index(source.label.age)] = effect
    names = ", ".join(map(escape, found.tags))
    title = f"Effects of {names} (from above), from t-{ages[0]} to t-{ages[-1]} (left to right)"
    return f"<p>{title}</p>{_image(sheet(cells) if cells.size > 4000 else _whole(cells), title)}"


def _tags(found: Influence, target: int) -> str:
    if not found.tags:
        return ""
    rows = "".join(
        f'<tr><td>{escape(tag)}<td class="n">{figure(effect)}</tr>'
        for tag, effect in zip(found.tags, found.tag_effects[target].tolist(), strict=True)
    )
    return (
        f'<table><thead><tr><th>all samples of a tag at once<th class="n">effect</thead><tbody>{rows}</tbody></table>'
    )


def _whole(cells: NDArray[np.float64]) -> Sheet:
    return Sheet(cells, (1, 1), cells.size)


def _image(drawn: Sheet, title: str) -> str:
    rows, columns = drawn.cells.shape
    width = min(max(columns * CELL, 40), 768)
    height = max(round(width * rows / columns), 8)
    return f'<img class="heat" width="{width}" height="{height}" alt="{title}" src="{data_uri(drawn.cells)}">'


def _tensors(found: Explanation) -> list[str]:
    """A card for each; the first of an operator is where the graph's boxes lead to."""
    cards, seen = [], set()
    for tensor in found.tensors:
        anchor = f' id="r{tensor.node}"' if tensor.node >= 0 and tensor.node not in seen else ""
        seen.add(tensor.node)
        cards.append(_tensor(tensor, anchor))
    return cards


def _tensor(tensor: Tensor, anchor: str) -> str:
    s, drawn = tensor.statistics, sheet(tensor.values)
    where = f"{tensor.operator} {tensor.kernel}".strip() if tensor.kind in ("tensor", "output") else tensor.kind
    bad = [f"{n:,} {word}" for n, word in ((s.nan, "NaN"), (s.infinite, "infinite")) if n]
    facts = [f"least {figure(s.least)}", f"mean {figure(s.mean)}", f"greatest {figure(s.greatest)}"]
    facts += [f"deviation {figure(s.deviation)}", f"zeros {s.zeros:.0%}"]
    facts += [f"ran {tensor.runs:,} times, the last value"] if tensor.runs > 1 else []
    cell = "" if drawn.is_whole else f"; a cell is the greatest of {drawn.share[0]} x {drawn.share[1]} elements"
    form = f"{tensor.values.dtype}{list(tensor.shape)}"
    name = escape(tensor.name)
    return (
        f'<details class="card"{anchor}><summary><b>{name}</b> '
        f'<span class="soft">{escape(form)} {escape(where)}: {", ".join(facts)}</span>'
        f'{"".join(f" <b class=bad>{word}</b>" for word in bad)}</summary>'
        f'{_image(drawn, f"{name} as a heat map")}<p class="soft">{drawn.elements:,} elements{cell}</p></details>'
    )  # fmt: skip
