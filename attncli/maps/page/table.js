// Heads as a table that any column sorts; of this sample their statistics and roles.

const figures = { by: "model", down: true };

function showTable(panel) {
  const what = "The first role that the head holds for sure, and its score with a 95 % interval.";
  const columns = [...STATISTIC_NAMES, "role"].map((name) => [name, STATISTICS[name]?.[0] ?? name, STATISTICS[name]?.[1] ?? what]);
  const role = ({ one, head }) => roleOf(one, head);
  showHeads(panel, figures, "Every head of this sample.", columns, {
    all: () => sample().attentions.flatMap((one) => one.statistics.entropy.map((_, head) => ({ one, head, address: one.address }))),
    value: (each, name) => (name === "role" ? Number(role(each)?.score ?? -1) : statistic(each.one, each.head, name)),
    text(each, name) {
      if (name !== "role") return told(statistic(each.one, each.head, name), name);
      const found = role(each);
      return found ? `${found.name} ${Number(found.score).toFixed(2)} [${Number(found.low).toFixed(2)}, ${Number(found.high).toFixed(2)}]` : "–";
    },
  });
  if (!data.roles.length) panel.append(make("p", "note", "No roles on this page: inspect --roles finds them where the weights were kept."));
}

function drawTable() {
  markHeads(figures);
}

/** Fill the panel with a table of heads. `own` keeps by what it is sorted; a column is its name, its title and what it is;
 *  of a head (its address and number, and what else `all` tells) `value` is what it is sorted by and `text` what stands there. */
function showHeads(panel, own, caption, columns, of) {
  const table = make("table", "figures"), head = make("tr"), top = make("thead"), box = make("div", "wide");
  for (const [name, title, what] of [["model", "head", STATISTICS.model[1]], ...columns]) {
    const cell = make("th"), button = plainButton(title, () => {
      own.down = own.by === name ? !own.down : true;
      own.by = name;
      fillHeads(own, columns, of);
    });
    cell.scope = "col";
    cell.dataset.name = name;
    button.title = what;
    cell.append(button);
    head.append(cell);
  }
  own.body = make("tbody");
  top.append(head);
  table.append(make("caption", "", `${caption} Click a column to sort by it, a head to look at it.`), top, own.body);
  box.append(table);
  panel.replaceChildren(box);
  fillHeads(own, columns, of);
}

function fillHeads(own, columns, of) {
  const { by, down, body } = own, all = of.all();
  if (by !== "model") all.sort((a, b) => of.value(b, by) - of.value(a, by));
  if (!down) all.reverse();
  for (const cell of body.parentElement.querySelectorAll("th")) {
    cell.setAttribute("aria-sort", cell.dataset.name !== by ? "none" : down === (by !== "model") ? "descending" : "ascending");
  }
  body.replaceChildren(...all.map((each) => {
    const { address, head } = each, row = tableRow("td", ["", ...columns.map(([name]) => of.text(each, name))]);
    const place = sample().attentions.findIndex((one) => one.address === address), title = `${address} · ${head}`;
    row.firstChild.append(place < 0 ? title : plainButton(title, () => change({ attention: place, head })));
    row.dataset.place = `${place}/${head}`;
    return row;
  }));
  markHeads(own);
}

function markHeads(own) {
  for (const row of own.body.children) row.classList.toggle("chosen", row.dataset.place === `${state.attention}/${state.head}`);
}
