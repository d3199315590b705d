/* Tasks and their deadlines: one row for each, the histograms of the chosen one, and everything that was counted. */

import { get } from "../api.js";
import { h, keyed, mark, say } from "../dom.js";
import { Histogram } from "../histogram.js";
import { Table, fill, level, section } from "../table.js";
import { count, duration, plural, spread } from "../words.js";

/** How a task does, in words, and how bad that is. */
export function doing(task) {
  if (task.is_hung) return ["bad", "hung: it stopped inside a cycle, its outputs were taken from it"];
  const unlive = (task.counters.safe ?? 0) + (task.counters.held ?? 0);
  if (!task.cycles) return ["warn", "has not had a cycle yet"];
  if (unlive >= task.cycles) return ["bad", task.note || "its outputs were never live"];
  if (task.note) return ["warn", task.note];
  if (task.overruns) return ["warn", `missed ${plural(task.overruns, "deadline")}`];
  return ["ok", "keeps its deadlines"];
}

const safe = (task) => (task.counters.safe ?? 0) + (task.counters.held ?? 0);
const fault = (number, bad = "warn") => ({ text: count(number), level: number ? bad : null });

const COLUMNS = [
  { head: "Task", cell: (task) => ({ text: task.name, href: `#tasks/${encodeURIComponent(task.name)}` }) },
  { head: "State", cell: (task) => ({ text: doing(task)[1], level: doing(task)[0] }) },
  { head: "Model", cell: (task) => (task.model ? `${task.model} v${task.model_version}` : "-") },
  { head: "Cycles", number: true, cell: (task) => count(task.cycles) },
  { head: "Overruns", number: true, cell: (task) => fault(task.overruns) },
  { head: "Missed", number: true, cell: (task) => fault(task.counters.missed) },
  { head: "Safe, held", number: true, cell: (task) => ({ text: count(safe(task)), level: safe(task) > task.starting ? "warn" : null }) },
  { head: "Run, of its cycle", cell: (task) => ({ node: bar(task) }) },
];

const bars = new Map();

/** How much of the cycle a run takes: the 99th percentile as a bar, the longest as a line; median, 99th percentile and longest below. */
function bar(task) {
  if (!bars.has(task.name)) {
    const meter = h("span", { class: "meter", role: "img" }, h("span", { class: "meter-bar" }), h("span", { class: "meter-max" }));
    bars.set(task.name, h("span", { class: "deadline" }, meter, h("small", { class: "sub" })));
  }
  const [meter, says] = bars.get(task.name).children;
  const share = (ns) => Math.min(1, Math.max(0.004, ns / task.cycle_ns));
  meter.firstChild.style.inlineSize = `${100 * share(task.execution.p99_ns)}%`;
  meter.lastChild.style.insetInlineStart = `${100 * share(task.execution.max_ns)}%`;
  meter.classList.toggle("over", task.execution.max_ns > task.cycle_ns);
  const percent = (ns) => `${Number(((100 * ns) / task.cycle_ns).toPrecision(2))} %`;
  const words = `p99 ${percent(task.execution.p99_ns)}, longest ${percent(task.execution.max_ns)} of the cycle`;
  mark(meter, "aria-label", words);
  mark(meter, "title", words);
  say(says, task.execution.count ? `${spread(task.execution)} of ${duration(task.cycle_ns)}` : `cycle ${duration(task.cycle_ns)}`);
  return bars.get(task.name);
}

export const tasks = {
  name: "tasks",
  title: "Tasks",
  make(context) {
    const table = new Table("Tasks", COLUMNS, { none: "This station has no tasks." });
    const detail = h("div", { class: "detail" });
    const rights = h("ul", { class: "rights" });
    const granted = section("What the system did not grant", rights);
    const verdict = h("ul", { class: "verdicts" });
    const panel = new Panel(context, detail);
    return {
      element: h("div", {}, verdict, section("Tasks", table.element), detail, granted),
      stay: (name, rest) => name === "tasks" && panel.choose(rest[0]),
      update(status) {
        keyed(verdict, (status.verdict ?? []).slice(1), (remark) => remark.text, () => h("li"), (item, remark) => level(item, remark.level, remark.text));
        verdict.hidden = !verdict.childElementCount;
        table.update(status.tasks);
        panel.update(status);
        granted.hidden = !status.rights?.length;
        keyed(rights, status.rights ?? [], (text) => text, () => h("li"), say);
      },
    };
  },
};

/** The chosen task: its histograms, and all that it counted. */
class Panel {
  constructor(context, element) {
    this.context = context;
    this.wanted = context.rest[0];
    this.title = h("h2", { id: "task-title", tabindex: -1 });
    this.says = h("p", { class: "says" });
    this.pictures = { "wake-up": new Histogram("Wake-up: how late"), run: new Histogram("Run: how long"), reaction: new Histogram("Reaction: from input to output") };
    this.counters = h("dl", { class: "counters" });
    const pictures = h("div", { class: "pair" }, Object.values(this.pictures).map((picture) => picture.element));
    element.append(h("section", { "aria-labelledby": "task-title" }, this.title, this.says, pictures, h("h3", {}, "Counted since the start"), this.counters));
    this.ask = context.every(2000, () => this.#pictures());
  }

  /** Show another task; true: it is done. */
  choose(name) {
    this.wanted = name;
    if (this.status) this.update(this.status);
    this.ask();
    this.title.focus({ preventScroll: false });
    return true;
  }

  update(status) {
    this.status = status;
    const task = (this.task = status.tasks.find((one) => one.name === this.wanted) ?? status.tasks[0]);
    this.title.parentElement.hidden = !task;
    if (!task) return;
    say(this.title, task.name);
    level(this.says, ...doing(task));
    const words = this.context.session?.statistics?.task ?? [];
    const named = Object.fromEntries(words.map((one) => [one.name, one]));
    const all = [["cycles", task.cycles], ["overruns", task.overruns], ...Object.entries(task.counters)];
    keyed(this.counters, all, ([name]) => name, ([name]) => counter(name, named[name]), (row, [name, n]) => {
      fill(row.lastChild, named[name]?.is_fault ? fault(n) : count(n));
    });
    if (task.monitor) this.#monitor(task.monitor);
  }

  #monitor(monitor) {
    const text = monitor.speaks ? "the monitor speaks against the model" : "the monitor is content";
    const value = `value ${monitor.value ?? "no number"}, largest ${monitor.largest ?? "-"}${monitor.worst ? `, ${monitor.worst} is furthest out` : ""}`;
    level(this.says, monitor.speaks ? "warn" : doing(this.task)[0], `${doing(this.task)[1]}; ${text}: ${value}`);
  }

  async #pictures() {
    const found = await get("/api/histograms", {}, this.context.signal);
    if (!this.task) return;
    const own = found[this.task.name] ?? [];
    const of = (words) => own.find((picture) => words.some((word) => picture.title.toLowerCase().includes(word)));
    this.pictures["wake-up"].update(of(["wake"]));
    this.pictures.run.update(of(["run", "execution"]), ["the cycle", this.task.cycle_ns]);
    this.pictures.reaction.update(of(["reaction"]));
    const reacts = Boolean(of(["reaction"])?.bars.length);
    this.pictures.reaction.element.hidden = !reacts;
  }
}

function counter(name, words) {
  const meaning = words?.meaning || words?.heading?.replace("-\n", "").replace("\n", " ") || name.replaceAll("_", " ");
  return h("div", { "data-counter": name }, h("dt", {}, meaning), h("dd"));
}
