/* A table that is kept up to date in place, and that a narrow screen shows as one block for each row. */

import { h, keyed, mark, nextId, say } from "./dom.js";
import { SIGNS, LEVELS } from "./words.js";

/**
 * `columns`: [{head, number, cell(row)}]. A cell is a text, or {text, level, sub, href, title, node}: `level` "ok", "warn", "bad" adds
 * a sign and its name for screen readers; `sub` stands below in small; `node` is an element, kept as long as it is the same.
 */
export class Table {
  constructor(label, columns, { key = (row) => row.name, none = "none" } = {}) {
    this.columns = columns;
    this.key = key;
    const caption = h("caption", { class: "hidden" }, label);
    const heads = columns.map((c) => h("th", { scope: "col", role: "columnheader", class: c.number ? "n" : null }, c.head));
    this.body = h("tbody", { role: "rowgroup" });
    this.table = h("table", { role: "table" }, caption, h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), this.body);
    this.none = h("p", { class: "none" }, none);
    this.element = h("div", { class: "card wide", tabindex: 0, role: "region", "aria-label": label }, this.table, this.none);
  }

  update(rows) {
    this.none.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
    keyed(this.body, rows, this.key, () => this.#row(), (row, item) => this.#fill(row, item));
  }

  #row() {
    const cells = this.columns.map((column, i) => {
      const head = column.head.toLowerCase();
      const names = { class: column.number ? "n" : null, "data-head": column.head, "data-column": head };
      return i ? h("td", { role: "cell", ...names }) : h("th", { scope: "row", role: "rowheader", ...names });
    });
    return h("tr", { role: "row" }, cells);
  }

  #fill(row, item) {
    mark(row, "data-row", this.key(item));
    this.columns.forEach((column, i) => fill(row.children[i], column.cell(item)));
  }
}

/** Bring a cell (any element) to what it should say. */
export function fill(cell, content) {
  const want = typeof content === "object" && content !== null ? content : { text: content };
  if (want.node) {
    if (cell.firstChild !== want.node) cell.replaceChildren(want.node);
    return;
  }
  const kind = `${want.href ? "a" : "span"}${want.sub === undefined ? "" : "+"}`;
  if (cell.dataset.kind !== kind) {
    cell.dataset.kind = kind;
    const value = want.href ? h("a", { class: "value" }) : h("span", { class: "value" });
    cell.replaceChildren(value, ...(want.sub === undefined ? [] : [h("small", { class: "sub" })]));
  }
  const value = cell.firstChild;
  const text = `${want.text ?? "-"}`;
  if (want.level) level(value, want.level, text);
  else {
    value.classList.remove("ok", "warn", "bad");
    say(value, text);
  }
  mark(value, "href", want.href);
  mark(value, "title", want.title);
  if (want.sub !== undefined) {
    say(cell.lastChild, want.sub);
    cell.lastChild.hidden = !want.sub;
  }
}

/** A word with its level: colour, a sign, and for screen readers the level's name. */
export function level(element, name, text) {
  if (element.dataset.says === `${name} ${text}`) return;
  element.dataset.says = `${name} ${text}`;
  element.classList.remove("ok", "warn", "bad");
  element.classList.add(name);
  const sign = h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[name]);
  element.replaceChildren(sign, h("span", { class: "hidden" }, `${LEVELS[name]}: `), h("span", { class: "words" }, text));
}

/** A part of a view with its heading. */
export function section(title, ...children) {
  const id = nextId("part");
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
}
