// One head's weights, as far as the page has them: full rows, the top keys of every row, an overview of cells.

const NONE = { 2: 0xffff, 4: 0xffffffff };
const planes = new Map();

function unpack(text, size) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return inflate(bytes, size);
}

let halves = null;

/** What every code stands for. A code of 1 is a weight that is not 0 but nearer to it than to the first step. */
function meanings({ encoding, scale }) {
  if (encoding === "float16") {
    halves ??= Float32Array.from({ length: 65536 }, (_, code) => {
      const exponent = (code >> 10) & 31, fraction = code & 1023;
      const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
      return code & 32768 ? -size : size;
    });
    return scale === 1 ? halves : halves.map((value) => value * scale);
  }
  const step = scale / data.levels[encoding], signed = encoding === "int8";
  return Float32Array.from({ length: 256 }, (_, code) => {
    const value = signed && code > 127 ? code - 256 : code;
    return Math.sign(value) * step * (value ? Math.max(Math.abs(value) - 1, 0.25) : 0);
  });
}

function decoded(encoded, head, count) {
  const half = encoded.encoding === "float16", bytes = unpack(encoded.heads[head], half ? 2 * count : count);
  return { codes: half ? new Uint16Array(bytes.buffer) : bytes, value: meanings(encoded) };
}

function plane(attention, place, method = methodOf(attention)) {
  const shown = method ? attention.further[method] : attention, { rows, top, overview } = shown;
  const head = method && rows.heads.length === 1 ? 0 : place, name = `${attention.id}/${method}/${head}`;
  if (planes.has(name)) return planes.get(name);
  const [, queries, keys] = attention.shape;
  // `most` is the upper end of a scale that is one for all heads: a whole row, or the largest number of all heads.
  const map = { method, most: shown.most ?? 1, queries, keys, full: null, tops: null, overview: null, rows: new Float32Array(queries), largest: 0, signed: false };
  if (rows?.heads[head]) map.full = { ...decoded(rows, head, rows.count * keys), first: rows.first, last: rows.first + rows.count };
  if (top) {
    const each = top.wide ? 4 : 2, bytes = unpack(top.keys[head], each * queries * top.count);
    const places = each === 4 ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
    map.tops = { ...decoded(top.weights, head, queries * top.count), places, none: NONE[each], count: top.count };
  }
  if (overview) {
    const size = overview.shape[0] * overview.shape[1];
    const [largest, mean] = [overview.largest, overview.mean].map((one) => decoded(one, head, size));
    map.overview = { largest, mean, rows: overview.shape[0], columns: overview.shape[1], cells: overview.cells };
  }
  map.signed = [rows, top?.weights].some((one) => one && one.encoding !== "uint8") && hasSigns(map);
  measure(map);
  if (planes.size >= 8) planes.delete(planes.keys().next().value);
  planes.set(name, map);
  return map;
}

function hasSigns(map) {
  return [map.full, map.tops].some((one) => one && one.codes.some((code) => one.value[code] < 0));
}

/** The largest of every row, and of all. */
function measure(map) {
  for (let q = 0; q < map.queries; q++) {
    let most = 0;
    if (has(map, q)) {
      const { codes, value, first } = map.full, start = (q - first) * map.keys;
      for (let i = start; i < start + map.keys; i++) most = Math.max(most, Math.abs(value[codes[i]]));
    } else if (map.tops) {
      most = Math.abs(map.tops.value[map.tops.codes[q * map.tops.count]]);
    } else {
      const { largest, columns, cells } = map.overview, start = Math.floor(q / cells[0]) * columns;
      for (let i = start; i < start + columns; i++) most = Math.max(most, largest.value[largest.codes[i]]);
    }
    map.rows[q] = most;
    map.largest = Math.max(map.largest, most);
  }
}

/** Whether a full row is on the page. */
function has(map, q) {
  return map.full !== null && q >= map.full.first && q < map.full.last;
}

/** One weight; undefined where the page has not got it. A row with fewer top keys than places has no others. */
function weightAt(map, q, k) {
  if (has(map, q)) return map.full.value[map.full.codes[(q - map.full.first) * map.keys + k]];
  if (!map.tops) return undefined;
  const { places, count, codes, value, none } = map.tops;
  for (let i = q * count; i < (q + 1) * count; i++) {
    if (places[i] === k) return value[codes[i]];
    if (places[i] === none) return 0;
  }
  return undefined;
}

/** The known weights of a row that are not 0, as [key, weight], in the order of the keys where all are known. */
function entries(map, q, least = 0) {
  const found = [];
  if (has(map, q)) {
    const { codes, value, first } = map.full, start = (q - first) * map.keys;
    for (let k = 0; k < map.keys; k++) {
      const weight = value[codes[start + k]];
      if (weight !== 0 && Math.abs(weight) >= least) found.push([k, weight]);
    }
  } else if (map.tops) {
    const { places, count, codes, value, none } = map.tops;
    for (let i = q * count; i < (q + 1) * count && places[i] !== none; i++) {
      if (Math.abs(value[codes[i]]) >= least) found.push([places[i], value[codes[i]]]);
    }
  }
  return found;
}

function rowOf(map, q) {
  const row = new Float32Array(map.keys);
  for (const [k, weight] of entries(map, q)) row[k] = weight;
  return row;
}

/** The key a row looks at most; -1 where none is known. */
function topKey(map, q) {
  return entries(map, q).reduce((best, one) => (Math.abs(one[1]) > Math.abs(best[1]) ? one : best), [-1, 0])[0];
}

/** Where the largest weight is; the middle of its cell where only the overview knows of it. */
function peakOf(map) {
  const query = Math.max(0, map.rows.indexOf(map.largest)), key = topKey(map, query);
  if (key >= 0 || !map.overview) return { query, key: Math.max(0, key) };
  const { largest, columns, cells } = map.overview, start = Math.floor(query / cells[0]) * columns;
  let best = 0;
  for (let i = 0; i < columns; i++) if (largest.value[largest.codes[start + i]] > largest.value[largest.codes[start + best]]) best = i;
  return { query, key: Math.min(map.keys - 1, Math.floor((best + 0.5) * cells[1])) };
}

/** A cell of the overview in numbers, or null. */
function cellOf(map, q, k) {
  if (!map.overview) return null;
  const { largest, mean, columns, cells } = map.overview, at = Math.floor(q / cells[0]) * columns + Math.floor(k / cells[1]);
  return { largest: largest.value[largest.codes[at]], mean: mean.value[mean.codes[at]], cells };
}

/** Each of `columns` x `rows` patches made one number: its largest weight, so that a thin stripe survives, or its mean. */
function shrink(map, left, top, width, height, columns, rows, how = "largest") {
  const out = new Float32Array(columns * rows);
  const span = (start, length, i, count, most) => {
    const from = Math.floor(start + (i * length) / count);
    return [from, Math.min(most, Math.max(from + 1, Math.ceil(start + ((i + 1) * length) / count)))];
  };
  const across = Array.from({ length: columns }, (_, x) => span(left, width, x, columns, map.keys));
  for (let y = 0; y < rows; y++) {
    const [q0, q1] = span(top, height, y, rows, map.queries);
    const exact = has(map, q0) && has(map, q1 - 1);
    if (!exact && !map.overview) continue;
    for (let x = 0; x < columns; x++) {
      out[y * columns + x] = exact ? patch(map, q0, q1, ...across[x], how) : patchOfCells(map.overview, q0, q1, ...across[x], how);
    }
  }
  return out;
}

function patch(map, q0, q1, k0, k1, how) {
  const { codes, value, first } = map.full;
  let most = 0, sum = 0;
  for (let q = q0; q < q1; q++) {
    const start = (q - first) * map.keys;
    for (let i = start + k0; i < start + k1; i++) {
      const weight = value[codes[i]];
      sum += weight;
      if (Math.abs(weight) > Math.abs(most)) most = weight;
    }
  }
  return how === "mean" ? sum / ((q1 - q0) * (k1 - k0)) : most;
}

function patchOfCells(overview, q0, q1, k0, k1, how) {
  const { cells, columns } = overview, { codes, value } = overview[how];
  let most = 0, sum = 0, count = 0;
  for (let i = Math.floor(q0 / cells[0]); i * cells[0] < q1; i++) {
    for (let j = Math.floor(k0 / cells[1]); j * cells[1] < k1; j++) {
      const weight = value[codes[i * columns + j]];
      most = Math.max(most, weight);
      sum += weight;
      count++;
    }
  }
  return how === "mean" ? sum / count : most;
}
