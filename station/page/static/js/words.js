/* Numbers, times and levels as people read them. Pure. */

/** `-` for what is not known; thousands with commas. */
export function count(number) {
  return typeof number === "number" ? number.toLocaleString("en-US") : "-";
}

/** A number of up to six digits, as the report has it; the texts that stand for NaN and infinity stay as they are. */
export function number(value, digits = 6) {
  if (typeof value === "string") return value;
  if (typeof value !== "number") return "-";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const text = value.toPrecision(digits);
  return text.includes("e") ? text.replace(/\.?0+e/, "e") : text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

const UNITS = [["s", 1e9], ["ms", 1e6], ["us", 1e3], ["ns", 1]];

/** `12.5 us`; the unit that gives a number of at least one. */
export function duration(ns, digits = 3) {
  if (typeof ns !== "number") return "-";
  if (ns === 0) return "0 ns";
  if (ns >= 120e9) return long(ns / 1e9);
  const [unit, size] = UNITS.find(([, least]) => Math.abs(ns) >= least) ?? UNITS[3];
  return `${number(Number((ns / size).toPrecision(digits)))} ${unit}`;
}

/** `3 min 20 s`, `2 h 5 min`, `4 days 3 h`. */
export function long(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [[86400, "days"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  if (first < 0) return "0 s";
  const [size, unit] = parts[first];
  const rest = parts[first + 1] ? Math.floor((whole % size) / parts[first + 1][0]) : 0;
  const head = `${Math.floor(whole / size)} ${whole < 2 * size && unit === "days" ? "day" : unit}`;
  return rest ? `${head} ${rest} ${parts[first + 1][1]}` : head;
}

/** `30 / 61 / 257 us`: median, 99th percentile and maximum of a latency; `-` when nothing was counted. */
export function spread(timing) {
  if (!timing?.count) return "-";
  const texts = [timing.p50_ns, timing.p99_ns, timing.max_ns].map((ns) => duration(ns));
  const units = new Set(texts.map((text) => text.split(" ")[1]));
  return units.size > 1 ? texts.join(" / ") : `${texts.map((text) => text.split(" ")[0]).join(" / ")} ${[...units][0]}`;
}

/** `12:03:11` of a moment: a Date, ISO text or milliseconds. */
export function clock(when) {
  const date = new Date(when);
  if (Number.isNaN(date.getTime())) return "-";
  return date.toLocaleTimeString("en-GB", { hour12: false });
}

/** `2026-11-28 12:03:11`. */
export function moment(when) {
  const date = new Date(when);
  if (Number.isNaN(date.getTime())) return "-";
  const two = (value) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}

/** `1.5 MB`. */
export function bytes(size) {
  if (typeof size !== "number") return "-";
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(size, 1)) / 3)));
  return `${number(Number((size / 1000 ** step).toPrecision(3)))} ${units[step]}`;
}

/** What a level is called: a colour alone says nothing to many. */
export const LEVELS = { ok: "good", warn: "warning", bad: "bad" };
/** The sign that stands before it. */
export const SIGNS = { ok: "✓", warn: "!", bad: "✕" };

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** `[1, 3, 224]` -> `1 x 3 x 224`; a scalar. */
export const shape = (sizes) => (sizes?.length ? sizes.join(" × ") : "scalar");
