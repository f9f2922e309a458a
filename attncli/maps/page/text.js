// The text view: choose a word, read what it looked at; the same as a table. It needs no canvas and no pointer.

const TABLE_ROWS = 12;
let words = null;

function showText(panel) {
  const queries = tokenList(rowNames(), "flow", (query) => change({ query, chosen: true }), () => state.query);
  const keys = tokenList(keyNames(), "flow", (key) => change({ key, chosen: true }), () => state.key);
  const table = make("table", "top"), whole = make("pre", "whole");
  const part = (title, content) => {
    const section = make("section", "words"), heading = make("h3", "", title);
    section.append(heading, content);
    content.setAttribute("aria-label", title);
    return section;
  };
  panel.replaceChildren(part(`${rowTitle()}: choose one`, queries), part("What it looked at", keys), table, whole);
  words = { queries, keys, table, whole };
  drawText();
}

function drawText() {
  const map = plane(attention(), state.head), q = state.query;
  const row = map.weights.subarray(q * map.keys, (q + 1) * map.keys), scale = largestOf(map, q) || 1;
  markTokens(words.queries, q);
  markTokens(words.keys, state.key);
  Array.from(words.keys.children).forEach((button, k) => tint(button, row[k] / scale));
  const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a]).slice(0, TABLE_ROWS);
  const name = shortened(rowNames()[q], 60);
  words.table.replaceChildren(
    make("caption", "", `“${name}” (${rowTitle().toLowerCase()}, place ${q}): its largest weights`),
    tableRow("th", ["key", "place", "weight", ""]),
    ...order.filter((k) => row[k] >= 0.0005).map((k) => {
      const line = tableRow("td", [shortened(keyNames()[k], 60), k, figure(row[k]), ""]);
      const bar = make("span", "share");
      bar.style.width = `${(row[k] * 100).toFixed(1)}%`;
      line.lastChild.append(bar);
      return line;
    }),
  );
  const long = [rowNames()[q], keyNames()[state.key]].filter((token) => token.length > 28);
  words.whole.textContent = long.join("\n\n");
  words.whole.hidden = long.length === 0;
}

/** A token's weight as its background; none where it is under half a percent, so that the text stays light. */
function tint(element, share) {
  const { fill, ink: text } = colour(state.colours, Math.min(1, share));
  element.style.background = share >= 0.005 ? fill : "";
  element.style.color = share >= 0.005 ? text : "";
}

function rowTitle() {
  const of = attention();
  return rowNames() === sample().axes[of.queries] ? "Queries" : "Tokens written";
}
