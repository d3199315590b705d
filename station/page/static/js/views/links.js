/* Links: where they go, whether they are up, how long a round trip takes; servers; how fast the station reacts. */

import { get } from "../api.js";
import { h, keyed } from "../dom.js";
import { Histogram } from "../histogram.js";
import { Table, section } from "../table.js";
import { count, duration, spread } from "../words.js";

const STATES = { up: "ok", stopped: "warn", degraded: "warn", connecting: "warn", down: "bad" };

/** The state of a link in words, and how bad that is. */
export function linkState(link) {
  const never = !link.reads && !link.writes;
  return { text: never && link.state !== "up" ? `${link.state}, never up` : link.state, level: STATES[link.state] ?? "warn", sub: link.state === "up" ? link.note ?? "" : [link.last_error, link.note].filter(Boolean).join("; ") };
}

const fault = (number) => ({ text: count(number), level: number ? "warn" : null });
const LINKS = [
  { head: "Link", cell: (link) => link.name },
  { head: "Device", cell: (link) => link.device },
  { head: "State", cell: linkState },
  { head: "Round trip p50/p99/max", number: true, cell: (link) => spread(link.round_trip) },
  { head: "Reads", number: true, cell: (link) => count(link.reads) },
  { head: "Writes", number: true, cell: (link) => count(link.writes) },
  { head: "Errors", number: true, cell: (link) => fault(link.errors) },
  { head: "Lost", number: true, cell: (link) => ({ ...fault(link.reconnects), sub: link.lost_reason ?? "" }) },
  { head: "Safe writes", number: true, cell: (link) => count(link.safe_writes) },
];
const REACTIONS = [
  { head: "Task", cell: (task) => task.name },
  { head: "Cycle", number: true, cell: (task) => duration(task.cycle_ns) },
  { head: "Counted", number: true, cell: (task) => count(task.reaction?.count) },
  ...[["p50", "p50_ns"], ["p99", "p99_ns"], ["p99.9", "p99_9_ns"], ["Longest", "max_ns"]].map(([head, key]) => ({
    head,
    number: true,
    cell: (task) => (task.reaction?.count ? duration(task.reaction[key]) : "-"),
  })),
];
const TELLING = ["stored_records", "dropped_records", "dropped_commands", "left_out_looks"];

/** What of a server is not as it should be, in the words of the terminal (`ServerView.note`); empty: all is well. */
export function serverNote(server) {
  const told = TELLING.filter((name) => server.numbers?.[name]).map((name) => `${count(server.numbers[name])} ${name.replaceAll("_", " ")}`);
  return [told.join(", "), server.trouble].filter(Boolean).join("; ");
}

const SERVERS = [
  { head: "Server", cell: (server) => server.name },
  { head: "Address", cell: (server) => ({ text: server.address, level: server.trouble ? "warn" : null, sub: serverNote(server) }) },
  { head: "Clients", number: true, cell: (server) => count(server.clients) },
  { head: "Requests", number: true, cell: (server) => count(server.requests) },
  { head: "Refused", number: true, cell: (server) => fault(server.refused) },
];

export const links = {
  name: "links",
  title: "Links",
  make(context) {
    const table = new Table("Links", LINKS, { none: "This station has no links." });
    const reactions = new Table("Reaction times", REACTIONS, { none: "No task." });
    const servers = new Table("Servers", SERVERS, { none: "This station serves nobody." });
    const pictures = h("div", { class: "pair" });
    const drawn = new Map();
    let names = [];
    const ask = context.every(2000, async () => {
      const found = await get("/api/histograms", {}, context.signal);
      keyed(pictures, names, (name) => name, (name) => {
        drawn.set(name, new Histogram(`${name}: round trip`));
        return drawn.get(name).element;
      }, (_, name) => drawn.get(name).update((found[name] ?? []).find((picture) => picture.title.toLowerCase().includes("round")) ?? found[name]?.[0]));
    });
    const hint = h("p", { class: "soft" }, "From when inputs came to when outputs computed from them were sent; counted where the exchange is native.");
    return {
      element: h("div", {}, section("Links", table.element, pictures), section("Reaction times", hint, reactions.element), section("Servers", servers.element)),
      update(status) {
        const first = !names.length;
        names = status.links.map((link) => link.name);
        if (first) ask();
        table.update(status.links);
        reactions.update(status.tasks);
        servers.update(status.servers);
      },
    };
  },
};
