/* One trend on a canvas: a band from least to greatest for each step, gaps hatched, an axis of its own, a line that reads values. */

import { h, mark, say } from "./dom.js";
import { marks, ticks } from "./series.js";
import { clock, duration, number } from "./words.js";

const LEFT = 58, RIGHT = 8, TOP = 6, BOTTOM = 20;

export class Lane {
  /** `moved(step or null)`: somebody put the reading line there; `removed()`: takes the lane away. */
  constructor(tag, { moved, removed }) {
    this.tag = tag;
    this.moved = moved;
    this.now = h("span", { class: "now" });
    this.seen = h("span", { class: "range" });
    this.canvas = h("canvas", { tabindex: 0, role: "img" });
    const away = h("button", { type: "button", "aria-label": `Remove ${tag}`, on: { click: removed } }, "Remove");
    this.element = h("article", { class: "card lane", "data-tag": tag }, h("header", {}, h("h3", {}, tag), this.now, this.seen, away), this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.#point(event));
    this.canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && moved(null));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** `span`: {begin, end} as numbers of steps, {step_ms}; `cursor`: a step, or null. */
  draw(series, span, cursor) {
    this.series = series;
    this.span = span;
    this.cursor = cursor;
    const range = series.range(span.begin, span.end), unit = series.unit ? ` ${series.unit}` : "";
    const newest = series.newest, value = newest === null ? null : series.at(newest);
    const old = newest !== null && (span.end - newest) * span.step_ms > Math.max(3000, 3 * span.step_ms * series.every);
    say(this.now, value === null ? "no value yet" : `${number(value[1], 5)}${unit}${old ? `, last at ${clock((newest + 1) * span.step_ms)}` : ""}`);
    this.now.classList.toggle("warn", old);
    const words = range ? `${number(range[0], 5)} to ${number(range[1], 5)}${unit}` : "";
    say(this.seen, [words, series.every > 1 ? `a value every ${duration(series.every * span.step_ms * 1e6, 2)}` : ""].filter(Boolean).join(", "));
    mark(this.canvas, "aria-label", `${this.tag}: ${this.now.textContent}; in this time ${words || "nothing"}`);
    this.#paint(range);
  }

  #x(step) {
    const { begin, end } = this.span;
    return LEFT + ((step - begin) / (end - begin)) * (this.width - LEFT - RIGHT);
  }

  #paint(range) {
    const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (!box.width) return;
    this.width = box.width;
    this.height = box.height;
    const wide = Math.round(box.width * ratio), high = Math.round(box.height * ratio);
    if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
    const pen = this.canvas.getContext("2d"), style = getComputedStyle(this.canvas);
    this.colours = Object.fromEntries(["bar", "band", "line", "soft", "strong", "mark", "card"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    pen.font = "11px system-ui, sans-serif";
    const y = this.#scale(range);
    this.#axes(pen, y);
    this.#gaps(pen);
    this.#bands(pen, y);
    if (this.cursor !== null) this.#reading(pen, y);
  }

  /** Values to pixels, with some room; a value that does not move stands in the middle. */
  #scale(range) {
    let [low, high] = range ?? [0, 1];
    const room = high > low ? 0.06 * (high - low) : Math.max(Math.abs(high) * 0.05, 0.5);
    [low, high] = [low - room, high + room];
    const y = (value) => TOP + ((high - value) / (high - low)) * (this.height - TOP - BOTTOM);
    return Object.assign(y, { low, high });
  }

  #axes(pen, y) {
    const { begin, end, step_ms: step } = this.span, ground = this.height - BOTTOM;
    pen.lineWidth = 1;
    pen.strokeStyle = this.colours.line;
    pen.fillStyle = this.colours.soft;
    pen.textAlign = "end";
    pen.textBaseline = "middle";
    for (const value of ticks(y.low, y.high, Math.max(3, Math.floor((ground - TOP) / 30))).at) {
      line(pen, LEFT, y(value), this.width - RIGHT, y(value));
      pen.fillText(number(value, 5), LEFT - 6, y(value));
    }
    const times = marks(begin * step, end * step, Math.max(2, Math.floor((this.width - LEFT) / 96)));
    pen.textBaseline = "alphabetic";
    for (const at of times.at) {
      const x = this.#x(at / step), text = times.step < 60000 ? clock(at) : clock(at).slice(0, 5);
      line(pen, x, TOP, x, ground + 3);
      pen.textAlign = x > this.width - 40 ? "end" : "center";
      pen.fillText(text, Math.min(x, this.width - 2), this.height - 5);
    }
  }

  /** Where nothing was, the ground is hatched: neither a line at zero, nor one across. */
  #gaps(pen) {
    pen.strokeStyle = this.colours.line;
    pen.lineWidth = 1;
    const { begin, end } = this.span;
    let from = null;
    for (let n = begin; n <= end; n += 1) {
      const gap = n < end && this.series.held(n) === null;
      if (gap && from === null) from = n;
      else if (!gap && from !== null) {
        hatch(pen, this.#x(from), TOP, this.#x(n), this.height - BOTTOM);
        from = null;
      }
    }
  }

  #bands(pen, y) {
    const { begin, end } = this.span;
    let run = [];
    const flush = () => {
      if (run.length) this.#band(pen, y, run);
      run = [];
    };
    for (let n = Math.max(begin, this.series.first); n < end; n += 1) {
      const value = this.series.held(n);
      if (value === null) flush();
      else run.push([this.#x(n), value[0], value[1]]);
    }
    flush();
  }

  /** Steps without a gap between them: filled from least to greatest, with an edge, so that a thin one is seen. */
  #band(pen, y, run) {
    const width = this.#x(1) - this.#x(0), points = [...run, [run.at(-1)[0] + width, run.at(-1)[1], run.at(-1)[2]]];
    pen.beginPath();
    points.forEach(([x, , high], i) => (i ? pen.lineTo(x, y(high)) : pen.moveTo(x, y(high))));
    for (const [x, low] of [...points].reverse()) pen.lineTo(x, y(low));
    pen.closePath();
    pen.fillStyle = this.colours.band;
    pen.fill();
    pen.strokeStyle = this.colours.bar;
    pen.lineWidth = 1.3;
    pen.lineJoin = "round";
    pen.stroke();
  }

  #reading(pen, y) {
    const x = this.#x(this.cursor + 0.5), value = this.series.held(this.cursor);
    pen.strokeStyle = this.colours.mark;
    pen.setLineDash([4, 3]);
    line(pen, x, TOP, x, this.height - BOTTOM);
    pen.setLineDash([]);
    if (!value) return;
    pen.fillStyle = this.colours.mark;
    for (const one of value) {
      pen.beginPath();
      pen.arc(x, y(one), 3, 0, 7);
      pen.fill();
    }
  }

  #point(event) {
    if (!this.span) return;
    const { begin, end } = this.span, box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    this.moved(share < 0 || share > 1 ? null : Math.min(end - 1, Math.floor(begin + share * (end - begin))));
  }

  #key(event) {
    const { begin, end } = this.span ?? {}, from = this.cursor ?? end - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50, Home: begin - from, End: end - 1 - from }[event.key];
    if (event.key === "Escape") this.moved(null);
    else if (steps !== undefined && begin !== undefined) this.moved(Math.min(end - 1, Math.max(begin, from + steps * (event.shiftKey ? 10 : 1))));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, Math.round(y1) + 0.5);
  pen.lineTo(x2, Math.round(y2) + 0.5);
  pen.stroke();
}

function hatch(pen, left, top, right, bottom) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, bottom - top);
  pen.clip();
  for (let x = left - (bottom - top); x < right; x += 8) {
    pen.beginPath();
    pen.moveTo(x, bottom);
    pen.lineTo(x + bottom - top, top);
    pen.stroke();
  }
  pen.restore();
}
