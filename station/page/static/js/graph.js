/* The graph of a model as SVG, coloured by time, walked through by keyboard: arrows go along the lines and along a level. */

import { h, mark, s } from "./dom.js";
import { layout } from "./layout.js";
import { duration, number, shape } from "./words.js";

const BOX = 190, HEIGHT = 58, GAP_X = 22, GAP_Y = 32, MARGIN = 12, LETTERS = 25;

/** Shares of the time, and their colours: light to dark of one hue, so that they can be told apart without seeing colours. */
const STEPS = [[0, null], [0.01, "#fff1dc"], [0.05, "#ffd9a3"], [0.15, "#ffb86b"], [0.3, "#f9954a"]];
export const colour = (share) => STEPS.filter(([least]) => (share ?? 0) >= least).at(-1)[1];

export class Graph {
  /** `chosen(node)`: somebody wants to see its tensor. */
  constructor(graph, chosen) {
    const joined = new Set(graph.edges.flat().map(String));
    // what only gives a value another shape has neither kernels nor lines of its own: lines go past it
    this.nodes = graph.nodes.filter((node) => node.kind !== "operator" || node.kernels?.length || joined.has(String(node.id)));
    this.chosen = chosen;
    this.number = new Map(this.nodes.map((node, i) => [String(node.id), i]));
    this.sources = this.nodes.map(() => []);
    for (const [from, to] of graph.edges) {
      const [a, b] = [this.number.get(String(from)), this.number.get(String(to))];
      if (a !== undefined && b !== undefined && a < b && !this.sources[b].includes(a)) this.sources[b].push(a);
    }
    this.readers = this.nodes.map((_, i) => this.sources.flatMap((read, to) => (read.includes(i) ? [to] : [])));
    this.element = h("div", { class: "card canvas", role: "group", "aria-label": "Graph of the model: arrow keys go from operator to operator, Enter shows the tensor" });
    const widest = Math.max(1, Math.min(5, Math.floor((window.innerWidth - 60) / (BOX + GAP_X))));
    this.made = layout(this.sources, { widest, box: BOX + GAP_X, line: GAP_X, room: Math.min(300, 60 * widest) });
    this.at = 0;
    this.#draw();
  }

  #draw() {
    const { levels, width } = this.made;
    this.level = new Map(levels.flatMap((level, at) => level.map((i) => [i, at])));
    const high = levels.length * (HEIGHT + GAP_Y) + 2 * MARGIN - GAP_Y, wide = width + 2 * MARGIN;
    this.edges = this.sources.flatMap((read, to) => read.map((from) => s("path", { class: "edge", d: this.#way(from, to), "data-from": from, "data-to": to })));
    this.boxes = this.nodes.map((node, i) => this.#box(node, i));
    this.element.append(s("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, role: "presentation" }, this.edges, this.boxes));
    mark(this.boxes[0], "tabindex", 0);
  }

  #top(level) {
    return MARGIN + level * (HEIGHT + GAP_Y);
  }

  #way(from, to) {
    let x = this.made.middle.get(from) + MARGIN, y = this.#top(this.level.get(from)) + HEIGHT, way = `M${x.toFixed(0)} ${y}`;
    for (let level = this.level.get(from) + 1; level <= this.level.get(to); level += 1) {
      const last = level === this.level.get(to), top = this.#top(level), bend = (y + top) / 2;
      const next = (last ? this.made.middle.get(to) : this.made.passing.get(`${from} ${level}`)) + MARGIN;
      way += `C${x.toFixed(0)} ${bend} ${next.toFixed(0)} ${bend} ${next.toFixed(0)} ${top}${last ? "" : `v${HEIGHT}`}`;
      [x, y] = [next, top + HEIGHT];
    }
    return way;
  }

  #box(node, i) {
    const left = this.made.middle.get(i) + MARGIN - BOX / 2, top = this.#top(this.level.get(i)), fill = node.kind === "operator" ? colour(node.share) : null;
    const head = node.kind === "operator" ? node.operator : node.name, share = node.kind === "operator" && typeof node.share === "number" ? percent(node.share) : node.kind;
    const second = [node.dtype, shape(node.shape)].filter(Boolean).join(" "), third = node.kind === "operator" ? `${duration(node.ns)}${node.name ? `  ${node.name}` : ""}` : "";
    const words = [head, node.name !== head ? node.name : "", second, node.kind === "operator" ? `${duration(node.ns)}, ${share} of the time` : node.kind].filter(Boolean).join(", ");
    const group = s("g", { class: `node ${node.kind}${fill ? " hot" : ""}`, tabindex: -1, role: "button", "aria-label": words, "data-node": node.id },
      s("title", {}, `${words}${node.kernels?.length ? `; ${node.kernels.join(" ")}` : ""}${node.macs ? `; ${number(node.macs)} MACs` : ""}`),
      s("rect", { x: left, y: top, width: BOX, height: HEIGHT, rx: node.kind === "operator" ? 6 : 20, fill: fill ?? "var(--card)" }),
      s("text", { class: "name", x: left + 9, y: top + 18 }, short(head, LETTERS - share.length)),
      s("text", { class: "small", x: left + BOX - 9, y: top + 18, "text-anchor": "end" }, share),
      s("text", { class: "small", x: left + 9, y: top + 34 }, short(second, LETTERS + 4)),
      s("text", { class: "small", x: left + 9, y: top + 50 }, short(third, LETTERS + 4)));
    group.addEventListener("click", () => this.#choose(i));
    group.addEventListener("keydown", (event) => this.#key(event, i));
    group.addEventListener("focus", () => this.#near(i));
    return group;
  }

  #choose(i) {
    this.boxes.forEach((box, n) => mark(box, "aria-current", n === i ? "true" : null));
    this.#to(i);
    this.chosen(this.nodes[i]);
  }

  /** The lines of the operator at hand are seen among the others. */
  #near(i) {
    for (const edge of this.edges) edge.classList.toggle("near", Number(edge.dataset.from) === i || Number(edge.dataset.to) === i);
  }

  #to(i) {
    mark(this.boxes[this.at], "tabindex", -1);
    this.at = i;
    mark(this.boxes[i], "tabindex", 0);
    this.boxes[i].focus({ preventScroll: true });
    this.boxes[i].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #key(event, i) {
    const level = this.made.levels[this.level.get(i)], place = level.indexOf(i), others = this.made.levels[this.level.get(i) + (event.key === "ArrowDown" ? 1 : -1)];
    const next = {
      ArrowDown: () => this.readers[i][0] ?? others?.[0],
      ArrowUp: () => this.sources[i][0] ?? others?.[0],
      ArrowLeft: () => level[place - 1],
      ArrowRight: () => level[place + 1],
      Home: () => 0,
      End: () => this.nodes.length - 1,
    }[event.key];
    if (event.key === "Enter" || event.key === " ") this.#choose(i);
    else if (!next) return;
    else if (next() !== undefined) this.#to(next());
    event.preventDefault();
  }
}

const percent = (share) => `${share >= 0.1 ? Math.round(100 * share) : (100 * share).toPrecision(2)} %`;
const short = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

/** What the colours mean. */
export function legend() {
  const steps = STEPS.slice(1).map(([least, fill]) => s("svg", { width: 34, height: 14, "aria-hidden": "true" }, s("rect", { width: 34, height: 14, fill, stroke: "var(--strong)" }, s("title", {}, `${100 * least} %`))));
  const words = STEPS.slice(1).map(([least]) => `${100 * least} %`);
  return h("p", { class: "legend" }, "share of the time, from:", steps.flatMap((step, i) => [step, words[i]]));
}
