/* The log of changes: its head, which proves all before it, and its newest lines. */

import { get } from "../api.js";
import { h, say } from "../dom.js";
import { Table, section } from "../table.js";
import { count, moment } from "../words.js";

const COLUMNS = [
  { head: "Number", cell: (line) => count(line.number) },
  { head: "When", cell: (line) => moment(line.time) },
  { head: "Who", cell: (line) => line.who },
  { head: "What", cell: (line) => line.what },
  { head: "Outcome", cell: (line) => line.outcome },
];

export const audit = {
  name: "audit",
  title: "Audit",
  make(context) {
    const head = h("p", { class: "hash" }), log = h("p", { class: "soft" });
    const table = new Table("Changes", COLUMNS, { key: (line) => String(line.number), none: "No change was logged yet." });
    context.every(5000, async () => {
      const found = await get("/api/audit", {}, context.signal);
      say(log, found.log ? `In ${found.log}. Keep the head elsewhere: \`rt-engine audit verify --head HASH\` then proves that nothing before it was changed, and nothing cut off.` : "This station keeps no log.");
      table.update(found.lines ?? []);
    });
    return {
      element: h("div", {}, section("Head of the log", h("div", { class: "card" }, head, log)), section("Newest changes", table.element)),
      update(status) {
        say(head, status.audit_number ? `${count(status.audit_number)}: ${status.audit_head}` : "nothing was changed yet");
      },
    };
  },
};
