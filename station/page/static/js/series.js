/* Trends as the page has them: least and greatest of each step of time, the newest so many. Pure. */

/** "NaN", "Infinity" and the like are gaps: there is no place for them on an axis. */
const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

export class Series {
  constructor(unit = "") {
    this.unit = unit;
    this.every = 1; // steps from one value to the next: of a slow task that is more than one
    this.first = 0; // number of the step that low[0] and high[0] are of
    this.low = [];
    this.high = [];
  }

  /** The number of the step that comes next; undefined before the first. */
  get next() {
    return this.low.length ? this.first + this.low.length : undefined;
  }

  /** Put steps behind those that are there, or over them; what lies between is a gap. Keeps the newest `most`. */
  add(first, low, high, most) {
    if (!low.length) return;
    if (!this.low.length || first > this.next + most || first < this.first) {
      this.first = first;
      this.low = [];
      this.high = [];
    }
    while (this.next !== undefined && this.next < first) {
      this.low.push(null);
      this.high.push(null);
    }
    const at = first - this.first;
    low.forEach((value, i) => {
      this.low[at + i] = finite(value);
      this.high[at + i] = finite(high[i]);
    });
    const over = this.low.length - most;
    if (over > 0) {
      this.low.splice(0, over);
      this.high.splice(0, over);
      this.first += over;
    }
  }

  /** [low, high] of a step; null in a gap, and where nothing is. */
  at(number) {
    const low = this.low[number - this.first], high = this.high[number - this.first];
    return low === null || low === undefined || high === null ? null : [low, high];
  }

  /** The same, or what was there last, where the next value was not yet to come: that is no gap. */
  held(number) {
    for (let n = number; n > number - 2.5 * this.every && n >= this.first; n -= 1) {
      const value = this.at(n);
      if (value) return value;
    }
    return null;
  }

  /** The newest step that has values: its number, or null. */
  get newest() {
    for (let i = this.low.length - 1; i >= 0; i -= 1) if (this.low[i] !== null) return this.first + i;
    return null;
  }

  /** Least and greatest of the steps from `begin` to before `end`; null where there is none. */
  range(begin, end) {
    let low = Infinity, high = -Infinity;
    for (let n = Math.max(begin, this.first); n < Math.min(end, this.first + this.low.length); n += 1) {
      const value = this.at(n);
      if (value === null) continue;
      low = Math.min(low, value[0]);
      high = Math.max(high, value[1]);
    }
    return low > high ? null : [low, high];
  }
}

/** Round numbers from about `low` to about `high`, some `wanted` of them. */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= 0.75 * rough) ?? 10 * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9 && found.length < 50; n += 1) found.push(n * step);
  return { step, at: found.map((value) => Number(value.toPrecision(12))) };
}

/** Milliseconds between two marks on the axis of time. */
const MARKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map((seconds) => 1000 * seconds);
export function marks(begin, end, wanted) {
  const step = MARKS.find((ms) => (end - begin) / ms <= wanted) ?? MARKS.at(-1);
  const zone = new Date(end).getTimezoneOffset() * 60000;
  const found = [];
  for (let at = Math.ceil((begin - zone) / step) * step + zone; at <= end; at += step) found.push(at);
  return { step, at: found };
}
