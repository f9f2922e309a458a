// What is selected. One record, one way to change it; every view redraws from it. It lives in the address, so that a
// place in a page can be sent to somebody.

/** Views by name: what their tab says, what lays them out, what draws them again; `sheet` and `say` where what is saved
 *  and what is announced is not the selected head and weight. Scripts of data that not every page has add theirs. */
const VIEWS = {
  heat: { title: "Heat map", show: showHeat, draw: drawHeat },
  lines: { title: "Lines", show: showLines, draw: drawLines },
  text: { title: "Text", show: showText, draw: drawText },
  pairs: { title: "Pair", show: showPairs, draw: drawPairs },
  steps: { title: "Steps", show: showSteps, draw: drawSteps },
  compare: { title: "Compare", show: showCompare, draw: drawCompare },
  table: { title: "Table", show: showTable, draw: drawTable },
};
/** Of each statistic its title, what it is, and the digits to show. */
const STATISTICS = {
  model: ["order of the model", "Layers from the first to the last."],
  information: ["information", "What a query tells about where it looks, in nats: high for a head that aligns, 0 for one that always looks at the same place."],
  entropy: ["entropy", "How spread a row is, in nats: 0 looks at one key."],
  peak: ["peak", "The largest weight of a row, on average."],
  diagonal: ["diagonal", "Share on the query’s own place; between two texts, on the same relative place."],
  distance: ["distance", "Tokens between a query and where it looks, on average."],
  first: ["first", "Share on the first key."],
  coverage: ["coverage", "How much of the keys is looked at by all rows together."],
};

const state = {
  sample: 0, attention: 0, head: 0, query: 0, key: 0, chosen: false,
  view: "heat", sort: "model", scale: "one", colours: "viridis", rows: "written",
  far: "largest", other: -1, method: "",
};
const listeners = [];

/** Change the selection and redraw; `what` names the fields to set. */
function change(what) {
  const before = { ...state };
  Object.assign(state, what);
  settle();
  // Until the reader has chosen a place, each head opens at its largest weight.
  if (!state.chosen) Object.assign(state, largest());
  const changed = new Set(Object.keys(state).filter((name) => state[name] !== before[name]));
  for (const listener of listeners) listener(changed);
  remember();
}

/** Select a row and, since that is what one asks of it, the key that it looks at most. */
function lookAt(query) {
  const row = clamp(query, attention().shape[1]);
  change({ query: row, key: topKey(plane(attention(), state.head), row), chosen: true });
}

/** Bring every place into its bounds. */
function settle() {
  state.sample = clamp(state.sample, data.samples.length);
  state.attention = clamp(state.attention, sample().attentions.length);
  state.head = clamp(state.head, attention().shape[0]);
  state.query = clamp(state.query, attention().shape[1]);
  state.key = clamp(state.key, attention().shape[2]);
  state.method = methodOf(attention());
  state.other = state.other < 0 ? -1 : clamp(state.other, data.samples.length);
}

function clamp(value, count) {
  return Math.max(0, Math.min(count - 1, Math.trunc(Number(value)) || 0));
}

function sample() {
  return data.samples[state.sample];
}

function attention() {
  return sample().attentions[state.attention];
}

/** Which map of an attention is shown: the chosen one where it has that, else its weights, whose name is empty. */
function methodOf(of) {
  return Object.hasOwn(of.further ?? {}, state.method) ? state.method : "";
}

/** Names of the rows: the tokens that the queries wrote, where they wrote any and the reader wants that. */
function rowNames(of = attention()) {
  const written = of.writes !== null && of.kind !== "self" && state.rows === "written";
  return sample().axes[written ? of.writes : of.queries];
}

function keyNames(of = attention()) {
  return sample().axes[of.keys];
}

/** What a weight is divided by before it becomes a colour. */
function largestOf(map, q) {
  return state.scale === "row" ? map.rows[q] : whole(map);
}

/** The upper end of a scale that does not differ from row to row; weights that sum to no fixed number may be above 1. */
function whole(map) {
  return state.scale === "head" ? map.largest : Math.max(map.most, map.largest);
}

/** The colours of a map: those of the reader's choice, but of weights with a sign. */
function palette(map) {
  return map.signed ? "signed" : state.colours;
}

/** The weight at a place, and how it stands in its row. */
function sentence(at) {
  const map = plane(attention(), state.head), weight = weightAt(map, at.query, at.key);
  const from = shortened(rowNames()[at.query], 40), to = shortened(keyNames()[at.key], 40);
  return { from, to, weight: figure(weight, map), place: [map.method, standing(map, at, weight)].filter(Boolean).join(" · ") };
}

function standing(map, at, weight) {
  if (weight === 0) return "nothing: masked, or exactly 0";
  if (weight !== undefined) {
    const larger = entries(map, at.query).filter(([, other]) => other > weight).length;
    return `rank ${larger + 1} of ${map.keys}`;
  }
  const cell = cellOf(map, at.query, at.key);
  const around = `its cell of ${cell.cells.join(" × ")}: mean ${figure(cell.mean, map)}, largest ${figure(cell.largest, map)}`;
  return map.tops ? `not among the ${map.tops.count} largest of its row · ${around}` : around;
}

/** The place of the head's largest weight. */
function largest() {
  return peakOf(plane(attention(), state.head));
}

function remember() {
  const { sample, attention, head, query, key, view, other, method } = state;
  const text = `#sample=${sample}&attention=${attention}&head=${head}&query=${query}&key=${key}&view=${view}${other < 0 ? "" : `&other=${other}`}${method && `&method=${method}`}`;
  try {
    history.replaceState(null, "", text);
  } catch {
    // Some viewers of local files let no page change its address; nothing else needs it.
  }
}

function recall() {
  const found = {};
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (name === "view" && Object.hasOwn(VIEWS, value)) found.view = value;
    if (["sample", "attention", "head", "query", "key", "other", "method"].includes(name)) found[name] = value;
  }
  return found;
}

/** The head to open with: the one whose queries tell most about where they look; across texts, where there are two. */
function mostTelling(of = sample()) {
  const all = of.attentions;
  const cross = all.some((one) => one.kind === "cross");
  let best = { attention: 0, head: 0 }, most = -1;
  all.forEach((one, attention) => one.statistics.information.forEach((value, head) => {
    if ((!cross || one.kind === "cross") && value > most) {
      most = value;
      best = { attention, head };
    }
  }));
  return best;
}
