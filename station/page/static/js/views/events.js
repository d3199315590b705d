/* What happened, the newest first; by level and by words. */

import { get } from "../api.js";
import { h, say } from "../dom.js";
import { Table } from "../table.js";
import { clock, count, moment } from "../words.js";

const MOST = 500;
const COLUMNS = [
  { head: "When", cell: (event) => ({ text: clock(event.when), title: moment(event.when), sub: `${event.at_s.toFixed(2)} s` }) },
  { head: "Level", cell: (event) => ({ text: { ok: "good", warn: "warning", bad: "bad" }[event.level], level: event.level }) },
  { head: "What", cell: (event) => ({ text: event.kind, sub: event.subject }) },
  { head: "Happened", cell: (event) => event.text },
];

export const events = {
  name: "events",
  title: "Events",
  make(context) {
    const table = new Table("Events", COLUMNS, { key: (event) => String(event.number), none: "Nothing happened, or nothing that fits." });
    const search = h("input", { type: "search", placeholder: "Search words", "aria-label": "Search events" });
    const worse = h("input", { type: "checkbox" });
    const shown = h("p", { class: "soft", role: "status" });
    let all = [];
    let last = 0;
    const draw = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const text = (event) => `${event.kind} ${event.subject} ${event.text}`.toLowerCase();
      const fitting = all.filter((event) => (!worse.checked || event.level !== "ok") && words.every((word) => text(event).includes(word)));
      table.update(fitting);
      say(shown, fitting.length === all.length ? `${count(all.length)} events` : `${count(fitting.length)} of ${count(all.length)} events`);
    };
    const take = (found) => {
      const fresh = found.events.filter((event) => event.number > last).reverse();
      if (found.last < last) last = 0;
      all = [...fresh, ...all].slice(0, MOST);
      last = Math.max(last, found.last);
      draw();
    };
    const fetched = async () => take(await get("/api/events", { after: last }, context.signal));
    search.addEventListener("input", draw);
    worse.addEventListener("change", draw);
    context.every(5000, fetched);
    context.live.addEventListener("events", ({ detail }) => !context.isHeld() && last && take(detail), { signal: context.signal });
    const filters = h("div", { class: "filters" }, search, h("label", {}, worse, "warnings and worse"), shown);
    return { element: h("section", { "aria-label": "Events" }, filters, table.element) };
  },
};
