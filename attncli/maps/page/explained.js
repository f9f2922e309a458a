// Maps beside the weights: what tokens owe to each other by other measures (`--explain-by`), chosen by name.

const MEANS = {
  rollout: "How much of each token reaches each place through all layers up to this one, by the maps alone, with one half for the residual connection (Abnar and Zuidema 2020). Shares: rows sum to 1.",
  flow: "The maximum flow from each place of the last layer to each token, by the maps of all layers (Abnar and Zuidema 2020). 0 to 1; rows need not sum to 1.",
  norm: "The length of what the head adds of each token, |w v W| (Kobayashi et al. 2020). In the units of the model’s states.",
  gradient: "Weight times slope: what the head’s share of each token adds to the log-probability of what is written, to first order (after Chefer et al. 2021). In nats, with a sign.",
  value_zeroing: "How far each place of the layer’s output turns when a token’s value is taken away, in all heads at once (Mohebbi et al. 2023). Shares: rows sum to 1.",
};
const beside = { field: make("label", "field", "Map "), select: make("select"), note: make("p", "note") };

beside.field.append(beside.select);
beside.select.id = "method";
byId("rows-field").before(beside.field);
byId("panel").before(beside.note);
beside.select.addEventListener("change", () => {
  // Where a number is no share, one large one would leave all other heads blank.
  const units = ["norm", "gradient"].includes(beside.select.value);
  change({ method: beside.select.value, scale: units ? "head" : "one" });
  byId("scale").value = state.scale;
});
listeners.push((changed) => {
  if (["sample", "attention", "head", "method", "view"].some((name) => changed.has(name))) showMethods();
});

function showMethods() {
  const here = Object.keys(attention().further ?? {}), all = Object.keys(data.further);
  fill(beside.select, [["", "weights"], ...here.map((name) => [name, name.replace("_", " ")])]);
  beside.select.value = state.method;
  beside.field.hidden = beside.note.hidden = Boolean(VIEWS[state.view].sheet);
  byId("scale").options[0].textContent = state.method ? `0 to ${figure(plane(attention(), state.head).most, { method: true })}, all heads` : "0 to 1";
  const missing = all.filter((name) => !here.includes(name)).map((name) =>
    `No ${name.replace("_", " ")} here: ${data.further[name][attention().address] ?? "it was made for the first text that is written, of the first run"}.`);
  const together = state.method && attention().further[state.method].rows.heads.length === 1 ? " One map for all heads together." : "";
  beside.note.textContent = [state.method ? `${MEANS[state.method]}${together} The statistics are of the weights.` : "", ...missing].filter(Boolean).join(" ");
}
