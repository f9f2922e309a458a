// Over rows of data: the statistics of every head as means with their intervals, beside which one text is one text.

const over = { by: "model", down: true };
VIEWS.rows = { title: "Over rows", show: showOver, draw: () => markHeads(over), say: sayOver };

/** A mean, with half of its 95 % interval where there is one: of one text there is none. */
function meanOf([mean, , high]) {
  const half = Number(high) - mean;
  return mean.toFixed(3) + (Number.isFinite(half) ? ` ± ${half.toFixed(3)}` : "");
}

function textsOf() {
  const { rows, heads } = data.overview;
  return `${heads[0].samples} ${heads[0].samples === 1 ? "text" : "texts"} of ${rows}`;
}

function showOver(panel) {
  const { heads, alignments = [] } = data.overview;
  const columns = Object.keys(heads[0].statistics).map((name) => [name, ...STATISTICS[name]]);
  showHeads(panel, over, `Every head over ${textsOf()}: means, ± half of the 95 % interval.`, columns, {
    all: () => [...heads],
    value: (one, name) => one.statistics[name][0],
    text: (one, name) => meanOf(one.statistics[name]),
  });
  if (!alignments.length) return;
  const table = make("table"), box = make("div", "wide");
  table.append(make("caption", "", "Alignment error rates against the links that people have drawn (Och and Ney 2003): 0 is none"), tableRow("th", ["head", "rows are tokens", "error rate"]),
    ...alignments.map((one) => tableRow("td", [`${one.address} · ${one.head ?? "mean of heads"}`, one.row, one.alignment_error_rate.toFixed(3)])));
  box.append(table);
  panel.append(box);
}

/** The selected head over the rows, and here. */
function sayOver() {
  const one = attention(), found = data.overview.heads.find((each) => each.address === one.address && each.head === state.head);
  const line = byId("selected"), names = Object.keys(found?.statistics ?? {});
  const parts = names.map((name) => `${STATISTICS[name][0]} ${meanOf(found.statistics[name])}, here ${told(statistic(one, state.head, name), name)}`);
  line.setAttribute("aria-live", "polite");
  line.replaceChildren(make("bdi", "token", `${one.address} · head ${state.head}`), found ? ` over ${textsOf()}: ${parts.join(" · ")}` : " was not measured over rows");
}
