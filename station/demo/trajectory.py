r"""The plant's own record of the demo as a picture: where each axis should have been, where it was, and what happened.

x  /‾‾\__/‾‾\__/‾‾      thin: reference; thick: position; grey: braked; dashed: a moment of the story
y  ‾\__/‾‾\__/‾‾\__
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rt_native.text import in_html as escape

WIDTH: Final = 960
PANEL: Final = 170
GAP: Final = 26
LEFT: Final = 56
RIGHT: Final = 16
TOP: Final = 114
BOTTOM: Final = 34
LABEL_ROWS: Final = 5
FORGOTTEN_S: Final = 1.0
"""A moment so long before the record begins is one that the plant remembers no more."""
MOST_SECONDS: Final = 25
"""Labels of the time."""
LABEL_HEIGHT: Final = 14
LETTER: Final = 6.4  # width of a letter of a label, about
STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#444}.title{font-size:15px;fill:#111}.reference{stroke:#d97706;"
    "stroke-width:1.4}.position{stroke:#1d4ed8;stroke-width:1.8}polyline{fill:none;stroke-linejoin:round}"
    ".braked{fill:#9ca3af;opacity:.35}.grid{stroke:#e5e7eb}.moment{stroke:#6b7280;stroke-dasharray:3 3}"
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at `time_s` of the plant's clock."""

    time_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn, in words: a title, lines of the grid with their labels, what grey means."""

    title: str = "Position and reference of both axes, by the plant's own record"
    grid: tuple[tuple[float, str], ...] = ((-0.1, "-10 cm"), (0.0, "+0 cm"), (0.1, "+10 cm"))
    grey: str = "braked"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Seconds to pixels, and one panel's metres to pixels."""

    begin_s: float
    end_s: float
    reach_m: float
    top: float

    def x(self, time_s: float) -> float:
        return LEFT + (time_s - self.begin_s) / max(self.end_s - self.begin_s, 1e-9) * (WIDTH - LEFT - RIGHT)

    def y(self, metres: float) -> float:
        return self.top + PANEL / 2 - metres / self.reach_m * PANEL / 2


def trajectory_svg(history: Mapping[str, Any], moments: Sequence[Moment], drawn: Drawn = Drawn()) -> str:
    """The picture as an SVG file, from the plant's answer to `history`. Begins at the first moment, if there is one."""
    columns = history["columns"]
    begin_s = moments[0].time_s if moments else float("-inf")
    if history["rows"]:
        begin_s = max(begin_s, history["rows"][0][0] - FORGOTTEN_S)
    rows = [row for row in history["rows"] if row[0] >= begin_s] or history["rows"]
    axes = [name.partition(".")[0] for name in columns if name.endswith(".position")]
    height = TOP + len(axes) * (PANEL + GAP) - GAP + BOTTOM
    values = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
    lengths = [abs(v) for axis in axes for what in ("position", "reference") for v in values[f"{axis}.{what}"]]
    reach_m = 1.1 * max(lengths, default=0.0) or 1.0
    times = values["time_s"] or [0.0]
    scales = [_Scale(times[0], times[-1], reach_m, TOP + place * (PANEL + GAP)) for place in range(len(axes))]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="22">{escape(drawn.title)}</text>',
        *(part for axis, scale in zip(axes, scales, strict=True) for part in _panel(axis, scale, values, drawn)),
        *_legend(drawn.grey),
        *_moments(scales[0], [one for one in moments if one.time_s >= begin_s], height - BOTTOM),
        *_seconds(scales[0], height - BOTTOM),
        "</svg>",
    ]
    return "\n".join(parts)


def _panel(axis: str, scale: _Scale, values: Mapping[str, Sequence[float]], drawn: Drawn) -> list[str]:
    times = values["time_s"]
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{scale.y(m):.1f}" y2="{scale.y(m):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{scale.y(m) + 4:.1f}" text-anchor="end">{escape(label)}</text>'
        for m, label in drawn.grid
        if abs(m) < scale.reach_m
    ]
    parts.append(f'<text class="title" x="12" y="{scale.top + 16}">{escape(axis)}</text>')
    parts += [
        f'<rect class="braked" x="{scale.x(begin):.1f}" y="{scale.top}" '
        f'width="{max(scale.x(end) - scale.x(begin), 1.0):.1f}" height="{PANEL}"/>'
        for begin, end in braked_times(times, values[f"{axis}.hold"])
    ]
    for what in ("reference", "position"):
        line = " ".join(
            f"{scale.x(t):.1f},{scale.y(m):.1f}" for t, m in zip(times, values[f"{axis}.{what}"], strict=True)
        )
        parts.append(f'<polyline class="{what}" points="{line}"><title>{escape(axis)} {what}</title></polyline>')
    return parts


def braked_times(times: Sequence[float], holds: Sequence[float]) -> list[tuple[float, float]]:
    """Begin and end of each stretch in which the brake was engaged."""
    stretches: list[tuple[float, float]] = []
    engaged = False
    for time_s, hold in zip(times, holds, strict=True):
        if hold and engaged:
            stretches[-1] = (stretches[-1][0], time_s)
        elif hold:
            stretches.append((time_s, time_s))
        engaged = bool(hold)
    return stretches


def _moments(scale: _Scale, moments: Sequence[Moment], ground: float) -> list[str]:
    """A dashed line each; its words stand in the first row in which they do not cover those before."""
    parts, free_from = [], [0.0] * LABEL_ROWS
    for moment in moments:
        x, width = scale.x(moment.time_s), LETTER * len(moment.text)
        left = min(x + 4, WIDTH - width)
        row = next((row for row in range(LABEL_ROWS) if left >= free_from[row]), LABEL_ROWS - 1)
        free_from[row] = left + width + LETTER
        y = 42 + LABEL_HEIGHT * row
        parts.append(f'<line class="moment" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8}" y2="{ground}"/>')
        parts.append(f'<text x="{left:.1f}" y="{y}">{escape(moment.text)}</text>')
    return parts


def _legend(grey: str) -> list[str]:
    """Which line is what, in the upper right corner."""
    parts = []
    for place, name in enumerate(("reference", "position", grey)):
        x = WIDTH - 250 + 88 * place
        sample = (
            f'<rect class="braked" x="{x}" y="12" width="18" height="12"/>'
            if name == grey
            else f'<path class="{name}" d="M{x} 18h18"/>'
        )
        parts.append(f'{sample}<text x="{x + 23}" y="22">{name}</text>')
    return parts


def _seconds(scale: _Scale, ground: float) -> list[str]:
    whole = range(int(scale.begin_s) + 1, int(scale.end_s) + 1)
    apart = next((seconds for seconds in (2, 5, 10, 20) if len(whole) <= MOST_SECONDS * seconds), 60)
    return [
        f'<text x="{scale.x(s):.1f}" y="{ground + 20}" text-anchor="middle">{s} s</text>'
        for s in whole
        if s % apart == 0
    ]
