/* Trends of chosen tags over minutes: a lane for each, one axis of time, one line that reads all of them. */

import { get } from "../api.js";
import { Combo } from "../combo.js";
import { h, keyed, say } from "../dom.js";
import { Lane } from "../lane.js";
import { Series } from "../series.js";
import { clock, number } from "../words.js";

const MOST = 8; // lanes; more are no longer read, and cost
const STEPS = 1200;
const SPANS = [["20 s", 20], ["1 min", 60], ["2 min", 120], ["5 min", 300], ["10 min", 600], ["30 min", 1800], ["1 hour", 3600], ["3 hours", 10800]];
const KNOWN = { steps_ms: [500], keeps_s: [600] }; // of a station that does not say
const EVERY_MS = 1000;
const AT_FIRST = 3;

export const trends = {
  name: "trends",
  title: "Trends",
  make: (context) => new Trends(context),
};

class Trends {
  constructor(context) {
    this.context = context;
    this.tags = [];
    this.chosen = context.query.getAll("tag").slice(0, MOST);
    this.seconds = Number(context.query.get("seconds")) || 300;
    this.series = new Map();
    this.lanes = new Map();
    this.cursor = null;
    this.combo = new Combo("Search tags", { items: () => this.tags, isChosen: (name) => this.chosen.includes(name), toggle: (name) => this.toggle(name) });
    this.spans = h("select", { "aria-label": "How long", on: { change: () => this.#span(Number(this.spans.value)) } });
    this.reading = h("p", { class: "reading", "aria-live": "polite" });
    this.lanesElement = h("div", { class: "lanes" });
    this.none = h("p", { class: "none card" }, "Choose a tag above: it is drawn from the values of every cycle, least and greatest of each step.");
    this.element = h("section", { "aria-label": "Trends" }, h("div", { class: "picker" }, this.combo.element, h("label", { class: "soft" }, "over ", this.spans)), this.reading, this.none, this.lanesElement);
    this.session();
    context.every(10000, () => this.#names());
    this.ask = context.every(EVERY_MS, () => this.#fetch());
    const resized = new ResizeObserver(() => this.draw());
    resized.observe(this.lanesElement);
    context.signal.addEventListener("abort", () => resized.disconnect());
  }

  /** Resolutions that the station has: {steps_ms, keeps_s}. */
  session() {
    this.kept = this.context.session?.trends ?? KNOWN;
    const most = Math.max(...this.kept.keeps_s);
    const offered = SPANS.filter(([, seconds]) => seconds <= most);
    if (!offered.some(([, seconds]) => seconds === this.seconds)) this.seconds = offered.at(-1)?.[1] ?? 60;
    this.spans.replaceChildren(...offered.map(([words, seconds]) => h("option", { value: seconds, selected: seconds === this.seconds }, words)));
    this.#resolve();
  }

  /** The finest step of which the chosen time has no more than can be shown, and that is kept so long. */
  #resolve() {
    const { steps_ms: steps, keeps_s: keeps } = this.kept;
    const fits = steps.filter((step, i) => keeps[i] >= this.seconds && (1000 * this.seconds) / step <= STEPS);
    const step = Math.min(...(fits.length ? fits : [Math.max(...steps)]));
    if (step !== this.step) this.series.clear();
    this.step = step;
  }

  #span(seconds) {
    this.seconds = seconds;
    this.cursor = null;
    this.#resolve();
    this.#changed();
  }

  toggle(name) {
    if (this.chosen.includes(name)) this.chosen = this.chosen.filter((one) => one !== name);
    else if (this.chosen.length < MOST) this.chosen = [...this.chosen, name];
    else this.context.trouble(`At most ${MOST} tags at once: remove one first.`);
    this.#changed();
  }

  /** What is chosen stands in the address, so that it can be kept and sent. */
  #changed() {
    const query = new URLSearchParams(this.chosen.map((tag) => ["tag", tag]));
    query.append("seconds", this.seconds);
    history.replaceState(null, "", `#trends?${query}`);
    this.draw();
    this.ask();
  }

  async #names() {
    const { tags } = await get("/api/tags", {}, this.context.signal);
    this.tags = tags.flatMap(({ name, direction, link, unit, values }) => {
      const note = [direction, link, unit].filter(Boolean).join(", ");
      return values.length > 1 ? values.map((_, i) => ({ name: `${name}[${i}]`, note })) : [{ name, note }];
    });
    if (!this.chosen.length && !this.context.query.has("seconds") && !this.begun) {
      this.chosen = this.tags.slice(0, AT_FIRST).map((tag) => tag.name);
      this.ask();
    }
    this.begun = true;
  }

  async #fetch() {
    if (!this.chosen.length) return;
    const step = this.step, wanted = this.chosen, most = Math.ceil((1000 * this.seconds) / step);
    const known = wanted.map((tag) => this.series.get(tag)?.next);
    const from = known.every((next) => next !== undefined) ? Math.min(...known) : undefined;
    const found = await get("/api/trends", { tag: wanted, step_ms: step, from }, this.context.signal);
    if (step !== this.step) return;
    for (const [tag, { unit, every_ms: every, low, high }] of Object.entries(found.tags)) {
      if (!this.series.has(tag)) this.series.set(tag, new Series(unit));
      const series = this.series.get(tag);
      series.every = Math.max(1, (every ?? 0) / step);
      series.add(found.first, low, high, most);
    }
    this.end = found.end ?? this.end;
    this.context.trouble(found.missing?.length ? `There is no tag ${found.missing.join(", ")}.` : "");
    this.draw();
  }

  draw() {
    this.none.hidden = this.chosen.length > 0;
    keyed(this.lanesElement, this.chosen, (tag) => tag, (tag) => {
      this.lanes.set(tag, new Lane(tag, { moved: (step) => this.#move(step), removed: () => this.toggle(tag) }));
      return this.lanes.get(tag).element;
    }, () => {});
    const ends = [...this.series.values()].map((series) => series.next ?? 0);
    const end = Math.max(this.end ?? 0, ...ends);
    const span = { begin: end - Math.ceil((1000 * this.seconds) / this.step), end, step_ms: this.step };
    for (const tag of this.chosen) this.lanes.get(tag).draw(this.series.get(tag) ?? new Series(), span, this.cursor);
  }

  #move(step) {
    this.cursor = step;
    this.draw();
    say(this.reading, step === null ? "" : `${clock(step * this.step)}: ${this.chosen.map((tag) => this.#read(tag, step)).join("; ")}`);
  }

  #read(tag, step) {
    const series = this.series.get(tag), value = series?.held(step);
    if (!value) return `${tag} nothing`;
    const [low, high] = value.map((one) => number(one, 5));
    return `${tag} ${low === high ? low : `${low} to ${high}`}${series.unit ? ` ${series.unit}` : ""}`;
  }

  theme() {
    this.draw();
  }
}
