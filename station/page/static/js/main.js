/* The page: which view is shown, what stands above all of them, and the keys. */

import { Live, get, post } from "./api.js";
import { h, mark, say } from "./dom.js";
import { level } from "./table.js";
import { audit } from "./views/audit.js";
import { events } from "./views/events.js";
import { links } from "./views/links.js";
import { models } from "./views/models.js";
import { recordings } from "./views/recordings.js";
import { tasks } from "./views/tasks.js";
import { trends } from "./views/trends.js";
import { LEVELS, clock, long } from "./words.js";

/* A view: {name, title, make(context) -> {element, update(status), leave(), key(event)}}; all but the element may be missing. */
const VIEWS = [tasks, trends, links, models, events, recordings, audit];
const KEYS = [
  ...VIEWS.map((view, i) => [`${i + 1}`, view.title]),
  ["/", "Search: tags in Trends, words in Events"],
  ["p", "Pause, and go on: what is shown stays as it is"],
  ["d", "Colours: light, dark, as the system has them"],
  ["← →", "In a trend: move the line that reads values, 10 steps with Shift; Esc takes it away"],
  ["← ↑ → ↓", "In the graph of a model: from operator to operator; Enter shows its tensor"],
  ["?", "These keys"],
];
const at = (id) => document.getElementById(id);

const live = new Live();
const context = { session: null, held: false, trouble: () => {} };
let view = null;
let pid = null;
let frozen = "";
let told = "";

/** `fetched()` now and every so many ms, while its view is shown, the page is seen and nothing is held; ends with `signal`. */
function every(ms, signal, fetched) {
  let busy = false, troubled = false;
  const turn = async () => {
    if (busy || document.hidden || context.held || live.state !== "live") return;
    busy = true;
    try {
      await fetched();
      if (troubled) context.trouble("");
      troubled = false;
    } catch (error) {
      if (error.name === "AbortError" || error.status === 0) return; // left, or no connection, which is said above all views
      if (!("status" in error)) throw error;
      troubled = true;
      context.trouble(error.message);
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(turn, ms);
  live.addEventListener("state", turn, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
  turn();
  return turn;
}

/** May this viewer give the command? */
function rights(command) {
  return context.session?.commands?.includes(command) ?? false;
}

/** The hash as a view, what is behind it, and its parameters: `#models/axis?x=1`. */
function place() {
  const [path, query] = location.hash.slice(1).split("?");
  const [name, ...rest] = path.split("/").map((part) => decoded(part));
  return { name: VIEWS.some((one) => one.name === name) ? name : VIEWS[0].name, rest, query: new URLSearchParams(query ?? "") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function go(hash) {
  location.hash = hash;
}

function show() {
  const { name, rest, query } = place();
  if (view?.made.stay?.(name, rest)) return;
  view?.leaving.abort();
  const kind = VIEWS.find((one) => one.name === name);
  const leaving = new AbortController();
  const made = kind.make(given(rest, query, leaving.signal));
  view = { name, leaving, made };
  const trouble = h("p", { class: "trouble", role: "status", hidden: true });
  context.trouble = (text) => {
    trouble.hidden = !text;
    say(trouble, text);
  };
  const asking = h("p", { class: "none", id: "asking", hidden: Boolean(live.status) }, "Asking the station ...");
  const shown = { class: `view ${name}`, id: "view", "data-view": name, hidden: !live.status };
  at("main").replaceChildren(asking, h("div", shown, trouble, made.element));
  for (const link of document.querySelectorAll("nav.views a")) mark(link, "aria-current", link.dataset.view === name ? "page" : null);
  head();
  if (live.status) made.update?.(live.status);
}

/** What a view has of the page. */
function given(rest, query, signal) {
  return {
    ...{ live, go, rights, rest, query, signal },
    isHeld: () => context.held,
    every: (ms, fetched) => every(ms, signal, fetched),
    trouble: (text) => context.trouble(text),
    get session() {
      return context.session;
    },
  };
}

/** What stands above the views: the station, how it goes, and whether what is shown is new. */
function head() {
  const { state, status } = live;
  document.body.dataset.live = context.held && state === "live" ? "held" : state;
  if (status) {
    say(at("station"), status.station);
    const worst = status.verdict?.[0];
    if (worst) level(at("verdict"), worst.level, worst.text);
    at("verdict").hidden = !worst;
  }
  const running = status ? long(status.running_s) : "";
  const words = { waiting: "connecting", live: `live, running ${running}`, lost: "connection lost", stopped: "stopped", refused: "locked" };
  say(at("link-words"), context.held && state === "live" ? "paused" : words[state]);
  const title = VIEWS.find((one) => one.name === view?.name)?.title ?? "";
  document.title = `${["lost", "stopped"].includes(state) ? `(${state}) ` : ""}${title} - ${status?.station ?? "rt-engine"}`;
  banner(state);
  tell();
}

/** At once, and in words: that what is shown is old. */
function banner(state) {
  const since = clock(live.since), heard = live.heard ? `What is shown is from ${clock(live.heard)}.` : "";
  const texts = {
    lost: `No connection to the station since ${since}. ${heard} Trying again.`,
    stopped: `The station was stopped at ${since}. What is shown is its last state.`,
  };
  const text = texts[state] ?? (context.held ? `Paused: what is shown is from ${frozen}.` : "");
  const element = at("banner");
  element.hidden = !text;
  element.className = `banner ${state}`;
  if (element.dataset.says === text) return;
  element.dataset.says = text;
  element.replaceChildren(text, ...(state === "lost" ? [" ", h("button", { type: "button", on: { click: () => live.retry() } }, "Try now")] : []));
}

function hold() {
  context.held = !context.held;
  frozen = clock(Date.now());
  mark(at("hold"), "aria-pressed", context.held);
  say(at("hold"), context.held ? "Go on" : "Pause");
  head();
  if (!context.held) update();
}

function update() {
  if (context.held || !live.status) return;
  at("asking").hidden = true;
  at("view").hidden = false;
  view?.made.update?.(live.status);
}

function keyed(event) {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.ctrlKey || event.altKey || event.metaKey || (typing && event.key !== "Escape")) return;
  const number = Number(event.key);
  if (number >= 1 && number <= VIEWS.length) {
    go(VIEWS[number - 1].name);
    at("main").focus();
  } else if (event.key === "p") hold();
  else if (event.key === "d") at("theme").click();
  else if (event.key === "?") at("keys").showModal();
  else if (event.key === "/" && document.querySelector("main input[type=search]")) document.querySelector("main input[type=search]").focus();
  else return;
  event.preventDefault();
}

/** A station that was started again has nothing of what the one before had, and may have another page. */
function anew(status) {
  if (pid !== null && pid !== status.pid) location.reload();
  pid = status.pid;
}

/** For screen readers: how it goes, when that changes; not every number that moves. */
function tell() {
  const { state, status } = live, worst = status?.verdict?.[0];
  const words = state === "live" ? `${status.station} is live, ${worst ? `${LEVELS[worst.level]}: ${worst.text}` : ""}` : "";
  const kind = `${state} ${worst?.level}`;
  if (kind !== told && words) say(at("said"), words);
  told = kind;
}

async function session() {
  try {
    context.session = await get("/api/session");
    const { who, has_tokens: hasTokens } = context.session;
    at("who").hidden = !(hasTokens && who);
    say(at("who"), `${who}: log out`);
    view?.made.session?.();
  } catch {
    context.session = null; // nothing is allowed, and statistics go by their names
  }
}

function begin() {
  const nav = document.querySelector("nav.views");
  nav.append(...VIEWS.map((one, i) => h("a", { href: `#${one.name}`, "data-view": one.name, "aria-keyshortcuts": i + 1 }, one.title)));
  document.querySelector("dl.keys").append(...KEYS.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]));
  at("who").addEventListener("click", async () => {
    await post("/logout");
    location.assign("/login");
  });
  at("hold").addEventListener("click", hold);
  at("help").addEventListener("click", () => at("keys").showModal());
  document.addEventListener("keydown", keyed);
  window.addEventListener("hashchange", show);
  window.addEventListener("themechange", () => view?.made.theme?.());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.made.theme?.());
  live.addEventListener("status", ({ detail }) => {
    anew(detail);
    head();
    update();
  });
  live.addEventListener("state", ({ detail }) => {
    head();
    if (detail === "refused") location.assign(`/login${location.hash}`);
  });
  session();
  show();
  head();
  live.start();
}

begin();
