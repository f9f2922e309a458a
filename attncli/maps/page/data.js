// The data: everything the page shows. Weights stay encoded until their head is looked at.

const data = JSON.parse(document.getElementById("data").textContent);
const LEVELS = 254;

const halves = (() => {
  const table = new Float32Array(65536);
  for (let code = 0; code < 65536; code++) {
    const exponent = (code >> 10) & 31, fraction = code & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    table[code] = code & 32768 ? -size : size;
  }
  return table;
})();

/** Codes of all heads of an attention, decoded from base64 once. */
function codes(attention) {
  if (!attention.codes) {
    const text = atob(attention.weights);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    attention.codes = data.encoding === "float16" ? new Uint16Array(bytes.buffer) : bytes;
    attention.weights = null;
  }
  return attention.codes;
}

const planes = new Map();
data.samples.forEach((sample, i) => sample.attentions.forEach((attention, j) => { attention.id = `${i}/${j}`; }));

/** Weights (query key) of one head; those of the last few heads are kept. */
function plane(attention, head) {
  const name = `${attention.id}/${head}`;
  if (planes.has(name)) return planes.get(name);
  const [, queries, keys] = attention.shape;
  const all = codes(attention), size = queries * keys, start = head * size;
  const weights = new Float32Array(size);
  if (data.encoding === "float16") {
    for (let i = 0; i < size; i++) weights[i] = halves[all[start + i]];
  } else {
    const step = attention.scale / LEVELS;
    // A code of 1 is a weight that is not 0 but nearer to it than to the first step.
    for (let i = 0; i < size; i++) weights[i] = all[start + i] ? Math.max(all[start + i] - 1, 0.25) * step : 0;
  }
  const made = { weights, queries, keys, largest: 0, rows: new Float32Array(queries) };
  for (let q = 0; q < queries; q++) {
    let top = 0;
    for (let k = 0; k < keys; k++) top = Math.max(top, weights[q * keys + k]);
    made.rows[q] = top;
    made.largest = Math.max(made.largest, top);
  }
  if (planes.size >= 8) planes.delete(planes.keys().next().value);
  planes.set(name, made);
  return made;
}

/** Largest weight of each of `columns` x `rows` patches, so that a thin stripe survives the shrinking. */
function shrink(map, left, top, width, height, columns, rows) {
  const out = new Float32Array(columns * rows);
  for (let y = 0; y < rows; y++) {
    const q0 = Math.floor(top + (y * height) / rows), q1 = Math.max(q0 + 1, Math.ceil(top + ((y + 1) * height) / rows));
    for (let x = 0; x < columns; x++) {
      const k0 = Math.floor(left + (x * width) / columns);
      const k1 = Math.max(k0 + 1, Math.ceil(left + ((x + 1) * width) / columns));
      let most = 0;
      for (let q = q0; q < Math.min(q1, map.queries); q++) {
        for (let k = k0; k < Math.min(k1, map.keys); k++) most = Math.max(most, map.weights[q * map.keys + k]);
      }
      out[y * columns + x] = most;
    }
  }
  return out;
}

function shortened(text, most) {
  const points = Array.from(text.slice(0, 2 * most + 2));
  return points.length > most ? points.slice(0, most - 1).join("") + "…" : text;
}

/** A weight as text. */
function figure(weight) {
  if (weight === 0 || weight === 1) return String(weight);
  return weight >= 0.0005 ? weight.toFixed(3) : "< 0.001";
}
