/* A histogram as SVG: times and counts on log scales, as the report has it. The element is kept, its bars grow. */

import { h, mark, s } from "./dom.js";
import { count, duration, number } from "./words.js";

const WIDTH = 420, HEIGHT = 200, LEFT = 48, RIGHT = 12, TOP = 46, BOTTOM = 24, PER_OCTAVE = 8, LETTER = 7.2, ROW = 14;

/** Bars of equal width on a log scale: [{low, high, count}], the empty ones between the others left out. */
export function octaves(bars, perOctave = PER_OCTAVE) {
  const slots = new Map();
  for (const { low_ns: low, high_ns: high, count: n } of bars) {
    const slot = Math.floor(Math.log2(Math.sqrt(Math.max(low, 1) * Math.max(high, 1))) * perOctave);
    slots.set(slot, (slots.get(slot) ?? 0) + n);
  }
  return [...slots].sort(([a], [b]) => a - b).map(([slot, n]) => ({ low: 2 ** (slot / perOctave), high: 2 ** ((slot + 1) / perOctave), count: n }));
}

function scale(bars, marks, limit) {
  const ends = [bars[0].low, bars.at(-1).high, ...marks.map(([, ns]) => ns), ...(limit ? [limit] : [])].map((ns) => Math.log10(Math.max(ns, 1)));
  const low = Math.min(...ends), high = Math.max(...ends), room = Math.max(0.35, 0.04 * (high - low));
  const most = Math.log10(Math.max(...bars.map((bar) => bar.count))) + 0.3;
  return {
    low: low - room / 2,
    high: high + room / 2,
    most,
    x: (ns) => LEFT + ((Math.log10(Math.max(ns, 1)) - low + room / 2) / (high - low + room)) * (WIDTH - LEFT - RIGHT),
    y: (n) => HEIGHT - BOTTOM - ((Math.log10(n) + 0.3) / (most + 0.3)) * (HEIGHT - TOP - BOTTOM), // one sample is seen
  };
}

export class Histogram {
  constructor(title) {
    this.title = h("h3", {}, title);
    this.svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "histogram", hidden: true });
    this.none = h("p", { class: "none" }, "nothing was measured yet");
    this.element = h("figure", { class: "card" }, this.title, this.svg, this.none);
  }

  /** `picture`: {timing, bars}; `limit`: a deadline that is drawn too, [name, ns]. */
  update(picture, limit = null) {
    const bars = octaves(picture?.bars ?? []);
    this.none.hidden = bars.length > 0;
    this.svg.toggleAttribute("hidden", bars.length === 0);
    if (!bars.length) return;
    const t = picture.timing;
    const marks = [["p50", t.p50_ns], ["p99", t.p99_ns], ["p99.9", t.p99_9_ns], ["max", t.max_ns]];
    mark(this.svg, "aria-label", `${picture.title}: ${marks.map(([name, ns]) => `${name} ${duration(ns)}`).join(", ")}, ${count(t.count)} samples`);
    const seen = JSON.stringify([bars.map((bar) => bar.count), marks, limit]);
    if (seen === this.seen) return;
    this.seen = seen;
    const scaled = scale(bars, marks, limit?.[1]);
    this.svg.replaceChildren(...times(scaled), ...counts(scaled), ...bars.map((bar) => drawn(scaled, bar)), ...limits(scaled, limit), ...lines(scaled, marks));
  }
}

function drawn({ x, y }, bar) {
  const left = x(bar.low), top = y(bar.count);
  const box = { class: "bar", x: left.toFixed(1), y: top.toFixed(1), width: Math.max(x(bar.high) - left - 0.6, 0.8).toFixed(1), height: (HEIGHT - BOTTOM - top).toFixed(1) };
  return s("rect", box, s("title", {}, `${duration(bar.low)} .. ${duration(bar.high)}: ${count(bar.count)}`));
}

function times({ low, high, x }) {
  const ground = HEIGHT - BOTTOM;
  const parts = [s("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: ground, y2: ground })];
  for (let decade = Math.floor(low); decade <= Math.ceil(high); decade += 1) {
    for (const step of high - low < 2.4 ? [1, 2, 5] : [1]) {
      const ns = step * 10 ** decade;
      if (Math.log10(ns) < low || Math.log10(ns) > high) continue;
      const at = x(ns).toFixed(1);
      parts.push(s("line", { class: "grid", x1: at, x2: at, y1: TOP, y2: ground + 4 }));
      parts.push(s("text", { class: "label", x: at, y: ground + 16 }, duration(ns)));
    }
  }
  return parts;
}

function counts({ most, y }) {
  const parts = [];
  for (let decade = 0; decade <= Math.floor(most); decade += most > 5 ? 2 : 1) {
    const at = y(10 ** decade);
    parts.push(s("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at.toFixed(1), y2: at.toFixed(1) }));
    parts.push(s("text", { class: "label count", x: LEFT - 6, y: (at + 3).toFixed(1) }, decade < 5 ? count(10 ** decade) : `1e${decade}`));
  }
  return parts;
}

function limits({ x }, limit) {
  if (!limit) return [];
  const at = x(limit[1]).toFixed(1);
  return [s("line", { class: "limit", x1: at, x2: at, y1: TOP - 4, y2: HEIGHT - BOTTOM }, s("title", {}, `${limit[0]}: ${duration(limit[1])}`))];
}

/** A line for each mark; its label moves to the next row when it would cover one before. */
function lines({ x }, marks) {
  const parts = [], free = [0, 0, 0];
  for (const [name, ns] of marks) {
    const text = `${name} ${duration(ns)}`, half = (LETTER / 2) * text.length;
    const middle = Math.min(Math.max(x(ns), half + 2), WIDTH - half - 2);
    const row = Math.max(0, free.findIndex((from) => middle - half >= from));
    free[row] = middle + half + 5;
    const at = x(ns).toFixed(1), y = 10 + ROW * row;
    parts.push(s("line", { class: "mark", x1: at, x2: at, y1: y + 3, y2: HEIGHT - BOTTOM }));
    parts.push(s("text", { class: "label mark-label", x: middle.toFixed(1), y }, text));
  }
  return parts;
}

/** How far two versions lay apart, as bars over |difference|: `difference` is one of a change's `differences`. */
export function apart(difference) {
  const bars = difference.edges.map((low, i) => ({ low, count: difference.counts[i] })).filter((bar) => bar.count);
  if (!bars.length) return h("p", { class: "none" }, "nothing was compared yet");
  const [width, height, side, bottom] = [420, 130, 16, 24];
  const places = bars.filter((bar) => bar.low > 0).map((bar) => Math.log10(bar.low));
  const limit = difference.tolerance > 0 ? Math.log10(difference.tolerance) : null;
  const ends = limit === null ? places : [...places, limit];
  const first = (ends.length ? Math.min(...ends) : 0) - 0.6, last = Math.max((ends.length ? Math.max(...ends) : 0) + 0.3, first + 1);
  const most = Math.log10(Math.max(...bars.map((bar) => bar.count))) + 0.3, ground = height - bottom;
  const x = (place) => side + ((place - first) / (last - first)) * (width - 2 * side);
  const parts = [s("line", { class: "axis", x1: side, x2: width - side, y1: ground, y2: ground })];
  for (const bar of bars) {
    const high = ((Math.log10(bar.count) + 0.3) / (most + 0.3)) * (ground - 12);
    const box = { class: "bar", x: x(bar.low > 0 ? Math.log10(bar.low) : first + 0.1).toFixed(1), y: (ground - high).toFixed(1), width: 5, height: high.toFixed(1) };
    parts.push(s("rect", box, s("title", {}, `${bar.low > 0 ? `from ${number(bar.low, 4)}` : "equal"}: ${count(bar.count)}`)));
  }
  for (let decade = Math.ceil(first + 0.3); decade <= Math.floor(last); decade += Math.max(1, Math.ceil((last - first) / 8))) {
    parts.push(s("text", { class: "label", x: x(decade).toFixed(1), y: ground + 16 }, `1e${decade}`));
  }
  if (limit !== null) parts.push(s("line", { class: "limit", x1: x(limit).toFixed(1), x2: x(limit).toFixed(1), y1: 8, y2: ground }, s("title", {}, `tolerance ${number(difference.tolerance)}`)));
  const label = `${difference.output}: ${count(difference.beyond)} of ${count(difference.compared)} values beyond the tolerance`;
  return s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "histogram", "aria-label": label }, parts);
}
