/* What the page asks of the station, and nothing else asks: every route, what comes back, and what a refusal means.

All GET unless it says POST; JSON; same origin; times in nanoseconds where a name ends in _ns, else UTC as ISO text. Numbers
that JSON has not are the texts "NaN", "Infinity", "-Infinity". A key that is missing is shown as "-", never as 0.

  /                           static/index.html; /static/NAME: the files here; /login: static/login.html, where tokens are wanted (it needs
                              page.css, icon.svg, js/theme.js, js/login.js, js/api.js, js/dom.js)
  POST /login {token}         204 and a cookie (HttpOnly, SameSite=Strict) | 401 {error}.     POST /logout  204
  /api/session                {who, commands: ["record", "commit", "rollback", "reset-state"...]}: what this viewer may do;
                              statistics: {task: [{name, heading, meaning, is_fault, is_live}], link: [..]}: the words for what is counted;
                              trends: {steps_ms: [..], keeps_s: [..]}: resolutions that /api/trends has, and how long each
  /api/status                 a `Snapshot` as `rt-engine status --json` (tasks, links, servers, models, changes, rights, audit_*),
                              and beside it: verdict: [{level, text}], now: UTC
  /api/histograms             {task or link: [{title, timing: Latency, bars: [{low_ns, high_ns, count}]}]} as the report has them
  /api/tags?name=PATTERN      {tags: [TagView]}
  /api/trends?tag=A&tag=B&step_ms=500&from=N
                              {step_ms, first, end: the number of the step that is not whole yet, missing: [tags that there are not], tags: {A: {unit, every_ms, low: [..], high: [..]}}}: least and
                              greatest in each step, full rate behind it; bucket `first` + i holds the time [(first + i) * step_ms,
                              (first + i + 1) * step_ms) of UTC in milliseconds; only whole buckets, from number N on (the page asks for what
                              it lacks), the newest 1,200 at most; null where there was nothing (a gap stays a gap);
                              every_ms: from one value to the next (of a slow task that is longer than a step)
  /api/events?after=N         {last, events: [{number, at_s, when, kind, subject, text, level}]}: the newest 500 after N
  /api/models                 {models: [{slot, file, sha256, version, inputs: [{name, dtype, shape}], outputs: [..], tasks: [..]}]}
  /api/models/SLOT/graph      {version, runs, total_ns, nodes: [{id, kind: "input"|"operator"|"output", name, operator, dtype, shape,
                              kernels, ns, share, macs, weight_bytes}], edges: [[from id, to id]]}
  /api/models/SLOT/tensor?node=ID
                              {node, name, tick_ns, when, source, dtype, shape, values: [the first 4,096, flat], least, greatest,
                              mean, deviation, zeros: share of 0..1, not_finite}: computed from recorded or newest inputs, never in the cycle
  /api/recordings             {recorder: {state, folder, quota_bytes, used_bytes, dropped}, recordings: [{name, tasks, begin, end,
                              bytes, why, is_open, replay: "rt-engine replay FILE"}]}
  /api/audit                  {number, head, log, lines: [{number, time, who, what, outcome}]}: the newest 50
  POST /api/command/NAME {..} record {why}, commit {slot}, rollback {slot}, reset-state {task}: 200 {message} | 403, 404, 422 {error}
  /api/stream                 text/event-stream. event: status (data as /api/status, about once a second, made once for all viewers);
                              event: events (data as /api/events); event: end (the station was stopped; no more will come)
*/

const PATIENCE_MS = 3500; // the station speaks about once a second
const ASLEEP_MS = 5000; // a tab that nobody sees lets its connection go: a browser has six for all tabs of a station
const AGAIN_MS = [500, 1000, 2000, 4000];

/** A refusal of the station: `status` is HTTP's, 0 where nobody answered; the message is for people. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The JSON at `path`; `parameters` may hold lists. Throws `Refused`. */
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) query.append(name, one);
  }
  const text = query.toString();
  return answer(fetch(text ? `${path}?${text}` : path, { signal, cache: "no-store", credentials: "same-origin" }));
}

/** Send JSON; what comes back, or null where nothing does. Throws `Refused`. */
export function post(path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  return answer(fetch(path, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin" }));
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the station does not answer");
  }
  if (response.status === 204) return null;
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error; // who asked has left while the answer came
    if (response.ok) throw new Refused(0, "the answer of the station has broken off");
    /* a refusal without words */
  }
  if (!response.ok) throw new Refused(response.status, body?.error ?? `the station answers ${response.status}`);
  return body;
}

/**
 * The station's stream. `state`: waiting (for the first word), live, lost (nothing heard for a while), stopped (it said so),
 * refused (a token is wanted). Events: "state", "status" (`status` is new), "events" (detail: what came).
 */
export class Live extends EventTarget {
  state = "waiting";
  status = null;
  since = Date.now(); // of `state`
  heard = 0; // when `status` came
  #source = null;
  #tries = 0;
  #again = 0;
  #sleep = 0;

  start() {
    this.#open();
    setInterval(() => this.#look(), 500);
    window.addEventListener("pagehide", () => this.#source?.close()); // a page that the browser keeps for later listens to nothing
    window.addEventListener("pageshow", (event) => event.persisted && this.retry());
    document.addEventListener("visibilitychange", () => this.#seen(!document.hidden));
  }

  #seen(isSeen) {
    clearTimeout(this.#sleep);
    if (!isSeen) this.#sleep = setTimeout(() => this.#nap(), ASLEEP_MS);
    else if (this.#source?.readyState === EventSource.CLOSED) {
      if (this.state === "live") this.#to("waiting");
      this.retry();
    }
  }

  #nap() {
    clearTimeout(this.#again);
    this.#source?.close();
    if (this.state === "live") this.#to("waiting");
  }

  /** Try at once: a token was given, or somebody pressed the button. */
  retry() {
    clearTimeout(this.#again);
    this.#tries = 0;
    this.#open();
  }

  #open() {
    this.#source?.close();
    const source = (this.#source = new EventSource("/api/stream"));
    source.addEventListener("status", (event) => this.#told(JSON.parse(event.data)));
    source.addEventListener("events", (event) => this.#send("events", JSON.parse(event.data)));
    source.addEventListener("end", () => {
      source.close();
      this.#to("stopped");
      this.#later();
    });
    source.addEventListener("error", () => {
      source.close();
      if (this.state === "live") this.#to("lost");
      this.#why();
    });
  }

  #told(status) {
    this.status = status;
    this.heard = Date.now();
    this.#tries = 0;
    this.#to("live");
    this.#send("status", status);
  }

  /** A stream does not say why it was refused; the status does. */
  async #why() {
    try {
      await get("/api/session");
    } catch (error) {
      if (error.status === 401 || error.status === 403) return this.#to("refused");
    }
    if (this.state === "waiting") this.#to("lost");
    this.#later();
  }

  #later() {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#open(), AGAIN_MS[Math.min(this.#tries, AGAIN_MS.length - 1)]);
    this.#tries += 1;
  }

  #look() {
    if (this.state === "live" && Date.now() - this.heard > PATIENCE_MS) this.#to("lost");
  }

  #to(state) {
    if (state === this.state) return;
    this.state = state;
    this.since = Date.now();
    this.#send("state", state);
  }

  #send(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
