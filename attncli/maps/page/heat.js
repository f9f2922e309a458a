// The heat map: one canvas with a window on the map, tokens at its edges, and a cursor that keys and pointer move.

const heat = { canvas: null, cell: 0, fit: 0, left: 0, top: 0, x: 0, y: 0, width: 0, height: 0, hover: null, image: null, imageOf: "" };

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
}

/** What is in the window, painted once for each place, size and look of it. */
function drawCells(context, map) {
  const { cell, x, y, left, top, width, height } = heat;
  const look = [attention().id, state.method, state.head, x, y, cell, width, height, state.colours, state.scale, state.far, isDark()].join();
  if (heat.imageOf !== look) {
    heat.image = cell < 1 ? farImage(map) : nearImage(map);
    heat.imageOf = look;
  }
  context.imageSmoothingEnabled = false;
  const { image, at } = heat.image;
  context.drawImage(image, left + at[0], top + at[1], at[2], at[3]);
  if (cell < 1) return;
  const [k0, q0, columns, rows] = windowed(map);
  if (cell >= 12) drawGaps(context, k0, q0, columns, rows);
  if (cell >= 34) writeWeights(context, map, k0, q0, columns, rows);
}

/** First key and query in the window, and how many. */
function windowed(map) {
  const { cell, x, y, width, height } = heat, k0 = Math.floor(x), q0 = Math.floor(y);
  return [k0, q0, Math.min(map.keys - k0, Math.ceil(width / cell) + 1), Math.min(map.queries - q0, Math.ceil(height / cell) + 1)];
}

/** Far away: a pixel for some weights. */
function farImage(map) {
  const { cell, x, y, width, height } = heat, columns = Math.max(1, Math.round(width)), rows = Math.max(1, Math.round(height));
  const small = shrink(map, x, y, width / cell, height / cell, columns, rows, state.far);
  const scaleOf = (row) => largestOf(map, Math.min(map.queries - 1, Math.floor(y + row / cell)));
  return { image: painted(small, columns, rows, palette(map), scaleOf), at: [0, 0, width, height] };
}

/** Near: a pixel for each weight that is known. Around the top keys of a row the cells of the overview show, paler. */
function nearImage(map) {
  const { cell, x, y } = heat, [k0, q0, columns, rows] = windowed(map);
  const cells = new Float32Array(columns * rows), known = new Float32Array(columns * rows);
  for (let r = 0; r < rows; r++) {
    const q = q0 + r, weights = rowOf(map, q);
    known.set(weights.subarray(k0, k0 + columns), r * columns);
    if (has(map, q) || !map.overview) continue;
    for (let c = 0; c < columns; c++) if (weightAt(map, q, k0 + c) === undefined) cells[r * columns + c] = cellOf(map, q, k0 + c)[state.far];
  }
  const scaleOf = (row) => largestOf(map, q0 + row);
  const image = painted(known, columns, rows, palette(map), scaleOf), context = image.getContext("2d");
  if (map.overview) {
    context.globalAlpha = map.tops ? 0.45 : 1;
    context.globalCompositeOperation = "destination-over";
    context.drawImage(painted(cells, columns, rows, state.colours, scaleOf), 0, 0);
  }
  return { image, at: [(k0 - x) * cell, (q0 - y) * cell, columns * cell, rows * cell] };
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
      const weight = weightAt(map, q, k);
      if (weight === undefined || Math.abs(weight) < 0.005 * map.most) continue;
      context.fillStyle = colourOf(map, weight / (largestOf(map, q) || 1)).ink;
      const [px, py] = [heat.left + (k + 0.5 - heat.x) * heat.cell, heat.top + (q + 0.5 - heat.y) * heat.cell];
      context.fillText(brief(weight, map), px, py);
    }
  }
}

/** A number as short as its cell. */
function brief(weight, map) {
  if (map.method || Math.abs(weight) >= 0.995) return String(Number(weight.toPrecision(2)));
  return weight.toFixed(2).replace("0.", ".");
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

