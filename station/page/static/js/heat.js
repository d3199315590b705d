/* A tensor as a heat map, with its statistics: what an operator gave for recorded inputs. */

import { h } from "./dom.js";
import { clock, count, number, shape } from "./words.js";

const MOST_WIDE = 256;
const FEW = 16; // numbers that are shown at once

/** Rows and columns of a picture: the last dimension lies across, all others stand one above the other; long ones are wrapped. */
export function folded(sizes, length) {
  const last = sizes?.length ? sizes.at(-1) : 1;
  const columns = last > 1 && last <= MOST_WIDE && length > last ? last : Math.min(length, sizes?.length > 1 && last > 1 ? Math.min(last, MOST_WIDE) : 64);
  return { columns: Math.max(1, columns), rows: Math.max(1, Math.ceil(length / Math.max(1, columns))) };
}

/** From blue over the ground to red, even steps of lightness; -1..1. The sign is seen in black and white too: dark is far from zero. */
export function heat(value) {
  const far = Math.min(1, Math.abs(value)), cold = [33, 87, 172], warm = [178, 42, 30], none = [247, 247, 245];
  const end = value < 0 ? cold : warm;
  return none.map((from, i) => Math.round(from + (end[i] - from) * far));
}

/** The panel for `tensor`, as /api/models/SLOT/tensor gives it. */
export function panel(tensor, node) {
  const numbers = tensor.values.map((value) => (typeof value === "number" ? value : null));
  const cut = (tensor.shape ?? []).reduce((product, size) => product * size, 1) - numbers.length;
  const facts = [
    ["shape", `${tensor.dtype ?? ""} ${shape(tensor.shape)}`], ["least", number(tensor.least)], ["greatest", number(tensor.greatest)], ["mean", number(tensor.mean)],
    ["deviation", number(tensor.deviation)], ["zeros", typeof tensor.zeros === "number" ? `${number(100 * tensor.zeros, 3)} %` : "-"], ["not finite", count(tensor.not_finite)], ["from", tensor.source ?? "-"],
    ["of", tensor.when ? clock(tensor.when) : "-"],
  ];
  const list = h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", { "data-fact": name }, h("dt", {}, name), h("dd", { class: name === "not finite" && tensor.not_finite ? "bad" : null }, value))));
  const note = cut > 0 ? h("p", { class: "soft" }, `The first ${count(numbers.length)} values; ${count(cut)} more are in the statistics only.`) : null;
  return [h("h3", {}, `${node.operator ?? node.name}`), h("p", { class: "soft" }, node.name ?? ""), picture(numbers, tensor, node), note, list, values(tensor)];
}

function picture(numbers, tensor, node) {
  const { columns, rows } = folded(tensor.shape, numbers.length), most = Math.max(...numbers.map((value) => Math.abs(value ?? 0)), 0);
  const size = Math.max(1, Math.min(32, Math.floor(344 / columns))), tall = Math.max(size, rows <= 8 ? 18 : 1); // a single row is seen too
  const label = `${node.name ?? node.operator}: ${count(rows)} rows of ${count(columns)}, from ${number(tensor.least, 4)} (blue) to ${number(tensor.greatest, 4)} (red)`;
  const canvas = h("canvas", { width: columns * size, height: rows * tall, role: "img", "aria-label": label });
  const pen = canvas.getContext("2d");
  numbers.forEach((value, i) => {
    const [x, y] = [(i % columns) * size, Math.floor(i / columns) * tall];
    pen.fillStyle = value === null ? "#000" : `rgb(${heat(most ? value / most : 0).join(" ")})`;
    pen.fillRect(x, y, size, tall);
    if (value === null && size >= 4) {
      pen.fillStyle = "#ffd400"; // what is not finite is seen in any row
      pen.fillRect(x + size / 4, y + tall / 4, size / 2, tall / 2);
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect(), i = Math.floor(((event.clientY - box.top) / box.height) * rows) * columns + Math.floor(((event.clientX - box.left) / box.width) * columns);
    canvas.title = i < numbers.length ? `[${i}] ${number(tensor.values[i])}` : "";
  });
  const scale = most ? h("p", { class: "soft" }, `blue −${number(most, 4)} · white 0 · red ${number(most, 4)}`) : h("p", { class: "soft" }, "all are zero");
  return h("figure", {}, canvas, scale);
}

/** The numbers themselves, for who wants them, and for who does not see pictures. */
function values(tensor) {
  const shown = tensor.values.slice(0, 256);
  const text = shown.map((value) => number(value, 5)).join("  ");
  return h("details", { open: tensor.values.length <= FEW }, h("summary", {}, "Numbers"), h("p", { class: "hash" }, text + (tensor.values.length > shown.length ? "  ..." : "")));
}
