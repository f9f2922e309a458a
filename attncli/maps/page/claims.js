// What was claimed of these maps (`--assert`), and what was found.

const claimed = make("ul", "claims");
claimed.append(...data.claims.map(({ text, holds, found }) => make("li", holds ? "" : "fault", `${holds ? "✓ holds" : "✗ fails"}: ${text} · ${found}`)));
byId("verdict").after(make("h3", "", "Assertions"), claimed);
