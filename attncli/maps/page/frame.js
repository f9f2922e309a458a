// What stands around the views: header, texts, legend, the selected weight in words, certificate.

/** An error or a tolerance; a number that is none came as a word. */
function small(value) {
  return typeof value === "number" ? value.toExponential(1) : String(value);
}

function showSample() {
  byId("samples").value = String(state.sample);
  const one = sample(), entries = Object.entries(one.texts).filter(([, text]) => text);
  entries.push(["decoding", one.decoding + (one.log_probability === null ? "" : `, log-probability ${Number(one.log_probability).toFixed(3)}`)]);
  pairs(byId("texts"), entries.map(([name, text]) => [name, shortened(text, 300)]));
  showProof();
}

function showLegend() {
  byId("legend").hidden = Boolean(VIEWS[state.view].sheet);
  const map = plane(attention(), state.head), canvas = ramp(map), top = whole(map);
  canvas.className = "scale";
  const last = state.scale === "row" ? "the row’s largest" : figure(top, map);
  byId("legend").replaceChildren(make("span", "", map.signed ? `−${last}` : "0"), canvas, make("span", "", last), make("span", "blank", ""), make("span", "", state.view === "heat" ? "exactly 0, or masked" : "under 0.5 % of the scale"));
  if (state.view === "heat" && map.tops) byId("legend").append(make("span", "note", "pale: the cell a weight lies in; full: the largest of its row"));
}

/** The weight at a place, in words; announced to screen readers where it was selected. */
function describe(at) {
  const { from, to, weight, place } = sentence(at), line = byId("selected");
  line.setAttribute("aria-live", at === state ? "polite" : "off");
  line.replaceChildren(
    make("bdi", "token", from), " → ", make("bdi", "token", to), " ", make("b", "", weight), ` · ${place}`);
}

function showProof() {
  const rows = sample().attentions.map((one) => {
    const c = one.certificate;
    const line = tableRow("td", [
      one.address, one.kernel, one.dtype, `${small(c.row_sum_error)} ≤ ${small(c.row_sum_tolerance)}`,
      `${small(c.output_error)} ≤ ${small(c.output_tolerance)}`, c.empty_rows, c.holds ? "✓" : `✗ ${one.faults.join("; ")} (${c.worst})`,
    ]);
    line.classList.toggle("fault", !c.holds);
    return line;
  });
  byId("proof").replaceChildren(
    tableRow("th", ["attention", "kernel", "numbers", "max |rows − 1|", "max |map·V − output|", "empty rows", "holds"]), ...rows);
  const replay = sample().replay_error;
  const parts = data.certified
    ? ["Every map on this page was taken while the model ran, and checked against what its kernel computed: rows sum to what they must, and the map times the values is the kernel’s output."]
    : ["These maps are not what the model did. ", data.faults.join("; ")];
  if (data.missing.length) parts.push(` Mass is missing by design: ${data.missing.join("; ")}.`);
  if (replay !== null) parts.push(` The weights of the generation equal those of a teacher-forced replay within ${small(replay)}.`);
  byId("verdict").textContent = parts.join("");
  byId("verdict").className = data.certified ? "" : "fault";
}

function showFrame() {
  byId("about").textContent = Object.entries(data.about).map(([name, value]) => `${name} ${value}`).join(" · ");
  const seal = byId("seal");
  seal.className = data.certified ? "good" : "fault";
  seal.textContent = data.certified
    ? `✓ certified: rows within ${small(data.row_sum_error)}, outputs within ${small(data.output_error)}`
    : `✗ not certified: ${data.faults.length} ${data.faults.length === 1 ? "check" : "checks"} failed`;
  byId("precision").textContent = `${shown()} ${precise()}`;
  byId("shows").textContent = data.shows.detail === "all" ? "" : shown();
  const many = data.samples.length > 1;
  byId("sample-field").hidden = !many;
  fill(byId("samples"), data.samples.map((one, i) => [String(i), sampleName(one, i)]));
  fill(byId("sort"), [...Object.entries(STATISTICS).map(([name, [title]]) => [name, title]), ...ROLE_NAMES.map((name) => [`role:${name}`, `role: ${name}`])]);
}

/** Which weights the page has. */
function shown() {
  const { detail, heads, left_out } = data.shows;
  if (detail === "all") return "This page has every weight of every head.";
  const cells = "the largest and the mean weight of every cell of an overview";
  const count = data.samples[0].attentions.find((one) => one.top)?.top.count;
  const parts = [`All weights do not fit into ${(data.budget / 1e6).toFixed(0)} MB (--page-budget), so this page has ${cells}${detail === "top" ? `, and the ${count} largest weights of every row` : ""}`];
  if (heads) parts.push(`; of ${heads} ${heads === 1 ? "head" : "heads"} it has the full rows that were named`);
  if (left_out) parts.push(`; for the rows of ${left_out} more there was no room`);
  return `${parts.join("")}.`;
}

function precise() {
  const kinds = new Set(data.samples.flatMap((one) => one.attentions.map((each) => each.rows?.encoding ?? "uint8")));
  return kinds.has("float16")
    ? "They are half floats, within 0.05 % of the model’s; the data files have them exactly."
    : `They are bytes, within ${kinds.has("int8") ? "0.4" : "0.2"} % of each map’s largest weight; the data files have them exactly.`;
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => {
    const option = make("option", "", text);
    option.value = value;
    return option;
  }));
}
