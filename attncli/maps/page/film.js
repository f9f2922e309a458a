// Training: what every head did while it learned, a row a head and a column a look; below it the selected head's course.

const FILMED = {
  entropy: "How spread its rows are: 0 looks at one key, 1 at all keys alike.",
  peak: "The largest share of a row, on average.",
  output: "The length of what it adds, over that of the head of its layer that adds most.",
  nearest: "How far, in bits, it is from the head of its attention that is most like it: 0 is a double.",
};
const DASHES = { entropy: [], peak: [7, 4], output: [2, 3], nearest: [9, 3, 2, 3] };
const film = { ...data.film, shows: "entropy", row: 0, look: data.film.steps.length - 1, box: null };
film.values = Object.fromEntries(Object.entries(film.packed).map(([name, text]) =>
  [name, unpack(text, film.steps.length * film.places.length)]));

VIEWS.film = { title: "Training", show: showFilm, draw: drawFilm, sheet: filmSheet, say: sayFilm };

function filmed(name, row, look) {
  return film.values[name][look * film.places.length + row] / data.levels.uint8;
}

function showFilm(panel) {
  const field = make("label", "field", "Shown is "), select = make("select"), canvas = make("canvas", "map"), note = make("p", "note");
  fill(select, Object.keys(FILMED).map((name) => [name, name]));
  select.value = film.shows;
  select.addEventListener("change", () => {
    film.shows = select.value;
    drawFilm();
    sayFilm();
  });
  field.append(select);
  application(canvas, "film of heads", "Heads over training; left and right arrow move from look to look, up and down from head to head");
  canvas.addEventListener("keydown", filmKeys);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect(), { left, top, cell, tall } = film.laid;
    const row = Math.floor((event.clientY - box.top - top) / tall), look = Math.floor((event.clientX - box.left - left) / cell);
    if (row >= 0 && row < film.places.length && look >= 0 && look < film.steps.length) chooseLook(row, look);
  });
  panel.replaceChildren(field, note, canvas, make("h3", "", "Alerts: what three looks in a row have shown"), alertList());
  film.box = { canvas, note };
  drawFilm();
}

function filmKeys(event) {
  const last = [film.places.length - 1, film.steps.length - 1];
  const to = {
    ArrowLeft: [film.row, film.look - 1], ArrowRight: [film.row, film.look + 1], ArrowUp: [film.row - 1, film.look],
    ArrowDown: [film.row + 1, film.look], Home: [film.row, 0], End: [film.row, last[1]],
  }[event.key];
  if (!to) return;
  event.preventDefault();
  chooseLook(clamp(to[0], last[0] + 1), clamp(to[1], last[1] + 1));
}

/** Select a look of a head; the maps of that head too, where this page has them. */
function chooseLook(row, look) {
  Object.assign(film, { row, look });
  const [address, head] = film.places[row], place = sample().attentions.findIndex((one) => one.address === address);
  if (place >= 0) change({ attention: place, head });
  else VIEWS.film.draw(), sayFilm();
}

function alertList() {
  if (!film.alerts.length) return make("p", "note", "None: no head collapsed on one key, looked at all alike, added nothing or did what another does.");
  const table = make("table");
  table.append(tableRow("th", ["head", "sign", "from step", "to step"]), ...film.alerts.map(({ row, sign, from, to }) => {
    const [address, head] = film.places[row], line = tableRow("td", ["", sign, film.steps[from], film.steps[to]]);
    line.firstChild.append(plainButton(`${address} · ${head}`, () => chooseLook(row, from)));
    return line;
  }));
  const box = make("div", "wide");
  box.append(table);
  return box;
}

function drawFilm() {
  const here = film.places.findIndex(([address, head]) => address === attention().address && head === state.head);
  const [address] = film.places[film.row];
  // Follows the head that was selected elsewhere; a head that this page has no maps of stays selected here.
  if (here >= 0 && sample().attentions.some((one) => one.address === address)) film.row = here;
  film.box.note.textContent = FILMED[film.shows];
  showSheet(film.box.canvas, filmSheet(Math.max(240, byId("panel").clientWidth)));
}

function sayFilm() {
  const [address, head] = film.places[film.row], line = byId("selected");
  const numbers = Object.keys(FILMED).map((name) => `${name} ${filmed(name, film.row, film.look).toFixed(2)}`);
  const signs = film.alerts.filter((one) => one.row === film.row && one.from <= film.look && film.look <= one.to).map((one) => `alert: ${one.sign}`);
  line.setAttribute("aria-live", "polite");
  line.replaceChildren(make("bdi", "token", `${address} · head ${head}`), ` at step ${film.steps[film.look]}: `, [...numbers, ...signs].join(" · "));
}

function filmSheet(wide = 900) {
  const looks = film.steps.length, rows = film.places.length, left = nameRoom(film.places, wide, 0.36), top = 24;
  const tall = Math.max(3, Math.min(18, 640 / rows)), cell = (wide - left - 16) / looks, below = top + rows * tall;
  const weights = Float32Array.from({ length: rows * looks }, (_, i) => Math.max(1e-6, filmed(film.shows, Math.floor(i / looks), i % looks)));
  const image = painted(weights, looks, rows, state.colours, () => 1), soft = ink("soft"), accent = ink("accent");
  const narrow = wide < 500, marks = [{ image, at: [left, top, looks * cell, rows * tall] }];
  let named = -Infinity;
  film.places.forEach(([address, head], row) => {
    const y = top + row * tall, chosen = row === film.row, first = head === 0;
    if (first && row) marks.push({ box: [left, y - 0.5, looks * cell, 1], fill: ink("panel") });
    if (y - named < 12 && !chosen) return;
    if (!chosen) named = y;
    if (!chosen && Math.abs(row - film.row) * tall < 12) return;
    marks.push({ text: first || chosen ? headName(address, head, Math.floor(left / (narrow ? 5.9 : 6.6))) : `${head}`, at: [left - 6, y + tall / 2 + 4], size: narrow ? 10 : 12, anchor: "end", fill: chosen ? accent : soft, bold: chosen });
  });
  for (const { row, from } of film.alerts) marks.push({ text: "▲", at: [left + (from + 0.5) * cell, top + (row + 1) * tall], size: Math.max(7, tall * 0.6), anchor: "center", fill: ink("cursor") });
  const [x, y] = [left + film.look * cell, top + film.row * tall], wider = Math.max(cell, 3);
  marks.push({ line: [[x, y], [x + wider, y], [x + wider, y + tall], [x, y + tall], [x, y]], stroke: ink("cursor"), wide: 2 });
  marks.push(...filmAxis(left, below + 14, cell), { text: `${narrow ? "" : `${data.about.run ?? ""} · `}${film.shows} of every head over training`, at: [4, 14], size: 13, bold: true });
  marks.push(...filmScale(left, below + 26), ...course(left, below + 76, looks * cell, cell));
  film.laid = { left, top, cell, tall };
  return { wide, tall: below + 76 + 150, marks, title: `${data.about.run ?? "attncli"} · training` };
}

/** Steps below a drawing: the first, the last and the selected one. */
function filmAxis(left, y, cell) {
  const last = film.steps.length - 1, soft = ink("soft");
  const at = (look, anchor, fill, bold) => ({ text: `${film.steps[look]}`, at: [left + (look + 0.5) * cell, y], size: 11, anchor, fill, bold });
  const far = (look) => Math.abs(look - film.look) * cell > 60;
  return [at(film.look, film.look === 0 ? "start" : film.look === last ? "end" : "center", ink("accent"), true),
    ...(far(0) ? [at(0, "start", soft)] : []), ...(far(last) ? [at(last, "end", soft)] : []), { text: "step", at: [left - 6, y], size: 11, anchor: "end", fill: soft }];
}

function filmScale(left, y) {
  const steps = painted(Float32Array.from({ length: 256 }, (_, i) => (i + 1) / 256), 256, 1, state.colours, () => 1);
  return [{ text: "0", at: [left - 6, y + 10], anchor: "end" }, { image: steps, at: [left, y, 128, 12] }, { text: "1", at: [left + 134, y + 10] }];
}

/** The selected head's statistics as lines, each told by its dashes and by its name at the end. */
function course(left, top, width, cell) {
  const tall = 110, soft = ink("soft"), [address, head] = film.places[film.row], y = (value) => top + tall * (1 - value);
  const marks = [{ text: headName(address, head, 44), at: [Math.min(left, 90), top - 8], bold: true, fill: ink("accent") }];
  for (const value of [0, 0.5, 1]) marks.push({ box: [left, y(value), width, 1], fill: ink("rule") }, { text: String(value), at: [left - 6, y(value) + 4], size: 11, anchor: "end", fill: soft });
  const x = (look) => left + (look + 0.5) * cell;
  marks.push({ line: [[x(film.look), top], [x(film.look), top + tall]], stroke: ink("cursor") });
  Object.entries(DASHES).forEach(([name, dash], i) => {
    const line = film.steps.map((_, look) => [x(look), y(filmed(name, film.row, look))]);
    const at = left + 8 + i * Math.min(110, width / 4);
    marks.push({ line, dash, wide: name === film.shows ? 2.5 : 1.5, stroke: name === film.shows ? ink("accent") : ink("line") });
    marks.push({ line: [[at, top + tall + 20], [at + 26, top + tall + 20]], dash, wide: 2, stroke: name === film.shows ? ink("accent") : ink("line") }, { text: name, at: [at + 31, top + tall + 24], size: 11 });
  });
  return marks;
}
