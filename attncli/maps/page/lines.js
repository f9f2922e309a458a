// Lines from every query to the keys it looked at; two columns of tokens, the lines on a canvas between them.

const LINE = 24;
const FAINTEST = 0.03;
const MOST = 1024;
let lines = null;

function showLines(panel) {
  const box = make("div", "lines"), canvas = make("canvas", "between");
  canvas.setAttribute("aria-hidden", "true");
  const left = tokenList(rowNames(), "queries", lookAt, () => state.query);
  const right = tokenList(keyNames(), "keys", (key) => change({ key, chosen: true }), () => state.key);
  left.setAttribute("aria-label", rowTitle());
  right.setAttribute("aria-label", "Keys");
  box.append(left, canvas, right);
  panel.replaceChildren(make("p", "note columns", `${rowTitle()} → keys; wide lines are large weights, those below ${100 * FAINTEST} % of the scale are left out`), box);
  lines = { box, canvas, left, right };
  box.scrollTop = Math.max(0, (state.query - left.first + 0.5) * LINE - box.clientHeight / 2);
  box.addEventListener("scroll", drawLines);
  drawLines();
}

/** Tokens as buttons under each other, a window of them where there are very many; one is in the order of the Tab key,
 *  arrows move. */
function tokenList(names, kind, choose, chosen) {
  const list = make("div", `tokens ${kind}`);
  list.setAttribute("role", "group");
  list.names = names;
  list.fill = () => {
    list.first = names.length <= MOST ? 0 : Math.max(0, Math.min(names.length - MOST, chosen() - MOST / 2));
    list.replaceChildren(...names.slice(list.first, list.first + MOST).map((name, i) => {
      const button = make("button", "token", shortened(name, 28)), place = list.first + i;
      button.type = "button";
      if (name.length > 28) button.title = shortened(name, 2000);
      button.addEventListener("click", () => choose(place));
      if (kind === "queries") button.addEventListener("pointerenter", () => describe({ query: place, key: state.key }));
      return button;
    }));
  };
  list.fill();
  list.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, Home: -names.length, End: names.length }[event.key];
    if (!by) return;
    event.preventDefault();
    choose(clamp(chosen() + by, names.length));
    list.children[chosen() - list.first].focus();
  });
  return list;
}

function markTokens(list, chosen) {
  if (chosen < list.first || chosen >= list.first + list.children.length) list.fill();
  Array.from(list.children).forEach((button, i) => {
    const place = i + list.first;
    button.tabIndex = place === chosen ? 0 : -1;
    button.setAttribute("aria-pressed", String(place === chosen));
  });
}

function drawLines() {
  const map = plane(attention(), state.head), { box, canvas, left, right } = lines;
  markTokens(left, state.query);
  markTokens(right, state.key);
  const width = Math.max(60, canvas.clientWidth), height = box.clientHeight;
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const from = box.scrollTop;
  const others = state.chosen ? 0.35 : 1;
  // Of the queries out of sight none is drawn but the selected one.
  const first = Math.max(left.first, left.first + Math.floor(from / LINE) - 20);
  const last = Math.min(map.queries, left.first + left.children.length, first + Math.ceil(height / LINE) + 40);
  for (let q = first; q < last; q++) if (q !== state.query) drawFan(context, map, q, from, width, height, others);
  drawFan(context, map, state.query, from, width, height, 1);
  tintKeys(right, map);
}

function drawFan(context, map, q, from, width, height, strength) {
  const y0 = (q - lines.left.first + 0.5) * LINE - from, scale = largestOf(map, q) || 1, selected = q === state.query;
  for (const [k, weight] of entries(map, q, FAINTEST * scale)) {
    const share = Math.abs(weight) / scale, y1 = (k - lines.right.first + 0.5) * LINE - from;
    if (Math.max(y0, y1) < 0 || Math.min(y0, y1) > height) continue;
    context.strokeStyle = weight < 0 ? ink("below") : selected ? ink("accent") : ink("line");
    context.globalAlpha = (0.12 + 0.88 * share) * strength;
    context.lineWidth = 0.6 + 4.4 * share;
    context.beginPath();
    context.moveTo(2, y0);
    context.bezierCurveTo(width * 0.4, y0, width * 0.6, y1, width - 2, y1);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** The keys' buttons carry the selected query's weights as colour. */
function tintKeys(list, map) {
  const scale = largestOf(map, state.query) || 1, row = rowOf(map, state.query);
  Array.from(list.children).forEach((button, i) => tint(button, map, row[i + list.first] / scale));
}
