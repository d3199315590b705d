/* Models: what each slot runs, the change that is under way, how far two versions lie apart; and the graph of one. */

import { get, post } from "../api.js";
import { h, keyed, mark, say } from "../dom.js";
import { Graph, legend } from "../graph.js";
import { panel } from "../heat.js";
import { apart } from "../histogram.js";
import { Table, level } from "../table.js";
import { count, duration, long, moment, number, plural, shape } from "../words.js";

/** The states of a change: `rt_engine.change.ChangeState`, by name or by number. */
const STATES = ["none", "staged", "gate", "shadow", "trial", "committed", "rejected", "rolled_back"];
const WORDS = {
  staged: ["warn", "staged"], gate: ["warn", "in the gate"], shadow: ["warn", "in shadow"], trial: ["warn", "on trial"],
  committed: ["ok", "committed"], rejected: ["bad", "rejected"], rolled_back: ["bad", "rolled back"],
};
const stateOf = (change) => (typeof change?.state === "number" ? STATES[change.state] : String(change?.state ?? "none").toLowerCase());

const DIFFERENCES = [
  { head: "Output", cell: (one) => one.output },
  { head: "Task", cell: (one) => one.task },
  { head: "Compared", number: true, cell: (one) => count(one.compared) },
  { head: "Furthest apart", number: true, cell: (one) => number(one.largest) },
  { head: "Tolerance", number: true, cell: (one) => (one.tolerance === null ? "-" : number(one.tolerance)) },
  { head: "Beyond", number: true, cell: (one) => ({ text: count(one.beyond), level: one.beyond ? "warn" : null }) },
  { head: "Not finite", number: true, cell: (one) => ({ text: count(one.not_finite), level: one.not_finite ? "warn" : null }) },
];

export const models = {
  name: "models",
  title: "Models",
  make: (context) => (context.rest[0] ? new OneModel(context, context.rest[0]) : new AllModels(context)),
};

class AllModels {
  constructor(context) {
    this.context = context;
    this.found = new Map();
    this.slots = new Map();
    this.list = h("div");
    this.none = h("p", { class: "none card" }, "This station has no models.");
    this.element = h("section", { "aria-label": "Models" }, this.none, this.list);
    context.every(5000, async () => {
      const { models: all } = await get("/api/models", {}, context.signal);
      this.found = new Map(all.map((model) => [model.slot, model]));
    });
  }

  update(status) {
    const names = Object.keys(status.models);
    this.none.hidden = names.length > 0;
    keyed(this.list, names, (name) => name, (name) => {
      this.slots.set(name, new Slot(name, this.context));
      return this.slots.get(name).element;
    }, (_, name) => this.slots.get(name).update(status, this.found.get(name)));
  }
}

/** What one slot runs. */
class Slot {
  constructor(name, context) {
    this.name = name;
    this.context = context;
    this.facts = h("dl", { class: "facts" });
    this.change = new Change(name, context);
    this.version = h("span", { class: "soft" });
    const graph = h("a", { href: `#models/${encodeURIComponent(name)}` }, "Graph and tensors");
    this.element = h("article", { class: "card slot", "data-slot": name }, h("header", {}, h("h3", {}, name), this.version, graph), this.facts, this.change.element);
  }

  update(status, model) {
    const change = status.changes?.find((one) => one.slot === this.name);
    const users = status.tasks.filter((task) => task.model === this.name);
    say(this.version, `version ${change?.version ?? users[0]?.model_version ?? model?.version ?? "-"}`);
    const ends = (specs) => specs?.map((one) => `${one.name} ${one.dtype ?? ""} ${shape(one.shape)}`.trim()).join(", ") || "-";
    const facts = [["file", status.models[this.name]], ["SHA-256", model?.sha256 || "-"], ["run by", users.map((task) => task.name).join(", ") || model?.tasks?.join(", ") || "no task"]];
    if (model?.inputs) facts.push(["inputs", ends(model.inputs)], ["outputs", ends(model.outputs)]);
    keyed(this.facts, facts, ([name]) => name, ([name]) => h("div", {}, h("dt", {}, name), h("dd")), (row, [, text]) => say(row.lastChild, text));
    this.change.update(change);
  }
}

/** The newest change of a slot: its state in words, how long it lasts still, what was compared. */
class Change {
  constructor(slot, context) {
    this.slot = slot;
    this.context = context;
    this.state = h("p", { class: "state" });
    this.reason = h("p");
    this.counts = h("p", { class: "soft" });
    this.table = new Table(`${slot}: old and new version on the same inputs`, DIFFERENCES, { key: (one) => `${one.task} ${one.output}` });
    this.pictures = h("div", { class: "pair" });
    this.says = h("p", { role: "status" });
    const button = (command, words) => h("button", { type: "button", "data-command": command, on: { click: () => this.#command(command) } }, words);
    this.buttons = h("p", { class: "command" }, button("commit", "Let it go on"), button("rollback", "Take it back"));
    this.element = h("div", { class: "change" }, this.state, this.reason, this.counts, this.buttons, this.says, this.table.element, this.pictures);
  }

  update(change) {
    const state = stateOf(change);
    this.element.hidden = state === "none";
    if (state === "none") return;
    const [name, words] = WORDS[state] ?? ["warn", state];
    const left = change.left_ns >= 0 ? `, ${change.left_ns >= 120e9 ? long(change.left_ns / 1e9) : duration(change.left_ns)} left` : "";
    level(this.state, name, `${change.file || "a new version"} is ${words}${left}`);
    this.element.classList.remove("ok", "warn", "bad");
    this.element.classList.add(name);
    say(this.reason, change.reason);
    say(this.counts, `since ${moment(1000 * change.since)}${change.who ? `, by ${change.who}` : ""}; ${plural(change.cycles, "cycle")} compared, ${count(change.skipped)} skipped, ${plural(change.disagreements, "value")} beyond tolerance`);
    for (const button of this.buttons.children) button.hidden = !this.context.rights(button.dataset.command) || (button.dataset.command === "commit" && !["shadow", "trial"].includes(state));
    this.table.element.hidden = !change.differences.length;
    this.table.update(change.differences);
    const seen = JSON.stringify(change.differences);
    if (seen !== this.seen) this.pictures.replaceChildren(...change.differences.map((one) => h("figure", { class: "card" }, h("h3", {}, `${one.output}: how far apart`), apart(one))));
    this.seen = seen;
  }

  async #command(command) {
    try {
      say(this.says, (await post(`/api/command/${command}`, { slot: this.slot })).message);
    } catch (error) {
      say(this.says, error.message);
    }
  }
}

/** The graph of one model, and the tensor of the operator that is chosen in it. */
class OneModel {
  constructor(context, slot) {
    this.context = context;
    this.slot = slot;
    this.summary = h("p", { class: "soft" }, "Running the model beside the tasks, to see where its time goes ...");
    this.graph = h("div", { class: "graph" });
    this.heat = h("aside", { class: "card heat", "aria-label": "Tensor", "aria-live": "off", hidden: true });
    const back = h("p", {}, h("a", { href: "#models" }, "← all models"));
    this.element = h("section", { "aria-labelledby": "graph-title" }, h("h2", { id: "graph-title" }, slot), back, this.summary, legend(), this.graph);
    this.#load();
    context.every(2000, () => this.node && this.#tensor(this.node));
  }

  async #load() {
    try {
      const found = await get(`/api/models/${encodeURIComponent(this.slot)}/graph`, {}, this.context.signal);
      const total = found.nodes.filter((node) => node.kind === "operator").length;
      say(this.summary, `Version ${found.version}: ${plural(total, "operator")}, ${duration(found.total_ns)} for one run${found.runs ? `, of ${plural(found.runs, "run")}` : ""}; measured beside the tasks, not in them.`);
      this.drawn = new Graph(found, (node) => this.#choose(node));
      this.graph.replaceChildren(this.drawn.element, this.heat);
    } catch (error) {
      if (error.name !== "AbortError") level(this.summary, "warn", `No graph: ${error.message}`);
    }
  }

  #choose(node) {
    this.node = node;
    this.heat.hidden = false;
    this.graph.classList.add("open");
    if (this.shown !== node) this.heat.replaceChildren(h("h3", {}, node.operator ?? node.name), h("p", { class: "soft" }, "computing ..."));
    this.#tensor(node);
  }

  async #tensor(node) {
    try {
      const tensor = await get(`/api/models/${encodeURIComponent(this.slot)}/tensor`, { node: node.id }, this.context.signal);
      if (node !== this.node) return;
      const open = this.heat.querySelector("details")?.open;
      this.heat.replaceChildren(...panel(tensor, node).filter(Boolean));
      if (open !== undefined) this.heat.querySelector("details").open = open;
      mark(this.heat, "data-node", node.id);
    } catch (error) {
      if (error.name !== "AbortError" && node === this.node) this.heat.replaceChildren(h("h3", {}, node.operator ?? node.name), h("p", { class: "warn" }, error.message));
    }
    this.shown = node;
  }
}
