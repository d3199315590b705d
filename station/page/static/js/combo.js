/* A field that finds names in a list: the ARIA pattern "combobox with a listbox", by mouse, finger and keyboard. */

import { h, mark, nextId } from "./dom.js";

const MOST = 60;

/** Those whose name has all the words, in their order; those that begin with the text come first. */
export function found(items, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = items.filter((item) => words.every((word) => item.name.toLowerCase().includes(word)));
  const first = (item) => (words.length && item.name.toLowerCase().startsWith(words[0]) ? 0 : 1);
  return fitting.sort((a, b) => first(a) - first(b));
}

export class Combo {
  /** `items()` -> [{name, note}]; `isChosen(name)`; `toggle(name)`: somebody chose it, or took it back. */
  constructor(label, { items, isChosen, toggle }) {
    Object.assign(this, { items, isChosen, toggle, at: -1 });
    const list = nextId("options");
    this.input = h("input", {
      type: "search", role: "combobox", "aria-expanded": "false", "aria-controls": list, "aria-autocomplete": "list", "aria-label": label,
      placeholder: label, autocomplete: "off", spellcheck: "false",
      on: { input: () => this.open(0), focus: () => this.open(-1), click: () => this.open(this.at), keydown: (event) => this.#key(event), blur: () => this.close() },
    });
    this.list = h("ul", { id: list, role: "listbox", class: "options", hidden: true, "aria-label": label, "aria-multiselectable": "true" });
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
    this.element = h("div", { class: "combo" }, this.input, this.list);
  }

  open(at) {
    const fitting = found(this.items(), this.input.value);
    this.shown = fitting.slice(0, MOST);
    this.at = Math.min(at, this.shown.length - 1);
    const more = fitting.length > MOST ? [h("li", { role: "presentation", class: "soft" }, `and ${fitting.length - MOST} more: type more letters`)] : [];
    const none = fitting.length ? [] : [h("li", { role: "presentation", class: "soft" }, "no tag has this in its name")];
    this.list.replaceChildren(...this.shown.map((item, i) => this.#option(item, i)), ...more, ...none);
    this.list.hidden = false;
    mark(this.input, "aria-expanded", "true");
    this.#point();
  }

  close() {
    this.list.hidden = true;
    this.at = -1;
    mark(this.input, "aria-expanded", "false");
    mark(this.input, "aria-activedescendant", null);
  }

  #option(item, i) {
    const chosen = this.isChosen(item.name);
    const sign = h("span", { class: "chosen", "aria-hidden": "true" }, chosen ? "✓" : "");
    const words = [sign, h("span", {}, item.name), h("span", {}, item.note)];
    return h("li", { role: "option", id: `${this.list.id}-${i}`, "aria-checked": chosen, on: { click: () => this.#choose(i) } }, words);
  }

  #choose(i) {
    this.toggle(this.shown[i].name);
    this.open(i);
  }

  #point() {
    this.shown.forEach((_, i) => mark(this.list.children[i], "aria-selected", i === this.at));
    const option = this.list.children[this.at];
    mark(this.input, "aria-activedescendant", option?.id);
    option?.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (steps) {
      if (this.list.hidden) this.open(0);
      else if (this.shown.length) this.at = (this.at + steps + this.shown.length) % this.shown.length;
      this.#point();
    } else if (event.key === "Enter" && this.at >= 0 && !this.list.hidden) this.#choose(this.at);
    else if (event.key === "Escape") {
      if (this.list.hidden) this.input.value = "";
      this.close();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
