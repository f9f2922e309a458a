// The text view: choose a word, read what it looked at; the same as a table. It needs no canvas and no pointer.

const TABLE_ROWS = 12;
let words = null;

function showText(panel) {
  const queries = tokenList(rowNames(), "flow", lookAt, () => state.query);
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
  markTokens(words.queries, q);
  markTokens(words.keys, state.key);
  tintKeys(words.keys, map);
  const order = entries(map, q, 0.0005 * map.most).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, TABLE_ROWS);
  const name = shortened(rowNames()[q], 60);
  words.table.replaceChildren(
    make("caption", "", `“${name}” (${rowTitle().toLowerCase()}, place ${q}): its largest weights`),
    tableRow("th", ["key", "place", "weight", "share"]),
    ...order.map(([k, weight]) => {
      const line = tableRow("td", [shortened(keyNames()[k], 60), k, figure(weight, map), ""]);
      const bar = make("span", "share");
      bar.style.width = `${Math.min(100, (Math.abs(weight) / (map.most || 1)) * 100).toFixed(1)}%`;
      line.lastChild.append(bar);
      return line;
    }),
  );
  const long = [rowNames()[q], keyNames()[state.key]].filter((token) => token.length > 28);
  words.whole.textContent = long.join("\n\n");
  words.whole.hidden = long.length === 0;
}

/** A token's weight as its background; none where it is under half a percent, so that the text stays light. */
function tint(element, map, share) {
  const { fill, ink: text } = colourOf(map, Math.min(1, share)), seen = Math.abs(share) >= 0.005;
  element.style.background = seen ? fill : "";
  element.style.color = seen ? text : "";
}

function rowTitle() {
  const of = attention();
  return rowNames() === sample().axes[of.queries] ? "Queries" : "Tokens written";
}
