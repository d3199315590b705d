/* Where the boxes of a graph stand, and the ways of the lines between them; as `rt_engine/measure/layout.py`, which draws it. Pure. */

/**
 * Boxes are numbered so that each reads boxes before it: `sources[i]` are those. At most `widest` stand side by side; what passes a level by has
 * a place of its own there, so that no box hides it.
 * -> {width, levels: [[box, ..], ..], middle: Map(box -> x), passing: Map("box level" -> x)}
 */
export function layout(sources, { widest, box, line, room }) {
  const levels = leveled(sources, widest), levelOf = new Map(levels.flatMap((level, at) => level.map((i) => [i, at])));
  const ends = new Map();
  sources.forEach((read, i) => read.forEach((from) => ends.set(from, Math.max(ends.get(from) ?? 0, levelOf.get(i)))));
  const x = levels.map(() => new Map()); // level -> item -> place; an item is a box, or "~box" where its lines pass
  levels.forEach((level, at) => {
    const passing = [...ends].filter(([from, end]) => levelOf.get(from) < at && at < end).map(([from]) => from);
    const items = [...level.map((i) => ({ key: i, read: sources[i], half: box / 2 })), ...passing.map((i) => ({ key: `~${i}`, read: [i], half: Math.min(line, room / passing.length) / 2 }))];
    for (const item of items) item.wanted = wanted(item.read, x[at - 1]);
    items.sort((a, b) => a.wanted - b.wanted || isLine(a) - isLine(b) || number(a) - number(b));
    const places = packed(items, (widest * box + room) / 2);
    items.forEach((item, i) => x[at].set(item.key, places[i]));
  });
  return moved(levels, x, box);
}

const isLine = (item) => typeof item.key !== "number";
const number = (item) => (isLine(item) ? Number(item.key.slice(1)) : item.key);

/** Boxes by their longest way from the top; one that reads nothing stands above its first reader; a wide level is several. */
function leveled(sources, widest) {
  const depth = [], first = new Map();
  for (const read of sources) depth.push(1 + Math.max(-1, ...read.map((from) => depth[from])));
  sources.forEach((read, i) => read.forEach((from) => first.set(from, Math.min(first.get(from) ?? depth[i], depth[i]))));
  const deep = new Map();
  sources.forEach((read, i) => {
    const at = read.length ? depth[i] : (first.get(i) ?? 1) - 1;
    deep.set(at, [...(deep.get(at) ?? []), i]);
  });
  return [...deep].sort(([a], [b]) => a - b).flatMap(([, level]) => {
    const rows = [];
    for (let start = 0; start < level.length; start += widest) rows.push(level.slice(start, start + widest));
    return rows;
  });
}

/** Below what it reads: boxes that stand right above, else lines that come from further up. */
function wanted(read, above) {
  for (const key of [(i) => i, (i) => `~${i}`]) {
    const places = read.map((i) => above?.get(key(i))).filter((place) => place !== undefined);
    if (places.length) return places.reduce((sum, place) => sum + place, 0) / places.length;
  }
  return 0;
}

/** As near to where they want to be as their order and widths allow, none beyond `most`. */
function packed(items, most) {
  const right = apart(items.map((item) => item.wanted), items.map((item) => item.half), -Infinity);
  const boxes = items.map((item, i) => (!isLine(item) ? right[i] - item.wanted : null)).filter((shift) => shift !== null);
  const shift = boxes.reduce((sum, one) => sum + one, 0) / (boxes.length || 1);
  const mirrored = apart(right.map((place) => shift - place).reverse(), items.map((item) => item.half).reverse(), -most);
  return apart(mirrored.map((place) => -place).reverse(), items.map((item) => item.half), -most);
}

function apart(places, halves, start) {
  return places.map((place, i) => {
    const found = Math.max(place, start + halves[i]);
    start = found + halves[i];
    return found;
  });
}

/** Everything to the right of 0. */
function moved(levels, x, box) {
  const middle = new Map(), passing = new Map();
  let left = 0, right = 0;
  x.forEach((places, at) => places.forEach((place, key) => {
    if (typeof key === "number") middle.set(key, place);
    else passing.set(`${key.slice(1)} ${at}`, place);
    const half = typeof key === "number" ? box / 2 : 0;
    [left, right] = [Math.min(left, place - half), Math.max(right, place + half)];
  }));
  for (const found of [middle, passing]) found.forEach((place, key) => found.set(key, place - left));
  return { width: right - left, middle, passing, levels: levels.map((level) => [...level].sort((a, b) => middle.get(a) - middle.get(b))) };
}
