// The pair view: one text above, the other below, and a line from each token to the key it looks at most.

const GAP = 130;
const PAD = 9;
let pair = null;

function showPairs(panel) {
  const box = make("div", "pair"), canvas = make("canvas", "map"), written = make("pre", "whole alignment");
  application(canvas, "sentence pair", "Both texts; left and right arrow choose a token below, up and down a key above");
  canvas.addEventListener("keydown", (event) => moveBy(event, { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }));
  canvas.addEventListener("click", (event) => chooseToken(event));
  box.append(canvas);
  panel.replaceChildren(
    make("p", "note", `Keys above, ${rowTitle().toLowerCase()} below. A strong line leads to the key a token looks at most, faint ones to keys above a fifth of its row’s largest weight.`),
    box, make("h3", "", "Alignment: row-key, the largest weight of every row"), written);
  pair = { box, canvas, written, above: [], below: [] };
  drawPairs();
}

/** Make a canvas something that takes the keys. */
function application(canvas, kind, text) {
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", kind);
  canvas.setAttribute("aria-label", text);
  canvas.setAttribute("aria-describedby", "selected");
}

/** Move the selection by what a key means: [queries, keys]. */
function moveBy(event, means) {
  const by = means[event.key];
  if (!by) return;
  event.preventDefault();
  change({ query: state.query + by[0], key: state.key + by[1], chosen: true });
}

/** Where tokens of a window around a place stand in one line: [text, place, left, right]. */
function lineOf(context, names, around, room) {
  const found = [], texts = (i) => shortened(names[i], 16);
  let left = 0, first = around;
  const width = (i) => context.measureText(texts(i)).width + 2 * PAD;
  let all = 0;
  for (let i = 0; i < names.length && all <= room; i++) all += width(i);
  if (all <= room) first = 0;
  for (let used = width(around); first > 0 && used + width(first - 1) < room / 2; first--) used += width(first - 1);
  for (let i = first; i < names.length && left < room; i++) {
    found.push([texts(i), i, left, left + width(i)]);
    left += width(i);
  }
  return found;
}

function drawPairs() {
  const map = plane(attention(), state.head), { box, canvas } = pair, context = canvas.getContext("2d");
  const room = Math.max(200, box.clientWidth), ratio = devicePixelRatio || 1, height = GAP + 64;
  canvas.width = Math.round(room * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${room}px`;
  canvas.style.height = `${height}px`;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = `15px ${ink("font")}`;
  pair.above = lineOf(context, keyNames(), state.key, room);
  pair.below = lineOf(context, rowNames(), state.query, room);
  const middle = new Map(pair.above.map(([, k, left, right]) => [k, (left + right) / 2]));
  for (const [, q, left, right] of pair.below) drawLinks(context, map, q, (left + right) / 2, middle);
  const write = (tokens, y, chosen) => {
    context.textBaseline = "middle";
    context.textAlign = "center";
    for (const [text, place, left, right] of tokens) {
      if (place === chosen) {
        context.fillStyle = ink("tint");
        context.fillRect(left + 2, y - 14, right - left - 4, 28);
      }
      context.fillStyle = place === chosen ? ink("accent") : ink("ink");
      context.fillText(text, (left + right) / 2, y);
    }
  };
  write(pair.above, 18, state.key);
  write(pair.below, height - 18, state.query);
  const most = Math.min(map.queries, 2000), words = [];
  for (let q = 0; q < most; q++) if (topKey(map, q) >= 0) words.push(`${q}-${topKey(map, q)}`);
  pair.written.textContent = words.join(" ") + (most < map.queries ? " …" : "");
}

function drawLinks(context, map, q, from, middle) {
  const most = map.rows[q] || 1, best = topKey(map, q), selected = q === state.query;
  for (const [k, weight] of entries(map, q, most / 5)) {
    if (!middle.has(k)) continue;
    context.globalAlpha = (k === best ? 0.9 : 0.3) * (selected ? 1 : 0.6);
    context.strokeStyle = selected ? ink("accent") : ink("line");
    context.lineWidth = (k === best ? 1.5 : 0.8) + 3 * Math.min(1, Math.abs(weight) / (map.most || 1));
    context.beginPath();
    context.moveTo(middle.get(k), 34);
    context.bezierCurveTo(middle.get(k), 34 + GAP * 0.4, from, 30 + GAP * 0.6, from, GAP + 30);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function chooseToken(event) {
  const box = pair.canvas.getBoundingClientRect(), x = event.clientX - box.left, above = event.clientY - box.top < GAP / 2 + 32;
  const hit = (above ? pair.above : pair.below).find(([, , left, right]) => x >= left && x < right);
  if (hit) change({ [above ? "key" : "query"]: hit[1], chosen: true });
}
