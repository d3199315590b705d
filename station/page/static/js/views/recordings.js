/* The recorder, what it kept, and the command that replays it. */

import { get, post } from "../api.js";
import { h, keyed, say } from "../dom.js";
import { Table, section } from "../table.js";
import { bytes, count, long, moment } from "../words.js";

const lasted = (one) => (one.begin && one.end ? long((new Date(one.end) - new Date(one.begin)) / 1000) : "-");
const replayed = (one) => one.replay ?? `rt-engine replay ${one.name}`;
const commands = new Map();

/** A command that can be taken along with one touch. */
function command(text) {
  if (!commands.has(text)) {
    const button = h("button", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        say(button, "Copied");
      } catch {
        getSelection().selectAllChildren(button.previousSibling); // no clipboard without TLS: it is selected, to be copied by key
        say(button, "Selected");
      }
      setTimeout(() => say(button, "Copy"), 1500);
    });
    commands.set(text, h("span", { class: "command" }, h("code", {}, text), button));
  }
  return commands.get(text);
}

const COLUMNS = [
  { head: "Recording", cell: (one) => ({ text: one.name, sub: [one.tasks?.join(", "), one.is_open ? "being written" : ""].filter(Boolean).join("; ") }) },
  { head: "Why", cell: (one) => one.why || "-" },
  { head: "Begin", cell: (one) => moment(one.begin) },
  { head: "Length", number: true, cell: lasted },
  { head: "Size", number: true, cell: (one) => bytes(one.bytes) },
  { head: "Replay", cell: (one) => ({ node: command(replayed(one)) }) },
];

export const recordings = {
  name: "recordings",
  title: "Recordings",
  make(context) {
    const table = new Table("Recordings", COLUMNS, { none: "Nothing was recorded yet." });
    const facts = h("dl", { class: "facts" });
    const says = h("p", { role: "status" });
    const why = h("input", { type: "text", placeholder: "why (is kept with it)", "aria-label": "Why", maxlength: 200 });
    const record = async () => {
      try {
        say(says, (await post("/api/command/record", { why: why.value })).message);
        why.value = "";
        ask();
      } catch (error) {
        say(says, error.message);
      }
    };
    const now = h("p", { class: "command", hidden: true }, why, h("button", { type: "button", on: { click: record } }, "Keep what just happened"));
    const ask = context.every(3000, async () => {
      const { recorder, recordings: all } = await get("/api/recordings", {}, context.signal);
      table.update(all);
      const shown = new Set(all.map(replayed)); // a panel shows this for months, and files come and go
      for (const text of commands.keys()) if (!shown.has(text)) commands.delete(text);
      now.hidden = !context.rights("record");
      const told = recorder
        ? [["state", recorder.state], ["folder", recorder.folder], ["cycles lost", count(recorder.dropped)], ["trouble", recorder.trouble ?? ""]]
        : [["state", "this station records nothing: `[recorder]` in its file begins it"]];
      keyed(facts, told.filter(([, text]) => text), ([name]) => name, ([name]) => h("div", {}, h("dt", {}, name), h("dd")), (row, [name, text]) => {
        say(row.lastChild, text);
        row.lastChild.className = (name === "cycles lost" && recorder.dropped) || name === "trouble" ? "warn" : "";
      });
    });
    return { element: h("div", {}, section("Recorder", h("div", { class: "card" }, facts, now, says)), section("Recordings", table.element)) };
  },
};
