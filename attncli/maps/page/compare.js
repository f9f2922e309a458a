// Comparison: the selected head in two samples (of one run or of two), and the difference; heads ranked by change.

const SIDE = 256;
let pairing = null;

/** The sample to compare with: the reader's choice, else the same text in another run, else a neighbour. */
function other() {
  if (state.other >= 0) return data.samples[state.other];
  const text = JSON.stringify(Object.values(sample().texts)[0]);
  const twin = data.samples.find((one) => one.run !== sample().run && JSON.stringify(Object.values(one.texts)[0]) === text);
  return twin ?? data.samples[state.sample + 1] ?? data.samples[Math.max(0, state.sample - 1)];
}

function sampleName(one, place) {
  return `${place}: ${one.run ? `${one.run} · ` : ""}${shortened(Object.values(one.texts)[0] ?? "", 50)} (${one.decoding})`;
}

function showCompare(panel) {
  if (data.samples.length < 2) {
    panel.replaceChildren(make("p", "note", "There is one sample on this page. Give more texts, an n-best list, or a second run, to compare."));
    pairing = null;
    return;
  }
  const field = make("label", "field", "A is the sample chosen above; B is "), select = make("select");
  fill(select, data.samples.map((one, i) => [String(i), sampleName(one, i)]));
  select.addEventListener("change", () => change({ other: Number(select.value) }));
  field.append(select);
  const maps = make("div", "trio"), canvases = ["A", "B", "A − B"].map((name) => {
    const figure = make("figure"), canvas = make("canvas", "map");
    application(canvas, "heat map", `${name}: arrow keys move from weight to weight`);
    canvas.addEventListener("keydown", (event) => moveBy(event, { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }));
    figure.append(make("figcaption", "", name), canvas);
    maps.append(figure);
    return canvas;
  });
  const said = make("p", "note"), ranking = make("div", "wide");
  said.setAttribute("role", "status");
  panel.replaceChildren(field, maps, said, make("h3", "", "Heads by how much of their mass lies elsewhere"), ranking);
  pairing = { select, canvases, said, ranking, ranked: "" };
  drawCompare();
}

function drawCompare() {
  if (!pairing) return;
  const one = sample(), two = other(), second = sameIn(two);
  pairing.select.value = String(data.samples.indexOf(two));
  const like = matchOf(one, two, attention(), state.head);
  if (!second || like === null || like >= second.shape[0]) {
    pairing.said.textContent = "The other sample has no such head.";
    return;
  }
  const method = methodOf(second) === state.method ? state.method : "";
  const maps = [plane(attention(), state.head, method), plane(second, like, method)];
  const [queries, keys] = [Math.min(...maps.map((map) => map.queries)), Math.min(...maps.map((map) => map.keys))];
  const rows = Math.min(SIDE, queries), columns = Math.min(SIDE, keys);
  const [a, b] = maps.map((map) => shrink(map, 0, 0, keys, queries, columns, rows, columns < keys || rows < queries ? state.far : "largest"));
  const both = [a, b, a.map((weight, i) => weight - b[i])];
  const top = Math.max(...maps.map(whole)), most = both[2].reduce((large, weight) => Math.max(large, Math.abs(weight)), 0);
  both.forEach((weights, i) => {
    const canvas = pairing.canvases[i], name = i === 2 ? "signed" : palette(maps[i]), context = canvas.getContext("2d");
    const size = Math.max(1, Math.floor(SIDE / Math.max(rows, columns)));
    [canvas.width, canvas.height] = [columns * size, rows * size];
    context.imageSmoothingEnabled = false;
    context.drawImage(painted(weights, columns, rows, name, () => (i === 2 ? most : top)), 0, 0, canvas.width, canvas.height);
    context.strokeStyle = ink("cursor");
    context.lineWidth = 2;
    context.strokeRect((state.key / keys) * canvas.width, (state.query / queries) * canvas.height, Math.max(4, size), Math.max(4, size));
  });
  const [x, y] = maps.map((map) => (state.query < map.queries && state.key < map.keys ? weightAt(map, state.query, state.key) : undefined));
  const unlike = unlikeTokens(one, two, second);
  const matched = like === state.head ? "" : `head ${state.head} of A is most like head ${like} of B · `;
  pairing.said.textContent = `${matched}A ${figure(x, maps[0])} · B ${figure(y, maps[1])} · A − B ${x === undefined || y === undefined ? "not on this page" : method ? figure(x - y, maps[0]) : (x - y).toFixed(3)}`
    + ` · scales 0 to ${figure(top, maps[0])}, and −${figure(most, maps[0])} (blue) to ${figure(most, maps[0])} (orange)${unlike}`;
  rank(one, two);
}

/** The head of the other sample to compare with: where two runs were matched, the one that is most like it. */
function matchOf(one, two, of, head) {
  if (one.run === two.run) return head;
  const found = data.matches.find((match) => match.address === of.address && match.head === head);
  if (!found) return head;
  return one.run === data.samples[0].run ? found.other : data.matches.find((match) => match.address === of.address && match.other === head)?.head ?? null;
}

/** A warning where places hold other tokens, so that their weights are no pairs. */
function unlikeTokens(one, two, second) {
  const count = (name) => {
    const [a, b] = [one.axes[attention()[name]], two.axes[second[name]]];
    return Math.max(a.length, b.length) - a.filter((token, i) => token === b[i]).length;
  };
  const sum = count("keys") + count("queries");
  return sum ? ` · ${sum} places hold other tokens: only what is at the same place is compared` : "";
}

/** ½ Σ |a − b| of each row, on average: 0 is the same map, 1 is nothing in common. Made once for two samples. */
function rank(one, two) {
  const name = `${data.samples.indexOf(one)}/${data.samples.indexOf(two)}`;
  if (pairing.ranked === name) return;
  pairing.ranked = name;
  const found = [], work = [];
  if (one.run !== two.run && data.matches.length) {
    const all = data.matches.map((match) => [one.attentions.findIndex((each) => each.address === match.address), match.head, match.divergence, match.other]);
    showRanking(one, all.filter(([place]) => place >= 0), "Jensen–Shannon divergence, all texts, bits");
    return;
  }
  one.attentions.forEach((first, place) => {
    const second = two.attentions.find((each) => each.address === first.address);
    for (let head = 0; second && head < Math.min(first.shape[0], second.shape[0]); head++) work.push([place, first, second, head]);
  });
  const go = () => {
    if (pairing?.ranked !== name) return;
    for (const until = performance.now() + 20; work.length && performance.now() < until;) {
      const [place, first, second, head] = work.pop();
      found.push([place, head, distance(plane(first, head, ""), plane(second, head, ""))]);
    }
    if (work.length) setTimeout(go);
    else showRanking(one, found.sort((a, b) => b[2] - a[2]), "½ Σ |A − B| a row");
  };
  go();
}

function distance(a, b) {
  const queries = Math.min(a.queries, b.queries), every = Math.max(1, Math.ceil(queries / 64));
  let sum = 0, rows = 0;
  for (let q = 0; q < queries; q += every, rows++) {
    const row = new Map(entries(a, q));
    for (const [k, weight] of entries(b, q)) row.set(k, (row.get(k) ?? 0) - weight);
    for (const weight of row.values()) sum += Math.abs(weight) / 2;
  }
  return rows ? sum / rows : 0;
}

function showRanking(one, found, measure) {
  const table = make("table", "ranking");
  table.append(tableRow("th", ["head", "in B", measure]), ...found.slice(0, 50).map(([place, head, value, other]) => {
    const row = tableRow("td", ["", other === null ? "none" : other ?? head, value && value < 0.0005 ? small(value) : Number(value).toFixed(3)]);
    row.firstChild.append(plainButton(`${one.attentions[place].address} · ${head}`, () => change({ attention: place, head })));
    return row;
  }));
  pairing.ranking.replaceChildren(table);
}
