// What stands around the views: header, texts, legend, the selected weight in words, certificate.

/** An error or a tolerance; a number that is none came as a word. */
function small(value) {
  return typeof value === "number" ? value.toExponential(1) : String(value);
}

function showSample() {
  byId("samples").value = String(state.sample);
  const one = sample(), entries = Object.entries(one.texts).filter(([, text]) => text);
  entries.push(["decoding", one.decoding + (one.log_probability === null ? "" : `, log-probability ${Number(one.log_probability).toFixed(3)}`)]);
  pairs(byId("texts"), entries.map(([name, text]) => [name, shortened(text, 600)]));
  showProof();
}

function showLegend() {
  const canvas = make("canvas", "scale"), top = whole(plane(attention(), state.head));
  const ramp = Float32Array.from({ length: 256 }, (_, i) => (i + 1) / 256);
  canvas.width = 256;
  canvas.height = 1;
  canvas.getContext("2d").drawImage(painted(ramp, 256, 1, state.colours, () => 1), 0, 0);
  const last = state.scale === "row" ? "the row’s largest" : figure(top);
  byId("legend").replaceChildren(make("span", "", "0"), canvas, make("span", "", last), make("span", "blank", ""), make("span", "", state.view === "heat" ? "exactly 0, or masked" : "under 0.5 % of the scale"));
}

/** The weight at a place, in words; announced to screen readers where it was selected. */
function describe(at) {
  const { from, to, weight, place } = sentence(at), line = byId("selected");
  line.setAttribute("aria-live", at === state ? "polite" : "off");
  line.replaceChildren(
    make("bdi", "token", from), " → ", make("bdi", "token", to), " ", make("b", "", figure(weight)), ` · ${place}`);
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
  byId("precision").textContent = data.encoding === "float16"
    ? "Weights on this page are half floats, within 0.05 % of the model’s; the data files have them exactly."
    : "Weights on this page are bytes, within 0.2 % of each map’s largest weight; the data files have them exactly.";
  const many = data.samples.length > 1;
  byId("sample-field").hidden = !many;
  fill(byId("samples"), data.samples.map((one, i) => [String(i), `${i}: ${shortened(Object.values(one.texts)[0] ?? "", 60)} (${one.decoding})`]));
  fill(byId("sort"), Object.entries(STATISTICS).map(([name, [title]]) => [name, title]));
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => {
    const option = make("option", "", text);
    option.value = value;
    return option;
  }));
}
