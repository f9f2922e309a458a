// The heat map: one canvas with a window on the map, tokens at its edges, and a cursor that keys and pointer move.

const heat = { canvas: null, cell: 0, fit: 0, left: 0, top: 0, x: 0, y: 0, width: 0, height: 0, hover: null };

function showHeat(panel) {
  const canvas = make("canvas", "map");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "heat map");
  canvas.setAttribute("aria-label", "Weights of the selected head; arrow keys move from weight to weight");
  canvas.setAttribute("aria-describedby", "selected");
  panel.replaceChildren(canvas);
  heat.canvas = canvas;
  heat.x = heat.y = heat.cell = 0;
  canvas.addEventListener("keydown", heatKeys);
  canvas.addEventListener("wheel", heatWheel, { passive: false });
  heatPointer(canvas);
  drawHeat();
}

/** Sizes of everything for the room there is. The whole map where its cells stay readable, else a window on it. */
function layHeat(context, map) {
  const room = heat.canvas.parentElement.clientWidth;
  const size = (name) => context.measureText(shortened(name, 18)).width;
  const widest = (names) => Math.max(12, ...names.slice(0, 400).map(size));
  context.font = `600 12px ${ink("font")}`;
  heat.left = Math.min(widest(rowNames()) + 12, room * 0.3);
  heat.top = Math.min(Math.max(16, widest(keyNames())), 130) + 12;
  const tall = Math.max(260, innerHeight - 330 - heat.top);
  const whole = Math.min((room - heat.left - 2) / map.keys, tall / map.queries, 40);
  heat.fit = whole >= 12 ? Math.floor(whole) : Math.min(12, Math.max(whole, (room - heat.left - 2) / map.keys));
  if (!heat.cell) heat.cell = heat.fit;
  heat.cell = Math.max(Math.min(heat.cell, 80), Math.min(whole, heat.fit));
  heat.width = Math.min(room - heat.left - 1, map.keys * heat.cell);
  heat.height = Math.min(tall, map.queries * heat.cell);
  heat.x = Math.max(0, Math.min(heat.x, map.keys - heat.width / heat.cell));
  heat.y = Math.max(0, Math.min(heat.y, map.queries - heat.height / heat.cell));
  const ratio = devicePixelRatio || 1;
  heat.canvas.width = Math.round((heat.left + heat.width + 1) * ratio);
  heat.canvas.height = Math.round((heat.top + heat.height + 1) * ratio);
  heat.canvas.style.width = `${heat.left + heat.width + 1}px`;
  heat.canvas.style.height = `${heat.top + heat.height + 1}px`;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function drawHeat() {
  const context = heat.canvas.getContext("2d"), map = plane(attention(), state.head);
  layHeat(context, map);
  context.save();
  context.beginPath();
  context.rect(heat.left, heat.top, heat.width, heat.height);
  context.clip();
  context.fillStyle = ink("blank");
  context.fillRect(heat.left, heat.top, heat.width, heat.height);
  drawCells(context, map);
  drawCursor(context, { query: state.query, key: state.key });
  context.restore();
  drawNames(context, map);
  drawBars(context, map);
  byId("zoom").hidden = false;
}

function drawCells(context, map) {
  const { cell, x, y, left, top, width, height } = heat;
  context.imageSmoothingEnabled = false;
  if (cell < 1) {
    const columns = Math.round(width), rows = Math.round(height);
    const small = shrink(map, x, y, width / cell, height / cell, columns, rows);
    const scaleOf = (row) => largestOf(map, Math.min(map.queries - 1, Math.floor(y + row / cell)));
    context.drawImage(painted(small, columns, rows, state.colours, scaleOf), left, top, width, height);
    return;
  }
  const k0 = Math.floor(x), q0 = Math.floor(y);
  const columns = Math.min(map.keys - k0, Math.ceil(width / cell) + 1), rows = Math.min(map.queries - q0, Math.ceil(height / cell) + 1);
  const part = new Float32Array(columns * rows);
  for (let r = 0; r < rows; r++) {
    const start = (q0 + r) * map.keys + k0;
    part.set(map.weights.subarray(start, start + columns), r * columns);
  }
  const image = painted(part, columns, rows, state.colours, (row) => largestOf(map, q0 + row));
  context.drawImage(image, left + (k0 - x) * cell, top + (q0 - y) * cell, columns * cell, rows * cell);
  if (cell >= 12) drawGaps(context, k0, q0, columns, rows);
  if (cell >= 34) writeWeights(context, map, k0, q0, columns, rows);
}

function drawGaps(context, k0, q0, columns, rows) {
  context.fillStyle = ink("panel");
  for (let c = 0; c <= columns; c++) context.fillRect(heat.left + (k0 + c - heat.x) * heat.cell - 0.5, heat.top, 1, heat.height);
  for (let r = 0; r <= rows; r++) context.fillRect(heat.left, heat.top + (q0 + r - heat.y) * heat.cell - 0.5, heat.width, 1);
}

function writeWeights(context, map, k0, q0, columns, rows) {
  context.font = `${Math.min(12, heat.cell / 3.2)}px ${ink("font")}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let q = q0; q < q0 + rows; q++) {
    for (let k = k0; k < k0 + columns; k++) {
      const weight = map.weights[q * map.keys + k];
      if (weight < 0.005) continue;
      context.fillStyle = colour(state.colours, weight / (largestOf(map, q) || 1)).ink;
      const [px, py] = [heat.left + (k + 0.5 - heat.x) * heat.cell, heat.top + (q + 0.5 - heat.y) * heat.cell];
      context.fillText(weight >= 0.995 ? weight.toPrecision(2).replace(/\.0$/, "") : weight.toFixed(2).slice(1), px, py);
    }
  }
}

function drawCursor(context, at) {
  const size = Math.max(heat.cell, 4);
  const [px, py] = [heat.left + (at.key - heat.x) * heat.cell, heat.top + (at.query - heat.y) * heat.cell];
  context.lineWidth = 1;
  context.strokeStyle = ink("cursor-outer");
  context.strokeRect(px - 1.5, py - 1.5, size + 3, size + 3);
  context.lineWidth = 2;
  context.strokeStyle = ink("cursor");
  context.strokeRect(px, py, size, size);
}

/** Tokens at the left and on top: as many as have room, the selected ones always. */
function drawNames(context, map) {
  const { cell, left, top } = heat;
  const at = heat.hover ?? state;
  const each = (names, count, room, paint, chosen) => {
    const every = Math.max(1, Math.ceil(13 / cell));
    for (let i = 0; i < count; i++) {
      const place = i === chosen;
      if (i % every && !place) continue;
      if (!place && Math.abs(i - chosen) * cell < 13 && cell < 13) continue;
      context.font = `${place ? "600 " : ""}12px ${ink("font")}`;
      context.fillStyle = place ? ink("accent") : ink("soft");
      paint(fitted(context, names[i], room), i);
    }
  };
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.direction = "ltr";
  each(rowNames(), map.queries, left - 8, (name, q) => {
    const py = top + (q + 0.5 - heat.y) * cell;
    if (py > top - 2 && py < top + heat.height + 2) context.fillText(name, left - 6, py);
  }, at.query);
  each(keyNames(), map.keys, top - 10, (name, k) => {
    const px = left + (k + 0.5 - heat.x) * cell;
    if (px < left - 2 || px > left + heat.width + 2) return;
    const upright = name.length <= 2 && context.measureText(name).width <= cell;
    context.save();
    context.translate(px, top - (upright ? 12 : 6));
    context.textAlign = upright ? "center" : "left";
    if (!upright) context.rotate(-Math.PI / 2);
    context.fillText(name, 0, 0);
    context.restore();
  }, at.key);
}

function fitted(context, name, room) {
  const points = Array.from(name.slice(0, 60)).slice(0, 24), cut = points.length < name.length;
  let text = cut ? `${points.join("")}…` : name;
  while (points.length > 1 && context.measureText(text).width > room) {
    points.pop();
    text = `${points.join("")}…`;
  }
  return text;
}

/** Where the window stands on a map that is larger. */
function drawBars(context, map) {
  const { cell, left, top, width, height, x, y } = heat;
  context.fillStyle = ink("cursor");
  if (map.keys * cell > width + 1) context.fillRect(left + (x / map.keys) * width, top + height - 3, (width / cell / map.keys) * width, 3);
  if (map.queries * cell > height + 1) context.fillRect(left + width - 3, top + (y / map.queries) * height, 3, (height / cell / map.queries) * height);
}
