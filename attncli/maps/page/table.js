// All heads as a table: statistics and roles, sorted by any column.

let figures = { by: "model", down: true, body: null };

function showTable(panel) {
  const table = make("table", "figures"), head = make("tr"), body = make("tbody");
  for (const name of ["model", ...STATISTIC_NAMES, "role"]) {
    const cell = make("th"), button = plainButton(name === "model" ? "head" : STATISTICS[name]?.[0] ?? name, () => {
      figures.down = figures.by === name ? !figures.down : true;
      figures.by = name;
      fillTable();
    });
    cell.scope = "col";
    cell.dataset.name = name;
    button.title = STATISTICS[name]?.[1] ?? "The first role that the head holds for sure, and its score with a 95 % interval.";
    cell.append(button);
    head.append(cell);
  }
  const top = make("thead"), box = make("div", "wide");
  top.append(head);
  table.append(make("caption", "", "Every head of this sample. Click a column to sort by it, a head to look at it."), top, body);
  box.append(table);
  panel.replaceChildren(box);
  if (!data.roles.length) panel.append(make("p", "note", "No roles on this page: inspect --roles finds them where the weights were kept."));
  figures.body = body;
  fillTable();
}

function fillTable() {
  const { by, down, body } = figures, score = (one, head) => Number(roleOf(one, head)?.score ?? -1);
  const all = sample().attentions.flatMap((one, place) => one.statistics.entropy.map((_, head) => ({ one, place, head })));
  if (by !== "model") {
    const value = ({ one, head }) => (by === "role" ? score(one, head) : statistic(one, head, by));
    all.sort((a, b) => value(b) - value(a));
  }
  if (!down) all.reverse();
  for (const cell of body.parentElement.querySelectorAll("th")) {
    cell.setAttribute("aria-sort", cell.dataset.name !== by ? "none" : down === (by !== "model") ? "descending" : "ascending");
  }
  body.replaceChildren(...all.map(({ one, place, head }) => {
    const role = roleOf(one, head), row = tableRow("td", ["", ...STATISTIC_NAMES.map((name) => told(statistic(one, head, name), name)), ""]);
    row.firstChild.append(plainButton(`${one.address} · ${head}`, () => change({ attention: place, head })));
    row.lastChild.textContent = role ? `${role.name} ${Number(role.score).toFixed(2)} [${Number(role.low).toFixed(2)}, ${Number(role.high).toFixed(2)}]` : "–";
    row.dataset.place = `${place}/${head}`;
    return row;
  }));
  drawTable();
}

function drawTable() {
  for (const row of figures.body.children) row.classList.toggle("chosen", row.dataset.place === `${state.attention}/${state.head}`);
}
