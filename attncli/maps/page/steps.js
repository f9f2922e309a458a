// Generation step by step: what each hypothesis of the search had written by then, and where its next token looked.

let steps = null;

/** Samples that answer the same text: the hypotheses of one search. */
function hypotheses() {
  const asked = (one) => JSON.stringify([one.run, one.texts.source ?? one.texts.text ?? one.texts.prompt ?? ""]);
  const wanted = asked(sample());
  return data.samples.map((one, place) => [one, place]).filter(([one]) => asked(one) === wanted);
}

/** The same attention in another sample. */
function sameIn(other) {
  return other.attentions.find((one) => one.address === attention().address) ?? null;
}

function showSteps(panel) {
  const slider = make("input"), label = make("label", "field stepper", "Step "), list = make("div", "hypotheses");
  slider.type = "range";
  slider.min = "0";
  slider.addEventListener("input", () => lookAt(slider.value));
  label.append(slider, make("output", "", ""));
  panel.replaceChildren(
    make("p", "note", "Arrow keys on the slider go from token to token. Each hypothesis shows what it had written, the token of this step, and the keys that this head looked at for it."),
    label, list);
  steps = { slider, label, list };
  drawSteps();
}

function drawSteps() {
  const all = hypotheses(), longest = Math.max(...all.map(([one]) => (sameIn(one) ?? attention()).shape[1]));
  steps.slider.max = String(longest - 1);
  steps.slider.value = String(state.query);
  steps.slider.setAttribute("aria-valuetext", `step ${state.query + 1} of ${longest}`);
  steps.label.querySelector("output").textContent = ` ${state.query + 1} of ${longest}`;
  steps.list.replaceChildren(...all.map(([one, place]) => hypothesis(one, place)));
}

function hypothesis(one, place) {
  const box = make("section", "hypothesis"), of = sameIn(one), score = one.log_probability;
  const head = make("button", "choose", one.decoding + (score === null ? "" : ` · log-probability ${Number(score).toFixed(3)}`));
  head.type = "button";
  head.setAttribute("aria-pressed", String(place === state.sample));
  head.addEventListener("click", () => change({ sample: place, chosen: true }));
  box.append(head);
  if (!of) return box;
  const q = Math.min(state.query, of.shape[1] - 1), names = one.axes[of.writes ?? of.queries], map = plane(of, Math.min(state.head, of.shape[0] - 1), "");
  const text = make("p", "so-far"), from = Math.max(0, q - 60);
  for (let i = from; i <= q; i++) text.append(make("bdi", i === q ? "token now" : "token", shortened(names[i], 28)), " ");
  if (of.shape[1] <= state.query) text.append(make("span", "note", "(ended)"));
  const keys = one.axes[of.keys], found = make("p", "looked"), scale = largestOf(map, q) || 1;
  const best = entries(map, q, 0.0005).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 12).sort((a, b) => a[0] - b[0]);
  for (const [k, weight] of best) {
    const token = make("bdi", "token", shortened(keys[k], 20));
    tint(token, map, weight / scale);
    token.append(make("small", "", ` ${figure(weight)}`));
    found.append(token, " ");
  }
  box.append(text, found);
  return box;
}
