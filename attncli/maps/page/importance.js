// Importance: what is lost without each head, with its interval; and whether that order is what the model does.

const rated = { ...data.importance, row: 0, box: null };
STATISTICS.lost = ["loss without it", `What is lost without the head, in nats a label, over ${rated.samples} rows of ${rated.rows}.`, 4];
STATISTIC_NAMES.push("lost");
for (const one of data.samples.flatMap((each) => each.attentions)) one.statistics.lost = [];
for (const { address, head, masked } of rated.heads) {
  for (const each of data.samples) {
    const one = each.run === data.samples[0].run && each.attentions.find((other) => other.address === address);
    if (one) one.statistics.lost[head] = masked;
  }
}

VIEWS.importance = { title: "Importance", show: showImportance, draw: drawImportance, sheet: importanceSheet, say: sayImportance };
const RATED = 200;
const LINE_OF = 18;

/** A loss; what four digits would make 0 keeps its first. */
function nats(value) {
  return value !== 0 && Math.abs(value) < 0.0001 ? value.toExponential(0) : value.toFixed(4);
}

function showImportance(panel) {
  const canvas = make("canvas", "map"), table = make("table"), box = make("div", "wide"), points = make("table"), folded = make("details");
  application(canvas, "ranking of heads", "Heads by what is lost without them; up and down arrow move from head to head");
  canvas.addEventListener("keydown", (event) => {
    const to = { ArrowUp: rated.row - 1, ArrowDown: rated.row + 1, Home: 0, End: rated.heads.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chooseRank(clamp(to, rated.heads.length));
  });
  canvas.addEventListener("click", (event) => {
    const row = Math.floor((event.clientY - canvas.getBoundingClientRect().top - rated.top) / LINE_OF);
    if (row >= 0 && row < Math.min(RATED, rated.heads.length)) chooseRank(row);
  });
  table.append(make("caption", "", "Every head, with the half of its 95 % interval"), tableRow("th", ["head", "loss without it", "|dL/dξ|"]), ...rated.heads.map((one, row) => {
    const line = tableRow("td", ["", spread(one, "masked", nats), spread(one, "gradient", small)]);
    line.firstChild.append(plainButton(`${one.address} · ${one.head}`, () => chooseRank(row)));
    line.dataset.row = row;
    return line;
  }));
  const { left, ordered, random } = rated.faithfulness;
  points.append(tableRow("th", ["heads left out", "in this order", "at random"]), ...left.map((count, i) => tableRow("td", [count, ordered[i].toFixed(3), random[i].toFixed(3)])));
  folded.append(make("summary", "", "The curves of deletion in numbers"), points);
  box.append(table);
  panel.replaceChildren(...verdicts().map((text) => make("p", "note said", text)), canvas, folded, box);
  rated.box = { canvas, table };
  drawImportance();
}

function spread(one, name, form) {
  const half = Number(one[`${name}_high`]) - one[name];
  return form(one[name]) + (Number.isFinite(half) ? ` ± ${form(half)}` : "");
}

/** What was measured, and what it is worth, in words. */
function verdicts() {
  const { faithfulness: heads, faithfulness_of_keys: keys } = rated;
  const numbers = [rated.agreement, rated.agreement_low, rated.agreement_high].map((value) => Number(value).toFixed(2));
  const alike = rated.heads.length > 1 ? ` Both measures rank heads alike by ${numbers[0]} [${numbers[1]}, ${numbers[2]}] (1: the same order).` : "";
  const score = (one) => `${Number(one.score).toFixed(3)} [${Number(one.low).toFixed(3)}, ${Number(one.high).toFixed(3)}]`;
  return [
    `Each head masked in turn over ${rated.samples} rows of ${rated.rows}; the loss of the whole model is ${nats(rated.loss)} nats a label.${alike}`,
    `Faithfulness of this order by deletion: ${score(heads)}: how much faster the right answer is lost than when heads leave at random (dashed; the mean of ${heads.orders} orders). 0 is chance. Of the keys of ${keys.field}, by the attention that they receive: ${score(keys)}.`,
  ];
}

function chooseRank(row) {
  rated.row = row;
  const { address, head } = rated.heads[row], place = sample().attentions.findIndex((one) => one.address === address);
  if (place >= 0) change({ attention: place, head });
  else drawImportance(), sayImportance();
}

function drawImportance() {
  const known = (address) => sample().attentions.some((one) => one.address === address);
  const here = rated.heads.findIndex((one) => one.address === attention().address && one.head === state.head);
  if (here >= 0 && known(rated.heads[rated.row].address)) rated.row = here;
  showSheet(rated.box.canvas, importanceSheet(Math.max(240, byId("panel").clientWidth)));
  for (const line of rated.box.table.rows) line.classList.toggle("chosen", line.dataset.row === String(rated.row));
}

function sayImportance() {
  const one = rated.heads[rated.row], line = byId("selected");
  line.setAttribute("aria-live", "polite");
  line.replaceChildren(make("bdi", "token", `${one.address} · head ${one.head}`), ` rank ${rated.row + 1} of ${rated.heads.length}`,
    ` · loss without it ${spread(one, "masked", nats)} nats a label · |dL/dξ| ${spread(one, "gradient", small)}`);
}

function importanceSheet(wide = 900) {
  const title = `${data.about.run ?? "attncli"} · importance`, beside = wide >= 720, width = beside ? wide * 0.6 : wide;
  rated.top = 52;
  const shown = rated.heads.slice(0, RATED), below = rated.top + shown.length * LINE_OF;
  const curves = beside ? deletion(width + 56, rated.top, wide - width - 70) : deletion(44, below + 56, wide - 60);
  return { title, wide, tall: beside ? Math.max(below + 12, rated.top + 240) : below + 56 + 240, marks: [
    { text: `${data.about.run ?? ""} · loss without each head, 95 %`, at: [4, 14], size: 13, bold: true }, ...ranking(shown, width), ...curves] };
}

function ranking(shown, width) {
  const ends = shown.flatMap((one) => [one.masked, finite(one.masked_low), finite(one.masked_high)]).filter(Number.isFinite);
  const least = Math.min(0, ...ends), most = Math.max(1e-9, ...ends), left = nameRoom(shown.map((one) => [one.address]), width, 0.42), right = width - 8;
  const x = (value) => left + ((value - least) / (most - least)) * (right - left), soft = ink("soft");
  const marks = [0, most, least].filter((value, i) => i < 2 || x(0) - x(value) > 50).map((value, i) => (
    { text: String(Number(value.toPrecision(2))), at: [x(value), 40], size: 11, fill: soft, anchor: ["center", "end", "start"][i] }));
  marks.push({ box: [x(0) - 0.5, 46, 1, shown.length * LINE_OF + 6], fill: ink("rule") });
  shown.forEach((one, row) => {
    const y = 52 + row * LINE_OF, chosen = row === rated.row, [low, high] = [finite(one.masked_low), finite(one.masked_high)];
    if (chosen) marks.push({ box: [0, y, width, LINE_OF], fill: ink("tint") });
    marks.push({ text: headName(one.address, one.head, Math.floor(left / (width < 500 ? 5.9 : 6.6))), at: [left - 6, y + 13], size: width < 500 ? 10 : 12, anchor: "end", fill: chosen ? ink("accent") : soft, bold: chosen });
    marks.push({ box: [Math.min(x(0), x(one.masked)), y + 4, Math.max(1, Math.abs(x(one.masked) - x(0))), 10], fill: ink(one.masked < 0 ? "below" : "line") });
    if (Number.isFinite(low)) marks.push({ box: [x(low), y + 8, Math.max(1, x(high) - x(low)), 2] });
  });
  return marks;
}

/** Both curves of deletion: the probability of the right answer as heads leave, in order and at random. */
function deletion(left, top, width) {
  const { left: counts, ordered, random } = rated.faithfulness, tall = 170, soft = ink("soft");
  if (!counts.length) return [];
  const most = Math.max(1e-9, ...ordered, ...random), last = Math.max(...counts), first = Math.min(...counts);
  const x = (count) => left + ((count - first) / (last - first || 1)) * width, y = (value) => top + tall * (1 - value / most);
  const line = (values) => counts.map((count, i) => [x(count), y(values[i])]);
  return [
    { text: "probability of the right answer", at: [left - 30, top - 24], size: 12, bold: true },
    ...[0, most].flatMap((value) => [{ box: [left, y(value), width, 1], fill: ink("rule") }, { text: value.toFixed(2), at: [left - 6, y(value) + 4], size: 11, anchor: "end", fill: soft }]),
    { line: line(random), dash: [6, 4], wide: 2, stroke: ink("line") }, { line: line(ordered), wide: 2.5, stroke: ink("accent") },
    { text: `${first}`, at: [left, top + tall + 16], size: 11, fill: soft }, { text: `${last} heads left out`, at: [left + width, top + tall + 16], size: 11, anchor: "end", fill: soft },
    { line: [[left, top + tall + 34], [left + 26, top + tall + 34]], wide: 2.5, stroke: ink("accent") }, { text: "in this order", at: [left + 32, top + tall + 38], size: 11 },
    { line: [[left + 116, top + tall + 34], [left + 142, top + tall + 34]], dash: [6, 4], wide: 2, stroke: ink("line") }, { text: "at random", at: [left + 148, top + tall + 38], size: 11 },
  ];
}
